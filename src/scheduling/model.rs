//! What the rules are, and what they are unless somebody says otherwise.

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use serde::Serialize;
use serde_json::Value;
use url::Url;

use crate::http::fields::{self, Fault, Fields, Readable};
use crate::time::shown;

const MONTH: i64 = 30 * 24 * 60;

/// How visits of one kind are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Object)]
pub struct KindRules {
    /// How long a slot is: 5 to 240. Null: as long as the doctor's.
    pub slot_minutes: Option<i32>,
    /// How long the doctor and the resources are kept free before a visit: 0 to 120.
    pub buffer_before_minutes: i32,
    /// And after it.
    pub buffer_after_minutes: i32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Object)]
pub struct KindsRules {
    pub in_person: KindRules,
    pub video: KindRules,
    pub home_visit: KindRules,
}

/// The clinic's rules of scheduling.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct SchedulingView {
    /// How long before a visit patients may book it by themselves. Staff may until it begins.
    pub lead_minutes: i32,
    /// How many days ahead patients may book by themselves. Null: as many as they like.
    pub horizon_days: Option<i32>,
    /// Visits of one doctor a day, unless the doctor has a number of his own. Null: as many as fit. Overbooking is beyond it.
    pub max_per_day: Option<i32>,
    /// Cancelled so shortly before it begins, a visit is marked.
    pub late_cancel_minutes: i32,
    /// How long after its beginning a visit is missed if nobody came. Null: staff say so.
    pub no_show_after_minutes: Option<i32>,
    /// How long a freed time is kept for whom it is offered to.
    pub hold_minutes: i32,
    /// How long before a visit patients are reminded: up to five times.
    pub reminder_minutes: Vec<i32>,
    /// How long a doctor is on the way to a home visit, and back from it.
    pub travel_minutes: i32,
    /// Where video visits take place: a room's name is put at its end. Null: they have no link.
    pub video_base_url: Option<String>,
    /// How long before a video visit its link is shown.
    pub video_opens_minutes: i32,
    pub kinds: KindsRules,
    #[serde(with = "shown")]
    pub updated_at: DateTime<Utc>,
    #[serde(skip)]
    #[oai(skip)]
    pub version: i64,
}

/// How visits of one kind are to be. What is left out takes its default.
#[derive(Clone, Debug, Default, Object)]
pub struct KindRequest {
    /// 5 to 240; the doctor's unless given.
    pub slot_minutes: Option<i64>,
    /// 0 to 120; 0 unless given.
    pub buffer_before_minutes: Option<i64>,
    /// 0 to 120; 0 unless given.
    pub buffer_after_minutes: Option<i64>,
}

impl Readable for KindRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            slot_minutes: fields.optional("slot_minutes", fields::integer(5, 240)),
            buffer_before_minutes: fields
                .optional("buffer_before_minutes", fields::integer(0, 120)),
            buffer_after_minutes: fields.optional("buffer_after_minutes", fields::integer(0, 120)),
        })
    }
}

impl From<KindRequest> for KindRules {
    fn from(new: KindRequest) -> Self {
        Self {
            slot_minutes: new.slot_minutes.map(|minutes| minutes as i32),
            buffer_before_minutes: new.buffer_before_minutes.unwrap_or(0) as i32,
            buffer_after_minutes: new.buffer_after_minutes.unwrap_or(0) as i32,
        }
    }
}

#[derive(Clone, Debug, Default, Object)]
pub struct KindsRequest {
    pub in_person: Option<KindRequest>,
    pub video: Option<KindRequest>,
    pub home_visit: Option<KindRequest>,
}

impl Readable for KindsRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            in_person: fields.optional_object("in_person"),
            video: fields.optional_object("video"),
            home_visit: fields.optional_object("home_visit"),
        })
    }
}

/// The rules as they are to be. What is left out takes its default.
#[derive(Clone, Debug, Object)]
pub struct SchedulingRequest {
    /// 0 to 43200; 0 unless given.
    pub lead_minutes: Option<i64>,
    /// 1 to 730.
    pub horizon_days: Option<i64>,
    /// 1 to 500.
    pub max_per_day: Option<i64>,
    /// 0 to 43200; a day unless given.
    pub late_cancel_minutes: Option<i64>,
    /// 5 to 1440.
    pub no_show_after_minutes: Option<i64>,
    /// 5 to 2880; 60 unless given.
    pub hold_minutes: Option<i64>,
    /// Each 10 to 43200; a day and two hours unless given.
    pub reminder_minutes: Option<Vec<i64>>,
    /// 0 to 240; 0 unless given.
    pub travel_minutes: Option<i64>,
    /// `https://meet.example/clinic`
    pub video_base_url: Option<String>,
    /// 0 to 1440; 15 unless given.
    pub video_opens_minutes: Option<i64>,
    pub kinds: Option<KindsRequest>,
}

impl Readable for SchedulingRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let reminder_minutes =
            fields.list("reminder_minutes", 5, fields::integer(10, MONTH)).map(|mut minutes| {
                minutes.sort_unstable_by(|a, b| b.cmp(a));
                minutes
            });
        let named = reminder_minutes.as_deref().unwrap_or_default();
        if named.windows(2).any(|two| two[0] == two[1]) {
            fields.fault("reminder_minutes", "repeated", "name each once");
        }
        Some(Self {
            lead_minutes: fields.optional("lead_minutes", fields::integer(0, MONTH)),
            horizon_days: fields.optional("horizon_days", fields::integer(1, 730)),
            max_per_day: fields.optional("max_per_day", fields::integer(1, 500)),
            late_cancel_minutes: fields.optional("late_cancel_minutes", fields::integer(0, MONTH)),
            no_show_after_minutes: fields
                .optional("no_show_after_minutes", fields::integer(5, 1440)),
            hold_minutes: fields.optional("hold_minutes", fields::integer(5, 2880)),
            reminder_minutes,
            travel_minutes: fields.optional("travel_minutes", fields::integer(0, 240)),
            video_base_url: fields.optional("video_base_url", base_url),
            video_opens_minutes: fields.optional("video_opens_minutes", fields::integer(0, 1440)),
            kinds: fields.optional_object("kinds"),
        })
    }
}

/// Where a room's name can be put at the end: `https`, and nothing after the path.
fn base_url(value: Value) -> Result<String, Fault> {
    let text = fields::line(1, 200)(value)?;
    let fault =
        || Fault("invalid_format", "expected an https address such as https://meet.example".into());
    let url = Url::parse(&text).map_err(|_| fault())?;
    let is_plain = url.scheme() == "https"
        && url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    is_plain.then(|| url.as_str().trim_end_matches('/').to_owned()).ok_or_else(fault)
}

impl SchedulingRequest {
    /// The rules that this asks for.
    pub fn over(self, standing: &SchedulingView) -> SchedulingView {
        let short = |minutes: i64| minutes as i32; // all bounds lie within
        let kinds = self.kinds.unwrap_or_default();
        SchedulingView {
            lead_minutes: self.lead_minutes.map_or(0, short),
            horizon_days: self.horizon_days.map(short),
            max_per_day: self.max_per_day.map(short),
            late_cancel_minutes: self.late_cancel_minutes.map_or(1440, short),
            no_show_after_minutes: self.no_show_after_minutes.map(short),
            hold_minutes: self.hold_minutes.map_or(60, short),
            reminder_minutes: self
                .reminder_minutes
                .map_or_else(|| vec![1440, 120], |all| all.into_iter().map(short).collect()),
            travel_minutes: self.travel_minutes.map_or(0, short),
            video_base_url: self.video_base_url,
            video_opens_minutes: self.video_opens_minutes.map_or(15, short),
            kinds: KindsRules {
                in_person: kinds.in_person.unwrap_or_default().into(),
                video: kinds.video.unwrap_or_default().into(),
                home_visit: kinds.home_visit.unwrap_or_default().into(),
            },
            ..standing.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rooms_are_put_at_the_end_of_a_plain_https_address() {
        for (given, kept) in [
            ("https://meet.jit.si", Some("https://meet.jit.si")),
            ("https://Meet.Example/clinic/", Some("https://meet.example/clinic")),
            ("http://meet.example", None),
            ("https://meet.example?room=", None),
            ("https://meet.example#", None),
            ("https://me:word@meet.example", None),
            ("javascript:alert(1)", None),
            ("meet.example", None),
        ] {
            assert_eq!(base_url(json!(given)).ok().as_deref(), kept, "{given}");
        }
    }
}
