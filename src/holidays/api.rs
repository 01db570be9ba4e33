//! `/holidays`

use chrono::NaiveDate;
use poem_openapi::OpenApi;
use serde_json::json;

use super::model::{HolidayRequest, HolidayView, ListHolidays};
use super::store;
use crate::audit::{self, Act};
use crate::auth::May;
use crate::auth::may::{ReadPlaces, WritePlaces};
use crate::db::Tx;
use crate::error::{FieldError, Problem};
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::{Input, NoBody, Query};
use crate::http::page::Listing;
use crate::http::path::Path;
use crate::http::payload::{Created, Done, Payload, Stored};
use crate::ids::HolidayId;
use crate::staff::{self, Affected};
use crate::tenancy::Clinic;
use crate::time;

/// Days on which nobody sits.
pub struct HolidaysApi;

#[OpenApi]
impl HolidaysApi {
    /// List holidays, by their first day
    #[oai(path = "/holidays", method = "get", operation_id = "listHolidays")]
    async fn list(
        &self,
        _who: May<ReadPlaces>,
        clinic: Here,
        query: Query<ListHolidays>,
    ) -> Result<Payload<Listing<HolidayView>>, Problem> {
        let query = query.read()?;
        let page = query.page.clone().expect("read above");
        let after = page.after::<(NaiveDate, HolidayId)>()?;
        let mut conn = clinic.read().await?;
        let rows = store::list(&mut conn, &query, after, page.fetch()).await?;
        Ok(Payload(page.of(rows, |holiday| (holiday.first_day, holiday.id))))
    }

    /// Close a location, or all of them, for days
    ///
    /// Extra days are closed too. Over visits that stand: `409 bookings-affected` with the first 200 `bookings` and their `total`,
    /// unless `resolve` is `keep`.
    #[oai(path = "/holidays", method = "post", operation_id = "createHoliday")]
    async fn create(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        key: Idempotency,
        body: Input<HolidayRequest>,
    ) -> Result<Replayable<Created<HolidayView>>, Problem> {
        let body_sha256 = body.sha256();
        // A retry gets its first answer also when the holiday is over meanwhile.
        if let Some(response) = key.first_answer(&clinic, who.account, body_sha256).await? {
            return Ok(Replayable::Replayed(response));
        }
        let new = body.read()?;
        let mut tx = begin(&clinic, &who).await?;
        let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        let affected = affected(&mut tx, &clinic, &new).await?;
        if new.resolve.is_none() && affected.total > 0 {
            return Err(staff::bookings_affected(tx, &who, &affected).await);
        }
        let holiday = store::insert(&mut tx, &new).await?;
        let act = Act::new("holiday.created", "holiday", holiday.id);
        let details = json!({ "holiday": holiday, "bookings_kept": affected.total });
        audit::record(&mut tx, act.details(details)).await?;
        Replayable::commit(
            tx,
            kept,
            Created {
                etag: ETag(holiday.version),
                location: format!("/holidays/{}", holiday.id),
                view: holiday,
            },
        )
        .await
    }

    /// One holiday
    #[oai(path = "/holidays/:id", method = "get", operation_id = "getHoliday")]
    async fn get(
        &self,
        _who: May<ReadPlaces>,
        clinic: Here,
        id: Path<HolidayId>,
    ) -> Result<Stored<HolidayView>, Problem> {
        let mut conn = clinic.read().await?;
        let holiday = store::by_id(&mut conn, id.0).await?.ok_or_else(Problem::not_found)?;
        Ok(Stored { etag: ETag(holiday.version), view: holiday })
    }

    /// Replace a holiday
    ///
    /// Over visits that stand: `409 bookings-affected` with the first 200 `bookings` and their `total`, unless `resolve` is `keep`.
    #[oai(path = "/holidays/:id", method = "put", operation_id = "replaceHoliday")]
    async fn replace(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        id: Path<HolidayId>,
        if_match: IfMatch,
        body: Input<HolidayRequest>,
    ) -> Result<Stored<HolidayView>, Problem> {
        let mut tx = begin(&clinic, &who).await?;
        let before = store::lock(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let new = body.read_over(&before)?;
        let affected = affected(&mut tx, &clinic, &new).await?;
        if new.resolve.is_none() && affected.total > 0 {
            return Err(staff::bookings_affected(tx, &who, &affected).await);
        }
        let after = store::update(&mut tx, id.0, &new).await?;
        let act = Act::new("holiday.changed", "holiday", id.0);
        let details = json!({ "from": before, "to": after, "bookings_kept": affected.total });
        audit::record(&mut tx, act.details(details)).await?;
        tx.commit().await?;
        Ok(Stored { etag: ETag(after.version), view: after })
    }

    /// Take a holiday back
    #[oai(path = "/holidays/:id", method = "delete", operation_id = "deleteHoliday")]
    async fn delete(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        id: Path<HolidayId>,
        if_match: IfMatch,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        let mut tx = clinic.begin(who.actor()).await?;
        let before = store::lock(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        if_match.honour(ETag(before.version))?;
        nothing.read()?;
        store::delete(&mut tx, id.0).await?;
        let act = Act::new("holiday.deleted", "holiday", id.0);
        audit::record(&mut tx, act.details(json!({ "holiday": before }))).await?;
        tx.commit().await?;
        Ok(Done)
    }
}

/// Opens a change of holidays with the locks of everybody who may be booked: no booking slips in between what is read here and
/// what is written.
async fn begin(clinic: &Clinic, who: &May<WritePlaces>) -> Result<Tx, Problem> {
    let doctors = store::doctors(&mut clinic.read().await?).await?;
    clinic.begin_locking(who.actor(), &doctors).await
}

/// The visits that stand in a holiday. Refuses one where there is no such location.
async fn affected(tx: &mut Tx, clinic: &Clinic, new: &HolidayRequest) -> Result<Affected, Problem> {
    let places = store::places(tx, new.location_id).await?;
    if new.location_id.is_some() && places.is_empty() {
        let fault = FieldError::body("/location_id", "not_found", "no such location");
        return Err(Problem::invalid(vec![fault]));
    }
    let mut closed = Vec::with_capacity(places.len());
    for (location, name) in places {
        let zone = time::zone(&name)
            .ok_or_else(|| Problem::internal(format!("there is no time zone {name}")))?;
        let from = time::day_start(zone, new.first_day).max(clinic.clock.now());
        closed.push((location, from, time::day_bounds(zone, new.last_day()).1));
    }
    Ok(store::bookings(tx, &closed).await?)
}
