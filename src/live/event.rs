//! What goes over the wire, and who may see it. The bytes of an event are made once and shared by all who see it.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::cursor::Cursor;
use super::store::EventRow;
use crate::auth::Role;
use crate::ids::{AccountId, AppointmentId, DoctorId, LocationId, PatientId};

/// Whose session it is, and as what: with another role somebody may see other things, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    pub account: AccountId,
    pub role: Role,
    pub eyes: Eyes,
}

impl Rights {
    /// None for one whose rows nobody could tell.
    pub fn of(role: Role, account: AccountId, patient: Option<PatientId>) -> Option<Self> {
        Some(Self { account, role, eyes: Eyes::of(role, account, patient)? })
    }
}

/// With whose eyes somebody watches: what `GET /appointments` would show him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eyes {
    /// The clinic's staff.
    All,
    /// A therapist: what claims him.
    Claimed(Uuid),
    /// A patient: his own.
    Own(PatientId),
}

impl Eyes {
    fn of(role: Role, account: AccountId, patient: Option<PatientId>) -> Option<Self> {
        match role {
            Role::Therapist => Some(Self::Claimed(account.0)),
            Role::Patient => patient.map(Self::Own),
            _ => Some(Self::All),
        }
    }

    fn see(self, event: &EventRow) -> bool {
        match self {
            Self::All => true,
            Self::Claimed(account) => event.subjects.contains(&account),
            Self::Own(patient) => event.patient_id == Some(patient),
        }
    }
}

/// Events that were read together.
pub struct Batch {
    events: Vec<EventRow>,
    /// Where each ends in `bytes`.
    ends: Vec<usize>,
    bytes: Bytes,
}

impl Batch {
    pub fn new(events: Vec<EventRow>) -> Self {
        let (mut bytes, mut ends) = (Vec::with_capacity(400 * events.len()), Vec::new());
        for event in &events {
            write(&mut bytes, event);
            ends.push(bytes.len());
        }
        Self { events, ends, bytes: bytes.into() }
    }

    /// What these eyes see of it.
    pub(super) fn seen_by(&self, eyes: Eyes) -> Option<Bytes> {
        if eyes == Eyes::All {
            return (!self.bytes.is_empty()).then(|| self.bytes.clone());
        }
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let mut seen = begins
            .zip(&self.ends)
            .zip(&self.events)
            .filter(|(_, event)| eyes.see(event))
            .map(|((from, to), _)| self.bytes.slice(from..*to));
        let first = seen.next()?;
        let mut all = vec![first];
        all.extend(seen);
        match &all[..] {
            [one] => Some(one.clone()),
            several => Some(several.concat().into()),
        }
    }
}

#[derive(Serialize)]
struct EventView<'a> {
    kind: &'a str,
    #[serde(with = "crate::time::shown")]
    at: chrono::DateTime<chrono::Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    appointment_id: Option<AppointmentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doctor_id: Option<DoctorId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patient_id: Option<PatientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location_id: Option<LocationId>,
    #[serde(flatten)]
    details: &'a Value,
}

/// `event` is what it is about (`appointment`), so that a browser can listen to all of it by one name.
fn write(bytes: &mut Vec<u8>, event: &EventRow) {
    let topic = event.kind.split('.').next().unwrap_or_default();
    let view = EventView {
        kind: &event.kind,
        at: event.at,
        appointment_id: event.appointment_id,
        doctor_id: event.doctor_id,
        patient_id: event.patient_id,
        location_id: event.location_id,
        details: &event.details,
    };
    let data = serde_json::to_string(&view).expect("ids, an instant and JSON always are JSON");
    bytes.extend_from_slice(
        format!("id: {}\nevent: {topic}\ndata: {data}\n\n", event.at_cursor).as_bytes(),
    );
}

/// The first words: how long to wait before coming again, and from where, once this has been heard.
pub fn greeting(retry_ms: u64, at: Option<Cursor>) -> Bytes {
    match at {
        Some(at) => format!("retry: {retry_ms}\nid: {at}\n: listening\n\n"),
        None => format!("retry: {retry_ms}\n: listening\n\n"),
    }
    .into()
}

/// Nothing new. The id without data moves the client's `Last-Event-ID` on, and tells it nothing.
pub fn beat(at: Cursor) -> Bytes {
    format!("id: {at}\n: nothing new\n\n").into()
}

/// Something was missed that cannot be told any more: load anew what is shown.
pub fn reset(at: Cursor) -> Bytes {
    format!("id: {at}\nevent: reset\ndata: {{}}\n\n").into()
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Signed out, suspended, or another role: sign in, or ask anew with the rights that are left.
    Session,
    /// The clinic is not open any more.
    Clinic,
    /// This instance stops; another goes on.
    Restart,
    /// It has lasted long: come again, with a token of today.
    Renew,
    /// The client did not keep up. What it has missed is told when it comes again.
    Behind,
    /// Something of ours broke.
    Broken,
}

impl End {
    pub fn as_str(self) -> &'static str {
        match self {
            End::Session => "session",
            End::Clinic => "clinic",
            End::Restart => "restart",
            End::Renew => "renew",
            End::Behind => "behind",
            End::Broken => "broken",
        }
    }

    pub fn frame(self) -> Bytes {
        format!("event: end\ndata: {{\"reason\":\"{}\"}}\n\n", self.as_str()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sees_his_own_and_the_bytes_are_shared() {
        let (mine, therapist) = (PatientId::new(), AccountId::new());
        let event = |id, patient_id, subjects| EventRow {
            at_cursor: Cursor { xid: 7, id },
            at: chrono::DateTime::UNIX_EPOCH,
            kind: "appointment.moved".into(),
            appointment_id: None,
            doctor_id: None,
            patient_id: Some(patient_id),
            location_id: None,
            subjects,
            details: serde_json::json!({ "status": "booked" }),
        };
        let batch = Batch::new(vec![
            event(1, mine, vec![]),
            event(2, PatientId::new(), vec![therapist.0]),
            event(3, mine, vec![]),
        ]);
        let seen = |role, account, patient| {
            let eyes = Eyes::of(role, account, patient)?;
            let bytes = batch.seen_by(eyes)?;
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let ids =
                text.lines().filter_map(|line| line.strip_prefix("id: 7-")).map(str::to_owned);
            Some(ids.collect::<String>())
        };
        let anybody = AccountId::new();

        assert_eq!(seen(Role::Receptionist, anybody, None).unwrap(), "123");
        assert_eq!(seen(Role::Patient, anybody, Some(mine)).unwrap(), "13");
        assert_eq!(seen(Role::Patient, anybody, Some(PatientId::new())), None);
        assert_eq!(seen(Role::Patient, anybody, None), None);
        assert_eq!(seen(Role::Therapist, therapist, None).unwrap(), "2");
        assert_eq!(seen(Role::Therapist, anybody, None), None);
        let whole = batch.seen_by(Eyes::All).unwrap();
        assert_eq!(whole.as_ptr(), batch.bytes.as_ptr());
    }

    #[test]
    fn an_event_is_named_by_what_it_is_about() {
        let row = EventRow {
            at_cursor: Cursor { xid: 7, id: 1 },
            at: chrono::DateTime::UNIX_EPOCH,
            kind: "queue.called".into(),
            appointment_id: None,
            doctor_id: None,
            patient_id: None,
            location_id: None,
            subjects: vec![],
            details: serde_json::json!({}),
        };
        let mut bytes = Vec::new();

        write(&mut bytes, &row);

        let data = r#"{"kind":"queue.called","at":"1970-01-01T00:00:00Z"}"#;
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            format!("id: 7-1\nevent: queue\ndata: {data}\n\n")
        );
    }
}
