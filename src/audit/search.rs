//! Finding rows of the log. Each driving filter is a static statement of its own, on an index that has the order too; what else
//! is asked narrows the rows that it walks.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::ids::AccountId;
use crate::tenancy::pools::Conn;

/// What is asked for.
pub struct Wanted {
    pub from: DateTime<Utc>,
    /// Exclusive.
    pub to: DateTime<Utc>,
    pub account_id: Option<AccountId>,
    pub about_id: Option<Uuid>,
    pub action: Option<String>,
    pub entity: Option<String>,
    pub entity_id: Option<Uuid>,
    /// The last row of the page before.
    pub before: Option<(DateTime<Utc>, i64)>,
    pub limit: i64,
}

/// A row that was found.
#[derive(sqlx::FromRow)]
pub struct Found {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub account_id: Option<AccountId>,
    pub account_name: Option<String>,
    pub role: Option<String>,
    pub action: String,
    pub entity: String,
    pub entity_id: Option<Uuid>,
    pub about_id: Option<Uuid>,
    pub address: Option<String>,
    pub request_id: Option<String>,
    pub details: Value,
    pub sealed: bool,
}

/// A statement by its driving filter, which is `$9`, unless time alone drives it.
macro_rules! by {
    ($filter:literal) => {
        concat!(
            "select l.id, l.at, l.account_id, u.full_name as account_name, l.role, l.action, l.entity, l.entity_id,
                    l.about_id, host(l.address) as address, l.request_id, l.details,
                    coalesce((l.xid, l.id) <= (select s.xid, s.log_id from audit_seals s order by s.n desc limit 1),
                             false) as sealed
             from audit_log l left join users u on u.id = l.account_id
             where ", $filter, " l.at >= $1 and (l.at, l.id) < ($2, $3)
               and ($4::uuid is null or l.account_id = $4) and ($5::uuid is null or l.about_id = $5)
               and ($6::text is null or l.action = $6) and ($7::text is null or l.entity = $7)
             order by l.at desc, l.id desc limit $8"
        )
    };
}

/// Rows, newest first.
pub async fn find(conn: &mut Conn, wanted: &Wanted) -> sqlx::Result<Vec<Found>> {
    let (at, id) = wanted.before.unwrap_or((wanted.to, 0));
    let rows = |sql: &'static str| {
        sqlx::query_as(sql)
            .bind(wanted.from)
            .bind(at)
            .bind(id)
            .bind(wanted.account_id)
            .bind(wanted.about_id)
            .bind(&wanted.action)
            .bind(&wanted.entity)
            .bind(wanted.limit)
    };
    // What names the fewest rows comes first.
    if let Some(entity_id) = wanted.entity_id {
        return rows(by!("l.entity_id = $9 and")).bind(entity_id).fetch_all(conn).await;
    }
    if let Some(about_id) = wanted.about_id {
        return rows(by!("l.about_id = $9 and")).bind(about_id).fetch_all(conn).await;
    }
    if let Some(account_id) = wanted.account_id {
        return rows(by!("l.account_id = $9 and")).bind(account_id).fetch_all(conn).await;
    }
    if let Some(action) = &wanted.action {
        return rows(by!("l.action = $9 and")).bind(action).fetch_all(conn).await;
    }
    rows(by!("")).fetch_all(conn).await
}
