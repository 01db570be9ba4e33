//! What is particular to a clinic, as data: the two of the demo, and the one that a load test fills.

mod arogya;
mod shanti;
mod trial;

use super::names::Community;
use super::places::Town;
use chrono_tz::Tz;

pub use arogya::AROGYA;
pub use shanti::SHANTI;
pub(super) use trial::TRIAL;

/// What is particular to one clinic; people, places and appointments are drawn from it.
#[derive(Clone, Copy)]
pub struct ClinicShape {
    pub slug: &'static str,
    pub name: &'static str,
    pub time_zone: Tz,
    pub(super) locations: &'static [LocationShape],
    pub(super) staff: &'static [StaffShape],
    pub(super) doctors: &'static [DoctorShape],
    pub(super) people: People,
    pub(super) leave: &'static [LeaveShape],
}

/// How many patients there are and where they come from.
#[derive(Clone, Copy)]
pub(super) struct People {
    pub patients: usize,
    /// How many of them have an account of their own.
    pub sign_ins: usize,
    pub communities: &'static [(&'static Community, u32)],
    /// Each with the index of the location that its people go to.
    pub towns: &'static [(&'static Town, usize)],
    pub mail_domain: &'static str,
    /// What follows +91; as many digits again as make ten.
    pub phone_block: &'static str,
}

pub(super) struct LocationShape {
    pub name: &'static str,
    pub address: &'static str,
}

pub(super) struct StaffShape {
    pub role: &'static str,
    pub full_name: &'static str,
    pub email: &'static str,
    pub language: &'static str,
}

pub(super) struct DoctorShape {
    pub full_name: &'static str,
    pub email: &'static str,
    pub qualification: &'static str,
    pub registration_number: &'static str,
    /// The first one says what patients come for.
    pub specialties: &'static [&'static str],
    pub languages: &'static [&'static str],
    pub fee_rupees: i64,
    pub slot_minutes: i32,
    pub sees: Sees,
    pub hours: &'static [HoursShape],
}

/// Whom a doctor sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sees {
    Everyone,
    Children,
    Women,
}

/// A civil time: hour and minute.
type Clock = (u32, u32);
type Break = (Clock, Clock);

/// One sitting on several days; its breaks lie inside.
pub(super) struct HoursShape {
    /// ISO: Monday is 1.
    pub weekdays: &'static [i16],
    pub location: usize,
    pub from: Clock,
    pub to: Clock,
    pub breaks: &'static [Break],
}

/// Leave in whole civil days, counted from today; `to_day` is the first day back.
pub(super) struct LeaveShape {
    pub doctor: usize,
    pub from_day: i64,
    pub to_day: i64,
    pub reason: &'static str,
}

const WEEKDAYS: &[i16] = &[1, 2, 3, 4, 5];
const BUT_SUNDAY: &[i16] = &[1, 2, 3, 4, 5, 6];

/// Tea in the middle of the morning.
const TEA: &[Break] = &[((11, 0), (11, 20))];

const fn hours(
    weekdays: &'static [i16],
    location: usize,
    from: Clock,
    to: Clock,
    breaks: &'static [Break],
) -> HoursShape {
    HoursShape { weekdays, location, from, to, breaks }
}

const fn staff(
    role: &'static str,
    full_name: &'static str,
    email: &'static str,
    language: &'static str,
) -> StaffShape {
    StaffShape { role, full_name, email, language }
}
