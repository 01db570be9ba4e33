//! What a code is, for whom it is asked, and under which keyed hashes that is kept. Nothing here reads a database or a clock.

use chrono::NaiveDate;
use poem_openapi::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::crypto::{self, ClinicKeys};
use crate::http::fields::{self, Fault, Fields, Parser, Readable};
use crate::ids::CodeRequestId;
pub use crate::messaging::channels::Channel;
use crate::patients::{Gender, PatientRequest};

/// How long a code lives.
pub const LIFETIME_SECONDS: i64 = 300;
/// Guesses that a request stands.
pub const TRIES: i32 = 5;
/// A code with less than this to live is not sent again: it would come too late.
pub const TOO_SHORT_SECONDS: f64 = 30.0;

/// Seconds to wait before the same is sent once more, after it was sent so many times.
pub fn wait_after(sends: i32) -> i64 {
    match sends {
        ..=1 => 30,
        2 => 60,
        _ => 120,
    }
}

/// What a code is for. One made for something else does not open this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    SignIn,
    Register,
}

impl Purpose {
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::SignIn => "sign_in",
            Purpose::Register => "register",
        }
    }

    /// What its message is called in the outbox.
    pub fn message(self) -> String {
        format!("code.{}", self.as_str())
    }
}

/// What somebody says to be recognised by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identifier {
    /// E.164.
    Phone(String),
    Email(String),
}

impl Identifier {
    /// A national phone number is read by the clinic's country.
    pub fn parser(country: &str) -> impl Parser<Identifier> {
        let phone = fields::phone(country);
        move |value: Value| match value.as_str() {
            Some(text) if text.contains('@') => fields::email(value).map(Identifier::Email),
            Some(_) => phone(value).map(Identifier::Phone).map_err(|Fault(code, words)| {
                let bad = code == "invalid_format";
                Fault(
                    code,
                    if bad { "expected a phone number or an e-mail address".into() } else { words },
                )
            }),
            None => Err(Fault("wrong_type", "expected text".into())),
        }
    }

    pub fn phone(&self) -> Option<&str> {
        match self {
            Identifier::Phone(phone) => Some(phone),
            Identifier::Email(_) => None,
        }
    }

    /// The channels that can reach it, in the order in which they are tried.
    pub fn channels(&self) -> &'static [Channel] {
        match self {
            Identifier::Phone(_) => &[Channel::Whatsapp, Channel::Sms, Channel::Email],
            Identifier::Email(_) => &[Channel::Email],
        }
    }

    /// The keyed hash that limits count by; a device that signed in with it before is counted by itself.
    pub fn mac(&self, keys: &ClinicKeys, device: Option<&Uuid>) -> [u8; 32] {
        let said = match self {
            Identifier::Phone(phone) => format!("otp\0phone\0{phone}"),
            Identifier::Email(email) => format!("otp\0email\0{}", email.to_lowercase()),
        };
        let device = device.map(Uuid::to_string).unwrap_or_default();
        crypto::mac(&keys.blind_index, format!("{said}\0{device}").as_bytes())
    }

    /// The same for the block of ten thousand numbers that a number is of.
    pub fn prefix_mac(&self, keys: &ClinicKeys) -> Option<[u8; 32]> {
        let phone = self.phone()?;
        let block = &phone[..phone.len().saturating_sub(4)];
        Some(crypto::mac(&keys.blind_index, format!("otp\0prefix\0{block}").as_bytes()))
    }
}

/// Somebody who wants to become a patient here. The phone is what the code proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct RegisterRequest {
    pub full_name: String,
    /// E.164, or a national form of the clinic's country. The code goes there.
    pub phone: String,
    pub email: Option<String>,
    pub date_of_birth: Option<NaiveDate>,
    pub gender: Option<Gender>,
    /// ISO 639.
    pub language: Option<String>,
}

impl Readable for RegisterRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let country = fields.country().to_owned();
        let full_name = fields.required("full_name", fields::line(1, 200));
        let phone = fields.required("phone", fields::phone(&country));
        let email = fields.optional("email", fields::email);
        let date_of_birth = fields.optional("date_of_birth", fields::born(fields.today()));
        let gender = fields.optional("gender", fields::choice);
        let language = fields.optional("language", fields::language);
        Some(Self { full_name: full_name?, phone: phone?, email, date_of_birth, gender, language })
    }
}

impl RegisterRequest {
    /// The patient that this becomes.
    pub fn patient(&self) -> PatientRequest {
        PatientRequest {
            full_name: self.full_name.clone(),
            phone: Some(self.phone.clone()),
            email: self.email.clone(),
            date_of_birth: self.date_of_birth,
            gender: self.gender,
            language: self.language.clone(),
            address: None,
            notes: None,
        }
    }
}

/// What is sealed: the code, and for whom. Opened by whoever sends it and by the verb that it proves.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secret {
    pub code: String,
    pub identifier: Identifier,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registering: Option<RegisterRequest>,
}

impl Secret {
    pub fn seal(&self, keys: &ClinicKeys, place: &str) -> Vec<u8> {
        keys.fields.seal(place, &serde_json::to_vec(self).expect("plain fields always serialise"))
    }

    pub fn open(keys: &ClinicKeys, place: &str, sealed: &[u8]) -> Option<Self> {
        serde_json::from_slice(&keys.fields.open(place, sealed).ok()?).ok()
    }
}

/// Where a request's secret is bound to.
pub fn place(id: CodeRequestId) -> String {
    format!("otp_requests.payload:{id}")
}

/// What is kept of a code. Bound to its request and its purpose: the same digits are another code elsewhere.
pub fn code_mac(keys: &ClinicKeys, id: CodeRequestId, purpose: Purpose, code: &str) -> [u8; 32] {
    let said = format!("otp\0{id}\0{}\0{code}", purpose.as_str());
    crypto::mac(&keys.one_time_codes, said.as_bytes())
}

/// A number as a log may show it: `+91••••••3210`.
pub fn masked(phone: &str) -> String {
    let (start, end) = (phone.len().min(3), phone.len().saturating_sub(4));
    let end = end.max(start);
    let dots = "•".repeat(end - start);
    format!("{}{dots}{}", &phone[..start], phone.get(end..).unwrap_or_default())
}

/// The same name but for case and spaces.
pub fn same_name(one: &str, other: &str) -> bool {
    let folded =
        |name: &str| name.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ");
    folded(one) == folded(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::RootKey;
    use serde_json::json;

    #[test]
    fn an_identifier_is_a_phone_in_any_form_or_an_email() {
        let parse = Identifier::parser("IN");
        for text in ["+919847012345", "098470 12345", "98470-12345"] {
            assert_eq!(parse(json!(text)), Ok(Identifier::Phone("+919847012345".into())), "{text}");
        }
        let email = parse(json!("Lakshmi@mail.example")).unwrap();
        assert_eq!(email, Identifier::Email("Lakshmi@mail.example".into()));
        for bad in [json!("lakshmi"), json!("12"), json!("a@b"), json!(7)] {
            assert!(parse(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_code_is_bound_to_its_request_and_its_purpose() {
        let keys = ClinicKeys::derive(&RootKey::generate());
        let (one, other) = (CodeRequestId::new(), CodeRequestId::new());

        let macs = [
            code_mac(&keys, one, Purpose::SignIn, "000000"),
            code_mac(&keys, other, Purpose::SignIn, "000000"),
            code_mac(&keys, one, Purpose::Register, "000000"),
            code_mac(&ClinicKeys::derive(&RootKey::generate()), one, Purpose::SignIn, "000000"),
        ];

        for (i, mac) in macs.iter().enumerate() {
            assert!(macs[i + 1..].iter().all(|other| other != mac));
        }
    }

    #[test]
    fn an_email_counts_without_case_and_a_device_by_itself() {
        let keys = ClinicKeys::derive(&RootKey::generate());
        let email = |text: &str| Identifier::Email(text.into()).mac(&keys, None);
        assert_eq!(email("A@b.example"), email("a@B.EXAMPLE"));
        let device = crate::ids::new_uuid();
        assert_ne!(
            Identifier::Email("a@b.example".into()).mac(&keys, Some(&device)),
            email("a@b.example")
        );
    }

    #[test]
    fn a_log_shows_four_digits() {
        assert_eq!(masked("+919876543210"), "+91••••••3210");
        assert_eq!(masked("+1"), "+1");
    }

    #[test]
    fn names_are_the_same_but_for_case_and_spaces() {
        assert!(same_name("Lakshmi  Menon", "lakshmi menon"));
        assert!(!same_name("Lakshmi Menon", "Lakshmi Nair"));
    }

    #[test]
    fn codes_have_six_digits_and_use_them_all() {
        let codes: Vec<String> = (0..2000).map(|_| crypto::random_code()).collect();
        assert!(
            codes.iter().all(|code| code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()))
        );
        for digit in '0'..='9' {
            assert!(codes.iter().any(|code| code.starts_with(digit)), "none begins with {digit}");
        }
    }
}
