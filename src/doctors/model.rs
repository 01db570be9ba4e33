//! What a doctor's profile is.

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use serde::Serialize;

use crate::http::fields::{self, Fields, Readable};
use crate::ids::DoctorId;
use crate::money::Money;
use crate::staff::{self, AccountStatus};
use crate::time::shown;

const DEFAULT_SLOT_MINUTES: i64 = 15;
const DEFAULT_CAPACITY: i64 = 1;

/// What makes a member of staff a doctor.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct Profile {
    /// With the medical council.
    pub registration_number: String,
    /// `BAMS, MD (Kayachikitsa)`
    pub qualification: String,
    pub specialties: Vec<String>,
    /// ISO 639.
    pub languages: Vec<String>,
    pub fee: Option<Money>,
    /// How long a visit is unless said otherwise: 5 to 240.
    pub slot_minutes: i32,
    /// Patients at one time: 1 to 50.
    pub capacity: i16,
    /// Visits a day: 1 to 500. Null: as the clinic's rules say.
    pub max_per_day: Option<i32>,
}

impl Profile {
    /// The fields that differ, by name.
    pub fn changes_to(&self, after: &Profile) -> Vec<&'static str> {
        [
            ("registration_number", self.registration_number != after.registration_number),
            ("qualification", self.qualification != after.qualification),
            ("specialties", self.specialties != after.specialties),
            ("languages", self.languages != after.languages),
            ("fee", self.fee != after.fee),
            ("slot_minutes", self.slot_minutes != after.slot_minutes),
            ("capacity", self.capacity != after.capacity),
            ("max_per_day", self.max_per_day != after.max_per_day),
        ]
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect()
    }
}

/// A doctor as the API shows one.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct DoctorView {
    /// The same as of the account (`/users/{id}`).
    pub id: DoctorId,
    pub full_name: String,
    /// Not for patients' eyes.
    pub email: Option<String>,
    /// Not for patients' eyes.
    pub phone: Option<String>,
    pub status: AccountStatus,
    #[serde(flatten)]
    #[oai(flatten)]
    pub profile: Profile,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub updated_at: DateTime<Utc>,
    #[serde(skip)]
    #[oai(skip)]
    pub version: i64,
}

impl DoctorView {
    /// What the public may know.
    pub fn for_patients(self) -> Self {
        Self { email: None, phone: None, ..self }
    }
}

/// A new doctor, and the way in when no mail can carry it.
#[derive(Debug, Serialize, Object)]
pub struct InvitedDoctorView {
    #[serde(flatten)]
    #[oai(flatten)]
    pub doctor: DoctorView,
    /// Shown once, and only while the clinic has no mail provider: pass it on to whom it is for. Good for 72 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub set_password_url: Option<String>,
}

/// What a caller may say of a profile. What is left out takes its default.
#[derive(Clone, Debug, Object)]
pub struct ProfileRequest {
    pub registration_number: Option<String>,
    pub qualification: Option<String>,
    #[oai(default)]
    pub specialties: Vec<String>,
    /// ISO 639.
    #[oai(default)]
    pub languages: Vec<String>,
    pub fee: Option<Money>,
    /// 5 to 240; 15 unless given.
    pub slot_minutes: Option<i64>,
    /// Patients at one time: 1 to 50; 1 unless given.
    pub capacity: Option<i64>,
    /// Visits a day: 1 to 500; as the clinic's rules say unless given.
    pub max_per_day: Option<i64>,
}

impl Readable for ProfileRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            registration_number: fields.optional("registration_number", fields::line(0, 100)),
            qualification: fields.optional("qualification", fields::line(0, 200)),
            specialties: fields.list("specialties", 20, fields::line(1, 100)).unwrap_or_default(),
            languages: fields.list("languages", 20, fields::language).unwrap_or_default(),
            fee: fields.optional_object("fee"),
            slot_minutes: fields.optional("slot_minutes", fields::integer(5, 240)),
            capacity: fields.optional("capacity", fields::integer(1, 50)),
            max_per_day: fields.optional("max_per_day", fields::integer(1, 500)),
        })
    }
}

impl From<ProfileRequest> for Profile {
    fn from(new: ProfileRequest) -> Self {
        Self {
            registration_number: new.registration_number.unwrap_or_default(),
            qualification: new.qualification.unwrap_or_default(),
            specialties: new.specialties,
            languages: new.languages,
            fee: new.fee,
            slot_minutes: new.slot_minutes.unwrap_or(DEFAULT_SLOT_MINUTES) as i32,
            capacity: new.capacity.unwrap_or(DEFAULT_CAPACITY) as i16,
            max_per_day: new.max_per_day.map(|most| most as i32),
        }
    }
}

/// A doctor who comes to work here: account and profile in one.
#[derive(Clone, Debug, Object)]
pub struct NewDoctor {
    pub full_name: String,
    /// Signs in with it: no other member of staff has the same.
    pub email: String,
    /// E.164, or a national form of the clinic's country.
    pub phone: Option<String>,
    #[oai(flatten)]
    pub profile: ProfileRequest,
}

impl Readable for NewDoctor {
    fn read(fields: &mut Fields) -> Option<Self> {
        let country = fields.country().to_owned();
        let full_name = fields.required("full_name", fields::line(1, 200));
        let email = fields.required("email", fields::email);
        let phone = fields.optional("phone", fields::phone(&country));
        let profile = ProfileRequest::read(fields);
        Some(Self { full_name: full_name?, email: email?, phone, profile: profile? })
    }
}

/// What an admin may say of a doctor who is here.
#[derive(Clone, Debug, Object)]
pub struct DoctorRequest {
    pub full_name: String,
    /// Left as it is unless given: nobody on the staff is without one.
    pub email: Option<String>,
    /// E.164, or a national form of the clinic's country.
    pub phone: Option<String>,
    #[oai(flatten)]
    pub profile: ProfileRequest,
}

impl Readable for DoctorRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let country = fields.country().to_owned();
        let full_name = fields.required("full_name", fields::line(1, 200));
        let email = fields.optional("email", fields::email);
        let phone = fields.optional("phone", fields::phone(&country));
        let profile = ProfileRequest::read(fields);
        staff::drop_shown_once(fields);
        Some(Self { full_name: full_name?, email, phone, profile: profile? })
    }
}
