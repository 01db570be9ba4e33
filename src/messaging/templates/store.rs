//! All SQL of templates.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::book::Key;
use super::language::Language;
use super::template::{Registered, Template};
use crate::db::Tx;
use crate::messaging::channels::Channel;
use crate::messaging::kind::Kind;
use crate::money::Money;
use crate::tenancy::pools::Conn;

/// A clinic's own text, as it is kept.
#[derive(sqlx::FromRow)]
pub struct TemplateRow {
    pub name: String,
    pub channel: Channel,
    pub language: String,
    pub subject: String,
    pub body: String,
    pub provider: Json<Registered>,
    pub disabled: Option<String>,
    pub version: i64,
    pub updated_at: DateTime<Utc>,
}

impl TemplateRow {
    /// Whose words these are; `None` for a kind or language that this binary does not know.
    pub fn key(&self) -> Option<Key> {
        Some((Kind::named(&self.name)?, self.channel, Language::named(&self.language)?))
    }
}

/// Every own text of a clinic; one that cannot be read says so.
pub async fn all(conn: &mut Conn) -> sqlx::Result<HashMap<Key, Result<Template, String>>> {
    let rows = list(conn).await?;
    let read = |row: TemplateRow| {
        let key = row.key()?;
        let template = match Template::read(key.0, &row.subject, &row.body) {
            Ok(template) => {
                Ok(Template { provider: row.provider.0, disabled: row.disabled, ..template })
            }
            Err(faults) => {
                Err(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
            }
        };
        Some((key, template))
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

pub async fn list(conn: &mut Conn) -> sqlx::Result<Vec<TemplateRow>> {
    sqlx::query_as(
        "select name, channel, language, subject, body, provider, disabled, version, updated_at
         from message_templates",
    )
    .fetch_all(conn)
    .await
}

pub async fn find(conn: &mut Conn, key: Key) -> sqlx::Result<Option<TemplateRow>> {
    sqlx::query_as(
        "select name, channel, language, subject, body, provider, disabled, version, updated_at
         from message_templates where name = $1 and channel = $2 and language = $3",
    )
    .bind(key.0.as_str())
    .bind(key.1)
    .bind(key.2.as_str())
    .fetch_optional(conn)
    .await
}

/// As [`find`], and nobody else writes or removes this text until the transaction ends, also where there is none yet.
pub async fn lock(tx: &mut Tx, key: Key) -> sqlx::Result<Option<TemplateRow>> {
    let name = format!("template {} {} {}", key.0.as_str(), key.1.as_str(), key.2.as_str());
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(name)
        .execute(&mut **tx)
        .await?;
    sqlx::query_as(
        "select name, channel, language, subject, body, provider, disabled, version, updated_at
         from message_templates where name = $1 and channel = $2 and language = $3",
    )
    .bind(key.0.as_str())
    .bind(key.1)
    .bind(key.2.as_str())
    .fetch_optional(&mut **tx)
    .await
}

/// Keeps a text. It is no longer disabled: whoever changed it has mended it.
pub async fn put(
    tx: &mut Tx,
    key: Key,
    subject: &str,
    body: &str,
    provider: &Registered,
) -> sqlx::Result<TemplateRow> {
    sqlx::query_as(
        "insert into message_templates (name, channel, language, subject, body, provider)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (name, channel, language) do update set
           subject = excluded.subject, body = excluded.body, provider = excluded.provider,
           disabled = null, version = excluded.version, updated_at = now()
         returning name, channel, language, subject, body, provider, disabled, version, updated_at",
    )
    .bind(key.0.as_str())
    .bind(key.1)
    .bind(key.2.as_str())
    .bind(subject)
    .bind(body)
    .bind(Json(provider))
    .fetch_one(&mut **tx)
    .await
}

/// Back to the product's text.
pub async fn delete(tx: &mut Tx, key: Key) -> sqlx::Result<()> {
    sqlx::query("delete from message_templates where name = $1 and channel = $2 and language = $3")
        .bind(key.0.as_str())
        .bind(key.1)
        .bind(key.2.as_str())
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// What the clinic's doctors are good at, each once.
pub async fn specialties(conn: &mut Conn) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "select distinct specialty from doctors, unnest(specialties) as specialty where deleted_at is null",
    )
    .fetch_all(conn)
    .await
}

/// What the clinic pays for a segment, where it has said so.
pub async fn segment_price(conn: &mut Conn) -> sqlx::Result<Option<Money>> {
    let price: (Option<i64>, Option<String>) =
        sqlx::query_as("select segment_price, segment_currency from messaging_settings")
            .fetch_one(conn)
            .await?;
    let price = price.0.zip(price.1);
    Ok(price.map(|(amount_minor, currency)| Money { currency, amount_minor }))
}
