//! `/resources`

use poem_openapi::OpenApi;
use serde_json::json;

use super::model::{ListResources, ResourceRequest, ResourceView};
use super::store;
use crate::audit::{self, Act, Seen};
use crate::auth::May;
use crate::auth::may::{ReadPlaces, WritePlaces};
use crate::db::{self, Tx};
use crate::error::{FieldError, Problem};
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::{Input, NoBody, Query};
use crate::http::page::Listing;
use crate::http::path::Path;
use crate::http::payload::{Created, Done, Payload, Stored};
use crate::ids::ResourceId;

/// Rooms, equipment and therapists.
pub struct ResourcesApi;

#[OpenApi]
impl ResourcesApi {
    /// List resources
    #[oai(path = "/resources", method = "get", operation_id = "listResources")]
    async fn list(
        &self,
        who: May<ReadPlaces>,
        clinic: Here,
        query: Query<ListResources>,
    ) -> Result<Payload<Listing<ResourceView>>, Problem> {
        let query = query.read()?;
        let page = query.page.clone().expect("read above");
        let after = page.after()?;
        let mut conn = clinic.read().await?;
        let rows = store::list(&mut conn, &query, after, page.fetch()).await?;
        drop(conn);
        let listing = page.of(rows, |resource| resource.id);
        // Therapists are among them; whom one may book is public.
        if !who.is_patient() {
            who.saw(Seen::list("resource", &listing.items, |resource| resource.id.0)).await?;
        }
        Ok(Payload(listing))
    }

    /// Add a resource
    ///
    /// A therapist who was removed comes back by the same account.
    #[oai(path = "/resources", method = "post", operation_id = "createResource")]
    async fn create(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        key: Idempotency,
        body: Input<ResourceRequest>,
    ) -> Result<Replayable<Created<ResourceView>>, Problem> {
        let body_sha256 = body.sha256();
        let new = body.read()?;
        let mut tx = clinic.begin(who.actor()).await?;
        let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        check(&mut tx, &new).await?;
        let id = new.user_id.map_or_else(ResourceId::new, |account| ResourceId(account.0));
        if !store::insert(&mut tx, id, &new).await.map_err(name_taken)? {
            let words = "this therapist is here already";
            return Err(Problem::invalid(vec![FieldError::body("/user_id", "taken", words)]));
        }
        let resource = store::by_id(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
        let act = Act::new("resource.created", "resource", id);
        audit::record(&mut tx, act.details(json!({ "resource": resource }))).await?;
        Replayable::commit(
            tx,
            kept,
            Created {
                etag: ETag(resource.version),
                location: format!("/resources/{id}"),
                view: resource,
            },
        )
        .await
    }

    /// One resource
    #[oai(path = "/resources/:id", method = "get", operation_id = "getResource")]
    async fn get(
        &self,
        who: May<ReadPlaces>,
        clinic: Here,
        id: Path<ResourceId>,
    ) -> Result<Stored<ResourceView>, Problem> {
        let mut conn = clinic.read().await?;
        let resource = store::by_id(&mut conn, id.0).await?.ok_or_else(Problem::not_found)?;
        drop(conn);
        if !who.is_patient() {
            who.saw(Seen::one("resource", resource.id)).await?;
        }
        Ok(Stored { etag: ETag(resource.version), view: resource })
    }

    /// Replace what is known of a resource
    ///
    /// Visits that are booked keep it, wherever it goes.
    #[oai(path = "/resources/:id", method = "put", operation_id = "replaceResource")]
    async fn replace(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        id: Path<ResourceId>,
        if_match: IfMatch,
        body: Input<ResourceRequest>,
    ) -> Result<Stored<ResourceView>, Problem> {
        let mut tx = clinic.begin_locking(who.actor(), &[id.0.0]).await?;
        let before = store::lock(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let new = body.read_over(&before)?;
        check(&mut tx, &new).await?;
        store::update(&mut tx, id.0, &new).await.map_err(name_taken)?;
        let after = store::by_id(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        let act = Act::new("resource.changed", "resource", id.0);
        let details = json!({ "changed": before.changes_to(&after) });
        audit::record(&mut tx, act.details(details)).await?;
        tx.commit().await?;
        Ok(Stored { etag: ETag(after.version), view: after })
    }

    /// Remove a resource from sight
    ///
    /// Past visits keep it. While a visit still to come takes it: `409 in-use`.
    #[oai(path = "/resources/:id", method = "delete", operation_id = "deleteResource")]
    async fn delete(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        id: Path<ResourceId>,
        if_match: IfMatch,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        // With its lock no visit takes it in between what is read here and what is written.
        let mut tx = clinic.begin_locking(who.actor(), &[id.0.0]).await?;
        let before = store::lock(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        if_match.honour(ETag(before.version))?;
        nothing.read()?;
        if store::is_in_use(&mut tx, id.0, clinic.clock.now()).await? {
            let detail = "visits still to come take it; move them first";
            return Err(Problem::conflict("in-use", detail));
        }
        store::delete(&mut tx, id.0).await?;
        audit::record(&mut tx, Act::new("resource.deleted", "resource", id.0)).await?;
        tx.commit().await?;
        Ok(Done)
    }
}

/// What it names is there.
async fn check(tx: &mut Tx, new: &ResourceRequest) -> Result<(), Problem> {
    let mut faults = Vec::new();
    if let Some(location) = new.location_id
        && !store::is_place(tx, location).await?
    {
        faults.push(FieldError::body("/location_id", "not_found", "no such location"));
    }
    if let Some(account) = new.user_id
        && !store::is_therapist(tx, account).await?
    {
        faults.push(FieldError::body("/user_id", "not_found", "no therapist of this id"));
    }
    if faults.is_empty() { Ok(()) } else { Err(Problem::invalid(faults)) }
}

fn name_taken(error: sqlx::Error) -> Problem {
    match db::violated(&error) {
        Some("resources_name_key") => {
            let taken = "another resource there has this name";
            Problem::invalid(vec![FieldError::body("/name", "taken", taken)])
        }
        _ => error.into(),
    }
}
