//! By which channel a message goes, and when: pure rules, of what a clinic set, what a person wants and what has happened so
//! far. Nothing here reads a database, a clock or chance.

use std::time::Duration;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use poem_openapi::Enum;
use serde::{Deserialize, Serialize};

use super::channels::backoff::Backoff;
use super::channels::{Channel, Failure};
use super::consents::ConsentKind;
use super::kind::Kind;
use crate::time;

/// What a message is for, as far as its delivery goes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Enum,
)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum Class {
    Code,
    Appointment,
    Reminder,
    Document,
    Receipt,
    Advice,
    Account,
}

impl Class {
    pub const ALL: [Class; 7] = [
        Class::Code,
        Class::Appointment,
        Class::Reminder,
        Class::Document,
        Class::Receipt,
        Class::Advice,
        Class::Account,
    ];

    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::SignInCode | Kind::RegisterCode => Class::Code,
            Kind::Booked
            | Kind::Moved
            | Kind::Cancelled
            | Kind::ReplyFailed
            | Kind::Offered
            | Kind::OfferOver => Class::Appointment,
            Kind::ReminderDay | Kind::ReminderHours => Class::Reminder,
            Kind::Invited
            | Kind::PasswordReset
            | Kind::EmailVerification
            | Kind::PasswordChanged
            | Kind::SecondFactorAdded
            | Kind::SecondFactorRemoved
            | Kind::RecoveryCodesMade
            | Kind::EmailChanged => Class::Account,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Class::Code => "code",
            Class::Appointment => "appointment",
            Class::Reminder => "reminder",
            Class::Document => "document",
            Class::Receipt => "receipt",
            Class::Advice => "advice",
            Class::Account => "account",
        }
    }

    pub fn backoff(self) -> Backoff {
        match self {
            Class::Code => Backoff::CODE,
            Class::Appointment | Class::Account => Backoff::APPOINTMENT,
            Class::Reminder | Class::Advice => Backoff::REMINDER,
            Class::Document | Class::Receipt => Backoff::DOCUMENT,
        }
    }

    /// What a person may refuse; advice has to be asked for. Codes and links were asked for just now.
    pub fn consent(self) -> Option<ConsentKind> {
        match self {
            Class::Code | Class::Account => None,
            Class::Reminder => Some(ConsentKind::Reminders),
            Class::Advice => Some(ConsentKind::Marketing),
            Class::Appointment | Class::Document | Class::Receipt => Some(ConsentKind::Service),
        }
    }

    /// What the product does where a clinic says nothing else.
    pub fn rule(self) -> Rule {
        use Channel::{Email, Sms, Whatsapp};
        let night = || Some(Quiet { from: at(21), to: at(8) });
        let rule = |channels: &[Channel], accept, deliver, quiet| Rule {
            enabled: true,
            mode: Mode::Sequential,
            channels: channels.to_vec(),
            accept_seconds: accept,
            deliver_seconds: deliver,
            quiet,
        };
        match self {
            Class::Code => rule(&[Whatsapp, Sms, Email], 3, Some(12), None),
            Class::Appointment => rule(&[Whatsapp, Sms, Email], 30, Some(600), None),
            Class::Reminder => rule(&[Whatsapp, Email, Sms], 60, Some(900), night()),
            Class::Document => rule(&[Whatsapp, Email], 60, Some(1800), night()),
            Class::Receipt => rule(&[Email, Whatsapp], 300, None, night()),
            Class::Advice => rule(&[Whatsapp, Email], 300, None, night()),
            Class::Account => rule(&[Email], 300, None, None),
        }
    }
}

fn at(hour: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour of the day")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case", rename = "DeliveryMode")]
pub enum Mode {
    /// One channel after the other, until it arrived.
    Sequential,
    /// All at once.
    Parallel,
}

/// How messages of a class are delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub enabled: bool,
    pub mode: Mode,
    /// In this order.
    pub channels: Vec<Channel>,
    /// How long a channel may take until its provider has the message.
    pub accept_seconds: u32,
    /// How long after that it may take to arrive; none: that it was taken is enough.
    pub deliver_seconds: Option<u32>,
    pub quiet: Option<Quiet>,
}

/// Hours, in the reader's zone, in which nothing but what was asked for just now is sent. They may lie over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    pub from: NaiveTime,
    pub to: NaiveTime,
}

impl Quiet {
    /// The instant at which the quiet ends, if it is quiet now. Right also in nights that are an hour longer or shorter.
    pub fn ends(self, now: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        let civil = now.with_timezone(&zone).naive_local();
        let (today, clock) = (civil.date(), civil.time());
        let over_midnight = self.from > self.to;
        let quiet = match over_midnight {
            true => clock >= self.from || clock < self.to,
            false => clock >= self.from && clock < self.to,
        };
        if !quiet {
            return None;
        }
        let day = if over_midnight && clock >= self.from { today.succ_opt()? } else { today };
        Some(time::latest(zone, day.and_time(self.to)).max(now))
    }
}

/// What waited for the end of quiet hours leaves within so long after it.
pub const SPREAD: TimeDelta = TimeDelta::minutes(20);

/// So that eight o'clock is no burst: the same for the same message, less than [`SPREAD`].
pub fn spread(id: uuid::Uuid) -> TimeDelta {
    let most = SPREAD.num_milliseconds().unsigned_abs();
    TimeDelta::milliseconds((id.as_u64_pair().1 % most) as i64)
}

/// What is known of a person's channels.
#[derive(Clone, Debug, Default)]
pub struct Person<'a> {
    /// The newest first: `<kind> <channel or *> <granted>`.
    pub consents: &'a [String],
    pub unreachable: &'a [Channel],
    pub addresses: &'a [Channel],
    /// Those that they want first, in this order.
    pub order: &'a [Channel],
}

impl Person<'_> {
    /// The last word on a kind of messages by a channel.
    fn says(&self, kind: ConsentKind, channel: Channel) -> Option<bool> {
        self.consents.iter().find_map(|consent| {
            let mut words = consent.split(' ');
            let fits = words.next() == Some(kind.as_str())
                && words.next().is_some_and(|of| of == "*" || of == channel.as_str());
            fits.then(|| matches!(words.next(), Some("t" | "true")))
        })
    }
}

/// The channels that are left for a message, in their order, or why there are none: the reason of the one that came furthest.
pub fn choose(
    class: Class,
    rule: &Rule,
    asked: &[Channel],
    person: &Person<'_>,
    set_up: impl Fn(Channel) -> bool,
) -> Result<Vec<Channel>, &'static str> {
    if !rule.enabled {
        return Err("this clinic does not send messages of this class");
    }
    let mut left = Vec::new();
    let mut furthest = (0, "no channel is left: the clinic's policy has none that was asked for");
    let mut ordered: Vec<Channel> = match asked.is_empty() {
        true => rule.channels.clone(),
        false => rule.channels.iter().copied().filter(|channel| asked.contains(channel)).collect(),
    };
    // A code goes where it arrives soonest, and never where its asker may not be looking.
    if class != Class::Code {
        let wanted = |channel: &Channel| person.order.iter().position(|one| one == channel);
        ordered.sort_by_key(|channel| wanted(channel).unwrap_or(usize::MAX)); // stable
    }
    for channel in ordered {
        let consent = class.consent().map(|kind| person.says(kind, channel));
        let refused = match consent {
            None | Some(Some(true)) => false,
            Some(Some(false)) => true,
            Some(None) => class == Class::Advice,
        };
        let barred = match () {
            () if refused => (1, "this person does not want such messages"),
            () if !person.addresses.contains(&channel) => {
                (2, "there is no way to reach this person: no address is known")
            }
            () if person.unreachable.contains(&channel) => {
                (3, "there is no way to reach this person: the address is known not to work")
            }
            () if !set_up(channel) => {
                (4, "there is no way to reach this person: no provider is set up")
            }
            () => {
                left.push(channel);
                continue;
            }
        };
        if barred.0 > furthest.0 {
            furthest = barred;
        }
    }
    if left.is_empty() { Err(furthest.1) } else { Ok(left) }
}

/// How far a message has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub gave_up: Vec<Channel>,
    pub passed: Vec<Channel>,
    pub accepted: Vec<Channel>,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Call by these, at once.
    Try(Vec<Channel>),
    /// Every channel that is left has an open breaker.
    Pause(Duration),
    /// Some provider has it, and no other channel is left to wait for.
    Enough,
    /// No channel will ever take it.
    Nothing,
}

impl Progress {
    fn is_over(&self, channel: Channel) -> bool {
        self.gave_up.contains(&channel) || self.accepted.contains(&channel)
    }

    /// The next step with these channels; `rests` tells for how long a breaker is open yet.
    pub fn next(
        &mut self,
        mode: Mode,
        channels: &[Channel],
        rests: impl Fn(Channel) -> Option<Duration>,
    ) -> Step {
        let left: Vec<Channel> =
            channels.iter().copied().filter(|channel| !self.is_over(*channel)).collect();
        if left.is_empty() {
            return if self.accepted.is_empty() { Step::Nothing } else { Step::Enough };
        }
        let open = |channel: &Channel| rests(*channel).is_none();
        if mode == Mode::Parallel {
            let ready: Vec<Channel> = left.iter().copied().filter(open).collect();
            return match ready.is_empty() {
                false => Step::Try(ready),
                true => Step::Pause(shortest(&left, rests)),
            };
        }
        let fresh = left.iter().copied().find(|c| !self.passed.contains(c) && open(c));
        if let Some(channel) = fresh {
            return Step::Try(vec![channel]);
        }
        // All have had their turn: from the beginning.
        self.passed.clear();
        match left.iter().copied().find(open) {
            Some(channel) => Step::Try(vec![channel]),
            None => Step::Pause(shortest(&left, rests)),
        }
    }

    /// Whether another channel could take over from this one.
    pub fn has_another(
        &self,
        channel: Channel,
        channels: &[Channel],
        rests: impl Fn(Channel) -> Option<Duration>,
    ) -> bool {
        channels.iter().any(|other| {
            *other != channel
                && !self.is_over(*other)
                && !self.passed.contains(other)
                && rests(*other).is_none()
        })
    }
}

fn shortest(channels: &[Channel], rests: impl Fn(Channel) -> Option<Duration>) -> Duration {
    channels.iter().filter_map(|channel| rests(*channel)).min().unwrap_or_default()
}

/// What follows from a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// This channel will never take it.
    GiveUp,
    /// Not in time: the next channel's turn.
    PassOn,
    RetryIn(Duration),
}

/// What a call has to reckon with.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Calls on this channel so far that count, this one included.
    pub tries: u32,
    /// Of the time in which the channel has to take it.
    pub accept_left: Duration,
    /// Of the message.
    pub life_left: Duration,
    pub has_another: bool,
    pub parallel: bool,
}

/// Decides by the failure's class; `chance` is between 0 and 1.
pub fn after(class: Class, failure: &Failure, turn: Turn, chance: f64) -> After {
    if failure.class.next_channel() && !failure.class.opens_breaker_until_settings_change() {
        return After::GiveUp;
    }
    let backoff = class.backoff();
    let account = failure.class.opens_breaker_until_settings_change();
    if account {
        // Somebody may mend it while the message lives.
        let pause = Duration::from_secs(30).min(turn.life_left / 2).max(Duration::from_secs(1));
        return if turn.has_another { After::PassOn } else { After::RetryIn(pause) };
    }
    if failure.class.counts_as_try() && !backoff.goes_on_after(turn.tries, failure.most_tries) {
        return After::GiveUp;
    }
    let pause = backoff.pause(turn.tries.max(1), failure.retry_after, chance);
    let too_late = pause >= turn.life_left;
    if turn.has_another && !turn.parallel && (pause >= turn.accept_left || too_late) {
        return After::PassOn;
    }
    if too_late && failure.retry_after.is_some_and(|asked| asked >= turn.life_left) {
        return After::GiveUp;
    }
    After::RetryIn(pause)
}

#[cfg(test)]
mod tests;
