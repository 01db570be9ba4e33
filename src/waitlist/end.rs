//! An offer ends without a visit: declined, lapsed, or because its patient waits no more. Its time is passed on.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::reply::{OfferStatus, Offered};
use super::store;
use crate::actor::Actor;
use crate::appointments::{freed, hold};
use crate::audit::{self, Act};
use crate::chores::{Chore, Outcome};
use crate::db::Tx;
use crate::error::Problem;
use crate::ids::{AppointmentId, HoldId};
use crate::live;
use crate::outbox;
use crate::tenancy::Clinic;

/// The name of the chore that ends an offer.
pub const LAPSED: &str = "offer_lapsed";

/// How an offer ends: what is kept of it, and what is told.
#[derive(Clone, Copy, Debug)]
pub struct How {
    status: &'static str,
    event: &'static str,
}

pub const DECLINED: How = How { status: "declined", event: "waitlist.declined" };
pub const WITHDRAWN: How = How { status: "withdrawn", event: "waitlist.withdrawn" };
const RUN_OUT: How = How { status: "lapsed", event: "waitlist.lapsed" };

impl Offered {
    /// What those who watch the book hear.
    pub(super) fn event(
        &self,
        kind: &'static str,
        visit: Option<AppointmentId>,
    ) -> live::Event<'static> {
        live::Event {
            kind,
            appointment_id: visit,
            doctor_id: Some(self.doctor_id),
            patient_id: Some(self.patient_id),
            location_id: Some(self.location_id),
            also: &[],
            details: json!({ "waitlist_id": self.waitlist_id }),
        }
    }
}

/// Ends an open offer and passes its time on. The transaction is one opened for telling and holds the lock of the doctor.
pub async fn end(tx: &mut Tx, offer: &Offered, how: How) -> sqlx::Result<()> {
    if !store::end_offer(tx, offer.id, how.status).await? {
        return Ok(());
    }
    hold::release(tx, offer.id, offer.doctor_id, offer.span()).await?;
    freed::look_again(tx, offer.id).await?;
    freed::note(tx, offer.doctor_id, offer.span()).await?;
    outbox::withdraw(&mut **tx, offer.id.0).await?;
    let act = Act::new(how.event, "waitlist", offer.waitlist_id).about(offer.patient_id);
    audit::record(tx, act.details(json!({ "offer_id": offer.id }))).await?;
    live::note(tx, offer.event(how.event, None)).await
}

/// Ends an offer whose time is over, as the app's list of chores wants it.
pub fn lapse(clinic: Arc<Clinic>, chore: Chore) -> BoxFuture<'static, Result<Outcome, Problem>> {
    Box::pin(async move { lapse_offer(&clinic, HoldId(chore.subject_id)).await })
}

async fn lapse_offer(clinic: &Clinic, id: HoldId) -> Result<Outcome, Problem> {
    let seen = store::offered(&mut clinic.read().await?, id).await?;
    let Some(seen) = seen else { return Ok(Outcome::Needless("there is no such offer")) };
    let subjects = [seen.doctor_id.0, seen.patient_id.0];
    let mut tx = clinic.begin_telling(Actor::platform(), &subjects).await?;
    store::lock(&mut tx, seen.waitlist_id).await?;
    let offer = store::offered(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
    if offer.status != OfferStatus::Open {
        return Ok(Outcome::Needless("it was answered"));
    }
    if tx.now() < offer.until {
        return Err(Problem::conflict("conflict", "by this clock it is kept yet"));
    }
    end(&mut tx, &offer, RUN_OUT).await?;
    tx.commit().await?;
    Ok(Outcome::Done)
}
