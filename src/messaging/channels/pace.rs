//! How fast a number may send: so many a second in all, one every six seconds to the same person, slower for a while when
//! the provider asks for it. Each bucket is one instant: when the next message would be due if they came evenly.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{ErrorClass, Failure, Reached};

/// Messages a number may send at once, after a rest.
const BURST: u32 = 16;
/// Between two messages to the same person.
const PAIR: Duration = Duration::from_secs(6);
/// It slows to that part at most.
const SLOWEST: u32 = 64;
/// Without complaint for so long, it doubles its pace again.
const RECOVERS_IN: Duration = Duration::from_secs(30);
/// Complaints that come together are one.
const SAME_COMPLAINT: Duration = Duration::from_secs(1);
const LONGEST_STOP: Duration = Duration::from_secs(300);

/// The paces of one process.
pub struct Pacer {
    books: Mutex<Books>,
    hasher: RandomState,
    most_pairs: usize,
}

#[derive(Default)]
struct Books {
    numbers: HashMap<String, Bucket>,
    pairs: HashMap<u64, Instant>, // hashes: no phone numbers are kept
}

struct Bucket {
    due: Instant,
    slowed: u32,
    slowed_at: Instant,
}

impl Pacer {
    pub fn new(most_pairs: usize) -> Self {
        Self { books: Mutex::default(), hasher: RandomState::new(), most_pairs: most_pairs.max(1) }
    }

    /// Takes a turn and gives how long to wait for it, or takes none if that is longer than `most`.
    ///
    /// # Errors
    /// How long it would be.
    pub fn take(
        &self,
        number: &str,
        per_second: u32,
        recipient: &str,
        now: Instant,
        most: Duration,
    ) -> Result<Duration, Duration> {
        let pair = self.hasher.hash_one((number, recipient));
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        if !books.pairs.contains_key(&pair) && books.pairs.len() >= self.most_pairs {
            books.pairs.retain(|_, free_at| *free_at > now);
            if books.pairs.len() >= self.most_pairs {
                return Err(PAIR); // rather late than faster than the provider allows
            }
        }
        // Nobody waits here for one person's six seconds: those who did would all go at once.
        if let Some(free_at) = books.pairs.get(&pair).filter(|free_at| **free_at > now) {
            return Err(*free_at - now);
        }
        let bucket = bucket(&mut books.numbers, number, now);
        bucket.recover(now);
        let interval = Duration::from_secs(1) / per_second.max(1) * bucket.slowed;
        let even = bucket.due.max(now);
        let slack = if bucket.slowed == 1 { interval * (BURST - 1) } else { Duration::ZERO };
        let at = even.checked_sub(slack).unwrap_or(now).max(now);
        let wait = at - now;
        if wait > most {
            return Err(wait);
        }
        bucket.due = even + interval;
        books.pairs.insert(pair, at + PAIR);
        Ok(wait)
    }

    /// Waits for a turn, unless that takes longer than `most`.
    ///
    /// # Errors
    /// How long it would take.
    pub async fn turn(
        &self,
        number: &str,
        per_second: u32,
        recipient: &str,
        most: Duration,
    ) -> Result<(), Duration> {
        let now = Instant::now();
        let wait = self.take(number, per_second, recipient, now, most)?;
        sleep_until(now + wait).await;
        Ok(())
    }

    /// The provider complained: slower, for the person or for all.
    pub fn slow(&self, number: &str, recipient: &str, failure: &Failure, now: Instant) {
        let asked = failure.retry_after.unwrap_or_default().min(LONGEST_STOP);
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        match failure.class {
            ErrorClass::RecipientPace => {
                let pair = self.hasher.hash_one((number, recipient));
                if books.pairs.contains_key(&pair) || books.pairs.len() < self.most_pairs {
                    books.pairs.insert(pair, now + asked.max(PAIR));
                }
            }
            // In an answer or in a receipt; a full lane of our own says nothing about the number.
            ErrorClass::Pace | ErrorClass::SpamLimit if failure.reached == Reached::Answered => {
                let bucket = bucket(&mut books.numbers, number, now);
                bucket.recover(now);
                if bucket.slowed == 1 || now.duration_since(bucket.slowed_at) >= SAME_COMPLAINT {
                    bucket.slowed = (bucket.slowed * 2).min(SLOWEST);
                    bucket.slowed_at = now;
                }
                bucket.due = bucket.due.max(now + asked);
            }
            _ => {}
        }
    }
}

fn bucket<'a>(
    numbers: &'a mut HashMap<String, Bucket>,
    number: &str,
    now: Instant,
) -> &'a mut Bucket {
    if numbers.len() >= 4096 && !numbers.contains_key(number) {
        numbers.retain(|_, bucket| bucket.due > now || bucket.slowed > 1);
    }
    numbers.entry(number.to_owned()).or_insert(Bucket { due: now, slowed: 1, slowed_at: now })
}

impl Bucket {
    fn recover(&mut self, now: Instant) {
        while self.slowed > 1 && now.duration_since(self.slowed_at) >= RECOVERS_IN {
            self.slowed /= 2;
            self.slowed_at += RECOVERS_IN;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEVER_MIND: Duration = Duration::from_secs(100_000);

    fn complaint(class: ErrorClass, seconds: u64) -> Failure {
        let wait = Some(Duration::from_secs(seconds));
        Failure::answered(class, None, Some(429), "slower").retry_after(wait)
    }

    #[test]
    fn one_person_hears_once_in_six_seconds() {
        let now = Instant::now();
        let pacer = Pacer::new(100);
        let take = |recipient, at| pacer.take("n", 80, recipient, at, Duration::ZERO);

        assert_eq!(take("a", now), Ok(Duration::ZERO));
        assert_eq!(take("a", now + Duration::from_secs(2)), Err(Duration::from_secs(4)));
        assert_eq!(take("b", now + Duration::from_secs(2)), Ok(Duration::ZERO));
        assert_eq!(take("a", now + Duration::from_secs(6)), Ok(Duration::ZERO));
        assert_eq!(pacer.take("other", 80, "a", now, Duration::ZERO), Ok(Duration::ZERO));
    }

    #[test]
    fn ten_thousand_drain_within_the_pace() {
        let now = Instant::now();
        let pacer = Pacer::new(20_000);
        let waits: Vec<Duration> = (0..10_000)
            .map(|person| pacer.take("n", 80, &person.to_string(), now, NEVER_MIND).unwrap())
            .collect();

        let last = *waits.last().unwrap();
        assert!(last > Duration::from_secs(124) && last < Duration::from_secs(126), "{last:?}");
        for from in 0..waits.len() - 96 {
            // BURST + 80 within a second, and never one more
            assert!(waits[from + 96] - waits[from] >= Duration::from_millis(999));
        }
    }

    #[test]
    fn a_complaint_slows_it_and_time_heals() {
        let now = Instant::now();
        let pacer = Pacer::new(100);
        pacer.slow("n", "a", &complaint(ErrorClass::Pace, 10), now);
        pacer.slow("n", "b", &complaint(ErrorClass::Pace, 10), now); // one complaint, two calls

        let first = pacer.take("n", 80, "a", now, NEVER_MIND).unwrap();
        let second = pacer.take("n", 80, "b", now, NEVER_MIND).unwrap();

        assert_eq!(first, Duration::from_secs(10));
        assert_eq!(second - first, Duration::from_millis(25));
        let healed = now + Duration::from_secs(31);
        assert_eq!(pacer.take("n", 80, "c", healed, NEVER_MIND), Ok(Duration::ZERO));
        assert_eq!(pacer.take("n", 80, "d", healed, NEVER_MIND), Ok(Duration::ZERO));
    }

    #[test]
    fn a_complaint_in_a_receipt_counts_and_a_full_lane_does_not() {
        let now = Instant::now();
        let pacer = Pacer::new(100);
        let full = Failure { reached: Reached::Nothing, ..complaint(ErrorClass::Pace, 10) };
        pacer.slow("n", "a", &full, now);
        assert_eq!(pacer.take("n", 80, "a", now, Duration::ZERO), Ok(Duration::ZERO));

        pacer.slow("n", "b", &Failure::answered(ErrorClass::SpamLimit, None, None, "x"), now);
        let waits: Vec<_> = ["c", "d"]
            .map(|person| pacer.take("n", 80, person, now, NEVER_MIND).unwrap())
            .into_iter()
            .collect();
        assert_eq!(waits[1] - waits[0], Duration::from_millis(25), "at half its pace");
    }

    #[test]
    fn a_complaint_about_one_person_holds_up_nobody_else() {
        let now = Instant::now();
        let pacer = Pacer::new(100);
        pacer.slow("n", "a", &complaint(ErrorClass::RecipientPace, 20), now);

        assert_eq!(pacer.take("n", 80, "a", now, Duration::ZERO), Err(Duration::from_secs(20)));
        assert_eq!(pacer.take("n", 80, "b", now, Duration::ZERO), Ok(Duration::ZERO));
    }

    #[test]
    fn an_absurd_wait_is_cut_and_memory_bounded() {
        let now = Instant::now();
        let pacer = Pacer::new(10);
        pacer.slow("n", "a", &complaint(ErrorClass::Pace, 1_000_000_000), now);
        assert!(pacer.take("n", 80, "a", now, NEVER_MIND).unwrap() <= LONGEST_STOP);
        for person in 0..1_000 {
            let _ = pacer.take("m", 80, &person.to_string(), now, NEVER_MIND);
        }
        assert!(pacer.books.lock().unwrap().pairs.len() <= 10);
    }

    proptest! {
        #[test]
        fn no_window_of_a_second_holds_more_than_burst_and_rate(
            gaps in prop::collection::vec(0u64..40, 1..400), rate in 1u32..100
        ) {
            let begin = Instant::now();
            let pacer = Pacer::new(1_000);
            let mut now = begin;
            let mut sent = Vec::new();
            for (person, gap) in gaps.into_iter().enumerate() {
                now += Duration::from_millis(gap);
                let wait = pacer.take("n", rate, &person.to_string(), now, NEVER_MIND).unwrap();
                sent.push(now + wait);
            }
            let most = (BURST + rate) as usize;
            for window in sent.windows(most + 1) {
                prop_assert!(window[most] - window[0] >= Duration::from_millis(999));
            }
        }
    }
}
