//! Letters that are signed: as receivers check them, and not one letter otherwise.

use nadi::messaging::channels::dkim::{PrivateKey, Signer};
use nadi::messaging::channels::email::{File, Unsubscribe, compose};

use super::email::letter;
use crate::support::dkim::verify;

#[test]
fn a_signature_holds_for_all_that_matters_and_for_no_other_letter() {
    let key = PrivateKey::generate();
    let record = key.record();
    let mut outgoing = letter();
    outgoing.content.signer = Some(Signer::new("nadi", "nadi.health", &key).into());
    outgoing.content.reply_to = Some("desk@shanti.nadi.health".into());
    outgoing.content.subject =
        "आपकी अपॉइंटमेंट, जो बहुत दिनों से आपके डॉक्टर के साथ तय थी, अब बदल गई है".into();
    outgoing.content.text = "Dear  Lakshmi,\n\n.a line with a dot\n  trailing \t\n\n\n".into();
    let url = "https://shanti.nadi.health/unsubscribe/token".parse().unwrap();
    outgoing.content.unsubscribe = Some(Unsubscribe { url, mailto: None });
    outgoing.content.files = vec![File {
        name: "receipt.pdf".into(),
        mime: "application/pdf".into(),
        bytes: vec![0; 3000],
    }];

    let letter = String::from_utf8(compose(&outgoing).unwrap().formatted()).unwrap();

    let signature = verify(&letter, &record).expect(&letter);
    assert_eq!((&*signature.domain, &*signature.selector), ("nadi.health", "nadi"));
    for name in [
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "mime-version",
        "content-type",
        "reply-to",
        "list-unsubscribe",
        "list-unsubscribe-post",
    ] {
        let twice = ["from", "subject"].contains(&name);
        let count = signature.signed.iter().filter(|signed| *signed == name).count();
        assert_eq!(count, if twice { 2 } else { 1 }, "{name}");
        assert!(
            letter.to_lowercase().contains(&format!("\r\n{name}: "))
                || letter.to_lowercase().starts_with(name),
            "{name} is there: {letter}"
        );
    }
    let begins = letter.find("\r\n\r\n").unwrap() + 4;
    // Blanks may come and go on the way, but nothing else.
    for (at, _) in letter
        .char_indices()
        .filter(|(at, c)| *at >= begins && c.is_ascii_alphanumeric())
        .step_by(37)
    {
        let mut other = letter.clone().into_bytes();
        other[at] = if other[at] == b'x' { b'y' } else { b'x' };
        let other = String::from_utf8(other).unwrap();
        assert_eq!(verify(&other, &record).unwrap_err(), "the body is another", "byte {at}");
    }
    for (from, to) in [
        ("From: ", "From: Bank <bank@evil.example>\r\nX-From: "),
        ("Subject: ", "Subject: Pay at once\r\nX-Subject: "),
        ("Content-Type: multipart/mixed", "Content-Type: multipart/x-mixed"),
        ("token>", "another>"),
        ("Reply-To: desk@", "Reply-To: thief@"),
    ] {
        let other = letter.replacen(from, to, 1);
        assert_ne!(other, letter, "{from}");
        assert_eq!(verify(&other, &record).unwrap_err(), "the signature does not hold", "{from}");
    }
    for added in ["From: Bank <bank@evil.example>\r\n", "Subject: Pay at once\r\n"] {
        for other in [
            format!("{added}{letter}"),
            letter.replacen("\r\n\r\n", &format!("\r\n{added}\r\n"), 1),
        ] {
            assert_eq!(
                verify(&other, &record).unwrap_err(),
                "the signature does not hold",
                "{added}"
            );
        }
    }
    let elsewhere = PrivateKey::generate().record();
    assert_eq!(verify(&letter, &elsewhere).unwrap_err(), "the signature does not hold");
}
