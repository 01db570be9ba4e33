//! The way out: e-mail over SMTP. In demo mode, what has no provider goes to the inbox.

use std::sync::Arc;

use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};
use secrecy::SecretString;

use super::channels::smtp::MailServer;
use super::inbox::{Inbox, Item};
use super::letter::Letter;
use crate::config::SettingError;
use crate::ids::MessageId;
use crate::outbox::Attempt;
use crate::tenancy::Clinic;
use crate::time;

/// A way to a person: by which channel, through whom, to what address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub channel: &'static str,
    pub provider: Provider,
    to: String,
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
    base_domain: String,
}

impl Post {
    /// # Errors
    /// When `NADI_SMTP_URL` is no address of a mail server, or would send passwords and letters in the clear beyond this machine.
    pub fn new(
        smtp_url: Option<&SecretString>,
        inbox: Option<Arc<Inbox>>,
        base_domain: &str,
    ) -> Result<Self, SettingError> {
        let smtp = smtp_url.map(MailServer::new).transpose()?;
        Ok(Self { smtp, inbox, base_domain: base_domain.to_owned() })
    }

    pub fn has_mail_provider(&self) -> bool {
        self.smtp.is_some()
    }

    /// The way that a letter goes, if there is one.
    pub fn way(&self, letter: &Letter) -> Option<Way> {
        let by = |channel, provider, to: &String| Way { channel, provider, to: to.clone() };
        if self.smtp.is_some()
            && let Some(email) = &letter.email
        {
            return Some(by("email", Provider::Smtp, email));
        }
        self.inbox.as_ref()?;
        match (&letter.email, &letter.phone) {
            (Some(email), _) => Some(by("email", Provider::Inbox, email)),
            (None, Some(phone)) => Some(by("whatsapp", Provider::Inbox, phone)),
            (None, None) => None,
        }
    }

    /// Hands a letter over. The message's id is the same at every try, so that a receiver can tell a repeat.
    pub async fn send(
        &self,
        clinic: &Clinic,
        id: MessageId,
        letter: &Letter,
        way: &Way,
    ) -> Attempt {
        match (way.provider, &self.smtp, &self.inbox) {
            (Provider::Smtp, Some(smtp), _) => match self.message(clinic, id, letter, &way.to) {
                Ok(message) => smtp.send(&message).await,
                Err(error) => Attempt::Refused { error },
            },
            (Provider::Inbox, _, Some(inbox)) => put_into(inbox, clinic, letter, way).await,
            _ => Attempt::Retry { error: "this provider is not set up".into() },
        }
    }

    fn message(
        &self,
        clinic: &Clinic,
        id: MessageId,
        letter: &Letter,
        to: &str,
    ) -> Result<Message, String> {
        let address = |text: &str| text.parse::<Address>().map_err(|error| error.to_string());
        let host = format!("{}.{}", clinic.slug, self.base_domain);
        let from = Mailbox::new(Some(clinic.name.clone()), address(&format!("no-reply@{host}"))?);
        let to = Mailbox::new(Some(letter.name.clone()), address(to)?);
        Message::builder()
            .from(from)
            .to(to)
            .subject(&letter.subject)
            .message_id(Some(format!("<{id}@{host}>")))
            .date(std::time::SystemTime::from(clinic.clock.now()))
            .multipart(MultiPart::alternative_plain_html(letter.text.clone(), letter.html()))
            .map_err(|error| error.to_string())
    }
}

async fn put_into(inbox: &Inbox, clinic: &Clinic, letter: &Letter, way: &Way) -> Attempt {
    let item = Item {
        clinic: clinic.slug.clone(),
        channel: way.channel.into(),
        to: way.to.clone(),
        subject: letter.subject.clone(),
        body: letter.text.clone(),
        at: time::show(clinic.clock.now()),
    };
    match inbox.put(&item).await {
        Ok(()) => Attempt::Accepted { provider_id: None },
        Err(error) => Attempt::Retry { error: error.to_string() },
    }
}
