//! Takes settings one by one, each with what is expected of it. What nobody took is no setting of ours.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use secrecy::SecretString;
use url::Url;

use super::{SettingError, source};

/// What was given, and what has been asked for so far.
pub(super) struct Values {
    given: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl Values {
    pub(super) fn new(given: BTreeMap<String, String>) -> Self {
        let mut values = Self { given, known: Vec::new() };
        values.text(source::FILE); // it has served its turn
        values
    }

    /// Any text.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.given.remove(name)
    }

    /// Says whether this one was given, and takes it. It is not offered where somebody misspelt another.
    pub(super) fn has(&mut self, name: &str) -> bool {
        self.given.remove(name).is_some()
    }

    /// A value that may be missing.
    pub(super) fn optional<T: FromStr>(
        &mut self,
        name: &'static str,
        expected: &str,
    ) -> Result<Option<T>, SettingError> {
        let text = self.text(name);
        text.map(|text| text.parse().map_err(|_| SettingError::bad(name, expected))).transpose()
    }

    /// A value with a default.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        name: &'static str,
        default: &str,
        expected: &str,
    ) -> Result<T, SettingError> {
        let text = self.text(name);
        let text = text.as_deref().unwrap_or(default);
        text.parse().map_err(|_| SettingError::bad(name, expected))
    }

    /// Text with a default that holds to a rule.
    pub(super) fn checked(
        &mut self,
        name: &'static str,
        default: &str,
        expected: &str,
        rule: impl FnOnce(&str) -> bool,
    ) -> Result<String, SettingError> {
        let text = self.text(name).unwrap_or_else(|| default.to_owned());
        if rule(&text) { Ok(text) } else { Err(SettingError::bad(name, expected)) }
    }

    /// A number of something, both bounds included.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        default: usize,
        within: RangeInclusive<usize>,
        of: &str,
    ) -> Result<usize, SettingError> {
        let expected = format!("{} to {} {of}", within.start(), within.end());
        match self.optional(name, &expected)?.unwrap_or(default) {
            number if within.contains(&number) => Ok(number),
            _ => Err(SettingError::bad(name, expected)),
        }
    }

    /// Values between commas; an entry that is bad says itself what was expected.
    pub(super) fn list<T: FromStr<Err = String>>(
        &mut self,
        name: &'static str,
    ) -> Result<Vec<T>, SettingError> {
        let text = self.text(name).unwrap_or_default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| part.parse().map_err(|words: String| SettingError::bad(name, words)))
            .collect()
    }

    /// A value that nobody may see: it may also lie in the file that `<name>_FILE` names.
    pub(super) fn secret<T: FromStr>(
        &mut self,
        name: &'static str,
        expected: &str,
    ) -> Result<Option<T>, SettingError> {
        let text = self.secret_text(name)?;
        text.map(|text| text.parse().map_err(|_| SettingError::bad(name, expected))).transpose()
    }

    /// A URL of one of these schemes. It is a secret: it may hold a password.
    pub(super) fn url(
        &mut self,
        name: &'static str,
        schemes: &[&str],
    ) -> Result<Option<SecretString>, SettingError> {
        let Some(text) = self.secret_text(name)? else { return Ok(None) };
        let expected =
            || SettingError::bad(name, format!("a URL that begins with {}://", schemes[0]));
        // PostgreSQL's own form has an empty host when a socket is named in the query.
        let scheme = text.split_once("://").map(|(scheme, _)| scheme).ok_or_else(expected)?;
        if !schemes.contains(&scheme) {
            return Err(expected());
        }
        if !scheme.starts_with("postgres") {
            Url::parse(&text).map_err(|_| expected())?;
        }
        Ok(Some(SecretString::from(text)))
    }

    /// Where an API is: `https://host`, with a path if it must be.
    pub(super) fn base_url(&mut self, name: &'static str) -> Result<Option<Url>, SettingError> {
        let expected = "a URL that begins with https:// (or http://, for a stand-in)";
        let url: Option<Url> = self.optional(name, expected)?;
        match url {
            Some(url) if !matches!(url.scheme(), "http" | "https") || url.host().is_none() => {
                Err(SettingError::bad(name, expected))
            }
            url => Ok(url),
        }
    }

    fn secret_text(&mut self, name: &'static str) -> Result<Option<String>, SettingError> {
        let given = self.text(name);
        let from_file = format!("{name}{}", source::IN_A_FILE);
        let Some(path) = self.given.remove(&from_file) else { return Ok(given) }; // never both: see `source`
        match std::fs::read_to_string(&path) {
            Ok(secret) => Ok(Some(secret.trim_end().to_owned())),
            Err(error) => {
                Err(SettingError::File { name: from_file, path, error: error.to_string() })
            }
        }
    }

    /// Refuses what nobody took.
    pub(super) fn refuse_unknown(self) -> Result<(), SettingError> {
        match self.given.keys().next() {
            None => Ok(()),
            Some(name) => {
                let hint = hint(name, &self.known);
                Err(SettingError::Unknown { name: name.clone(), hint })
            }
        }
    }
}

fn hint(name: &str, known: &[&str]) -> String {
    let nearest = known.iter().min_by_key(|known| edits(name, known));
    let nearest = nearest.filter(|known| edits(name, known) <= 4);
    nearest.map(|known| format!("; did you mean {known}?")).unwrap_or_default()
}

/// Levenshtein distance, for the hint alone.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
