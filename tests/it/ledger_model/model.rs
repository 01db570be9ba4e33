//! The wake-up ledger as a machine of small atomic steps: one clinic, its outbox, those who write to it and those who
//! look after it. Times are whole ticks counted from now, and what is past is 0: so the states are finite though time
//! never ends. A hint counter is only ever compared, so each worker keeps the answer (`fresh`) instead of the number.

/// No wake-up, or nothing to wait for: PostgreSQL's `infinity`, and `null` from N.
pub const NEVER: u8 = 7;

/// How long things last, in ticks. Safety needs no relation between them, so tests try several.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub grace: u8,
    pub clinic_lease: u8,
    pub row_lease: u8,
    pub future: u8,
    pub retry: u8,
    pub backoff: u8,
    /// Only for the protocol that trusts a time bound instead of the gate.
    pub bound: u8,
}

/// An element of the protocol that is left out or changed, to see what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    HintAfterCommit,
    NoGate,
    HintBeforeGate,
    ScanBeforeGate,
    HintsNotCompared,
    HintsReadAfterGate,
    ScanSkipsLeasedRows,
    LeaseClearsDue,
    WriteBackWithoutToken,
    WithdrawnNotDone,
    TimeBoundInsteadOfGate,
    /// W adds N's answer to the time it arrives, as if no time had passed since N.
    NextDoesNotAge,
    /// `greatest($5, interval '0')` in W: for PostgreSQL that is `'0'` when nothing is next.
    NothingNextIsNow,
}

/// Who takes part, and by which rules.
#[derive(Clone, Copy, Debug)]
pub struct World {
    pub rows: u8,
    pub producers: u8,
    pub workers: u8,
    pub times: Times,
    /// The central database may fail to answer a hint: then the change commits all the same, and its process owes it.
    pub hints_may_fail: bool,
    pub flaw: Option<Flaw>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Not there, or `done_at` is set. The next insert uses the same slot.
    Done,
    /// `early`: until when a wake-up may still be missing, because its holder put it back before its lease ended.
    Queued { due: u8, early: u8 },
    /// Claimed, and so due. Whose process died (`!alive`) can only be waited for.
    Held { left: u8, alive: bool },
    /// Withdrawn without `done_at` (a flaw): nobody sends it, N still sees it.
    Undead { due: u8 },
}

/// A transaction that puts a row or moves it, to be due at `due`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub row: u8,
    pub due: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Producer {
    Idle,
    /// Inside the gate, hint not yet made.
    Entered(Change),
    /// Inside the gate, hint answered: may commit.
    Ready(Change),
    /// Inside the gate, hint failed: its process owes it, and it may commit.
    Owing(Change),
    /// Hinted without the gate (a flaw).
    HintedOutside(Change),
    /// Committed, and only now about to hint (a flaw).
    HintsLate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Idle,
    /// L has run: may claim, send and send heartbeats.
    Looking,
    /// The first of G2 and N has run.
    Asked,
    /// Both have run: W comes next.
    Answered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    pub step: Step,
    /// `hints` is still the number that this worker read.
    pub fresh: bool,
    /// What G2 said.
    pub gate_free: bool,
    /// What N said.
    pub next: u8,
    /// How long central promised it to be alone. Kept to see that the promise is held; no step reads it.
    pub promised: u8,
}

pub const AT_HOME: Worker =
    Worker { step: Step::Idle, fresh: false, gate_free: false, next: 0, promised: 0 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// `wakeups.due_at`
    pub due: u8,
    /// How long F may still hold the wake-up back.
    pub backoff: u8,
    /// `wakeups.leased_until`, and which worker's token is in `lease_token`.
    pub lease_left: u8,
    pub token_of: Option<u8>,
    /// Some process owes a hint.
    pub owed: bool,
    /// Time since the newest hint, up to the bound. Only for the time bound.
    pub hint_age: u8,
    pub rows: [Row; 2],
    pub producers: [Producer; 2],
    pub workers: [Worker; 2],
}

impl State {
    pub const START: State = State {
        due: NEVER,
        backoff: 0,
        lease_left: 0,
        token_of: None,
        owed: false,
        hint_age: 0,
        rows: [Row::Done; 2],
        producers: [Producer::Idle; 2],
        workers: [AT_HOME; 2],
    };

    /// Everything handed over, everybody at home, and no reason to look.
    pub fn at_rest(&self) -> bool {
        self.due == NEVER
            && !self.owed
            && self.rows.iter().all(|row| *row == Row::Done)
            && self.everybody_is_home()
    }

    pub fn everybody_is_home(&self) -> bool {
        self.producers.iter().all(|producer| *producer == Producer::Idle)
            && self.workers.iter().all(|worker| worker.step == Step::Idle)
    }

    /// What breaks the protocol's promises in this state, if anything.
    pub fn fault(&self, times: &Times) -> Option<Fault> {
        // Nobody is left who knows of the row, and no wake-up: only a sweep would find it. (Who put a row back early
        // has a timer running for it.)
        let forgotten = |row: &Row| {
            matches!(row, Row::Queued { early: 0, .. } | Row::Held { alive: false, .. })
        };
        if self.due == NEVER
            && !self.owed
            && self.everybody_is_home()
            && self.rows.iter().any(forgotten)
        {
            return Some(Fault::Lost);
        }
        if self.workers.iter().all(|worker| worker.promised > 0) {
            return Some(Fault::TwoAtOnce);
        }
        // A process that owes a hint lives, and makes it; until then the wake-up may be missing.
        if self.owed {
            return None;
        }
        let allowed = times.grace.max(self.backoff);
        let late_for_row = |row: &Row| match *row {
            Row::Queued { due, early } => self.due > allowed.max(due).max(early),
            Row::Held { left, .. } => self.due > allowed.max(left),
            Row::Done | Row::Undead { .. } => false,
        };
        let hint_deleted = |producer: &Producer| match producer {
            Producer::Ready(_) => self.due > allowed,
            _ => false,
        };
        if self.rows.iter().any(late_for_row) || self.producers.iter().any(hint_deleted) {
            return Some(Fault::Late);
        }
        None
    }

    /// The state as a number, each part in bits of its own. States that differ only in who is called first (of two
    /// producers, workers or rows) get the same number: what can follow is the same, and need not be walked twice.
    pub fn key(&self) -> u64 {
        let [first, second] = self.rows;
        if first == second && self.producers.iter().all(|producer| producer.row() == 0) {
            return self.key_with_rows([0, 1]);
        }
        self.key_with_rows([0, 1]).min(self.key_with_rows([1, 0]))
    }

    fn key_with_rows(&self, order: [u8; 2]) -> u64 {
        let mut key = pack(&[(3, self.due), (3, self.backoff), (3, self.lease_left)]);
        key = key << 3 | pack(&[(1, u8::from(self.owed)), (2, self.hint_age)]);
        for row in order {
            let (kind, time, more) = match self.rows[usize::from(row)] {
                Row::Done => (0, 0, 0),
                Row::Queued { due, early } => (1, due, early),
                Row::Held { left, alive } => (2, left, u8::from(alive)),
                Row::Undead { due } => (3, due, 0),
            };
            key = key << 8 | pack(&[(2, kind), (3, time), (3, more)]);
        }
        let producer = |producer: &Producer| {
            let (step, due) = match *producer {
                Producer::Idle => return 0,
                Producer::Entered(change) => (1, change.due),
                Producer::Ready(change) => (2, change.due),
                Producer::Owing(change) => (3, change.due),
                Producer::HintedOutside(change) => (4, change.due),
                Producer::HintsLate => (5, 0),
            };
            let row = order[usize::from(producer.row())];
            pack(&[(3, step), (1, row), (1, u8::from(due > 0))])
        };
        let worker = |number: u8| {
            let worker = self.workers[usize::from(number)];
            let has_token = u8::from(self.token_of == Some(number));
            let answers = [(1, u8::from(worker.fresh)), (1, u8::from(worker.gate_free))];
            let step = pack(&[(2, worker.step as u8), (1, has_token)]) << 8 | pack(&answers) << 6;
            step | pack(&[(3, worker.next), (3, worker.promised)])
        };
        let [one, other] = [producer(&self.producers[0]), producer(&self.producers[1])];
        key = (key << 5 | one.min(other)) << 5 | one.max(other);
        let [one, other] = [worker(0), worker(1)];
        (key << 11 | one.min(other)) << 11 | one.max(other)
    }
}

impl Producer {
    /// Which row it is about to change.
    fn row(&self) -> u8 {
        match self {
            Producer::Idle | Producer::HintsLate => 0,
            Producer::Entered(change)
            | Producer::Ready(change)
            | Producer::Owing(change)
            | Producer::HintedOutside(change) => change.row,
        }
    }
}

/// Values side by side, each in as many bits as it says.
fn pack(parts: &[(u32, u8)]) -> u64 {
    parts.iter().fold(0, |packed, (bits, value)| packed << bits | u64::from(*value))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A message that nobody will send, but for the sweep.
    Lost,
    /// A wake-up later than the invariant allows.
    Late,
    /// Two workers look after the clinic, and both have been promised to be alone.
    TwoAtOnce,
    /// Nothing disturbs any more, and yet looking never ends.
    Restless,
}
