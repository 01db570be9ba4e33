//! All SQL of avatars.

use crate::db::Tx;
use crate::ids::AccountId;
use crate::tenancy::pools::Conn;

#[derive(sqlx::FromRow)]
pub struct AvatarRow {
    pub content_type: String,
    pub bytes: Vec<u8>,
    /// The account's.
    pub version: i64,
}

pub async fn avatar(conn: &mut Conn, id: AccountId) -> sqlx::Result<Option<AvatarRow>> {
    sqlx::query_as(
        "select a.content_type, a.bytes, u.version
         from avatars a join users u on u.id = a.user_id where u.id = $1 and u.deleted_at is null",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

pub async fn put_avatar(
    tx: &mut Tx,
    id: AccountId,
    content_type: &str,
    bytes: &[u8],
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into avatars (user_id, content_type, bytes) values ($1, $2, $3)
         on conflict (user_id) do update set content_type = excluded.content_type, bytes = excluded.bytes",
    )
    .bind(id)
    .bind(content_type)
    .bind(bytes)
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub async fn delete_avatar(tx: &mut Tx, id: AccountId) -> sqlx::Result<bool> {
    let deleted =
        sqlx::query("delete from avatars where user_id = $1").bind(id).execute(&mut **tx).await?;
    Ok(deleted.rows_affected() > 0)
}
