//! Letters: signed, easy to stop, and learned from when they come back.

use reqwest::Method;

use super::*;
use crate::support::{Answer, dkim};

/// Appointments go by e-mail first; more is set as asked.
async fn by_mail_first(scene: &Scene, email: Value, channels: &[&str]) -> Answer {
    let mut wanted = settings(PHONE, TOKEN);
    wanted["email"] = email;
    wanted["policies"]["appointment"]["channels"] = json!(channels);
    wanted["policies"]["code"]["channels"] = json!(["email"]);
    scene.clinic.admin().await.put("/settings/messaging", "*", &wanted).await.expect(200)
}

/// The path of a letter's link to unsubscribe, as mail programs read it.
fn way_out(letter: &str) -> Option<String> {
    let line = letter.lines().find_map(|line| line.strip_prefix("List-Unsubscribe: <"))?;
    let url = line.split('>').next().unwrap().parse::<url::Url>().unwrap();
    Some(url.path().to_owned())
}

fn letter_to(scene: &Scene, to: &str) -> String {
    let letters = scene.mail.letters();
    let letter = letters.iter().rev().find(|letter| letter.contains(to));
    letter.unwrap_or_else(|| panic!("no letter to {to}")).clone()
}

const LAKSHMIS: &str = "lakshmi@mail.example";

async fn refusals(scene: &Scene) -> i64 {
    scene.clinic.count("select count(*) from consents where kind = 'service' and channel = 'email' and not granted and source = 'unsubscribe'").await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_click_ends_a_kind_of_e_mail_and_nothing_else() {
    let scene = Scene::new().await;
    by_mail_first(&scene, Value::Null, &["email", "sms"]).await;
    let first = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(first, "sent").await;
    let letter = letter_to(&scene, LAKSHMIS);
    assert!(letter.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"), "{letter}");
    assert!(letter.contains("No more such e-mails? One click:"), "{letter}");
    let path = way_out(&letter).unwrap();
    let anybody = scene.clinic.anybody();

    // Guards of mail programs look at every link.
    for method in [Method::GET, Method::HEAD, Method::GET] {
        let seen = anybody.send(anybody.raw(method.clone(), &path)).await.expect(200);
        assert_eq!(seen.text.contains("<form method=\"post\">"), method == Method::GET);
        assert!(!seen.text.contains("Lakshmi"), "it tells nobody's name: {}", seen.text);
    }
    assert_eq!(refusals(&scene).await, 0);
    for _ in 0..2 {
        let form = "application/x-www-form-urlencoded";
        let click = anybody.raw(Method::POST, &path).header("content-type", form);
        let click = click.body("List-Unsubscribe=One-Click");
        let done = anybody.send(click).await.expect(200);
        assert!(done.text.contains("Done."), "{}", done.text);
    }

    assert_eq!(refusals(&scene).await, 1);
    let all = "select count(*) from consents";
    assert_eq!(scene.clinic.count(all).await, 1);
    let log = "select count(*) from audit_log where action = 'consent.noted' and about_id is not null and account_id is null";
    assert_eq!(scene.clinic.count(log).await, 1);
    let second = scene.book(scene.clinic.patients[0], 1).await;
    scene.until_status(second, "sent").await;
    assert_eq!(scene.sms.sent_to(LAKSHMI).len(), 1, "the other way stays");
    scene.ask_for_code(&scene.clinic).await;
    until("a code comes all the same, and offers no way to stop codes", async || {
        let letters = scene.mail.letters();
        letters.iter().any(|letter| letter.contains(LAKSHMIS) && way_out(letter).is_none())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_made_up_or_is_another_clinics_does_nothing() {
    let scene = Scene::new().await;
    by_mail_first(&scene, Value::Null, &["email"]).await;
    let arogya = scene.platform.clinic("arogya").await;
    let booked = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(booked, "sent").await;
    let path = way_out(&letter_to(&scene, LAKSHMIS)).unwrap();
    let last = path.chars().next_back().unwrap();
    let other = if last == 'A' { 'B' } else { 'A' };
    let damaged = format!("{}{other}{last}", &path[..path.len() - 2]);

    for (clinic, path) in [
        (&scene.clinic, damaged.as_str()),
        (&scene.clinic, "/unsubscribe/x"),
        (&scene.clinic, "/unsubscribe/%FF%00"),
        (&arogya, path.as_str()),
    ] {
        let anybody = clinic.anybody();
        for method in [Method::GET, Method::POST] {
            anybody.send(anybody.raw(method, path)).await.expect(404);
        }
    }

    assert_eq!(scene.clinic.count("select count(*) from consents").await, 0);
    assert_eq!(arogya.count("select count(*) from consents").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domains_letters_are_signed_with_a_key_that_never_comes_out() {
    let scene = Scene::new().await;
    let email = |selector: &str| {
        json!({ "from": "Desk@Mail.Shanti.example",
        "dkim": { "domain": "shanti.example", "selector": selector } })
    };
    let set = by_mail_first(&scene, email("nadi1"), &["email"]).await;
    let record = set.body["state"]["email"]["dns_records"][0].clone();
    assert_eq!(record["type"], "TXT");
    assert_eq!(record["name"], "nadi1._domainkey.shanti.example");
    assert!(!set.text.contains("PRIVATE"), "{}", set.text);

    let booked = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(booked, "sent").await;

    let letter = letter_to(&scene, LAKSHMIS);
    let signature = dkim::verify(&letter, record["value"].as_str().unwrap()).expect(&letter);
    assert_eq!((&*signature.domain, &*signature.selector), ("shanti.example", "nadi1"));
    assert!(signature.signed.contains(&"list-unsubscribe".to_owned()));
    // The key stays with its name; another name has another key. One's own is taken as it is.
    let again = by_mail_first(&scene, email("nadi1"), &["email"]).await;
    assert_eq!(again.body["state"]["email"]["dns_records"][0], record);
    let other = by_mail_first(&scene, email("nadi2"), &["email"]).await;
    assert_ne!(other.body["state"]["email"]["dns_records"][0]["value"], record["value"]);
    let mut own = email("nadi3");
    let key = nadi::messaging::channels::dkim::PrivateKey::generate();
    own["dkim"]["private_key"] = json!(key.pem());
    let set = by_mail_first(&scene, own, &["email"]).await;
    assert_eq!(set.body["state"]["email"]["dns_records"][0]["value"], key.record());
    assert!(!set.text.contains("PRIVATE"), "{}", set.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_nobody_would_believe_is_refused_when_it_is_set() {
    let scene = Scene::new().await;
    let admin = scene.clinic.admin().await;
    for (email, pointers) in [
        (
            json!({ "dkim": { "domain": "shanti.example", "selector": "nadi" } }),
            vec!["/email/from"],
        ),
        (
            json!({ "from": "desk@evilshanti.example", "dkim": { "domain": "shanti.example", "selector": "nadi" } }),
            vec!["/email/from"],
        ),
        (
            json!({ "from": "desk@shanti.example", "bounce_domain": "shanti example",
                    "dkim": { "domain": "shanti", "selector": "a..b" } }),
            vec!["/email/dkim/domain", "/email/dkim/selector", "/email/bounce_domain"],
        ),
        (
            json!({ "from": "desk@shanti.example",
                    "dkim": { "domain": "shanti.example", "selector": "nadi", "private_key": "none" } }),
            vec!["/email/dkim/private_key"],
        ),
    ] {
        let mut wanted = settings(PHONE, TOKEN);
        wanted["email"] = email;
        let refused = admin.put("/settings/messaging", "*", &wanted).await.expect(422);
        let faults: Vec<String> = refused.faults().into_iter().map(|(at, _)| at).collect();
        for pointer in &pointers {
            assert!(faults.iter().any(|fault| fault == pointer), "{pointer} in {faults:?}");
        }
    }
}

/// What the mail server that gave up writes to a return path.
fn report(to: &str, recipient: &str, status: &str) -> Vec<u8> {
    format!(
        "From: MAILER-DAEMON@mx.example\r\nTo: <{to}>\r\nSubject: Undelivered Mail Returned to Sender\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
         Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {status}\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: Your appointment\r\n\r\nx\r\n--b--\r\n"
    )
    .into_bytes()
}

async fn bring_back(scene: &Scene, path: &str, raw: Vec<u8>) -> u16 {
    let anybody = scene.clinic.anybody();
    let request = anybody.raw(Method::POST, path).header("content-type", "message/rfc822");
    anybody.send(request.body(raw)).await.status.as_u16()
}

/// The way in for what comes back.
async fn with_returns(scene: &Scene) -> String {
    let email = json!({ "bounce_domain": "bounces.shanti.example" });
    let set = by_mail_first(scene, email, &["email", "sms"]).await;
    let url = set.body["state"]["email"]["bounce_url"].as_str().unwrap().to_owned();
    url.parse::<url::Url>().unwrap().path().to_owned()
}

fn return_path(scene: &Scene, to: &str) -> String {
    let accepted = scene.mail.accepted();
    accepted.iter().rev().find(|mail| mail.to == to).expect(to).from.clone()
}

async fn shunned(scene: &Scene) -> i64 {
    scene
        .clinic
        .count(
            "select count(*) from unreachable_addresses where channel = 'email' and until > now()",
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_comes_back_goes_by_the_next_channel_and_its_address_is_remembered() {
    let scene = Scene::new().await;
    let door = with_returns(&scene).await;
    let message = scene.book(scene.clinic.patients[0], 0).await;
    scene.until_status(message, "sent").await;
    let to = return_path(&scene, LAKSHMIS);
    assert!(to.starts_with("bounce+") && to.ends_with("@bounces.shanti.example"), "{to}");
    assert!(scene.sms.sent().is_empty());

    for _ in 0..3 {
        let raw = report(&to, LAKSHMIS, "5.1.1");
        assert_eq!(bring_back(&scene, &door, raw).await, 200);
    }

    until("the SMS is there", async || scene.sms.sent_to(LAKSHMI).len() == 1).await;
    scene.until_status(message, "sent").await;
    assert_eq!(shunned(&scene).await, 1);
    let said = "select count(*) from outbox_attempts where channel = 'email' and status = 'failed' and code = '5.1.1'";
    assert_eq!(scene.clinic.count(said).await, 1);
    assert_eq!(scene.clinic.count("select count(*) from inbound_events").await, 1);
    let letters = scene.mail.accepted().len();
    let second = scene.book(scene.clinic.patients[0], 1).await;
    scene.until_status(second, "sent").await;
    assert_eq!(scene.mail.accepted().len(), letters, "that address is left alone");
    assert_eq!(scene.sms.sent_to(LAKSHMI).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_full_three_times_in_a_week_is_left_alone_for_a_month() {
    let scene = Scene::new().await;
    let door = with_returns(&scene).await;
    for n in 0..3 {
        assert_eq!(shunned(&scene).await, 0, "after {n}");
        let message = scene.book(scene.clinic.patients[0], n).await;
        scene.until_status(message, "sent").await;
        let to = return_path(&scene, LAKSHMIS);

        let raw = report(&to, "LAKSHMI@mail.example", "5.2.2");
        assert_eq!(bring_back(&scene, &door, raw).await, 200);

        let came = n as usize + 1;
        until("the SMS is there", async || scene.sms.sent_to(LAKSHMI).len() == came).await;
    }

    assert_eq!(shunned(&scene).await, 1);
    let month = "select count(*) from unreachable_addresses where until between now() + interval '29 days' and now() + interval '31 days'";
    assert_eq!(scene.clinic.count(month).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forged_or_no_report_of_ours_changes_nothing() {
    let scene = Scene::new().await;
    let door = with_returns(&scene).await;
    let [lakshmi, prakash] = scene.clinic.patients;
    let (hers, his) = (scene.book(lakshmi, 0).await, scene.book(prakash, 1).await);
    scene.until_status(hers, "sent").await;
    scene.until_status(his, "sent").await;
    let to = return_path(&scene, LAKSHMIS);
    let (local, domain) = to.split_once('@').unwrap();
    let last = local.chars().next_back().unwrap();
    let forged =
        format!("{}{}@{domain}", &local[..local.len() - 1], if last == '0' { '1' } else { '0' });
    let good = || report(&to, LAKSHMIS, "5.1.1");
    let no_key = door.rsplit_once('/').unwrap().0;

    for (path, raw, status) in [
        (format!("{no_key}/guessed"), good(), 403),
        (format!("{no_key}/%20"), good(), 403),
        (door.clone(), report(&forged, LAKSHMIS, "5.1.1"), 403),
        // Her letter's path, to have his address shunned: it proves nothing of his.
        (door.clone(), report(&forged, "prakash@mail.example", "5.1.1"), 403),
        (door.clone(), report("postmaster@shanti.example", LAKSHMIS, "5.1.1"), 200),
        (door.clone(), report(&to, LAKSHMIS, "2.0.0"), 200),
        (door.clone(), b"\xff\x00 not a letter at all".to_vec(), 200),
        (door.clone(), Vec::new(), 200),
        (door.clone(), good()[..300].to_vec(), 200),
        (door.clone(), vec![b'a'; 2 << 20], 413),
    ] {
        let told = String::from_utf8_lossy(&raw[..raw.len().min(200)]).into_owned();
        assert_eq!(bring_back(&scene, &path, raw).await, status, "{path} {told}");
    }

    assert_eq!(scene.clinic.count("select count(*) from inbound_events").await, 0);
    assert_eq!(shunned(&scene).await, 0);
    assert!(scene.sms.sent().is_empty());
    // His address in a report of hers: it was her letter, and hers is the address that it proves.
    assert_eq!(bring_back(&scene, &door, report(&to, "prakash@mail.example", "5.1.1")).await, 200);
    until("hers is remembered", async || shunned(&scene).await == 1).await;
    let hers = "select count(*) from unreachable_addresses where address = 'lakshmi@mail.example'";
    assert_eq!(scene.clinic.count(hers).await, 1);
}
