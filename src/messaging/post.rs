//! The way out: e-mail over SMTP. In demo mode, what has no provider goes to the inbox.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::channels::smtp::MailServer;
use super::channels::{Channel, Lane, Outgoing, email};
use super::facts::Facts;
use super::inbox::{Inbox, Item};
use super::templates::{Said, Words};
use crate::config::SettingError;
use crate::ids::MessageId;
use crate::outbox::Attempt;
use crate::tenancy::Clinic;
use crate::time;

/// A way to a person: by which channel, through whom, to what address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub channel: Channel,
    pub provider: Provider,
    to: String,
}

/// A message in words, with its way.
pub struct Ready {
    pub id: MessageId,
    pub words: Words,
    pub way: Way,
    pub lane: Lane,
    pub time_left: Duration,
}

/// Who takes a message over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    Smtp,
    /// The demo's own.
    Inbox,
}

impl Provider {
    pub fn as_str(self) -> &'static str {
        match self {
            Provider::Smtp => "smtp",
            Provider::Inbox => "inbox",
        }
    }
}

/// All ways out that are set up.
pub struct Post {
    smtp: Option<MailServer>,
    inbox: Option<Arc<Inbox>>,
}

impl Post {
    /// # Errors
    /// When `NADI_SMTP_URL` is no address of a mail server, or would send passwords and letters in the clear beyond this machine.
    pub fn new(
        smtp_url: Option<&SecretString>,
        inbox: Option<Arc<Inbox>>,
    ) -> Result<Self, SettingError> {
        let smtp = smtp_url.map(MailServer::new).transpose()?;
        Ok(Self { smtp, inbox })
    }

    pub fn has_mail_provider(&self) -> bool {
        self.smtp.is_some()
    }

    /// The way that a message goes, if there is one: the first of its channels that is set up and has an address.
    pub fn way(&self, facts: &Facts) -> Option<Way> {
        let usual = [Channel::Email, Channel::Whatsapp];
        let channels = if facts.channels.is_empty() { &usual[..] } else { &facts.channels };
        channels.iter().find_map(|&channel| {
            let provider = match (&self.smtp, &self.inbox) {
                (Some(_), _) if channel == Channel::Email => Provider::Smtp,
                (_, Some(_)) => Provider::Inbox,
                _ => return None,
            };
            let to = facts.recipient.address(channel)?.to_owned();
            Some(Way { channel, provider, to })
        })
    }

    /// Hands a message over. Its id is the same at every try, so that a receiver can tell a repeat.
    pub async fn send(&self, clinic: &Clinic, message: Ready) -> Attempt {
        let Ready { id, words, way, lane, time_left } = message;
        match (way.provider, words.said, &self.smtp, &self.inbox) {
            (Provider::Smtp, Said::Email(letter), Some(smtp), _) => {
                let outgoing = Outgoing {
                    clinic_id: clinic.id,
                    message_id: id,
                    to: way.to,
                    lane,
                    time_left,
                    content: *letter,
                };
                match email::compose(&outgoing) {
                    Ok(message) => smtp.send(&message).await,
                    Err(failure) => Attempt::Refused { error: failure.to_string() },
                }
            }
            (Provider::Inbox, _, _, Some(inbox)) => {
                put_into(inbox, clinic, &words.subject, words.text.expose_secret(), &way).await
            }
            _ => Attempt::Retry { error: "this provider is not set up".into() },
        }
    }
}

async fn put_into(inbox: &Inbox, clinic: &Clinic, subject: &str, text: &str, way: &Way) -> Attempt {
    let item = Item {
        clinic: clinic.slug.clone(),
        channel: way.channel.as_str().into(),
        to: way.to.clone(),
        subject: subject.to_owned(),
        body: text.to_owned(),
        at: time::show(clinic.clock.now()),
    };
    match inbox.put(&item).await {
        Ok(()) => Attempt::Accepted { provider_id: None },
        Err(error) => Attempt::Retry { error: error.to_string() },
    }
}
