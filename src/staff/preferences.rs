//! `/users/me/preferences`: in which language, by which ways and about what somebody wants to hear from the clinic. Whoever sends
//! messages reads order and zone from the table; what a patient wants to hear about is a consent, here as at the desk.

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::json;

use super::store as accounts;
use crate::audit::{self, Act, Seen};
use crate::auth::May;
use crate::auth::may::OwnAccount;
use crate::db::Tx;
use crate::error::Problem;
use crate::http::context::Here;
use crate::http::etag::{ETag, IfMatch};
use crate::http::fields::{self, Fields, Readable};
use crate::http::input::Input;
use crate::http::payload::Stored;
use crate::ids::{AccountId, PatientId};
use crate::messaging::channels::Channel;
use crate::messaging::consents::{self, ConsentKind, Said};
use crate::tenancy::pools::Conn;

/// How somebody wants to be reached.
pub struct PreferencesApi;

/// By which ways, and about what. Codes and links that were asked for always come.
#[derive(Clone, Debug, Serialize, Object)]
pub struct ContactPreferences {
    /// Those that are wanted first; empty: as the clinic does it.
    order: Vec<String>,
    /// What answers something just done: booked, moved, cancelled, a receipt.
    service: bool,
    reminders: bool,
    /// Asked for, never assumed.
    marketing: bool,
}

#[derive(Clone, Debug, Serialize, Object)]
pub struct PreferencesView {
    /// ISO 639; none: the clinic's.
    language: Option<String>,
    /// IANA; none: the clinic's.
    time_zone: Option<String>,
    channels: ContactPreferences,
}

#[derive(Clone, Debug, Object)]
pub struct ContactPreferencesRequest {
    order: Option<Vec<Channel>>,
    service: Option<bool>,
    reminders: Option<bool>,
    marketing: Option<bool>,
}

impl Readable for ContactPreferencesRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let order: Option<Vec<Channel>> = fields.list("order", 3, fields::choice);
        let named = order.as_deref().unwrap_or_default();
        if (1..named.len()).any(|at| named[..at].contains(&named[at])) {
            fields.fault("order", "repeated", "name each once");
        }
        let service = fields.optional("service", fields::boolean);
        let reminders = fields.optional("reminders", fields::boolean);
        let marketing = fields.optional("marketing", fields::boolean);
        Some(Self { order, service, reminders, marketing })
    }
}

#[derive(Clone, Debug, Object)]
pub struct PreferencesRequest {
    language: Option<String>,
    time_zone: Option<String>,
    channels: Option<ContactPreferencesRequest>,
}

impl Readable for PreferencesRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let language = fields.optional("language", fields::language);
        let time_zone = fields.optional("time_zone", fields::time_zone);
        let channels = fields.optional_object("channels");
        Some(Self { language, time_zone, channels })
    }
}

impl PreferencesRequest {
    fn wants(&self) -> [(ConsentKind, bool); 3] {
        let said = self.channels.as_ref();
        [
            (ConsentKind::Service, said.and_then(|said| said.service).unwrap_or(true)),
            (ConsentKind::Reminders, said.and_then(|said| said.reminders).unwrap_or(true)),
            (ConsentKind::Marketing, said.and_then(|said| said.marketing).unwrap_or(false)),
        ]
    }
}

#[OpenApi]
impl PreferencesApi {
    /// How I want to be reached
    #[oai(path = "/users/me/preferences", method = "get", operation_id = "getOwnPreferences")]
    async fn get(
        &self,
        who: May<OwnAccount>,
        clinic: Here,
    ) -> Result<Stored<PreferencesView>, Problem> {
        let mut conn = clinic.read().await?;
        let row = preferences(&mut conn, who.account).await?.ok_or_else(Problem::not_found)?;
        drop(conn);
        who.saw(Seen::one("account", who.account)).await?;
        Ok(row.into())
    }

    /// Say how I want to be reached
    ///
    /// What is left out takes its default. The tag is the account's; a patient's language is the record's too, and what a patient
    /// wants or does not is noted as consents. A word about one channel alone (`STOP` by WhatsApp, a letter's link) stays beside it.
    #[oai(path = "/users/me/preferences", method = "put", operation_id = "replaceOwnPreferences")]
    async fn replace(
        &self,
        who: May<OwnAccount>,
        clinic: Here,
        if_match: IfMatch,
        body: Input<PreferencesRequest>,
    ) -> Result<Stored<PreferencesView>, Problem> {
        let mut tx = clinic.begin(who.actor()).await?;
        let before = accounts::lock(&mut tx, who.account).await?.ok_or_else(Problem::not_found)?;
        body.accept()?;
        if_match.require(ETag(before.version))?;
        let new = body.read()?;
        let stood = preferences(&mut tx, who.account).await?.ok_or_else(Problem::not_found)?;
        put_preferences(&mut tx, who.account, &new).await?;
        let changed = new.wants().into_iter().filter(|(kind, wants)| stood.wants(*kind) != *wants);
        let changed: Vec<(ConsentKind, bool)> = changed.collect();
        if let Some(patient) = who.patient {
            note_consents(&mut tx, patient, &changed).await?;
        }
        set_language(&mut tx, who.account, new.language.as_deref()).await?;
        let act = Act::new("account.preferences_changed", "account", who.account)
            .details(json!({ "wants": changed }));
        let act = match who.patient {
            Some(patient) => act.about(patient),
            None => act,
        };
        audit::record(&mut tx, act).await?;
        let row = preferences(&mut tx, who.account).await?.ok_or_else(Problem::not_found)?;
        tx.commit().await?;
        Ok(row.into())
    }
}

#[derive(sqlx::FromRow)]
struct PreferencesRow {
    language: Option<String>,
    time_zone: Option<String>,
    channel_order: Vec<String>,
    wants_service: bool,
    wants_reminders: bool,
    wants_marketing: bool,
    version: i64,
}

impl PreferencesRow {
    fn wants(&self, kind: ConsentKind) -> bool {
        match kind {
            ConsentKind::Service => self.wants_service,
            ConsentKind::Reminders => self.wants_reminders,
            ConsentKind::Marketing => self.wants_marketing,
        }
    }
}

impl From<PreferencesRow> for Stored<PreferencesView> {
    fn from(row: PreferencesRow) -> Self {
        let channels = ContactPreferences {
            order: row.channel_order,
            service: row.wants_service,
            reminders: row.wants_reminders,
            marketing: row.wants_marketing,
        };
        let view = PreferencesView { language: row.language, time_zone: row.time_zone, channels };
        Stored { view, etag: ETag(row.version) }
    }
}

/// An account's preferences; the defaults, where nothing was said. Of a patient, what was said last counts, here or at the desk.
async fn preferences(conn: &mut Conn, id: AccountId) -> sqlx::Result<Option<PreferencesRow>> {
    sqlx::query_as(
        "select u.language, p.time_zone, coalesce(p.channel_order, '{}') as channel_order,
                coalesce(said.service, p.wants_service, true) as wants_service,
                coalesce(said.reminders, p.wants_reminders, true) as wants_reminders,
                coalesce(said.marketing, p.wants_marketing, false) as wants_marketing, u.version
         from users u left join preferences p on p.user_id = u.id
         left join lateral (
           select (array_agg(c.granted order by c.at desc, c.id desc) filter (where c.kind = 'service'))[1] as service,
                  (array_agg(c.granted order by c.at desc, c.id desc) filter (where c.kind = 'reminders'))[1] as reminders,
                  (array_agg(c.granted order by c.at desc, c.id desc) filter (where c.kind = 'marketing'))[1] as marketing
           from patients t join consents c on c.patient_id = t.id
           where t.user_id = u.id and c.channel is null) as said on true
         where u.id = $1 and u.deleted_at is null",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

async fn put_preferences(tx: &mut Tx, id: AccountId, new: &PreferencesRequest) -> sqlx::Result<()> {
    let [service, reminders, marketing] = new.wants().map(|(_, wants)| wants);
    let channels = new.channels.as_ref();
    let order = channels.and_then(|channels| channels.order.as_deref()).unwrap_or_default();
    let order: Vec<&str> = order.iter().map(|channel| channel.as_str()).collect();
    sqlx::query(
        "insert into preferences (user_id, time_zone, channel_order, wants_service, wants_reminders, wants_marketing)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (user_id) do update set
           time_zone = excluded.time_zone, channel_order = excluded.channel_order,
           wants_service = excluded.wants_service, wants_reminders = excluded.wants_reminders,
           wants_marketing = excluded.wants_marketing",
    )
    .bind(id)
    .bind(&new.time_zone)
    .bind(order)
    .bind(service)
    .bind(reminders)
    .bind(marketing)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The words of the page are the text that was agreed to: they are the product's, and have its version.
async fn note_consents(
    tx: &mut Tx,
    patient: PatientId,
    changed: &[(ConsentKind, bool)],
) -> sqlx::Result<()> {
    for &(kind, granted) in changed {
        let text_version = env!("CARGO_PKG_VERSION");
        let said = Said { kind, channel: None, granted, text_version, source: "preferences" };
        consents::note(tx, patient, said).await?;
    }
    Ok(())
}

/// Of the account, and of the patient whose it is: the desk reads it there.
async fn set_language(tx: &mut Tx, id: AccountId, language: Option<&str>) -> sqlx::Result<()> {
    sqlx::query(
        "with patient as (
           update patients set language = $2, version = version + 1, updated_at = now()
           where user_id = $1 and deleted_at is null and language is distinct from $2)
         update users set language = $2, version = version + 1, updated_at = now() where id = $1",
    )
    .bind(id)
    .bind(language)
    .execute(&mut **tx)
    .await
    .map(drop)
}
