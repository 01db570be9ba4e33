//! A button of a WhatsApp message: its payload is a token with an action. Pressed twice, late, or for what has changed since, it
//! harms nothing; who pressed in vain is told.

use chrono::TimeDelta;
use uuid::Uuid;

use super::subject::{Outcome, Subject};
use super::{About, Action, Token};
use crate::actor::Actor;
use crate::crypto::ClinicKeys;
use crate::db::Tx;
use crate::ids::MessageId;
use crate::outbox::{self, NewMessage};
use crate::tenancy::pools::Conn;

/// It is about what he did just now: later it would only puzzle.
const OF_USE: TimeDelta = TimeDelta::hours(6);

/// A button of ours that somebody pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press {
    token: Token,
    action: Action,
}

/// What it is about, as it was found before its transaction.
pub struct Found(Subject);

impl Found {
    /// Whom it takes: to be locked.
    pub fn locks(&self) -> Vec<Uuid> {
        self.0.locks()
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressed {
    Done,
    AlreadySo,
    /// And its patient will be told.
    InVain,
    /// Others have it by now: to be tried again.
    Again,
}

impl Press {
    /// The payloads of a message's buttons, in their order.
    pub fn payloads(keys: &ClinicKeys, token: Token) -> Vec<String> {
        let actions = match token.about {
            About::Visit(_) => [Action::Confirm, Action::Cancel],
            About::Offer(_) => [Action::Accept, Action::Decline],
        };
        let token = token.write(keys);
        actions.map(|action| format!("{}:{token}", action.as_str())).into()
    }

    /// `None` for what is no button of ours.
    pub fn read(keys: &ClinicKeys, payload: &str) -> Option<Self> {
        let (action, token) = payload.split_once(':')?;
        Some(Self { token: Token::read(keys, token)?, action: Action::named(action)? })
    }

    /// What it is about.
    ///
    /// # Errors
    /// The database's.
    pub async fn find(&self, conn: &mut Conn) -> sqlx::Result<Option<Found>> {
        Ok(Subject::read(conn, self.token.about).await?.map(Found))
    }

    /// Who acts: the message went to the patient.
    pub fn actor() -> Actor {
        Actor { role: Some("patient"), ..Actor::default() }
    }

    /// Acts, in the transaction that also notes that the press was worked on: so once. What fails leaves nothing of its own behind,
    /// and may be committed.
    ///
    /// # Errors
    /// The database's.
    pub async fn act(&self, tx: &mut Tx, found: &Found, event_key: &str) -> sqlx::Result<Pressed> {
        let subject = &found.0;
        match subject.answer(tx, &self.token, self.action).await? {
            Outcome::Done => return Ok(Pressed::Done),
            Outcome::AlreadySo => return Ok(Pressed::AlreadySo),
            Outcome::Again => return Ok(Pressed::Again),
            Outcome::InVain(_) => {}
        }
        // The message for one who pressed in vain.
        let purpose = match subject {
            Subject::Visit(_) => "appointment.reply_failed",
            Subject::Offer(_) => "waitlist.offer_over",
        };
        let now = tx.now();
        let message = NewMessage {
            purpose: purpose.to_owned(),
            dedupe_key: format!("{purpose}:{}:{event_key}", subject.id()),
            subject_id: subject.id(),
            patient_id: Some(subject.patient().0),
            user_id: None,
            payload_cipher: None,
            channels: Vec::new(),
            due_at: now,
            expires_at: now + OF_USE,
        };
        if let Some(id) = outbox::put(&mut **tx, &message).await? {
            tx.note_message(MessageId(id));
        }
        Ok(Pressed::InVain)
    }
}
