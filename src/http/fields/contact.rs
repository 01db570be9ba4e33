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
        let number = number.format().mode(phonenumber::Mode::E164).to_string();
        // What a country's own plan allows, E.164 does not always: 15 digits in all, and nothing real has fewer than 7.
        let digits = number.len() - 1;
        (7..=15).contains(&digits).then_some(number).ok_or_else(bad)
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

/// A country by its ISO 3166 code: two letters.
pub fn country(value: Value) -> Result<String, Fault> {
    let text = checked(string(value)?, false, 2, 2)?;
    if text.parse::<phonenumber::country::Id>().is_err() {
        return Err(Fault("unknown_value", "expected a country code such as IN".into()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_number_has_as_many_digits_as_e164_allows() {
        for (country, given, kept) in [
            ("IN", "098470 12345", Some("+919847012345")),
            ("", "+91 98470 12345", Some("+919847012345")),
            ("DE", "+49 30 1234567890", Some("+49301234567890")),
            ("DE", "+49301234567890123", None),
            ("", "+2901234567890123", None),
        ] {
            assert_eq!(phone(country)(json!(given)).ok().as_deref(), kept, "{given}");
        }
    }
}
