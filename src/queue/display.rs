//! Boards as they are asked for, by every screen every few seconds: each is made once a second at most.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::board::{self, Board};
use super::display_link::Link;
use super::line;
use super::store::{self, Asked, DisplayRow};
use crate::error::Problem;
use crate::ids::ClinicId;
use crate::tenancy::Clinic;

/// How old a board may be, and an address that leads nowhere any more.
const FRESH: Duration = Duration::from_secs(1);

/// So many boards are kept.
const MOST: u64 = 10_000;

/// The boards of one process.
pub struct Displays {
    /// None: the address leads nowhere any more. Its screen does not know, and goes on asking.
    boards: Cache<(ClinicId, Link), Option<Arc<Board>>>,
}

impl Default for Displays {
    fn default() -> Self {
        Self { boards: Cache::builder().max_capacity(MOST).time_to_live(FRESH).build() }
    }
}

impl Displays {
    /// # Errors
    /// `404` for an address that is none of ours, or no longer.
    pub async fn board(&self, clinic: &Clinic, token: &str) -> Result<Arc<Board>, Problem> {
        let link = Link::read(&clinic.keys.displays, token).ok_or_else(Problem::not_found)?;
        let made = self.boards.try_get_with((clinic.id, link), make(clinic, link)).await;
        made.map_err(|problem| problem.as_ref().clone())?.ok_or_else(Problem::not_found)
    }
}

async fn make(clinic: &Clinic, link: Link) -> Result<Option<Arc<Board>>, Problem> {
    let now = clinic.clock.now();
    let mut conn = clinic.read().await?;
    let display = store::display(&mut conn, link.location).await?;
    let is_good =
        |display: &DisplayRow| display.is_open && display.generation == Some(link.generation);
    let Some(display) = display.filter(is_good) else { return Ok(None) };
    let asked = Asked { location: Some(link.location), ..Asked::default() };
    let queue = line::of(store::tokens(&mut conn, asked, now).await?, now);
    Ok(Some(Arc::new(Board {
        clinic_name: clinic.name.clone(),
        location_name: display.name,
        as_of: now,
        doctors: board::doctors(&queue),
    })))
}
