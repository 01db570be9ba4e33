//! All SQL of consents.

use super::model::{ConsentKind, ConsentView};
use crate::db::Tx;
use crate::ids::PatientId;
use crate::messaging::channels::Channel;
use crate::tenancy::pools::Conn;

/// What somebody says now.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    pub kind: ConsentKind,
    /// None: of all channels.
    pub channel: Option<Channel>,
    pub granted: bool,
    pub text_version: &'a str,
    pub source: &'a str,
}

/// Notes it.
pub async fn note(tx: &mut Tx, patient: PatientId, said: Said<'_>) -> sqlx::Result<ConsentView> {
    sqlx::query_as(
        "insert into consents (id, patient_id, kind, channel, granted, text_version, source)
         values ($1, $2, $3, $4, $5, $6, $7)
         returning id, kind, channel, granted, text_version, source, at",
    )
    .bind(crate::ids::new_uuid())
    .bind(patient)
    .bind(said.kind)
    .bind(said.channel)
    .bind(said.granted)
    .bind(said.text_version)
    .bind(said.source)
    .fetch_one(&mut **tx)
    .await
}

/// What a patient ever said, the newest first.
pub async fn of_patient(conn: &mut Conn, patient: PatientId) -> sqlx::Result<Vec<ConsentView>> {
    sqlx::query_as(
        "select id, kind, channel, granted, text_version, source, at from consents
         where patient_id = $1 order by at desc, id desc limit 1000",
    )
    .bind(patient)
    .fetch_all(conn)
    .await
}

/// Whether a patient who is here has not refused a kind by this channel yet; until this transaction ends, nobody else notes it.
pub async fn would_hear(
    tx: &mut Tx,
    patient: PatientId,
    kind: ConsentKind,
    channel: Channel,
) -> sqlx::Result<bool> {
    let here: Option<i32> = sqlx::query_scalar(
        "select 1 from patients where id = $1 and deleted_at is null for no key update",
    )
    .bind(patient)
    .fetch_optional(&mut **tx)
    .await?;
    if here.is_none() {
        return Ok(false);
    }
    let newest: Option<bool> = sqlx::query_scalar(
        "select granted from consents
         where patient_id = $1 and kind = $2 and (channel is null or channel = $3)
         order by at desc, id desc limit 1",
    )
    .bind(patient)
    .bind(kind)
    .bind(channel)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(newest != Some(false))
}

/// In which language a patient reads, where that is known.
pub async fn language_of(conn: &mut Conn, patient: PatientId) -> sqlx::Result<Option<String>> {
    let language: Option<Option<String>> =
        sqlx::query_scalar("select language from patients where id = $1")
            .bind(patient)
            .fetch_optional(conn)
            .await?;
    Ok(language.flatten())
}
