//! Templates as the API shows and takes them.

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use serde::Serialize;
use serde_json::Value;

use super::book::Key;
use super::check::{Draft, Warning};
use super::language::Language;
use super::placeholder::Placeholder;
use super::store::TemplateRow;
use super::template::{DltTemplate, Registered, WhatsappTemplate};
use super::{builtin, template};
use crate::http::fields::{self, Fault, Fields, Readable};
use crate::messaging::channels::Channel;
use crate::money::Money;
use crate::time;

/// A text in a list.
#[derive(Clone, Debug, Serialize, Object)]
pub struct TemplateSummary {
    pub name: String,
    pub channel: Channel,
    pub language: Language,
    /// The clinic's own; else the product's.
    pub own: bool,
    /// Why its provider refuses it.
    pub disabled: Option<String>,
    /// What it may name in braces.
    pub placeholders: Vec<String>,
}

/// A text.
#[derive(Clone, Debug, Serialize, Object)]
pub struct TemplateView {
    pub name: String,
    pub channel: Channel,
    pub language: Language,
    /// The clinic's own; else the product's.
    pub own: bool,
    /// Of e-mail alone; else empty.
    pub subject: String,
    /// With placeholders in braces. A line whose placeholder has no value is left out.
    pub body: String,
    pub provider: Registered,
    /// Why its provider refuses it. Saving it anew ends that.
    pub disabled: Option<String>,
    /// What it may name in braces.
    pub placeholders: Vec<String>,
    pub updated_at: Option<String>,
    #[serde(skip)]
    #[oai(skip)]
    pub version: i64,
}

fn names(key: Key) -> Vec<String> {
    Placeholder::of(key.0).iter().map(|placeholder| placeholder.as_str().to_owned()).collect()
}

impl TemplateSummary {
    pub fn of(key: Key, own: Option<&TemplateRow>) -> Self {
        Self {
            name: key.0.as_str().to_owned(),
            channel: key.1,
            language: key.2,
            own: own.is_some(),
            disabled: own.and_then(|row| row.disabled.clone()),
            placeholders: names(key),
        }
    }
}

impl TemplateView {
    /// The clinic's own text, else the product's; `None` where there are no such messages.
    pub fn of(key: Key, own: Option<TemplateRow>) -> Option<Self> {
        let text = builtin::text(key.0, key.1, key.2)?;
        let (name, placeholders) = (key.0.as_str().to_owned(), names(key));
        let shown = |at: DateTime<Utc>| time::show(at);
        Some(match own {
            Some(row) => Self {
                name,
                channel: key.1,
                language: key.2,
                own: true,
                subject: row.subject,
                body: row.body,
                provider: row.provider.0,
                disabled: row.disabled,
                placeholders,
                updated_at: Some(shown(row.updated_at)),
                version: row.version,
            },
            None => Self {
                name,
                channel: key.1,
                language: key.2,
                own: false,
                subject: text.subject.clone(),
                body: text.body.trim().to_owned(),
                provider: template::Registered::default(),
                disabled: None,
                placeholders,
                updated_at: None,
                version: 0,
            },
        })
    }
}

/// Which text.
#[derive(Object)]
pub struct WhichTemplate {
    /// `whatsapp` unless given; for messages that go by e-mail alone, `email`.
    pub channel: Option<Channel>,
    /// The clinic's unless given.
    pub language: Option<Language>,
}

impl Readable for WhichTemplate {
    fn read(fields: &mut Fields) -> Option<Self> {
        let channel = fields.optional("channel", fields::choice);
        let language = fields.optional("language", fields::choice);
        Some(Self { channel, language })
    }
}

/// What a clinic says instead.
#[derive(Clone, Debug, Object)]
pub struct TemplateRequest {
    /// Of e-mail alone, and required there.
    pub subject: Option<String>,
    pub body: String,
    pub provider: Option<Registered>,
}

impl Readable for TemplateRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let subject = fields.optional("subject", fields::line(0, 1000));
        let body = fields.required("body", fields::prose(100_000));
        let provider = fields.optional_object("provider");
        Some(Self { subject, body: body?, provider })
    }
}

impl From<TemplateRequest> for Draft {
    fn from(request: TemplateRequest) -> Self {
        Self {
            subject: request.subject.unwrap_or_default(),
            body: request.body,
            provider: request.provider.unwrap_or_default(),
        }
    }
}

/// A text that is not kept; what is left out is as it stands.
#[derive(Clone, Debug, Object)]
pub struct PreviewRequest {
    pub subject: Option<String>,
    pub body: Option<String>,
    pub provider: Option<Registered>,
}

impl Readable for PreviewRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let subject = fields.optional("subject", fields::line(0, 1000));
        let body = fields.optional("body", fields::prose(100_000));
        let provider = fields.optional_object("provider");
        Some(Self { subject, body, provider })
    }
}

impl PreviewRequest {
    pub fn over(self, standing: TemplateView) -> Draft {
        Draft {
            subject: self.subject.unwrap_or(standing.subject),
            body: self.body.unwrap_or(standing.body),
            provider: self.provider.unwrap_or(standing.provider),
        }
    }
}

impl Readable for Registered {
    fn read(fields: &mut Fields) -> Option<Self> {
        let whatsapp = fields.optional_object("whatsapp");
        let dlt = fields.optional_object("dlt");
        Some(Self { whatsapp, dlt })
    }
}

impl Readable for WhatsappTemplate {
    fn read(fields: &mut Fields) -> Option<Self> {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let name =
            fields.required("name", word(1, 512, is_name, "lower case letters, digits and _"));
        let is_language = |c: char| c.is_ascii_alphabetic() || c == '_';
        let language = fields.required("language", word(2, 6, is_language, "as en, en_US or hi"));
        let parameters = fields.list("parameters", 30, fields::line(1, 40));
        let replies = fields.optional("replies", fields::boolean).unwrap_or_default();
        let parameters = parameters.unwrap_or_default();
        Some(Self { name: name?, language: language?, parameters, replies })
    }
}

impl Readable for DltTemplate {
    fn read(fields: &mut Fields) -> Option<Self> {
        let is_digit = |c: char| c.is_ascii_digit();
        let pe_id = fields.required("pe_id", word(19, 19, is_digit, "19 digits"));
        let is_plain = |c: char| c.is_ascii_alphanumeric();
        let header = fields.required("header", word(3, 11, is_plain, "3 to 11 letters and digits"));
        let dlt_template_id =
            fields.required("dlt_template_id", word(19, 19, is_digit, "19 digits"));
        let is_id = |c: char| c.is_ascii_graphic();
        let template_id =
            fields.optional("template_id", word(1, 64, is_id, "an id without spaces"));
        let text = fields.required("text", fields::prose(2000));
        let variables = fields.list("variables", 30, variable);
        Some(Self {
            pe_id: pe_id?,
            header: header?,
            dlt_template_id: dlt_template_id?,
            template_id,
            text: text?.replace("\r\n", "\n"),
            variables: variables.unwrap_or_default(),
        })
    }
}

/// A word of so many letters, all of a kind.
fn word(
    min: usize,
    max: usize,
    is_good: impl Fn(char) -> bool,
    expected: &'static str,
) -> impl Fn(Value) -> Result<String, Fault> {
    move |value| {
        let text = fields::line(1, 1000)(value)?;
        let good = (min..=max).contains(&text.len()) && text.chars().all(&is_good);
        good.then_some(text).ok_or_else(|| Fault("invalid_format", format!("expected {expected}")))
    }
}

/// A variable's name at a provider. One has a meaning of its own there.
fn variable(value: Value) -> Result<String, Fault> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = word(1, 32, is_good, "letters, digits and _")(value)?;
    match name.as_str() {
        "mobiles" => {
            Err(Fault("invalid_format", "the provider keeps this name for the number".into()))
        }
        _ => Ok(name),
    }
}

/// What a text looks like, filled in with sample facts.
#[derive(Clone, Debug, Serialize, Object)]
pub struct PreviewView {
    pub name: String,
    pub channel: Channel,
    pub language: Language,
    /// What it is about: an e-mail's subject.
    pub subject: String,
    pub text: String,
    /// Of e-mail alone.
    pub html: Option<String>,
    /// Of SMS alone.
    pub sms: Option<SmsPreview>,
    /// What WhatsApp is given for `{{1}}`, `{{2}}` and so on.
    pub parameters: Vec<String>,
    /// The text as it is to be registered with WhatsApp or the operators.
    pub to_register: Option<String>,
    pub warnings: Vec<WarningView>,
}

/// What a text message takes.
#[derive(Clone, Debug, Serialize, Object)]
pub struct SmsPreview {
    /// `gsm7`, or `ucs2` where a character is beyond that.
    pub encoding: String,
    pub units: u32,
    /// Each costs as much as a message of its own.
    pub segments: u32,
    /// Where the clinic has set a price for a segment.
    pub cost: Option<Money>,
}

/// Something that is no fault, but that somebody should know.
#[derive(Clone, Debug, Serialize, Object)]
pub struct WarningView {
    pub code: String,
    pub message: String,
}

impl From<Warning> for WarningView {
    fn from(warning: Warning) -> Self {
        Self { code: warning.code.to_owned(), message: warning.message.to_owned() }
    }
}
