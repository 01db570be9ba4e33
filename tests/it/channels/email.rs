//! E-mail: what each answer means at each step, and letters that say only what they should.

use std::time::Duration;

use nadi::messaging::MailServer;
use nadi::messaging::channels::email::{File, Letter, Unsubscribe, compose, send};
use nadi::messaging::channels::guard::AllowList;
use nadi::messaging::channels::{ErrorClass, ErrorClass::*, Failure, Outgoing, Reached, Shun};
use secrecy::SecretString;

use super::{assert_discreet, outgoing_to};
use crate::support::{Mood, SmtpServer};

pub(super) fn letter() -> Outgoing<Letter> {
    outgoing_to(
        "lakshmi@mail.example",
        Letter {
            to_name: "Lakshmi Menon".into(),
            from: ("Shanti Clinic".into(), "no-reply@shanti.nadi.health".into()),
            reply_to: None,
            subject: "Your appointment · Shanti Clinic".into(),
            text: "Dear Lakshmi,\n".into(),
            html: "<p>Dear Lakshmi,</p>".into(),
            unsubscribe: None,
            files: vec![],
            return_path: None,
            signer: None,
            written_at: "2026-11-21T10:00:00Z".parse().unwrap(),
        },
    )
}

fn mail_server(server: &SmtpServer, user_info: &str) -> MailServer {
    let url = format!("smtp://{user_info}{}", server.address);
    MailServer::new(&SecretString::from(url)).unwrap()
}

async fn failure(mood: Mood) -> Failure {
    let server = SmtpServer::up();
    server.set(mood);
    let user_info = if matches!(mood, Mood::SignIn(_)) { "clinic:secret@" } else { "" };
    let failure = send(&mail_server(&server, user_info), &letter()).await.unwrap_err();
    assert_discreet(&failure);
    assert!(!failure.to_string().contains("lakshmi@"), "{failure}");
    failure
}

#[tokio::test]
async fn every_answer_means_what_it_means_at_its_step() {
    use Mood::{Data, Greeting, Letter, Recipient as Rcpt, Sender, SignIn};
    for (mood, class, code) in [
        (Greeting("421 4.3.2 too busy"), Transient, "421 4.3.2"),
        (Greeting("554 no"), Transient, "554"),
        (SignIn("535 5.7.8 no"), Account, "535 5.7.8"),
        (SignIn("454 4.7.0 later"), Transient, "454 4.7.0"),
        (Sender("550 5.1.8 not yours"), Account, "550 5.1.8"),
        (Sender("451 4.3.0 later"), Transient, "451 4.3.0"),
        (Rcpt("550 5.1.1 lakshmi@mail.example unknown"), Recipient, "550 5.1.1"),
        (Rcpt("550 5.1.10 null mx"), Recipient, "550 5.1.10"),
        (Rcpt("550 5.2.1 disabled"), Recipient, "550 5.2.1"),
        (Rcpt("550 no"), Recipient, "550"),
        (Rcpt("554 5.7.1 relay"), Policy, "554 5.7.1"),
        (Rcpt("450 4.2.0 greylisted"), Transient, "450 4.2.0"),
        (Rcpt("452 4.2.2 full"), Transient, "452 4.2.2"),
        (Rcpt("421 4.7.0 slow down"), Transient, "421 4.7.0"),
        (Data("554 5.5.1 no"), Refused, "554 5.5.1"),
        (Letter("550 5.7.1 spam"), Policy, "550 5.7.1"),
        (Letter("550 5.7.26 unauthenticated"), Policy, "550 5.7.26"),
        (Letter("552 5.3.4 too big"), Refused, "552 5.3.4"),
        (Letter("554 no"), Refused, "554"),
        (Letter("451 4.3.0 later"), Transient, "451 4.3.0"),
    ] {
        let failure = failure(mood).await;
        assert_eq!((failure.class, failure.code.as_deref()), (class, Some(code)), "{mood:?}");
        assert_eq!(failure.reached, Reached::Answered);
        let dead = matches!(code, "550 5.1.1" | "550 5.1.10" | "550 5.2.1");
        assert_eq!(failure.shun, dead.then_some(Shun::ForGood), "{mood:?}");
        let pause = code.starts_with("421").then_some(Duration::from_secs(60));
        assert_eq!(failure.retry_after, pause, "{mood:?}");
    }
}

#[tokio::test]
async fn only_what_breaks_off_after_the_letter_is_ambiguous() {
    for (mood, reached) in [(Mood::HangUp, Reached::Nothing), (Mood::Reset, Reached::Perhaps)] {
        let failure = failure(mood).await;
        assert_eq!((failure.class, failure.reached), (ErrorClass::Transient, reached), "{mood:?}");
    }
    let server = SmtpServer::up();
    server.set(Mood::Hang);
    let mut letter = letter();
    letter.time_left = Duration::from_millis(400);
    let hung = send(&mail_server(&server, ""), &letter).await.unwrap_err();
    assert!(hung.is_ambiguous(), "{hung:?}");
    let down = SmtpServer::down();
    let refused = send(&mail_server(&down, ""), &letter).await.unwrap_err();
    assert_eq!((refused.class, refused.reached), (ErrorClass::Transient, Reached::Nothing));
}

#[tokio::test]
async fn a_clinics_mail_server_is_not_inside_unless_the_platform_says_so() {
    let server = SmtpServer::up();
    let url = SecretString::from(format!("smtp://{}", server.address));
    for (list, admitted) in [(vec![], false), (vec!["127.0.0.1"], true)] {
        let allowed = AllowList::new(list).unwrap().into();
        let mail_server = MailServer::of_clinic(&url, allowed).unwrap();

        let outcome = send(&mail_server, &letter()).await;

        assert_eq!(outcome.is_ok(), admitted);
        if let Err(failure) = outcome {
            assert_eq!((failure.class, failure.reached), (Account, Reached::Nothing));
        }
    }
    assert_eq!(server.seen(), 1);
}

#[tokio::test]
async fn every_try_bears_the_same_id() {
    let server = SmtpServer::up();
    let mail_server = mail_server(&server, "");
    let letter = letter();

    server.set(Mood::Reset);
    send(&mail_server, &letter).await.unwrap_err();
    server.set(Mood::Accept);
    send(&mail_server, &letter).await.unwrap();

    let ids: Vec<String> = server
        .letters()
        .iter()
        .flat_map(|letter| letter.lines().find(|line| line.starts_with("Message-ID:")))
        .map(str::to_owned)
        .collect();
    assert_eq!(ids, vec![format!("Message-ID: <{}@shanti.nadi.health>", letter.message_id); 2]);
}

#[tokio::test]
async fn one_click_takes_a_reader_off_the_list() {
    let server = SmtpServer::up();
    let mut letter = letter();
    let url = format!("https://shanti.nadi.health/unsubscribe?token={}", "x".repeat(120));
    letter.content.unsubscribe = Some(Unsubscribe {
        url: url.parse().unwrap(),
        mailto: Some("stop@shanti.nadi.health".into()),
    });
    letter.content.reply_to = Some("desk@shanti.nadi.health".into());
    letter.content.files = vec![File {
        name: "receipt.pdf".into(),
        mime: "application/pdf".into(),
        bytes: b"%PDF".to_vec(),
    }];

    send(&mail_server(&server, ""), &letter).await.unwrap();

    let sent = server.letters().remove(0);
    let line = format!("List-Unsubscribe: <{url}>, <mailto:stop@shanti.nadi.health>\r\n");
    assert!(sent.contains(&line), "{sent}");
    assert!(sent.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"), "{sent}");
    assert!(sent.contains("Reply-To: desk@shanti.nadi.health\r\n"), "{sent}");
    assert!(sent.contains("multipart/mixed") && sent.contains("receipt.pdf"), "{sent}");
    let (plain, html) = (sent.find("text/plain").unwrap(), sent.find("text/html").unwrap());
    assert!(plain < html, "the text comes first");
}

#[test]
fn nothing_smuggles_a_header_in() {
    let refused = |change: &dyn Fn(&mut Outgoing<Letter>)| {
        let mut letter = letter();
        change(&mut letter);
        compose(&letter).map(|_| ()).unwrap_err()
    };
    for evil in
        ["a\r\nBcc: b@evil.example", "a\nb", "a\u{0}b", "a\u{85}b", "a\u{2028}b", "\u{1b}[31m"]
    {
        let failures = [
            refused(&|letter| letter.content.subject = evil.into()),
            refused(&|letter| letter.content.to_name = evil.into()),
            refused(&|letter| letter.content.from.0 = evil.into()),
            refused(&|letter| letter.content.from.1 = evil.into()),
            refused(&|letter| letter.content.reply_to = Some(evil.into())),
            refused(&|letter| letter.to = format!("a@b.example{evil}")),
        ];
        for failure in failures {
            assert_eq!(failure.code.as_deref(), Some("bad_header"), "{evil:?}");
            assert_eq!((failure.class, failure.reached), (OurRequest, Reached::Nothing));
        }
    }
    let file = |name: &str| File { name: name.into(), mime: "text/plain".into(), bytes: vec![] };
    assert_eq!(
        refused(&|l| l.content.files = vec![file("a\r\nb")]).code.as_deref(),
        Some("bad_header")
    );
    assert_eq!(refused(&|l| l.to = "nobody".into()).code.as_deref(), Some("bad_address"));
    assert_eq!(refused(&|l| l.content.subject = " ".into()).code.as_deref(), Some("bad_subject"));
    let clear = || Unsubscribe { url: "http://shanti.example/u".parse().unwrap(), mailto: None };
    assert_eq!(
        refused(&|l| l.content.unsubscribe = Some(clear())).code.as_deref(),
        Some("bad_unsubscribe")
    );
}
