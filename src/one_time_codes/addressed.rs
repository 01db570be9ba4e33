//! Whom a code goes to, looked up when it is sent: those patients who have that phone or e-mail now and may sign in. Nobody
//! has it, or nobody who may: then nothing is sent, and nobody but the sender knows.

use super::model::{Channel, Identifier, Secret};
use super::sms;
use super::store::{self, Person};
use crate::outbox::{self, OutboxRow};
use crate::tenancy::Clinic;
use crate::tenancy::pools::Conn;

/// A code with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed {
    pub code: String,
    /// None where a family shares the phone, and for somebody who is not a patient yet: nobody but us chooses our words.
    pub name: Option<String>,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub language: Option<String>,
    /// By which it may go, in this order.
    pub channels: Vec<String>,
}

/// Why a code has no addresses.
#[derive(Debug, thiserror::Error)]
pub enum Unaddressed {
    #[error("{0}")]
    Needless(&'static str),
    #[error("its payload does not open")]
    Unreadable,
    #[error(transparent)]
    Db(#[from] sqlx::Error),
}

/// Reads the code of a message, and finds who should have it.
pub async fn addressed(
    clinic: &Clinic,
    conn: &mut Conn,
    row: &OutboxRow,
) -> Result<Addressed, Unaddressed> {
    let sealed = row.payload_cipher.as_deref().ok_or(Unaddressed::Unreadable)?;
    let place = outbox::payload_place(&row.dedupe_key);
    let secret = Secret::open(&clinic.keys, &place, sealed).ok_or(Unaddressed::Unreadable)?;
    let people = match &secret.identifier {
        Identifier::Phone(phone) => store::people_with_phone(conn, phone).await?,
        Identifier::Email(email) => store::people_with_email(conn, email).await?,
    };
    let known = !people.is_empty();
    store::note_known(conn, row.subject_id, known).await?;
    if !store::is_open(conn, row.subject_id).await? {
        return Err(Unaddressed::Needless("the code is spent"));
    }
    let welcome: Vec<&Person> = people.iter().filter(|person| person.welcome).collect();
    if welcome.is_empty() && (known || secret.registering.is_none()) {
        return Err(Unaddressed::Needless("nobody here may sign in with this"));
    }
    let mut channels = row.channels.clone();
    if let Identifier::Phone(phone) = &secret.identifier
        && channels.iter().any(|channel| channel == Channel::Sms.as_str())
        && let Some(why) = sms::barred(clinic, conn, phone, row.subject_id, known).await?
    {
        let to = super::model::masked(phone);
        tracing::info!(message_id = %row.id, %to, why, "no SMS to this number");
        channels.retain(|channel| channel != Channel::Sms.as_str());
    }
    if channels.is_empty() {
        return Err(Unaddressed::Needless("no channel is left for this code"));
    }
    let person = welcome.first().filter(|_| secret.registering.is_none());
    let alone = person.filter(|_| welcome.len() == 1);
    let email = match &secret.identifier {
        // As the clinic has it, not as somebody typed it.
        Identifier::Email(_) => person.and_then(|person| person.email.clone()),
        Identifier::Phone(_) => alone.and_then(|person| person.email.clone()),
    };
    let language = match &secret.registering {
        Some(new) => new.language.clone(),
        None => person.and_then(|person| person.language.clone()),
    };
    Ok(Addressed {
        code: secret.code,
        name: alone.map(|person| person.full_name.clone()),
        phone: secret.identifier.phone().map(str::to_owned),
        email,
        language,
        channels,
    })
}
