//! All SQL of the settings. The row is there from the first migration on.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

use super::model::{Policies, Providers};
use crate::crypto::{ClinicKeys, Unreadable};
use crate::db::Tx;
use crate::money::Money;
use crate::tenancy::pools::Conn;

const PLACE: &str = "messaging_settings.providers";

/// The settings as they are kept.
#[derive(sqlx::FromRow)]
pub struct SettingsRow {
    providers_cipher: Option<Vec<u8>>,
    pub policies: Json<Policies>,
    segment_price: Option<i64>,
    segment_currency: Option<String>,
    pub version: i64,
    pub updated_at: DateTime<Utc>,
}

impl SettingsRow {
    pub fn segment_price(&self) -> Option<Money> {
        let price = self.segment_price.zip(self.segment_currency.clone());
        price.map(|(amount_minor, currency)| Money { currency, amount_minor })
    }

    /// # Errors
    /// When they do not open under this clinic's key.
    pub fn providers(&self, keys: &ClinicKeys) -> Result<Providers, Unreadable> {
        let Some(sealed) = &self.providers_cipher else { return Ok(Providers::default()) };
        let plain = keys.fields.open(PLACE, sealed)?;
        serde_json::from_slice(&plain).map_err(|_| Unreadable)
    }
}

pub async fn read(conn: &mut Conn) -> sqlx::Result<SettingsRow> {
    sqlx::query_as(
        "select providers_cipher, policies, segment_price, segment_currency, version, updated_at
         from messaging_settings",
    )
    .fetch_one(conn)
    .await
}

/// As [`read`], and nobody else changes them until this transaction ends.
pub async fn lock(tx: &mut Tx) -> sqlx::Result<SettingsRow> {
    sqlx::query_as(
        "select providers_cipher, policies, segment_price, segment_currency, version, updated_at
         from messaging_settings for update",
    )
    .fetch_one(&mut **tx)
    .await
}

/// For a clinic that has no settings yet; others stay as they are.
pub async fn set_up(
    connection: &mut PgConnection,
    keys: &ClinicKeys,
    providers: &Providers,
    policies: &Policies,
) -> sqlx::Result<()> {
    let plain = serde_json::to_vec(providers).expect("plain fields always serialise");
    sqlx::query(
        "update messaging_settings set
           providers_cipher = $1, policies = $2, version = version + 1, updated_at = now()
         where version = 1",
    )
    .bind(keys.fields.seal(PLACE, &plain))
    .bind(Json(policies))
    .execute(connection)
    .await
    .map(drop)
}

pub async fn put(
    tx: &mut Tx,
    keys: &ClinicKeys,
    providers: &Providers,
    policies: &Policies,
    segment_price: Option<&Money>,
) -> sqlx::Result<SettingsRow> {
    let plain = serde_json::to_vec(providers).expect("plain fields always serialise");
    sqlx::query_as(
        "update messaging_settings set
           providers_cipher = $1, policies = $2, segment_price = $3, segment_currency = $4,
           version = version + 1, updated_at = now()
         returning providers_cipher, policies, segment_price, segment_currency, version, updated_at",
    )
    .bind(keys.fields.seal(PLACE, &plain))
    .bind(Json(policies))
    .bind(segment_price.map(|price| price.amount_minor))
    .bind(segment_price.map(|price| price.currency.as_str()))
    .fetch_one(&mut **tx)
    .await
}
