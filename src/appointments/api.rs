//! `/appointments`, and the slots that may be booked.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::book::{BookError, Booker, book};
use super::cancel::{CancelError, cancel};
use super::diary::Asked;
use super::model::{AppointmentRequest, AppointmentView, Kind, Status};
use super::reschedule::{RescheduleError, reschedule};
use super::slots::{ListSlots, SlotView, SlotsView};
use super::store::{self, Narrow};
use super::{diary, fitting, slots, video};
use crate::audit::Seen;
use crate::auth::may::{ReadAppointments, ReadPlaces, WriteAppointments};
use crate::auth::{May, Permission, Role};
use crate::db::{Tries, Tx};
use crate::doctors::hours::Span;
use crate::error::{FieldError, Problem};
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::{self, Fields, Readable};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::{Input, Query};
use crate::http::page::{Listing, Page};
use crate::http::path::Path;
use crate::http::payload::{Created, Payload, Stored};
use crate::ids::{AppointmentId, DoctorId, LocationId, PatientId};
use crate::tenancy::Clinic;
use crate::tenancy::pools::Conn;
use crate::time::{self};

/// The appointment book.
pub struct AppointmentsApi;

/// Which appointments: one day, or from and to (exclusive).
#[derive(Object)]
pub struct ListAppointments {
    /// A civil day, in the location's zone when one is given, else the clinic's.
    date: Option<NaiveDate>,
    from: Option<DateTime<Utc>>,
    /// Exclusive.
    to: Option<DateTime<Utc>>,
    doctor_id: Option<DoctorId>,
    patient_id: Option<PatientId>,
    location_id: Option<LocationId>,
    status: Option<Status>,
    /// Only those that staff doubled on purpose, or only the others.
    overbooked: Option<bool>,
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    page: Option<Page>,
}

impl Readable for ListAppointments {
    fn read(fields: &mut Fields) -> Option<Self> {
        let query = Self {
            date: fields.optional("date", fields::date),
            from: fields.optional("from", fields::instant),
            to: fields.optional("to", fields::instant),
            doctor_id: fields.optional("doctor_id", fields::id),
            patient_id: fields.optional("patient_id", fields::id),
            location_id: fields.optional("location_id", fields::id),
            status: fields.optional("status", fields::choice),
            overbooked: fields.optional("overbooked", fields::boolean),
            limit: None,
            cursor: None,
            page: Some(Page::read(fields)),
        };
        if query.date.is_some() && (query.from.is_some() || query.to.is_some()) {
            fields.fault("date", "conflicting", "either a date, or from and to");
        }
        if let (Some(from), Some(to)) = (query.from, query.to)
            && from >= to
        {
            fields.fault("to", "out_of_range", "later than from");
        }
        Some(query)
    }
}

/// Why a visit is cancelled.
#[derive(Object)]
pub struct CancelAppointment {
    pub reason: Option<String>,
}

impl Readable for CancelAppointment {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { reason: fields.optional("reason", fields::line(1, 200)) })
    }
}

#[OpenApi]
impl AppointmentsApi {
    /// List appointments, by time
    #[oai(path = "/appointments", method = "get", operation_id = "listAppointments")]
    async fn list(
        &self,
        who: May<ReadAppointments>,
        clinic: Here,
        query: Query<ListAppointments>,
    ) -> Result<Payload<Listing<AppointmentView>>, Problem> {
        let query = query.read()?;
        let page = query.page.clone().expect("read above");
        let after = page.after::<(DateTime<Utc>, AppointmentId)>()?;
        let only = who.only_patient()?;
        if only.is_some_and(|own| query.patient_id.is_some_and(|asked| asked != own)) {
            return Ok(Payload(Listing::whole(Vec::new()))); // others' visits are not there, to a patient
        }
        let mut conn = clinic.read().await?;
        let within = match query.date {
            Some(date) => {
                let zone = asked_zone(&mut conn, &clinic, query.location_id).await?;
                let (from, to) = time::day_bounds(zone, date);
                Span::new(from, to)
            }
            None => Span::new(
                query.from.unwrap_or(DateTime::UNIX_EPOCH),
                query.to.unwrap_or(DateTime::UNIX_EPOCH + TimeDelta::days(365 * 300)),
            ),
        };
        let narrow = Narrow {
            within,
            doctor: query.doctor_id,
            patient: only.or(query.patient_id),
            location: query.location_id,
            status: query.status,
            overbooked: query.overbooked,
            after,
            limit: page.fetch(),
        };
        let mut rows = match (who.role, narrow.doctor, narrow.patient, narrow.location) {
            (Role::Therapist, ..) => store::claiming(&mut conn, who.account.0, &narrow).await?,
            (_, Some(doctor), ..) => store::of_doctor(&mut conn, doctor, &narrow).await?,
            (_, _, Some(patient), _) => store::of_patient(&mut conn, patient, &narrow).await?,
            (_, _, _, Some(location)) => store::of_location(&mut conn, location, &narrow).await?,
            _ => store::of_everybody(&mut conn, &narrow).await?,
        };
        video::show_doors(&mut conn, &clinic.keys, &mut rows, clinic.clock.now()).await?;
        drop(conn);
        let listing = page.of(rows, |visit| (visit.starts_at, visit.id));
        let mut seen = Seen::list("appointment", &listing.items, |visit| visit.id.0);
        seen.about_id = narrow.patient.map(Uuid::from);
        who.saw(seen).await?;
        Ok(Payload(listing))
    }

    /// Book an appointment
    ///
    /// A taken time is `409 slot-taken`, with the next free ones as `alternatives`. A patient books one of the slots, as long as it
    /// is.
    #[oai(path = "/appointments", method = "post", operation_id = "bookAppointment")]
    async fn book(
        &self,
        who: May<WriteAppointments>,
        clinic: Here,
        key: Idempotency,
        body: Input<AppointmentRequest>,
    ) -> Result<Replayable<Created<AppointmentView>>, Problem> {
        let body_sha256 = body.sha256();
        // A retry gets its first answer also when the time that it asked for has come meanwhile.
        if let Some(response) = key.first_answer(&clinic, who.account, body_sha256).await? {
            return Ok(Replayable::Replayed(response));
        }
        let now = clinic.clock.now();
        let new = body.read()?;
        let by = Booker { only_patient: who.only_patient()? };
        let mut tries = Tries::default();
        loop {
            let mut tx = clinic.begin_telling(who.actor(), &new.subjects()).await?;
            let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
                Found::Done(response) => return Ok(Replayable::Replayed(response)),
                Found::New(kept) => kept,
            };
            let visit = match book(&mut tx, &new, by, now).await {
                Err(BookError::SlotTaken) => {
                    tx.rollback().await?; // frees the locks before we look for other times
                    return Err(slot_taken(&clinic, &new, by, None, now).await?);
                }
                Err(BookError::Db(error)) if tries.again(&error) => continue,
                other => other?,
            };
            return Replayable::commit(
                tx,
                kept,
                Created {
                    etag: ETag(visit.version),
                    location: format!("/appointments/{}", visit.id),
                    view: visit,
                },
            )
            .await;
        }
    }

    /// One appointment
    #[oai(path = "/appointments/:id", method = "get", operation_id = "getAppointment")]
    async fn get(
        &self,
        who: May<ReadAppointments>,
        clinic: Here,
        id: Path<AppointmentId>,
    ) -> Result<Stored<AppointmentView>, Problem> {
        let visit = visible(&clinic, &who, id.0).await?;
        who.saw(Seen::one("appointment", visit.id).about(visit.patient_id)).await?;
        Ok(Stored { etag: ETag(visit.version), view: visit })
    }

    /// Change or move an appointment
    ///
    /// Another `starts_at`, doctor or location moves it in one step: the old time is given up only if the new one is had.
    #[oai(path = "/appointments/:id", method = "put", operation_id = "replaceAppointment")]
    async fn replace(
        &self,
        who: May<WriteAppointments>,
        clinic: Here,
        id: Path<AppointmentId>,
        if_match: IfMatch,
        body: Input<AppointmentRequest>,
    ) -> Result<Stored<AppointmentView>, Problem> {
        let now = clinic.clock.now();
        let by = Booker { only_patient: who.only_patient()? };
        let seen = visible(&clinic, &who, id.0).await?;
        body.accept()?;
        if_match.require(ETag(seen.version))?;
        let new = body.read_over(&seen)?.keeping(&seen);
        let mut tries = Tries::default();
        loop {
            let (mut tx, standing) = locked(&clinic, &who, &seen, &new.subjects()).await?;
            if_match.require(ETag(standing.version))?; // it may have changed before we had its locks
            refuse_another_doctors(&seen, &standing)?;
            let moved = match reschedule(&mut tx, &standing, &new, by, now).await {
                Err(RescheduleError::Book(BookError::SlotTaken)) => {
                    tx.rollback().await?;
                    return Err(slot_taken(&clinic, &new, by, Some(seen.id), now).await?);
                }
                Err(RescheduleError::Book(BookError::Db(error))) if tries.again(&error) => continue,
                other => other?,
            };
            tx.commit().await?;
            return Ok(Stored { etag: ETag(moved.version), view: moved });
        }
    }

    /// Cancel an appointment
    ///
    /// It stays on record; its time is free again.
    #[oai(path = "/appointments/:id", method = "delete", operation_id = "cancelAppointment")]
    async fn cancel(
        &self,
        who: May<WriteAppointments>,
        clinic: Here,
        id: Path<AppointmentId>,
        if_match: IfMatch,
        query: Query<CancelAppointment>,
    ) -> Result<Stored<AppointmentView>, Problem> {
        let seen = visible(&clinic, &who, id.0).await?;
        if_match.honour(ETag(seen.version))?;
        let reason = query.read()?.reason;
        let mut tries = Tries::default();
        loop {
            let (mut tx, standing) = locked(&clinic, &who, &seen, &[]).await?;
            if_match.honour(ETag(standing.version))?;
            refuse_another_doctors(&seen, &standing)?;
            let cancelled = match cancel(&mut tx, &standing, reason.as_deref()).await {
                Err(CancelError::Db(error)) if tries.again(&error) => continue,
                other => other?,
            };
            tx.commit().await?;
            return Ok(Stored { etag: ETag(cancelled.version), view: cancelled });
        }
    }

    /// A doctor's free slots
    ///
    /// Each of them can be booked as it stands. A patient is offered none that is too soon or too far ahead to book alone, nor one
    /// at which the patient has another visit.
    #[oai(path = "/doctors/:id/slots", method = "get", operation_id = "listSlots")]
    async fn slots(
        &self,
        who: May<ReadPlaces>,
        clinic: Here,
        id: Path<DoctorId>,
        query: Query<ListSlots>,
    ) -> Result<Payload<SlotsView>, Problem> {
        let mut conn = clinic.read().await?;
        let now = clinic.clock.now();
        let query = match query.read() {
            Ok(query) => query,
            // The doctor first: what is not there is `404` whatever else is wrong.
            Err(faults) => {
                let asked = Asked::of_slots(id.0, Span::new(now, now));
                let diary = diary::read(&mut conn, &asked, now).await?;
                return Err(diary.doctor.map_or_else(Problem::not_found, |_| faults));
            }
        };
        let zone = asked_zone(&mut conn, &clinic, query.location_id).await?;
        let last = query.to.checked_sub_days(Days::new(1)).unwrap_or(query.to);
        let within = Span::new(time::day_start(zone, query.from), time::day_bounds(zone, last).1);
        let asked = Asked {
            kind: query.kind.unwrap_or(Kind::InPerson),
            patient: who.patient.filter(|_| who.is_patient()),
            resources: &query.resources,
            ..Asked::of_slots(id.0, within)
        };
        let diary = diary::read(&mut conn, &asked, now).await?;
        drop(conn);
        if diary.doctor.is_none() {
            return Err(Problem::not_found());
        }
        if diary.resources.len() < query.resources.len() {
            let words = "nothing of one of these ids";
            let fault = FieldError::outside("query", "resource_ids", "not_found", words);
            return Err(Problem::invalid(vec![fault]));
        }
        let free = fitting::free(&diary, within, query.location_id, None, who.is_patient(), now);
        let items = free.map(SlotView::from).collect();
        Ok(Payload(SlotsView { items, time_zone: zone.name().to_owned() }))
    }
}

/// The visit, if the caller may see it; somebody else's is not there.
pub(super) async fn visible<P: Permission>(
    clinic: &Clinic,
    who: &May<P>,
    id: AppointmentId,
) -> Result<AppointmentView, Problem> {
    let only = who.only_patient()?;
    let mut conn = clinic.read().await?;
    let mut visit = store::by_id(&mut conn, id).await?.ok_or_else(Problem::not_found)?;
    if only.is_some_and(|own| own != visit.patient_id) {
        return Err(Problem::not_found());
    }
    if who.role == Role::Therapist && !store::is_claimed_by(&mut conn, id, who.account.0).await? {
        return Err(Problem::not_found());
    }
    let now = clinic.clock.now();
    video::show_doors(&mut conn, &clinic.keys, std::slice::from_mut(&mut visit), now).await?;
    Ok(visit)
}

/// Opens a change of a visit with the locks of all that it takes, and of whom and what it goes to, and reads it under them.
pub(super) async fn locked<P: Permission>(
    clinic: &Clinic,
    who: &May<P>,
    seen: &AppointmentView,
    and: &[Uuid],
) -> Result<(Tx, AppointmentView), Problem> {
    let resources = seen.resource_ids.iter().map(|resource| resource.0);
    let own = [seen.doctor_id.0, seen.patient_id.0].into_iter().chain(resources);
    let subjects: Vec<Uuid> = own.chain(and.iter().copied()).collect();
    let mut tx = clinic.begin_telling(who.actor(), &subjects).await?;
    let standing = store::by_id(&mut tx, seen.id).await?.ok_or_else(Problem::not_found)?;
    Ok((tx, standing))
}

/// Somebody gave it to another doctor or room before we had its locks: we have none of theirs.
pub(super) fn refuse_another_doctors(
    seen: &AppointmentView,
    standing: &AppointmentView,
) -> Result<(), Problem> {
    if standing.doctor_id == seen.doctor_id && standing.resource_ids == seen.resource_ids {
        return Ok(());
    }
    Err(Problem::conflict("conflict", "somebody moved this visit just now; try again"))
}

/// The zone of the location that a query names, else the clinic's.
async fn asked_zone(
    conn: &mut Conn,
    clinic: &Clinic,
    location: Option<LocationId>,
) -> Result<Tz, Problem> {
    let Some(location) = location else { return Ok(clinic.zone) };
    zone_of(conn, location).await?.ok_or_else(|| {
        let error = FieldError::outside("query", "location_id", "not_found", "no such location");
        Problem::invalid(vec![error])
    })
}

/// None: there is no such location, or not any more.
pub(super) async fn zone_of(conn: &mut Conn, location: LocationId) -> Result<Option<Tz>, Problem> {
    store::location_zone(conn, location).await?.map(|name| zone_named(&name)).transpose()
}

pub(super) fn zone_named(name: &str) -> Result<Tz, Problem> {
    time::zone(name).ok_or_else(|| Problem::internal(format!("there is no time zone {name}")))
}

/// `409 slot-taken`, with the next free times.
pub(super) async fn slot_taken(
    clinic: &Clinic,
    wanted: &AppointmentRequest,
    by: Booker,
    moving: Option<AppointmentId>,
    now: DateTime<Utc>,
) -> Result<Problem, Problem> {
    let mut conn = clinic.read().await?;
    let next = slots::next_free(&mut conn, wanted, by, moving, now).await?;
    let next: Vec<String> = next.into_iter().map(time::show).collect();
    let taken = BookError::SlotTaken.to_string();
    Ok(Problem::conflict("slot-taken", taken).with("alternatives", next))
}

impl From<BookError> for Problem {
    fn from(error: BookError) -> Self {
        let detail = error.to_string();
        match error {
            BookError::Invalid(errors) => Problem::invalid(errors),
            BookError::SlotTaken => Problem::conflict("slot-taken", detail),
            BookError::MayNotOverbook => Problem::forbidden(),
            BookError::Db(error) => error.into(),
        }
    }
}

impl From<RescheduleError> for Problem {
    fn from(error: RescheduleError) -> Self {
        let detail = error.to_string();
        match error {
            RescheduleError::IllegalTransition(from) => {
                illegal_transition(detail, from, Status::Booked)
            }
            RescheduleError::Book(error) => error.into(),
        }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        let detail = error.to_string();
        match error {
            CancelError::IllegalTransition(from) => {
                illegal_transition(detail, from, Status::Cancelled)
            }
            CancelError::Db(error) => error.into(),
        }
    }
}

pub(super) fn illegal_transition(detail: String, from: Status, to: Status) -> Problem {
    Problem::conflict("illegal-transition", detail)
        .with("from", from.as_str())
        .with("to", to.as_str())
}
