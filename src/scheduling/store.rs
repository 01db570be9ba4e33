//! All SQL of the rules. The rows are there from the first migration on.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::model::{KindRules, KindsRules, SchedulingView};
use crate::db::Tx;
use crate::tenancy::pools::Conn;

impl sqlx::FromRow<'_, PgRow> for SchedulingView {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            lead_minutes: row.try_get("lead_minutes")?,
            horizon_days: row.try_get("horizon_days")?,
            max_per_day: row.try_get("max_per_day")?,
            late_cancel_minutes: row.try_get("late_cancel_minutes")?,
            no_show_after_minutes: row.try_get("no_show_after_minutes")?,
            hold_minutes: row.try_get("hold_minutes")?,
            reminder_minutes: row.try_get("reminder_minutes")?,
            travel_minutes: row.try_get("travel_minutes")?,
            video_base_url: row.try_get("video_base_url")?,
            video_opens_minutes: row.try_get("video_opens_minutes")?,
            kinds: kinds(row)?,
            updated_at: row.try_get("updated_at")?,
            version: row.try_get("version")?,
        })
    }
}

/// In the order of the kinds' names.
fn kinds(row: &PgRow) -> sqlx::Result<KindsRules> {
    let slots: Vec<Option<i32>> = row.try_get("slots")?;
    let before: Vec<i32> = row.try_get("before")?;
    let after: Vec<i32> = row.try_get("after")?;
    let mut rules = slots.into_iter().zip(before).zip(after).map(|((slot, before), after)| {
        KindRules { slot_minutes: slot, buffer_before_minutes: before, buffer_after_minutes: after }
    });
    let mut next = || rules.next().ok_or(sqlx::Error::RowNotFound);
    Ok(KindsRules { home_visit: next()?, in_person: next()?, video: next()? })
}

macro_rules! rules {
    ($rest:literal) => {
        concat!(
            "select r.*, k.slots, k.before, k.after
             from scheduling_rules r,
                  (select array_agg(slot_minutes order by kind) as slots,
                          array_agg(buffer_before_minutes order by kind) as before,
                          array_agg(buffer_after_minutes order by kind) as after
                   from kind_rules) as k",
            $rest
        )
    };
}

/// The rules as they stand.
pub async fn read(conn: &mut Conn) -> sqlx::Result<SchedulingView> {
    sqlx::query_as(rules!("")).fetch_one(conn).await
}

/// As [`read`], and nobody else changes them until this transaction ends.
pub async fn lock(tx: &mut Tx) -> sqlx::Result<SchedulingView> {
    sqlx::query("select from scheduling_rules for update").execute(&mut **tx).await?;
    read(tx).await
}

pub async fn put(tx: &mut Tx, new: &SchedulingView) -> sqlx::Result<()> {
    sqlx::query(
        "update scheduling_rules set
           lead_minutes = $1, horizon_days = $2, max_per_day = $3, late_cancel_minutes = $4, no_show_after_minutes = $5,
           hold_minutes = $6, reminder_minutes = $7, travel_minutes = $8, video_base_url = $9, video_opens_minutes = $10,
           version = version + 1, updated_at = now()",
    )
    .bind(new.lead_minutes)
    .bind(new.horizon_days)
    .bind(new.max_per_day)
    .bind(new.late_cancel_minutes)
    .bind(new.no_show_after_minutes)
    .bind(new.hold_minutes)
    .bind(&new.reminder_minutes)
    .bind(new.travel_minutes)
    .bind(&new.video_base_url)
    .bind(new.video_opens_minutes)
    .execute(&mut **tx)
    .await?;
    let KindsRules { in_person, video, home_visit } = &new.kinds;
    let kinds = [("in_person", in_person), ("video", video), ("home_visit", home_visit)];
    sqlx::query(
        "update kind_rules k set slot_minutes = n.slot, buffer_before_minutes = n.before, buffer_after_minutes = n.after
         from unnest($1::text[], $2::integer[], $3::integer[], $4::integer[]) as n (kind, slot, before, after)
         where k.kind = n.kind",
    )
    .bind(kinds.map(|(name, _)| name))
    .bind(kinds.map(|(_, rules)| rules.slot_minutes))
    .bind(kinds.map(|(_, rules)| rules.buffer_before_minutes))
    .bind(kinds.map(|(_, rules)| rules.buffer_after_minutes))
    .execute(&mut **tx)
    .await
    .map(drop)
}
