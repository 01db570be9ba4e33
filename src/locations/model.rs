//! What a location is.

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use serde::Serialize;

use crate::http::fields::{self, Fields, Readable};
use crate::ids::LocationId;
use crate::time::shown;

/// A branch as the API shows one.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow, Object)]
pub struct LocationView {
    pub id: LocationId,
    pub name: String,
    pub address: String,
    /// E.164.
    pub phone: Option<String>,
    /// IANA: hours here are of its civil time.
    pub time_zone: String,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub updated_at: DateTime<Utc>,
    #[serde(skip)]
    #[oai(skip)]
    pub version: i64,
}

/// What a caller may say of a branch.
#[derive(Clone, Debug, Object)]
pub struct LocationRequest {
    /// No two branches of a clinic have the same.
    pub name: String,
    pub address: Option<String>,
    /// E.164, or a national form of the clinic's country.
    pub phone: Option<String>,
    /// IANA; the clinic's unless given.
    pub time_zone: Option<String>,
}

impl Readable for LocationRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let country = fields.country().to_owned();
        let name = fields.required("name", fields::line(1, 200));
        let address = fields.optional("address", fields::prose(500));
        let phone = fields.optional("phone", fields::phone(&country));
        let time_zone = fields.optional("time_zone", fields::time_zone);
        Some(Self { name: name?, address, phone, time_zone })
    }
}
