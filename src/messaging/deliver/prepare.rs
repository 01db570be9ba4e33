//! What decides about a message before anything is called: its facts, the clinic's rule, the hour, and calls whose end nobody saw.

use std::sync::Arc;
use std::time::Duration;

use super::again;
use super::handing::{Handing, named};
use crate::error::Problem;
use crate::messaging::channels::Channel;
use crate::messaging::facts::{self, ComposeError, Composed, Facts};
use crate::messaging::kind::Kind;
use crate::messaging::policy::{self, Class, Person, Rule};
use crate::messaging::settings::Setup;
use crate::messaging::store;
use crate::metrics;
use crate::one_time_codes::take_sms;
use crate::outbox::Delivery;

/// How long a receipt may still tell what became of a call that nobody saw end.
const RECEIPT_WITHIN: i64 = 60;

/// A message that can go, and what it has to reckon with.
pub(super) struct Prepared {
    pub(super) facts: Box<Facts>,
    pub(super) setup: Arc<Setup>,
    pub(super) rule: Rule,
    pub(super) channels: Vec<Channel>,
}

impl Handing<'_> {
    /// Everything that decides, from the database and from memory.
    pub(super) async fn prepare(&mut self) -> Result<Prepared, Delivery> {
        let again = |error: String| again(self.class, self.row.attempts, error);
        let clinic = self.clinic;
        let problem = |problem: Problem| again(problem.to_string());
        let db = |error: sqlx::Error| again(error.to_string());
        let facts = match facts::facts(clinic, &self.at.visits, self.row).await {
            Ok(Composed::Facts(facts)) => facts,
            Ok(Composed::Needless(why)) => return Err(self.needless(why)),
            Err(ComposeError::Db(error)) => return Err(db(error)),
            Err(error) => return Err(Delivery::Failed { error: error.to_string() }),
        };
        let setup = self.setup().await.map_err(problem)?;
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
            let mut conn = clinic.read().await.map_err(problem)?;
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

    async fn setup(&self) -> Result<Arc<Setup>, Problem> {
        if let Some(setup) = self.at.setups.known(self.clinic).await {
            return Ok(setup);
        }
        let _turn = self.turn().await;
        Ok(self.at.setups.of(self.clinic, &mut self.clinic.read().await?).await?)
    }

    /// Money: each SMS with a code is counted against the day's budget, right before its call.
    pub(super) async fn may_pay_for(&self, channels: &[Channel]) -> Result<bool, Delivery> {
        if self.class != Class::Code || !channels.contains(&Channel::Sms) {
            return Ok(true);
        }
        let trouble = |error: String| again(self.class, self.row.attempts, error);
        let mut conn = self.clinic.read().await.map_err(|problem| trouble(problem.to_string()))?;
        let taken = take_sms(self.clinic, &mut conn, self.row).await;
        taken.map_err(|error| trouble(error.to_string()))
    }

    pub(super) fn needless(&self, why: &str) -> Delivery {
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
}
