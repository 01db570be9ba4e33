//! `/display/{token}`, and the addresses of a location's board.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::json;

use super::board::Board;
use super::display::Displays;
use super::display_link::Link;
use super::store::{self, DisplayRow};
use crate::audit::{self, Act};
use crate::auth::May;
use crate::auth::may::{ReceivePatients, WritePlaces};
use crate::error::Problem;
use crate::http::context::{Anybody, Here};
use crate::http::etag::{ETag, IfMatch};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::NoBody;
use crate::http::path::Path;
use crate::http::payload::{Done, Payload, Stored};
use crate::ids::LocationId;
use crate::tenancy::Clinic;
use crate::time::shown_if_any;

/// Boards for waiting rooms.
pub struct DisplayApi;

/// The address of a location's board.
#[derive(Serialize, Object)]
pub struct DisplayView {
    /// A page for a screen; whoever has it sees the tokens. Null: there is no board, or no longer.
    url: Option<String>,
    #[serde(with = "shown_if_any")]
    rotated_at: Option<DateTime<Utc>>,
}

fn view(clinic: &Clinic, location: LocationId, row: &DisplayRow) -> Stored<DisplayView> {
    let generation = row.generation.unwrap_or(0);
    let token = Link { location, generation }.token(&clinic.keys.displays);
    let url = row.is_open.then(|| format!("{}/display/{token}", clinic.url));
    Stored {
        view: DisplayView { url, rotated_at: row.rotated_at },
        etag: ETag(i64::from(generation)),
    }
}

#[OpenApi]
impl DisplayApi {
    /// A waiting room's board
    ///
    /// Without sign-in: the address is the key. Tokens of today, doctors and rooms; nobody's name. At `/display/{token}`, without
    /// `/api/v1`, it is a page for a screen.
    #[oai(path = "/display/:token", method = "get", operation_id = "readDisplay")]
    async fn read(
        &self,
        _caller: Anybody,
        clinic: Here,
        displays: Data<&Arc<Displays>>,
        token: Path<String>,
    ) -> Result<Payload<Board>, Problem> {
        Ok(Payload(displays.board(&clinic, &token.0).await?.as_ref().clone()))
    }

    /// The address of a location's board
    #[oai(path = "/locations/:id/display", method = "get", operation_id = "getDisplayAddress")]
    async fn get(
        &self,
        _who: May<ReceivePatients>,
        clinic: Here,
        id: Path<LocationId>,
    ) -> Result<Stored<DisplayView>, Problem> {
        let row = store::display(&mut clinic.read().await?, id.0).await?;
        Ok(view(&clinic, id.0, &row.ok_or_else(Problem::not_found)?))
    }

    /// Give a location's board an address, or another one
    ///
    /// The one before leads nowhere within a second.
    #[oai(
        path = "/locations/:id/display/rotate",
        method = "post",
        operation_id = "rotateDisplayAddress"
    )]
    async fn rotate(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        id: Path<LocationId>,
        key: Idempotency,
    ) -> Result<Replayable<Stored<DisplayView>>, Problem> {
        let mut tx = clinic.begin_locking(who.actor(), &[id.0.0]).await?;
        store::display(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        let nothing = key.no_body()?;
        let kept = match key.begin(&mut tx, who.account, nothing).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        store::renew_display(&mut tx, id.0, true).await?;
        let row = store::display(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        let act = Act::new("display.rotated", "location", id.0);
        audit::record(&mut tx, act.details(json!({ "generation": row.generation }))).await?;
        let answer = view(&clinic, id.0, &row);
        Replayable::commit(tx, kept, answer).await
    }

    /// Take a location's board down
    ///
    /// Its address leads nowhere within a second.
    #[oai(path = "/locations/:id/display", method = "delete", operation_id = "closeDisplay")]
    async fn close(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        id: Path<LocationId>,
        if_match: IfMatch,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        let mut tx = clinic.begin_locking(who.actor(), &[id.0.0]).await?;
        let row = store::display(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        if_match.honour(ETag(i64::from(row.generation.unwrap_or(0))))?;
        nothing.read()?;
        store::renew_display(&mut tx, id.0, false).await?;
        audit::record(&mut tx, Act::new("display.closed", "location", id.0)).await?;
        tx.commit().await?;
        Ok(Done)
    }
}
