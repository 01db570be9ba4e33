//! The clinic as it goes, and the oracle: at which minutes the doctor sits, and what is full, counted minute by minute.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::super::book::Decided;
use super::super::diary::{Diary, DoctorDiary, PatientDiary, ResourceDiary};
use super::super::fitting::{self, Claim};
use super::super::model::{AppointmentRequest, Kind, Overbook};
use super::super::seats::Taken;
use super::world::{World, minute, minutes_open};
use crate::doctors::hours::{Break, ClosedDays, ExtraDay, Hours, Sittings, Span};
use crate::ids::{AppointmentId, DoctorId, LocationId, PatientId, ResourceId};

pub(super) struct Visit {
    pub(super) id: AppointmentId,
    pub(super) span: Span,
    pub(super) claims: Vec<Claim>,
    pub(super) overbooked: bool,
    pub(super) request: AppointmentRequest,
}

/// The clinic, as it goes.
pub(super) struct Clinic {
    pub(super) world: World,
    pub(super) location: LocationId,
    pub(super) doctor: DoctorId,
    pub(super) room: ResourceId,
    pub(super) patients: [PatientId; 2],
    pub(super) visits: Vec<Visit>,
    /// Every minute at which the doctor sits: the oracle.
    pub(super) open_at: BTreeSet<DateTime<Utc>>,
}

impl Clinic {
    pub(super) fn new(world: World) -> Self {
        let open_at = minutes_open(&world);
        Self::of(world, open_at)
    }

    pub(super) fn of(world: World, open_at: BTreeSet<DateTime<Utc>>) -> Self {
        Self {
            open_at,
            world,
            location: LocationId::new(),
            doctor: DoctorId::new(),
            room: ResourceId::new(),
            patients: [PatientId::new(), PatientId::new()],
            visits: Vec::new(),
        }
    }

    /// Noon of the day before the first, in the zone's own time or thereabouts, plus some minutes.
    pub(super) fn now(&self) -> DateTime<Utc> {
        let noon = self.world.first.and_hms_opt(12, 0, 0).unwrap().and_utc();
        noon - TimeDelta::days(1) + TimeDelta::minutes(self.world.now)
    }

    pub(super) fn within(&self) -> Span {
        self.world.within()
    }

    pub(super) fn day(&self, nth: i64) -> NaiveDate {
        self.world.day(nth)
    }

    pub(super) fn diary(
        &self,
        patient: PatientId,
        with_room: bool,
        except: Option<AppointmentId>,
    ) -> Diary {
        let breaks = |pause: &Option<(u32, u32)>| {
            let pause = pause.iter();
            pause.map(|(a, b)| Break { starts_at: minute(*a), ends_at: minute(*b) }).collect()
        };
        let (zone, location_id) = (self.world.zone, self.location);
        let hours = self.world.weekly.iter().map(|(weekday, (from, to, pause))| Hours {
            location_id,
            zone,
            weekday: *weekday,
            starts_at: minute(*from),
            ends_at: minute(*to),
            breaks: breaks(pause),
            valid_from: None,
            valid_to: None,
        });
        let extra = self.world.extra.iter().map(|(nth, (from, to, pause))| ExtraDay {
            location_id,
            zone,
            day: self.day(*nth),
            starts_at: minute(*from),
            ends_at: minute(*to),
            breaks: breaks(pause),
        });
        let closed = self.world.closed.iter().map(|nth| ClosedDays {
            location_id: Some(location_id),
            first_day: self.day(*nth),
            last_day: self.day(*nth),
        });
        let others = self.visits.iter().filter(|visit| Some(visit.id) != except);
        let claims = others.flat_map(|visit| &visit.claims);
        let resources = with_room.then_some(ResourceDiary {
            id: self.room,
            capacity: 1,
            location_id: Some(location_id),
        });
        let asked = [Some(self.doctor.0), Some(patient.0), with_room.then_some(self.room.0)];
        Diary {
            rules: self.world.rules.clone(),
            doctor: Some(DoctorDiary {
                id: self.doctor,
                name: String::new(),
                slot_minutes: self.world.slot,
                capacity: self.world.capacity,
                max_per_day: self.world.max_per_day,
                active: true,
                sittings: Sittings {
                    hours: hours.collect(),
                    extra: extra.collect(),
                    closed: closed.collect(),
                    time_off: self.world.away(),
                },
            }),
            patient: Some(PatientDiary { id: patient, name: String::new() }),
            resources: resources.into_iter().collect(),
            has_location: true,
            taken: claims
                .filter(|claim| asked.contains(&Some(claim.subject)))
                .map(|claim| (claim.subject, Taken { seat: claim.seat, span: claim.during }))
                .collect(),
            has_lapsed: false,
        }
    }

    pub(super) fn request(
        &self,
        patient: PatientId,
        starts_at: DateTime<Utc>,
        with_room: bool,
        overbook: bool,
    ) -> AppointmentRequest {
        AppointmentRequest {
            patient_id: patient,
            doctor_id: self.doctor,
            location_id: None,
            kind: Kind::InPerson,
            starts_at,
            duration_minutes: None,
            reason: None,
            address: None,
            resource_ids: with_room.then(|| vec![self.room]),
            overbook: overbook.then(|| Overbook { reason: "on purpose".into() }),
        }
    }

    pub(super) fn slots(&self, diary: &Diary, patients: bool) -> Vec<Span> {
        let free = fitting::free(diary, self.within(), None, None, patients, self.now());
        free.map(|open| open.span).collect()
    }

    pub(super) fn keep(
        &mut self,
        id: AppointmentId,
        request: AppointmentRequest,
        decided: Decided,
    ) {
        self.visits.push(Visit {
            id,
            span: decided.span,
            claims: decided.claims,
            overbooked: decided.overbook_reason.is_some(),
            request,
        });
    }

    pub(super) fn length(&self) -> TimeDelta {
        let minutes = self.world.rules.slot_minutes.unwrap_or(self.world.slot);
        TimeDelta::minutes(i64::from(minutes))
    }

    pub(super) fn civil_date(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.world.zone).date_naive()
    }

    pub(super) fn sits(&self, at: DateTime<Utc>) -> bool {
        self.open_at.contains(&at)
    }

    /// What is kept free before a visit and after it.
    pub(super) fn around(&self) -> (TimeDelta, TimeDelta) {
        let minutes = |minutes: i32| TimeDelta::minutes(i64::from(minutes));
        (minutes(self.world.rules.before_minutes), minutes(self.world.rules.after_minutes))
    }

    /// Whether somebody or something of a visit is full at some minute of it, or the doctor's day is, or none of the doctor's seats
    /// is free throughout: counted minute by minute, and seat by seat.
    pub(super) fn is_full(
        &self,
        patient: PatientId,
        with_room: bool,
        span: Span,
        except: Option<AppointmentId>,
    ) -> bool {
        let (before, after) = self.around();
        let wide = |span: Span| Span::new(span.from - before, span.to + after);
        let others = || self.visits.iter().filter(|visit| Some(visit.id) != except);
        let full = |of: &dyn Fn(&Visit) -> bool, around: bool, capacity: usize| {
            let taken = |span: Span| if around { wide(span) } else { span };
            let wanted = taken(span);
            let near: Vec<Span> = others()
                .filter(|visit| of(visit))
                .map(|visit| taken(visit.span))
                .filter(|taken| taken.overlaps(&wanted))
                .collect();
            let minutes = (0..(wanted.to - wanted.from).num_minutes()).map(TimeDelta::minutes);
            !near.is_empty()
                && minutes.map(|minute| wanted.from + minute).any(|at| {
                    near.iter().filter(|one| one.from <= at && at < one.to).count() >= capacity
                })
        };
        let day = |span: Span| self.civil_date(span.from - before);
        let that_day = || others().filter(|visit| day(visit.span) == day(span)).count();
        let scattered = || {
            (0..self.world.capacity).all(|seat| {
                others().any(|visit| {
                    visit.claims[0].seat == seat && wide(visit.span).overlaps(&wide(span))
                })
            })
        };
        full(&|_| true, true, self.world.capacity as usize)
            || full(&|visit| visit.request.patient_id == patient, false, 1)
            || with_room && full(&|visit| !visit.request.resources().is_empty(), true, 1)
            || self.world.max_per_day.is_some_and(|most| that_day() >= most as usize)
            || scattered()
    }

    /// Whether patients may not book by themselves what begins then: it is too soon, or too far ahead.
    pub(super) fn is_not_open(&self, at: DateTime<Utc>) -> bool {
        let rules = &self.world.rules;
        let days = rules.horizon_days.map(|days| TimeDelta::days(i64::from(days)));
        at < self.now() + TimeDelta::minutes(i64::from(rules.lead_minutes))
            || days.is_some_and(|days| self.civil_date(at) > self.civil_date(self.now()) + days)
    }
}
