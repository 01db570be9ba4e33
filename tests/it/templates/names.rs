//! Names are what people type. Whatever they hold, a message stays the message.

use std::collections::HashMap;

use nadi::messaging::channels::sms::segments::LONGEST_VARIABLE;
use nadi::messaging::channels::whatsapp::Content;
use nadi::messaging::channels::{Channel, Lane, Outgoing, email};
use nadi::messaging::facts::{Facts, Values};
use nadi::messaging::kind::Kind;
use nadi::messaging::templates::{About, Book, Language, Said};
use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::{book, everything, facts};

/// A visit in which everybody is called so.
fn called(name: &str, kind: Kind) -> Facts {
    let mut facts = facts(kind, Language::En);
    facts.recipient.name = name.to_owned();
    if let Values::Visit(visit) = &mut facts.values {
        visit.patient = name.to_owned();
        visit.doctor = name.to_owned();
        visit.location = name.to_owned();
        visit.address = name.to_owned();
    }
    facts
}

#[test]
fn a_name_is_neither_a_placeholder_nor_a_line_nor_a_page() {
    let name = "{number}\n\r\n<b>Anand</b>\u{202e}\u{7} &";

    let words = book().words(&called(name, Kind::Booked), Channel::Email, Language::En).unwrap();

    let text = words.text.expose_secret();
    assert!(text.starts_with("Dear {number},\n\n"), "{text}");
    assert!(text.contains("with {number} <b>Anand</b> & is booked"), "{text}");
    let Said::Email(letter) = words.said else { panic!("a letter") };
    assert!(letter.html.contains("{number} &lt;b&gt;Anand&lt;/b&gt; &amp; is booked"));
    assert!(!letter.html.contains("<b>"));
}

#[test]
fn a_long_name_is_cut_and_a_subject_keeps_its_length() {
    let clinic = "ശാന്തി ആയുർവേദ ".repeat(30);
    let book = Book::new(About::new(&clinic, "ml", "https://shanti.nadi.health"), HashMap::new());
    for (kind, channel, language) in everything() {
        let words = book.words(&called(&clinic, kind), channel, language).unwrap();

        assert!(words.subject.chars().count() <= 200);
        match words.said {
            Said::Sms { text, measured } => {
                assert!(measured.segments <= 4, "{}: {measured:?}", kind.as_str());
                for (name, value) in &text.variables {
                    let value = value.expose_secret();
                    if value.starts_with("https://") {
                        continue; // whole or of no use
                    }
                    let units = value.encode_utf16().count();
                    assert!((1..=LONGEST_VARIABLE).contains(&units), "{name} has {units}");
                }
            }
            Said::Whatsapp(_) => assert!(words.text.expose_secret().chars().count() <= 1024),
            Said::Email(_) => {}
        }
    }
}

proptest! {
    #[test]
    fn whatever_people_are_called_a_message_keeps_its_lines_and_can_be_sent(
        name in proptest::string::string_regex("[\\x00-\\x20{}<>&\\PC\u{202e}\u{2028}]{0,40}").unwrap(),
    ) {
        let facts = called(&format!("Asha {name}"), Kind::Booked);
        let plain = called("Asha Nair", Kind::Booked);
        for channel in Channel::ALL {
            let words = book().words(&facts, channel, Language::En).unwrap();
            let lines = |words: &nadi::messaging::templates::Words| {
                words.text.expose_secret().lines().count()
            };
            let expected = book().words(&plain, channel, Language::En).unwrap();
            prop_assert_eq!(lines(&words), lines(&expected));
            match words.said {
                Said::Whatsapp(Content::Template { parameters, .. }) => {
                    prop_assert!(parameters.iter().all(|value| !value.contains(char::is_control)));
                }
                Said::Email(letter) => {
                    let tags = |html: &str| html.matches('<').count();
                    let Said::Email(of_plain) = expected.said else { panic!("a letter") };
                    prop_assert_eq!(tags(&letter.html), tags(&of_plain.html));
                    let outgoing = Outgoing {
                        clinic_id: nadi::ids::ClinicId(nadi::ids::new_uuid()),
                        message_id: nadi::ids::MessageId(nadi::ids::new_uuid()),
                        to: "lakshmi@mail.example".into(),
                        lane: Lane::Others,
                        time_left: std::time::Duration::from_secs(60),
                        content: *letter,
                    };
                    prop_assert!(email::compose(&outgoing).is_ok());
                }
                _ => {}
            }
        }
    }
}
