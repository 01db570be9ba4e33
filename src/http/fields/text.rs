//! Text: a line, several, or as it is. Trimmed and composed where a person will read it.

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::{Fault, Parser};

pub(super) fn string(value: Value) -> Result<String, Fault> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(Fault("wrong_type", "expected text".into())),
    }
}

pub(super) fn checked(text: String, lines: bool, min: usize, max: usize) -> Result<String, Fault> {
    let text: String = text.nfc().collect();
    let text = text.trim();
    let forbidden = |c: char| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t'));
    if text.chars().any(forbidden) {
        return Err(Fault("invalid_characters", "control characters are not allowed".into()));
    }
    match text.chars().count() {
        n if n < min && min == 1 => Err(Fault("required", "this field may not be empty".into())),
        n if n < min => Err(Fault("too_short", format!("at least {min} characters"))),
        n if n > max => Err(Fault("too_long", format!("at most {max} characters"))),
        _ => Ok(text.to_owned()),
    }
}

/// One line of text, trimmed, in Unicode's composed form.
pub fn line(min: usize, max: usize) -> impl Parser<String> {
    move |value| checked(string(value)?, false, min, max)
}

/// Text of several lines.
pub fn prose(max: usize) -> impl Parser<String> {
    move |value| checked(string(value)?, true, 0, max)
}

/// Text taken as it is: passwords, tokens. Neither trimmed nor normalised.
pub fn verbatim(min: usize, max: usize) -> impl Parser<String> {
    move |value| {
        let text = string(value)?;
        if text.contains('\0') {
            return Err(Fault("invalid_characters", "U+0000 is not allowed".into()));
        }
        match text.chars().count() {
            n if n < min => Err(Fault("too_short", format!("at least {min} characters"))),
            n if n > max => Err(Fault("too_long", format!("at most {max} characters"))),
            _ => Ok(text),
        }
    }
}
