//! `/patients`

use poem_openapi::{Object, OpenApi};
use serde_json::json;

use super::model::{KEPT_FROM_PATIENTS, PatientRequest, PatientView, Search};
use super::store;
use crate::audit::{self, Act, Seen};
use crate::auth::May;
use crate::auth::may::{ManagePatients, Principal, ReadPatients, WritePatients};
use crate::error::Problem;
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::{Fields, Readable, line};
use crate::http::idempotency::{Found, Idempotency, Replayable};
use crate::http::input::{Input, NoBody, Query};
use crate::http::page::{Listing, Page};
use crate::http::path::Path;
use crate::http::payload::{Created, Done, Payload, Stored};
use crate::ids::PatientId;

/// Patients' demographics.
pub struct PatientsApi;

/// Which patients.
#[derive(Object)]
pub struct ListPatients {
    /// Part of a name in any script (slips included; a name in an Indian script also as it is spelt in Latin letters), of a phone
    /// number, or a patient number.
    search: Option<String>,
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    page: Option<Page>,
}

impl Readable for ListPatients {
    fn read(fields: &mut Fields) -> Option<Self> {
        let search = fields.optional("search", line(0, 200)).filter(|text| !text.is_empty());
        Some(Self { search, limit: None, cursor: None, page: Some(Page::read(fields)) })
    }
}

#[OpenApi]
impl PatientsApi {
    /// List or find patients
    #[oai(path = "/patients", method = "get", operation_id = "listPatients")]
    async fn list(
        &self,
        who: May<ReadPatients>,
        clinic: Here,
        query: Query<ListPatients>,
    ) -> Result<Payload<Listing<PatientView>>, Problem> {
        let query = query.read()?;
        let page = query.page.expect("read above");
        let only = who.only_patient()?;
        let search = query.search.as_deref().map(Search::of);
        if let Some(own) = only {
            let mut conn = clinic.read().await?;
            let found = store::by_id(&mut conn, own).await?.map(PatientView::for_patients);
            drop(conn);
            let listing = Listing::whole(found.into_iter().collect());
            who.saw(seen(&listing).about(own)).await?;
            return Ok(Payload(listing));
        }
        let listing = match search {
            None => {
                let after = page.after()?;
                let mut conn = clinic.read().await?;
                page.of(store::list(&mut conn, after, page.fetch()).await?, |patient| patient.id)
            }
            Some(Search::Number(number)) => {
                let mut conn = clinic.read().await?;
                Listing::whole(store::by_number(&mut conn, &number).await?.into_iter().collect())
            }
            Some(Search::Phone(digits)) => {
                let after = page.after()?;
                let mut conn = clinic.read().await?;
                let rows = store::search_by_phone(&mut conn, &digits, after, page.fetch()).await?;
                page.of(rows, |patient| patient.id)
            }
            Some(Search::Name(name)) => {
                let after = page.after()?;
                let mut conn = clinic.read().await?;
                let found = store::search_by_name(&mut conn, &name, after, page.fetch()).await?;
                let fits: Vec<f32> = found.iter().map(|found| found.fit).collect();
                let last = fits.get(page.limit as usize - 1).copied().unwrap_or_default();
                page.of(found.into_iter().map(|f| f.patient).collect(), |p| (last, p.id))
            }
        };
        who.saw(seen(&listing)).await?;
        Ok(Payload(listing))
    }

    /// Register a patient
    #[oai(path = "/patients", method = "post", operation_id = "createPatient")]
    async fn create(
        &self,
        who: May<ManagePatients>,
        clinic: Here,
        key: Idempotency,
        body: Input<PatientRequest>,
    ) -> Result<Replayable<Created<PatientView>>, Problem> {
        let body_sha256 = body.sha256();
        let new = body.read()?;
        let mut tx = clinic.begin(who.actor()).await?;
        let kept = match key.begin(&mut tx, who.account, body_sha256).await? {
            Found::Done(response) => return Ok(Replayable::Replayed(response)),
            Found::New(kept) => kept,
        };
        let patient = store::insert(&mut tx, PatientId::new(), &new).await?;
        let act = Act::new("patient.created", "patient", patient.id).about(patient.id);
        audit::record(&mut tx, act).await?;
        Replayable::commit(
            tx,
            kept,
            Created {
                etag: ETag(patient.version),
                location: format!("/patients/{}", patient.id),
                view: patient,
            },
        )
        .await
    }

    /// One patient
    #[oai(path = "/patients/:id", method = "get", operation_id = "getPatient")]
    async fn get(
        &self,
        who: May<ReadPatients>,
        clinic: Here,
        id: Path<PatientId>,
    ) -> Result<Stored<PatientView>, Problem> {
        hide_others(who.only_patient()?, id.0)?;
        let mut conn = clinic.read().await?;
        let patient = store::by_id(&mut conn, id.0).await?.ok_or_else(Problem::not_found)?;
        drop(conn);
        who.saw(Seen::one("patient", id.0).about(id.0)).await?;
        Ok(Stored { etag: ETag(patient.version), view: shown_to(&who, patient) })
    }

    /// Replace what is known of a patient
    ///
    /// A patient's own phone and e-mail are changed at the desk: here they are read-only to him.
    #[oai(path = "/patients/:id", method = "put", operation_id = "replacePatient")]
    async fn replace(
        &self,
        who: May<WritePatients>,
        clinic: Here,
        id: Path<PatientId>,
        if_match: IfMatch,
        body: Input<PatientRequest>,
    ) -> Result<Stored<PatientView>, Problem> {
        hide_others(who.only_patient()?, id.0)?;
        let mut tx = clinic.begin(who.actor()).await?;
        let before = store::lock(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let new = match who.is_patient() {
            true => {
                let shown = before.clone().for_patients();
                let new = body.read_over_keeping(&shown, KEPT_FROM_PATIENTS)?;
                PatientRequest { notes: Some(before.notes.clone()), ..new }
            }
            false => body.read_over(&before)?,
        };
        let after = store::update(&mut tx, id.0, &new).await?;
        let act = Act::new("patient.changed", "patient", id.0).about(id.0);
        audit::record(&mut tx, act.details(json!({ "changed": changed(&before, &after) }))).await?;
        tx.commit().await?;
        Ok(Stored { etag: ETag(after.version), view: shown_to(&who, after) })
    }

    /// Remove a patient from sight
    ///
    /// The record is kept. A patient with visits still to come stays: `409 has-appointments`.
    #[oai(path = "/patients/:id", method = "delete", operation_id = "deletePatient")]
    async fn delete(
        &self,
        who: May<ManagePatients>,
        clinic: Here,
        id: Path<PatientId>,
        if_match: IfMatch,
        nothing: NoBody,
    ) -> Result<Done, Problem> {
        // With the patient's lock no booking slips in between what is read here and what is written.
        let mut tx = clinic.begin_locking(who.actor(), &[id.0.0]).await?;
        let before = store::lock(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        if_match.honour(ETag(before.version))?;
        nothing.read()?;
        if store::has_coming_appointments(&mut tx, id.0).await? {
            return Err(Problem::conflict(
                "has-appointments",
                "this patient has visits still to come; cancel them first",
            ));
        }
        store::delete(&mut tx, id.0).await?;
        audit::record(&mut tx, Act::new("patient.deleted", "patient", id.0).about(id.0)).await?;
        tx.commit().await?;
        Ok(Done)
    }
}

fn seen(listing: &Listing<PatientView>) -> Seen {
    Seen::list("patient", &listing.items, |patient| patient.id.0)
}

fn shown_to(who: &Principal, patient: PatientView) -> PatientView {
    if who.is_patient() { patient.for_patients() } else { patient }
}

/// Somebody else's record is not there, to a patient.
fn hide_others(only: Option<PatientId>, id: PatientId) -> Result<(), Problem> {
    match only {
        Some(own) if own != id => Err(Problem::not_found()),
        _ => Ok(()),
    }
}

/// The names of the fields that changed: the audit says what was touched, not what it said.
fn changed(before: &PatientView, after: &PatientView) -> Vec<&'static str> {
    [
        ("full_name", before.full_name != after.full_name),
        ("phone", before.phone != after.phone),
        ("email", before.email != after.email),
        ("date_of_birth", before.date_of_birth != after.date_of_birth),
        ("gender", before.gender != after.gender),
        ("language", before.language != after.language),
        ("address", before.address != after.address),
        ("notes", before.notes != after.notes),
    ]
    .into_iter()
    .filter_map(|(name, changed)| changed.then_some(name))
    .collect()
}
