//! A feed as RFC 5545 has it. What is in it lies in other people's computers, so a doctor's says no more than it must: the patient's
//! number, unless the doctor asked for names; never a reason. The same visits give the same bytes.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::content_line::Lines;
use super::vtimezone::{self, civil};
use crate::appointments::{Kind, Status};
use crate::doctors::hours::Span;
use crate::ids::AppointmentId;
use crate::time;

/// For whom a feed is, which says what its entries are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    Staff { patient_names: bool },
    Patient,
}

/// A visit as a feed has it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: AppointmentId,
    pub number: String,
    pub kind: Kind,
    pub status: Status,
    pub span: Span,
    /// Grows with each change.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub patient_number: String,
    pub patient_name: String,
    pub doctor_name: String,
    pub location_name: String,
    pub location_address: String,
    pub zone: Tz,
    /// Where a home visit goes.
    pub address: String,
}

/// Whose calendar it is.
pub struct Calendar<'a> {
    pub clinic_name: &'a str,
    pub clinic_zone: Tz,
    /// `https://shanti.clinics.example`
    pub url: &'a str,
    pub owner_name: &'a str,
    pub reader: Reader,
    /// The span that its visits are of.
    pub within: Span,
}

/// How often a reader should look, where it asks.
const REFRESH: &str = "PT1H";

impl Calendar<'_> {
    /// The document, visits in order.
    pub fn write(&self, entries: &[Entry]) -> String {
        let mut lines = Lines::default();
        lines.begin("VCALENDAR");
        lines.plain("VERSION", "2.0");
        lines.plain("PRODID", "-//nadi//clinic calendar//EN");
        lines.plain("CALSCALE", "GREGORIAN");
        lines.plain("METHOD", "PUBLISH");
        let name = format!("{}: {}", self.clinic_name, self.owner_name);
        lines.text("NAME", &name);
        lines.text("X-WR-CALNAME", &name);
        lines.plain("X-WR-TIMEZONE", self.clinic_zone.name());
        lines.plain("REFRESH-INTERVAL;VALUE=DURATION", REFRESH);
        lines.plain("X-PUBLISHED-TTL", REFRESH);
        let mut zones: Vec<Tz> = entries.iter().map(|entry| entry.zone).collect();
        zones.push(self.clinic_zone);
        zones.sort_by_key(|zone| zone.name());
        zones.dedup();
        for zone in zones {
            vtimezone::write(&mut lines, zone, self.within);
        }
        for entry in entries {
            self.write_event(&mut lines, entry);
        }
        lines.end("VCALENDAR");
        lines.finish()
    }

    fn write_event(&self, lines: &mut Lines, entry: &Entry) {
        let is_off = matches!(entry.status, Status::Cancelled | Status::NoShow);
        lines.begin("VEVENT");
        lines.plain("UID", &format!("{}@{}", entry.id, self.host()));
        lines.plain("SEQUENCE", &entry.version.to_string());
        lines.plain("DTSTAMP", &utc(entry.updated_at));
        lines.plain("CREATED", &utc(entry.created_at));
        lines.plain("LAST-MODIFIED", &utc(entry.updated_at));
        write_times(lines, entry);
        lines.text("SUMMARY", &self.summary(entry));
        let place = self.place(entry);
        if !place.is_empty() {
            lines.text("LOCATION", &place);
        }
        lines.text("DESCRIPTION", &entry.number);
        lines.plain("URL", self.url);
        lines.plain("STATUS", status(entry.status));
        lines.plain("TRANSP", if is_off { "TRANSPARENT" } else { "OPAQUE" });
        lines.plain("CLASS", "PRIVATE");
        lines.end("VEVENT");
    }

    /// The clinic's host, without a port: half of a name that must stay the same for ever.
    fn host(&self) -> &str {
        let host = self.url.split_once("://").map_or(self.url, |(_, rest)| rest);
        host.split([':', '/']).next().unwrap_or(host)
    }

    fn summary(&self, entry: &Entry) -> String {
        let who = match self.reader {
            Reader::Staff { patient_names: true } => {
                format!("{} ({})", entry.patient_name, entry.patient_number)
            }
            Reader::Staff { patient_names: false } => entry.patient_number.clone(),
            Reader::Patient => format!("{}, {}", entry.doctor_name, self.clinic_name),
        };
        match entry.kind {
            Kind::InPerson => who,
            Kind::Video => format!("{who} (video)"),
            Kind::HomeVisit => format!("{who} (home visit)"),
        }
    }

    /// Where somebody has to be. Where a patient lives is told as his name is.
    fn place(&self, entry: &Entry) -> String {
        match (entry.kind, self.reader) {
            (Kind::Video, _) | (Kind::HomeVisit, Reader::Staff { patient_names: false }) => {
                String::new()
            }
            (Kind::HomeVisit, _) => entry.address.clone(),
            (Kind::InPerson, _) if entry.location_address.is_empty() => entry.location_name.clone(),
            (Kind::InPerson, _) => format!("{}, {}", entry.location_name, entry.location_address),
        }
    }
}

/// In the location's own time, but where the clocks show an hour twice: RFC 5545 can name only the first of them.
fn write_times(lines: &mut Lines, entry: &Entry) {
    let zone = entry.zone;
    let local = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local();
    let both = [("DTSTART", entry.span.from), ("DTEND", entry.span.to)];
    let is_plain = both.iter().all(|(_, at)| time::earliest(zone, local(*at)) == *at);
    for (name, at) in both {
        match is_plain {
            true => lines.plain(&format!("{name};TZID={}", zone.name()), &civil(local(at))),
            false => lines.plain(name, &utc(at)),
        }
    }
}

fn utc(at: DateTime<Utc>) -> String {
    format!("{}Z", civil(at.naive_utc()))
}

/// What is booked is the clinic's word; it is confirmed once the patient has given his.
fn status(status: Status) -> &'static str {
    match status {
        Status::Booked => "TENTATIVE",
        Status::Confirmed | Status::CheckedIn | Status::InConsultation | Status::Completed => {
            "CONFIRMED"
        }
        Status::Cancelled | Status::NoShow => "CANCELLED",
    }
}
