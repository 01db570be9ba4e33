//! Seats: how many visits a subject takes at one time. Below the capacity a seat is ordinary; from there on it is an
//! overbooking on purpose.

use crate::doctors::hours::Span;

/// A claim that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub seat: i16,
    pub span: Span,
}

/// The seat that a visit takes, or none if the subject is full at some moment of it and nobody overbooks on purpose.
pub fn seat_for(taken: &[Taken], visit: Span, capacity: i16, overbook: bool) -> Option<i16> {
    let overlapping = || taken.iter().filter(|taken| taken.span.overlaps(&visit));
    let full = most_at_once(overlapping, visit) >= usize::try_from(capacity).unwrap_or(0);
    if full && !overbook {
        return None;
    }
    (0..i16::MAX).find(|seat| overlapping().all(|taken| taken.seat != *seat)).filter(|seat| {
        // Seats may be scattered so that none below the capacity is free throughout: then it is full for this visit.
        *seat < capacity || overbook
    })
}

/// The most visits that are under way at one moment of `visit`. It is reached where one of them begins.
fn most_at_once<'t, I: Iterator<Item = &'t Taken>>(taken: impl Fn() -> I, visit: Span) -> usize {
    let begins = taken().map(|taken| taken.span.from.max(visit.from));
    begins
        .map(|moment| taken().filter(|t| t.span.from <= moment && moment < t.span.to).count())
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minute * 60, 0).unwrap()
    }

    fn taken(seat: i16, from: i64, to: i64) -> Taken {
        Taken { seat, span: Span::new(at(from), at(to)) }
    }

    #[test]
    fn a_seat_is_found_refused_or_added_on_purpose() {
        let visit = Span::new(at(0), at(30));
        for (name, claims, capacity, overbook, seat) in [
            ("free", vec![], 1, false, Some(0)),
            ("one before, one after", vec![taken(0, -30, 0), taken(0, 30, 60)], 1, false, Some(0)),
            ("taken", vec![taken(0, 0, 30)], 1, false, None),
            ("taken in part", vec![taken(0, 29, 60)], 1, false, None),
            ("overbooked on purpose", vec![taken(0, 0, 30)], 1, true, Some(1)),
            ("overbooking what is free is ordinary", vec![], 1, true, Some(0)),
            ("only an overbooked one is left", vec![taken(1, 0, 30)], 1, false, None),
            ("a group of two", vec![taken(0, 0, 30)], 2, false, Some(1)),
            ("a full group", vec![taken(0, 0, 30), taken(1, 0, 30)], 2, false, None),
            (
                "two that follow each other",
                vec![taken(0, 0, 15), taken(0, 15, 30)],
                2,
                false,
                Some(1),
            ),
            ("scattered seats", vec![taken(0, 0, 15), taken(1, 15, 30)], 2, false, None),
        ] {
            assert_eq!(seat_for(&claims, visit, capacity, overbook), seat, "{name}");
        }
    }
}
