//! A clinic that somebody watches on this instance. Its task reads what has been committed, once for all who listen, and asks
//! as often as it must whether they still may. It ends when the last of them has left.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use uuid::Uuid;

use super::cursor::Cursor;
use super::event::{Batch, End, Rights, beat};
use super::hub::Live;
use super::store;
use crate::auth::sessions;
use crate::error::Problem;
use crate::ids::{AccountId, SessionId};
use crate::tenancy::directory::Closed;
use crate::tenancy::freshness::{Freshness, Stamp};
use crate::tenancy::{Clinic, Realm};

/// Between two looks into the database, however often it rings.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is asked whether everybody still may listen. No database is, while notices arrive.
const TICK: Duration = Duration::from_millis(100);
/// So often somebody is told that there is nothing new, and the rights of all are read again …
const BEAT: Duration = Duration::from_secs(15);
/// … and so often a session's rights although no notice came.
const REREAD: Duration = Duration::from_secs(60);
/// After trouble, and while an older transaction holds things up, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Events that are read at once.
const BATCH: i64 = 200;
/// How many looks a client may be behind before its stream ends.
const BEHIND: usize = 128;

/// What all who listen get.
#[derive(Clone)]
pub enum Item {
    News(Arc<Batch>),
    Beat(Bytes),
    /// Somebody's seat has been taken away: look whether it is yours.
    Look,
}

/// One who listens.
pub struct Seat {
    pub number: u64,
    pub session: SessionId,
    pub rights: Rights,
    /// When the stream has lasted long enough.
    pub renew_at: Instant,
    over: OnceLock<End>,
}

impl Seat {
    pub fn new(number: u64, session: SessionId, rights: Rights, renew_at: Instant) -> Arc<Self> {
        Arc::new(Self { number, session, rights, renew_at, over: OnceLock::new() })
    }

    /// Why it is no longer his.
    pub fn over(&self) -> Option<End> {
        self.over.get().copied()
    }

    fn take_away(&self, why: End) {
        let _first_reason_stays = self.over.set(why);
    }
}

struct Inside {
    seats: HashMap<u64, Arc<Seat>>,
    /// How far has been read, for all who came before.
    position: Option<Cursor>,
}

/// One clinic's listeners on this instance.
pub struct Room {
    realm: Uuid,
    slug: String,
    items: broadcast::Sender<Item>,
    inside: Mutex<Inside>,
    /// True once there is a position, or there will be none.
    is_open: watch::Sender<bool>,
}

impl Room {
    pub fn of(clinic: &Clinic) -> Arc<Self> {
        Arc::new(Self {
            realm: clinic.realm.id,
            slug: clinic.slug.clone(),
            items: broadcast::Sender::new(BEHIND),
            inside: Mutex::new(Inside { seats: HashMap::new(), position: None }),
            is_open: watch::Sender::new(false),
        })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn realm(&self) -> Uuid {
        self.realm
    }

    pub fn seats(&self) -> usize {
        self.inside().seats.len()
    }

    pub fn seats_of(&self, account: AccountId) -> usize {
        self.inside().seats.values().filter(|seat| seat.rights.account == account).count()
    }

    pub fn sit(&self, seat: Arc<Seat>) {
        self.inside().seats.insert(seat.number, seat);
    }

    pub fn leave(&self, number: u64) {
        self.inside().seats.remove(&number);
    }

    /// Everything from here on, and where "here" is. None: the task ended before it could look.
    pub async fn listen(&self) -> Option<(Cursor, broadcast::Receiver<Item>)> {
        self.is_open.subscribe().wait_for(|open| *open).await.ok()?;
        let inside = self.inside();
        Some((inside.position?, self.items.subscribe()))
    }

    /// Takes seats away, and wakes whose they were.
    fn end(&self, why: End, whose: impl Fn(&Seat) -> bool) {
        let mut inside = self.inside();
        let before = inside.seats.len();
        inside.seats.retain(|_, seat| {
            let goes = whose(seat);
            if goes {
                seat.take_away(why);
            }
            !goes
        });
        if inside.seats.len() < before {
            let _nobody_is_there = self.items.send(Item::Look);
        }
    }

    fn end_all(&self, why: End) {
        self.end(why, |_| true);
    }

    /// Runs until nobody listens any more, the clinic closes, or this process is told to stop.
    pub async fn run(self: Arc<Self>, live: Arc<Live>, clinic: Arc<Clinic>) {
        let room = Running { live: &live, room: &self };
        let Some(bell) = clinic.bell.as_ref().map(|bell| bell.hang()) else { return };
        let freshness = live.freshness();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trust = None;
        let mut reading = Reading::new();
        loop {
            tokio::select! {
                biased;
                () = live.stopping() => return self.end_all(End::Restart),
                // What rings while a look is due anyway is seen by it.
                () = bell.rung(), if reading.due > reading.last + PAUSE => {}
                () = sleep_until(reading.due) => {}
                _ = ticks.tick() => {}
            }
            if room.is_over() {
                return;
            }
            let clinic = match live.clinic(&self.slug).await {
                Ok(clinic) if clinic.realm.id == self.realm => clinic,
                // Nobody knows about the clinic just now: who listened may come again.
                Err(Closed::CentralDown | Closed::Broken) => return self.end_all(End::Broken),
                _ => return self.end_all(End::Clinic),
            };
            let now = Instant::now();
            self.end(End::Renew, |seat| seat.renew_at <= now);
            if now < reading.not_before {
                continue;
            }
            // Rights first: who has none any more hears nothing of what comes next.
            if !self.still_may(freshness, &clinic, &mut trust).await {
                reading.put_off();
                continue;
            }
            if reading.stamp.is_some_and(|stamp| !freshness.stands(self.news(), stamp)) {
                reading.due = reading.due.min(reading.last + PAUSE);
            }
            if Instant::now() >= reading.due {
                reading.stamp = Some(freshness.stamp(self.news()));
                match self.look(&clinic).await {
                    Ok(Found::Whole) => reading.rest(),
                    Ok(Found::More) => reading.go_on(),
                    Ok(Found::HeldUp) => reading.wait(),
                    Err(problem) => {
                        tracing::debug!(realm = %self.realm, %problem, "cannot look what is new");
                        reading.put_off();
                    }
                }
                if reading.beat <= reading.last {
                    self.beat(&mut reading);
                }
            }
        }
    }

    fn news(&self) -> (&'static str, Uuid) {
        ("news", self.realm)
    }

    /// Asks for all sessions at once, when what was known of them no longer stands. False: nobody knows just now.
    async fn still_may(
        &self,
        freshness: &Freshness,
        realm: &Realm,
        trust: &mut Option<Stamp>,
    ) -> bool {
        let key = ("sessions", self.realm);
        if trust.is_some_and(|stamp: Stamp| freshness.stands(key, stamp) && stamp.age() < REREAD) {
            return true;
        }
        let stamp = freshness.stamp(key); // before the seats are counted: who sits down later is looked at by himself
        let sessions: Vec<SessionId> =
            self.inside().seats.values().map(|seat| seat.session).collect();
        let rights = match rights_of(realm, &sessions).await {
            Ok(rights) => rights,
            Err(problem) => {
                tracing::debug!(realm = %self.realm, %problem, "cannot ask who may still listen");
                return false;
            }
        };
        let asked: HashSet<SessionId> = sessions.into_iter().collect();
        self.end(End::Session, |seat| {
            asked.contains(&seat.session) && rights.get(&seat.session) != Some(&seat.rights)
        });
        *trust = Some(stamp);
        true
    }

    /// Reads what is new, and tells it.
    async fn look(&self, realm: &Realm) -> Result<Found, Problem> {
        let position = self.inside().position;
        let mut conn = realm.read().await?;
        let look = store::look(&mut conn, position.unwrap_or(Cursor::END), BATCH).await?;
        drop(conn);
        let found = match look.events.len() as i64 {
            BATCH => Found::More,
            _ if look.is_held_up => Found::HeldUp,
            _ => Found::Whole,
        };
        let last = look.events.last().map(|event| event.at_cursor);
        let to = match found {
            Found::More => last.unwrap_or(look.horizon),
            // A horizon does not go back, but snapshots of two statements need not come in their order.
            _ => position.map_or(look.horizon, |position| position.max(look.horizon)),
        };
        let batch = (!look.events.is_empty()).then(|| Arc::new(Batch::new(look.events)));
        let mut inside = self.inside();
        inside.position = Some(to);
        if let Some(batch) = batch {
            let _nobody_is_there = self.items.send(Item::News(batch));
        }
        drop(inside);
        self.is_open.send_replace(true);
        Ok(found)
    }

    fn beat(&self, reading: &mut Reading) {
        let inside = self.inside();
        if let Some(position) = inside.position {
            let _nobody_is_there = self.items.send(Item::Beat(beat(position)));
        }
        reading.beat = reading.last + BEAT;
    }
}

/// The sessions that are alive, and what each may.
async fn rights_of(
    realm: &Realm,
    sessions: &[SessionId],
) -> Result<HashMap<SessionId, Rights>, Problem> {
    let live = sessions::live_among(realm, sessions).await?;
    let rights =
        live.into_iter().filter(|(_, row)| !row.must_enrol).filter_map(|(session, row)| {
            Some((session, Rights::of(row.role, row.account, row.patient)?))
        });
    Ok(rights.collect())
}

/// What a look came to.
enum Found {
    Whole,
    /// As much as is read at once: there may be more.
    More,
    /// Something newer waits for an older transaction.
    HeldUp,
}

/// When to look next.
struct Reading {
    due: Instant,
    last: Instant,
    pause: Duration,
    beat: Instant,
    /// After trouble.
    not_before: Instant,
    stamp: Option<Stamp>,
}

impl Reading {
    /// At once.
    fn new() -> Self {
        let now = Instant::now();
        Self { due: now, last: now, pause: PAUSE, beat: now + BEAT, not_before: now, stamp: None }
    }

    /// When it rings, or to say that nothing has happened.
    fn rest(&mut self) {
        (self.last, self.pause) = (Instant::now(), PAUSE);
        self.due = if self.beat > self.last { self.beat } else { self.last + BEAT };
    }

    fn go_on(&mut self) {
        (self.last, self.pause) = (Instant::now(), PAUSE);
        self.due = self.last + PAUSE;
    }

    /// Soon, then less soon.
    fn wait(&mut self) {
        self.last = Instant::now();
        self.due = self.last + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    fn put_off(&mut self) {
        self.last = Instant::now();
        self.due = self.last + LONGEST_PAUSE;
        self.not_before = self.due;
    }
}

/// Leaves no seat behind that nobody looks after, however the task ends.
struct Running<'r> {
    live: &'r Live,
    room: &'r Arc<Room>,
}

impl Running<'_> {
    /// Nobody is left, and nobody can come in any more.
    fn is_over(&self) -> bool {
        self.live.close_if_empty(self.room)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.live.close(self.room);
        self.room.end_all(End::Broken); // those who have a reason keep it
        self.room.is_open.send_replace(true); // and who waits for a position need not
    }
}
