//! All SQL of staff accounts. A clinic's staff are few: one statement lists them, whatever the filters.

use chrono::{DateTime, Utc};

use super::account::Change;
use super::affected::{Affected, MOST_SHOWN};
use super::model::{AccountStatus, AccountView, StaffRole};
use crate::auth::Role;
use crate::db::Tx;
use crate::ids::{AccountId, DoctorId};
use crate::tenancy::pools::Conn;

/// Which accounts; what is none does not narrow.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub role: Option<StaffRole>,
    pub status: Option<AccountStatus>,
    /// Part of a name or of an e-mail address.
    pub search: Option<String>,
}

/// The columns of a view, read or given back by a change.
macro_rules! view {
    (columns) => {
        "id, role, full_name, email, email_verified_at, phone, language, status, created_at, updated_at, version"
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
    filter: &Filter,
    after: Option<AccountId>,
    limit: i64,
) -> sqlx::Result<Vec<AccountView>> {
    sqlx::query_as(view!(select
        "from users
         where deleted_at is null and role <> 'patient' and id > $1
           and ($2::text is null or role = $2) and ($3::text is null or status = $3)
           and ($4::text is null or strpos(lower(full_name), lower($4)) > 0 or strpos(lower(email), lower($4)) > 0)
         order by id limit $5"
    ))
    .bind(after.map_or(uuid::Uuid::nil(), |id| id.0))
    .bind(filter.role.map(StaffRole::as_str))
    .bind(filter.status.map(AccountStatus::as_str))
    .bind(&filter.search)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// Any account, a patient's too.
pub async fn by_id(conn: &mut Conn, id: AccountId) -> sqlx::Result<Option<AccountView>> {
    sqlx::query_as(view!(select "from users where deleted_at is null and id = $1"))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// As [`by_id`], and nobody else changes it until this transaction ends. Its owner may go on working meanwhile.
pub async fn lock(tx: &mut Tx, id: AccountId) -> sqlx::Result<Option<AccountView>> {
    sqlx::query_as(view!(select
        "from users where deleted_at is null and id = $1 for no key update"
    ))
    .bind(id)
    .fetch_optional(&mut **tx)
    .await
}

/// Whether an account has a password.
pub async fn has_password(tx: &mut Tx, id: AccountId) -> sqlx::Result<bool> {
    sqlx::query_scalar("select password_hash is not null from users where id = $1")
        .bind(id)
        .fetch_one(&mut **tx)
        .await
}

/// Whether another member of staff has this e-mail address, and whether another has this phone.
pub async fn taken(
    tx: &mut Tx,
    email: Option<&str>,
    phone: Option<&str>,
    except: Option<AccountId>,
) -> sqlx::Result<(bool, bool)> {
    sqlx::query_as(
        "select coalesce(bool_or(lower(email) = lower($1)), false), coalesce(bool_or(phone = $2), false)
         from users where deleted_at is null and role <> 'patient' and id is distinct from $3",
    )
    .bind(email)
    .bind(phone)
    .bind(except)
    .fetch_one(&mut **tx)
    .await
}

pub async fn insert(
    tx: &mut Tx,
    id: AccountId,
    role: StaffRole,
    new: &Change,
) -> sqlx::Result<AccountView> {
    sqlx::query_as(view!(
        "insert into users (id, role, full_name, email, phone, language) values ($1, $2, $3, $4, $5, $6)"
        returning
    ))
    .bind(id)
    .bind(role.as_str())
    .bind(&new.full_name)
    .bind(&new.email)
    .bind(&new.phone)
    .bind(&new.language)
    .fetch_one(&mut **tx)
    .await
}

pub async fn update(
    tx: &mut Tx,
    id: AccountId,
    role: Role,
    new: &Change,
) -> sqlx::Result<AccountView> {
    sqlx::query_as(view!(
        "update users set role = $2, full_name = $3, email = $4, phone = $5, language = $6, version = version + 1,
                          email_verified_at = case when lower(email) = lower($4) then email_verified_at end,
                          updated_at = now()
         where id = $1"
        returning
    ))
    .bind(id)
    .bind(role.as_str())
    .bind(&new.full_name)
    .bind(&new.email)
    .bind(&new.phone)
    .bind(&new.language)
    .fetch_one(&mut **tx)
    .await
}

pub async fn set_status(
    tx: &mut Tx,
    id: AccountId,
    status: AccountStatus,
) -> sqlx::Result<AccountView> {
    sqlx::query_as(view!(
        "update users set status = $2, version = version + 1, updated_at = now() where id = $1"
        returning
    ))
    .bind(id)
    .bind(status.as_str())
    .fetch_one(&mut **tx)
    .await
}

/// Something that hangs on an account has changed: its tag is the account's.
pub async fn touch(tx: &mut Tx, id: AccountId) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "update users set version = version + 1, updated_at = now() where id = $1 returning version",
    )
    .bind(id)
    .fetch_one(&mut **tx)
    .await
}

/// Soft: what somebody did here stays, with his name.
pub async fn delete(tx: &mut Tx, id: AccountId) -> sqlx::Result<()> {
    sqlx::query(
        "update users set deleted_at = now(), version = version + 1, updated_at = now() where id = $1",
    )
    .bind(id)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Makes somebody a doctor; one who was a doctor before has the old profile again.
pub async fn put_doctor(tx: &mut Tx, id: AccountId) -> sqlx::Result<()> {
    sqlx::query(
        "insert into doctors (id) values ($1)
         on conflict (id) do update
           set deleted_at = null, version = doctors.version + 1, updated_at = now()",
    )
    .bind(id)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Somebody is no doctor any more. The profile is kept: past visits were with it.
pub async fn drop_doctor(tx: &mut Tx, id: AccountId) -> sqlx::Result<()> {
    sqlx::query(
        "update doctors set deleted_at = now(), version = version + 1, updated_at = now() where id = $1",
    )
    .bind(id)
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub async fn is_active_admin(tx: &mut Tx, id: AccountId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists(select from users where id = $1 and role = 'clinic_admin' and status = 'active'
                       and deleted_at is null)",
    )
    .bind(id)
    .fetch_one(&mut **tx)
    .await
}

/// The visits of a doctor that touch a span and that somebody still waits for, by time.
pub async fn bookings(
    tx: &mut Tx,
    doctor: DoctorId,
    from: DateTime<Utc>,
    to: Option<DateTime<Utc>>,
) -> sqlx::Result<Affected> {
    let rows = sqlx::query(
        "select a.id, a.number, a.patient_id, p.full_name as patient_name, lower(a.during) as starts_at,
                upper(a.during) as ends_at, count(*) over () as total
         from appointments a join patients p on p.id = a.patient_id
         where a.doctor_id = $1 and a.during && tstzrange($2, $3)
           and a.status in ('booked', 'confirmed', 'checked_in', 'in_consultation')
         order by lower(a.during), a.id limit $4",
    )
    .bind(doctor)
    .bind(from)
    .bind(to)
    .bind(MOST_SHOWN)
    .fetch_all(&mut **tx)
    .await?;
    Affected::of_rows(&rows)
}
