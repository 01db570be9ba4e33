//! What is written of a visit, its claims aside. Words are bound as text: for a type that it knows by name alone, sqlx asks the
//! catalog first on every new connection.

use chrono::{DateTime, Utc};

use super::by_id;
use super::claims::Columns;
use crate::appointments::fitting::Claim;
use crate::appointments::model::{AppointmentRequest, AppointmentView, Status};
use crate::appointments::{ahead, history};
use crate::audit::Actor;
use crate::db::Tx;
use crate::ids::{AppointmentId, MessageId, PatientId, SeriesId};

/// The series itself, before its visits.
pub async fn insert_series(tx: &mut Tx, id: SeriesId, patient: PatientId) -> sqlx::Result<()> {
    let booked_by = tx.actor().account;
    sqlx::query("insert into appointment_series (id, patient_id, booked_by) values ($1, $2, $3)")
        .bind(id)
        .bind(patient)
        .bind(booked_by)
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// A visit about to be written, all decided.
pub struct Writing<'a> {
    pub view: &'a AppointmentView,
    pub overbook_reason: Option<&'a str>,
    pub claims: &'a [Claim],
    /// None: the patient hears of it otherwise.
    pub message: Option<MessageId>,
}

/// Visit, claims, audit and message in one statement: one round trip instead of four, at twice the rate. The claims that
/// could be had are counted in the first column; fewer than asked for means that somebody was faster.
pub async fn insert(tx: &mut Tx, new: &Writing<'_>) -> sqlx::Result<(i64, String, DateTime<Utc>)> {
    let view = new.view;
    let actor: Actor = tx.actor().clone();
    tx.note_audit();
    tx.note_news();
    let Columns { subjects, seats, froms, tos } = Columns::of(new.claims);
    sqlx::query_as(concat!(
        "with visit as (
           insert into appointments (id, patient_id, doctor_id, location_id, kind, during, reason, address,
                                     overbook_reason, booked_by, resource_ids, series_id)
           values ($1, $2, $3, $4, $5, tstzrange($6, $7), $8, $9, $10, $11, $21, $24)
           returning number, created_at),
         claimed as (
           insert into claims (appointment_id, subject_id, seat, during)
           select $1, subject_id, seat, tstzrange(starts_at, ends_at)
           from unnest($12::uuid[], $13::smallint[], $19::timestamptz[], $20::timestamptz[])
             as c (subject_id, seat, starts_at, ends_at)
           on conflict do nothing returning 1),
         noted as (
           insert into audit_log (request_id, account_id, role, session_id, address, action, entity, entity_id,
                                  about_id, details)
           values ($14, $11, $15, $16, $17::inet, 'appointment.booked', 'appointment', $1, $2,
                   jsonb_build_object('doctor_id', $3::uuid, 'starts_at', $6::timestamptz, 'overbook_reason', $10::text))),
         shown as (
           insert into live_events (kind, appointment_id, doctor_id, patient_id, location_id, subjects, details)
           select 'appointment.booked', $1, $3, $2, $4, $12::uuid[], '{\"status\": \"booked\"}'::jsonb
           where $25 < $7), -- what is over already is on record as what became of it
         remembered as (
           insert into appointment_changes (appointment_id, what, after, reason, account_id, role)
           values ($1, 'booked', $22, $10, $11, $15)),
         told as (
           insert into outbox (id, purpose, dedupe_key, subject_id, patient_id, due_at, expires_at)
           select $18, 'appointment.booked', 'appointment.booked:' || $1::text, $1, $2, now(), $6
           where $18::uuid is not null and now() < $6), -- we may have waited for the locks until it began: then nobody needs to hear of it
         ahead as (", ahead::statement!("$1", "$2", "$4", "$6", "1", "$23"), ")
         select (select count(*) from claimed), number, created_at from visit"
    ))
    .bind(view.id)
    .bind(view.patient_id)
    .bind(view.doctor_id)
    .bind(view.location_id)
    .bind(view.kind.as_str())
    .bind(view.starts_at)
    .bind(view.ends_at)
    .bind(&view.reason)
    .bind(&view.address)
    .bind(new.overbook_reason)
    .bind(actor.account)
    .bind(subjects)
    .bind(seats)
    .bind(actor.request_id)
    .bind(actor.role)
    .bind(actor.session)
    .bind(actor.address.map(|address| address.to_string()))
    .bind(new.message)
    .bind(froms)
    .bind(tos)
    .bind(&view.resource_ids)
    .bind(history::of_booking(view))
    .bind(ahead::ids())
    .bind(view.series_id)
    .bind(view.created_at)
    .fetch_one(&mut **tx)
    .await
}

/// Whether a visit of that patient with that doctor at that time is known, whatever became of it.
pub async fn is_on_record(tx: &mut Tx, new: &AppointmentRequest) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists(select from appointments where patient_id = $1 and doctor_id = $2 and lower(during) = $3)",
    )
    .bind(new.patient_id)
    .bind(new.doctor_id)
    .bind(new.starts_at)
    .fetch_one(&mut **tx)
    .await
}

/// Puts a visit into a status that it had elsewhere; the times of its steps are not known.
pub async fn settle(tx: &mut Tx, id: AppointmentId, status: Status) -> sqlx::Result<()> {
    sqlx::query("update appointments set status = $2 where id = $1")
        .bind(id)
        .bind(status.as_str())
        .execute(&mut **tx)
        .await
        .map(drop)
}

/// Rewrites what is said of a visit that stays where it is.
pub async fn describe(tx: &mut Tx, view: &AppointmentView) -> sqlx::Result<(DateTime<Utc>, i64)> {
    sqlx::query_as(
        "update appointments set kind = $2, reason = $3, address = $4, resource_ids = $5, version = version + 1,
                                 updated_at = now()
         where id = $1 returning updated_at, version",
    )
    .bind(view.id)
    .bind(view.kind.as_str())
    .bind(&view.reason)
    .bind(&view.address)
    .bind(&view.resource_ids)
    .fetch_one(&mut **tx)
    .await
}

/// Rewrites a visit at its new time and place.
pub async fn relocate(
    tx: &mut Tx,
    view: &AppointmentView,
    overbook_reason: Option<&str>,
) -> sqlx::Result<(DateTime<Utc>, i64)> {
    sqlx::query_as(
        "update appointments set doctor_id = $2, location_id = $3, kind = $4, during = tstzrange($5, $6), reason = $7,
                                 address = $8, overbook_reason = $9, status = $10, resource_ids = $11,
                                 queue_number = null, version = version + 1, updated_at = now()
         where id = $1 returning updated_at, version",
    )
    .bind(view.id)
    .bind(view.doctor_id)
    .bind(view.location_id)
    .bind(view.kind.as_str())
    .bind(view.starts_at)
    .bind(view.ends_at)
    .bind(&view.reason)
    .bind(&view.address)
    .bind(overbook_reason)
    .bind(view.status.as_str())
    .bind(&view.resource_ids)
    .fetch_one(&mut **tx)
    .await
}

/// Takes a step, or goes back by one: the times of steps that the visit has not reached are none.
pub async fn set_status(
    tx: &mut Tx,
    id: AppointmentId,
    status: Status,
) -> sqlx::Result<AppointmentView> {
    sqlx::query(
        "update appointments set
           status = $2, version = version + 1, updated_at = now(),
           checked_in_at = case when $2 in ('booked', 'confirmed') then null
                                when $2 = 'checked_in' then coalesce(checked_in_at, now()) else checked_in_at end,
           started_at = case when $2 in ('booked', 'confirmed', 'checked_in') then null
                             when $2 = 'in_consultation' then coalesce(started_at, now()) else started_at end,
           completed_at = case when $2 = 'completed' then now() end,
           cancel_reason = case $2 when 'cancelled' then cancel_reason end,
           late_cancelled = $2 = 'cancelled' and late_cancelled
         where id = $1",
    )
    .bind(id)
    .bind(status.as_str())
    .execute(&mut **tx)
    .await?;
    by_id(tx, id).await?.ok_or(sqlx::Error::RowNotFound)
}

/// Cancels: the row stays, its claims are [`release`]d by the caller. Says, too, whether that was late by the clinic's rules.
pub async fn cancel(
    tx: &mut Tx,
    id: AppointmentId,
    reason: Option<&str>,
) -> sqlx::Result<(DateTime<Utc>, i64, bool)> {
    let now = tx.now();
    sqlx::query_as(
        "update appointments a set
           status = 'cancelled', cancel_reason = $2, version = a.version + 1, updated_at = now(),
           late_cancelled = $3 > lower(a.during) - make_interval(mins => r.late_cancel_minutes)
         from scheduling_rules r where a.id = $1 returning a.updated_at, a.version, a.late_cancelled",
    )
    .bind(id)
    .bind(reason)
    .bind(now)
    .fetch_one(&mut **tx)
    .await
}
