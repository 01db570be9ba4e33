//! One message in hand: whose turn it is, the attempt on record, the call, and what follows from its outcome.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::OwnedMutexGuard;

use super::prepare::Prepared;
use super::{Deliverer, again, class_of};
use crate::error::Problem;
use crate::ids::MessageId;
use crate::messaging::channels::{Channel, Failure, Lane, Outcome, Reached, Shun};
use crate::messaging::policy::{self, After, Class, Mode, Progress, Step, Turn};
use crate::messaging::post::Ready;
use crate::messaging::store;
use crate::messaging::templates::{Book, Words};
use crate::metrics;
use crate::outbox::{self, Delivery, Ended, Handed, OutboxRow, Start};
use crate::tenancy::Clinic;

/// One message in hand.
pub(super) struct Handing<'a> {
    pub(super) at: &'a Deliverer,
    pub(super) clinic: &'a Clinic,
    pub(super) row: &'a OutboxRow,
    pub(super) class: Class,
    lane: Lane,
    pub(super) progress: Progress,
    ended: Vec<Ended>,
}

/// A call about to be made, its attempt on record.
struct Call {
    n: i32,
    channel: Channel,
    message: Result<Ready, Failure>,
}

pub(super) fn named(channels: &[String]) -> Vec<Channel> {
    channels.iter().filter_map(|name| Channel::named(name)).collect()
}

fn names(channels: &[Channel]) -> Vec<String> {
    channels.iter().map(|channel| channel.as_str().to_owned()).collect()
}

impl<'a> Handing<'a> {
    pub(super) fn new(at: &'a Deliverer, clinic: &'a Clinic, row: &'a OutboxRow) -> Self {
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

    pub(super) fn so_far(row: &OutboxRow, delivery: Delivery) -> Handed {
        Handed {
            gave_up: row.gave_up.clone(),
            passed: row.passed.clone(),
            accepted: row.accepted.clone(),
            ..delivery.into()
        }
    }

    pub(super) async fn run(mut self) -> Handed {
        let delivery = match self.prepare().await {
            Ok(prepared) => self.drive(&prepared).await,
            Err(delivery) => delivery,
        };
        Handed { delivery, ended: self.ended, ..handed(&self.progress, Vec::new()) }
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
        let book = self.book().await.map_err(|problem| trouble(problem.to_string()))?;
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
            let ended = before.ended.clone();
            let started = self.put_on_record(channel, provider, before).await;
            self.ended = match &started {
                Ok(_) => Vec::new(), // they are on record
                Err(_) => ended,
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

    async fn book(&self) -> Result<Arc<Book>, Problem> {
        if let Some(book) = self.at.books.known(self.clinic).await {
            return Ok(book);
        }
        let _turn = self.turn().await;
        Ok(self.at.books.of(self.clinic, &mut self.clinic.read().await?).await?)
    }

    /// What many messages miss at the same time is read once: the others find it when their turn comes. Codes wait for nobody.
    pub(super) async fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        match self.class {
            Class::Code => None,
            _ => Some(self.at.turns.take(self.clinic.id.0).await),
        }
    }

    /// A code's attempt by itself, that of anything else together with those that begin at the same time.
    async fn put_on_record(
        &self,
        channel: Channel,
        provider: &'static str,
        before: Handed,
    ) -> Result<Option<i32>, Problem> {
        let (id, lease_token) = (self.row.id, self.row.lease_token);
        let start = Start { id, lease_token, channel: channel.as_str(), provider, before };
        if self.class != Class::Code {
            let all = |starts| self.start_all(starts);
            let together = self.at.starts.ask(self.clinic.id.0, start.clone(), all).await;
            if let Some(Some(n)) = together {
                return Ok(Some(n));
            }
        }
        let mut conn = self.clinic.read().await?;
        Ok(outbox::start(conn.never_repeat(), &start).await?)
    }

    async fn start_all(&self, starts: Vec<Start>) -> Vec<Option<i32>> {
        let all = async {
            let mut conn = self.clinic.read().await?;
            Ok::<_, Problem>(outbox::start_all(conn.never_repeat(), &starts).await?)
        };
        all.await.unwrap_or_else(|problem| {
            tracing::debug!(clinic = %self.clinic.slug, %problem, "attempts are put on record one by one");
            vec![None; starts.len()]
        })
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
                    Err(Failure::wire(Reached::Perhaps, "too_slow", says))
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
