//! `/patients/{id}/consents`

use poem_openapi::OpenApi;
use serde_json::json;

use super::model::{ConsentRequest, ConsentView};
use super::store::{self, Said};
use crate::audit::{self, Act, Seen};
use crate::auth::May;
use crate::auth::may::{ReadPatients, WritePatients};
use crate::db::Tx;
use crate::error::Problem;
use crate::http::context::Here;
use crate::http::etag::ETag;
use crate::http::input::Input;
use crate::http::page::Listing;
use crate::http::path::Path;
use crate::http::payload::{Created, Payload};
use crate::ids::PatientId;
use crate::tenancy::pools::Conn;

/// Patients' consents to messages.
pub struct ConsentsApi;

#[OpenApi]
impl ConsentsApi {
    /// What a patient agreed to or refused, the newest first
    #[oai(path = "/patients/:id/consents", method = "get", operation_id = "listConsents")]
    async fn list(
        &self,
        who: May<ReadPatients>,
        clinic: Here,
        id: Path<PatientId>,
    ) -> Result<Payload<Listing<ConsentView>>, Problem> {
        let mut conn = clinic.read().await?;
        require(&mut conn, who.only_patient()?, id.0).await?;
        let consents = store::of_patient(&mut conn, id.0).await?;
        drop(conn);
        let seen = Seen::list("consent", &consents, |consent| consent.id);
        who.saw(seen.about(id.0)).await?;
        Ok(Payload(Listing::whole(consents)))
    }

    /// Note what a patient agrees to or refuses
    ///
    /// Nothing is overwritten: the newest on a kind and channel counts.
    #[oai(path = "/patients/:id/consents", method = "post", operation_id = "noteConsent")]
    async fn note(
        &self,
        who: May<WritePatients>,
        clinic: Here,
        id: Path<PatientId>,
        body: Input<ConsentRequest>,
    ) -> Result<Created<ConsentView>, Problem> {
        let mut tx: Tx = clinic.begin(who.actor()).await?;
        require(&mut tx, who.only_patient()?, id.0).await?;
        let new = body.read()?;
        let said = Said {
            kind: new.kind,
            channel: new.channel,
            granted: new.granted,
            text_version: new.text_version.as_deref().unwrap_or_default(),
            source: who.role.as_str(),
        };
        let consent = store::note(&mut tx, id.0, said).await?;
        let act = Act::new("consent.noted", "consent", consent.id).about(id.0).details(
            json!({ "kind": consent.kind, "channel": consent.channel, "granted": consent.granted }),
        );
        audit::record(&mut tx, act).await?;
        tx.commit().await?;
        let location = format!("/patients/{}/consents", id.0);
        Ok(Created { etag: ETag(1), location, view: consent })
    }
}

/// The patient is here, and may be seen by this caller.
async fn require(conn: &mut Conn, only: Option<PatientId>, id: PatientId) -> Result<(), Problem> {
    let there: bool = sqlx::query_scalar(
        "select exists(select from patients where id = $1 and deleted_at is null)",
    )
    .bind(id)
    .fetch_one(conn)
    .await?;
    match there && only.is_none_or(|own| own == id) {
        true => Ok(()),
        false => Err(Problem::not_found()),
    }
}
