//! A visit's past, as its patient and the desk are shown it: each change writes its own line, in its own transaction.

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::types::Json;

use super::model::{AppointmentView, Kind, Status};
use crate::db::Tx;
use crate::ids::{AccountId, AppointmentId, DoctorId, LocationId, ResourceId};
use crate::tenancy::pools::Conn;
use crate::time::shown;

/// What happened to a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type, Enum)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[oai(rename_all = "snake_case", rename = "AppointmentChange")]
pub enum What {
    Booked,
    /// Its kind, reason or address.
    Described,
    Moved,
    Confirmed,
    CheckedIn,
    Started,
    Completed,
    Cancelled,
    NoShow,
    Reopened,
}

impl What {
    /// Its action in the audit log.
    pub(super) fn action(self) -> &'static str {
        match self {
            What::Booked => "appointment.booked",
            What::Described => "appointment.changed",
            What::Moved => "appointment.moved",
            What::Confirmed => "appointment.confirmed",
            What::CheckedIn => "appointment.checked_in",
            What::Started => "appointment.started",
            What::Completed => "appointment.completed",
            What::Cancelled => "appointment.cancelled",
            What::NoShow => "appointment.no_show",
            What::Reopened => "appointment.reopened",
        }
    }
}

/// What a change made different: of each field as it was, or as it became.
#[derive(Clone, Debug, Default, Serialize, Deserialize, Object)]
#[serde(default)]
pub struct Changed {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doctor_id: Option<DoctorId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location_id: Option<LocationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_ids: Option<Vec<ResourceId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overbooked: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_cancelled: Option<bool>,
}

/// A line of a visit's past.
#[derive(Clone, Debug, Serialize, Object)]
pub struct ChangeView {
    pub what: What,
    #[serde(with = "shown")]
    pub at: DateTime<Utc>,
    /// Null: by a link in a message, or by itself after a time.
    pub account_id: Option<AccountId>,
    /// To staff.
    pub full_name: Option<String>,
    /// `patient` for one who followed a link, `platform` for what came by itself.
    pub role: Option<String>,
    /// Why it was cancelled, reopened, or overbooked on purpose.
    pub reason: Option<String>,
    /// Only what became different.
    pub before: Changed,
    pub after: Changed,
}

const FIELDS: [&str; 11] = [
    "status",
    "starts_at",
    "ends_at",
    "doctor_id",
    "location_id",
    "kind",
    "reason",
    "address",
    "resource_ids",
    "overbooked",
    "late_cancelled",
];

/// The fields in which two states of a visit differ; all that say something where there was none before.
fn difference(before: Option<&AppointmentView>, after: &AppointmentView) -> (Value, Value) {
    let fields = |view: &AppointmentView| match serde_json::to_value(view) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (old, new) = (before.map(fields).unwrap_or_default(), fields(after));
    let (mut was, mut became) = (Map::new(), Map::new());
    for field in FIELDS {
        let (old, new) = (old.get(field), new.get(field));
        let says_nothing = match new {
            Some(Value::Bool(said)) => !said,
            Some(Value::String(said)) => said.is_empty(),
            Some(Value::Array(said)) => said.is_empty(),
            _ => false,
        };
        if old == new || old.is_none() && says_nothing {
            continue;
        }
        was.extend(old.map(|old| (field.to_owned(), old.clone())));
        became.extend(new.map(|new| (field.to_owned(), new.clone())));
    }
    (Value::Object(was), Value::Object(became))
}

/// What is written of a visit that was just booked: the statement that makes it writes its line, too.
pub(super) fn of_booking(visit: &AppointmentView) -> Value {
    difference(None, visit).1
}

/// Adds a line, in the change's own transaction.
pub(super) async fn note(
    tx: &mut Tx,
    what: What,
    before: Option<&AppointmentView>,
    after: &AppointmentView,
    reason: Option<&str>,
) -> sqlx::Result<()> {
    add(tx, what, before, after, reason, None).await
}

/// As [`note`], of what happened at another time than now.
pub(super) async fn note_at(
    tx: &mut Tx,
    what: What,
    before: Option<&AppointmentView>,
    after: &AppointmentView,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    add(tx, what, before, after, None, Some(at)).await
}

async fn add(
    tx: &mut Tx,
    what: What,
    before: Option<&AppointmentView>,
    after: &AppointmentView,
    reason: Option<&str>,
    at: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    let (was, became) = difference(before, after);
    let actor = tx.actor().clone();
    sqlx::query(
        "insert into appointment_changes (appointment_id, what, before, after, reason, account_id, role, at)
         values ($1, $2, $3, $4, $5, $6, $7, coalesce($8, clock_timestamp()))",
    )
    .bind(after.id)
    .bind(what)
    .bind(was)
    .bind(became)
    .bind(reason)
    .bind(actor.account)
    .bind(actor.role)
    .bind(at)
    .execute(&mut **tx)
    .await
    .map(drop)
}

#[derive(sqlx::FromRow)]
struct ChangeRow {
    what: What,
    at: DateTime<Utc>,
    account_id: Option<AccountId>,
    full_name: Option<String>,
    role: Option<String>,
    reason: Option<String>,
    before: Json<Changed>,
    after: Json<Changed>,
}

/// A visit's past, the oldest first. (One visit has few lines, so they come all at once.)
pub(super) async fn of(conn: &mut Conn, id: AppointmentId) -> sqlx::Result<Vec<ChangeView>> {
    let rows: Vec<ChangeRow> = sqlx::query_as(
        "select c.what, c.at, c.account_id, u.full_name, c.role, c.reason, c.before, c.after
         from appointment_changes c left join users u on u.id = c.account_id
         where c.appointment_id = $1 order by c.id",
    )
    .bind(id)
    .fetch_all(conn)
    .await?;
    let view = |row: ChangeRow| ChangeView {
        what: row.what,
        at: row.at,
        account_id: row.account_id,
        full_name: row.full_name,
        role: row.role,
        reason: row.reason,
        before: row.before.0,
        after: row.after.0,
    };
    Ok(rows.into_iter().map(view).collect())
}

/// The step that brought a visit to where it is: from where, and when. Going back to it was none.
pub(super) async fn last_step(
    conn: &mut Conn,
    id: AppointmentId,
    status: Status,
) -> sqlx::Result<Option<(Status, DateTime<Utc>)>> {
    sqlx::query_as(
        "select before ->> 'status', at from appointment_changes
         where appointment_id = $1 and after ->> 'status' = $2 and before ? 'status' and what <> 'reopened'
         order by id desc limit 1",
    )
    .bind(id)
    .bind(status.as_str())
    .fetch_optional(conn)
    .await
}
