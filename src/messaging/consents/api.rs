//! `/patients/{id}/consents`

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object, OpenApi};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Act, Seen};
use crate::auth::May;
use crate::auth::may::{ReadPatients, WritePatients};
use crate::db::Tx;
use crate::error::Problem;
use crate::http::context::Here;
use crate::http::etag::ETag;
use crate::http::fields::{Fields, Readable, boolean, choice, line};
use crate::http::input::Input;
use crate::http::page::Listing;
use crate::http::path::Path;
use crate::http::payload::{Created, Payload};
use crate::ids::PatientId;
use crate::messaging::channels::Channel;
use crate::tenancy::pools::Conn;
use crate::time::shown;

/// Patients' consents to messages.
pub struct ConsentsApi;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Enum, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ConsentKind {
    /// About appointments, documents, receipts: until refused.
    Service,
    /// Reminders: until refused.
    Reminders,
    /// Advice and offers: only once agreed to.
    Marketing,
}

/// What somebody said about a kind of messages.
#[derive(Clone, Debug, Serialize, Object, sqlx::FromRow)]
pub struct ConsentView {
    pub id: Uuid,
    pub kind: ConsentKind,
    /// None: by all channels.
    pub channel: Option<Channel>,
    pub granted: bool,
    /// Of the words that were agreed to.
    pub text_version: String,
    /// Who noted it: a role, or a channel by which it was said.
    pub source: String,
    #[serde(with = "shown")]
    pub at: DateTime<Utc>,
}

#[derive(Clone, Debug, Object)]
pub struct ConsentRequest {
    pub kind: ConsentKind,
    pub channel: Option<Channel>,
    pub granted: bool,
    pub text_version: Option<String>,
}

impl Readable for ConsentRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let kind = fields.required("kind", choice);
        let channel = fields.optional("channel", choice);
        let granted = fields.required("granted", boolean);
        let text_version = fields.optional("text_version", line(0, 100));
        Some(Self { kind: kind?, channel, granted: granted?, text_version })
    }
}

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
        let consents: Vec<ConsentView> = sqlx::query_as(
            "select id, kind, channel, granted, text_version, source, at from consents
             where patient_id = $1 order by at desc, id desc limit 1000",
        )
        .bind(id.0)
        .fetch_all(&mut conn)
        .await?;
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
        let consent: ConsentView = sqlx::query_as(
            "insert into consents (id, patient_id, kind, channel, granted, text_version, source)
             values ($1, $2, $3, $4, $5, $6, $7)
             returning id, kind, channel, granted, text_version, source, at",
        )
        .bind(crate::ids::new_uuid())
        .bind(id.0)
        .bind(new.kind)
        .bind(new.channel)
        .bind(new.granted)
        .bind(new.text_version.unwrap_or_default())
        .bind(who.role.as_str())
        .fetch_one(&mut *tx)
        .await?;
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
