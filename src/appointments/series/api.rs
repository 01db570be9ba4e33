//! `/appointments/series`

use chrono::{DateTime, Utc};
use poem_openapi::OpenApi;
use serde_json::json;

use super::{Conflicts, SeriesError, SeriesRequest, SeriesView, book};
use crate::appointments::api::{CancelAppointment, zone_of};
use crate::appointments::book::{BookError, Booker};
use crate::appointments::cancel::{CancelError, cancel};
use crate::appointments::model::{AppointmentView, Status};
use crate::appointments::store;
use crate::audit::Seen;
use crate::auth::may::{ReadAppointments, ReceivePatients};
use crate::auth::{May, Role};
use crate::db::Tries;
use crate::error::Problem;
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::{Input, Query};
use crate::http::path::Path;
use crate::http::payload::{Created, Payload, Stored};
use crate::ids::SeriesId;
use crate::time;

/// Visits that are booked as one.
pub struct SeriesApi;

#[OpenApi]
impl SeriesApi {
    /// Book a series or a course
    ///
    /// All of it or nothing. What cannot be is `409 series-conflict` with `conflicts` (`starts_at` and `code`) and the nearest `plan`
    /// that can, to be sent as `starts`; null: there is none near enough.
    #[oai(path = "/appointments/series", method = "post", operation_id = "bookSeries")]
    async fn book(
        &self,
        who: May<ReceivePatients>,
        clinic: Here,
        key: Idempotency,
        body: Input<SeriesRequest>,
    ) -> Result<Replayable<Created<SeriesView>>, Problem> {
        let body_sha256 = body.sha256();
        if let Some(response) = key.first_answer(&clinic, who.account, body_sha256).await? {
            return Ok(Replayable::Replayed(response));
        }
        let now = clinic.clock.now();
        let new = body.read()?;
        let by = Booker { only_patient: None };
        // A location that is not there is found out with whatever else is not.
        let zone = match new.visit.location_id {
            Some(location) => zone_of(&mut clinic.read().await?, location).await?,
            None => None,
        };
        let zone = zone.unwrap_or(clinic.zone);
        let mut tries = Tries::default();
        loop {
            let mut tx = clinic.begin_telling(who.actor(), &new.visit.subjects()).await?;
            let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
                Found::Done(response) => return Ok(Replayable::Replayed(response)),
                Found::New(kept) => kept,
            };
            let series = match book(&mut tx, &new, zone, by, now).await {
                Ok(series) => series,
                Err(SeriesError::Conflicts(those)) => {
                    tx.rollback().await?; // frees the locks before we look for other times
                    return Err(series_conflict(*those, &new, by, now));
                }
                Err(SeriesError::Book(BookError::Db(error))) if tries.again(&error) => continue,
                Err(SeriesError::Book(error)) => return Err(error.into()),
            };
            let location = format!("/appointments/series/{}", series.id);
            return Replayable::commit(
                tx,
                kept,
                Created { etag: etag(&series.items), location, view: series },
            )
            .await;
        }
    }

    /// The visits of a series, by time
    #[oai(path = "/appointments/series/:id", method = "get", operation_id = "getSeries")]
    async fn get(
        &self,
        who: May<ReadAppointments>,
        clinic: Here,
        id: Path<SeriesId>,
    ) -> Result<Stored<SeriesView>, Problem> {
        let mut conn = clinic.read().await?;
        // A therapist sees what takes him.
        let claiming = (who.role == Role::Therapist).then_some(who.account);
        let mut items = store::of_series(&mut conn, id.0, claiming).await?;
        drop(conn);
        let own = who.only_patient()?;
        items.retain(|visit| own.is_none_or(|own| own == visit.patient_id));
        let Some(first) = items.first() else { return Err(Problem::not_found()) };
        let seen = Seen::list("appointment", &items, |visit| visit.id.0).about(first.patient_id);
        who.saw(seen).await?;
        Ok(Stored { etag: etag(&items), view: SeriesView { id: id.0, items } })
    }

    /// Cancel what is still to come of a series
    ///
    /// Visits that have begun, are over or were cancelled before stay as they are. Answers with those that were cancelled now.
    #[oai(path = "/appointments/series/:id", method = "delete", operation_id = "cancelSeries")]
    async fn cancel(
        &self,
        who: May<ReceivePatients>,
        clinic: Here,
        id: Path<SeriesId>,
        if_match: IfMatch,
        query: Query<CancelAppointment>,
    ) -> Result<Payload<SeriesView>, Problem> {
        let seen = store::of_series(&mut clinic.read().await?, id.0, None).await?;
        if seen.is_empty() {
            return Err(Problem::not_found());
        }
        if_match.honour(etag(&seen))?;
        let reason = query.read()?.reason;
        let now = clinic.clock.now();
        let subjects: Vec<_> = seen.iter().flat_map(AppointmentView::subjects).collect();
        let mut tries = Tries::default();
        'again: loop {
            let mut tx = clinic.begin_telling(who.actor(), &subjects).await?;
            let standing = store::of_series(&mut tx, id.0, None).await?;
            if standing
                .iter()
                .flat_map(AppointmentView::subjects)
                .any(|one| !subjects.contains(&one))
            {
                return Err(Problem::conflict(
                    "conflict",
                    "somebody moved a visit of it just now; try again",
                ));
            }
            if_match.honour(etag(&standing))?;
            let mut items = Vec::new();
            let ahead = |visit: &&AppointmentView| {
                visit.starts_at > now && visit.status.may_become(Status::Cancelled)
            };
            for visit in standing.iter().filter(ahead) {
                match cancel(&mut tx, visit, reason.as_deref()).await {
                    Err(CancelError::Db(error)) if tries.again(&error) => continue 'again,
                    other => items.push(other?),
                }
            }
            tx.commit().await?;
            return Ok(Payload(SeriesView { id: id.0, items }));
        }
    }
}

/// A series has changed when one of its visits has: versions only grow.
fn etag(items: &[AppointmentView]) -> ETag {
    ETag(items.iter().map(|visit| visit.version).sum())
}

/// `409 series-conflict`, with what can be instead.
fn series_conflict(
    those: Conflicts,
    new: &SeriesRequest,
    by: Booker,
    now: DateTime<Utc>,
) -> Problem {
    let (detail, conflicts) = (those.to_string(), json!(those.conflicts));
    let plan = those.plan(new, by, now);
    let plan = plan.map(|plan| plan.into_iter().map(time::show).collect::<Vec<_>>());
    Problem::conflict("series-conflict", detail)
        .with("conflicts", conflicts)
        .with("plan", json!(plan))
}
