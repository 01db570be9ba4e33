//! `/clinics`, at `admin.`

use std::sync::Arc;

use poem::Response;
use poem::web::Data;
use poem_openapi::{Object, OpenApi};
use serde_json::json;

use super::model::{ClinicChange, ClinicRequest, ClinicStatus, ClinicView, CreatedClinic};
use super::status::set_status;
use super::{Desk, store};
use crate::audit::{self, Act};
use crate::auth::may::{ManageClinics, ManagePlatform};
use crate::auth::{May, Principal, Role, links};
use crate::db::Tx;
use crate::error::Problem;
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::{Fields, Readable};
use crate::http::idempotency::{self, Found, Idempotency, Replayable};
use crate::http::input::{Input, Query};
use crate::http::page::{Listing, Page};
use crate::http::path::Path;
use crate::http::payload::{Created, Payload, Stored};
use crate::ids::AccountId;
use crate::tenancy::notices::Notice;
use crate::tenancy::provision::{ProvisionError, Provisioned};

/// Clinics, as the platform sees them.
pub struct ClinicsApi;

/// Which clinics.
#[derive(Object)]
pub struct ListClinics {
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    page: Option<Page>,
}

impl Readable for ListClinics {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { limit: None, cursor: None, page: Some(Page::read(fields)) })
    }
}

/// A clinic owner sees and changes his own alone.
fn only_owner(who: &May<ManageClinics>) -> Option<AccountId> {
    (who.role == Role::ClinicOwner).then_some(who.account)
}

#[OpenApi]
impl ClinicsApi {
    /// List clinics
    ///
    /// A clinic owner sees his own.
    #[oai(path = "/clinics", method = "get", operation_id = "listClinics")]
    async fn list(
        &self,
        who: May<ManageClinics>,
        desk: Data<&Arc<Desk>>,
        query: Query<ListClinics>,
    ) -> Result<Payload<Listing<ClinicView>>, Problem> {
        let page = query.read()?.page.expect("read above");
        let after = page.after()?;
        let mut conn = desk.platform.read().await?;
        let rows = store::list(&mut conn, only_owner(&who), after, page.fetch()).await?;
        Ok(Payload(page.of(rows, |clinic| clinic.slug.clone())))
    }

    /// Make a clinic
    ///
    /// It answers at its address when this returns. A failure leaves nothing behind.
    #[oai(path = "/clinics", method = "post", operation_id = "createClinic")]
    async fn create(
        &self,
        who: May<ManageClinics>,
        desk: Data<&Arc<Desk>>,
        key: Idempotency,
        body: Input<ClinicRequest>,
    ) -> Result<Replayable<Created<CreatedClinic>>, Problem> {
        let body_sha256 = body.sha256();
        let new = body.read()?.into_new(only_owner(&who));
        // Making a database is no part of any transaction, so none is open meanwhile: the reserved name keeps others out.
        if let Some(response) = done_before(&desk, &who, &key, body_sha256).await? {
            return Ok(Replayable::Replayed(response));
        }
        let work = key.work_id(who.account);
        let answer = async |mut tx: Tx, made: Provisioned| {
            let refused = ProvisionError::Refused;
            let clinic = store::by_slug(&mut tx, &new.slug).await?;
            let clinic = clinic.ok_or_else(|| refused(Problem::not_found()))?;
            // The answer commits with the clinic: whoever asks again after a crash hears it, too.
            let kept = match key.begin(&mut tx, who.account, body_sha256).await.map_err(refused)? {
                Found::New(kept) => kept,
                Found::Done(_) => return Err(refused(idempotency::in_progress())),
            };
            let answer = created(&desk, clinic, &made);
            Replayable::commit(tx, kept, answer).await.map_err(refused)
        };
        match desk.provisioner.provision_and(&new, who.actor(), work, answer).await {
            Err(ProvisionError::SlugTaken) if key.is_given() => {}
            other => return Ok(other?),
        }
        // Taken by whom? This very request may be running elsewhere, or have ended since we looked.
        let mut conn = desk.platform.read().await?;
        let holder = store::holder(&mut conn, &new.slug).await?;
        drop(conn);
        if holder.is_none_or(|holder| holder.lease_token == Some(work)) {
            return Err(idempotency::in_progress());
        }
        match done_before(&desk, &who, &key, body_sha256).await? {
            Some(response) => Ok(Replayable::Replayed(response)),
            None => Err(ProvisionError::SlugTaken.into()),
        }
    }

    /// One clinic
    #[oai(path = "/clinics/:slug", method = "get", operation_id = "getClinic")]
    async fn get(
        &self,
        who: May<ManageClinics>,
        desk: Data<&Arc<Desk>>,
        slug: Path<String>,
    ) -> Result<Stored<ClinicView>, Problem> {
        let mut conn = desk.platform.read().await?;
        let clinic = store::by_slug(&mut conn, &slug.0).await?;
        let clinic = visible(clinic, only_owner(&who))?;
        Ok(Stored { etag: ETag(clinic.version), view: clinic })
    }

    /// Change a clinic's name, zone, language or country
    #[oai(path = "/clinics/:slug", method = "put", operation_id = "replaceClinic")]
    async fn replace(
        &self,
        who: May<ManageClinics>,
        desk: Data<&Arc<Desk>>,
        slug: Path<String>,
        if_match: IfMatch,
        body: Input<ClinicChange>,
    ) -> Result<Stored<ClinicView>, Problem> {
        let mut tx = desk.platform.begin(who.actor()).await?;
        let clinic = store::lock(&mut tx, &slug.0).await?;
        let clinic = visible(clinic, only_owner(&who))?;
        body.accept()?;
        if_match.require(ETag(clinic.version))?;
        let change = body.read_over(&clinic)?;
        let changed = store::update(&mut tx, clinic.id, &change).await?;
        let act = Act::new("clinic.changed", "clinic", clinic.id).about(clinic.id);
        audit::record(&mut tx, act.details(json!({ "slug": slug.0 }))).await?;
        let notice = Notice::Clinic(slug.0);
        notice.announce(&mut *tx).await?;
        tx.commit().await?;
        desk.notices.apply(&notice);
        Ok(Stored { etag: ETag(changed.version), view: changed })
    }

    /// Suspend a clinic: nobody signs in, nothing is answered
    #[oai(path = "/clinics/:slug/suspend", method = "post", operation_id = "suspendClinic")]
    async fn suspend(
        &self,
        who: May<ManagePlatform>,
        desk: Data<&Arc<Desk>>,
        slug: Path<String>,
        key: Idempotency,
    ) -> Result<Replayable<Stored<ClinicView>>, Problem> {
        become_status(&desk, &who, &slug.0, ClinicStatus::Suspended, &key).await
    }

    /// Let a suspended clinic work again
    #[oai(path = "/clinics/:slug/resume", method = "post", operation_id = "resumeClinic")]
    async fn resume(
        &self,
        who: May<ManagePlatform>,
        desk: Data<&Arc<Desk>>,
        slug: Path<String>,
        key: Idempotency,
    ) -> Result<Replayable<Stored<ClinicView>>, Problem> {
        become_status(&desk, &who, &slug.0, ClinicStatus::Active, &key).await
    }

    /// Archive a clinic for good; its data is kept
    #[oai(path = "/clinics/:slug/archive", method = "post", operation_id = "archiveClinic")]
    async fn archive(
        &self,
        who: May<ManagePlatform>,
        desk: Data<&Arc<Desk>>,
        slug: Path<String>,
        key: Idempotency,
    ) -> Result<Replayable<Stored<ClinicView>>, Problem> {
        become_status(&desk, &who, &slug.0, ClinicStatus::Archived, &key).await
    }
}

/// The answer that was given under this key before.
async fn done_before(
    desk: &Desk,
    who: &Principal,
    key: &Idempotency,
    body_sha256: [u8; 32],
) -> Result<Option<Response>, Problem> {
    let mut tx = desk.platform.begin(who.actor()).await?;
    if let Found::Done(response) = key.begin(&mut tx, who.account, body_sha256).await? {
        return Ok(Some(response));
    }
    tx.rollback().await?;
    Ok(None)
}

fn created(desk: &Desk, clinic: ClinicView, made: &Provisioned) -> Created<CreatedClinic> {
    let url = desk.settings.public_url(&format!("{}.{}", clinic.slug, desk.settings.base_domain));
    let link = links::url(&url, &made.password_token);
    Created {
        etag: ETag(clinic.version),
        location: format!("/clinics/{}", clinic.slug),
        view: CreatedClinic {
            clinic,
            url,
            set_password_url: desk.settings.smtp_url.is_none().then_some(link),
        },
    }
}

async fn become_status(
    desk: &Desk,
    who: &May<ManagePlatform>,
    slug: &str,
    to: ClinicStatus,
    key: &Idempotency,
) -> Result<Replayable<Stored<ClinicView>>, Problem> {
    let mut conn = desk.platform.read().await?;
    store::by_slug(&mut conn, slug).await?.ok_or_else(Problem::not_found)?;
    drop(conn);
    let nothing = key.no_body()?;
    if let Some(response) = done_before(desk, who, key, nothing).await? {
        return Ok(Replayable::Replayed(response));
    }
    let clinic = set_status(&desk.platform, &desk.notices, slug, to, who.actor()).await?;
    // Kept after the change, not with it: asked for again after a crash in between, a status becomes what it is already.
    let mut tx = desk.platform.begin(who.actor()).await?;
    match key.begin(&mut tx, who.account, nothing).await? {
        Found::Done(response) => Ok(Replayable::Replayed(response)),
        Found::New(kept) => {
            let answer = Stored { etag: ETag(clinic.version), view: clinic };
            Replayable::commit(tx, kept, answer).await
        }
    }
}

fn visible(
    clinic: Option<ClinicView>,
    only_owner: Option<AccountId>,
) -> Result<ClinicView, Problem> {
    clinic
        .filter(|clinic| only_owner.is_none_or(|owner| clinic.owner_id == Some(owner)))
        .ok_or_else(Problem::not_found)
}
