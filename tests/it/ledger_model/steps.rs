//! What each actor may do in a state. `all` is everything, crashes and delays included; `calm` is what still happens
//! once trouble is over: nothing new comes, nobody dies, and everybody takes his next step before time goes on.

use super::model::*;

/// A step as it is told in a trace: who, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deed {
    pub actor: Actor,
    pub what: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    Time,
    Process,
    Producer(u8),
    Worker(u8),
    Row(u8),
}

impl std::fmt::Display for Deed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.actor {
            Actor::Time => write!(f, "{}", self.what),
            Actor::Process => write!(f, "the process {}", self.what),
            Actor::Producer(p) => write!(f, "P{} {}", p + 1, self.what),
            Actor::Worker(w) => write!(f, "W{} {}", w + 1, self.what),
            Actor::Row(r) => write!(f, "row {} {}", r + 1, self.what),
        }
    }
}

/// The states that may follow one, each with the deed that leads there.
pub type Next = Vec<(Deed, State)>;

impl World {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Everything that can happen.
    pub fn all(&self, now: &State, next: &mut Next) {
        next.clear();
        next.push((Deed { actor: Actor::Time, what: "a tick passes" }, self.tick(now)));
        for p in 0..self.producers {
            self.produce(now, p, next);
        }
        for w in 0..self.workers {
            self.look(now, w, next);
        }
        for r in 0..self.rows {
            self.handle(now, r, next);
        }
        self.pay(now, next);
    }

    /// What happens once trouble is over, in whatever order; time goes on only when nobody has a step to take.
    pub fn calm(&self, now: &State, next: &mut Next) {
        next.clear();
        self.pay(now, next);
        for p in 0..self.producers {
            if now.producers[usize::from(p)] != Producer::Idle {
                self.produce(now, p, next);
            }
        }
        for w in 0..self.workers {
            match now.workers[usize::from(w)].step {
                // Not for a sweep: the ledger itself must bring everything home.
                Step::Idle if now.due == 0 => self.lease(now, w, next),
                Step::Idle => {}
                // A worker claims what is due before it asks whether there is more.
                Step::Looking if now.rows.iter().any(claimable) => {
                    for r in 0..self.rows {
                        self.claim(now, r, next);
                    }
                }
                Step::Looking | Step::Asked | Step::Answered => self.ask(now, w, next),
            }
        }
        for r in 0..self.rows {
            if let Row::Held { alive: true, .. } = now.rows[usize::from(r)] {
                self.send(now, r, next);
            }
        }
        if next.is_empty() {
            next.push((Deed { actor: Actor::Time, what: "a tick passes" }, self.tick(now)));
        }
    }

    fn tick(&self, now: &State) -> State {
        let sooner = |time: u8| if time == NEVER { NEVER } else { time.saturating_sub(1) };
        let mut then = *now;
        then.due = sooner(now.due);
        then.backoff = sooner(now.backoff);
        then.lease_left = sooner(now.lease_left);
        if self.has(Flaw::TimeBoundInsteadOfGate) {
            then.hint_age = self.times.bound.min(now.hint_age + 1);
        }
        for row in &mut then.rows {
            *row = match *row {
                Row::Done => Row::Done,
                Row::Queued { due, early } => {
                    Row::Queued { due: sooner(due), early: sooner(early) }
                }
                Row::Held { left, alive } => Row::Held { left: sooner(left), alive },
                Row::Undead { due } => Row::Undead { due: sooner(due) },
            };
        }
        for worker in &mut then.workers {
            worker.promised = sooner(worker.promised);
            if !self.has(Flaw::NextDoesNotAge) {
                worker.next = sooner(worker.next);
            }
        }
        then
    }

    // ── producers ──

    fn produce(&self, now: &State, p: u8, next: &mut Next) {
        let mut add = |what, then: State, producer| {
            let mut then = then;
            then.producers[usize::from(p)] = producer;
            next.push((Deed { actor: Actor::Producer(p), what }, then));
        };
        let gateless = self.has(Flaw::NoGate) || self.has(Flaw::TimeBoundInsteadOfGate);
        match now.producers[usize::from(p)] {
            Producer::Idle => {
                for row in 0..self.rows {
                    for due in [0, self.times.future] {
                        let change = Change { row, due };
                        if gateless || self.has(Flaw::HintBeforeGate) {
                            add("hints", self.hint(now), Producer::HintedOutside(change));
                        } else {
                            add("takes the gate", *now, Producer::Entered(change));
                        }
                    }
                }
            }
            Producer::Entered(change) if self.has(Flaw::HintAfterCommit) => {
                add("commits", commit(now, change), Producer::HintsLate);
                add("aborts, or dies", *now, Producer::Idle);
            }
            Producer::Entered(change) => {
                add("hints", self.hint(now), Producer::Ready(change));
                if self.hints_may_fail {
                    let owing = State { owed: true, ..*now };
                    add("hints in vain", owing, Producer::Owing(change));
                }
                add("aborts, or dies", *now, Producer::Idle);
            }
            Producer::HintedOutside(change) if self.has(Flaw::HintBeforeGate) => {
                add("takes the gate", *now, Producer::Ready(change));
                add("aborts, or dies", *now, Producer::Idle);
            }
            Producer::Ready(change) | Producer::Owing(change) | Producer::HintedOutside(change) => {
                add("commits", commit(now, change), Producer::Idle);
                add("aborts, or dies", *now, Producer::Idle);
            }
            Producer::HintsLate => {
                add("hints", self.hint(now), Producer::Idle);
                add("dies", *now, Producer::Idle);
            }
        }
    }

    /// H. It may come at any moment of a look: whoever read `hints` before it sees another number from now on.
    fn hint(&self, now: &State) -> State {
        let mut then = *now;
        then.due = now.due.min(self.times.grace);
        then.backoff = 0;
        then.hint_age = 0;
        for worker in &mut then.workers {
            worker.fresh = false;
        }
        then
    }

    fn pay(&self, now: &State, next: &mut Next) {
        if now.owed {
            let then = State { owed: false, ..self.hint(now) };
            next.push((Deed { actor: Actor::Process, what: "makes the hint it owes" }, then));
        }
    }

    // ── workers ──

    fn look(&self, now: &State, w: u8, next: &mut Next) {
        let worker = now.workers[usize::from(w)];
        if worker.step == Step::Idle {
            // Whether due or not: a sweep may come at any time.
            self.lease(now, w, next);
            return;
        }
        self.heartbeat(now, w, next);
        self.ask(now, w, next);

        let mut gone = at(now, w, AT_HOME);
        if now.token_of == Some(w) {
            gone.token_of = None; // nobody has that token any more, and the lease still runs
        }
        next.push((Deed { actor: Actor::Worker(w), what: "dies, or drops the look" }, gone));

        let mut unreached = at(now, w, AT_HOME);
        if now.token_of == Some(w) {
            unreached = release(unreached);
            unreached.due = self.times.backoff;
            unreached.backoff = self.times.backoff;
        }
        next.push((
            Deed { actor: Actor::Worker(w), what: "cannot reach the clinic: F" },
            unreached,
        ));
    }

    /// L
    fn lease(&self, now: &State, w: u8, next: &mut Next) {
        if now.lease_left > 0 {
            return;
        }
        let bounded = self.has(Flaw::TimeBoundInsteadOfGate);
        let worker = Worker {
            step: Step::Looking,
            fresh: !bounded || now.hint_age == self.times.bound,
            promised: self.times.clinic_lease,
            ..AT_HOME
        };
        let mut then = at(now, w, worker);
        then.lease_left = self.times.clinic_lease;
        then.token_of = Some(w);
        if self.has(Flaw::LeaseClearsDue) {
            then.due = NEVER;
        }
        next.push((Deed { actor: Actor::Worker(w), what: "leases the clinic: L" }, then));
    }

    /// B. Its `hints` count until G2 has run, and never after.
    fn heartbeat(&self, now: &State, w: u8, next: &mut Next) {
        let mut worker = now.workers[usize::from(w)];
        let deed = Deed { actor: Actor::Worker(w), what: "sends a heartbeat: B" };
        if now.token_of != Some(w) {
            next.push((deed, at(now, w, AT_HOME)));
            return;
        }
        let bounded = self.has(Flaw::TimeBoundInsteadOfGate);
        let may_read = worker.step == Step::Looking || self.has(Flaw::HintsReadAfterGate);
        worker.fresh |= may_read && !bounded;
        worker.promised = self.times.clinic_lease;
        let mut then = at(now, w, worker);
        then.lease_left = self.times.clinic_lease;
        next.push((deed, then));
    }

    /// G2, then N, then W.
    fn ask(&self, now: &State, w: u8, next: &mut Next) {
        let scan_first = self.has(Flaw::ScanBeforeGate);
        let mut worker = now.workers[usize::from(w)];
        let (what, then) = match (worker.step, scan_first) {
            (Step::Idle, _) => return,
            (Step::Looking, false) | (Step::Asked, true) => {
                worker.gate_free = self.gate_free(now);
                ("asks at the gate: G2", None)
            }
            (Step::Asked, false) | (Step::Looking, true) => {
                worker.next = self.scan(now);
                ("asks what is next: N", None)
            }
            (Step::Answered, _) => ("writes back: W", Some(self.write_back(now, w))),
        };
        worker.step = if worker.step == Step::Looking { Step::Asked } else { Step::Answered };
        let then = then.unwrap_or_else(|| at(now, w, worker));
        next.push((Deed { actor: Actor::Worker(w), what }, then));
    }

    fn gate_free(&self, now: &State) -> bool {
        !now.producers.iter().any(|producer| {
            matches!(producer, Producer::Entered(_) | Producer::Ready(_) | Producer::Owing(_))
        })
    }

    fn scan(&self, now: &State) -> u8 {
        let effective = |row: &Row| match *row {
            Row::Queued { due, .. } | Row::Undead { due } => due,
            Row::Held { left, .. } if !self.has(Flaw::ScanSkipsLeasedRows) => left,
            Row::Held { .. } | Row::Done => NEVER,
        };
        now.rows.iter().map(effective).min().unwrap_or(NEVER)
    }

    fn write_back(&self, now: &State, w: u8) -> State {
        let worker = now.workers[usize::from(w)];
        let home = at(now, w, AT_HOME);
        if now.token_of != Some(w) && !self.has(Flaw::WriteBackWithoutToken) {
            return home;
        }
        let quiet = worker.gate_free && (worker.fresh || self.has(Flaw::HintsNotCompared));
        let next = match worker.next {
            NEVER if self.has(Flaw::NothingNextIsNow) => 0,
            next => next,
        };
        let mut then = release(home);
        then.due = if quiet { next } else { next.min(self.times.grace) };
        then.backoff = 0;
        then
    }

    // ── rows, and those who hold them ──

    /// Rows are claimed by workers, right after a commit, and by the timers of retries: by anybody, at any time.
    fn handle(&self, now: &State, r: u8, next: &mut Next) {
        self.claim(now, r, next);
        let mut add = |what, row| {
            let mut then = *now;
            then.rows[usize::from(r)] = row;
            next.push((Deed { actor: Actor::Row(r), what }, then));
        };
        let future = self.times.future;
        let effective = match now.rows[usize::from(r)] {
            Row::Done | Row::Undead { .. } => return,
            Row::Queued { due, .. } => due,
            Row::Held { left, alive } => {
                if alive {
                    add("is put back, to be tried again", self.put_back(left));
                    add("is left by its sender, which dies", Row::Held { left, alive: false });
                    let left = self.times.row_lease;
                    add("is kept by its sender", Row::Held { left, alive });
                }
                left
            }
        };
        let undead = Row::Undead { due: effective };
        let withdrawn = if self.has(Flaw::WithdrawnNotDone) { undead } else { Row::Done };
        add("is withdrawn", withdrawn);
        if effective < future {
            add("is moved later", Row::Queued { due: future, early: 0 });
        }
        if let Row::Held { alive: true, .. } = now.rows[usize::from(r)] {
            self.send(now, r, next);
        }
    }

    fn put_back(&self, left: u8) -> Row {
        // The holder's own timer tries again; if the process dies first, the wake-up stands at the end of the lease.
        Row::Queued { due: self.times.retry, early: left }
    }

    fn claim(&self, now: &State, r: u8, next: &mut Next) {
        if claimable(&now.rows[usize::from(r)]) {
            let mut then = *now;
            then.rows[usize::from(r)] = Row::Held { left: self.times.row_lease, alive: true };
            next.push((Deed { actor: Actor::Row(r), what: "is claimed" }, then));
        }
    }

    fn send(&self, now: &State, r: u8, next: &mut Next) {
        let mut then = *now;
        then.rows[usize::from(r)] = Row::Done;
        next.push((Deed { actor: Actor::Row(r), what: "is sent" }, then));
    }
}

fn claimable(row: &Row) -> bool {
    matches!(row, Row::Queued { due: 0, .. } | Row::Held { left: 0, .. })
}

/// Puts the row, or moves it; a sender that holds it loses it.
fn commit(now: &State, change: Change) -> State {
    let mut then = *now;
    then.rows[usize::from(change.row)] = Row::Queued { due: change.due, early: 0 };
    then
}

fn at(now: &State, w: u8, worker: Worker) -> State {
    let mut then = *now;
    then.workers[usize::from(w)] = worker;
    then
}

fn release(now: State) -> State {
    State { lease_left: 0, token_of: None, ..now }
}
