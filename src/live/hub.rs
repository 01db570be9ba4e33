//! The rooms of this instance, and how many may listen.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use poem::http::StatusCode;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::cursor::Cursor;
use super::event::{self, Batch, Rights};
use super::room::{Room, Seat};
use super::store;
use super::stream::Stream;
use crate::auth::{Principal, Sessions};
use crate::crypto;
use crate::error::Problem;
use crate::tenancy::directory::Closed;
use crate::tenancy::freshness::Freshness;
use crate::tenancy::{Clinic, Directory};

/// Streams of one account (browsers, tabs, telephones), of one clinic, and of all, on one instance.
const OF_ACCOUNT: usize = 24;
const OF_CLINIC: usize = 5_000;
const OF_ALL: usize = 20_000;
/// A stream lasts an hour, and up to a quarter more, so that they do not all end at once.
const LASTS: Duration = Duration::from_secs(60 * 60);
const LASTS_MORE: Duration = Duration::from_secs(15 * 60);
/// How long a newcomer waits until his clinic can be read.
const PATIENCE: Duration = Duration::from_secs(5);
/// Events that are told again; who has missed more loads anew what he shows.
const MISSED: i64 = 1_000;

/// Everybody who listens on this instance.
pub struct Live {
    directory: Arc<Directory>,
    freshness: Arc<Freshness>,
    rooms: Mutex<HashMap<Uuid, Arc<Room>>>,
    numbers: AtomicU64,
    stop: CancellationToken,
}

impl Live {
    pub fn new(directory: Arc<Directory>, freshness: Arc<Freshness>) -> Arc<Self> {
        Arc::new(Self {
            directory,
            freshness,
            rooms: Mutex::default(),
            numbers: AtomicU64::new(0),
            stop: CancellationToken::new(),
        })
    }

    /// Ends every stream, and lets nobody in any more: who listens comes back to another instance.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    pub(super) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    pub(super) fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    pub(super) async fn clinic(&self, slug: &str) -> Result<Arc<Clinic>, Closed> {
        self.directory.clinic(slug).await
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Room>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a room out of service when nobody is in it.
    pub(super) fn close_if_empty(&self, room: &Arc<Room>) -> bool {
        let mut rooms = self.rooms();
        let is_empty = room.seats() == 0;
        if is_empty {
            forget(&mut rooms, room);
        }
        is_empty
    }

    pub(super) fn close(&self, room: &Arc<Room>) {
        forget(&mut self.rooms(), room);
    }

    /// A seat for a caller, in his clinic's room.
    fn seat(
        self: &Arc<Self>,
        clinic: &Arc<Clinic>,
        who: &Principal,
        rights: Rights,
    ) -> Result<Place, Problem> {
        let mut rooms = self.rooms();
        if self.stop.is_cancelled() {
            return Err(full("this instance is about to stop; come again"));
        }
        if rooms.values().map(|room| room.seats()).sum::<usize>() >= OF_ALL {
            return Err(full("too many listen on this instance; come again"));
        }
        let room = rooms.entry(clinic.realm.id).or_insert_with(|| {
            let room = Room::of(clinic);
            tokio::spawn(room.clone().run(self.clone(), clinic.clone()));
            room
        });
        if room.seats_of(who.account) >= OF_ACCOUNT {
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-streams",
                format!("an account may have {OF_ACCOUNT} streams on one instance: close one"),
            )
            .retry_after(30));
        }
        if room.seats() >= OF_CLINIC {
            return Err(full("too many listen at this clinic; come again"));
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let renew_at = Instant::now() + LASTS + LASTS_MORE.mul_f64(crypto::jitter());
        let seat = Seat::new(number, who.session, rights, renew_at);
        room.sit(seat.clone());
        crate::metrics::LIVE_LISTENERS.inc();
        Ok(Place { room: room.clone(), seat })
    }

    /// Begins to listen: from now on, or from where a client had come to.
    ///
    /// # Errors
    /// `401`, `403` for who may not; `429`, `503` when too many do.
    pub async fn listen(
        self: &Arc<Self>,
        clinic: &Arc<Clinic>,
        sessions: &Sessions,
        who: &Principal,
        from: Option<Cursor>,
    ) -> Result<Stream, Problem> {
        let rights = Rights::of(who.role, who.account, who.patient);
        let rights = rights.ok_or_else(Problem::forbidden)?;
        let place = self.seat(clinic, who, rights)?;
        // The room asks again for those who sit; who lost his session before he sat is found here.
        let live = sessions.alive(clinic, who.session).await?;
        if live.and_then(|row| Rights::of(row.role, row.account, row.patient)) != Some(rights) {
            return Err(Problem::unauthenticated("this session has ended"));
        }
        let opened = timeout(PATIENCE, place.room.listen()).await.ok().flatten();
        let (position, items) =
            opened.ok_or_else(|| full("this clinic cannot be read just now; come again"))?;
        let retry_ms = 1000 + (4000.0 * crypto::jitter()) as u64;
        let mut first = Vec::new();
        match from {
            None => first.push(event::greeting(retry_ms, Some(position))),
            Some(from) => {
                first.push(event::greeting(retry_ms, None));
                let missed = match from > position {
                    true => None, // of another time, or another server
                    false => {
                        let mut conn = clinic.read().await?;
                        store::missed(&mut conn, from, position, MISSED).await?
                    }
                };
                match missed.filter(|missed| (missed.len() as i64) < MISSED) {
                    None => first.push(event::reset(position)),
                    Some(missed) => {
                        first.extend(Batch::new(missed).seen_by(rights.eyes));
                        first.push(event::beat(position));
                    }
                }
            }
        }
        Ok(Stream::new(place, first, items))
    }
}

fn forget(rooms: &mut HashMap<Uuid, Arc<Room>>, room: &Arc<Room>) {
    if rooms.get(&room.realm()).is_some_and(|there| Arc::ptr_eq(there, room)) {
        rooms.remove(&room.realm());
    }
}

fn full(detail: &'static str) -> Problem {
    Problem::unavailable("unavailable", detail)
}

/// Somebody's seat, until this is dropped.
pub struct Place {
    room: Arc<Room>,
    pub seat: Arc<Seat>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.leave(self.seat.number);
        crate::metrics::LIVE_LISTENERS.dec();
    }
}
