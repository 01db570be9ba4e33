//! The product's words. A person reads the snapshots; the rules are for the machine.

use std::collections::HashMap;
use std::fmt::Write;

use nadi::messaging::channels::sms::segments::{MANY_SEGMENTS, TOO_MANY_SEGMENTS};
use nadi::messaging::channels::whatsapp::Content;
use nadi::messaging::channels::{Channel, Lane, Outgoing, email};
use nadi::messaging::facts::Values;
use nadi::messaging::kind::Kind;
use nadi::messaging::templates::{About, Book, Language, Said, WordsError};
use secrecy::ExposeSecret;

use super::{book, everything, facts, https};

#[test]
fn the_words_of_every_message_as_a_person_reads_them() {
    for language in Language::ALL {
        let mut shown = String::new();
        for (kind, channel, _) in everything().filter(|key| key.2 == language) {
            let words = book().words(&facts(kind, language), channel, language).unwrap();
            writeln!(shown, "── {} by {} ──", kind.as_str(), channel.as_str()).unwrap();
            match &words.said {
                Said::Sms { measured, .. } => writeln!(
                    shown,
                    "[{} in {}, {} segments]",
                    measured.units,
                    measured.encoding.as_str(),
                    measured.segments
                ),
                Said::Email(_) => writeln!(shown, "[{}]", words.subject),
                Said::Whatsapp(Content::Template { name, parameters, .. }) => {
                    writeln!(shown, "[{name}: {}]", parameters.join(" | "))
                }
                Said::Whatsapp(_) => writeln!(shown, "[a code]"),
            }
            .unwrap();
            writeln!(shown, "{}\n", words.text.expose_secret()).unwrap();
        }
        insta::assert_snapshot!(language.as_str(), shown);
    }
}

#[test]
fn every_message_keeps_to_the_rules_of_its_channel() {
    for (kind, channel, language) in everything() {
        let here = format!("{} by {} in {}", kind.as_str(), channel.as_str(), language.as_str());
        let facts = facts(kind, language);
        let words = book().words(&facts, channel, language).unwrap();
        let text = words.text.expose_secret();

        assert!(
            !text.contains(['{', '}']) && !words.subject.contains(['{', '}']),
            "{here}: {text}"
        );
        match &facts.values {
            Values::Code { .. } => {
                let at = text.find("482913").map(|at| text[..at].chars().count());
                assert!(at.is_some_and(|at| at + 6 <= 40), "{here}: {text}");
                assert!(!words.subject.contains("482913"), "{here}");
            }
            Values::Link { .. } => {
                assert!(text.contains("\nhttps://shanti.nadi.health/"), "{here}")
            }
            Values::Visit(_) | Values::Offer { .. } | Values::Notice { .. } => {
                assert!(text.contains("10:30"), "{here}: {text}")
            }
        }
        if !kind.is_code() {
            assert!(text.contains(facts.recipient.given_name().unwrap()), "{here}: {text}");
        }
        match &words.said {
            Said::Whatsapp(Content::Code { template, language: code, .. }) => {
                assert_eq!((template.as_str(), code.as_str()), ("nadi_otp", language.as_str()));
                assert!(kind.is_code(), "{here}");
            }
            Said::Whatsapp(Content::Template { parameters, .. }) => {
                assert!(!kind.is_code() && text.chars().count() <= 1024, "{here}");
                assert!(parameters.iter().all(|value| text.contains(value)), "{here}");
            }
            Said::Whatsapp(_) => panic!("{here}: neither a code nor a template"),
            Said::Sms { text: sms, measured } => {
                assert_eq!(sms.text.expose_secret(), text);
                // What is answered by a link has to carry it.
                let most =
                    if text.contains("/respond/") { TOO_MANY_SEGMENTS } else { MANY_SEGMENTS };
                assert!(measured.segments <= most, "{here}: {measured:?} {text}");
            }
            Said::Email(letter) => {
                assert!((1..=150).contains(&letter.subject.chars().count()), "{here}");
                for secret in ["482913", "token", "Varma", "वर्मा", "कुलकर्णी", "വർമ്മ"]
                {
                    assert!(!letter.subject.contains(secret), "{here}: {}", letter.subject);
                }
                assert_eq!(letter.from.1, "no-reply@shanti.nadi.health");
            }
        }
        let is_of_the_script = |letter: char| match language {
            Language::En => letter.is_ascii_alphabetic(),
            Language::Hi | Language::Mr => ('\u{900}'..='\u{97f}').contains(&letter),
            Language::Ml => ('\u{d00}'..='\u{d7f}').contains(&letter),
        };
        let most = text.chars().filter(|letter| is_of_the_script(*letter)).count();
        assert!(most * 3 > text.chars().filter(|letter| letter.is_alphabetic()).count(), "{here}");
    }
}

#[test]
fn hindi_and_marathi_are_two_languages() {
    for kind in Kind::ALL {
        let said = |language| {
            let words = book().words(&facts(kind, Language::Hi), Channel::Email, language).unwrap();
            words.text.expose_secret().to_owned()
        };

        assert_ne!(said(Language::Hi), said(Language::Mr), "{}", kind.as_str());
    }
}

#[test]
fn a_browser_finds_the_code_in_the_last_line_on_https_alone() {
    let plain = About::new("Shanti", "en", "http://shanti.localhost:8088");
    for kind in [Kind::SignInCode, Kind::RegisterCode] {
        for language in Language::ALL {
            let facts = facts(kind, language);
            let said = |about| {
                let book = Book::new(about, HashMap::new());
                let words = book.words(&facts, Channel::Sms, language).unwrap();
                words.text.expose_secret().to_owned()
            };

            assert_eq!(said(https()).lines().last(), Some("@shanti.nadi.health #482913"));
            assert!(!said(plain.clone()).contains(['@', '#']));
        }
    }
}

#[test]
fn a_link_that_opens_an_account_goes_by_e_mail_alone() {
    for kind in [Kind::Invited, Kind::PasswordReset, Kind::EmailVerification] {
        for channel in [Channel::Whatsapp, Channel::Sms] {
            let refused = book().words(&facts(kind, Language::En), channel, Language::En);
            assert_eq!(refused.err(), Some(WordsError::NotByThisChannel(channel)));
        }
    }
}

#[test]
fn what_is_not_known_is_not_spoken_of() {
    let mut facts = facts(Kind::Booked, Language::En);
    let Values::Visit(visit) = &mut facts.values else { panic!("a visit") };
    (visit.phone, visit.address, visit.respond_url) = (None, String::new(), None);

    let words = book().words(&facts, Channel::Email, Language::En).unwrap();

    let text = words.text.expose_secret();
    assert!(!text.contains("call us") && text.ends_with("MG Road\n\nShanti Ayurveda"), "{text}");

    let mut family = super::facts(Kind::SignInCode, Language::En);
    family.recipient.name.clear(); // several share the phone
    let words = book().words(&family, Channel::Email, Language::En).unwrap();
    assert!(!words.text.expose_secret().contains("Dear"));

    let mut nameless = super::facts(Kind::Booked, Language::En);
    nameless.recipient.name.clear();
    let refused = book().words(&nameless, Channel::Email, Language::En);
    assert_eq!(refused.err(), Some(WordsError::NoValue("given_name")));
}

#[test]
fn every_letter_can_be_put_together_with_both_its_forms() {
    for (kind, channel, language) in everything().filter(|key| key.1 == Channel::Email) {
        let Said::Email(letter) =
            book().words(&facts(kind, language), channel, language).unwrap().said
        else {
            panic!("a letter");
        };
        assert!(letter.html.contains(&format!("<html lang=\"{}\">", language.as_str())));
        let outgoing = Outgoing {
            clinic_id: nadi::ids::ClinicId(nadi::ids::new_uuid()),
            message_id: nadi::ids::MessageId(nadi::ids::new_uuid()),
            to: "lakshmi@mail.example".into(),
            lane: Lane::Others,
            time_left: std::time::Duration::from_secs(60),
            content: *letter,
        };

        email::compose(&outgoing).unwrap();
    }
}
