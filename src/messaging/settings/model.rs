//! What is kept of a clinic's providers and policies, and what may be said of them.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveTime, Utc};
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use super::request::{EmailFields, SmsFields, WhatsappFields};
use crate::messaging::channels::Channel;
use crate::messaging::channels::sms::gateway::Description;
use crate::messaging::policy::{Class, Mode, Quiet, Rule};
use crate::money::Money;
use crate::time::shown;

/// A clinic's accounts, as they lie sealed. It has no `Debug`.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Providers {
    pub whatsapp: Option<Whatsapp>,
    pub sms: Option<Sms>,
    pub email: Option<Email>,
    /// The part of a webhook's address that nobody can guess, for providers that sign nothing.
    #[serde(default)]
    pub webhook_key: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Whatsapp {
    pub phone_number_id: String,
    pub waba_id: String,
    pub token: String,
    pub app_secret: String,
    pub verify_token: String,
    pub version: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "provider", rename_all = "snake_case")]
pub enum Sms {
    Msg91 { auth_key: String },
    Twilio(Twilio),
    Gateway { description: Box<Description>, secrets: BTreeMap<String, String> },
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Twilio {
    pub account_sid: String,
    pub auth_token: String,
    pub from: Option<String>,
    pub messaging_service_sid: Option<String>,
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Email {
    /// None: the platform's own mail server.
    pub smtp_url: Option<String>,
    pub from: Option<String>,
    pub reply_to: Option<String>,
    #[serde(default)]
    pub dkim: Option<Dkim>,
    /// Letters that cannot be delivered come back to addresses of this domain.
    #[serde(default)]
    pub bounce_domain: Option<String>,
}

/// A sending domain's key.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Dkim {
    pub domain: String,
    pub selector: String,
    /// PEM.
    pub private_key: String,
}

/// A policy, whole: what a clinic says of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Object)]
pub struct Policy {
    pub enabled: bool,
    pub mode: Mode,
    /// In this order.
    pub channels: Vec<Channel>,
    /// How long a channel may take until its provider has the message (30 unless given); then the next one's turn comes.
    pub accept_seconds: u32,
    /// How long after that until it has arrived; null: that it was taken is enough.
    pub deliver_seconds: Option<u32>,
    /// `21:00`, in the reader's time zone; null: there are no quiet hours.
    pub quiet_from: Option<String>,
    pub quiet_to: Option<String>,
}

impl Policy {
    pub fn of(rule: &Rule) -> Self {
        let shown = |time: NaiveTime| time.format("%H:%M").to_string();
        Self {
            enabled: rule.enabled,
            mode: rule.mode,
            channels: rule.channels.clone(),
            accept_seconds: rule.accept_seconds,
            deliver_seconds: rule.deliver_seconds,
            quiet_from: rule.quiet.map(|quiet| shown(quiet.from)),
            quiet_to: rule.quiet.map(|quiet| shown(quiet.to)),
        }
    }

    pub fn rule(&self) -> Rule {
        let time = |text: &Option<String>| {
            text.as_deref().and_then(|text| NaiveTime::parse_from_str(text, "%H:%M").ok())
        };
        let quiet = time(&self.quiet_from).zip(time(&self.quiet_to));
        Rule {
            enabled: self.enabled,
            mode: self.mode,
            channels: self.channels.clone(),
            accept_seconds: self.accept_seconds,
            deliver_seconds: self.deliver_seconds,
            quiet: quiet.map(|(from, to)| Quiet { from, to }),
        }
    }
}

/// Policies by class, where they differ from the product's.
pub type Policies = BTreeMap<Class, Policy>;

/// What is shown of all classes.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct PoliciesView {
    pub code: Policy,
    pub appointment: Policy,
    pub reminder: Policy,
    pub document: Policy,
    pub receipt: Policy,
    pub advice: Policy,
    pub account: Policy,
}

impl PoliciesView {
    pub fn of(own: &Policies) -> Self {
        let of = |class: Class| own.get(&class).cloned().unwrap_or(Policy::of(&class.rule()));
        Self {
            code: of(Class::Code),
            appointment: of(Class::Appointment),
            reminder: of(Class::Reminder),
            document: of(Class::Document),
            receipt: of(Class::Receipt),
            advice: of(Class::Advice),
            account: of(Class::Account),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
pub enum SmsProvider {
    Msg91,
    Twilio,
    Gateway,
}

/// What is known of a provider beside its fields.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct ProviderState {
    pub configured: bool,
    /// The last four of its key.
    pub key_ends: Option<String>,
    /// Where the provider is to send its reports.
    pub webhook_url: Option<String>,
}

/// A record for the domain's DNS. A long value is cut there into texts of 255 letters.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct DnsRecord {
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub kind: String,
    pub name: String,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct EmailState {
    /// It has a mail server of its own.
    pub configured: bool,
    /// Where a provider is to send its reports.
    pub webhook_url: Option<String>,
    /// Where the mail server of `bounce_domain` is to post what comes back, as it came.
    pub bounce_url: Option<String>,
    /// To publish, so that its letters are believed.
    pub dns_records: Vec<DnsRecord>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct StateView {
    pub whatsapp: ProviderState,
    pub sms: ProviderState,
    pub email: EmailState,
}

/// `GET /settings/messaging`
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct SettingsView {
    pub whatsapp: Option<WhatsappFields>,
    pub sms: Option<SmsFields>,
    pub email: Option<EmailFields>,
    pub policies: PoliciesView,
    /// What the provider asks for one segment of a text message.
    pub sms_segment_price: Option<Money>,
    pub state: StateView,
    #[serde(with = "shown")]
    pub updated_at: DateTime<Utc>,
}
