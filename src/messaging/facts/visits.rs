//! What a message says of a visit: read for many at a time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::{ComposeError, Composed, Facts, Recipient, Values, channels, read};
use crate::ids::{AppointmentId, PatientId};
use crate::messaging::kind::Kind;
use crate::outbox::{OutboxRow, Together, Turns};
use crate::respond::{self, About, Press, Token};
use crate::tenancy::Clinic;
use crate::time;

pub struct Visit {
    pub number: String,
    pub starts_at: DateTime<Utc>,
    /// Of the location.
    pub zone: Tz,
    pub patient: String,
    pub doctor: String,
    pub location: String,
    /// May be empty.
    pub address: String,
    pub phone: Option<String>,
    /// Where its patient confirms or cancels, while that can be done.
    pub respond_url: Option<String>,
}

#[derive(sqlx::FromRow)]
struct VisitRow {
    place: i64,
    number: String,
    status: String,
    starts_at: DateTime<Utc>,
    patient_id: PatientId,
    patient_name: String,
    email: Option<String>,
    phone: Option<String>,
    language: Option<String>,
    doctor_name: String,
    location_name: String,
    location_address: String,
    location_phone: Option<String>,
    time_zone: String,
    own_time_zone: Option<String>,
}

/// Reads visits for messages, those that are asked for at the same time together.
pub struct Visits(Together<Uuid, sqlx::Result<Option<VisitRow>>>);

impl Visits {
    pub fn new(turns: Turns) -> Self {
        Self(Together::new(turns))
    }

    async fn of(&self, clinic: &Clinic, id: Uuid) -> sqlx::Result<Option<VisitRow>> {
        let read = self.0.ask(clinic.id.0, id, async |ids: Vec<Uuid>| {
            let found = async {
                sqlx::query_as::<_, VisitRow>(
                    "select asked.place, a.number, a.status, lower(a.during) as starts_at,
                            p.id as patient_id, p.full_name as patient_name, p.email, p.phone, p.language,
                            u.full_name as doctor_name, l.name as location_name, l.address as location_address,
                            l.phone as location_phone, l.time_zone, w.time_zone as own_time_zone
                     from unnest($1::uuid[]) with ordinality as asked (id, place)
                     join appointments a on a.id = asked.id
                     join patients p on p.id = a.patient_id and p.deleted_at is null
                     join users u on u.id = a.doctor_id join locations l on l.id = a.location_id
                     left join preferences w on w.user_id = p.user_id",
                )
                .bind(&ids)
                .fetch_all(&mut read(clinic).await?)
                .await
            };
            let places = 1..=ids.len() as i64;
            match found.await {
                Ok(found) => {
                    let mut by_place: HashMap<i64, VisitRow> =
                        found.into_iter().map(|visit| (visit.place, visit)).collect();
                    places.map(|place| Ok(by_place.remove(&place))).collect()
                }
                Err(error) => places.map(|_| Err(trouble(error.to_string()))).collect(),
            }
        });
        let lost = || Err(trouble("whoever was about to read it is gone".to_owned()));
        read.await.unwrap_or_else(lost)
    }
}

pub(super) fn trouble(says: String) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other(says))
}

pub(super) async fn of_visit(
    clinic: &Clinic,
    visits: &Visits,
    kind: Kind,
    row: &OutboxRow,
) -> Result<Composed, ComposeError> {
    let visit = visits.of(clinic, row.subject_id).await?;
    let Some(visit) = visit else { return Ok(Composed::Needless("the patient is gone")) };
    let holds = match kind {
        Kind::Cancelled => visit.status == "cancelled",
        Kind::ReplyFailed => true,
        Kind::ReminderDay | Kind::ReminderHours => {
            matches!(visit.status.as_str(), "booked" | "confirmed")
        }
        _ => visit.status != "cancelled",
    };
    if !holds {
        return Ok(Composed::Needless("the visit has changed since"));
    }
    let zone = time::zone(&visit.time_zone).unwrap_or(clinic.zone);
    let open = matches!(visit.status.as_str(), "booked" | "confirmed");
    let about = About::Visit(AppointmentId(row.subject_id));
    let token = Token { about, starts_at: visit.starts_at };
    let token = (kind.asks_for_a_reply() && open).then_some(token);
    let own_zone = visit.own_time_zone.as_deref().and_then(time::zone);
    Ok(Composed::Facts(Box::new(Facts {
        kind,
        recipient: Recipient {
            patient_id: Some(visit.patient_id),
            user_id: None,
            name: visit.patient_name.clone(),
            phone: visit.phone,
            email: visit.email,
            language: visit.language,
            time_zone: own_zone.unwrap_or(zone),
        },
        values: Values::Visit(Visit {
            number: visit.number,
            starts_at: visit.starts_at,
            zone,
            patient: visit.patient_name,
            doctor: visit.doctor_name,
            location: visit.location_name,
            address: visit.location_address,
            phone: visit.location_phone,
            respond_url: token.map(|token| respond::url(clinic, token)),
        }),
        channels: channels(&row.channels),
        replies: token.map(|token| Press::payloads(&clinic.keys, token)).unwrap_or_default(),
        unsubscribe: None,
        written_at: clinic.clock.now(),
    })))
}
