//! A breaker: an account or a host that keeps failing is left alone for a while, then tried with one call. Only transport
//! errors, timeouts and 5xx count; a refusal is an answer. An account that is itself refused stays shut until its settings
//! change, which gives it another key.

use std::time::Duration;

use tokio::time::Instant;

use super::{Failure, Outcome, Reached};

const IN_A_ROW: u32 = 5;
const SLICES: usize = 6;
const SLICE: Duration = Duration::from_secs(5);
/// Half of so many calls within `SLICES × SLICE`.
const ENOUGH_CALLS: u32 = 20;
const FIRST_REST: Duration = Duration::from_secs(15);
const LONGEST_REST: Duration = Duration::from_secs(300);
/// A probe that says nothing for so long is given up, and another may go.
const PROBE_LIMIT: Duration = Duration::from_secs(90);
/// While a probe is under way others ask again after this: most answer within a second, and what is due should not wait long.
const PROBE_ANSWERS: Duration = Duration::from_secs(5);

/// What one call says about the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered, whatever it said.
    Alive,
    Failing,
    /// The account is refused.
    Refused,
    /// The call never got so far.
    Nothing,
}

impl Verdict {
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Ok(_) => Verdict::Alive,
            Err(failure) => Self::of_failure(failure),
        }
    }

    fn of_failure(failure: &Failure) -> Self {
        if failure.class.opens_breaker_until_settings_change() {
            return Verdict::Refused;
        }
        let transient = failure.class == super::ErrorClass::Transient;
        match (failure.http, failure.reached) {
            (Some(500..), _) if transient => Verdict::Failing,
            (Some(_), _) => Verdict::Alive,
            (None, Reached::Answered) => Verdict::Alive, // a mail server's answer
            (None, _) if transient => Verdict::Failing,
            (None, _) => Verdict::Nothing, // refused or held up on our side
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { since: Instant },
    Shut,
}

/// Why a call may not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Ask again after that.
    For(Duration),
    UntilSettingsChange,
}

/// One breaker. Time comes from outside.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    /// Results of calls let through before the last change of state count no more.
    generation: u64,
    in_a_row: u32,
    slices: [(u32, u32); SLICES], // calls, failures
    slice_began: Instant,
    rest: Duration,
    touched: Instant,
}

impl Breaker {
    pub fn new(now: Instant) -> Self {
        Self {
            state: State::Closed,
            generation: 0,
            in_a_row: 0,
            slices: [(0, 0); SLICES],
            slice_began: now,
            rest: FIRST_REST,
            touched: now,
        }
    }

    /// Lets a call through, with the generation that its verdict must name, or says why not.
    ///
    /// # Errors
    /// When it is open.
    pub fn enter(&mut self, now: Instant) -> Result<u64, Closed> {
        self.touched = now;
        let wait = match self.state {
            State::Closed => return Ok(self.generation),
            State::Shut => return Err(Closed::UntilSettingsChange),
            State::Open { until } => until.saturating_duration_since(now),
            State::HalfOpen { since } => {
                (since + PROBE_LIMIT).saturating_duration_since(now).min(PROBE_ANSWERS)
            }
        };
        if !wait.is_zero() {
            return Err(Closed::For(wait));
        }
        self.become_(State::HalfOpen { since: now });
        Ok(self.generation)
    }

    /// What a call that was let through in `generation` said.
    pub fn note(&mut self, generation: u64, verdict: Verdict, now: Instant) {
        self.touched = now;
        if verdict == Verdict::Refused {
            return self.become_(State::Shut); // however old: the settings are the same
        }
        if generation != self.generation {
            return;
        }
        match (self.state, verdict) {
            (State::HalfOpen { .. }, Verdict::Alive) => {
                *self = Self { generation: self.generation + 1, ..Self::new(now) };
            }
            (State::HalfOpen { .. }, Verdict::Failing) => {
                self.rest = (self.rest * 2).min(LONGEST_REST);
                self.open(now);
            }
            (State::HalfOpen { .. }, _) => self.become_(State::Open { until: now }),
            (State::Closed, Verdict::Alive) => {
                self.in_a_row = 0;
                self.slice(now).0 += 1;
            }
            (State::Closed, Verdict::Failing) => {
                self.in_a_row += 1;
                let slice = self.slice(now);
                *slice = (slice.0 + 1, slice.1 + 1);
                let (calls, failures) =
                    self.slices.iter().fold((0, 0), |sum, s| (sum.0 + s.0, sum.1 + s.1));
                let often = calls >= ENOUGH_CALLS && failures * 2 >= calls;
                if self.in_a_row >= IN_A_ROW || often {
                    self.open(now);
                }
            }
            (State::Closed, _) | (State::Open { .. } | State::Shut, _) => {}
        }
    }

    fn open(&mut self, now: Instant) {
        self.become_(State::Open { until: now + self.rest });
    }

    fn become_(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }

    /// The slice of now, those too old emptied.
    fn slice(&mut self, now: Instant) -> &mut (u32, u32) {
        while now.duration_since(self.slice_began) >= SLICE {
            if now.duration_since(self.slice_began) >= SLICE * SLICES as u32 {
                self.slices = [(0, 0); SLICES];
                self.slice_began = now;
                break;
            }
            self.slices.rotate_right(1);
            self.slices[0] = (0, 0);
            self.slice_began += SLICE;
        }
        &mut self.slices[0]
    }

    /// How much it would be missed.
    pub(super) fn worth(&self) -> (bool, Instant) {
        (self.state != State::Closed, self.touched)
    }

    /// Whether forgetting it would change nothing for long.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.state == State::Closed && now.duration_since(self.touched) >= SLICE * SLICES as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::messaging::channels::ErrorClass;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn failing(breaker: &mut Breaker, times: u32, now: Instant) {
        for _ in 0..times {
            let generation = breaker.enter(now).unwrap();
            breaker.note(generation, Verdict::Failing, now);
        }
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_one_probe_closes_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        failing(&mut breaker, 4, now);
        let generation = breaker.enter(now).unwrap();
        breaker.note(generation, Verdict::Alive, now);
        failing(&mut breaker, 5, now);

        assert_eq!(breaker.enter(now + seconds(5)), Err(Closed::For(seconds(10))));
        let probe = breaker.enter(now + seconds(15)).unwrap();
        assert!(breaker.enter(now + seconds(15)).is_err(), "one probe");
        breaker.note(probe, Verdict::Alive, now + seconds(16));
        assert!(breaker.enter(now + seconds(16)).is_ok());
        failing(&mut breaker, 4, now + seconds(16));
        assert!(breaker.enter(now + seconds(16)).is_ok(), "it starts afresh");
    }

    #[test]
    fn who_is_due_with_a_probe_waits_seconds_for_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        failing(&mut breaker, 5, now);
        let probe = breaker.enter(now + seconds(15)).unwrap();

        assert_eq!(breaker.enter(now + seconds(15)), Err(Closed::For(seconds(5))));
        assert_eq!(breaker.enter(now + seconds(102)), Err(Closed::For(seconds(3))));
        breaker.note(probe, Verdict::Alive, now + seconds(103));
        assert!(breaker.enter(now + seconds(103)).is_ok());
    }

    #[test]
    fn rests_double_to_five_minutes() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(now);
        failing(&mut breaker, 5, now);
        for rest in [15, 30, 60, 120, 240, 300, 300] {
            assert_eq!(breaker.enter(now), Err(Closed::For(seconds(rest))));
            now += seconds(rest);
            failing(&mut breaker, 1, now);
        }
    }

    #[test]
    fn half_of_twenty_within_half_a_minute_open_it() {
        let begin = Instant::now();
        let mut breaker = Breaker::new(begin);
        let mut now = begin;
        for call in 0..20 {
            assert!(breaker.enter(now).is_ok(), "call {call}");
            let verdict = if call % 2 == 0 { Verdict::Alive } else { Verdict::Failing };
            breaker.note(breaker.generation, verdict, now);
            now += seconds(1);
        }
        assert!(breaker.enter(now).is_err());

        let mut slow = Breaker::new(begin);
        for call in 0..40 {
            let at = begin + seconds(4 * call); // never twenty within the window
            assert!(slow.enter(at).is_ok());
            let verdict = if call % 2 == 0 { Verdict::Alive } else { Verdict::Failing };
            slow.note(slow.generation, verdict, at);
        }
    }

    #[test]
    fn late_news_changes_nothing() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        let old = breaker.enter(now).unwrap();
        failing(&mut breaker, 5, now);
        breaker.note(old, Verdict::Alive, now);
        breaker.note(old, Verdict::Failing, now + seconds(14));

        assert_eq!(breaker.enter(now + seconds(14)), Err(Closed::For(seconds(1))));
    }

    #[test]
    fn what_counts_is_the_wire_and_5xx() {
        let answered = |class, http| Failure::answered(class, None, Some(http), "x");
        let wire = |reached| Failure::wire(reached, "x", "x");
        for (failure, verdict) in [
            (answered(ErrorClass::Transient, 503), Verdict::Failing),
            (answered(ErrorClass::Pace, 429), Verdict::Alive),
            (answered(ErrorClass::Recipient, 400), Verdict::Alive),
            (answered(ErrorClass::Account, 500), Verdict::Refused),
            (answered(ErrorClass::OurRequest, 400), Verdict::Alive),
            (Failure::unreadable(200, "no_id", "x"), Verdict::Alive),
            (wire(Reached::Perhaps), Verdict::Failing),
            (wire(Reached::Nothing), Verdict::Failing),
            (Failure::ours("x", "x"), Verdict::Nothing),
            (Failure::new(ErrorClass::Pace, Reached::Nothing, "busy"), Verdict::Nothing),
        ] {
            assert_eq!(Verdict::of(&Err(failure.clone())), verdict, "{failure:?}");
        }
    }

    proptest! {
        /// Whatever comes: never more than one call in a half-open one, and always open again in the end.
        #[test]
        fn it_never_sticks(steps in prop::collection::vec((0u8..4, 0u64..40), 1..200)) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(now);
            let mut under_way = Vec::new();
            for (step, wait) in steps {
                now += seconds(wait);
                let half_open = matches!(breaker.state, State::HalfOpen { since } if now < since + PROBE_LIMIT);
                match step {
                    0 => match breaker.enter(now) {
                        Ok(generation) => {
                            prop_assert!(!half_open);
                            under_way.push(generation);
                        }
                        Err(closed) => prop_assert!(matches!(closed, Closed::For(wait) if wait <= LONGEST_REST)),
                    },
                    _ if under_way.is_empty() => {}
                    1 => breaker.note(under_way.remove(0), Verdict::Alive, now),
                    2 => breaker.note(under_way.remove(0), Verdict::Failing, now),
                    _ => breaker.note(under_way.remove(0), Verdict::Nothing, now),
                }
            }
            prop_assert!(breaker.enter(now + LONGEST_REST).is_ok());
        }
    }
}
