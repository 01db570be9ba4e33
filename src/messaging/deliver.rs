//! From an intent to a provider, for the worker: read the facts, choose by the policy, put the attempt on record, call, and say
//! what became of it. No connection is held across a call.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use super::channels::{Channel, Failure, Lane, Outcome, Shun};
use super::facts::{self, ComposeError, Composed, Facts};
use super::kind::Kind;
use super::policy::{self, After, Class, Mode, Person, Progress, Rule, Step, Turn};
use super::post::{Post, Ready};
use super::settings::{Setup, Setups};
use super::store;
use super::templates::{Books, Words};
use super::webhooks::Inbound;
use crate::error::Problem;
use crate::ids::{ClinicId, MessageId};
use crate::metrics;
use crate::one_time_codes::take_sms;
use crate::outbox::{self, Delivery, Ended, Handed, OutboxRow};
use crate::retention::Retention;
use crate::tenancy::pools::Conn;
use crate::tenancy::{Central, Clinic, Directory};
use crate::worker::{Clinics, Unreachable};

/// How long a receipt may still tell what became of a call that nobody saw end.
const RECEIPT_WITHIN: i64 = 60;

/// Sends clinics' messages.
pub struct Deliverer {
    pub central: Arc<Central>,
    pub directory: Arc<Directory>,
    pub post: Arc<Post>,
    pub retention: Arc<Retention>,
    pub books: Arc<Books>,
    pub setups: Arc<Setups>,
    pub inbound: Arc<Inbound>,
}

impl Clinics for Deliverer {
    async fn central(&self) -> sqlx::Result<Conn> {
        self.central
            .realm
            .read()
            .await
            .map_err(|problem| sqlx::Error::Io(std::io::Error::other(problem)))
    }

    async fn connection(&self, clinic_id: Uuid) -> Result<Conn, Unreachable> {
        let clinic = self.clinic(clinic_id).await?;
        clinic.read().await.map_err(|problem| Unreachable(problem.into()))
    }

    async fn deliver(&self, clinic_id: Uuid, row: OutboxRow) -> Handed {
        match self.clinic(clinic_id).await {
            Ok(clinic) => Handing::new(self, &clinic, &row).run().await,
            Err(error) => {
                Handing::so_far(&row, again(class_of(&row), row.attempts, error.to_string()))
            }
        }
    }

    /// Rows of the audit log that nobody sealed, news that came before what it is about, and rows that are of no use any more.
    async fn looked_after(&self, clinic_id: Uuid) {
        match self.clinic(clinic_id).await {
            Ok(clinic) => {
                clinic.chain.ring();
                self.inbound.handle_what_is_left(&clinic).await;
                self.retention.keep(&clinic).await;
            }
            Err(error) => tracing::debug!(%clinic_id, %error, "closed meanwhile"),
        }
    }
}

impl Deliverer {
    async fn clinic(&self, id: Uuid) -> Result<Arc<Clinic>, Unreachable> {
        let open = self.directory.clinic_by_id(ClinicId(id)).await;
        open.map_err(|closed| Unreachable(Problem::from(closed).into()))
    }
}

fn class_of(row: &OutboxRow) -> Class {
    Kind::named(&row.purpose).map_or(Class::Appointment, Class::of)
}

/// After trouble of our own: no provider was called.
fn again(class: Class, tries: i32, error: String) -> Delivery {
    let tries = u32::try_from(tries).unwrap_or_default().clamp(1, 16);
    Delivery::RetryIn { delay: class.backoff().pause(tries, None, crate::crypto::jitter()), error }
}

/// One message in hand.
struct Handing<'a> {
    at: &'a Deliverer,
    clinic: &'a Clinic,
    row: &'a OutboxRow,
    class: Class,
    lane: Lane,
    progress: Progress,
    ended: Vec<Ended>,
}

/// A message that can go, and what it has to reckon with.
struct Prepared {
    facts: Box<Facts>,
    setup: Arc<Setup>,
    rule: Rule,
    channels: Vec<Channel>,
}

/// A call about to be made, its attempt on record.
struct Call {
    n: i32,
    channel: Channel,
    message: Result<Ready, Failure>,
}

fn named(channels: &[String]) -> Vec<Channel> {
    channels.iter().filter_map(|name| Channel::named(name)).collect()
}

fn names(channels: &[Channel]) -> Vec<String> {
    channels.iter().map(|channel| channel.as_str().to_owned()).collect()
}

impl<'a> Handing<'a> {
    fn new(at: &'a Deliverer, clinic: &'a Clinic, row: &'a OutboxRow) -> Self {
        let class = class_of(row);
        Self {
            at,
            clinic,
            row,
            class,
            lane: if class == Class::Code { Lane::Codes } else { Lane::Others },
            progress: Progress {
                gave_up: named(&row.gave_up),
                passed: named(&row.passed),
                accepted: named(&row.accepted),
            },
            ended: Vec::new(),
        }
    }

    fn so_far(row: &OutboxRow, delivery: Delivery) -> Handed {
        Handed {
            gave_up: row.gave_up.clone(),
            passed: row.passed.clone(),
            accepted: row.accepted.clone(),
            ..delivery.into()
        }
    }

    async fn run(mut self) -> Handed {
        let delivery = match self.prepare().await {
            Ok(prepared) => self.drive(&prepared).await,
            Err(delivery) => delivery,
        };
        Handed { delivery, ended: self.ended, ..handed(&self.progress, Vec::new()) }
    }

    /// Everything that decides, from the database and from memory.
    async fn prepare(&mut self) -> Result<Prepared, Delivery> {
        let again = |error: String| again(self.class, self.row.attempts, error);
        let clinic = self.clinic;
        let mut conn = clinic.read().await.map_err(|problem| again(problem.to_string()))?;
        let db = |error: sqlx::Error| again(error.to_string());
        let facts = match facts::facts(clinic, &mut conn, self.row).await {
            Ok(Composed::Facts(facts)) => facts,
            Ok(Composed::Needless(why)) => return Err(self.needless(why)),
            Err(ComposeError::Db(error)) => return Err(db(error)),
            Err(error) => return Err(Delivery::Failed { error: error.to_string() }),
        };
        let setup = self.at.setups.of(clinic, &mut conn).await.map_err(db)?;
        let rule = setup.rule(self.class);
        if let Some(wait) = self.quiet(&rule, &facts)? {
            return Err(wait);
        }
        if let Some(wait) = self.unclear(&setup) {
            return Err(wait);
        }
        let mut unreachable = named(&self.row.unreachable);
        if self.row.patient_id.is_none() && self.row.user_id.is_none() {
            let recipient = &facts.recipient;
            let (phone, email) = (recipient.phone.as_deref(), recipient.email.as_deref());
            unreachable = store::unreachable(&mut conn, phone, email).await.map_err(db)?;
        }
        let addresses: Vec<Channel> = Channel::ALL
            .into_iter()
            .filter(|channel| facts.recipient.address(*channel).is_some())
            .collect();
        let person = Person {
            consents: &self.row.consents,
            unreachable: &unreachable,
            addresses: &addresses,
            order: &named(&self.row.channel_order),
        };
        let asked = match facts.channels.is_empty() {
            true => named(&self.row.channels),
            false => facts.channels.clone(),
        };
        let may = |channel| {
            facts.kind.channels().contains(&channel)
                && self.at.post.provider(&setup, channel).is_some()
        };
        let chosen = policy::choose(self.class, &rule, &asked, &person, may);
        let channels = chosen.map_err(|why| self.needless(why))?;
        Ok(Prepared { facts, setup, rule, channels })
    }

    /// Money: each SMS with a code is counted against the day's budget, right before its call.
    async fn may_pay_for(&self, channels: &[Channel]) -> Result<bool, Delivery> {
        if self.class != Class::Code || !channels.contains(&Channel::Sms) {
            return Ok(true);
        }
        let trouble = |error: String| again(self.class, self.row.attempts, error);
        let mut conn = self.clinic.read().await.map_err(|problem| trouble(problem.to_string()))?;
        let taken = take_sms(self.clinic, &mut conn, self.row).await;
        taken.map_err(|error| trouble(error.to_string()))
    }

    fn needless(&self, why: &str) -> Delivery {
        match self.progress.accepted.last() {
            Some(channel) => Delivery::Sent { channel: channel.as_str().into() },
            None => Delivery::Needless { why: why.to_owned() },
        }
    }

    /// In quiet hours a message waits for their end; one that would come too late then, or that is for these hours, is dropped.
    fn quiet(&self, rule: &Rule, facts: &Facts) -> Result<Option<Delivery>, Delivery> {
        let now = self.clinic.clock.now();
        let ends = rule.quiet.and_then(|quiet| quiet.ends(now, facts.recipient.time_zone));
        let Some(ends) = ends else { return Ok(None) };
        let at = ends + policy::spread(self.row.id);
        if facts.kind == Kind::ReminderHours || at >= self.row.expires_at {
            return Err(self.needless("it would have come in quiet hours"));
        }
        let delay = (at - now).to_std().unwrap_or_default();
        Ok(Some(Delivery::RetryIn { delay, error: "quiet hours".into() }))
    }

    /// A call was begun and nobody saw it end: a code is sent again at once; others wait for a receipt that tells, where the
    /// provider sends any.
    fn unclear(&self, setup: &Setup) -> Option<Delivery> {
        let mut open = false;
        let mut wait = None;
        for tried in &self.row.tried {
            let mut words = tried.split(' ');
            let channel = words.next().and_then(Channel::named);
            if words.next() != Some("open") {
                continue;
            }
            open = true;
            let ago = words.next().and_then(|ago| ago.parse::<i64>().ok()).unwrap_or_default();
            let reports = channel.is_some_and(|channel| self.at.post.reports(setup, channel));
            if self.class != Class::Code && reports && ago < RECEIPT_WITHIN {
                wait = wait.max(Some(RECEIPT_WITHIN - ago));
            }
        }
        if let Some(seconds) = wait {
            let delay = Duration::from_secs(seconds as u64);
            return Some(Delivery::RetryIn { delay, error: "a call whose end nobody saw".into() });
        }
        if open {
            metrics::DUPLICATE_SENDS.inc();
        }
        None
    }

    fn rests<'b>(&'b self, prepared: &'b Prepared) -> impl Fn(Channel) -> Option<Duration> + 'b {
        move |channel| self.at.post.rests(self.clinic, &prepared.setup, channel, self.lane)
    }

    fn life_left(&self) -> Duration {
        (self.row.expires_at - self.clinic.clock.now()).to_std().unwrap_or_default()
    }

    /// Calls by one channel after the other, or by all at once, until there is something to wait for or nothing left to do.
    async fn drive(&mut self, prepared: &Prepared) -> Delivery {
        let mut turn_began = tokio::time::Instant::now();
        let waited = Duration::from_secs_f64(self.row.turn_seconds.unwrap_or_default().max(0.0));
        let mut turn_before = if self.row.channel.is_some() { waited } else { Duration::ZERO };
        let mut first = true;
        loop {
            let mut progress = self.progress.clone();
            let step = progress.next(prepared.rule.mode, &prepared.channels, self.rests(prepared));
            self.progress = progress;
            let channels = match step {
                Step::Try(channels) => channels,
                Step::Pause(rest) => {
                    let jitter = 1.0 + crate::crypto::jitter() / 4.0;
                    let error =
                        "every provider that is left is being left alone for now".to_owned();
                    return Delivery::RetryIn { delay: rest.mul_f64(jitter), error };
                }
                Step::Enough => return self.sent(),
                Step::Nothing => return Delivery::Failed { error: self.last_words() },
            };
            match self.may_pay_for(&channels).await {
                Ok(true) => {}
                Ok(false) => {
                    self.progress.gave_up.push(Channel::Sms);
                    if prepared.channels.iter().all(|one| self.progress.gave_up.contains(one)) {
                        return self.needless("today's budget of SMS with codes is spent");
                    }
                    continue;
                }
                Err(delivery) => return delivery,
            }
            // A new channel has all of its time; one that goes on has what is left.
            if !first || channels.iter().all(|c| self.row.channel.as_deref() != Some(c.as_str())) {
                turn_began = tokio::time::Instant::now();
                turn_before = Duration::ZERO;
            }
            first = false;
            let calls = match self.start(prepared, &channels).await {
                Ok(calls) => calls,
                Err(delivery) => return delivery,
            };
            let spent = || turn_before + turn_began.elapsed();
            let accept = Duration::from_secs(prepared.rule.accept_seconds.into());
            let parallel = prepared.rule.mode == Mode::Parallel;
            let outcomes = join_all(calls.into_iter().map(|call| {
                let another = !parallel
                    && self.progress.has_another(
                        call.channel,
                        &prepared.channels,
                        self.rests(prepared),
                    );
                let patience = accept.saturating_sub(spent()).max(Duration::from_millis(500));
                self.call(prepared, call, another.then_some(patience))
            }))
            .await;
            let mut retry: Option<(Duration, String)> = None;
            for (n, channel, outcome) in outcomes {
                self.note(n, &outcome);
                let failure = match outcome {
                    Ok(_) => {
                        self.progress.accepted.push(channel);
                        continue;
                    }
                    Err(failure) => failure,
                };
                self.learn(prepared, channel, &failure).await;
                let turn = Turn {
                    tries: self.tries(channel),
                    accept_left: accept.saturating_sub(spent()),
                    life_left: self.life_left(),
                    has_another: self.progress.has_another(
                        channel,
                        &prepared.channels,
                        self.rests(prepared),
                    ),
                    parallel,
                };
                match policy::after(self.class, &failure, turn, crate::crypto::jitter()) {
                    After::GiveUp => self.progress.gave_up.push(channel),
                    After::PassOn => self.progress.passed.push(channel),
                    After::RetryIn(delay) => {
                        if failure.is_ambiguous() {
                            metrics::DUPLICATE_SENDS.inc();
                        }
                        let sooner = retry.as_ref().is_none_or(|(other, _)| delay < *other);
                        if sooner {
                            retry = Some((delay, failure.to_string()));
                        }
                    }
                }
            }
            if let Some((delay, error)) = retry {
                return Delivery::RetryIn { delay, error };
            }
            if !parallel
                && let Some(channel) = self.progress.accepted.last().copied()
                && channels.contains(&channel)
            {
                return self.wait_for_arrival(prepared, channel);
            }
        }
    }

    fn sent(&self) -> Delivery {
        let channel = self.progress.accepted.last().map_or("", |channel| channel.as_str());
        Delivery::Sent { channel: channel.to_owned() }
    }

    /// Taken by the provider. Another channel's turn comes only if nothing is heard of its arrival.
    fn wait_for_arrival(&self, prepared: &Prepared, channel: Channel) -> Delivery {
        let another = prepared.channels.iter().any(|other| {
            !self.progress.accepted.contains(other) && !self.progress.gave_up.contains(other)
        });
        let reports = self.at.post.reports(&prepared.setup, channel);
        match prepared.rule.deliver_seconds {
            Some(seconds) if another && reports => {
                let delay = Duration::from_secs(seconds.into());
                Delivery::Waits { channel: channel.as_str().to_owned(), delay }
            }
            _ => self.sent(),
        }
    }

    fn last_words(&self) -> String {
        let said = self.ended.iter().rev().find_map(|ended| ended.error.clone());
        said.unwrap_or_else(|| "no channel is left that would take it".to_owned())
    }

    /// Calls on a channel that count: those of earlier deliveries that a provider put off, and this one's.
    fn tries(&self, channel: Channel) -> u32 {
        let before = self.row.tried.iter().filter(|tried| {
            let mut words = tried.split(' ');
            words.next() == Some(channel.as_str()) && words.next() == Some("retry")
        });
        before.count() as u32 + 1
    }

    /// Puts the attempts on record, right before the calls.
    async fn start(
        &mut self,
        prepared: &Prepared,
        channels: &[Channel],
    ) -> Result<Vec<Call>, Delivery> {
        let trouble = |error: String| again(self.class, self.row.attempts, error);
        let mut conn = self.clinic.read().await.map_err(|problem| trouble(problem.to_string()))?;
        let book = self.at.books.of(self.clinic, &mut conn).await;
        let book = book.map_err(|error| trouble(error.to_string()))?;
        let mut calls = Vec::with_capacity(channels.len());
        for &channel in channels {
            let words = book.words(&prepared.facts, channel, book.language(&prepared.facts));
            let message = match words {
                Ok(mut words) => {
                    // A demo's inbox has a line above each message, whatever its channel.
                    if self.at.post.provider(&prepared.setup, channel) == Some("inbox")
                        && let Ok(letter) = book.words(
                            &prepared.facts,
                            Channel::Email,
                            book.language(&prepared.facts),
                        )
                    {
                        words.subject = letter.subject;
                    }
                    Ok(self.ready(prepared, channel, words))
                }
                Err(error) => Err(Failure::ours("no_words", &error.to_string())),
            };
            let provider = self.at.post.provider(&prepared.setup, channel).unwrap_or("none");
            let before = handed(&self.progress, std::mem::take(&mut self.ended));
            let started =
                outbox::hand_on(conn.never_repeat(), self.row, &before, channel.as_str(), provider)
                    .await;
            self.ended = match &started {
                Ok(_) => Vec::new(), // they are on record
                Err(_) => before.ended,
            };
            match started {
                Ok(Some(n)) => calls.push(Call { n, channel, message }),
                // Withdrawn, moved or expired meanwhile: what is recorded next is fenced, and sees which.
                Ok(None) => {
                    let error = "it was withdrawn or expired before it could be sent".to_owned();
                    return Err(Delivery::RetryIn { delay: Duration::ZERO, error });
                }
                Err(error) => return Err(trouble(error.to_string())),
            }
        }
        Ok(calls)
    }

    fn ready(&self, prepared: &Prepared, channel: Channel, words: Words) -> Ready {
        let to = prepared.facts.recipient.address(channel).unwrap_or_default().to_owned();
        let (id, lane, time_left) = (MessageId(self.row.id), self.lane, self.life_left());
        Ready { id, to, channel, words, lane, time_left }
    }

    /// One call. Where another channel could take over it has only its turn's time; one cut off may have been acted on.
    async fn call(
        &self,
        prepared: &Prepared,
        call: Call,
        patience: Option<Duration>,
    ) -> (i32, Channel, Outcome) {
        let Call { n, channel, message } = call;
        let message = match message {
            Ok(message) => message,
            Err(failure) => return (n, channel, Err(failure)),
        };
        let calling = self.at.post.call(self.clinic, &prepared.setup, message);
        let outcome = match patience {
            None => calling.await,
            Some(patience) => match tokio::time::timeout(patience, calling).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    let says = "it was not taken in its channel's time";
                    Err(Failure::wire(super::channels::Reached::Perhaps, "too_slow", says))
                }
            },
        };
        (n, channel, outcome)
    }

    fn note(&mut self, n: i32, outcome: &Outcome) {
        self.ended.push(match outcome {
            Ok(accepted) => Ended {
                n,
                outcome: "accepted",
                provider_id: accepted.provider_id.clone(),
                http: accepted.http.map(i32::from),
                ..Ended::default()
            },
            Err(failure) => Ended {
                n,
                outcome: if failure.class.tries_again() { "retry" } else { "refused" },
                http: failure.http.map(i32::from),
                code: failure.code.clone(),
                class: Some(failure.class.as_str()),
                error: Some(failure.to_string()),
                ..Ended::default()
            },
        });
    }

    /// What a failure says beyond this message: an address to keep away from, a template to mend.
    async fn learn(&self, prepared: &Prepared, channel: Channel, failure: &Failure) {
        let shun = failure.shun.and_then(|shun| {
            let address = prepared.facts.recipient.address(channel)?;
            let lasts = match shun {
                Shun::For(lasts) => Some(lasts),
                Shun::ForGood => None,
            };
            Some((address.to_owned(), lasts))
        });
        let barred = failure.class.disables_template();
        if shun.is_none() && !barred {
            return;
        }
        let learned = async {
            let mut conn = self.clinic.read().await?;
            if let Some((address, lasts)) = shun {
                store::shun(&mut conn, channel, &address, &failure.to_string(), lasts).await?;
            }
            if barred {
                let language = prepared.facts.recipient.language.as_deref();
                let why = failure.to_string();
                let kind = prepared.facts.kind.as_str();
                if store::disable_template(&mut conn, kind, channel, language, &why).await? {
                    self.at.books.changed(self.clinic).await;
                }
            }
            Ok::<_, Problem>(())
        };
        if let Err(problem) = learned.await {
            tracing::warn!(%problem, "what a provider said could not be kept");
        }
    }
}

fn handed(progress: &Progress, ended: Vec<Ended>) -> Handed {
    Handed {
        delivery: Delivery::Expired,
        ended,
        gave_up: names(&progress.gave_up),
        passed: names(&progress.passed),
        accepted: names(&progress.accepted),
    }
}
