//! The ways out: WhatsApp, SMS and e-mail by a clinic's own accounts, each behind its breakers and within its pace. In demo
//! mode, what has no provider goes to the inbox.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::channels::breaker::Closed;
use super::channels::breakers::{Breakers, Key};
use super::channels::http::Http;
use super::channels::pace::Pacer;
use super::channels::returned::Token;
use super::channels::{Accepted, Channel, ErrorClass, Failure, Lane, Outcome, Outgoing, Reached};
use super::channels::{email, whatsapp};
use super::inbox::{Inbox, Item};
use super::settings::Setup;
use super::templates::{Said, Words};
use crate::ids::{ClinicId, MessageId};
use crate::metrics;
use crate::tenancy::Clinic;
use crate::time;

/// A breaker that waits for new settings is asked about again after so long: they come with another key.
const UNTIL_MENDED: Duration = Duration::from_secs(60);

/// A message in words, on its way to somebody.
pub struct Ready {
    pub id: MessageId,
    pub to: String,
    pub channel: Channel,
    pub words: Words,
    pub lane: Lane,
    pub time_left: Duration,
}

/// All ways out of this process.
pub struct Post {
    http: Http,
    breakers: Arc<Breakers>,
    pacer: Pacer,
    inbox: Option<Arc<Inbox>>,
    /// Accounts about which too many people complained: until when nothing but codes goes.
    complained: Mutex<HashMap<(ClinicId, i64), Instant>>,
}

impl Post {
    pub fn new(http: Http, inbox: Option<Arc<Inbox>>) -> Self {
        Self {
            http,
            breakers: Breakers::new(20_000),
            pacer: Pacer::new(200_000),
            inbox,
            complained: Mutex::default(),
        }
    }

    /// Who would take a message by this channel.
    pub fn provider(&self, setup: &Setup, channel: Channel) -> Option<&'static str> {
        let own = match channel {
            Channel::Whatsapp => setup.whatsapp.as_ref().map(|_| "whatsapp"),
            Channel::Sms => setup.sms.as_ref().map(|sms| sms.account.provider()),
            Channel::Email => setup.mail.as_ref().map(|_| "smtp"),
        };
        own.or(self.inbox.as_ref().map(|_| "inbox"))
    }

    /// Whether it will be heard when a message by this channel arrives.
    pub fn reports(&self, setup: &Setup, channel: Channel) -> bool {
        match channel {
            Channel::Whatsapp => setup.whatsapp.is_some(),
            Channel::Sms => setup.sms.as_ref().is_some_and(|sms| sms.reports),
            Channel::Email => false,
        }
    }

    /// For how long this channel is left alone yet, if it is.
    pub fn rests(
        &self,
        clinic: &Clinic,
        setup: &Setup,
        channel: Channel,
        lane: Lane,
    ) -> Option<Duration> {
        let now = Instant::now();
        let open = self.keys(clinic, setup, channel).into_iter().filter_map(|key| {
            match self.breakers.peek(&key, now) {
                Ok(()) => None,
                Err(Closed::For(rest)) => Some(rest.max(Duration::from_millis(50))),
                Err(Closed::UntilSettingsChange) => Some(UNTIL_MENDED),
            }
        });
        let complained = (lane == Lane::Others && channel == Channel::Whatsapp)
            .then(|| {
                let books = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
                books.get(&(clinic.id, setup.version)).copied()
            })
            .flatten()
            .and_then(|until| until.checked_duration_since(now));
        open.chain(complained).max()
    }

    fn keys(&self, clinic: &Clinic, setup: &Setup, channel: Channel) -> Vec<Key> {
        let account = |provider| Key::Account {
            clinic_id: clinic.id,
            provider,
            settings_version: setup.version,
        };
        let host = |host: Option<&str>| host.map(|host| Key::Host(host.to_owned()));
        match channel {
            Channel::Whatsapp => setup.whatsapp.as_ref().map_or_else(Vec::new, |whatsapp| {
                let host = host(whatsapp.account.host());
                [Some(account("whatsapp")), host].into_iter().flatten().collect()
            }),
            Channel::Sms => setup.sms.as_ref().map_or_else(Vec::new, |sms| {
                let host = host(sms.account.host());
                [Some(account(sms.account.provider())), host].into_iter().flatten().collect()
            }),
            Channel::Email => match &setup.mail {
                Some(mail) if mail.is_own => vec![account("smtp")],
                Some(_) => vec![Key::Host("smtp".into())], // the platform's, for all clinics
                None => Vec::new(),
            },
        }
    }

    /// Puts the number of open breakers where monitoring sees it.
    pub fn show_breakers(&self) {
        let (accounts, hosts) = self.breakers.open(Instant::now());
        metrics::BREAKERS_OPEN.with_label_values(&["account"]).set(accounts as i64);
        metrics::BREAKERS_OPEN.with_label_values(&["host"]).set(hosts as i64);
    }

    /// Hands a message over. Its id is the same at every try, so that a receiver can tell a repeat.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn call(&self, clinic: &Clinic, setup: &Setup, message: Ready) -> Outcome {
        let channel = message.channel;
        let provider = self.provider(setup, channel).unwrap_or("none");
        let keys = self.keys(clinic, setup, channel);
        let outcome = match self.breakers.enter(keys, Instant::now()) {
            Ok(pass) => {
                let outcome = self.hand_over(clinic, setup, message).await;
                pass.end(&outcome, Instant::now());
                outcome
            }
            Err(closed) => {
                let wait = match closed {
                    Closed::For(wait) => wait,
                    Closed::UntilSettingsChange => UNTIL_MENDED,
                };
                Err(not_now("resting", "this provider is left alone for now", wait))
            }
        };
        let (word, class) = match &outcome {
            Ok(_) => ("accepted", ""),
            Err(failure) if failure.class.tries_again() => ("retry", failure.class.as_str()),
            Err(failure) => ("refused", failure.class.as_str()),
        };
        metrics::MESSAGES.with_label_values(&[channel.as_str(), word, class]).inc();
        if let Err(failure) = &outcome {
            self.note(clinic, setup, channel, provider, failure);
        }
        outcome
    }

    fn note(
        &self,
        clinic: &Clinic,
        setup: &Setup,
        channel: Channel,
        provider: &str,
        failure: &Failure,
    ) {
        if let Some(pause) = failure.class.pauses_all_but_codes() {
            let mut books = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
            books.retain(|_, until| *until > Instant::now());
            books.insert((clinic.id, setup.version), Instant::now() + pause);
        }
        if failure.class.raises_alarm() {
            let kind = format!("{}_{}", channel.as_str(), failure.class.as_str());
            metrics::ALARMS.with_label_values(&[&kind]).inc();
            tracing::error!(clinic = %clinic.slug, provider, %failure, "a provider refuses");
        }
    }

    async fn hand_over(&self, clinic: &Clinic, setup: &Setup, message: Ready) -> Outcome {
        let Ready { id, to, channel, words, lane, time_left } = message;
        let Words { subject, text, said, .. } = words;
        macro_rules! outgoing {
            ($content:expr) => {
                Outgoing {
                    clinic_id: clinic.id,
                    message_id: id,
                    to,
                    lane,
                    time_left,
                    content: $content,
                }
            };
        }
        match (said, &setup.whatsapp, &setup.sms, &setup.mail) {
            (Said::Whatsapp(content), Some(whatsapp), _, _) => {
                let number = whatsapp.account.phone_number_id.clone();
                // A turn that is far off is waited for in the database, not here.
                let most = Duration::from_millis(1500).min(time_left);
                let turn = self.pacer.turn(&number, whatsapp::PER_SECOND, &to, most).await;
                if let Err(wait) = turn {
                    return Err(not_now(
                        "pace",
                        "this number or person had a message just now",
                        wait,
                    ));
                }
                let outgoing = outgoing!(content);
                let outcome = whatsapp.account.send(&self.http, &outgoing).await;
                if let Err(failure) = &outcome
                    && (failure.asks_for_slower_pace() || failure.class == ErrorClass::SpamLimit)
                {
                    self.pacer.slow(&number, &outgoing.to, failure, Instant::now());
                }
                outcome
            }
            (Said::Sms { text, .. }, _, Some(sms), _) => {
                sms.account.send(&self.http, &outgoing!(text)).await
            }
            (Said::Email(mut letter), _, _, Some(mail)) => {
                if let Some(from) = &setup.from {
                    letter.from.1 = from.clone();
                }
                letter.reply_to = setup.reply_to.clone().or(letter.reply_to);
                letter.signer = setup.signer.clone();
                letter.return_path = setup
                    .bounce_domain
                    .as_ref()
                    .map(|domain| Token::new(&clinic.keys.letters, id, &to).address(domain));
                email::send(&mail.server, &outgoing!(*letter)).await
            }
            _ => match &self.inbox {
                Some(inbox) => {
                    put_into(inbox, clinic, channel, &to, &subject, text.expose_secret()).await
                }
                None => Err(Failure::ours("no_provider", "no provider is set up for this channel")),
            },
        }
    }
}

fn not_now(code: &str, says: &str, wait: Duration) -> Failure {
    Failure {
        class: ErrorClass::RecipientPace,
        reached: Reached::Nothing,
        ..Failure::ours(code, says).retry_after(Some(wait))
    }
}

async fn put_into(
    inbox: &Inbox,
    clinic: &Clinic,
    channel: Channel,
    to: &str,
    subject: &str,
    text: &str,
) -> Outcome {
    let item = Item {
        clinic: clinic.slug.clone(),
        channel: channel.as_str().into(),
        to: to.to_owned(),
        subject: subject.to_owned(),
        body: text.to_owned(),
        at: time::show(clinic.clock.now()),
    };
    match inbox.put(&item).await {
        Ok(()) => Ok(Accepted { provider_id: None, http: None, recipient_id: None }),
        Err(error) => Err(Failure::wire(Reached::Nothing, "inbox", &error.to_string())),
    }
}
