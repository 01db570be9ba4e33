//! What a patient is, and how somebody at the desk looks for one.

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use crate::http::fields::{self, Fields, Readable};
use crate::ids::PatientId;
use crate::time::shown;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, Enum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum Gender {
    Female,
    Male,
    Other,
    Undisclosed,
}

impl Gender {
    pub fn as_str(self) -> &'static str {
        match self {
            Gender::Female => "female",
            Gender::Male => "male",
            Gender::Other => "other",
            Gender::Undisclosed => "undisclosed",
        }
    }
}

/// A patient as the API shows one.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct PatientView {
    pub id: PatientId,
    /// The clinic's own short number: `P-000042`.
    pub number: String,
    pub full_name: String,
    /// E.164.
    pub phone: Option<String>,
    pub email: Option<String>,
    pub date_of_birth: Option<NaiveDate>,
    pub gender: Option<Gender>,
    /// ISO 639.
    pub language: Option<String>,
    pub address: String,
    /// The desk's. Not for the patient's eyes.
    pub notes: String,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub updated_at: DateTime<Utc>,
    #[serde(skip)]
    #[oai(skip)]
    pub version: i64,
}

/// What a caller may say of a patient; only the name must be there.
#[derive(Clone, Debug, Object)]
pub struct PatientRequest {
    pub full_name: String,
    /// E.164, or a national form of the clinic's country.
    pub phone: Option<String>,
    pub email: Option<String>,
    pub date_of_birth: Option<NaiveDate>,
    pub gender: Option<Gender>,
    pub language: Option<String>,
    pub address: Option<String>,
    pub notes: Option<String>,
}

impl PatientView {
    /// What a patient sees of his own record: the desk's notes are the desk's.
    pub fn for_patients(self) -> Self {
        Self { notes: String::new(), ..self }
    }
}

/// What a patient's own record says that he cannot change himself: codes and letters go there, so the desk looks at who
/// asks; and the notes are the desk's.
pub const KEPT_FROM_PATIENTS: &[&str] = &["phone", "email", "notes"];

impl Readable for PatientRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let full_name = fields.required("full_name", fields::line(1, 200));
        let country = fields.country().to_owned();
        let patient = Self {
            full_name: String::new(),
            phone: fields.optional("phone", fields::phone(&country)),
            email: fields.optional("email", fields::email),
            date_of_birth: fields.optional("date_of_birth", fields::born(fields.today())),
            gender: fields.optional("gender", fields::choice),
            language: fields.optional("language", fields::language),
            address: fields.optional("address", fields::prose(500)),
            notes: fields.optional("notes", fields::prose(4000)),
        };
        Some(Self { full_name: full_name?, ..patient })
    }
}

/// What somebody types into the search box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// `P-42`, `p-000042`
    Number(String),
    /// Digits of a phone number, as many as are known.
    Phone(String),
    /// Part of a name, slips included.
    Name(String),
}

impl Search {
    pub fn of(text: &str) -> Self {
        let text = text.trim();
        if let Some(digits) = text.strip_prefix(['p', 'P']).map(|rest| rest.trim_start_matches('-'))
            && !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
        {
            return Self::Number(format!("P-{:0>6}", digits.trim_start_matches('0')));
        }
        let is_phone = text
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | ' ' | '(' | ')' | '.'));
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let digits = digits.trim_start_matches('0'); // a national form's; E.164 has none there
        if is_phone && digits.len() >= 3 {
            return Self::Phone(digits.to_owned());
        }
        Self::Name(text.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_box_knows_numbers_phones_and_names() {
        assert_eq!(Search::of("p-42"), Search::Number("P-000042".into()));
        assert_eq!(Search::of("P-0000042"), Search::Number("P-000042".into()));
        assert_eq!(Search::of("098765 43210"), Search::Phone("9876543210".into()));
        assert_eq!(Search::of("+91 98765"), Search::Phone("9198765".into()));
        assert_eq!(Search::of("Prakash"), Search::Name("prakash".into()));
        assert_eq!(Search::of("ലക്ഷ്മി"), Search::Name("ലക്ഷ്മി".into()));
        assert_eq!(Search::of("42"), Search::Name("42".into()));
        assert_eq!(Search::of("0000"), Search::Name("0000".into()));
    }
}
