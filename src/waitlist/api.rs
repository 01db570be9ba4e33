//! `/waitlist`

use chrono::{DateTime, Utc};
use poem_openapi::OpenApi;

use super::leave::{LeaveError, leave, record};
use super::model::{ListWaitlist, Status, WaitlistRequest, WaitlistView};
use super::reply::{Answer, Answered, answer};
use super::store::{self, Narrow, Now};
use crate::appointments::AppointmentView;
use crate::appointments::reply::find;
use crate::audit::Seen;
use crate::auth::may::{ReadAppointments, ReadWaitlist, WriteAppointments};
use crate::auth::{May, Permission, Role};
use crate::db::{Tries, Tx};
use crate::error::{FieldError, Problem};
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::{Input, NoBody, Query};
use crate::http::page::Listing;
use crate::http::path::Path;
use crate::http::payload::{Created, Payload, Stored};
use crate::ids::{AppointmentId, WaitlistId};
use crate::tenancy::Clinic;
use crate::tenancy::pools::Conn;

/// Those who wait for a time.
pub struct WaitlistApi;

#[OpenApi]
impl WaitlistApi {
    /// List who waits, first come first
    ///
    /// Those who wait yet, offered a time or not, unless `status` says otherwise. A patient sees the own entries alone; a therapist, to whom nobody is booked, none.
    #[oai(path = "/waitlist", method = "get", operation_id = "listWaitlist")]
    async fn list(
        &self,
        who: May<ReadAppointments>,
        clinic: Here,
        query: Query<ListWaitlist>,
    ) -> Result<Payload<Listing<WaitlistView>>, Problem> {
        let query = query.read()?;
        let page = query.page.clone().expect("read above");
        let after = page.after::<(DateTime<Utc>, WaitlistId)>()?;
        let only = who.only_patient()?;
        let others = only.is_some_and(|own| query.patient_id.is_some_and(|asked| asked != own));
        if others || who.role == Role::Therapist {
            return Ok(Payload(Listing::whole(Vec::new())));
        }
        let patient = only.or(query.patient_id);
        let narrow =
            Narrow { doctor: query.doctor_id, status: query.status, after, limit: page.fetch() };
        let (mut conn, now) = (clinic.read().await?, now(&clinic));
        let rows = match patient {
            Some(patient) => store::of_patient(&mut conn, now, patient, &narrow).await?,
            None => store::of_everybody(&mut conn, now, &narrow).await?,
        };
        drop(conn);
        let listing = page.of(rows, |one| (one.created_at, one.id));
        let mut seen = Seen::list("waitlist", &listing.items, |one| one.id.0);
        seen.about_id = patient.map(Into::into);
        who.saw(seen).await?;
        Ok(Payload(listing))
    }

    /// Join the waitlist
    ///
    /// For a doctor or a specialty, on days and in hours that suit. A time that is given back from now on is offered to the first whom
    /// it fits, and kept for `hold_minutes`. What is free already is not offered: book it. A patient has ten entries at most (`409
    /// too-many`), and one offer at a time.
    #[oai(path = "/waitlist", method = "post", operation_id = "joinWaitlist")]
    async fn join(
        &self,
        who: May<WriteAppointments>,
        clinic: Here,
        key: Idempotency,
        body: Input<WaitlistRequest>,
    ) -> Result<Replayable<Created<WaitlistView>>, Problem> {
        let body_sha256 = body.sha256();
        if let Some(response) = key.first_answer(&clinic, who.account, body_sha256).await? {
            return Ok(Replayable::Replayed(response));
        }
        let new = body.read()?;
        let only = who.only_patient()?;
        let mut tx = clinic.begin_locking(who.actor(), &[new.patient_id.0]).await?;
        let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        let own = only.is_none_or(|own| own == new.patient_id);
        refuse_unknown(store::known(&mut tx, &new).await?, own)?;
        let now_is = tx.now();
        if store::count_of(&mut tx, new.patient_id, now_is).await? >= MOST_ENTRIES {
            let words = format!("a patient waits for {MOST_ENTRIES} things at most");
            return Err(Problem::conflict("too-many", words));
        }
        let id = WaitlistId::new();
        store::insert(&mut tx, id, &new).await?;
        let view = by_id(&mut tx, &clinic, id).await?;
        record(&mut tx, "waitlist.joined", &view).await?;
        let location = format!("/waitlist/{id}");
        Replayable::commit(tx, kept, Created { etag: ETag(view.version), location, view }).await
    }

    /// One who waits
    #[oai(path = "/waitlist/:id", method = "get", operation_id = "getWaitlist")]
    async fn get(
        &self,
        who: May<ReadWaitlist>,
        clinic: Here,
        id: Path<WaitlistId>,
    ) -> Result<Stored<WaitlistView>, Problem> {
        let view = visible(&clinic, &who, id.0).await?;
        who.saw(Seen::one("waitlist", view.id).about(view.patient_id)).await?;
        Ok(Stored { etag: ETag(view.version), view })
    }

    /// Leave the waitlist
    ///
    /// What is offered at the time is passed on. Done again it changes nothing; after a booking it is `409 illegal-transition`.
    #[oai(path = "/waitlist/:id", method = "delete", operation_id = "leaveWaitlist")]
    async fn leave(
        &self,
        who: May<WriteAppointments>,
        clinic: Here,
        id: Path<WaitlistId>,
        if_match: IfMatch,
        nothing: NoBody,
    ) -> Result<Stored<WaitlistView>, Problem> {
        let seen = visible(&clinic, &who, id.0).await?;
        if_match.honour(ETag(seen.version))?;
        nothing.read()?;
        let mut tries = Tries::default();
        loop {
            let (mut tx, standing) = locked(&clinic, &who, seen.clone()).await?;
            if_match.honour(ETag(standing.version))?;
            match leave(&mut tx, &standing).await {
                Err(LeaveError::Db(error)) if tries.again(&error) => continue,
                other => other?,
            }
            let view = by_id(&mut tx, &clinic, id.0).await?;
            tx.commit().await?;
            if standing.status == Status::Withdrawn {
                // Nothing was changed, and so nothing written: he was shown it all the same.
                who.saw(Seen::one("waitlist", view.id).about(view.patient_id)).await?;
            }
            return Ok(Stored { etag: ETag(view.version), view });
        }
    }

    /// Take the time that is offered
    ///
    /// Answers with the visit; done again, with the same. `409 no-offer` when nothing is kept for this patient now, or not any more;
    /// `409 slot-taken` when the patient has another visit then.
    #[oai(path = "/waitlist/:id/accept", method = "post", operation_id = "acceptOffer")]
    async fn accept(
        &self,
        who: May<WriteAppointments>,
        clinic: Here,
        id: Path<WaitlistId>,
        nothing: NoBody,
    ) -> Result<Stored<AppointmentView>, Problem> {
        let seen = visible(&clinic, &who, id.0).await?;
        nothing.read()?;
        let mut tries = Tries::default();
        loop {
            let (mut tx, standing) = locked(&clinic, &who, seen.clone()).await?;
            if let Some(visit) = standing.appointment_id {
                drop(tx);
                return booked(&clinic, &who, visit).await;
            }
            let open = standing.offer.ok_or_else(no_offer)?;
            match answer(&mut tx, open.id, Answer::Accept).await {
                Ok(Answered::Booked(visit)) => {
                    tx.commit().await?;
                    return Ok(Stored { etag: ETag(visit.version), view: *visit });
                }
                Ok(Answered::Refused) => {
                    let words = "the patient has another visit then: move that one first";
                    return Err(Problem::conflict("slot-taken", words));
                }
                Ok(_) => {
                    tx.commit().await?;
                    return Err(no_offer());
                }
                Err(error) if tries.again(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Let the time pass that is offered
    ///
    /// It is offered to the next. The patient keeps the place in the line, and is not asked about this time again.
    #[oai(path = "/waitlist/:id/decline", method = "post", operation_id = "declineOffer")]
    async fn decline(
        &self,
        who: May<WriteAppointments>,
        clinic: Here,
        id: Path<WaitlistId>,
        nothing: NoBody,
    ) -> Result<Stored<WaitlistView>, Problem> {
        let seen = visible(&clinic, &who, id.0).await?;
        nothing.read()?;
        let mut tries = Tries::default();
        loop {
            let (mut tx, standing) = locked(&clinic, &who, seen.clone()).await?;
            let open = standing.offer.ok_or_else(no_offer)?;
            match answer(&mut tx, open.id, Answer::Decline).await {
                Ok(Answered::Declined) => {}
                Ok(_) => return Err(no_offer()),
                Err(error) if tries.again(&error) => continue,
                Err(error) => return Err(error.into()),
            }
            let view = by_id(&mut tx, &clinic, id.0).await?;
            tx.commit().await?;
            return Ok(Stored { etag: ETag(view.version), view });
        }
    }
}

/// Entries of a patient that wait at one time.
const MOST_ENTRIES: i64 = 10;

fn now(clinic: &Clinic) -> Now {
    Now { at: clinic.clock.now(), zone: clinic.zone }
}

fn no_offer() -> Problem {
    Problem::conflict("no-offer", "no time is kept for this patient now")
}

/// Who waits, if the caller may see him; somebody else's is not there.
async fn visible<P: Permission>(
    clinic: &Clinic,
    who: &May<P>,
    id: WaitlistId,
) -> Result<WaitlistView, Problem> {
    let only = who.only_patient()?;
    let view = store::by_id(&mut clinic.read().await?, now(clinic), id).await?;
    let visible = |view: &WaitlistView| only.is_none_or(|own| own == view.patient_id);
    view.filter(visible).ok_or_else(Problem::not_found)
}

/// Opens a change with the locks of the patient and of the doctor whose time is kept, and reads it under them.
async fn locked<P: Permission>(
    clinic: &Clinic,
    who: &May<P>,
    mut seen: WaitlistView,
) -> Result<(Tx, WaitlistView), Problem> {
    for _ in 0..3 {
        let doctor = seen.offer.as_ref().map(|offer| offer.doctor_id);
        let subjects: Vec<_> =
            std::iter::once(seen.patient_id.0).chain(doctor.map(|doctor| doctor.0)).collect();
        let mut tx = clinic.begin_telling(who.actor(), &subjects).await?;
        store::lock(&mut tx, seen.id).await?;
        let standing = store::by_id(&mut tx, now(clinic), seen.id).await?;
        let standing = standing.ok_or_else(Problem::not_found)?;
        if standing.offer.as_ref().is_none_or(|offer| Some(offer.doctor_id) == doctor) {
            return Ok((tx, standing));
        }
        seen = standing; // offered another doctor's time just now
    }
    Err(Problem::conflict("conflict", "the clinic is making offers just now; try again"))
}

async fn by_id(conn: &mut Conn, clinic: &Clinic, id: WaitlistId) -> Result<WaitlistView, Problem> {
    store::by_id(conn, now(clinic), id).await?.ok_or_else(Problem::not_found)
}

/// The visit that it came to, shown once more.
async fn booked<P: Permission>(
    clinic: &Clinic,
    who: &May<P>,
    id: AppointmentId,
) -> Result<Stored<AppointmentView>, Problem> {
    let visit = find(&mut clinic.read().await?, id).await?.ok_or_else(Problem::not_found)?;
    who.saw(Seen::one("appointment", visit.id).about(visit.patient_id)).await?;
    Ok(Stored { etag: ETag(visit.version), view: visit })
}

fn refuse_unknown(
    (patient, doctor, specialty, location): (bool, bool, bool, bool),
    own: bool,
) -> Result<(), Problem> {
    let missing = [
        (patient && own, "/patient_id", "nobody of this id"),
        (doctor, "/doctor_id", "nobody of this id"),
        (specialty, "/specialty", "no doctor here has it"),
        (location, "/location_id", "no such location"),
    ];
    let faults: Vec<FieldError> = missing
        .into_iter()
        .filter(|(is_there, ..)| !is_there)
        .map(|(_, pointer, words)| FieldError::body(pointer, "not_found", words))
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(Problem::invalid(faults)) }
}
