//! How somebody is reached: addresses, numbers, languages.

use serde_json::Value;

use super::text::{checked, string};
use super::{Fault, Parser};

/// An e-mail address, one that a mail server would take. Compared without case; kept as given.
pub fn email(value: Value) -> Result<String, Fault> {
    let text = checked(string(value)?, false, 1, 254)?;
    let domain_has_dot = text.rsplit_once('@').is_some_and(|(_, domain)| domain.contains('.'));
    match text.parse::<lettre::Address>() {
        Ok(_) if domain_has_dot => Ok(text),
        _ => Err(Fault("invalid_format", "expected an e-mail address".into())),
    }
}

/// A phone number, kept as E.164. A national form is read by the clinic's country (ISO 3166, two letters).
pub fn phone(country: &str) -> impl Parser<String> {
    let country = country.parse::<phonenumber::country::Id>().ok();
    move |value| {
        let text = checked(string(value)?, false, 1, 32)?;
        let bad =
            || Fault("invalid_format", "expected a phone number, best as +919876543210".into());
        let number = phonenumber::parse(country, &text).map_err(|_| bad())?;
        if !number.is_valid() {
            return Err(bad());
        }
        Ok(number.format().mode(phonenumber::Mode::E164).to_string())
    }
}

/// A language by its ISO 639 code.
pub fn language(value: Value) -> Result<String, Fault> {
    let text = string(value)?;
    let good = (2..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase());
    good.then_some(text).ok_or_else(|| {
        Fault("invalid_format", "expected a language code such as en, hi, ml".into())
    })
}
