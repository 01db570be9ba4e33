//! Texts that operators know to the letter.

use std::collections::HashMap;

use chrono_tz::Asia::Kolkata;
use nadi::messaging::channels::Channel;
use nadi::messaging::facts::Values;
use nadi::messaging::kind::Kind;
use nadi::messaging::templates::check::{Draft, Setting, check};
use nadi::messaging::templates::template::{DltTemplate, Registered, Template};
use nadi::messaging::templates::{Book, Language, Said, WordsError};
use secrecy::ExposeSecret;

use super::{facts, https};

const BODY: &str = "{code} is your code at Shanti. Valid for {minutes} min.\n\n@{host} #{code}";
const REGISTERED: &str =
    "{#var#} is your code at Shanti. Valid for {#numeric#} min.\n\n@shanti.nadi.health #{#var#}";

fn dlt(text: &str) -> Registered {
    let dlt = DltTemplate {
        pe_id: "1101234567890123456".into(),
        header: "SHANTI".into(),
        dlt_template_id: "1107161234567890123".into(),
        template_id: Some("64f0a1b2".into()),
        text: text.into(),
        variables: vec!["otp".into(), "minutes".into(), "again".into()],
    };
    Registered { whatsapp: None, dlt: Some(dlt) }
}

fn checked(registered: &str) -> Result<Template, Vec<String>> {
    let draft = Draft { subject: String::new(), body: BODY.into(), provider: dlt(registered) };
    let key = (Kind::SignInCode, Channel::Sms, Language::En);
    let setting = Setting { about: &https(), zone: Kolkata, in_india: true, specialties: &[] };
    match check(key, &draft, &setting) {
        Ok(checked) => {
            assert_eq!(checked.warnings, [], "registered, and with a line for browsers");
            Ok(checked.template)
        }
        Err(faults) => Err(faults.into_iter().map(|fault| fault.code.to_owned()).collect()),
    }
}

fn book(template: Template) -> Book {
    let key = (Kind::SignInCode, Channel::Sms, Language::En);
    Book::new(https(), HashMap::from([(key, Ok(template))]))
}

#[test]
fn what_is_sent_is_the_registered_text() {
    let book = book(checked(REGISTERED).unwrap());

    let words = book.words(&facts(Kind::SignInCode, Language::En), Channel::Sms, Language::En);

    let Said::Sms { text, .. } = words.unwrap().said else { panic!("an SMS") };
    assert_eq!(
        text.text.expose_secret(),
        "482913 is your code at Shanti. Valid for 5 min.\n\n@shanti.nadi.health #482913"
    );
    assert_eq!(text.template_id.as_deref(), Some("64f0a1b2"));
    assert_eq!(text.dlt_template_id.as_deref(), Some("1107161234567890123"));
    let variables: Vec<(&str, &str)> =
        text.variables.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    assert_eq!(variables, [("otp", "482913"), ("minutes", "5"), ("again", "482913")]);
}

#[test]
fn a_text_that_differs_by_a_character_is_refused_when_it_is_saved() {
    for wrong in [
        REGISTERED.replace("min.", "min"),
        REGISTERED.replace("Shanti", "shanti"),
        REGISTERED.replace(". V", ".  V"),
        REGISTERED.replace("\n\n", "\n"),
        REGISTERED.replace("@shanti", "@arogya"),
        REGISTERED.replace("{#numeric#}", "5"),
    ] {
        assert_eq!(checked(&wrong).unwrap_err(), ["does_not_match"], "{wrong}");
    }
}

#[test]
fn what_does_not_match_when_it_is_sent_is_not_sent() {
    let mut template = checked(REGISTERED).unwrap();
    template.provider = dlt(&REGISTERED.replace("min.", "minutes.")); // somebody wrote into the table
    let refused = book(template)
        .words(&facts(Kind::SignInCode, Language::En), Channel::Sms, Language::En)
        .err();
    assert_eq!(refused, Some(WordsError::NotAsRegistered));

    let mut facts = facts(Kind::SignInCode, Language::En);
    let Values::Code { code, .. } = &mut facts.values else { panic!("a code") };
    *code = "9".repeat(31).into();
    let book = book(checked(REGISTERED).unwrap());
    let refused = book.words(&facts, Channel::Sms, Language::En).err();
    assert_eq!(refused, Some(WordsError::TooLong("code")), "a code is never cut");
}

#[test]
fn a_template_that_its_provider_refuses_is_not_used() {
    let mut template = checked(REGISTERED).unwrap();
    template.disabled = Some("132001".into());

    let refused =
        book(template).words(&facts(Kind::SignInCode, Language::En), Channel::Sms, Language::En);

    assert_eq!(refused.err(), Some(WordsError::Disabled("132001".into())));
}
