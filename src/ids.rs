//! Ids are types: `book(doctor, patient)` in the wrong order does not compile. All are UUIDv7, so they sort by age.

use uuid::Uuid;

/// A fresh UUIDv7. The one place that makes ids.
pub fn new_uuid() -> Uuid {
    #[allow(clippy::disallowed_methods, reason = "the one place that makes ids")]
    Uuid::now_v7()
}

macro_rules! id {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            #[allow(clippy::new_without_default, reason = "a fresh id is not a default")]
            pub fn new() -> Self {
                Self(new_uuid())
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl poem_openapi::types::Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> std::borrow::Cow<'static, str> {
                <Uuid as poem_openapi::types::Type>::name()
            }

            fn schema_ref() -> poem_openapi::registry::MetaSchemaRef {
                <Uuid as poem_openapi::types::Type>::schema_ref()
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        impl poem_openapi::types::ParseFromJSON for $name {
            fn parse_from_json(
                value: Option<serde_json::Value>,
            ) -> poem_openapi::types::ParseResult<Self> {
                <Uuid as poem_openapi::types::ParseFromJSON>::parse_from_json(value)
                    .map(Self)
                    .map_err(poem_openapi::types::ParseError::propagate)
            }
        }

        impl poem_openapi::types::ParseFromParameter for $name {
            fn parse_from_parameter(value: &str) -> poem_openapi::types::ParseResult<Self> {
                value.parse().map(Self).map_err(poem_openapi::types::ParseError::custom)
            }
        }

        impl poem_openapi::types::ToJSON for $name {
            fn to_json(&self) -> Option<serde_json::Value> {
                Some(serde_json::Value::String(self.0.to_string()))
            }
        }
    )+};
}

id! {
    /// A tenant.
    ClinicId,
    /// A PostgreSQL server that clinics' databases live on.
    ServerId,
    /// Somebody who signs in: a member of staff or a patient of one clinic, or a platform account.
    AccountId,
    /// One sign-in on one device.
    SessionId,
    /// Somebody's asking for a one-time code.
    CodeRequestId,
    /// A branch of a clinic.
    LocationId,
    /// A doctor: the same id as the doctor's account.
    DoctorId,
    /// A patient.
    PatientId,
    /// A visit.
    AppointmentId,
    /// A room, a piece of equipment, or a therapist: then the same id as the therapist's account.
    ResourceId,
    /// Visits that were booked as one.
    SeriesId,
    /// A time that is kept for somebody.
    HoldId,
    /// Somebody's place in the waitlist.
    WaitlistId,
    /// A time that was given back.
    FreedTimeId,
    /// Days on which nobody sits.
    HolidayId,
    /// An extra day of a doctor.
    ExtraHoursId,
    /// An absence of a doctor.
    TimeOffId,
    /// A line of a doctor's weekly hours.
    AvailabilityId,
    /// A message to be sent.
    MessageId,
    /// A run of `nadi migrate clinics`.
    RunId,
}
