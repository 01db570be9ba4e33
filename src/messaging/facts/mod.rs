//! What a message is about, read when it is sent: a changed address, name or time counts. One statement for each kind, visits
//! many at a time (codes find their people by themselves); the words are found elsewhere (`templates/`).

mod links;
mod offers;
mod recipient;
mod visits;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use url::Url;

use self::links::of_link;
use self::offers::of_offer;
pub use self::recipient::Recipient;
pub use self::visits::{Visit, Visits};
use self::visits::{of_visit, trouble};
use super::channels::Channel;
use super::kind::Kind;
use super::unsubscribe;
use crate::auth::links::Purpose;
use crate::ids::{AccountId, PatientId};
use crate::one_time_codes::{self, Addressed, Unaddressed};
use crate::outbox::{self, OutboxRow};
use crate::tenancy::Clinic;
use crate::tenancy::pools::Conn;

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
    /// A time that is kept for somebody on the waitlist. It has no number yet.
    Offer {
        visit: Visit,
        until: DateTime<Utc>,
    },
    Link {
        url: SecretString,
        until: DateTime<Utc>,
    },
    /// What was done to an account, and when.
    Notice {
        at: DateTime<Utc>,
    },
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
        Kind::Offered | Kind::OfferOver => of_offer(clinic, kind, row).await,
        Kind::Invited => of_link(clinic, kind, Purpose::SetPassword, row).await,
        Kind::PasswordReset => of_link(clinic, kind, Purpose::ResetPassword, row).await,
        Kind::EmailVerification => of_link(clinic, kind, Purpose::VerifyEmail, row).await,
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

async fn read(clinic: &Clinic) -> sqlx::Result<Conn> {
    clinic.read().await.map_err(|problem| trouble(problem.to_string()))
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
