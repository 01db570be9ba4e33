//! What a clinic's own text must keep to. A fault is found when it is saved, not when it should be sent.

use chrono_tz::Tz;

use super::book::Key;
use super::pattern::{Pattern, PatternFault};
use super::placeholder::Placeholder;
use super::sample;
use super::template::{DltTemplate, Registered, Template, WhatsappTemplate};
use super::words::{self, About, Said, Words};
use crate::error::FieldError;
use crate::messaging::channels::Channel;
use crate::messaging::channels::sms::dlt;
use crate::messaging::channels::sms::segments::{
    LONGEST_VARIABLE, MANY_SEGMENTS, TOO_MANY_SEGMENTS,
};

const LONGEST_SUBJECT: usize = 150;
const LONGEST_EMAIL: usize = 10_000;
const LONGEST_WHATSAPP: usize = 1024;
const LONGEST_SMS: usize = 1000;
/// A preview on a locked phone shows little more.
const CODE_WITHIN: usize = 40;

/// A text as somebody wants it.
#[derive(Clone, Debug)]
pub struct Draft {
    pub subject: String,
    pub body: String,
    pub provider: Registered,
}

/// What the text is checked against.
pub struct Setting<'a> {
    pub about: &'a About,
    pub zone: Tz,
    /// Texts must be registered with the operators there.
    pub in_india: bool,
    /// What the clinic's doctors are good at: no subject names it.
    pub specialties: &'a [String],
}

/// A good text, and what it looks like.
pub struct Checked {
    pub template: Template,
    pub words: Words,
    pub warnings: Vec<Warning>,
}

/// Something that is no fault, but that somebody should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning {
    pub code: &'static str,
    pub message: &'static str,
}

/// # Errors
/// Everything that is wrong with it.
pub fn check(key: Key, draft: &Draft, setting: &Setting<'_>) -> Result<Checked, Vec<FieldError>> {
    let (kind, channel, language) = key;
    let mut faults = Vec::new();
    let known = Placeholder::of(kind);
    let subject = read("/subject", &draft.subject, known, &mut faults);
    let body = read("/body", &draft.body, known, &mut faults);
    check_subject(channel, &draft.subject, subject.as_ref(), setting, &mut faults);
    let longest = match channel {
        Channel::Email => LONGEST_EMAIL,
        Channel::Whatsapp => LONGEST_WHATSAPP,
        Channel::Sms => LONGEST_SMS,
    };
    check_length("/body", &draft.body, longest, &mut faults);
    let (Some(subject), Some(body)) = (subject, body) else { return Err(faults) };
    for missing in Placeholder::missing(kind, channel, &body.named()) {
        let message = format!("a message of this kind must name {{{}}}", missing.as_str());
        faults.push(FieldError::body("/body", "missing_placeholder", message));
    }
    check_provider(key, &body, &draft.provider, setting, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let template = Template { subject, body, provider: draft.provider.clone(), disabled: None };
    let facts = sample::facts(kind, language, setting.about, setting.zone);
    let words = words::put(setting.about, &facts, &template, channel, language)
        .map_err(|error| vec![FieldError::body("/body", "cannot_be_sent", error.to_string())])?;
    let warnings = look_at(key, &template, &words, setting)?;
    Ok(Checked { template, words, warnings })
}

fn read(
    pointer: &str,
    text: &str,
    known: &[Placeholder],
    faults: &mut Vec<FieldError>,
) -> Option<Pattern> {
    let found = match Pattern::parse(text, known) {
        Ok(pattern) => return Some(pattern),
        Err(found) => found,
    };
    for fault in found {
        let code = match fault {
            PatternFault::Unknown(_) => "unknown_placeholder",
            PatternFault::StrayBrace => "stray_brace",
        };
        faults.push(FieldError::body(pointer, code, fault.to_string()));
    }
    None
}

fn check_length(pointer: &str, text: &str, longest: usize, faults: &mut Vec<FieldError>) {
    match text.chars().count() {
        0 => faults.push(FieldError::body(pointer, "required", "this field may not be empty")),
        n if n > longest => {
            let message = format!("at most {longest} characters");
            faults.push(FieldError::body(pointer, "too_long", message));
        }
        _ => {}
    }
}

fn check_subject(
    channel: Channel,
    text: &str,
    pattern: Option<&Pattern>,
    setting: &Setting<'_>,
    faults: &mut Vec<FieldError>,
) {
    let mut fault =
        |code, message: String| faults.push(FieldError::body("/subject", code, message));
    if channel != Channel::Email {
        if !text.is_empty() {
            fault("not_for_channel", "only an e-mail has a subject".into());
        }
        return;
    }
    for placeholder in pattern.map(Pattern::named).unwrap_or_default() {
        if !placeholder.may_be_in_subject() {
            let message =
                format!("others see a subject: it may not name {{{}}}", placeholder.as_str());
            fault("not_in_subject", message);
        }
    }
    let folded = text.to_lowercase();
    let named = setting.specialties.iter().map(|specialty| specialty.trim().to_lowercase());
    if named.filter(|specialty| !specialty.is_empty()).any(|specialty| folded.contains(&specialty))
    {
        fault("names_specialty", "others see a subject: it may not name a speciality".into());
    }
    check_length("/subject", text, LONGEST_SUBJECT, faults);
}

fn check_provider(
    key: Key,
    body: &Pattern,
    provider: &Registered,
    setting: &Setting<'_>,
    faults: &mut Vec<FieldError>,
) {
    let mut misplaced = |pointer: &str, message: &str| {
        faults.push(FieldError::body(pointer, "not_for_channel", message));
    };
    if provider.whatsapp.is_some() && key.1 != Channel::Whatsapp {
        misplaced("/provider/whatsapp", "only a WhatsApp message has a template there");
    }
    if provider.dlt.is_some() && key.1 != Channel::Sms {
        misplaced("/provider/dlt", "only an SMS is registered with operators");
    }
    if let (Channel::Whatsapp, Some(there)) = (key.1, &provider.whatsapp) {
        check_whatsapp(key, body, there, faults);
    }
    if let (Channel::Sms, Some(dlt)) = (key.1, &provider.dlt) {
        check_dlt(key, body, dlt, setting, faults);
    }
    if key.1 == Channel::Whatsapp && !key.0.is_code() {
        let optional = body.named().into_iter().filter(|p| p.may_be_missing(key.0));
        for placeholder in optional {
            faults.push(may_be_missing(placeholder));
        }
    }
}

fn may_be_missing(placeholder: Placeholder) -> FieldError {
    let message = format!(
        "{{{}}} may have no value, and a registered text cannot leave a line out",
        placeholder.as_str()
    );
    FieldError::body("/body", "may_be_missing", message)
}

fn check_whatsapp(
    key: Key,
    body: &Pattern,
    there: &WhatsappTemplate,
    faults: &mut Vec<FieldError>,
) {
    if there.parameters.is_empty() {
        return;
    }
    let mut given: Vec<&str> = there.parameters.iter().map(String::as_str).collect();
    given.sort_unstable();
    given.dedup();
    let named = if key.0.is_code() { Vec::new() } else { body.named() };
    let mut named: Vec<&str> = named.into_iter().map(Placeholder::as_str).collect();
    named.sort_unstable();
    if given != named {
        let message = match key.0.is_code() {
            true => "a code's template has no parameters but the code".to_owned(),
            false => {
                format!("the placeholders of the body, once each at least: {}", named.join(", "))
            }
        };
        faults.push(FieldError::body("/provider/whatsapp/parameters", "does_not_match", message));
    }
}

fn check_dlt(
    key: Key,
    body: &Pattern,
    there: &DltTemplate,
    setting: &Setting<'_>,
    faults: &mut Vec<FieldError>,
) {
    if skeleton(&there.text) != Some(to_register(body, setting.about)) {
        let message =
            "the body with {#var#} in place of each placeholder must be this text, to the letter";
        faults.push(FieldError::body("/provider/dlt/text", "does_not_match", message));
    }
    let places = body.placeholders().filter(|p| *p != Placeholder::Host).count();
    if !there.variables.is_empty() && there.variables.len() != places {
        let message = format!("one name for each of the {places} placeholders, or none at all");
        faults.push(FieldError::body("/provider/dlt/variables", "does_not_match", message));
    }
    for placeholder in body.named() {
        if placeholder != Placeholder::Host && placeholder.may_be_missing(key.0) {
            faults.push(may_be_missing(placeholder));
        }
    }
}

/// A registered text with `{#var#}` for each of its variables, whatever their kind.
fn skeleton(registered: &str) -> Option<String> {
    dlt::render(registered, &vec!["{#var#}"; dlt::variables(registered)]).ok()
}

/// The text as operators register it. The host is a part of it.
pub fn to_register(body: &Pattern, about: &About) -> String {
    body.fill(|placeholder| match placeholder {
        Placeholder::Host => about.is_https.then(|| about.host.clone()),
        _ => Some("{#var#}".into()),
    })
}

fn look_at(
    key: Key,
    template: &Template,
    words: &Words,
    setting: &Setting<'_>,
) -> Result<Vec<Warning>, Vec<FieldError>> {
    use secrecy::ExposeSecret;
    let refuse = |code, message: String| Err(vec![FieldError::body("/body", code, message)]);
    let mut warnings = Vec::new();
    let mut warn = |code, message| warnings.push(Warning { code, message });
    let text = words.text.expose_secret();
    match &words.said {
        Said::Sms { measured, .. } => {
            if measured.segments > TOO_MANY_SEGMENTS {
                let message = format!(
                    "{} segments, at most {TOO_MANY_SEGMENTS}: shorten it",
                    measured.segments
                );
                return refuse("too_many_segments", message);
            }
            if measured.segments > MANY_SEGMENTS {
                warn("many_segments", "each segment costs as much as a message of its own");
            }
            if setting.in_india && template.provider.dlt.is_none() {
                warn(
                    "not_registered",
                    "operators in India drop a text that is not registered with them",
                );
            }
            if key.0.is_code() {
                if !comes_early(&template.body) {
                    let message =
                        format!("the code must come within the first {CODE_WITHIN} characters");
                    return refuse("code_too_late", message);
                }
                let autofill = format!("@{} #482913", setting.about.host);
                let odd = text.lines().rev().skip(1).any(|line| line.starts_with('@'));
                let last = text.lines().last().unwrap_or_default();
                if odd || last.starts_with('@') && last != autofill {
                    let message = "a line that begins with @ must be the last: @{host} #{code}";
                    return refuse("bad_autofill", message.into());
                }
                if setting.about.is_https && last != autofill {
                    warn(
                        "no_autofill",
                        "without @{host} #{code} as its last line nobody's browser fills the code in",
                    );
                }
            }
        }
        Said::Whatsapp(_) if !key.0.is_code() => {
            if text.chars().count() > LONGEST_WHATSAPP {
                let message = format!("filled in it has more than {LONGEST_WHATSAPP} characters");
                return refuse("too_long", message);
            }
            if template.body.begins_or_ends_with_a_placeholder() {
                warn(
                    "placeholder_at_edge",
                    "WhatsApp registers no text that begins or ends with a placeholder",
                );
            }
        }
        _ => {}
    }
    Ok(warnings)
}

/// Whether the code comes early enough, however long the names before it are.
fn comes_early(body: &Pattern) -> bool {
    let marked = body.fill(|placeholder| match placeholder {
        Placeholder::Code => Some("\u{0}".into()),
        _ => Some("x".repeat(LONGEST_VARIABLE)),
    });
    let before = marked.split('\u{0}').next().unwrap_or_default();
    before.chars().count() + 6 <= CODE_WITHIN
}
