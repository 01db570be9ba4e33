//! What is done to the clinic, and what must hold after each deed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use proptest::prelude::*;

use super::super::book::{BookError, Booker, Choice, decided_by};
use super::super::fitting::{self, Claim};
use super::clinic::{Clinic, Visit};
use super::world::Deed;
use crate::doctors::hours::Span;
use crate::ids::{AppointmentId, PatientId};

impl Clinic {
    /// At no minute does anything have more visits than it takes, but for those that were doubled on purpose.
    pub(super) fn check_nothing_is_taken_twice(&self) -> Result<(), TestCaseError> {
        let ordinary: Vec<&Visit> = self.visits.iter().filter(|visit| !visit.overbooked).collect();
        let (before, after) = self.around();
        for visit in &self.visits {
            let mut at = visit.span.from - before;
            while at < visit.span.to + after {
                let busy = |of: &dyn Fn(&Visit) -> bool, around: bool| {
                    let under_way = ordinary.iter().filter(|other| {
                        let (before, after) =
                            if around { (before, after) } else { Default::default() };
                        of(other) && other.span.from - before <= at && at < other.span.to + after
                    });
                    under_way.count()
                };
                prop_assert!(busy(&|_| true, true) <= self.world.capacity as usize);
                for patient in self.patients {
                    prop_assert!(busy(&|one| one.request.patient_id == patient, false) <= 1);
                }
                prop_assert!(busy(&|one| !one.request.resources().is_empty(), true) <= 1);
                at += TimeDelta::minutes(5);
            }
        }
        if let Some(most) = self.world.max_per_day {
            let mut days = BTreeMap::new();
            for visit in ordinary {
                *days.entry(self.civil_date(visit.claims[0].during.from)).or_insert(0) += 1;
            }
            prop_assert!(days.values().all(|count| *count <= most), "{:?}", days);
        }
        // What the database's constraint says: no seat of anybody twice.
        let claims: Vec<&Claim> = self.visits.iter().flat_map(|visit| &visit.claims).collect();
        for (nth, one) in claims.iter().enumerate() {
            for other in &claims[..nth] {
                let same = one.subject == other.subject && one.seat == other.seat;
                prop_assert!(!(same && one.during.overlaps(&other.during)), "{one:?} {other:?}");
            }
        }
        Ok(())
    }

    /// Every slot is while the doctor sits; it can be booked; and what is left out of the grid cannot, and for a reason.
    pub(super) fn check_slots(
        &self,
        patient: PatientId,
        with_room: bool,
    ) -> Result<(), TestCaseError> {
        let diary = self.diary(patient, with_room, None);
        for by_patient in [false, true] {
            let by = Booker { only_patient: by_patient.then_some(patient) };
            let slots = self.slots(&diary, by_patient);
            prop_assert!(slots.is_sorted());
            let offered: BTreeSet<_> = slots.iter().map(|slot| slot.from).collect();
            prop_assert_eq!(offered.len(), slots.len(), "each time is offered once");
            let doctor = diary.doctor.as_ref().unwrap();
            let grid =
                fitting::offered(&diary, doctor, self.within(), None, self.length(), self.now());
            for open in grid {
                let request = self.request(patient, open.span.from, with_room, false);
                let booked = decided_by(&diary, &request, by, Choice::Own(None), self.now());
                let is_offered = offered.contains(&open.span.from);
                prop_assert_eq!(booked.is_ok(), is_offered, "{:?} {:?}", open, booked.err());
                let cannot = by_patient && self.is_not_open(open.span.from)
                    || self.is_full(patient, with_room, open.span, None);
                prop_assert_eq!(is_offered, !cannot, "{:?}", open);
            }
            for slot in slots {
                let request = self.request(patient, slot.from, with_room, false);
                let booked = decided_by(&diary, &request, by, Choice::Own(None), self.now());
                prop_assert_eq!(booked.ok().map(|booked| booked.span), Some(slot));
            }
        }
        Ok(())
    }

    pub(super) fn act(&mut self, deed: &Deed) -> Result<(), TestCaseError> {
        match deed {
            Deed::Book { patient, at, with_room, by_patient, overbook } => {
                let patient = self.patients[*patient];
                let diary = self.diary(patient, *with_room, None);
                let slots = self.slots(&diary, *by_patient);
                if slots.is_empty() {
                    return Ok(());
                }
                let by = Booker { only_patient: by_patient.then_some(patient) };
                let request = self.request(
                    patient,
                    at.get(&slots).from,
                    *with_room,
                    *overbook && !by_patient,
                );
                let decided = decided_by(&diary, &request, by, Choice::Own(None), self.now());
                let decided = decided.map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert!(decided.overbook_reason.is_none(), "a free time is not doubled");
                self.keep(AppointmentId::new(), request, decided);
            }
            Deed::BookAnywhere { patient, minute, overbook } => {
                let patient = self.patients[*patient];
                let at = self.within().from + TimeDelta::minutes(*minute);
                let diary = self.diary(patient, false, None);
                let request = self.request(patient, at, false, *overbook);
                let by = Booker { only_patient: None };
                let span = Span::new(at, at + self.length());
                let sits = (0..self.length().num_minutes())
                    .all(|minute| self.sits(at + TimeDelta::minutes(minute)));
                let full = self.is_full(patient, false, span, None);
                if self.within().contains(&span) {
                    let alone = Booker { only_patient: Some(patient) };
                    let own = self.request(patient, at, false, false);
                    let own = decided_by(&diary, &own, alone, Choice::Own(None), self.now());
                    let is_slot = self.slots(&diary, true).contains(&span);
                    prop_assert_eq!(own.is_ok(), is_slot, "a patient has slots alone: {}", at);
                }
                match decided_by(&diary, &request, by, Choice::Own(None), self.now()) {
                    Ok(decided) => {
                        prop_assert!(sits, "booked while the doctor does not sit: {}", at);
                        let doubled = decided.overbook_reason.is_some();
                        // Doubled on purpose it may have an ordinary seat after all.
                        prop_assert!(full || !doubled, "doubled, and free: {}", at);
                        prop_assert!(*overbook || !full, "booked twice: {}", at);
                        self.keep(AppointmentId::new(), request, decided);
                    }
                    Err(BookError::SlotTaken) => prop_assert!(!overbook && full, "free: {}", at),
                    // Two lines that follow each other are two stretches: a visit lies within one.
                    Err(BookError::Invalid(_)) => {
                        prop_assert!(!sits || self.world.weekly.len() + self.world.extra.len() > 1);
                    }
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                }
            }
            Deed::Move { visit, at } => {
                if self.visits.is_empty() {
                    return Ok(());
                }
                let nth = visit.index(self.visits.len());
                let standing = &self.visits[nth];
                let with_room = !standing.request.resources().is_empty();
                let patient = standing.request.patient_id;
                let diary = self.diary(patient, with_room, Some(standing.id));
                let slots = self.slots(&diary, false);
                if slots.is_empty() {
                    return Ok(());
                }
                let request = self.request(patient, at.get(&slots).from, with_room, false);
                let by = Booker { only_patient: None };
                let decided = decided_by(&diary, &request, by, Choice::Own(None), self.now());
                let decided = decided.map_err(|error| TestCaseError::fail(error.to_string()))?;
                let gone = self.visits.remove(nth);
                self.keep(gone.id, request, decided);
                let times = self.visits.iter().filter(|visit| visit.id == gone.id).count();
                prop_assert_eq!(times, 1, "a moved visit is at exactly one time");
            }
            Deed::MoveAnywhere { visit, minute } => {
                if self.visits.is_empty() {
                    return Ok(());
                }
                let nth = visit.index(self.visits.len());
                let (id, before) = (self.visits[nth].id, self.visits[nth].request.clone());
                let at = self.within().from + TimeDelta::minutes(*minute);
                let with_room = !before.resources().is_empty();
                let request = self.request(before.patient_id, at, with_room, false);
                let span = Span::new(at, at + self.length());
                let full = self.is_full(before.patient_id, with_room, span, Some(id));
                let by = Booker { only_patient: None };
                let diary = self.diary(before.patient_id, with_room, Some(id));
                let decided = match decided_by(&diary, &request, by, Choice::Given, self.now()) {
                    Ok(decided) => decided,
                    Err(BookError::SlotTaken) => {
                        prop_assert!(full, "free but for itself: {}", at);
                        return Ok(());
                    }
                    Err(_) => return Ok(()), // the doctor does not sit then
                };
                prop_assert!(!full);
                let gone = self.visits.remove(nth);
                self.keep(id, request, decided);
                // What it gave up is had again by whoever fits there, and by nobody else.
                let again = self.request(before.patient_id, before.starts_at, with_room, false);
                let diary = self.diary(before.patient_id, with_room, None);
                let again = decided_by(&diary, &again, by, Choice::Given, self.now());
                let taken = self.is_full(before.patient_id, with_room, gone.span, None);
                prop_assert_eq!(again.is_ok(), !taken, "{:?}", gone.span);
            }
            Deed::Cancel { visit } => {
                if !self.visits.is_empty() {
                    self.visits.remove(visit.index(self.visits.len()));
                }
            }
        }
        self.check_nothing_is_taken_twice()
    }

    /// Whether each minute of each slot is one at which the doctor sits.
    pub(super) fn check_hours(&self) -> Result<(), TestCaseError> {
        let diary = self.diary(self.patients[0], false, None);
        for slot in self.slots(&diary, false) {
            let mut at = slot.from;
            while at < slot.to {
                prop_assert!(self.sits(at), "{} is offered, and nobody sits", at);
                at += TimeDelta::minutes(5);
            }
        }
        Ok(())
    }
}
