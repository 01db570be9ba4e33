//! What somebody answers to an offer, signed in or by a link: for whoever knows that the offer was his (`respond/`).

use chrono::{DateTime, Utc};

use super::accept::{AcceptError, accept};
use super::end::{DECLINED, WITHDRAWN, end};
use super::model::visit;
use super::store;
use crate::appointments::{AppointmentRequest, AppointmentView, BookError, Kind};
use crate::db::Tx;
use crate::doctors::hours::Span;
use crate::ids::{DoctorId, HoldId, LocationId, PatientId, WaitlistId};
use crate::tenancy::pools::Conn;

/// An offer, with whom it is for.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Offered {
    pub id: HoldId,
    pub waitlist_id: WaitlistId,
    pub patient_id: PatientId,
    pub doctor_id: DoctorId,
    pub doctor_name: String,
    pub location_id: LocationId,
    pub location_name: String,
    pub time_zone: String,
    pub kind: Kind,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub status: OfferStatus,
    pub reason: String,
    pub address: String,
    /// Accepted, and the visit is at that time yet.
    pub stands: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum OfferStatus {
    Open,
    Accepted,
    Declined,
    Lapsed,
    Withdrawn,
}

impl OfferStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            OfferStatus::Open => "open",
            OfferStatus::Accepted => "accepted",
            OfferStatus::Declined => "declined",
            OfferStatus::Lapsed => "lapsed",
            OfferStatus::Withdrawn => "withdrawn",
        }
    }
}

impl Offered {
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.status == OfferStatus::Open && now < self.until
    }

    pub fn span(&self) -> Span {
        Span::new(self.starts_at, self.ends_at)
    }

    /// The visit that it would come to.
    pub fn request(&self) -> AppointmentRequest {
        let (doctor, at) = (self.doctor_id, self.span());
        let words = (self.reason.as_str(), self.address.as_str());
        visit(self.patient_id, doctor, self.location_id, at, self.kind, words)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accept,
    Decline,
}

/// What came of an answer.
#[derive(Clone, Debug)]
pub enum Answered {
    Booked(Box<AppointmentView>),
    Declined,
    /// It was so before: a second press changes nothing.
    AlreadySo,
    /// It is not kept any more, or was declined.
    Over,
    /// The patient has another visit at that time by now.
    Refused,
}

/// The offer that is asked about.
///
/// # Errors
/// The database's.
pub async fn asked(conn: &mut Conn, id: HoldId) -> sqlx::Result<Option<Offered>> {
    store::offered(conn, id).await
}

/// Answers. The transaction is one opened for telling and holds the locks of the offer's doctor and patient; whatever comes of it
/// may be committed.
///
/// # Errors
/// The database's.
pub async fn answer(tx: &mut Tx, id: HoldId, answer: Answer) -> sqlx::Result<Answered> {
    let seen = store::offered(tx, id).await?.ok_or(sqlx::Error::RowNotFound)?;
    store::lock(tx, seen.waitlist_id).await?;
    let offer = store::offered(tx, id).await?.ok_or(sqlx::Error::RowNotFound)?;
    let now = tx.now();
    match (answer, offer.status) {
        (Answer::Accept, OfferStatus::Accepted) | (Answer::Decline, OfferStatus::Declined) => {
            Ok(Answered::AlreadySo)
        }
        _ if !offer.is_open(now) => Ok(Answered::Over),
        (Answer::Decline, _) => {
            end(tx, &offer, DECLINED).await?;
            Ok(Answered::Declined)
        }
        (Answer::Accept, _) => {
            sqlx::query("savepoint before_accepting").execute(&mut **tx).await?;
            let refused = match accept(tx, &offer, now).await {
                Ok(visit) => return Ok(Answered::Booked(Box::new(visit))),
                Err(AcceptError::Book(BookError::Db(error))) => return Err(error),
                Err(AcceptError::Book(BookError::SlotTaken)) => Answered::Refused,
                Err(_) => Answered::Over,
            };
            sqlx::query("rollback to savepoint before_accepting").execute(&mut **tx).await?;
            // Whoever has another visit then may still move that one: the time stays kept. What nobody can book any more does not.
            if matches!(refused, Answered::Over) {
                end(tx, &offer, WITHDRAWN).await?;
            }
            Ok(refused)
        }
    }
}
