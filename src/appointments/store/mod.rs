//! All SQL of appointments. No rule is decided here.

mod claims;
mod reading;
mod writing;

pub use self::claims::{
    Claimer, claim, forget_lapsed, overbooked_claims, release, reseat, take_hold,
};
pub use self::reading::{
    Narrow, by_id, claiming, is_claimed_by, location_name, location_zone, missed_at, of_doctor,
    of_everybody, of_location, of_patient, of_series, overbook_reason, video_rules,
    visit_of_patient,
};
pub use self::writing::{
    Writing, cancel, describe, insert, insert_series, is_on_record, relocate, set_status, settle,
};
