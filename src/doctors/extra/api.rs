//! `/doctors/{id}/extra-hours`

use chrono::NaiveDate;
use poem_openapi::OpenApi;
use serde_json::json;

use super::model::{ExtraHoursView, ListExtraHours, NewExtraHours};
use super::store;
use crate::audit::{self, Act};
use crate::auth::May;
use crate::auth::may::{ReadPlaces, WritePlaces};
use crate::db::{self, Tx};
use crate::doctors::store as doctors;
use crate::error::{FieldError, Problem};
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::{Input, NoBody, Query};
use crate::http::page::Listing;
use crate::http::path::Path;
use crate::http::payload::{Created, Done, Payload, Stored};
use crate::ids::{DoctorId, ExtraHoursId};

/// Extra days of doctors.
pub struct ExtraHoursApi;

#[OpenApi]
impl ExtraHoursApi {
    /// A doctor's extra days, by day
    #[oai(path = "/doctors/:id/extra-hours", method = "get", operation_id = "listExtraHours")]
    async fn list(
        &self,
        _who: May<ReadPlaces>,
        clinic: Here,
        id: Path<DoctorId>,
        query: Query<ListExtraHours>,
    ) -> Result<Payload<Listing<ExtraHoursView>>, Problem> {
        let mut conn = clinic.read().await?;
        doctors::by_id(&mut conn, id.0).await?.ok_or_else(Problem::not_found)?;
        let page = query.read()?.page.expect("read above");
        let after = page.after::<(NaiveDate, ExtraHoursId)>()?;
        let rows = store::list(&mut conn, id.0, after, page.fetch()).await?;
        Ok(Payload(page.of(rows, |extra| (extra.day, extra.id))))
    }

    /// Have a doctor sit on an extra day
    ///
    /// Not over weekly hours or another extra day. A holiday there closes it. The tag is the doctor's.
    #[oai(path = "/doctors/:id/extra-hours", method = "post", operation_id = "createExtraHours")]
    async fn create(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        id: Path<DoctorId>,
        key: Idempotency,
        body: Input<NewExtraHours>,
    ) -> Result<Replayable<Created<ExtraHoursView>>, Problem> {
        let body_sha256 = body.sha256();
        // A retry gets its first answer also when the day is over meanwhile, or the doctor gone.
        if let Some(response) = key.first_answer(&clinic, who.account, body_sha256).await? {
            return Ok(Replayable::Replayed(response));
        }
        let mut tx = clinic.begin_locking(who.actor(), &[id.0.0]).await?;
        doctors::lock(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        let new = body.read()?;
        let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        if !doctors::places(&mut tx).await?.contains(&new.location_id) {
            return Err(fault("/location_id", "not_found", "no such location"));
        }
        let extra = store::insert(&mut tx, id.0, &new).await.map_err(overlapping)?;
        refuse_over_weekly_hours(&mut tx, id.0, &extra).await?;
        let version = doctors::touch(&mut tx, id.0).await?;
        let act = Act::new("doctor.extra_hours_given", "extra_hours", extra.id);
        let details = json!({ "doctor_id": id.0, "extra_hours": extra });
        audit::record(&mut tx, act.details(details)).await?;
        Replayable::commit(
            tx,
            kept,
            Created {
                etag: ETag(version),
                location: format!("/doctors/{}/extra-hours/{}", id.0, extra.id),
                view: extra,
            },
        )
        .await
    }

    /// One extra day
    #[oai(
        path = "/doctors/:id/extra-hours/:extra_hours_id",
        method = "get",
        operation_id = "getExtraHours"
    )]
    async fn get(
        &self,
        _who: May<ReadPlaces>,
        clinic: Here,
        id: Path<DoctorId>,
        extra_hours_id: Path<ExtraHoursId>,
    ) -> Result<Stored<ExtraHoursView>, Problem> {
        let mut conn = clinic.read().await?;
        let doctor = doctors::by_id(&mut conn, id.0).await?.ok_or_else(Problem::not_found)?;
        let extra = store::by_id(&mut conn, id.0, extra_hours_id.0).await?;
        let extra = extra.ok_or_else(Problem::not_found)?;
        Ok(Stored { etag: ETag(doctor.version), view: extra })
    }

    /// Take an extra day back
    ///
    /// Visits that are booked stand.
    #[oai(
        path = "/doctors/:id/extra-hours/:extra_hours_id",
        method = "delete",
        operation_id = "deleteExtraHours"
    )]
    async fn delete(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        id: Path<DoctorId>,
        extra_hours_id: Path<ExtraHoursId>,
        if_match: IfMatch,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        let mut tx = clinic.begin_locking(who.actor(), &[id.0.0]).await?;
        let doctor = doctors::lock(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        let extra = store::by_id(&mut tx, id.0, extra_hours_id.0).await?;
        let extra = extra.ok_or_else(Problem::not_found)?;
        if_match.honour(ETag(doctor.version))?;
        nothing.read()?;
        store::delete(&mut tx, extra.id).await?;
        doctors::touch(&mut tx, id.0).await?;
        let act = Act::new("doctor.extra_hours_taken_back", "extra_hours", extra.id);
        let details = json!({ "doctor_id": id.0, "extra_hours": extra });
        audit::record(&mut tx, act.details(details)).await?;
        tx.commit().await?;
        Ok(Done)
    }
}

/// Nobody sits in two branches at once, nor twice in one.
async fn refuse_over_weekly_hours(
    tx: &mut Tx,
    doctor: DoctorId,
    extra: &ExtraHoursView,
) -> Result<(), Problem> {
    let weekly = doctors::availability(tx, doctor).await?;
    if weekly.iter().any(|line| extra.overlaps(line)) {
        return Err(fault("/starts_at", "overlaps", "it overlaps the weekly hours of that day"));
    }
    Ok(())
}

fn overlapping(error: sqlx::Error) -> Problem {
    match db::violated(&error) {
        Some("extra_hours_no_overlap") => {
            fault("/starts_at", "overlaps", "it overlaps other extra hours of that day")
        }
        _ => error.into(),
    }
}

fn fault(pointer: &str, code: &'static str, words: &str) -> Problem {
    Problem::invalid(vec![FieldError::body(pointer, code, words)])
}
