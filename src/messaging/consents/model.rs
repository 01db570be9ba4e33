//! What a consent is, and how one is noted.

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::http::fields::{Fields, Readable, boolean, choice, line};
use crate::messaging::channels::Channel;
use crate::time::shown;

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

impl ConsentKind {
    pub const ALL: [ConsentKind; 3] =
        [ConsentKind::Service, ConsentKind::Reminders, ConsentKind::Marketing];

    pub fn as_str(self) -> &'static str {
        match self {
            ConsentKind::Service => "service",
            ConsentKind::Reminders => "reminders",
            ConsentKind::Marketing => "marketing",
        }
    }
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
    /// Who noted it: a role, a channel by which it was said, `preferences` or `unsubscribe`.
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
