//! All SQL of patients. Each set of filters is a static statement of its own, so that each has the plan it deserves.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::model::{Gender, PatientRequest, PatientView};
use crate::db::Tx;
use crate::ids::PatientId;
use crate::tenancy::pools::Conn;

impl sqlx::FromRow<'_, PgRow> for PatientView {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get(0)?,
            number: row.try_get(1)?,
            full_name: row.try_get(2)?,
            phone: row.try_get(3)?,
            email: row.try_get(4)?,
            date_of_birth: row.try_get(5)?,
            gender: row.try_get(6)?,
            language: row.try_get(7)?,
            address: row.try_get(8)?,
            notes: row.try_get(9)?,
            created_at: row.try_get(10)?,
            updated_at: row.try_get(11)?,
            version: row.try_get(12)?,
        })
    }
}

/// A patient found by name, with how well it fits: 0 to 1.
pub struct Found {
    pub patient: PatientView,
    pub fit: f32,
}

impl sqlx::FromRow<'_, PgRow> for Found {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self { patient: PatientView::from_row(row)?, fit: row.try_get(13)? })
    }
}

/// The columns of a view in the order in which they are read above: read, or given back by a change.
macro_rules! view {
    (columns) => {
        "id, number, full_name, phone, email, date_of_birth, gender, language, address, notes,
         created_at, updated_at, version"
    };
    (select $rest:literal) => {
        concat!("select ", view!(columns), " ", $rest)
    };
    ($change:literal returning) => {
        concat!($change, " returning ", view!(columns))
    };
}

pub async fn list(
    conn: &mut Conn,
    after: Option<PatientId>,
    limit: i64,
) -> sqlx::Result<Vec<PatientView>> {
    sqlx::query_as(view!(select
        "from patients where deleted_at is null and id > $1 order by id limit $2"
    ))
    .bind(after.map_or(uuid::Uuid::nil(), |id| id.0))
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// By part of a name, or by one that is spelt nearly so: best fit first. `after` is the last row's `(fit, id)`.
pub async fn search_by_name(
    conn: &mut Conn,
    name: &str,
    after: Option<(f32, PatientId)>,
    limit: i64,
) -> sqlx::Result<Vec<Found>> {
    let (fit, id) = after.map_or((2.0, uuid::Uuid::nil()), |(fit, id)| (fit, id.0));
    sqlx::query_as(
        // Materialized: else each row's fit is worked out again wherever it is used.
        concat!(
            "with found as materialized (
               select *, word_similarity($1, name_folded) as fit from patients
               where deleted_at is null and (name_folded like $2 or $1 <% name_folded))
             select ",
            view!(columns),
            ", fit
             from found where fit < $3 or (fit = $3 and id > $4)
             order by fit desc, id limit $5"
        ),
    )
    .bind(name)
    .bind(contains(name))
    .bind(fit)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// By any run of digits in the phone number.
pub async fn search_by_phone(
    conn: &mut Conn,
    digits: &str,
    after: Option<PatientId>,
    limit: i64,
) -> sqlx::Result<Vec<PatientView>> {
    sqlx::query_as(view!(select
        "from patients where deleted_at is null and phone like $1 and id > $2 order by id limit $3"
    ))
    .bind(contains(digits))
    .bind(after.map_or(uuid::Uuid::nil(), |id| id.0))
    .bind(limit)
    .fetch_all(conn)
    .await
}

pub async fn by_number(conn: &mut Conn, number: &str) -> sqlx::Result<Option<PatientView>> {
    sqlx::query_as(view!(select "from patients where deleted_at is null and number = $1"))
        .bind(number)
        .fetch_optional(conn)
        .await
}

pub async fn by_id(conn: &mut Conn, id: PatientId) -> sqlx::Result<Option<PatientView>> {
    sqlx::query_as(view!(select "from patients where deleted_at is null and id = $1"))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// As [`by_id`], and nobody else changes it until this transaction ends.
pub async fn lock(tx: &mut Tx, id: PatientId) -> sqlx::Result<Option<PatientView>> {
    sqlx::query_as(view!(select "from patients where deleted_at is null and id = $1 for update"))
        .bind(id)
        .fetch_optional(&mut **tx)
        .await
}

pub async fn insert(tx: &mut Tx, id: PatientId, new: &PatientRequest) -> sqlx::Result<PatientView> {
    sqlx::query_as(view!(
        "insert into patients (id, full_name, phone, email, date_of_birth, gender, language, address, notes)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        returning
    ))
    .bind(id)
    .bind(&new.full_name)
    .bind(&new.phone)
    .bind(&new.email)
    .bind(new.date_of_birth)
    .bind(new.gender.map(Gender::as_str))
    .bind(&new.language)
    .bind(new.address.as_deref().unwrap_or_default())
    .bind(new.notes.as_deref().unwrap_or_default())
    .fetch_one(&mut **tx)
    .await
}

pub async fn update(tx: &mut Tx, id: PatientId, new: &PatientRequest) -> sqlx::Result<PatientView> {
    sqlx::query_as(view!(
        "update patients set full_name = $2, phone = $3, email = $4, date_of_birth = $5, gender = $6,
                             language = $7, address = $8, notes = $9, version = version + 1, updated_at = now()
         where id = $1"
        returning
    ))
    .bind(id)
    .bind(&new.full_name)
    .bind(&new.phone)
    .bind(&new.email)
    .bind(new.date_of_birth)
    .bind(new.gender.map(Gender::as_str))
    .bind(&new.language)
    .bind(new.address.as_deref().unwrap_or_default())
    .bind(new.notes.as_deref().unwrap_or_default())
    .fetch_one(&mut **tx)
    .await
}

/// Soft: the record stays, and so does the audit of it.
pub async fn delete(tx: &mut Tx, id: PatientId) -> sqlx::Result<()> {
    sqlx::query(
        "update patients set deleted_at = now(), version = version + 1, updated_at = now() where id = $1",
    )
    .bind(id)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Visits still to come: such a patient is not deleted.
pub async fn has_coming_appointments(tx: &mut Tx, id: PatientId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists(select from appointments where patient_id = $1 and upper(during) > now()
                       and status in ('booked', 'confirmed', 'checked_in', 'in_consultation'))",
    )
    .bind(id)
    .fetch_one(&mut **tx)
    .await
}

/// A `like` pattern that finds `text` anywhere, taken literally.
fn contains(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
