//! What a caller says of a clinic's providers and policies.

use chrono::NaiveTime;
use poem_openapi::Object;
use serde::Serialize;
use serde_json::Value;

use super::model::{Policies, Policy, SmsProvider};
use crate::http::fields::{self, Fields, Readable};
use crate::messaging::channels::Channel;
use crate::messaging::policy::{Class, Mode};
use crate::money::Money;

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
    /// What a gateway's description names as `{secret.NAME}`. Left out, those that were given before stay while method, url, query,
    /// headers and body are the same.
    #[serde(skip)]
    #[oai(write_only)]
    pub secrets: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Object)]
pub struct EmailFields {
    /// `smtps://user:password@host`. Left out, the one that was given before stays; null gives it up: the platform's own mail
    /// server takes its place.
    #[serde(skip)]
    #[oai(write_only)]
    pub smtp_url: Option<String>,
    #[serde(skip)]
    #[oai(skip)]
    pub keeps_server: bool,
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

/// `PUT /settings/messaging`: whole, but for secrets, which stay where they are left out and may.
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
            keeps_server: !fields.has("smtp_url"),
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
