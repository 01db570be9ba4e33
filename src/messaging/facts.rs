//! What a message is about, read when it is sent: a changed address, name or time counts. One statement for each kind, visits
//! many at a time (codes find their people by themselves); the words are found elsewhere (`templates/`).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use super::channels::Channel;
use super::kind::Kind;
use super::unsubscribe;
use crate::auth::links;
use crate::ids::{AccountId, AppointmentId, PatientId};
use crate::one_time_codes::{self, Addressed, Unaddressed};
use crate::outbox::{self, OutboxRow, Together, Turns};
use crate::respond::{self, Press, Token};
use crate::tenancy::Clinic;
use crate::tenancy::pools::Conn;
use crate::time;

/// Whom a message is for, as they are known now.
#[derive(Clone, Debug)]
pub struct Recipient {
    pub patient_id: Option<PatientId>,
    pub user_id: Option<AccountId>,
    /// Empty where we know none, or where several share an address.
    pub name: String,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub language: Option<String>,
    /// By which it is night for them.
    pub time_zone: Tz,
}

/// Everything that a message may say. It has no `Debug`: a code or a link may be in it.
pub struct Facts {
    pub kind: Kind,
    pub recipient: Recipient,
    pub values: Values,
    /// By which channels alone it may go, in this order; empty: as the clinic's policy says.
    pub channels: Vec<Channel>,
    /// The payloads of its quick-reply buttons, in the order of the buttons.
    pub replies: Vec<String>,
    /// Where its reader says to want no more of the kind by e-mail.
    pub unsubscribe: Option<Url>,
    pub written_at: DateTime<Utc>,
}

/// What it is about.
pub enum Values {
    Code {
        code: SecretString,
        minutes: i64,
    },
    Visit(Visit),
    Link {
        url: SecretString,
        until: DateTime<Utc>,
    },
    /// What was done to an account, and when.
    Notice {
        at: DateTime<Utc>,
    },
}

pub struct Visit {
    pub number: String,
    pub starts_at: DateTime<Utc>,
    /// Of the location.
    pub zone: Tz,
    pub patient: String,
    pub doctor: String,
    pub location: String,
    /// May be empty.
    pub address: String,
    pub phone: Option<String>,
    /// Where its patient confirms or cancels, while that can be done.
    pub respond_url: Option<String>,
}

/// What an intent becomes.
pub enum Composed {
    Facts(Box<Facts>),
    /// Nobody needs it any more, or nobody can have it: why.
    Needless(&'static str),
}

#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    #[error("no message is known for {0}")]
    UnknownPurpose(String),
    #[error("its payload does not open")]
    Unreadable,
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// Reads the facts of an intent.
///
/// # Errors
/// When nothing is known of such messages, or the database does not answer.
pub async fn facts(
    clinic: &Clinic,
    visits: &Visits,
    row: &OutboxRow,
) -> Result<Composed, ComposeError> {
    let kind = Kind::named(&row.purpose)
        .ok_or_else(|| ComposeError::UnknownPurpose(row.purpose.clone()))?;
    let mut composed = match kind {
        Kind::SignInCode | Kind::RegisterCode => {
            match one_time_codes::addressed(clinic, &mut read(clinic).await?, row).await {
                Ok(to) => Ok(of_code(clinic, kind, row, to)),
                Err(Unaddressed::Needless(why)) => Ok(Composed::Needless(why)),
                Err(Unaddressed::Unreadable) => Err(ComposeError::Unreadable),
                Err(Unaddressed::Db(error)) => Err(error.into()),
            }
        }
        Kind::Booked
        | Kind::Moved
        | Kind::Cancelled
        | Kind::ReplyFailed
        | Kind::ReminderDay
        | Kind::ReminderHours => of_visit(clinic, visits, kind, row).await,
        Kind::Invited | Kind::PasswordReset | Kind::EmailVerification => {
            of_link(clinic, &mut read(clinic).await?, kind, row).await
        }
        Kind::PasswordChanged
        | Kind::SecondFactorAdded
        | Kind::SecondFactorRemoved
        | Kind::RecoveryCodesMade
        | Kind::EmailChanged => of_notice(clinic, &mut read(clinic).await?, kind, row).await,
    }?;
    if let Composed::Facts(facts) = &mut composed {
        facts.unsubscribe = unsubscribe::offered(clinic, kind, facts.recipient.patient_id);
    }
    Ok(composed)
}

#[derive(sqlx::FromRow)]
struct VisitRow {
    place: i64,
    number: String,
    status: String,
    starts_at: DateTime<Utc>,
    patient_id: PatientId,
    patient_name: String,
    email: Option<String>,
    phone: Option<String>,
    language: Option<String>,
    doctor_name: String,
    location_name: String,
    location_address: String,
    location_phone: Option<String>,
    time_zone: String,
    own_time_zone: Option<String>,
}

/// Reads visits for messages, those that are asked for at the same time together.
pub struct Visits(Together<Uuid, sqlx::Result<Option<VisitRow>>>);

impl Visits {
    pub fn new(turns: Turns) -> Self {
        Self(Together::new(turns))
    }

    async fn of(&self, clinic: &Clinic, id: Uuid) -> sqlx::Result<Option<VisitRow>> {
        let read = self.0.ask(clinic.id.0, id, async |ids: Vec<Uuid>| {
            let found = async {
                sqlx::query_as::<_, VisitRow>(
                    "select asked.place, a.number, a.status, lower(a.during) as starts_at,
                            p.id as patient_id, p.full_name as patient_name, p.email, p.phone, p.language,
                            u.full_name as doctor_name, l.name as location_name, l.address as location_address,
                            l.phone as location_phone, l.time_zone, w.time_zone as own_time_zone
                     from unnest($1::uuid[]) with ordinality as asked (id, place)
                     join appointments a on a.id = asked.id
                     join patients p on p.id = a.patient_id and p.deleted_at is null
                     join users u on u.id = a.doctor_id join locations l on l.id = a.location_id
                     left join preferences w on w.user_id = p.user_id",
                )
                .bind(&ids)
                .fetch_all(&mut read(clinic).await?)
                .await
            };
            let places = 1..=ids.len() as i64;
            match found.await {
                Ok(found) => {
                    let mut by_place: HashMap<i64, VisitRow> =
                        found.into_iter().map(|visit| (visit.place, visit)).collect();
                    places.map(|place| Ok(by_place.remove(&place))).collect()
                }
                Err(error) => places.map(|_| Err(trouble(error.to_string()))).collect(),
            }
        });
        let lost = || Err(trouble("whoever was about to read it is gone".to_owned()));
        read.await.unwrap_or_else(lost)
    }
}

fn trouble(says: String) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other(says))
}

async fn read(clinic: &Clinic) -> sqlx::Result<Conn> {
    clinic.read().await.map_err(|problem| trouble(problem.to_string()))
}

async fn of_visit(
    clinic: &Clinic,
    visits: &Visits,
    kind: Kind,
    row: &OutboxRow,
) -> Result<Composed, ComposeError> {
    let visit = visits.of(clinic, row.subject_id).await?;
    let Some(visit) = visit else { return Ok(Composed::Needless("the patient is gone")) };
    let holds = match kind {
        Kind::Cancelled => visit.status == "cancelled",
        Kind::ReplyFailed => true,
        Kind::ReminderDay | Kind::ReminderHours => {
            matches!(visit.status.as_str(), "booked" | "confirmed")
        }
        _ => visit.status != "cancelled",
    };
    if !holds {
        return Ok(Composed::Needless("the visit has changed since"));
    }
    let zone = time::zone(&visit.time_zone).unwrap_or(clinic.zone);
    let open = matches!(visit.status.as_str(), "booked" | "confirmed");
    let token = Token { visit: AppointmentId(row.subject_id), starts_at: visit.starts_at };
    let token = Some(token).filter(|_| kind.asks_for_a_reply() && open);
    let own_zone = visit.own_time_zone.as_deref().and_then(time::zone);
    Ok(Composed::Facts(Box::new(Facts {
        kind,
        recipient: Recipient {
            patient_id: Some(visit.patient_id),
            user_id: None,
            name: visit.patient_name.clone(),
            phone: visit.phone,
            email: visit.email,
            language: visit.language,
            time_zone: own_zone.unwrap_or(zone),
        },
        values: Values::Visit(Visit {
            number: visit.number,
            starts_at: visit.starts_at,
            zone,
            patient: visit.patient_name,
            doctor: visit.doctor_name,
            location: visit.location_name,
            address: visit.location_address,
            phone: visit.location_phone,
            respond_url: token.map(|token| respond::url(clinic, token)),
        }),
        channels: channels(&row.channels),
        replies: token.map(|token| Press::payloads(&clinic.keys, token)).unwrap_or_default(),
        unsubscribe: None,
        written_at: clinic.clock.now(),
    })))
}

async fn of_link(
    clinic: &Clinic,
    conn: &mut Conn,
    kind: Kind,
    row: &OutboxRow,
) -> Result<Composed, ComposeError> {
    let token = String::from_utf8(opened(clinic, row)?).map_err(|_| ComposeError::Unreadable)?;
    let who: Option<(AccountId, String, Option<String>, Option<String>)> = sqlx::query_as(
        "select id, full_name, email, language from users
         where id = $1 and deleted_at is null and status = 'active'",
    )
    .bind(row.user_id)
    .fetch_optional(conn)
    .await?;
    let Some((account, name, email, language)) = who else {
        return Ok(Composed::Needless("the account is gone"));
    };
    let url = match kind {
        Kind::PasswordReset => format!("{}/reset-password?token={token}", clinic.url),
        Kind::EmailVerification => format!("{}/verify-email?token={token}", clinic.url),
        _ => links::url(&clinic.url, &token),
    };
    Ok(Composed::Facts(Box::new(Facts {
        kind,
        recipient: Recipient {
            patient_id: row.patient_id.map(PatientId),
            user_id: Some(account),
            name,
            phone: None, // a link that opens an account goes to its e-mail alone
            email,
            language,
            time_zone: clinic.zone,
        },
        values: Values::Link { url: url.into(), until: row.expires_at },
        channels: vec![Channel::Email],
        replies: Vec::new(),
        unsubscribe: None,
        written_at: clinic.clock.now(),
    })))
}

/// Goes where the account's owner was reached when it was done, whatever the account says by now.
async fn of_notice(
    clinic: &Clinic,
    conn: &mut Conn,
    kind: Kind,
    row: &OutboxRow,
) -> Result<Composed, ComposeError> {
    let email = String::from_utf8(opened(clinic, row)?).map_err(|_| ComposeError::Unreadable)?;
    let who: Option<(AccountId, String, Option<String>, DateTime<Utc>)> = sqlx::query_as(
        "select u.id, u.full_name, u.language, o.created_at
         from outbox o join users u on u.id = o.user_id where o.id = $1",
    )
    .bind(row.id)
    .fetch_optional(conn)
    .await?;
    let Some((account, name, language, at)) = who else {
        return Ok(Composed::Needless("the account is gone"));
    };
    Ok(Composed::Facts(Box::new(Facts {
        kind,
        recipient: Recipient {
            patient_id: None,
            user_id: Some(account),
            name,
            phone: None,
            email: Some(email),
            language,
            time_zone: clinic.zone,
        },
        values: Values::Notice { at },
        channels: vec![Channel::Email],
        replies: Vec::new(),
        unsubscribe: None,
        written_at: clinic.clock.now(),
    })))
}

fn of_code(clinic: &Clinic, kind: Kind, row: &OutboxRow, to: Addressed) -> Composed {
    let now = clinic.clock.now();
    let left = (row.expires_at - now).num_seconds().max(1);
    Composed::Facts(Box::new(Facts {
        kind,
        recipient: Recipient {
            patient_id: row.patient_id.map(PatientId),
            user_id: row.user_id.map(AccountId),
            name: to.name.unwrap_or_default(),
            phone: to.phone,
            email: to.email,
            language: to.language,
            time_zone: clinic.zone,
        },
        values: Values::Code { code: to.code.into(), minutes: (left + 59) / 60 },
        channels: channels(&to.channels),
        replies: Vec::new(),
        unsubscribe: None,
        written_at: now,
    }))
}

fn channels(names: &[String]) -> Vec<Channel> {
    names.iter().filter_map(|name| Channel::named(name)).collect()
}

fn opened(clinic: &Clinic, row: &OutboxRow) -> Result<Vec<u8>, ComposeError> {
    let place = outbox::payload_place(&row.dedupe_key);
    let sealed = row.payload_cipher.as_deref().ok_or(ComposeError::Unreadable)?;
    clinic.keys.fields.open(&place, sealed).map_err(|_| ComposeError::Unreadable)
}

impl Recipient {
    /// How a message greets: the first name, past titles and initials. `None` where no name is known.
    pub fn given_name(&self) -> Option<&str> {
        let mut parts = self.name.split_whitespace().peekable();
        let mut first = parts.next()?;
        while (is_title(first) || is_initial(first))
            && let Some(next) = parts.next()
        {
            first = next;
        }
        Some(first)
    }

    /// Where a channel finds them.
    pub fn address(&self, channel: Channel) -> Option<&str> {
        match channel {
            Channel::Email => self.email.as_deref(),
            Channel::Whatsapp | Channel::Sms => self.phone.as_deref(),
        }
    }
}

fn is_title(part: &str) -> bool {
    const TITLES: [&str; 20] = [
        "Dr",
        "Mr",
        "Mrs",
        "Ms",
        "Miss",
        "Prof",
        "Smt",
        "Shri",
        "Sri",
        "Kum",
        "Vaidya",
        "डॉ",
        "डॉक्टर",
        "श्री",
        "श्रीमती",
        "कु",
        "വൈദ്യ",
        "ഡോ",
        "ശ്രീ",
        "ശ്രീമതി",
    ];
    TITLES.contains(&part.trim_end_matches('.'))
}

/// `K.`, `P.K.`, `K`: what stands before a name in the south.
fn is_initial(part: &str) -> bool {
    part.split('.').all(|letter| letter.chars().count() <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_greets_by_given_name() {
        for (full, given) in [
            ("Lakshmi Menon", Some("Lakshmi")),
            ("Dr. Anand Varma", Some("Anand")),
            ("ലക്ഷ്മി", Some("ലക്ഷ്മി")),
            ("Smt Kamala", Some("Kamala")),
            ("K. Lakshmi", Some("Lakshmi")),
            ("Dr. P.K. Warrier", Some("Warrier")),
            ("डॉ. आनंद वर्मा", Some("आनंद")),
            ("Dr.", Some("Dr.")),
            ("K", Some("K")),
            ("  ", None),
        ] {
            let recipient = Recipient {
                patient_id: None,
                user_id: None,
                name: full.into(),
                phone: None,
                email: None,
                language: None,
                time_zone: Tz::UTC,
            };

            assert_eq!(recipient.given_name(), given, "{full}");
        }
    }
}
