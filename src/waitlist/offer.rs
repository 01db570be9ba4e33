//! Offering: a time that was given back is kept for the first who waits for one like it, and he is told.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::end::LAPSED;
use super::model::Waiting;
use super::store::{self, NewOffer};
use crate::actor::Actor;
use crate::appointments::slots::free_beside;
use crate::appointments::{BookError, Booker, Kind, hold};
use crate::audit::{self, Act};
use crate::chores::{self, Chore, NewChore, Outcome};
use crate::db::Tx;
use crate::doctors::hours::{Open, Span};
use crate::error::Problem;
use crate::ids::{DoctorId, FreedTimeId, MessageId};
use crate::live;
use crate::messaging::policy::{self, Class, Quiet};
use crate::messaging::settings;
use crate::outbox::{self, NewMessage};
use crate::tenancy::Clinic;
use crate::tenancy::pools::Conn;

/// What is kept for less than this is not offered: nobody could answer.
const SHORTEST: TimeDelta = TimeDelta::minutes(5);

/// The message of an offer.
const OFFERED: &str = "waitlist.offered";

/// Does the chore of a freed time, as the app's list of chores wants it.
pub fn job(clinic: Arc<Clinic>, chore: Chore) -> BoxFuture<'static, Result<Outcome, Problem>> {
    Box::pin(async move { look(&clinic, FreedTimeId(chore.subject_id)).await })
}

/// What came of looking for somebody.
enum Found {
    /// One has been offered something; there may be more.
    Somebody,
    /// One whom it would fit considers another time: what is free is looked at again when he has answered.
    Later,
    Nobody,
}

/// Offers a freed time, and what is left of it, until nobody wants any of it. Done twice it goes on where it was.
async fn look(clinic: &Clinic, id: FreedTimeId) -> Result<Outcome, Problem> {
    let freed = store::freed(&mut clinic.read().await?, id).await?;
    let Some((doctor, during)) = freed else {
        return Ok(Outcome::Needless("somebody has looked"));
    };
    loop {
        match offer_to_the_first(clinic, doctor, during).await? {
            Found::Somebody => {}
            Found::Later => return Ok(Outcome::Done),
            Found::Nobody => break,
        }
    }
    store::forget_freed(&mut clinic.read().await?, id).await?;
    Ok(Outcome::Done)
}

/// Makes one offer. Each takes one who waits out of the line, so this ends.
async fn offer_to_the_first(
    clinic: &Clinic,
    doctor: DoctorId,
    freed: Span,
) -> Result<Found, Problem> {
    let now = clinic.clock.now();
    let mut conn = clinic.read().await?;
    let waiting = store::waiting(&mut conn, doctor, freed).await?;
    if waiting.is_empty() || freed.to <= now {
        return Ok(Found::Nobody);
    }
    let terms = Terms::read(&mut conn).await?;
    let mut free: HashMap<(Kind, Option<i64>), Vec<Open>> = HashMap::new();
    let mut fitting: Vec<(Waiting, Vec<Open>)> = Vec::new();
    for waiting in waiting {
        let (kind, minutes) = (waiting.kind, waiting.duration_minutes);
        let free = match free.get(&(kind, minutes)) {
            Some(free) => free,
            None => {
                let found = free_beside(&mut conn, doctor, freed, kind, minutes, now).await?;
                free.entry((kind, minutes)).or_insert(found)
            }
        };
        let fits = |open: &&Open| {
            waiting.location_id.is_none_or(|wanted| wanted == open.location_id)
                && waiting.wish.admits(open.span, open.zone)
                && !waiting.had.contains(&open.span.from)
                && terms.until(open, now).is_some()
        };
        let times: Vec<Open> = free.iter().filter(fits).copied().collect();
        fitting.push((waiting, times));
    }
    drop(conn);
    let mut found = Found::Nobody;
    for (waiting, times) in &fitting {
        if waiting.considers && !times.is_empty() {
            found = Found::Later;
            continue;
        }
        for time in times {
            match offer(clinic, waiting, doctor, time, &terms).await? {
                Offered::Made => return Ok(Found::Somebody),
                Offered::Considers => {
                    found = Found::Later;
                    break;
                }
                Offered::Gone => {}
            }
        }
    }
    Ok(found)
}

/// How long the clinic keeps a time.
struct Terms {
    kept_for: TimeDelta,
    /// How long before it patients may book at all.
    lead: TimeDelta,
    quiet: Option<Quiet>,
}

impl Terms {
    async fn read(conn: &mut Conn) -> sqlx::Result<Self> {
        let (hold_minutes, lead_minutes) = store::rules(conn).await?;
        let quiet = settings::rule(conn, Class::Appointment).await?.quiet;
        let minutes = |minutes: i32| TimeDelta::minutes(i64::from(minutes));
        Ok(Self { kept_for: minutes(hold_minutes), lead: minutes(lead_minutes), quiet })
    }

    /// Until when a time is kept from now on; none: nobody could answer. In hours in which the clinic sends nothing it counts from their
    /// end on; and it is over before it is too late for patients to book.
    fn until(&self, time: &Open, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let told = self.quiet.and_then(|quiet| quiet.ends(now, time.zone));
        let told = told.map_or(now, |ends| ends + policy::SPREAD);
        let until = (told + self.kept_for).min(time.span.from - self.lead);
        (until - told >= SHORTEST).then_some(until)
    }
}

/// What came of offering somebody a time.
enum Offered {
    Made,
    /// He was offered another meanwhile: times that are freed together are looked at side by side. Or he has left the list.
    Considers,
    /// It is not to be had any more, or not by him.
    Gone,
}

/// Keeps a time for one who waits, and tells him.
async fn offer(
    clinic: &Clinic,
    to: &Waiting,
    doctor: DoctorId,
    time: &Open,
    terms: &Terms,
) -> Result<Offered, Problem> {
    let wanted = to.request(doctor, time.location_id, time.span);
    let mut tx = clinic.begin_telling(Actor::platform(), &wanted.subjects()).await?;
    let now = tx.now();
    let Some(until) = terms.until(time, now) else { return Ok(Offered::Gone) };
    if !store::still_waits(&mut tx, to.id).await? {
        return Ok(Offered::Considers);
    }
    let by = Booker { only_patient: Some(to.patient_id) };
    let held = match hold::hold(&mut tx, &wanted, by, until, now).await {
        Ok(held) => held,
        Err(BookError::Db(error)) => return Err(error.into()),
        // Somebody was faster, or the patient has another visit then.
        Err(_) => return Ok(Offered::Gone),
    };
    let made = NewOffer {
        id: held.id,
        waitlist_id: to.id,
        patient_id: to.patient_id,
        doctor_id: doctor,
        location_id: held.location_id,
        span: held.span,
        until,
    };
    store::insert_offer(&mut tx, &made).await?;
    tell(&mut tx, to, &made).await?;
    tx.commit().await?;
    Ok(Offered::Made)
}

async fn tell(tx: &mut Tx, to: &Waiting, offer: &NewOffer) -> sqlx::Result<()> {
    let message = NewMessage {
        purpose: OFFERED.to_owned(),
        dedupe_key: format!("{OFFERED}:{}", offer.id),
        subject_id: offer.id.0,
        patient_id: Some(to.patient_id.0),
        user_id: None,
        payload_cipher: None,
        channels: Vec::new(),
        due_at: tx.now(),
        expires_at: offer.until,
    };
    if let Some(id) = outbox::put(&mut **tx, &message).await? {
        tx.note_message(MessageId(id));
    }
    let lapse =
        NewChore { name: LAPSED, subject_id: offer.id.0, key: String::new(), due_at: offer.until };
    chores::put(tx, &lapse).await?;
    let act = Act::new(OFFERED, "waitlist", to.id).about(to.patient_id);
    let details = json!({
        "offer_id": offer.id,
        "doctor_id": offer.doctor_id,
        "starts_at": crate::time::show(offer.span.from),
    });
    audit::record(tx, act.details(details)).await?;
    let event = live::Event {
        kind: OFFERED,
        appointment_id: None,
        doctor_id: Some(offer.doctor_id),
        patient_id: Some(to.patient_id),
        location_id: Some(offer.location_id),
        also: &[],
        details: json!({ "waitlist_id": to.id }),
    };
    live::note(tx, event).await
}
