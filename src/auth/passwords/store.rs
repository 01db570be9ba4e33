//! All SQL of passwords that are set anew.

use crate::db::Tx;
use crate::ids::{AccountId, SessionId};
use crate::tenancy::pools::Conn;

pub async fn password_hash(conn: &mut Conn, account: AccountId) -> sqlx::Result<Option<String>> {
    let found: Option<Option<String>> = sqlx::query_scalar(
        "select password_hash from users where id = $1 and status = 'active' and deleted_at is null",
    )
    .bind(account)
    .fetch_optional(conn)
    .await?;
    Ok(found.flatten())
}

/// Sets another password, if the one that was proved is still the account's.
pub async fn replace_password(
    tx: &mut Tx,
    account: AccountId,
    proved: &str,
    hash: &str,
) -> sqlx::Result<bool> {
    let set = sqlx::query(
        "update users set password_hash = $3, version = version + 1, updated_at = now()
         where id = $1 and password_hash = $2 and status = 'active' and deleted_at is null",
    )
    .bind(account)
    .bind(proved)
    .bind(hash)
    .execute(&mut **tx)
    .await?;
    Ok(set.rows_affected() > 0)
}

/// Ends every session of an account but one.
pub async fn end_other_sessions(
    tx: &mut Tx,
    account: AccountId,
    kept: SessionId,
    reason: &str,
) -> sqlx::Result<u64> {
    let ended = sqlx::query(
        "update sessions set ended_at = now(), ended_reason = $3
         where user_id = $1 and id <> $2 and ended_at is null",
    )
    .bind(account)
    .bind(kept)
    .bind(reason)
    .execute(&mut **tx)
    .await?;
    Ok(ended.rows_affected())
}
