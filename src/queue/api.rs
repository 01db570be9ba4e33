//! `/queue`: who waits, and whose turn it is.

use chrono::NaiveDate;
use poem::Response;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::call::{CallError, Next, Turn, call_next, turn};
use super::line;
use super::model::{Priority, QueueItem};
use super::store::{self, Asked};
use crate::audit::{self, Act, Seen};
use crate::auth::May;
use crate::auth::may::{ReadQueue, ReceivePatients};
use crate::crypto;
use crate::error::{FieldError, Problem};
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::{self, Fields, Readable};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::{Input, Query};
use crate::http::path::Path;
use crate::http::payload::{Payload, Stored};
use crate::ids::{AppointmentId, DoctorId, LocationId};
use crate::tenancy::Clinic;

/// The queue of a waiting room.
pub struct QueueApi;

/// Whose queue, and of which day.
#[derive(Object)]
pub struct ListQueue {
    /// Everybody's unless given.
    doctor_id: Option<DoctorId>,
    location_id: Option<LocationId>,
    /// A civil day at the location. Today unless given; then who is here since before midnight is in it, too.
    date: Option<NaiveDate>,
}

impl Readable for ListQueue {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            doctor_id: fields.optional("doctor_id", fields::id),
            location_id: fields.optional("location_id", fields::id),
            date: fields.optional("date", fields::date),
        })
    }
}

/// Everybody with a token, all in one answer.
#[derive(Serialize, Object)]
pub struct QueueView {
    pub items: Vec<QueueItem>,
}

/// For whom the next is called.
#[derive(Object)]
pub struct CallNext {
    doctor_id: DoctorId,
    /// Wherever the doctor's patients wait unless given.
    location_id: Option<LocationId>,
    /// As of the queue.
    date: Option<NaiveDate>,
}

impl Readable for CallNext {
    fn read(fields: &mut Fields) -> Option<Self> {
        let doctor_id = fields.required("doctor_id", fields::id);
        let location_id = fields.optional("location_id", fields::id);
        let date = fields.optional("date", fields::date);
        Some(Self { doctor_id: doctor_id?, location_id, date })
    }
}

/// Whose turn it is.
#[derive(Serialize, Object)]
pub struct CalledView {
    /// Null: nobody waits.
    pub called: Option<QueueItem>,
    /// So many wait after that.
    pub waiting: i64,
}

/// How urgent somebody is.
#[derive(Object)]
pub struct Rank {
    priority: Priority,
}

impl Readable for Rank {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { priority: fields.required("priority", fields::choice)? })
    }
}

#[OpenApi]
impl QueueApi {
    /// The queue of a day
    ///
    /// Of each doctor at each location: who is with the doctor, who is called, who waits, in turn, and who has been. Emergencies go
    /// first; everybody else by `due_at`, and `goes_by` says what that is. Once a booked patient's time has come, no two others
    /// go in a row before; who was skipped goes after the next three. `wait` is learnt from the doctor's last consultations.
    /// A patient sees the own token alone.
    #[oai(path = "/queue", method = "get", operation_id = "listQueue")]
    async fn list(
        &self,
        who: May<ReadQueue>,
        clinic: Here,
        query: Query<ListQueue>,
    ) -> Result<Payload<QueueView>, Problem> {
        let query = query.read()?;
        let only = who.only_patient()?;
        let asked = Asked { day: query.date, doctor: query.doctor_id, location: query.location_id };
        let now = clinic.clock.now();
        let mut conn = clinic.read().await?;
        let mut items = line::of(store::tokens(&mut conn, asked, now).await?, now);
        drop(conn);
        items.retain(|item| only.is_none_or(|own| own == item.patient_id));
        let mut seen = Seen::list("queue", &items, |item| item.appointment_id.0);
        seen.about_id = only.map(Uuid::from);
        who.saw(seen).await?;
        Ok(Payload(QueueView { items }))
    }

    /// Call the next patient
    ///
    /// The token is on the board; `start` begins the consultation. While somebody is called and not with the doctor yet, that
    /// is the answer again, and nobody else is called: `skip` who does not come.
    #[oai(path = "/queue/call-next", method = "post", operation_id = "callNext")]
    async fn call_next(
        &self,
        who: May<ReceivePatients>,
        clinic: Here,
        key: Idempotency,
        body: Input<CallNext>,
    ) -> Result<Replayable<Payload<CalledView>>, Problem> {
        let body_sha256 = body.sha256();
        let CallNext { doctor_id, location_id, date } = body.read()?;
        let mut tx = clinic.begin_locking(who.actor(), &[doctor_id.0]).await?;
        let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        let asked = Asked { day: date, doctor: Some(doctor_id), location: location_id };
        let (next, waiting) = call_next(&mut tx, asked).await?;
        let called = match next {
            Next::Called(item) => Some(item),
            Next::CalledAlready(item) => {
                // Nothing is done, and a patient is shown: that is a read. (A press that calls has its own row.)
                let act = Act::new("queue.read", "queue", item.appointment_id);
                audit::record(&mut tx, act.about(item.patient_id)).await?;
                Some(item)
            }
            Next::Nobody if store::is_doctor(&mut tx, doctor_id).await? => None,
            Next::Nobody => {
                let fault = FieldError::body("/doctor_id", "not_found", "nobody of this id");
                return Err(Problem::invalid(vec![fault]));
            }
        };
        let answer = CalledView { called, waiting: waiting as i64 };
        Replayable::commit(tx, kept, Payload(answer)).await
    }

    /// Call a patient again, or out of turn
    ///
    /// Also one who was skipped and has come.
    #[oai(path = "/queue/:appointment_id/recall", method = "post", operation_id = "recallPatient")]
    async fn recall(
        &self,
        who: May<ReceivePatients>,
        clinic: Here,
        appointment_id: Path<AppointmentId>,
        if_match: IfMatch,
        key: Idempotency,
    ) -> Result<Replayable<Stored<QueueItem>>, Problem> {
        let nothing = crypto::sha256(b"");
        let asked = Asking { id: appointment_id.0, if_match: &if_match, key: &key, body: nothing };
        if let Some(response) = asked.look(&who, &clinic).await? {
            return Ok(Replayable::Replayed(response));
        }
        key.no_body()?;
        asked.take(&who, &clinic, Turn::Recall).await
    }

    /// Let others go before a patient who does not come
    ///
    /// The token comes again after the next three who are called, or after all there are. Skipped already: `409 skipped`.
    #[oai(path = "/queue/:appointment_id/skip", method = "post", operation_id = "skipPatient")]
    async fn skip(
        &self,
        who: May<ReceivePatients>,
        clinic: Here,
        appointment_id: Path<AppointmentId>,
        if_match: IfMatch,
        key: Idempotency,
    ) -> Result<Replayable<Stored<QueueItem>>, Problem> {
        let nothing = crypto::sha256(b"");
        let asked = Asking { id: appointment_id.0, if_match: &if_match, key: &key, body: nothing };
        if let Some(response) = asked.look(&who, &clinic).await? {
            return Ok(Replayable::Replayed(response));
        }
        key.no_body()?;
        asked.take(&who, &clinic, Turn::Skip).await
    }

    /// Say how urgent a patient is
    ///
    /// From 65 years on a patient is `elderly` unless this says otherwise.
    #[oai(
        path = "/queue/:appointment_id/priority",
        method = "post",
        operation_id = "setQueuePriority"
    )]
    async fn rank(
        &self,
        who: May<ReceivePatients>,
        clinic: Here,
        appointment_id: Path<AppointmentId>,
        if_match: IfMatch,
        key: Idempotency,
        body: Input<Rank>,
    ) -> Result<Replayable<Stored<QueueItem>>, Problem> {
        let asked =
            Asking { id: appointment_id.0, if_match: &if_match, key: &key, body: body.sha256() };
        if let Some(response) = asked.look(&who, &clinic).await? {
            return Ok(Replayable::Replayed(response));
        }
        let Rank { priority } = body.read()?;
        asked.take(&who, &clinic, Turn::Rank(priority)).await
    }
}

/// A request about one visit's token.
struct Asking<'a> {
    id: AppointmentId,
    if_match: &'a IfMatch,
    key: &'a Idempotency,
    /// What the key is bound to.
    body: [u8; 32],
}

impl Asking<'_> {
    /// Looks before anything is locked. A retry gets its first answer, though the token is another version since.
    async fn look(
        &self,
        who: &May<ReceivePatients>,
        clinic: &Clinic,
    ) -> Result<Option<Response>, Problem> {
        let seen = store::visit(&mut clinic.read().await?, self.id).await?;
        let seen = seen.ok_or_else(Problem::not_found)?;
        let first = self.key.first_answer(clinic, who.account, self.body).await?;
        if first.is_none() {
            self.if_match.honour(ETag(seen.version.unwrap_or(0)))?;
        }
        Ok(first)
    }

    async fn take(
        &self,
        who: &May<ReceivePatients>,
        clinic: &Clinic,
        wanted: Turn,
    ) -> Result<Replayable<Stored<QueueItem>>, Problem> {
        let seen = store::visit(&mut clinic.read().await?, self.id).await?;
        let seen = seen.ok_or_else(Problem::not_found)?;
        let mut tx = clinic.begin_locking(who.actor(), &[seen.doctor_id.0]).await?;
        let kept = match self.key.begin(&mut tx, who.account, self.body).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        let standing = store::visit(&mut tx, self.id).await?.ok_or_else(Problem::not_found)?;
        if standing.doctor_id != seen.doctor_id {
            let moved = "somebody moved this visit just now; try again";
            return Err(Problem::conflict("conflict", moved));
        }
        self.if_match.honour(ETag(standing.version.unwrap_or(0)))?;
        let item = turn(&mut tx, self.id, &standing, wanted).await?;
        let answer = Stored { etag: ETag(item.version), view: item };
        Replayable::commit(tx, kept, answer).await
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let detail = error.to_string();
        match error {
            CallError::NotWaiting(status) => {
                Problem::conflict("not-waiting", detail).with("status", status.as_str())
            }
            CallError::Skipped => Problem::conflict("skipped", detail),
            CallError::Db(error) => error.into(),
        }
    }
}
