//! The books of one server: how many connections each pool has, which lie idle and since when, who waits.
//! Decides, and does nothing itself: what must be done comes out as deeds, to be done once the lock is released.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::budget::{LaneId, ServerFigures};
use super::conn::Conn;
use super::connect::Link;
use super::lane::{Lane, Waiter};
use super::{AcquireError, PoolFigures, PoolInner};

/// How often in a row a pool may hand a connection to its own next caller while other pools wait for a permit. Giving it up
/// costs a close and a connect, some ten short reads' worth; so this halves the throughput at worst, and the others wait for
/// this many uses at most.
const OWN_TURNS: u32 = 8;

/// A connection that has lain idle for so long is anybody's. One that has not will be wanted again by its own pool at once, and
/// to take it would cost both pools a connect: ten busy clinics then did a quarter of what one did.
const NOBODYS_AFTER: Duration = Duration::from_secs(1);

/// Something to do without the lock.
pub(super) enum Deed {
    /// A permit is taken: connect for this pool.
    Connect(Arc<PoolInner>),
    SeeOff(LaneId, Link),
}

struct Parked {
    lane: LaneId,
    link: Link,
    since: Instant,
}

pub(super) struct Desk {
    free: usize,
    closing: usize,
    /// Pools of which a caller has a connection.
    busy: usize,
    lanes: HashMap<LaneId, Lane>,
    /// All idle connections of the server, the one idle longest first.
    idle: BTreeMap<u64, Parked>,
    /// Pools with callers in the queue, in the order of their turns.
    turns: VecDeque<LaneId>,
    next_id: u64,
    /// What has been counted; the rest of it is filled in when asked for.
    pub(super) counted: ServerFigures,
}

impl Desk {
    pub(super) fn new(permits: usize) -> Desk {
        Desk {
            free: permits,
            closing: 0,
            busy: 0,
            lanes: HashMap::new(),
            idle: BTreeMap::new(),
            turns: VecDeque::new(),
            next_id: 0,
            counted: ServerFigures { budget: permits, ..ServerFigures::default() },
        }
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn add_lane(&mut self, lane: Lane) -> LaneId {
        let id = LaneId(self.new_id());
        self.lanes.insert(id, lane);
        id
    }

    /// Moves permits to another desk's share.
    pub(super) fn set_aside(&mut self, permits: usize) -> bool {
        let enough = self.free > permits;
        if enough {
            self.free -= permits;
            self.counted.budget -= permits;
        }
        enough
    }

    /// The pool's idle connection used last, if it is the caller's turn; else why there is none to wait for.
    pub(super) fn take_idle(
        &mut self,
        id: LaneId,
        now: Instant,
    ) -> Result<Option<Link>, AcquireError> {
        let Some(lane) = self.lanes.get_mut(&id).filter(|lane| !lane.closed) else {
            return Err(AcquireError::Closed);
        };
        lane.used_at = now;
        if lane.waiters.is_empty()
            && lane.may_go(1, self.busy, now) > 0
            && let Some(key) = lane.stash.pop_back()
        {
            self.recount(id);
            return Ok(self.idle.remove(&key).map(|parked| parked.link));
        }
        lane.hopeless(now).map_or(Ok(None), Err)
    }

    pub(super) fn enqueue(
        &mut self,
        id: LaneId,
        since: Instant,
        answer: oneshot::Sender<Result<Conn, AcquireError>>,
    ) -> u64 {
        let ticket = self.new_id();
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.waiters.push_back(Waiter { ticket, since, answer });
            if !lane.queued {
                lane.queued = true;
                self.turns.push_back(id);
            }
        }
        ticket
    }

    pub(super) fn leave_queue(&mut self, id: LaneId, ticket: u64) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.waiters.retain(|waiter| waiter.ticket != ticket);
        }
    }

    /// Gives idle connections to those who wait for them and free permits to pools in turn, then makes room for those that
    /// still wait.
    pub(super) fn serve(&mut self, now: Instant, deeds: &mut Vec<Deed>) {
        for turn in 0..self.turns.len() {
            self.hand_out(self.turns[turn], now);
        }
        let mut passed_over = 0;
        while self.free > 0 && passed_over < self.turns.len() {
            let Some(id) = self.turns.pop_front() else { break };
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            if lane.waiters.is_empty() {
                lane.queued = false;
                continue;
            }
            self.turns.push_back(id);
            // A caller in the queue keeps its pool alive.
            if lane.wants(self.busy, now) > 0
                && let Some(pool) = lane.pool.upgrade()
            {
                self.free -= 1;
                lane.open += 1;
                lane.connecting += 1;
                deeds.push(Deed::Connect(pool));
                passed_over = 0;
            } else {
                passed_over += 1;
            }
        }
        if self.free == 0 {
            self.make_room(now, deeds);
        }
    }

    /// Sees off idle connections, the one idle longest first, for pools that wait and may have their place.
    fn make_room(&mut self, now: Instant, deeds: &mut Vec<Deed>) {
        let mut coming = self.closing;
        for turn in 0..self.turns.len() {
            let id = self.turns[turn];
            let wants = self.lanes.get(&id).map_or(0, |lane| lane.wants(self.busy, now));
            for _ in 0..wants {
                if coming > 0 {
                    coming -= 1;
                    continue;
                }
                let Some(key) = self.victim_of(id, now) else { break };
                let Some(parked) = self.idle.remove(&key) else { break };
                self.counted.evicted += 1;
                self.forget_stashed(&parked);
                self.see_off(parked.lane, parked.link, now, deeds);
            }
        }
    }

    fn victim_of(&self, id: LaneId, now: Instant) -> Option<u64> {
        let taker = self.lanes.get(&id)?;
        let may_go = |parked: &Parked| {
            now - parked.since >= NOBODYS_AFTER
                || self.lanes.get(&parked.lane).is_none_or(|giver| taker.may_take_from(giver, now))
        };
        self.idle.iter().find(|(_, parked)| may_go(parked)).map(|(key, _)| *key)
    }

    /// Permits that other pools could use at once, and may have of this one.
    fn wanted_of(&self, giver: LaneId, now: Instant) -> usize {
        let Some(giving) = self.lanes.get(&giver) else { return 0 };
        let others = self.turns.iter().filter(|id| **id != giver);
        others
            .filter_map(|id| self.lanes.get(id))
            .filter(|lane| lane.may_take_from(giving, now))
            .map(|lane| lane.wants(self.busy, now))
            .sum()
    }

    fn forget_stashed(&mut self, parked: &Parked) {
        // The oldest of all is the oldest of its pool; the reaper may take others.
        if let Some(lane) = self.lanes.get_mut(&parked.lane) {
            let idle = &self.idle;
            lane.stash.retain(|key| idle.contains_key(key));
        }
    }

    /// A connection fit for use: to the pool's next caller, to make room for another pool, or to lie idle.
    pub(super) fn place(
        &mut self,
        pool: &Arc<PoolInner>,
        link: Link,
        now: Instant,
        deeds: &mut Vec<Deed>,
    ) {
        let others_wait = !self.turns.is_empty() && self.wanted_of(pool.lane, now) > self.closing;
        let Some(lane) = self.lanes.get_mut(&pool.lane) else { return };
        let yields = others_wait && (lane.own_turns >= OWN_TURNS || lane.waiters.is_empty());
        if lane.closed || yields {
            lane.own_turns = 0;
            self.counted.evicted += u64::from(yields);
            self.see_off(pool.lane, link, now, deeds);
            return;
        }
        lane.own_turns = if others_wait { lane.own_turns + 1 } else { 0 };
        lane.used_at = now;
        self.park(pool.lane, link, now);
        self.hand_out(pool.lane, now);
        self.recount(pool.lane);
        // Its own callers may have to wait for it yet, and others must not wait for them.
        if others_wait && self.free == 0 {
            self.make_room(now, deeds);
        }
    }

    /// After a caller was given a connection of the pool, or has given one back.
    fn recount(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        match (lane.busy, lane.in_use() > 0) {
            (false, true) => self.busy += 1,
            (true, false) => self.busy -= 1,
            _ => return,
        }
        lane.busy = !lane.busy;
    }

    fn park(&mut self, id: LaneId, link: Link, now: Instant) {
        let key = self.new_id();
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.stash.push_back(key);
            self.idle.insert(key, Parked { lane: id, link, since: now });
        }
    }

    /// Gives a pool's idle connections, the one used last first, to its callers who may go.
    fn hand_out(&mut self, id: LaneId, now: Instant) {
        loop {
            let Some(lane) = self.lanes.get_mut(&id) else { return };
            if lane.may_go(lane.waiters.len(), self.busy, now) == 0 {
                return;
            }
            // A caller in the queue keeps its pool alive, and so does a connection: neither can go while we hold the lock.
            let Some(pool) = lane.pool.upgrade() else { return };
            let Some(parked) = lane.stash.pop_back().and_then(|key| self.idle.remove(&key)) else {
                return;
            };
            let Some(waiter) = lane.waiters.pop_front() else { return };
            let unheard = waiter.answer.send(Ok(Conn::idle(pool, parked.link))).err();
            if let Some(link) = unheard.and_then(Result::ok).and_then(|mut conn| conn.take_link()) {
                self.park(id, link, now);
            }
            self.recount(id);
        }
    }

    /// Closes a connection; its permit is free when the backend has gone.
    pub(super) fn see_off(&mut self, id: LaneId, link: Link, now: Instant, deeds: &mut Vec<Deed>) {
        self.closing += 1;
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.closing += 1;
            if let Some(error) = lane.hopeless(now) {
                lane.dismiss(&error);
            }
        }
        self.recount(id);
        deeds.push(Deed::SeeOff(id, link));
    }

    pub(super) fn departed(&mut self, id: LaneId, now: Instant, deeds: &mut Vec<Deed>) {
        self.closing -= 1;
        self.counted.closed += 1;
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.closing -= 1;
        }
        self.release(id);
        self.serve(now, deeds);
    }

    fn release(&mut self, id: LaneId) {
        self.free += 1;
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.open -= 1;
            if lane.closed && lane.open == 0 {
                self.lanes.remove(&id);
            }
        }
    }

    pub(super) fn connected(
        &mut self,
        pool: &Arc<PoolInner>,
        link: Link,
        now: Instant,
        deeds: &mut Vec<Deed>,
    ) {
        self.counted.opened += 1;
        if let Some(lane) = self.lanes.get_mut(&pool.lane) {
            lane.connecting -= 1;
            lane.breaker.succeeded();
        }
        self.place(pool, link, now, deeds);
        // The first success lets the others of its pool connect too.
        self.serve(now, deeds);
    }

    pub(super) fn connect_failed(
        &mut self,
        id: LaneId,
        error: AcquireError,
        now: Instant,
        deeds: &mut Vec<Deed>,
    ) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.connecting -= 1;
        }
        self.release(id);
        self.note_failure(id, error, now);
        self.serve(now, deeds);
    }

    pub(super) fn refuses(&self, id: LaneId, now: Instant) -> bool {
        self.lanes.get(&id).is_some_and(|lane| lane.breaker.refuses(now).is_some())
    }

    /// Trips the pool's breaker, also where the permit stays with its holder.
    pub(super) fn note_failure(&mut self, id: LaneId, error: AcquireError, now: Instant) {
        self.counted.failed += 1;
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.breaker.failed(error, now);
            if let Some(error) = lane.hopeless(now) {
                lane.dismiss(&error);
            }
        }
    }

    pub(super) fn close_lane(&mut self, id: LaneId, now: Instant, deeds: &mut Vec<Deed>) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.closed = true;
        lane.dismiss(&AcquireError::Closed);
        let stash = std::mem::take(&mut lane.stash);
        if lane.open == 0 {
            self.lanes.remove(&id);
        }
        for parked in stash.iter().filter_map(|key| self.idle.remove(key)).collect::<Vec<_>>() {
            self.see_off(id, parked.link, now, deeds);
        }
    }

    /// Closes what has been idle or open for long enough, and looks again at breakers whose time is up.
    pub(super) fn reap(&mut self, now: Instant, deeds: &mut Vec<Deed>) {
        let lanes = &self.lanes;
        let due = self.idle.extract_if(.., |_, parked| {
            let limit = lanes.get(&parked.lane).map_or(Duration::ZERO, |lane| lane.idle_limit);
            parked.link.retire_at <= now || now - parked.since >= limit
        });
        for parked in due.map(|(_, parked)| parked).collect::<Vec<_>>() {
            self.forget_stashed(&parked);
            self.see_off(parked.lane, parked.link, now, deeds);
        }
        self.serve(now, deeds);
    }

    pub(super) fn figures(&self) -> ServerFigures {
        ServerFigures {
            open: self.counted.budget - self.free,
            idle: self.idle.len(),
            waiting: self.lanes.values().map(|lane| lane.waiters.len()).sum(),
            ..self.counted
        }
    }

    pub(super) fn lane_figures(&self, id: LaneId, now: Instant) -> PoolFigures {
        self.lanes.get(&id).map_or_else(PoolFigures::default, |lane| PoolFigures {
            open: lane.open,
            idle: lane.stash.len(),
            waiting: lane.waiters.len(),
            unused_for: now - lane.used_at,
        })
    }
}
