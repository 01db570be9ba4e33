//! All SQL of the log and its chain. Clinics and the platform have both in the same shape.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::link::{Hash, LoggedRow};
use super::reads::ReadRow;
use crate::tenancy::pools::Conn;

/// One sealer works on a log at a time: a second one would only find its link's number taken.
pub const TURN: &str = "select pg_advisory_xact_lock(1851876457, 9)";

/// The newest link of a chain.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Head {
    pub n: i64,
    pub hash: Vec<u8>,
    /// The row that it seals, and that row's transaction: rows after it in this order are not sealed yet.
    pub log_id: i64,
    pub xid: String,
}

/// The chain's newest link, and what time it is there.
pub async fn head(conn: impl PgExecutor<'_>) -> sqlx::Result<Option<Head>> {
    sqlx::query_as(
        "select n, hash, log_id, xid::text as xid from audit_seals order by n desc limit 1",
    )
    .fetch_optional(conn)
    .await
}

pub async fn now(conn: &mut Conn) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar("select now()").fetch_one(conn).await
}

/// A row that waits for its link.
#[derive(sqlx::FromRow)]
pub struct Unsealed {
    #[sqlx(flatten)]
    pub row: LoggedRow,
    pub xid: String,
}

/// The next rows to be sealed: those of transactions older than any that still runs, so that nothing can come between.
pub async fn unsealed(
    conn: &mut Conn,
    after: (&str, i64),
    limit: i64,
) -> sqlx::Result<Vec<Unsealed>> {
    sqlx::query_as(
        "select id, at, request_id, account_id, role, session_id, address::text as address, action, entity, entity_id,
                about_id, details::text as details, xid::text as xid
         from audit_log
         where (xid, id) > ($1::text::xid8, $2) and xid < pg_snapshot_xmin(pg_current_snapshot())
         order by audit_log.xid, id limit $3",
    )
    .bind(after.0)
    .bind(after.1)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// Whether rows wait that were committed already, behind a transaction older than they are.
pub async fn any_waiting(conn: &mut Conn, after: (&str, i64)) -> sqlx::Result<bool> {
    // No `exists`: it ignores the order, hopes to meet such a row soon, and reads the whole log when there is none.
    sqlx::query_scalar(
        "select (select true from audit_log where (xid, id) > ($1::text::xid8, $2)
                 order by xid, id limit 1) is not null",
    )
    .bind(after.0)
    .bind(after.1)
    .fetch_one(conn)
    .await
}

/// Adds links: each the number, the row, its transaction and the hash.
pub async fn add_links(
    conn: &mut Conn,
    sealed_at: DateTime<Utc>,
    links: Vec<(i64, i64, String, Hash)>,
) -> sqlx::Result<()> {
    let (mut numbers, mut rows, mut xids, mut hashes) = (vec![], vec![], vec![], vec![]);
    for (n, log_id, xid, hash) in links {
        numbers.push(n);
        rows.push(log_id);
        xids.push(xid);
        hashes.push(hash.to_vec());
    }
    sqlx::query(
        "insert into audit_seals (n, log_id, xid, sealed_at, hash)
         select n, log_id, xid::xid8, $5, hash
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[]) as link (n, log_id, xid, hash)",
    )
    .bind(numbers)
    .bind(rows)
    .bind(xids)
    .bind(hashes)
    .bind(sealed_at)
    .execute(conn)
    .await
    .map(drop)
}

/// The hash of one link.
pub async fn link(conn: &mut Conn, n: i64) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar("select hash from audit_seals where n = $1")
        .bind(n)
        .fetch_optional(conn)
        .await
}

/// What central knows of a chain: its newest link, the last time that anybody told.
pub async fn known_head(
    central: impl PgExecutor<'_>,
    realm: Uuid,
) -> sqlx::Result<Option<(i64, Vec<u8>)>> {
    sqlx::query_as("select n, hash from audit_heads where realm_id = $1")
        .bind(realm)
        .fetch_optional(central)
        .await
}

/// Moves what central knows of a chain from one link to a later one; false when central knows another.
pub async fn move_head(
    central: &mut Conn,
    realm: Uuid,
    from: Option<(i64, &[u8])>,
    to: (i64, &[u8]),
) -> sqlx::Result<bool> {
    let moved = sqlx::query(
        "insert into audit_heads as h (realm_id, n, hash) values ($1, $2, $3)
         on conflict (realm_id) do update set n = excluded.n, hash = excluded.hash, seen_at = now()
         where h.n = $4 and h.hash = $5",
    )
    .bind(realm)
    .bind(to.0)
    .bind(to.1)
    .bind(from.map(|(n, _)| n))
    .bind(from.map(|(_, hash)| hash))
    .execute(central.never_repeat())
    .await?;
    Ok(moved.rows_affected() > 0)
}

/// Rows of reads, in one statement.
pub async fn insert_reads(conn: &mut Conn, rows: &[ReadRow]) -> sqlx::Result<()> {
    let of = |take: fn(&ReadRow) -> Option<Uuid>| rows.iter().map(take).collect::<Vec<_>>();
    let text = |take: fn(&ReadRow) -> Option<String>| rows.iter().map(take).collect::<Vec<_>>();
    sqlx::query(
        "insert into audit_log (at, request_id, account_id, role, session_id, address, action, entity, entity_id,
                                about_id, details)
         select at, request_id, account_id, role, session_id, address::inet, action, entity, entity_id, about_id,
                details::jsonb
         from unnest($1::timestamptz[], $2::text[], $3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::text[],
                     $8::text[], $9::uuid[], $10::uuid[], $11::text[])
           as r (at, request_id, account_id, role, session_id, address, action, entity, entity_id, about_id, details)",
    )
    .bind(rows.iter().map(|row| row.at).collect::<Vec<_>>())
    .bind(text(|row| row.actor.request_id.clone()))
    .bind(of(|row| row.actor.account.map(Uuid::from)))
    .bind(text(|row| row.actor.role.map(str::to_owned)))
    .bind(of(|row| row.actor.session.map(Uuid::from)))
    .bind(text(|row| row.actor.address.map(|address| address.to_string())))
    .bind(text(|row| Some(row.seen.action())))
    .bind(text(|row| Some(row.seen.entity.to_owned())))
    .bind(of(|row| row.seen.entity_id))
    .bind(of(|row| row.seen.about_id))
    .bind(text(|row| Some(row.seen.details().to_string())))
    .execute(conn.never_repeat())
    .await
    .map(drop)
}

/// A link with the row that it seals, if that is still there.
pub struct Checked {
    pub n: i64,
    pub log_id: i64,
    pub sealed_at: DateTime<Utc>,
    pub hash: Vec<u8>,
    pub row: Option<LoggedRow>,
}

impl sqlx::FromRow<'_, sqlx::postgres::PgRow> for Checked {
    fn from_row(row: &sqlx::postgres::PgRow) -> sqlx::Result<Self> {
        use sqlx::Row;
        let there: Option<i64> = row.try_get("id")?;
        Ok(Self {
            n: row.try_get("n")?,
            log_id: row.try_get("log_id")?,
            sealed_at: row.try_get("sealed_at")?,
            hash: row.try_get("hash")?,
            row: there.map(|_| LoggedRow::from_row(row)).transpose()?,
        })
    }
}

/// A page of the chain with its rows.
pub async fn links_after(
    conn: &mut PgConnection,
    n: i64,
    limit: i64,
) -> sqlx::Result<Vec<Checked>> {
    sqlx::query_as(
        "select s.n, s.log_id, s.sealed_at, s.hash,
                l.id, l.at, l.request_id, l.account_id, l.role, l.session_id, l.address::text as address, l.action,
                l.entity, l.entity_id, l.about_id, l.details::text as details
         from audit_seals s left join audit_log l on l.id = s.log_id
         where s.n > $1 order by s.n limit $2",
    )
    .bind(n)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// How many rows the log has up to where the chain has come.
pub async fn rows_up_to(conn: &mut PgConnection, mark: (&str, i64)) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from audit_log where (xid, id) <= ($1::text::xid8, $2)")
        .bind(mark.0)
        .bind(mark.1)
        .fetch_one(conn)
        .await
}

/// A row among those that are sealed which has no link.
pub async fn unlinked(conn: &mut PgConnection, mark: (&str, i64)) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar(
        "select id from audit_log l
         where (xid, id) <= ($1::text::xid8, $2) and not exists (select from audit_seals s where s.log_id = l.id)
         order by l.xid, id limit 1",
    )
    .bind(mark.0)
    .bind(mark.1)
    .fetch_optional(conn)
    .await
}

/// Rows that wait for their link, how long the oldest has, and whether one is of a transaction that this server has not
/// reached yet: then the database came from another.
pub async fn waiting(
    conn: &mut PgConnection,
    mark: (&str, i64),
) -> sqlx::Result<(i64, Option<f64>, bool)> {
    sqlx::query_as(
        "select count(*), extract(epoch from now() - min(at))::float8,
                coalesce((select xid from audit_log order by xid desc, id desc limit 1)
                           >= pg_snapshot_xmax(pg_current_snapshot()), false)
         from audit_log where (xid, id) > ($1::text::xid8, $2)",
    )
    .bind(mark.0)
    .bind(mark.1)
    .fetch_one(conn)
    .await
}
