//! From facts and a template to what a channel is given. Nothing here reads a database.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::language::Language;
use super::pattern::Pattern;
use super::placeholder::Placeholder;
use super::template::Template;
use super::{builtin, html};
use crate::messaging::channels::sms::dlt;
use crate::messaging::channels::sms::segments::{self, Measured};
use crate::messaging::channels::whatsapp::Content;
use crate::messaging::channels::{Channel, email, sms};
use crate::messaging::facts::{Facts, Values};
use crate::messaging::kind::Kind;
use crate::messaging::unsubscribe;

/// Names in a WhatsApp message: all of them together stay below what a body may have.
const LONGEST_NAME: usize = 100;
/// Longer subjects are cut by mail programs; ours are refused.
const LONGEST_SUBJECT: usize = 200;

/// A message, in words. It has no `Debug`: a code may be in it.
pub struct Words {
    pub language: Language,
    /// What it is about: an e-mail's subject, and what an inbox shows above the others.
    pub subject: String,
    /// As its reader sees it.
    pub text: SecretString,
    pub said: Said,
}

/// What the channel's client is given.
pub enum Said {
    Whatsapp(Content),
    Sms { text: sms::Text, measured: Measured },
    Email(Box<email::Letter>),
}

/// Why there are no words. The message names no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    #[error("a message of this kind never goes by {}", .0.as_str())]
    NotByThisChannel(Channel),
    #[error("this clinic's template is disabled: {0}")]
    Disabled(String),
    #[error("this clinic's template cannot be used: {0}")]
    Unusable(String),
    #[error("there is nothing to put for {{{0}}}")]
    NoValue(&'static str),
    #[error("{{{0}}} is longer than its place")]
    TooLong(&'static str),
    #[error("the text is not as registered with the operators")]
    NotAsRegistered,
}

/// What messages say of the clinic itself.
#[derive(Clone, Debug)]
pub struct About {
    pub name: String,
    pub language: String,
    /// Where the world finds it.
    pub host: String,
    /// Codes are bound to the host on https alone.
    pub is_https: bool,
}

impl About {
    /// A clinic of that name and language, at this address.
    pub fn new(name: &str, language: &str, url: &str) -> Self {
        let url = Url::parse(url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or("localhost").to_owned();
        let is_https = url.is_some_and(|url| url.scheme() == "https");
        Self { name: name.to_owned(), language: language.to_owned(), host, is_https }
    }
}

/// Puts facts into a template's words.
///
/// # Errors
/// When the template cannot take them, or the result may not be sent.
pub(super) fn put(
    about: &About,
    facts: &Facts,
    template: &Template,
    channel: Channel,
    language: Language,
) -> Result<Words, WordsError> {
    if !facts.kind.channels().contains(&channel) {
        return Err(WordsError::NotByThisChannel(channel));
    }
    if let Some(why) = &template.disabled {
        return Err(WordsError::Disabled(why.clone()));
    }
    let telling = Telling { about, facts, channel, language };
    telling.all_there(&template.subject)?;
    telling.all_there(&template.body)?;
    let text = template.body.fill(|placeholder| telling.value(placeholder));
    let about_what = match channel {
        Channel::Email => Some(&template.subject),
        _ => builtin::template(facts.kind, Channel::Email, language).map(|letter| &letter.subject),
    };
    let subject = about_what.map(|subject| subject.fill(|placeholder| telling.value(placeholder)));
    let subject = cut_letters(&subject.unwrap_or_default(), LONGEST_SUBJECT).to_owned();
    let said = match channel {
        Channel::Whatsapp => Said::Whatsapp(telling.content(template)?),
        Channel::Sms => telling.sms(template, &text)?,
        Channel::Email => Said::Email(Box::new(telling.letter(subject.clone(), &text))),
    };
    Ok(Words { language, subject, text: text.into(), said })
}

struct Telling<'a> {
    about: &'a About,
    facts: &'a Facts,
    channel: Channel,
    language: Language,
}

impl Telling<'_> {
    /// One line, as long as the channel lets it be.
    fn value(&self, placeholder: Placeholder) -> Option<String> {
        let line = one_line(&self.raw(placeholder)?);
        let most = match self.channel {
            Channel::Sms => segments::LONGEST_VARIABLE,
            Channel::Whatsapp => LONGEST_NAME,
            Channel::Email => usize::MAX,
        };
        let line = match placeholder.may_be_cut() {
            true => segments::cut(&line, most).to_owned(),
            false => line,
        };
        (!line.is_empty()).then_some(line)
    }

    fn raw(&self, placeholder: Placeholder) -> Option<Cow<'_, str>> {
        use Placeholder::*;
        match placeholder {
            GivenName => return self.facts.recipient.given_name().map(Cow::from),
            Clinic => return Some(self.about.name.as_str().into()),
            Host => return self.about.is_https.then(|| self.about.host.as_str().into()),
            _ => {}
        }
        match (&self.facts.values, placeholder) {
            (Values::Code { code, .. }, Code) => Some(code.expose_secret().into()),
            (Values::Code { minutes, .. }, Minutes) => Some(minutes.to_string().into()),
            (Values::Code { minutes, .. }, Lifetime) => {
                Some(self.language.minutes(*minutes).into())
            }
            (Values::Link { url, .. }, Link) => Some(url.expose_secret().into()),
            (Values::Link { until, .. }, Until) => {
                Some(self.when(*until, self.facts.recipient.time_zone).into())
            }
            (Values::Offer { visit, until }, Until) => Some(self.when(*until, visit.zone).into()),
            (Values::Notice { at }, _) => {
                let zone = self.facts.recipient.time_zone;
                let civil = at.with_timezone(&zone);
                match placeholder {
                    When => Some(self.when(*at, zone).into()),
                    Date => Some(self.language.date(&civil).into()),
                    Time => Some(self.language.time(&civil).into()),
                    Zone => Some(zone.name().into()),
                    _ => None,
                }
            }
            (Values::Visit(visit) | Values::Offer { visit, .. }, _) => match placeholder {
                Patient => Some(visit.patient.as_str().into()),
                Number => Some(visit.number.as_str().into()),
                Doctor => Some(visit.doctor.as_str().into()),
                When => Some(self.when(visit.starts_at, visit.zone).into()),
                Date => {
                    let at = visit.starts_at.with_timezone(&visit.zone);
                    Some(match self.channel {
                        Channel::Sms => self.language.date_short(&at).into(),
                        _ => self.language.date(&at).into(),
                    })
                }
                Time => {
                    let at = visit.starts_at.with_timezone(&visit.zone);
                    Some(self.language.time(&at).into())
                }
                Zone => Some(visit.zone.name().into()),
                Location => Some(visit.location.as_str().into()),
                Address => Some(visit.address.as_str().into()),
                RespondUrl => visit.respond_url.as_deref().map(Cow::from),
                Phone => visit.phone.as_deref().map(Cow::from),
                _ => None,
            },
            _ => None,
        }
    }

    fn when(&self, at: DateTime<Utc>, zone: chrono_tz::Tz) -> String {
        let at = at.with_timezone(&zone);
        match self.channel {
            Channel::Sms => self.language.when_short(&at),
            _ => self.language.when(&at),
        }
    }

    /// What may be missing takes its line with it; anything else that is missing is a fault.
    fn all_there(&self, pattern: &Pattern) -> Result<(), WordsError> {
        for placeholder in pattern.named() {
            let value = self.value(placeholder);
            if value.is_none() && !placeholder.may_be_missing(self.facts.kind) {
                return Err(WordsError::NoValue(placeholder.as_str()));
            }
            let long = value
                .is_some_and(|value| value.encode_utf16().count() > segments::LONGEST_VARIABLE);
            // An address is whole or of no use.
            let whole = matches!(placeholder, Placeholder::Host | Placeholder::RespondUrl);
            if self.channel == Channel::Sms && long && !whole {
                return Err(WordsError::TooLong(placeholder.as_str()));
            }
        }
        Ok(())
    }

    fn content(&self, template: &Template) -> Result<Content, WordsError> {
        let kind: Kind = self.facts.kind;
        let registered = template.provider.whatsapp.as_ref();
        let name = registered.map_or_else(|| kind.registered_name(), |there| there.name.clone());
        let language = registered.map_or(self.language.as_str(), |there| &there.language);
        let language = language.to_owned();
        if let Values::Code { code, .. } = &self.facts.values {
            return Ok(Content::Code { template: name, language, code: code.clone() });
        }
        let parameters: Result<Vec<String>, WordsError> = template
            .whatsapp_order()
            .into_iter()
            .map(|placeholder| {
                self.value(placeholder).ok_or(WordsError::NoValue(placeholder.as_str()))
            })
            .collect();
        Ok(Content::Template {
            name,
            language,
            document: None,
            parameters: parameters?,
            // The product's own templates have their buttons; of others it is known only if somebody says so.
            replies: match registered.is_none_or(|there| there.replies) {
                true => self.facts.replies.clone(),
                false => Vec::new(),
            },
        })
    }

    /// Where the text is registered it is written from that; it must come out as the template's own words.
    fn sms(&self, template: &Template, text: &str) -> Result<Said, WordsError> {
        let there = template.provider.dlt.as_ref();
        let values: Vec<String> = template
            .body
            .placeholders()
            .filter(|placeholder| *placeholder != Placeholder::Host)
            .filter_map(|placeholder| self.value(placeholder))
            .collect();
        if let Some(there) = there {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let written = dlt::render(&there.text, &values);
            if written.ok().as_deref() != Some(text) {
                return Err(WordsError::NotAsRegistered);
            }
        }
        let names = there.map(|there| there.variables.as_slice()).unwrap_or_default();
        let variables = values.into_iter().enumerate().map(|(place, value)| {
            let name = names.get(place).cloned();
            (name.unwrap_or_else(|| format!("VAR{}", place + 1)), value.into())
        });
        let template_id = match there {
            Some(there) => there.template_id.clone(),
            None => Some(self.facts.kind.registered_name()),
        };
        Ok(Said::Sms {
            measured: segments::measure(text),
            text: sms::Text {
                text: text.into(),
                template_id,
                dlt_template_id: there.map(|there| there.dlt_template_id.clone()),
                variables: variables.collect(),
            },
        })
    }

    fn letter(&self, subject: String, text: &str) -> email::Letter {
        let text = match &self.facts.unsubscribe {
            Some(url) => format!("{text}\n\n{}\n{url}\n", unsubscribe::line(self.language)),
            None => format!("{text}\n"),
        };
        let unsubscribe = self.facts.unsubscribe.clone();
        let unsubscribe = unsubscribe.map(|url| email::Unsubscribe { url, mailto: None });
        email::Letter {
            to_name: one_line(&self.facts.recipient.name),
            from: (self.about.name.clone(), format!("no-reply@{}", self.about.host)),
            reply_to: None,
            subject,
            html: html::of(&text, self.language),
            text,
            unsubscribe,
            files: Vec::new(),
            return_path: None,
            signer: None,
            written_at: self.facts.written_at,
        }
    }
}

/// A value as a message holds it: no line breaks, no control characters, nothing that turns the direction of what follows.
fn one_line(value: &str) -> String {
    let turns = |letter: char| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let words: Vec<String> = value
        .split_whitespace()
        .map(|word| word.chars().filter(|l| !l.is_control() && !turns(*l)).collect())
        .filter(|word: &String| !word.is_empty())
        .collect();
    words.join(" ")
}

/// As many letters as fit, in Unicode's scalar values, cut between what a reader sees as letters.
fn cut_letters(text: &str, most: usize) -> &str {
    use unicode_segmentation::UnicodeSegmentation;
    let mut count = 0;
    for (at, letter) in text.grapheme_indices(true) {
        count += letter.chars().count();
        if count > most {
            return text[..at].trim_end();
        }
    }
    text
}
