//! `/respond/{token}` for programs; people have a page (`pages.rs`).

use chrono::{DateTime, Utc};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::{Action, act, look, patient, refusal};
use crate::appointments::Status;
use crate::appointments::reply::{Asked, Replied, judge};
use crate::audit::{Seen, Trail};
use crate::error::Problem;
use crate::http::context::{Anybody, Context, Here};
use crate::http::fields::{self, Fields, Readable};
use crate::http::input::Input;
use crate::http::path::Path;
use crate::http::payload::Payload;
use crate::tenancy::Clinic;
use crate::time::shown;

/// Answers to messages.
pub struct RespondApi;

/// A visit, to whoever has its link. It names no patient.
#[derive(Debug, Serialize, Object)]
pub struct RespondView {
    pub clinic_name: String,
    pub doctor_name: String,
    pub location_name: String,
    #[serde(with = "shown")]
    pub starts_at: DateTime<Utc>,
    pub time_zone: String,
    pub status: Status,
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

/// What may be answered to a visit now.
pub(super) fn actions(asked: &Asked, now: DateTime<Utc>) -> Vec<Action> {
    let (visit, at) = (&asked.visit, asked.visit.starts_at);
    let open = |action: &Action| judge(visit, at, action.reply(), now) == Replied::Done;
    [Action::Confirm, Action::Cancel].into_iter().filter(open).collect()
}

fn view(clinic: &Clinic, asked: Asked) -> RespondView {
    let actions = actions(&asked, clinic.clock.now());
    RespondView {
        clinic_name: clinic.name.clone(),
        doctor_name: asked.visit.doctor_name,
        location_name: asked.location_name,
        starts_at: asked.visit.starts_at,
        time_zone: asked.time_zone,
        status: asked.visit.status,
        actions,
    }
}

/// A link that is not about the visit's time any more shows nothing of it; one whose time has come is over.
pub(super) fn is_current(
    clinic: &Clinic,
    asked: &Asked,
    starts_at: DateTime<Utc>,
) -> Result<(), Problem> {
    let replied = judge(&asked.visit, starts_at, Action::Confirm.reply(), clinic.clock.now());
    let over = asked.visit.starts_at <= clinic.clock.now();
    match replied {
        Replied::Moved => refusal(replied, Action::Confirm).map_or(Ok(()), Err),
        _ if over => refusal(Replied::Begun, Action::Confirm).map_or(Ok(()), Err),
        _ => Ok(()),
    }
}

/// Counted like anybody who has not signed in, whatever he sends along.
async fn count(anybody: &Anybody) -> Result<(), Problem> {
    anybody.limits.stranger(anybody.address).await
}

/// What was shown, and through which link: nobody has signed in.
pub(super) async fn note(context: &Context, asked: &Asked) -> Result<(), Problem> {
    let trail = Trail { realm: context.realm.clone(), reads: context.reads.clone() };
    let seen = Seen::one("appointment", asked.visit.id).about(asked.visit.patient_id);
    trail.note(patient(context), seen).await
}

#[OpenApi]
impl RespondApi {
    /// What a link in a message is about
    ///
    /// It only shows: programs that look at mail follow links. A link is good until the visit's start, and for the time that the message
    /// named: `410 link-expired`, `410 link-outdated`.
    #[oai(path = "/respond/:token", method = "get", operation_id = "getRespond")]
    async fn get(
        &self,
        anybody: Anybody,
        clinic: Here,
        token: Path<String>,
    ) -> Result<Payload<RespondView>, Problem> {
        count(&anybody).await?;
        let (token, asked) = look(&clinic, &token.0).await?;
        is_current(&clinic, &asked, token.starts_at)?;
        note(&anybody.context, &asked).await?;
        Ok(Payload(view(&clinic, asked)))
    }

    /// Answer to a message
    ///
    /// Doing it again changes nothing. What cannot be done any more is `409 illegal-transition`, or `410` once the visit has begun or
    /// moved.
    #[oai(path = "/respond/:token", method = "post", operation_id = "respond")]
    async fn post(
        &self,
        anybody: Anybody,
        clinic: Here,
        token: Path<String>,
        body: Input<RespondRequest>,
    ) -> Result<Payload<RespondView>, Problem> {
        count(&anybody).await?;
        look(&clinic, &token.0).await?;
        let action = body.read()?.action;
        let (replied, asked) = act(&clinic, patient(&anybody.context), &token.0, action).await?;
        match refusal(replied, action) {
            Some(problem) => Err(problem),
            None => Ok(Payload(view(&clinic, asked))),
        }
    }
}
