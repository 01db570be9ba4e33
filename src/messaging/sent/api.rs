//! `/messages`

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object, OpenApi};
use serde::{Deserialize, Serialize};

use super::store;
use crate::audit::{self, Act, Seen};
use crate::auth::May;
use crate::auth::may::ManageMessaging;
use crate::error::Problem;
use crate::http::context::Here;
use crate::http::fields::{Fields, Readable, choice, id};
use crate::http::input::{NoBody, Query};
use crate::http::page::{Listing, Page};
use crate::http::path::Path;
use crate::http::payload::Payload;
use crate::ids::{MessageId, PatientId};
use crate::messaging::channels::{Channel, ErrorClass};
use crate::time::shown;

/// Messages and what became of them.
pub struct MessagesApi;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case", rename = "MessageStatus")]
pub enum Status {
    Queued,
    Sending,
    Sent,
    Delivered,
    Read,
    Failed,
    Expired,
    Suppressed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Queued => "queued",
            Status::Sending => "sending",
            Status::Sent => "sent",
            Status::Delivered => "delivered",
            Status::Read => "read",
            Status::Failed => "failed",
            Status::Expired => "expired",
            Status::Suppressed => "suppressed",
        }
    }
}

/// A message. What it said is not kept here.
#[derive(Clone, Debug, Serialize, Object)]
pub struct MessageView {
    pub id: MessageId,
    /// `appointment.booked`
    pub purpose: String,
    pub patient_id: Option<PatientId>,
    /// `queued → sending → sent → delivered → read`, or `failed`, `expired`, `suppressed`.
    pub status: String,
    /// By which it went, or was last tried.
    pub channel: Option<String>,
    pub tries: i32,
    #[serde(with = "shown")]
    pub due_at: DateTime<Utc>,
    #[serde(with = "shown")]
    pub expires_at: DateTime<Utc>,
    #[serde(serialize_with = "maybe")]
    pub done_at: Option<DateTime<Utc>>,
    #[serde(with = "shown")]
    pub created_at: DateTime<Utc>,
    pub error_class: Option<ErrorClass>,
    pub error: Option<String>,
    pub attempts: Vec<AttemptView>,
}

/// One call to a provider.
#[derive(Clone, Debug, Serialize, Object)]
pub struct AttemptView {
    pub n: i32,
    pub channel: String,
    pub provider: String,
    /// `accepted`, `retry` or `refused`; null: nobody saw it end.
    pub outcome: Option<String>,
    /// By the provider's report: `sent`, `delivered`, `read` or `failed`.
    pub status: Option<String>,
    pub http: Option<i32>,
    /// The provider's own.
    pub code: Option<String>,
    pub class: Option<ErrorClass>,
    pub error: Option<String>,
    #[serde(with = "shown")]
    pub started_at: DateTime<Utc>,
    #[serde(serialize_with = "maybe")]
    pub ended_at: Option<DateTime<Utc>>,
}

fn maybe<S: serde::Serializer>(at: &Option<DateTime<Utc>>, to: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => shown::serialize(at, to),
        None => to.serialize_none(),
    }
}

/// Which messages.
#[derive(Object)]
pub struct ListMessages {
    status: Option<Status>,
    channel: Option<Channel>,
    patient_id: Option<PatientId>,
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    page: Option<Page>,
}

impl Readable for ListMessages {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            status: fields.optional("status", choice),
            channel: fields.optional("channel", choice),
            patient_id: fields.optional("patient_id", id),
            limit: None,
            cursor: None,
            page: Some(Page::read(fields)),
        })
    }
}

#[OpenApi]
impl MessagesApi {
    /// Messages, the newest first
    ///
    /// Never what they say: a code would be in it.
    #[oai(path = "/messages", method = "get", operation_id = "listMessages")]
    async fn list(
        &self,
        who: May<ManageMessaging>,
        clinic: Here,
        query: Query<ListMessages>,
    ) -> Result<Payload<Listing<MessageView>>, Problem> {
        let query = query.read()?;
        let page = query.page.expect("read above");
        let after = page.after()?;
        let mut conn = clinic.read().await?;
        let (patient, status, channel) = (query.patient_id, query.status, query.channel);
        let rows = store::list(&mut conn, patient, status, channel, after, page.fetch()).await?;
        let listing = page.of(rows, |message| message.id);
        who.saw(Seen::list("message", &listing.items, |message| message.id.0)).await?;
        Ok(Payload(listing))
    }

    /// Try a message again
    ///
    /// One that failed or was put aside, while it is of use yet; else `409 not-retryable`. Codes and links are asked for anew.
    #[oai(path = "/messages/:id/retry", method = "post", operation_id = "retryMessage")]
    async fn retry(
        &self,
        who: May<ManageMessaging>,
        clinic: Here,
        id: Path<MessageId>,
        nothing: NoBody,
    ) -> Result<Payload<MessageView>, Problem> {
        let mut tx = clinic.begin_telling(who.actor(), &[]).await?;
        let before = store::by_id(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        nothing.read()?;
        if !store::retry(&mut tx, id.0).await? {
            return Err(Problem::conflict(
                "not-retryable",
                "only a message that failed or was put aside, and is of use yet, can be tried again",
            )
            .with("status_now", before.status));
        }
        tx.note_message(id.0);
        let mut act = Act::new("message.retried", "message", id.0);
        if let Some(patient) = before.patient_id {
            act = act.about(patient);
        }
        audit::record(&mut tx, act).await?;
        let message = store::by_id(&mut tx, id.0).await?.ok_or_else(Problem::not_found)?;
        tx.commit().await?;
        Ok(Payload(message))
    }
}
