//! A button of a WhatsApp message: its payload is a token with an action. Pressed twice, late, or for a visit that moved, it
//! harms nothing; who pressed in vain is told.

use chrono::TimeDelta;

use super::{Action, Token};
use crate::actor::Actor;
use crate::appointments::reply::{self, Asked, Replied};
use crate::crypto::ClinicKeys;
use crate::db::Tx;
use crate::ids::MessageId;
use crate::outbox::{self, NewMessage};
use crate::tenancy::pools::Conn;

/// The message for one who pressed in vain.
const IN_VAIN: &str = "appointment.reply_failed";
/// It is about what he did just now: later it would only puzzle.
const OF_USE: TimeDelta = TimeDelta::hours(6);

/// A button of ours that somebody pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press {
    token: Token,
    action: Action,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressed {
    Done,
    AlreadySo,
    /// And its patient will be told.
    InVain,
    /// The visit is with others by now: to be tried again.
    Again,
}

impl Press {
    /// The payloads of a message's buttons, in their order.
    pub fn payloads(keys: &ClinicKeys, token: Token) -> Vec<String> {
        let token = token.write(keys);
        let payload = |action: Action| format!("{}:{token}", action.as_str());
        [Action::Confirm, Action::Cancel].map(payload).into()
    }

    /// `None` for what is no button of ours.
    pub fn read(keys: &ClinicKeys, payload: &str) -> Option<Self> {
        let (action, token) = payload.split_once(':')?;
        Some(Self { token: Token::read(keys, token)?, action: Action::named(action)? })
    }

    /// The visit that it is about; whom it takes is to be locked.
    ///
    /// # Errors
    /// The database's.
    pub async fn asked(&self, conn: &mut Conn) -> sqlx::Result<Option<Asked>> {
        reply::asked(conn, self.token.visit).await
    }

    /// Who acts: the message went to the patient.
    pub fn actor() -> Actor {
        Actor { role: Some("patient"), ..Actor::default() }
    }

    /// Acts, in the transaction that also notes that the press was worked on: so once.
    ///
    /// # Errors
    /// The database's.
    pub async fn act(&self, tx: &mut Tx, asked: &Asked, event_key: &str) -> sqlx::Result<Pressed> {
        let (starts_at, action) = (self.token.starts_at, self.action.reply());
        let Some((replied, visit)) = reply::reply(tx, &asked.visit, starts_at, action).await?
        else {
            return Ok(Pressed::Again);
        };
        match replied {
            Replied::Done => return Ok(Pressed::Done),
            Replied::AlreadySo => return Ok(Pressed::AlreadySo),
            Replied::Moved | Replied::Begun | Replied::Stands(_) => {}
        }
        let now = tx.now();
        let message = NewMessage {
            purpose: IN_VAIN.to_owned(),
            dedupe_key: format!("{IN_VAIN}:{}:{event_key}", visit.id),
            subject_id: visit.id.0,
            patient_id: Some(visit.patient_id.0),
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
