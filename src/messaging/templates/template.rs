//! One text for one kind, channel and language, and what its providers know it by.

use poem_openapi::Object;
use serde::{Deserialize, Serialize};

use super::pattern::{Pattern, PatternFault};
use super::placeholder::Placeholder;
use crate::messaging::kind::Kind;

/// A text, ready to be filled in.
#[derive(Clone, Debug)]
pub struct Template {
    /// Of e-mail alone; else empty.
    pub subject: Pattern,
    pub body: Pattern,
    pub provider: Registered,
    /// Why its provider refuses it.
    pub disabled: Option<String>,
}

impl Template {
    /// # Errors
    /// What is wrong with its text.
    pub fn read(kind: Kind, subject: &str, body: &str) -> Result<Self, Vec<PatternFault>> {
        let known = Placeholder::of(kind);
        Ok(Self {
            subject: Pattern::parse(subject, known)?,
            body: Pattern::parse(body, known)?,
            provider: Registered::default(),
            disabled: None,
        })
    }

    /// What fills in WhatsApp's `{{1}}`, `{{2}}` and so on.
    pub fn whatsapp_order(&self) -> Vec<Placeholder> {
        let given = self.provider.whatsapp.as_ref().map(|there| there.parameters.as_slice());
        match given.unwrap_or_default() {
            [] => self.body.named(),
            given => given.iter().filter_map(|name| Placeholder::named(name)).collect(),
        }
    }
}

/// As it is registered with those who carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct Registered {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whatsapp: Option<WhatsappTemplate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dlt: Option<DltTemplate>,
}

/// A template at WhatsApp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct WhatsappTemplate {
    pub name: String,
    /// As WhatsApp writes it: `en`, `en_US`, `hi`.
    pub language: String,
    /// What fills in `{{1}}`, `{{2}}` and so on; the placeholders of the body in their order unless given. A code's template
    /// has none.
    pub parameters: Vec<String>,
    /// Whether it has two quick-reply buttons: Confirm, then Cancel. What they carry is filled in.
    #[serde(default)]
    #[oai(default)]
    pub replies: bool,
}

/// A text registered with India's operators. What is sent must be it, to the letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct DltTemplate {
    /// The sender's registration, 19 digits.
    pub pe_id: String,
    /// The sender's name, 3 to 11 letters and digits.
    pub header: String,
    /// 19 digits.
    pub dlt_template_id: String,
    /// The provider's own id for it, where that has one.
    pub template_id: Option<String>,
    /// With `{#var#}` in each place that is filled in.
    pub text: String,
    /// The provider's names of the variables, in order; `VAR1`, `VAR2` … unless given.
    pub variables: Vec<String>,
}
