//! What a message says of a time that is kept for somebody on the waitlist.

use chrono::{DateTime, Utc};

use super::{ComposeError, Composed, Facts, Recipient, Values, Visit, channels, read};
use crate::ids::{HoldId, PatientId};
use crate::messaging::kind::Kind;
use crate::outbox::OutboxRow;
use crate::respond::{self, About, Press, Token};
use crate::tenancy::Clinic;
use crate::time;

#[derive(sqlx::FromRow)]
struct OfferRow {
    status: String,
    starts_at: DateTime<Utc>,
    until: DateTime<Utc>,
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

pub(super) async fn of_offer(
    clinic: &Clinic,
    kind: Kind,
    row: &OutboxRow,
) -> Result<Composed, ComposeError> {
    let offer: Option<OfferRow> = sqlx::query_as(
        "select o.status, lower(o.during) as starts_at, o.until, p.id as patient_id, p.full_name as patient_name,
                p.email, p.phone, p.language, u.full_name as doctor_name, l.name as location_name,
                l.address as location_address, l.phone as location_phone, l.time_zone,
                wants.time_zone as own_time_zone
         from waitlist_offers o join waitlist w on w.id = o.waitlist_id
         join patients p on p.id = w.patient_id and p.deleted_at is null
         join users u on u.id = o.doctor_id join locations l on l.id = o.location_id
         left join preferences wants on wants.user_id = p.user_id
         where o.id = $1",
    )
    .bind(row.subject_id)
    .fetch_optional(&mut read(clinic).await?)
    .await?;
    let Some(offer) = offer else { return Ok(Composed::Needless("the patient is gone")) };
    let now = clinic.clock.now();
    let is_open = offer.status == "open" && now < offer.until;
    if kind == Kind::Offered && !is_open {
        return Ok(Composed::Needless("the time is not kept any more"));
    }
    let zone = time::zone(&offer.time_zone).unwrap_or(clinic.zone);
    let token = Token { about: About::Offer(HoldId(row.subject_id)), starts_at: offer.starts_at };
    let token = kind.asks_for_a_reply().then_some(token);
    let own_zone = offer.own_time_zone.as_deref().and_then(time::zone);
    Ok(Composed::Facts(Box::new(Facts {
        kind,
        recipient: Recipient {
            patient_id: Some(offer.patient_id),
            user_id: None,
            name: offer.patient_name.clone(),
            phone: offer.phone,
            email: offer.email,
            language: offer.language,
            time_zone: own_zone.unwrap_or(zone),
        },
        values: Values::Offer {
            visit: Visit {
                number: String::new(),
                starts_at: offer.starts_at,
                zone,
                patient: offer.patient_name,
                doctor: offer.doctor_name,
                location: offer.location_name,
                address: offer.location_address,
                phone: offer.location_phone,
                respond_url: token.map(|token| respond::url(clinic, token)),
            },
            until: offer.until,
        },
        channels: channels(&row.channels),
        replies: token.map(|token| Press::payloads(&clinic.keys, token)).unwrap_or_default(),
        unsubscribe: None,
        written_at: now,
    })))
}
