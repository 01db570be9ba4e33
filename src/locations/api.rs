//! `/locations`

use poem_openapi::{Object, OpenApi};
use serde_json::json;

use super::model::{LocationRequest, LocationView};
use super::store;
use crate::audit::{self, Act};
use crate::auth::May;
use crate::auth::may::{ReadPlaces, WritePlaces};
use crate::db;
use crate::error::{FieldError, Problem};
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::{Fields, Readable};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::{Input, NoBody, Query};
use crate::http::page::{Listing, Page};
use crate::http::path::Path;
use crate::http::payload::{Created, Done, Payload, Stored};
use crate::ids::LocationId;

/// The clinic's branches.
pub struct LocationsApi;

/// Which page of the list.
#[derive(Object)]
pub struct ListLocations {
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    page: Option<Page>,
}

impl Readable for ListLocations {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { limit: None, cursor: None, page: Some(Page::read(fields)) })
    }
}

#[OpenApi]
impl LocationsApi {
    /// List locations
    #[oai(path = "/locations", method = "get", operation_id = "listLocations")]
    async fn list(
        &self,
        _who: May<ReadPlaces>,
        clinic: Here,
        query: Query<ListLocations>,
    ) -> Result<Payload<Listing<LocationView>>, Problem> {
        let page = query.read()?.page.expect("read above");
        let after = page.after()?;
        let mut conn = clinic.read().await?;
        let rows = store::list(&mut conn, after, page.fetch()).await?;
        Ok(Payload(page.of(rows, |location| location.id)))
    }

    /// Open a location
    #[oai(path = "/locations", method = "post", operation_id = "createLocation")]
    async fn create(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        key: Idempotency,
        body: Input<LocationRequest>,
    ) -> Result<Replayable<Created<LocationView>>, Problem> {
        let body_sha256 = body.sha256();
        let new = body.read()?;
        let mut tx = clinic.begin(who.actor()).await?;
        let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        let zone = new.time_zone.as_deref().unwrap_or(clinic.zone.name());
        let location =
            store::insert(&mut tx, LocationId::new(), &new, zone).await.map_err(name_taken)?;
        audit::record(&mut tx, Act::new("location.created", "location", location.id)).await?;
        Replayable::commit(
            tx,
            kept,
            Created {
                etag: ETag(location.version),
                location: format!("/locations/{}", location.id),
                view: location,
            },
        )
        .await
    }

    /// One location
    #[oai(path = "/locations/:id", method = "get", operation_id = "getLocation")]
    async fn get(
        &self,
        _who: May<ReadPlaces>,
        clinic: Here,
        id: Path<LocationId>,
    ) -> Result<Stored<LocationView>, Problem> {
        let mut conn = clinic.read().await?;
        let location = store::by_id(&mut conn, id.0).await?.ok_or_else(Problem::not_found)?;
        Ok(Stored { etag: ETag(location.version), view: location })
    }

    /// Replace what is known of a location
    ///
    /// Weekly hours are civil time: in another time zone they are other instants.
    #[oai(path = "/locations/:id", method = "put", operation_id = "replaceLocation")]
    async fn replace(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        id: Path<LocationId>,
        if_match: IfMatch,
        body: Input<LocationRequest>,
    ) -> Result<Stored<LocationView>, Problem> {
        let mut tx = clinic.begin(who.actor()).await?;
        let before = store::lock(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let new = body.read_over(&before)?;
        let zone = new.time_zone.as_deref().unwrap_or(clinic.zone.name());
        let after = store::update(&mut tx, id.0, &new, zone).await.map_err(name_taken)?;
        let act = Act::new("location.changed", "location", id.0);
        audit::record(&mut tx, act.details(json!({ "changed": changed(&before, &after) }))).await?;
        tx.commit().await?;
        Ok(Stored { etag: ETag(after.version), view: after })
    }

    /// Close a location
    ///
    /// Past visits keep it. While a doctor has hours there, a resource is there, or a visit there is still to come: `409 in-use`.
    #[oai(path = "/locations/:id", method = "delete", operation_id = "deleteLocation")]
    async fn delete(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        id: Path<LocationId>,
        if_match: IfMatch,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        let mut tx = clinic.begin(who.actor()).await?;
        let before = store::lock(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        if_match.honour(ETag(before.version))?;
        nothing.read()?;
        if store::is_in_use(&mut tx, id.0, clinic.clock.now()).await? {
            return Err(Problem::conflict(
                "in-use",
                "doctors have hours here, rooms or the like are here, or visits are still to come; move them first",
            ));
        }
        store::delete(&mut tx, id.0).await?;
        audit::record(&mut tx, Act::new("location.deleted", "location", id.0)).await?;
        tx.commit().await?;
        Ok(Done)
    }
}

fn name_taken(error: sqlx::Error) -> Problem {
    match db::violated(&error) {
        Some("locations_name_key") => {
            let taken = "another location of this clinic has this name";
            Problem::invalid(vec![FieldError::body("/name", "taken", taken)])
        }
        _ => error.into(),
    }
}

fn changed(before: &LocationView, after: &LocationView) -> Vec<&'static str> {
    [
        ("name", before.name != after.name),
        ("address", before.address != after.address),
        ("phone", before.phone != after.phone),
        ("time_zone", before.time_zone != after.time_zone),
    ]
    .into_iter()
    .filter_map(|(name, changed)| changed.then_some(name))
    .collect()
}
