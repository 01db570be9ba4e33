//! `/audit`, on clinic hosts and on the platform's: who did and who read what, newest first.

use chrono::{DateTime, TimeDelta, Utc};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::Seen;
use super::search::{self, Found, Wanted};
use crate::auth::May;
use crate::auth::may::ReadAudit;
use crate::error::Problem;
use crate::http::fields::{self, Fields, Readable, line};
use crate::http::input::Query;
use crate::http::page::{Listing, Page};
use crate::http::payload::Payload;
use crate::ids::AccountId;
use crate::time::shown;

/// The audit log.
pub struct AuditApi;

/// Which rows.
#[derive(Object)]
pub struct ListAudit {
    from: Option<DateTime<Utc>>,
    /// Exclusive.
    to: Option<DateTime<Utc>>,
    /// Who did it.
    account_id: Option<AccountId>,
    /// The patient whom it concerns; on the platform, the clinic.
    about_id: Option<Uuid>,
    /// `appointment.booked`, `patient.read` …
    action: Option<String>,
    /// `appointment`, `patient` …
    entity: Option<String>,
    entity_id: Option<Uuid>,
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
    cursor: Option<String>,
    #[oai(skip)]
    page: Option<Page>,
}

impl Readable for ListAudit {
    fn read(fields: &mut Fields) -> Option<Self> {
        let query = Self {
            from: fields.optional("from", fields::instant),
            to: fields.optional("to", fields::instant),
            account_id: fields.optional("account_id", fields::id),
            about_id: fields.optional("about_id", fields::id),
            action: fields.optional("action", line(1, 100)),
            entity: fields.optional("entity", line(1, 100)),
            entity_id: fields.optional("entity_id", fields::id),
            limit: None,
            cursor: None,
            page: Some(Page::read(fields)),
        };
        if let (Some(from), Some(to)) = (query.from, query.to)
            && from >= to
        {
            fields.fault("to", "out_of_range", "later than from");
        }
        Some(query)
    }
}

/// Who did it.
#[derive(Serialize, Object)]
pub struct AuditAccount {
    /// Null: nobody was signed in, or the platform itself.
    pub id: Option<AccountId>,
    /// As the account is called now.
    pub name: Option<String>,
    /// As it was then.
    pub role: Option<String>,
}

/// A row of the audit log.
#[derive(Serialize, Object)]
pub struct AuditView {
    pub id: i64,
    #[serde(with = "shown")]
    pub at: DateTime<Utc>,
    pub account: AuditAccount,
    pub action: String,
    pub entity: String,
    pub entity_id: Option<Uuid>,
    /// The patient whom it concerns; on the platform, the clinic.
    pub about_id: Option<Uuid>,
    pub address: Option<String>,
    pub request_id: Option<String>,
    pub details: Value,
    /// Its link is in the chain: whoever changes or removes it now leaves a trace.
    pub sealed: bool,
}

impl From<Found> for AuditView {
    fn from(row: Found) -> Self {
        Self {
            id: row.id,
            at: row.at,
            account: AuditAccount { id: row.account_id, name: row.account_name, role: row.role },
            action: row.action,
            entity: row.entity,
            entity_id: row.entity_id,
            about_id: row.about_id,
            address: row.address,
            request_id: row.request_id,
            details: row.details,
            sealed: row.sealed,
        }
    }
}

#[OpenApi]
impl AuditApi {
    /// Read the audit log
    ///
    /// Newest first. A read of personal data is in it within a second, a change with its commit; a row is sealed within
    /// seconds more.
    #[oai(path = "/audit", method = "get", operation_id = "listAudit")]
    async fn list(
        &self,
        who: May<ReadAudit>,
        query: Query<ListAudit>,
    ) -> Result<Payload<Listing<AuditView>>, Problem> {
        let query = query.read()?;
        let page = query.page.expect("read above");
        let wanted = Wanted {
            from: query.from.unwrap_or(DateTime::UNIX_EPOCH),
            to: query.to.unwrap_or(DateTime::UNIX_EPOCH + TimeDelta::days(365 * 300)),
            account_id: query.account_id,
            about_id: query.about_id,
            action: query.action,
            entity: query.entity,
            entity_id: query.entity_id,
            before: page.after::<(DateTime<Utc>, i64)>()?,
            limit: page.fetch(),
        };
        let mut conn = who.realm().read().await?;
        let rows = search::find(&mut conn, &wanted).await?;
        drop(conn);
        let rows = rows.into_iter().map(AuditView::from).collect();
        let listing = page.of(rows, |row: &AuditView| (row.at, row.id));
        let mut seen = Seen::pages("audit_log", listing.items.len());
        seen.about_id = wanted.about_id;
        who.saw(seen).await?;
        Ok(Payload(listing))
    }
}
