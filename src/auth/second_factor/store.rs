//! All SQL of second factors: the same on every host.

use std::net::IpAddr;

use crate::db::Tx;
use crate::ids::AccountId;
use crate::tenancy::pools::Conn;

/// Where an account's secret is bound to.
pub fn place(account: AccountId) -> String {
    format!("second_factors.secret:{account}")
}

/// An account's factor.
#[derive(sqlx::FromRow)]
pub struct FactorRow {
    pub secret_cipher: Vec<u8>,
    pub confirmed: bool,
}

pub async fn factor(conn: &mut Conn, account: AccountId) -> sqlx::Result<Option<FactorRow>> {
    sqlx::query_as(
        "select secret_cipher, confirmed_at is not null as confirmed from second_factors where user_id = $1",
    )
    .bind(account)
    .fetch_optional(conn)
    .await
}

/// Begins an enrolment, or begins it anew; false when there is a confirmed factor.
pub async fn begin(tx: &mut Tx, account: AccountId, secret_cipher: &[u8]) -> sqlx::Result<bool> {
    let begun = sqlx::query(
        "insert into second_factors as f (user_id, secret_cipher) values ($1, $2)
         on conflict (user_id) do update set secret_cipher = excluded.secret_cipher, created_at = now()
         where f.confirmed_at is null",
    )
    .bind(account)
    .bind(secret_cipher)
    .execute(&mut **tx)
    .await?;
    Ok(begun.rows_affected() > 0)
}

pub async fn put_recovery_codes(
    tx: &mut Tx,
    account: AccountId,
    hashes: &[String],
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into recovery_codes (user_id, n, code_hash)
         select $1, at - 1, hash from unnest($2::text[]) with ordinality as codes(hash, at)
         on conflict (user_id, n) do update set code_hash = excluded.code_hash, used_at = null",
    )
    .bind(account)
    .bind(hashes)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Confirms the factor whose secret was just proved, and spends the step that proved it.
pub async fn confirm(
    tx: &mut Tx,
    account: AccountId,
    secret_cipher: &[u8],
    step: i64,
) -> sqlx::Result<bool> {
    let confirmed = sqlx::query(
        "update second_factors set confirmed_at = now(), last_step = $3
         where user_id = $1 and secret_cipher = $2 and confirmed_at is null and last_step < $3",
    )
    .bind(account)
    .bind(secret_cipher)
    .bind(step)
    .execute(&mut **tx)
    .await?;
    Ok(confirmed.rows_affected() > 0)
}

/// Spends a step: false when it, or a later one, was spent before. Of two at once one is told so.
pub async fn spend_step(tx: &mut Tx, account: AccountId, step: i64) -> sqlx::Result<bool> {
    let spent = sqlx::query(
        "update second_factors set last_step = $2
         where user_id = $1 and confirmed_at is not null and last_step < $2",
    )
    .bind(account)
    .bind(step)
    .execute(&mut **tx)
    .await?;
    Ok(spent.rows_affected() > 0)
}

/// The hash of a recovery code that is still good.
pub async fn recovery_hash(
    conn: &mut Conn,
    account: AccountId,
    n: i16,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "select code_hash from recovery_codes where user_id = $1 and n = $2 and used_at is null",
    )
    .bind(account)
    .bind(n)
    .fetch_optional(conn)
    .await
}

/// Spends a recovery code, if it is still the one that was proved.
pub async fn spend_recovery_code(
    tx: &mut Tx,
    account: AccountId,
    n: i16,
    hash: &str,
) -> sqlx::Result<bool> {
    let spent = sqlx::query(
        "update recovery_codes set used_at = now()
         where user_id = $1 and n = $2 and code_hash = $3 and used_at is null",
    )
    .bind(account)
    .bind(n)
    .bind(hash)
    .execute(&mut **tx)
    .await?;
    Ok(spent.rows_affected() > 0)
}

/// Whether there is a confirmed factor; and it stays one until this transaction ends.
pub async fn lock_confirmed(tx: &mut Tx, account: AccountId) -> sqlx::Result<bool> {
    let found: Option<bool> = sqlx::query_scalar(
        "select true from second_factors where user_id = $1 and confirmed_at is not null for update",
    )
    .bind(account)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.is_some())
}

/// Removes a factor; whether it was confirmed, if there was one.
pub async fn remove(tx: &mut Tx, account: AccountId) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar(
        "with codes as (delete from recovery_codes where user_id = $1)
         delete from second_factors where user_id = $1 returning confirmed_at is not null",
    )
    .bind(account)
    .fetch_optional(&mut **tx)
    .await
}

/// Whether somebody has been let in from this address lately.
pub async fn is_usual(
    tx: &mut Tx,
    account: AccountId,
    address: Option<IpAddr>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists(select from sessions where user_id = $1 and address = $2::inet
                       and created_at > now() - interval '90 days')",
    )
    .bind(account)
    .bind(address.map(|address| address.to_string()))
    .fetch_one(&mut **tx)
    .await
}

/// How far one-time codes go: a clinic's alone.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CodeSettings {
    /// SMS with codes on one day of the clinic.
    pub sms_daily_budget: i32,
    /// ISO 3166; none: the clinic's own country alone.
    pub sms_countries: Vec<String>,
    /// The clinic's own: who asks for a code from there is not counted by address.
    pub trusted_networks: Vec<String>,
}

/// How people sign in, and which version of that this is.
#[derive(sqlx::FromRow)]
pub struct SettingsRow {
    pub second_factor_roles: Vec<String>,
    pub version: i64,
    #[sqlx(default)]
    sms_daily_budget: Option<i32>,
    #[sqlx(default)]
    sms_countries: Vec<String>,
    #[sqlx(default)]
    trusted_networks: Vec<String>,
}

impl SettingsRow {
    pub fn codes(&self) -> Option<CodeSettings> {
        Some(CodeSettings {
            sms_daily_budget: self.sms_daily_budget?,
            sms_countries: self.sms_countries.clone(),
            trusted_networks: self.trusted_networks.clone(),
        })
    }
}

pub async fn settings(conn: &mut Conn, codes: bool) -> sqlx::Result<SettingsRow> {
    let sql = if codes {
        "select second_factor_roles, version, sms_daily_budget, sms_countries, trusted_networks::text[]
         from sign_in_settings"
    } else {
        "select second_factor_roles, version from sign_in_settings"
    };
    sqlx::query_as(sql).fetch_one(conn).await
}

pub async fn lock_settings(tx: &mut Tx, codes: bool) -> sqlx::Result<SettingsRow> {
    sqlx::query("select from sign_in_settings for update").execute(&mut **tx).await?;
    settings(tx, codes).await
}

pub async fn update_settings(
    tx: &mut Tx,
    roles: &[String],
    codes: Option<&CodeSettings>,
) -> sqlx::Result<SettingsRow> {
    let Some(codes) = codes else {
        return sqlx::query_as(
            "update sign_in_settings set second_factor_roles = $1, version = version + 1
             returning second_factor_roles, version",
        )
        .bind(roles)
        .fetch_one(&mut **tx)
        .await;
    };
    sqlx::query_as(
        "update sign_in_settings set second_factor_roles = $1, sms_daily_budget = $2, sms_countries = $3,
                                     trusted_networks = $4::cidr[], version = version + 1
         returning second_factor_roles, version, sms_daily_budget, sms_countries, trusted_networks::text[]",
    )
    .bind(roles)
    .bind(codes.sms_daily_budget)
    .bind(&codes.sms_countries)
    .bind(&codes.trusted_networks)
    .fetch_one(&mut **tx)
    .await
}
