//! All SQL of one-time codes. Times are the database's own: instances' clocks may differ.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::model::{LIFETIME_SECONDS, Purpose, TRIES};
use crate::db::Tx;
use crate::ids::{AccountId, CodeRequestId, PatientId};
use crate::outbox::OutboxRow;
use crate::tenancy::pools::Conn;

/// What limits look at. Waits are seconds until one more is allowed.
#[derive(Debug, sqlx::FromRow)]
pub struct Standing {
    pub in_hour: i64,
    pub hour_wait: Option<f64>,
    pub in_day: i64,
    pub day_wait: Option<f64>,
    pub from_source: i64,
    pub source_wait: Option<f64>,
    /// Other identifiers from there that nobody here has, or that were not looked at yet.
    pub strangers: i64,
    pub strangers_wait: Option<f64>,
}

pub async fn standing(
    tx: &mut Tx,
    identifier_mac: &[u8],
    source: Option<&str>,
) -> sqlx::Result<Standing> {
    sqlx::query_as(
        "with of_identifier as (
           select sent_at from otp_sends where identifier_mac = $1 and sent_at > now() - interval '1 day'),
         of_source as (
           select identifier_mac, known, sent_at from otp_sends
           where source = $2 and sent_at > now() - interval '1 hour'),
         strangers as (
           select max(sent_at) as latest from of_source
           where known is not true and identifier_mac <> $1 group by identifier_mac)
         select
           (select count(*) from of_identifier where sent_at > now() - interval '1 hour') as in_hour,
           (select extract(epoch from min(sent_at) + interval '1 hour' - now())::float8
            from of_identifier where sent_at > now() - interval '1 hour') as hour_wait,
           (select count(*) from of_identifier) as in_day,
           (select extract(epoch from min(sent_at) + interval '1 day' - now())::float8
            from of_identifier) as day_wait,
           (select count(*) from of_source) as from_source,
           (select extract(epoch from min(sent_at) + interval '1 hour' - now())::float8
            from of_source) as source_wait,
           (select count(*) from strangers) as strangers,
           (select extract(epoch from min(latest) + interval '1 hour' - now())::float8
            from strangers) as strangers_wait",
    )
    .bind(identifier_mac)
    .bind(source)
    .fetch_one(&mut **tx)
    .await
}

/// Whether an address is one of the clinic's own.
pub async fn is_trusted(conn: &mut Conn, address: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("select $1::inet <<= any (trusted_networks) from sign_in_settings")
        .bind(address)
        .fetch_one(conn)
        .await
}

/// The last request of an identifier for a purpose, as long as it was not used.
#[derive(Debug, sqlx::FromRow)]
pub struct Last {
    pub id: CodeRequestId,
    pub subject_mac: Vec<u8>,
    pub payload_cipher: Option<Vec<u8>>,
    pub sends: i32,
    pub tries: i32,
    pub resend_in: f64,
    pub expires_in: f64,
}

pub async fn last_unused(
    tx: &mut Tx,
    identifier_mac: &[u8],
    purpose: Purpose,
) -> sqlx::Result<Option<Last>> {
    sqlx::query_as(
        "select id, subject_mac, payload_cipher, sends, tries,
                extract(epoch from resend_at - clock_timestamp())::float8 as resend_in,
                extract(epoch from expires_at - clock_timestamp())::float8 as expires_in
         from (select * from otp_requests where identifier_mac = $1 and purpose = $2
               order by created_at desc limit 1) as last
         where used_at is null",
    )
    .bind(identifier_mac)
    .bind(purpose.as_str())
    .fetch_optional(&mut **tx)
    .await
}

/// A request as it is first written.
pub struct NewRequest<'a> {
    pub id: CodeRequestId,
    pub purpose: Purpose,
    pub identifier_mac: &'a [u8],
    pub subject_mac: &'a [u8],
    pub code_mac: &'a [u8],
    pub payload_cipher: &'a [u8],
    pub prefix_mac: Option<&'a [u8]>,
    pub source: Option<&'a str>,
    pub wait_seconds: i64,
}

/// Writes a request and its first sending; gives the instant at which it ends.
pub async fn insert(tx: &mut Tx, new: &NewRequest<'_>) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar(
        "with request as (
           insert into otp_requests (id, purpose, identifier_mac, subject_mac, code_mac, payload_cipher,
                                     resend_at, expires_at)
           values ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $9),
                   clock_timestamp() + make_interval(secs => $10))
           returning id, expires_at),
         sent as (
           insert into otp_sends (request_id, identifier_mac, prefix_mac, source)
           select id, $3, $7, $8 from request)
         select expires_at from request",
    )
    .bind(new.id)
    .bind(new.purpose.as_str())
    .bind(new.identifier_mac)
    .bind(new.subject_mac)
    .bind(new.code_mac)
    .bind(new.payload_cipher)
    .bind(new.prefix_mac)
    .bind(new.source)
    .bind(new.wait_seconds as f64)
    .bind(LIFETIME_SECONDS as f64)
    .fetch_one(&mut **tx)
    .await
}

/// The same request is sent once more. Its end stays where it was.
pub async fn send_again(
    tx: &mut Tx,
    id: CodeRequestId,
    prefix_mac: Option<&[u8]>,
    source: Option<&str>,
    wait_seconds: i64,
) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar(
        "with request as (
           update otp_requests set sends = sends + 1, resend_at = clock_timestamp() + make_interval(secs => $4)
           where id = $1 returning id, identifier_mac, expires_at),
         sent as (
           insert into otp_sends (request_id, identifier_mac, prefix_mac, source)
           select id, identifier_mac, $2, $3 from request)
         select expires_at from request",
    )
    .bind(id)
    .bind(prefix_mac)
    .bind(source)
    .bind(wait_seconds as f64)
    .fetch_one(&mut **tx)
    .await
}

/// What a guess is made at; it does not change while the request lives.
#[derive(sqlx::FromRow)]
pub struct Guessed {
    pub identifier_mac: Vec<u8>,
    pub payload_cipher: Option<Vec<u8>>,
}

pub async fn guessed(tx: &mut Tx, id: CodeRequestId) -> sqlx::Result<Option<Guessed>> {
    sqlx::query_as("select identifier_mac, payload_cipher from otp_requests where id = $1")
        .bind(id)
        .fetch_optional(&mut **tx)
        .await
}

/// Nobody else judges what has this hash until this transaction ends.
pub async fn lock(tx: &mut Tx, mac: &[u8]) -> sqlx::Result<()> {
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(lock_key(mac))
        .execute(&mut **tx)
        .await
        .map(drop)
}

fn lock_key(mac: &[u8]) -> i64 {
    i64::from_be_bytes(mac[..8].try_into().expect("a hash is longer than eight bytes"))
}

/// Wrong guesses of an identifier within a day, and the seconds until the oldest of them no longer counts.
pub async fn guesses_today(tx: &mut Tx, identifier_mac: &[u8]) -> sqlx::Result<(i64, Option<f64>)> {
    sqlx::query_as(
        "select count(*), extract(epoch from min(guessed_at) + interval '1 day' - now())::float8
         from otp_guesses where identifier_mac = $1 and guessed_at > now() - interval '1 day'",
    )
    .bind(identifier_mac)
    .fetch_one(&mut **tx)
    .await
}

/// Counts a guess and judges it, in one statement: guesses made at once cannot exceed the tries, and two right ones cannot
/// both be. One at what is spent already is noted for nobody: it cannot lock anybody out. The hashes are the guess's own, one for
/// each purpose. None: there is no such request, or no longer.
pub async fn guess(
    tx: &mut Tx,
    id: CodeRequestId,
    identifier_mac: Option<&[u8]>,
    sign_in_mac: &[u8],
    register_mac: &[u8],
) -> sqlx::Result<Option<Vec<u8>>> {
    // Hashes are compared, of which a guesser can choose no byte: what a comparison that stops early would tell is of no use.
    sqlx::query_scalar(
        "with judged as (
           update otp_requests set
             tries = tries + 1,
             used_at = case when code_mac = guess.mac then clock_timestamp() end,
             payload_cipher = case when code_mac <> guess.mac and tries + 1 < $5 then payload_cipher end
           from (values ('sign_in', $3::bytea), ('register', $4::bytea)) as guess (purpose, mac)
           where id = $1 and otp_requests.purpose = guess.purpose
             and tries < $5 and used_at is null and expires_at > clock_timestamp()
           returning code_mac, used_at),
         wrong as (
           insert into otp_guesses (identifier_mac)
           select case when exists (select from judged) then $2 end
           where not exists (select from judged where used_at is not null))
         select code_mac from judged",
    )
    .bind(id)
    .bind(identifier_mac)
    .bind(sign_in_mac)
    .bind(register_mac)
    .bind(TRIES)
    .fetch_optional(&mut **tx)
    .await
}

/// A patient who may be meant by an identifier.
#[derive(Debug, sqlx::FromRow)]
pub struct Person {
    pub id: PatientId,
    pub account: Option<AccountId>,
    pub full_name: String,
    pub email: Option<String>,
    pub language: Option<String>,
    pub date_of_birth: Option<NaiveDate>,
    /// Neither suspended nor banned.
    pub welcome: bool,
}

pub async fn people_with_phone(conn: &mut Conn, phone: &str) -> sqlx::Result<Vec<Person>> {
    sqlx::query_as(
        "select p.id, p.user_id as account, p.full_name, p.email, p.language, p.date_of_birth,
                coalesce(u.status = 'active' and u.deleted_at is null, true) as welcome
         from patients p left join users u on u.id = p.user_id
         where p.phone = $1 and p.deleted_at is null order by p.created_at, p.id limit 20",
    )
    .bind(phone)
    .fetch_all(conn)
    .await
}

pub async fn people_with_email(conn: &mut Conn, email: &str) -> sqlx::Result<Vec<Person>> {
    sqlx::query_as(
        "select p.id, p.user_id as account, p.full_name, p.email, p.language, p.date_of_birth,
                coalesce(u.status = 'active' and u.deleted_at is null, true) as welcome
         from patients p left join users u on u.id = p.user_id
         where lower(p.email) = lower($1) and p.deleted_at is null order by p.created_at, p.id limit 20",
    )
    .bind(email)
    .fetch_all(conn)
    .await
}

/// Gives a patient an account, unless there is one by now; the account either way.
pub async fn put_account(tx: &mut Tx, patient: PatientId) -> sqlx::Result<AccountId> {
    let standing: Option<AccountId> =
        sqlx::query_scalar("select user_id from patients where id = $1 for no key update")
            .bind(patient)
            .fetch_one(&mut **tx)
            .await?;
    if let Some(account) = standing {
        return Ok(account);
    }
    sqlx::query_scalar(
        "with made as (
           insert into users (id, role, full_name, email, phone, language)
           select $2, 'patient', full_name, email, phone, language from patients where id = $1
           returning id)
         update patients set user_id = made.id from made where patients.id = $1 returning user_id",
    )
    .bind(patient)
    .bind(AccountId::new())
    .fetch_one(&mut **tx)
    .await
}

pub async fn put_choice(
    tx: &mut Tx,
    id: CodeRequestId,
    token_sha256: &[u8],
    choices: &[AccountId],
) -> sqlx::Result<()> {
    sqlx::query(
        "update otp_requests set choice_sha256 = $2, choices = $3,
                                 choice_expires_at = clock_timestamp() + make_interval(secs => $4)
         where id = $1",
    )
    .bind(id)
    .bind(token_sha256)
    .bind(choices)
    .bind(LIFETIME_SECONDS as f64)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// Uses a choice up; gives who could be chosen.
pub async fn use_choice(tx: &mut Tx, token_sha256: &[u8]) -> sqlx::Result<Option<Vec<AccountId>>> {
    sqlx::query_scalar(
        "update otp_requests set choice_sha256 = null
         where choice_sha256 = $1 and choice_expires_at > clock_timestamp() returning choices",
    )
    .bind(token_sha256)
    .fetch_optional(&mut **tx)
    .await
}

/// Whether an account may sign in as a patient now.
pub async fn is_welcome(tx: &mut Tx, account: AccountId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists(select from users u join patients p on p.user_id = u.id
                       where u.id = $1 and u.role = 'patient' and u.status = 'active'
                         and u.deleted_at is null and p.deleted_at is null)",
    )
    .bind(account)
    .fetch_one(&mut **tx)
    .await
}

// ── for the sender ──

/// Whether a request can still be answered.
pub async fn is_open(conn: &mut Conn, id: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists(select from otp_requests where id = $1 and used_at is null and tries < $2
                       and expires_at > clock_timestamp())",
    )
    .bind(id)
    .bind(TRIES)
    .fetch_one(conn)
    .await
}

/// Notes whether anybody here has the identifier; wipes what is out of date.
pub async fn note_known(conn: &mut Conn, request: Uuid, known: bool) -> sqlx::Result<()> {
    sqlx::query(
        "with wiped as (
           update otp_requests set payload_cipher = null
           where payload_cipher is not null and expires_at <= clock_timestamp() and id <> $1),
         forgotten as (
           delete from otp_requests where created_at < now() - interval '2 days' and id <> $1),
         guesses as (delete from otp_guesses where guessed_at < now() - interval '2 days')
         update otp_sends set known = $2 where request_id = $1 and known is distinct from $2",
    )
    .bind(request)
    .bind(known)
    .execute(conn.never_repeat())
    .await
    .map(drop)
}

/// Other numbers of a block that were asked for within an hour and that nobody here has.
pub async fn strangers_of_block(
    conn: &mut Conn,
    prefix_mac: &[u8],
    request: Uuid,
) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "select count(distinct identifier_mac) from otp_sends
         where prefix_mac = $1 and request_id <> $2 and known is not true and sent_at > now() - interval '1 hour'",
    )
    .bind(prefix_mac)
    .bind(request)
    .fetch_one(conn)
    .await
}

/// Of the last quarter of an hour: codes that went by SMS, and how many of them were used.
pub async fn conversion(conn: &mut Conn) -> sqlx::Result<(i64, i64)> {
    sqlx::query_as(
        "select count(*), count(*) filter (where r.used_at is not null)
         from otp_sends s join otp_requests r on r.id = s.request_id
         where s.sms_at > now() - interval '15 minutes'",
    )
    .fetch_one(conn)
    .await
}

pub async fn sms_countries(conn: &mut Conn) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("select sms_countries from sign_in_settings").fetch_one(conn).await
}

/// Takes one SMS from the day's budget: how many that makes, or none when it is spent.
pub async fn take_sms(
    conn: &mut Conn,
    row: &OutboxRow,
    day: NaiveDate,
) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar(
        "with taken as (
           insert into otp_sms_days as d (day, sent) select $1, 1 from sign_in_settings where sms_daily_budget > 0
           on conflict (day) do update set sent = d.sent + 1
             where d.sent < (select sms_daily_budget from sign_in_settings)
           returning sent),
         noted as (
           update otp_sends set sms_at = clock_timestamp()
           where id = (select max(id) from otp_sends where request_id = $2) and exists (select from taken))
         select sent from taken",
    )
    .bind(day)
    .bind(row.subject_id)
    .fetch_optional(conn.never_repeat())
    .await
}

/// The mean of the days before, as far as a fortnight back and as there were any.
pub async fn mean_sms_before(conn: &mut Conn, day: NaiveDate) -> sqlx::Result<Option<f64>> {
    sqlx::query_scalar(
        "select avg(sent)::float8 from otp_sms_days where day < $1 and day >= $1 - 14",
    )
    .bind(day)
    .fetch_one(conn)
    .await
}
