//! `/respond/{token}` for programs; people have a page (`pages.rs`).

use chrono::{DateTime, Utc};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::subject::Subject;
use super::{Action, act, look, note, patient};
use crate::error::Problem;
use crate::http::context::{Anybody, Here};
use crate::http::fields::{self, Fields, Readable};
use crate::http::input::Input;
use crate::http::path::Path;
use crate::http::payload::Payload;
use crate::tenancy::Clinic;
use crate::time::{shown, shown_if_any};

/// Answers to messages.
pub struct RespondApi;

/// A visit or an offer, to whoever has its link. It names no patient.
#[derive(Debug, Serialize, Object)]
pub struct RespondView {
    pub clinic_name: String,
    pub doctor_name: String,
    pub location_name: String,
    #[serde(with = "shown")]
    pub starts_at: DateTime<Utc>,
    pub time_zone: String,
    /// Of a visit as of appointments; of an offer `open`, `accepted`, `declined`, `lapsed` or `withdrawn`.
    pub status: String,
    /// Of an offer: until when the time is kept.
    #[serde(with = "shown_if_any")]
    pub until: Option<DateTime<Utc>>,
    /// What may be answered now.
    pub actions: Vec<Action>,
}

/// An answer.
#[derive(Debug, Object)]
pub struct RespondRequest {
    pub action: Action,
}

impl Readable for RespondRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { action: fields.required("action", fields::choice)? })
    }
}

fn view(clinic: &Clinic, subject: Subject) -> RespondView {
    let (doctor_name, location_name, time_zone) = subject.place();
    RespondView {
        clinic_name: clinic.name.clone(),
        doctor_name: doctor_name.to_owned(),
        location_name: location_name.to_owned(),
        starts_at: subject.starts_at(),
        time_zone: time_zone.to_owned(),
        status: match &subject {
            Subject::Visit(asked) => asked.visit.status.as_str(),
            Subject::Offer(offer) => offer.status.as_str(),
        }
        .to_owned(),
        until: match &subject {
            Subject::Visit(_) => None,
            Subject::Offer(offer) => Some(offer.until),
        },
        actions: subject.actions(clinic.clock.now()),
    }
}

#[OpenApi]
impl RespondApi {
    /// What a link in a message is about
    ///
    /// It only shows: programs that look at mail follow links. A link is good until the visit's start, and for the time that the message
    /// named: `410 link-expired`, `410 link-outdated`. One to an offer of the waitlist is good while the time is kept, then
    /// `410 offer-over`.
    #[oai(path = "/respond/:token", method = "get", operation_id = "getRespond")]
    async fn get(
        &self,
        anybody: Anybody,
        clinic: Here,
        token: Path<String>,
    ) -> Result<Payload<RespondView>, Problem> {
        let (token, subject) = look(&clinic, &token.0).await?;
        subject.is_current(&token, clinic.clock.now())?;
        note(&anybody.context, &subject).await?;
        Ok(Payload(view(&clinic, subject)))
    }

    /// Answer to a message
    ///
    /// Doing it again changes nothing. What cannot be done any more is `409 illegal-transition`, or `410` once the visit has begun or
    /// moved, or the offered time is not kept any more. `accept` books the time that is kept; `409 slot-taken` when the patient has
    /// another visit then.
    #[oai(path = "/respond/:token", method = "post", operation_id = "respond")]
    async fn post(
        &self,
        anybody: Anybody,
        clinic: Here,
        token: Path<String>,
        body: Input<RespondRequest>,
    ) -> Result<Payload<RespondView>, Problem> {
        look(&clinic, &token.0).await?;
        let action = body.read()?.action;
        let subject = act(&clinic, patient(&anybody.context), &token.0, action).await?;
        Ok(Payload(view(&clinic, subject)))
    }
}
