//! `/doctors`

use chrono::{DateTime, Days, Utc};
use poem_openapi::{Object, OpenApi};
use serde_json::json;

use super::availability::{AvailabilityRequest, AvailabilityView};
use super::extra;
use super::model::{DoctorRequest, DoctorView, InvitedDoctorView, NewDoctor, Profile};
use super::replace_hours::replace_hours;
use super::store::{self, Filter};
use super::time_off::{ListTimeOff, NewTimeOff, TimeOffView};
use crate::audit::{self, Act, Seen};
use crate::auth::May;
use crate::auth::may::{ReadPlaces, WritePlaces};
use crate::db::{self, Tx};
use crate::error::{FieldError, Problem};
use crate::http::context::{Anybody, Here};
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::{self, Fields, Readable};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::{Input, NoBody, Query};
use crate::http::page::{Listing, Page};
use crate::http::path::Path;
use crate::http::payload::{Created, Done, Payload, Stored};
use crate::ids::{AccountId, DoctorId, LocationId, TimeOffId};
use crate::staff::{self, AccountView, Change, Invited, NewAccount, StaffRole};
use crate::time;

/// Doctors, their hours and their absences.
pub struct DoctorsApi;

/// Which doctors.
#[derive(Object)]
pub struct ListDoctors {
    /// Part of a name.
    search: Option<String>,
    /// One of `/doctors/specializations`, in any case.
    specialty: Option<String>,
    /// Who has hours there, now or to come.
    location_id: Option<LocationId>,
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    page: Option<Page>,
}

impl Readable for ListDoctors {
    fn read(fields: &mut Fields) -> Option<Self> {
        let search =
            fields.optional("search", fields::line(0, 200)).filter(|text| !text.is_empty());
        let specialty =
            fields.optional("specialty", fields::line(0, 100)).filter(|text| !text.is_empty());
        let location_id = fields.optional("location_id", fields::id);
        let page = Some(Page::read(fields));
        Some(Self { search, specialty, location_id, limit: None, cursor: None, page })
    }
}

#[OpenApi]
impl DoctorsApi {
    /// List doctors
    ///
    /// Patients see those who may be booked.
    #[oai(path = "/doctors", method = "get", operation_id = "listDoctors")]
    async fn list(
        &self,
        who: May<ReadPlaces>,
        clinic: Here,
        query: Query<ListDoctors>,
    ) -> Result<Payload<Listing<DoctorView>>, Problem> {
        let ListDoctors { search, specialty, location_id, page, .. } = query.read()?;
        let page = page.expect("read above");
        let after = page.after()?;
        let filter = Filter {
            search,
            specialty,
            location: location_id,
            today: time::date_in(clinic.zone, clinic.clock.now()),
            only_active: who.is_patient(),
        };
        let mut conn = clinic.read().await?;
        let mut rows = store::list(&mut conn, &filter, after, page.fetch()).await?;
        if who.is_patient() {
            rows = rows.into_iter().map(DoctorView::for_patients).collect();
        }
        drop(conn);
        let listing = page.of(rows, |doctor| doctor.id);
        // What a patient sees of a doctor is public.
        if !who.is_patient() {
            who.saw(Seen::list("doctor", &listing.items, |doctor| doctor.id.0)).await?;
        }
        Ok(Payload(listing))
    }

    /// Let a doctor in who comes to work here
    ///
    /// Account and profile in one; the link to set a password goes as with `POST /users`.
    #[oai(path = "/doctors", method = "post", operation_id = "createDoctor")]
    async fn create(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        key: Idempotency,
        body: Input<NewDoctor>,
    ) -> Result<Replayable<Created<InvitedDoctorView>>, Problem> {
        let body_sha256 = body.sha256();
        let NewDoctor { full_name, email, phone, profile } = body.read()?;
        let owner = Change { full_name, email: Some(email), phone, language: None };
        let new = NewAccount { role: StaffRole::Doctor, owner };
        let mut tx = clinic.begin_telling(who.actor(), &[]).await?;
        let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        let Invited { user, set_password_url } =
            staff::create_account(&mut tx, &clinic, &new).await?;
        let id = DoctorId(user.id.0);
        store::insert(&mut tx, id, &Profile::from(profile)).await?;
        audit::record(&mut tx, Act::new("doctor.created", "doctor", id)).await?;
        let doctor = store::by_id(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
        Replayable::commit(
            tx,
            kept,
            Created {
                etag: ETag(doctor.version),
                location: format!("/doctors/{id}"),
                view: InvitedDoctorView { doctor, set_password_url },
            },
        )
        .await
    }

    /// What the clinic's doctors are good at
    #[oai(path = "/doctors/specializations", method = "get", operation_id = "listSpecializations")]
    async fn specializations(
        &self,
        _who: May<ReadPlaces>,
        clinic: Here,
    ) -> Result<Payload<Listing<String>>, Problem> {
        let mut conn = clinic.read().await?;
        Ok(Payload(Listing::whole(store::specializations(&mut conn).await?)))
    }

    /// One doctor
    #[oai(path = "/doctors/:id", method = "get", operation_id = "getDoctor")]
    async fn get(
        &self,
        who: May<ReadPlaces>,
        clinic: Here,
        id: Path<DoctorId>,
    ) -> Result<Stored<DoctorView>, Problem> {
        let mut conn = clinic.read().await?;
        let doctor = store::by_id(&mut conn, id.0).await?.ok_or_else(Problem::not_found)?;
        drop(conn);
        if who.is_patient() {
            let doctor = doctor.for_patients(); // what the public may know
            return Ok(Stored { etag: ETag(doctor.version), view: doctor });
        }
        who.saw(Seen::one("doctor", doctor.id)).await?;
        Ok(Stored { etag: ETag(doctor.version), view: doctor })
    }

    /// Replace what is known of a doctor
    #[oai(path = "/doctors/:id", method = "put", operation_id = "replaceDoctor")]
    async fn replace(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        caller: Anybody,
        id: Path<DoctorId>,
        if_match: IfMatch,
        body: Input<DoctorRequest>,
    ) -> Result<Stored<DoctorView>, Problem> {
        let mut tx = clinic.begin_telling(who.actor(), &[id.0.0]).await?;
        let (account, before) = lock_both(&mut tx, id.0).await?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let DoctorRequest { full_name, email, phone, profile } = body.read_over(&before)?;
        let language = account.language.clone();
        let owner = Change { full_name, email: email.or(account.email.clone()), phone, language };
        let now = clinic.clock.now();
        staff::change_account(&mut tx, &clinic, &account, &owner, account.role, now).await?;
        let profile = Profile::from(profile);
        store::update(&mut tx, id.0, &profile).await?;
        let changed = before.profile.changes_to(&profile);
        let act = Act::new("doctor.changed", "doctor", id.0).details(json!({ "changed": changed }));
        audit::record(&mut tx, act).await?;
        let after = store::by_id(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        tx.commit().await?;
        caller.sessions.changed(&clinic.realm).await;
        Ok(Stored { etag: ETag(after.version), view: after })
    }

    /// Remove a doctor from sight, with the account
    ///
    /// Past visits keep the name. With visits still to come the doctor stays: `409 bookings-affected` with the first 200 `bookings`
    /// and their `total`.
    #[oai(path = "/doctors/:id", method = "delete", operation_id = "deleteDoctor")]
    async fn delete(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        caller: Anybody,
        id: Path<DoctorId>,
        if_match: IfMatch,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        let mut tx = clinic.begin_locking(who.actor(), &[id.0.0]).await?;
        let (account, before) = lock_both(&mut tx, id.0).await?;
        if_match.honour(ETag(before.version))?;
        nothing.read()?;
        if let Err(error) = staff::remove_account(&mut tx, &account, clinic.clock.now()).await {
            return Err(staff::refused(tx, &who, error).await);
        }
        tx.commit().await?;
        caller.sessions.changed(&clinic.realm).await;
        Ok(Done)
    }

    /// A doctor's weekly hours
    #[oai(path = "/doctors/:id/availability", method = "get", operation_id = "getAvailability")]
    async fn availability(
        &self,
        _who: May<ReadPlaces>,
        clinic: Here,
        id: Path<DoctorId>,
    ) -> Result<Stored<AvailabilityView>, Problem> {
        let mut conn = clinic.read().await?;
        let doctor = store::by_id(&mut conn, id.0).await?.ok_or_else(Problem::not_found)?;
        let items = store::availability(&mut conn, id.0).await?;
        Ok(Stored { etag: ETag(doctor.version), view: AvailabilityView { items } })
    }

    /// Replace a doctor's weekly hours
    ///
    /// All of them: a line that is left out ends. Visits that are booked stand. The tag is the doctor's.
    #[oai(path = "/doctors/:id/availability", method = "put", operation_id = "replaceAvailability")]
    async fn replace_availability(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        id: Path<DoctorId>,
        if_match: IfMatch,
        body: Input<AvailabilityRequest>,
    ) -> Result<Stored<AvailabilityView>, Problem> {
        let mut tx = clinic.begin_locking(who.actor(), &[id.0.0]).await?;
        let doctor = store::lock(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        body.accept()?;
        if_match.require(ETag(doctor.version))?;
        let standing = store::availability(&mut tx, id.0).await?;
        // It may still be yesterday where an extra day is.
        let yesterday = time::date_in(clinic.zone, clinic.clock.now()) - Days::new(1);
        let extra = extra::to_come(&mut tx, id.0, yesterday).await?;
        let places = store::places(&mut tx).await?;
        let new = body.read_with(|fields, new| {
            AvailabilityRequest::check(new, fields, &standing, &extra, &places);
        })?;
        let replaced = replace_hours(&mut tx, id.0, &new.items).await;
        let (items, version) = replaced.map_err(overlapping)?;
        tx.commit().await?;
        Ok(Stored { etag: ETag(version), view: AvailabilityView { items } })
    }

    /// When a doctor is away, by time
    #[oai(path = "/doctors/:id/time-off", method = "get", operation_id = "listTimeOff")]
    async fn times_off(
        &self,
        who: May<ReadPlaces>,
        clinic: Here,
        id: Path<DoctorId>,
        query: Query<ListTimeOff>,
    ) -> Result<Payload<Listing<TimeOffView>>, Problem> {
        let mut conn = clinic.read().await?;
        store::by_id(&mut conn, id.0).await?.ok_or_else(Problem::not_found)?;
        let page = query.read()?.page.expect("read above");
        let after = page.after::<(DateTime<Utc>, TimeOffId)>()?;
        let mut rows = store::times_off(&mut conn, id.0, after, page.fetch()).await?;
        drop(conn);
        if who.is_patient() {
            rows = rows.into_iter().map(TimeOffView::for_patients).collect();
        }
        let listing = page.of(rows, |away| (away.starts_at, away.id));
        if !who.is_patient() {
            who.saw(Seen::list("time_off", &listing.items, |away| away.id.0)).await?;
        }
        Ok(Payload(listing))
    }

    /// Give a doctor time off
    ///
    /// Over visits that stand: `409 bookings-affected` with the first 200 `bookings` and their `total`, unless `resolve` is `keep`.
    #[oai(path = "/doctors/:id/time-off", method = "post", operation_id = "createTimeOff")]
    async fn create_time_off(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        id: Path<DoctorId>,
        key: Idempotency,
        body: Input<NewTimeOff>,
    ) -> Result<Replayable<Created<TimeOffView>>, Problem> {
        let body_sha256 = body.sha256();
        // A retry gets its first answer also when the absence is over meanwhile, or the doctor gone.
        if let Some(response) = key.first_answer(&clinic, who.account, body_sha256).await? {
            return Ok(Replayable::Replayed(response));
        }
        let now = clinic.clock.now();
        // With the doctor's lock no booking slips in between what is read here and what is written.
        let mut tx = clinic.begin_locking(who.actor(), &[id.0.0]).await?;
        store::lock(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        let new = body.read()?;
        let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        let (from, to) = (new.starts_at.max(now), new.ends_at);
        let bookings = staff::bookings_of(&mut tx, id.0, from, Some(to)).await?;
        if new.resolve.is_none() && bookings.total > 0 {
            return Err(staff::bookings_affected(tx, &who, &bookings).await);
        }
        let away = store::insert_time_off(&mut tx, id.0, &new).await?;
        let version = store::touch(&mut tx, id.0).await?;
        let act = Act::new("doctor.time_off_given", "time_off", away.id);
        let details =
            json!({ "doctor_id": id.0, "time_off": away, "bookings_kept": bookings.total });
        audit::record(&mut tx, act.details(details)).await?;
        Replayable::commit(
            tx,
            kept,
            Created {
                etag: ETag(version),
                location: format!("/doctors/{}/time-off/{}", id.0, away.id),
                view: away,
            },
        )
        .await
    }

    /// One absence
    #[oai(path = "/doctors/:id/time-off/:time_off_id", method = "get", operation_id = "getTimeOff")]
    async fn time_off(
        &self,
        who: May<ReadPlaces>,
        clinic: Here,
        id: Path<DoctorId>,
        time_off_id: Path<TimeOffId>,
    ) -> Result<Stored<TimeOffView>, Problem> {
        let mut conn = clinic.read().await?;
        let doctor = store::by_id(&mut conn, id.0).await?.ok_or_else(Problem::not_found)?;
        let away = store::time_off(&mut conn, id.0, time_off_id.0).await?;
        let away = away.ok_or_else(Problem::not_found)?;
        drop(conn);
        if who.is_patient() {
            return Ok(Stored { etag: ETag(doctor.version), view: away.for_patients() });
        }
        who.saw(Seen::one("time_off", away.id)).await?;
        Ok(Stored { etag: ETag(doctor.version), view: away })
    }

    /// Take time off back
    #[oai(
        path = "/doctors/:id/time-off/:time_off_id",
        method = "delete",
        operation_id = "deleteTimeOff"
    )]
    async fn delete_time_off(
        &self,
        who: May<WritePlaces>,
        clinic: Here,
        id: Path<DoctorId>,
        time_off_id: Path<TimeOffId>,
        if_match: IfMatch,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        let mut tx = clinic.begin_locking(who.actor(), &[id.0.0]).await?;
        let doctor = store::lock(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        let away = store::time_off(&mut tx, id.0, time_off_id.0).await?;
        let away = away.ok_or_else(Problem::not_found)?;
        if_match.honour(ETag(doctor.version))?;
        nothing.read()?;
        store::delete_time_off(&mut tx, away.id).await?;
        store::touch(&mut tx, id.0).await?;
        let act = Act::new("doctor.time_off_taken_back", "time_off", away.id);
        let details = json!({ "doctor_id": id.0, "time_off": away });
        audit::record(&mut tx, act.details(details)).await?;
        tx.commit().await?;
        Ok(Done)
    }
}

/// A doctor's account and profile, locked until the transaction ends.
async fn lock_both(tx: &mut Tx, id: DoctorId) -> Result<(AccountView, DoctorView), Problem> {
    let doctor = store::lock(tx, id).await?.ok_or_else(Problem::not_found)?;
    let account = staff::lock_account(tx, AccountId(id.0)).await?.ok_or_else(Problem::not_found)?;
    Ok((account, doctor))
}

/// The constraint is the rule; what was read above names the line, and should leave it nothing to find.
fn overlapping(error: sqlx::Error) -> Problem {
    match db::violated(&error) {
        Some("availability_no_overlap") => {
            let words = "two of these lines overlap";
            Problem::invalid(vec![FieldError::body("/items", "overlaps", words)])
        }
        _ => error.into(),
    }
}
