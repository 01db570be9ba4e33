//! How long to wait before the next try: full jitter, and never less than the provider asks for.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The pauses of one kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub base: Duration,
    pub cap: Duration,
    /// None: until the message dies.
    pub tries: Option<u32>,
}

impl Backoff {
    pub const CODE: Self = Self::new(500, 4_000, Some(4));
    pub const APPOINTMENT: Self = Self::new(2_000, 30_000, None);
    pub const REMINDER: Self = Self::new(5_000, 600_000, Some(8));
    pub const DOCUMENT: Self = Self::new(30_000, 7_200_000, Some(12));

    const fn new(base_ms: u64, cap_ms: u64, tries: Option<u32>) -> Self {
        Self { base: Duration::from_millis(base_ms), cap: Duration::from_millis(cap_ms), tries }
    }

    /// Whether there is another try after so many.
    pub fn goes_on_after(&self, tries: u32, most: Option<u32>) -> bool {
        [self.tries, most].into_iter().flatten().all(|limit| tries < limit)
    }

    /// The pause after `tries` tries; `chance` is between 0 and 1. A `retry_after` longer than the message lives is for the
    /// caller to see: it means the next channel.
    pub fn pause(&self, tries: u32, retry_after: Option<Duration>, chance: f64) -> Duration {
        let doubled = 2u32.saturating_pow(tries.saturating_sub(1));
        let most = self.base.saturating_mul(doubled).min(self.cap);
        most.mul_f64(chance.clamp(0.0, 1.0)).max(retry_after.unwrap_or_default())
    }
}

/// `Retry-After`: seconds, or an HTTP date. Nonsense asks for nothing; what is absurdly long stays so.
pub fn retry_after(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a u64 has are still only a long time.
        let seconds = header.parse().unwrap_or(u64::from(u32::MAX)).min(u64::from(u32::MAX));
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(header).ok()?;
    Some((at.with_timezone(&Utc) - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let now = "2026-11-21T10:00:00Z".parse().unwrap();
        for (header, seconds) in [
            ("0", Some(0)),
            (" 30 ", Some(30)),
            ("1000000000", Some(1_000_000_000)),
            ("99999999999999999999999999", Some(u64::from(u32::MAX))),
            ("Sat, 21 Nov 2026 10:01:30 GMT", Some(90)),
            ("Sat, 21 Nov 2026 09:00:00 GMT", Some(0)),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(header, now), seconds.map(Duration::from_secs), "{header}");
        }
    }

    #[test]
    fn tries_end_at_the_first_limit() {
        assert!(Backoff::CODE.goes_on_after(3, None) && !Backoff::CODE.goes_on_after(4, None));
        assert!(!Backoff::CODE.goes_on_after(2, Some(2)));
        assert!(Backoff::APPOINTMENT.goes_on_after(1_000, None));
    }

    proptest! {
        #[test]
        fn a_pause_keeps_within_its_bounds(tries in 0u32..100, chance in 0.0f64..=1.0, asked in 0u64..100) {
            let asked = Duration::from_secs(asked);
            for backoff in [Backoff::CODE, Backoff::APPOINTMENT, Backoff::REMINDER, Backoff::DOCUMENT] {
                let pause = backoff.pause(tries, Some(asked), chance);

                prop_assert!(pause >= asked && pause <= backoff.cap.max(asked));
                prop_assert!(backoff.pause(tries, None, chance) <= backoff.pause(tries + 1, None, chance));
            }
        }
    }

    #[test]
    fn the_first_pause_is_up_to_the_base() {
        assert_eq!(Backoff::REMINDER.pause(1, None, 1.0), Duration::from_secs(5));
        assert_eq!(Backoff::REMINDER.pause(2, None, 1.0), Duration::from_secs(10));
        assert_eq!(Backoff::REMINDER.pause(9, None, 0.0), Duration::ZERO);
    }
}
