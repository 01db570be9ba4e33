//! What is kept of a clinic's providers and policies, and what may be said of them.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveTime, Utc};
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::fields::{self, Fields, Readable};
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

/// WhatsApp's part. Secrets go in alone; left out, those that were given before stay.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct WhatsappFields {
    pub phone_number_id: String,
    pub waba_id: Option<String>,
    /// Of Meta's API: `v23.0` unless given.
    pub version: Option<String>,
    #[serde(skip)]
    #[oai(write_only)]
    pub token: Option<String>,
    #[serde(skip)]
    #[oai(write_only)]
    pub app_secret: Option<String>,
    #[serde(skip)]
    #[oai(write_only)]
    pub verify_token: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct SmsFields {
    pub provider: SmsProvider,
    /// Twilio's.
    pub account_sid: Option<String>,
    pub from: Option<String>,
    pub messaging_service_sid: Option<String>,
    /// A gateway, described: method, url, headers, body, success, id, reports.
    pub gateway: Option<Value>,
    #[serde(skip)]
    #[oai(write_only)]
    pub auth_key: Option<String>,
    #[serde(skip)]
    #[oai(write_only)]
    pub auth_token: Option<String>,
    /// What a gateway's description names as `{secret.NAME}`.
    #[serde(skip)]
    #[oai(write_only)]
    pub secrets: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct EmailFields {
    /// `smtps://user:password@host`; none: the platform's own mail server.
    #[serde(skip)]
    #[oai(write_only)]
    pub smtp_url: Option<String>,
    pub from: Option<String>,
    pub reply_to: Option<String>,
    /// Signs every letter; `from` has to be an address of this domain.
    pub dkim: Option<DkimFields>,
    /// Letters that cannot be delivered come back to `bounce+…` at this domain, whose mail server posts them to `state.email.bounce_url`.
    pub bounce_domain: Option<String>,
}

/// DKIM. The record to publish is in `state.email.dns_records`.
#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct DkimFields {
    pub domain: String,
    pub selector: String,
    /// RSA, in PEM. Left out, the one that was given or made for this domain and selector stays; else one is made.
    #[serde(skip)]
    #[oai(write_only)]
    pub private_key: Option<String>,
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

/// `PUT /settings/messaging`: whole, but for secrets, which stay where they are left out.
#[derive(Clone, Debug, Object)]
pub struct SettingsRequest {
    pub whatsapp: Option<WhatsappFields>,
    pub sms: Option<SmsFields>,
    pub email: Option<EmailFields>,
    pub policies: Option<PoliciesRequest>,
    /// What the provider asks for one segment of a text message: shown beside the texts.
    pub sms_segment_price: Option<Money>,
}

/// Classes that are left out take the product's policy.
#[derive(Clone, Debug, Object)]
pub struct PoliciesRequest {
    pub code: Option<Policy>,
    pub appointment: Option<Policy>,
    pub reminder: Option<Policy>,
    pub document: Option<Policy>,
    pub receipt: Option<Policy>,
    pub advice: Option<Policy>,
    pub account: Option<Policy>,
}

impl PoliciesRequest {
    /// Those that differ from the product's.
    pub fn own(self) -> Policies {
        let Self { code, appointment, reminder, document, receipt, advice, account } = self;
        [
            (Class::Code, code),
            (Class::Appointment, appointment),
            (Class::Reminder, reminder),
            (Class::Document, document),
            (Class::Receipt, receipt),
            (Class::Advice, advice),
            (Class::Account, account),
        ]
        .into_iter()
        .filter_map(|(class, policy)| Some((class, policy?)))
        .filter(|(class, policy)| policy.rule() != class.rule())
        .collect()
    }
}

const SECRET: usize = 2000;
/// The patience of a policy that says nothing of it.
const ACCEPT_SECONDS: u32 = 30;

impl Readable for SettingsRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            whatsapp: fields.optional_object("whatsapp"),
            sms: fields.optional_object("sms"),
            email: fields.optional_object("email"),
            policies: fields.optional_object("policies"),
            sms_segment_price: fields.optional_object("sms_segment_price"),
        })
    }
}

impl Readable for WhatsappFields {
    fn read(fields: &mut Fields) -> Option<Self> {
        let phone_number_id = fields.required("phone_number_id", digits);
        let rest = Self {
            phone_number_id: String::new(),
            waba_id: fields.optional("waba_id", digits),
            version: fields.optional("version", version),
            token: fields.optional("token", secret),
            app_secret: fields.optional("app_secret", secret),
            verify_token: fields.optional("verify_token", secret),
        };
        Some(Self { phone_number_id: phone_number_id?, ..rest })
    }
}

impl Readable for SmsFields {
    fn read(fields: &mut Fields) -> Option<Self> {
        let provider = fields.required("provider", fields::choice);
        let rest = Self {
            provider: SmsProvider::Msg91,
            account_sid: fields.optional("account_sid", fields::line(1, 64)),
            from: fields.optional("from", fields::line(1, 32)),
            messaging_service_sid: fields.optional("messaging_service_sid", fields::line(1, 64)),
            gateway: fields.optional("gateway", Ok),
            auth_key: fields.optional("auth_key", secret),
            auth_token: fields.optional("auth_token", secret),
            secrets: fields.optional("secrets", Ok),
        };
        Some(Self { provider: provider?, ..rest })
    }
}

impl Readable for EmailFields {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            smtp_url: fields.optional("smtp_url", secret),
            from: fields.optional("from", fields::email),
            reply_to: fields.optional("reply_to", fields::email),
            dkim: fields.optional_object("dkim"),
            bounce_domain: fields.optional("bounce_domain", domain),
        })
    }
}

impl Readable for DkimFields {
    fn read(fields: &mut Fields) -> Option<Self> {
        let domain = fields.required("domain", domain);
        let selector = fields.required("selector", labels);
        let private_key = fields.optional("private_key", fields::verbatim(1, 10_000));
        Some(Self { domain: domain?, selector: selector?, private_key })
    }
}

impl Readable for PoliciesRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            code: fields.optional_object("code"),
            appointment: fields.optional_object("appointment"),
            reminder: fields.optional_object("reminder"),
            document: fields.optional_object("document"),
            receipt: fields.optional_object("receipt"),
            advice: fields.optional_object("advice"),
            account: fields.optional_object("account"),
        })
    }
}

impl Readable for Policy {
    fn read(fields: &mut Fields) -> Option<Self> {
        let enabled = fields.optional("enabled", fields::boolean).unwrap_or(true);
        let mode = fields.optional("mode", fields::choice).unwrap_or(Mode::Sequential);
        let names_channels = fields.has("channels");
        let channels: Option<Vec<Channel>> = fields.list("channels", 3, fields::choice);
        if !names_channels {
            fields.fault("channels", "required", "this field is required");
        }
        let accept_seconds = fields.optional("accept_seconds", fields::integer(1, 86_400));
        let deliver_seconds = fields.optional("deliver_seconds", fields::integer(1, 86_400));
        let quiet_from = fields.optional("quiet_from", fields::time_of_day);
        let quiet_to = fields.optional("quiet_to", fields::time_of_day);
        if quiet_from.is_some() != quiet_to.is_some()
            || quiet_from.is_some() && quiet_from == quiet_to
        {
            fields.fault(
                "quiet_to",
                "invalid_value",
                "quiet hours have a beginning and another end",
            );
        }
        let channels = channels?;
        if channels.iter().enumerate().any(|(at, one)| channels[..at].contains(one)) {
            fields.fault("channels", "repeated", "each channel once");
        }
        if channels.is_empty() && enabled {
            fields.fault("channels", "required", "at least one channel, or `enabled: false`");
        }
        let shown = |time: NaiveTime| time.format("%H:%M").to_string();
        Some(Self {
            enabled,
            mode,
            channels,
            accept_seconds: accept_seconds.map_or(ACCEPT_SECONDS, |seconds| seconds as u32),
            deliver_seconds: deliver_seconds.map(|seconds| seconds as u32),
            quiet_from: quiet_from.map(shown),
            quiet_to: quiet_to.map(shown),
        })
    }
}

/// A secret holds nothing that could end a header.
fn secret(value: Value) -> Result<String, fields::Fault> {
    let text = fields::verbatim(1, SECRET)(value)?;
    match text.chars().any(char::is_control) {
        true => {
            Err(fields::Fault("invalid_characters", "control characters are not allowed".into()))
        }
        false => Ok(text),
    }
}

/// Labels of a name in the DNS.
fn labels(value: Value) -> Result<String, fields::Fault> {
    let text = fields::line(1, 190)(value)?.to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    match text.split('.').all(label) {
        true => Ok(text),
        false => Err(fields::Fault("invalid_format", "letters, digits, dashes and dots".into())),
    }
}

fn domain(value: Value) -> Result<String, fields::Fault> {
    let text = labels(value)?;
    match text.contains('.') {
        true => Ok(text),
        false => Err(fields::Fault("invalid_format", "expected a domain, shanti.example".into())),
    }
}

fn digits(value: Value) -> Result<String, fields::Fault> {
    let text = fields::line(1, 32)(value)?;
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text),
        false => Err(fields::Fault("invalid_format", "digits, as the provider shows it".into())),
    }
}

fn version(value: Value) -> Result<String, fields::Fault> {
    let text = fields::line(1, 8)(value)?;
    let fits = text.strip_prefix('v').is_some_and(|number| {
        number.split('.').count() == 2
            && number
                .split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    });
    match fits {
        true => Ok(text),
        false => Err(fields::Fault("invalid_format", "expected a version such as v23.0".into())),
    }
}
