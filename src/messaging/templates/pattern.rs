//! A text with places to fill in: `Dear {given_name},`. It is filled in once, so that a name with braces in it stays a name.

use super::placeholder::Placeholder;

/// A text, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    lines: Vec<Vec<Piece>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Placeholder),
}

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    #[error("there is no placeholder {{{0}}}")]
    Unknown(String),
    #[error("a brace that belongs to no placeholder; write {{name}}, and no other braces")]
    StrayBrace,
}

impl Pattern {
    /// # Errors
    /// Everything in it that is no placeholder of these.
    pub fn parse(text: &str, known: &[Placeholder]) -> Result<Self, Vec<PatternFault>> {
        let mut faults = Vec::new();
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines = text.trim().split('\n').map(|line| read(line, known, &mut faults)).collect();
        match faults.is_empty() {
            true => Ok(Self { lines }),
            false => Err(faults),
        }
    }

    /// Each place that is filled in, in order, repeats included.
    pub fn placeholders(&self) -> impl Iterator<Item = Placeholder> + '_ {
        self.lines.iter().flatten().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(placeholder) => Some(*placeholder),
        })
    }

    /// Those named, once each, in the order of their first places.
    pub fn named(&self) -> Vec<Placeholder> {
        let mut named = Vec::new();
        for placeholder in self.placeholders() {
            if !named.contains(&placeholder) {
                named.push(placeholder);
            }
        }
        named
    }

    /// What no text is that WhatsApp registers.
    pub fn begins_or_ends_with_a_placeholder(&self) -> bool {
        let mut pieces = self.lines.iter().flatten();
        let first = pieces.next();
        let last = pieces.last().or(first);
        [first, last].into_iter().flatten().any(|piece| matches!(piece, Piece::Value(_)))
    }

    /// The text, filled in. A line with a value that there is none for is left out.
    pub fn fill(&self, value: impl Fn(Placeholder) -> Option<String>) -> String {
        let mut text = String::new();
        let mut blank = false;
        for line in &self.lines {
            let filled: Option<String> = line
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => Some(text.clone()),
                    Piece::Value(placeholder) => value(*placeholder),
                })
                .collect();
            let Some(filled) = filled else { continue };
            if filled.trim().is_empty() {
                blank = true; // one empty line between paragraphs, however many were left out
                continue;
            }
            if !text.is_empty() {
                text.push_str(if blank { "\n\n" } else { "\n" });
            }
            blank = false;
            text.push_str(filled.trim_end());
        }
        text
    }
}

fn read(line: &str, known: &[Placeholder], faults: &mut Vec<PatternFault>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(['{', '}']) {
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].to_owned()));
        }
        let inside = rest[at..].strip_prefix('{').and_then(|from| from.split_once('}'));
        let Some((name, after)) = inside.filter(|(name, _)| !name.contains('{')) else {
            faults.push(PatternFault::StrayBrace);
            rest = &rest[at + 1..];
            continue;
        };
        match Placeholder::named(name).filter(|placeholder| known.contains(placeholder)) {
            Some(placeholder) => pieces.push(Piece::Value(placeholder)),
            None => faults.push(PatternFault::Unknown(name.chars().take(40).collect())),
        }
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Placeholder] =
        &[Placeholder::GivenName, Placeholder::Clinic, Placeholder::Phone];

    fn fill(text: &str) -> String {
        Pattern::parse(text, KNOWN).unwrap().fill(|placeholder| match placeholder {
            Placeholder::GivenName => Some("{clinic}".into()),
            Placeholder::Clinic => Some("Shanti".into()),
            _ => None,
        })
    }

    #[test]
    fn what_is_filled_in_is_not_filled_in_again() {
        assert_eq!(fill("Dear {given_name} of {clinic}"), "Dear {clinic} of Shanti");
    }

    #[test]
    fn a_line_without_its_value_is_left_out() {
        for (text, filled) in [
            ("a\n\nCall {phone}.\n\nb", "a\n\nb"),
            ("a\nCall {phone}.\nb", "a\nb"),
            ("Call {phone}.\n\na", "a"),
            ("a\r\n\r\nb\r\n", "a\n\nb"),
            ("{phone}", ""),
        ] {
            assert_eq!(fill(text), filled, "{text}");
        }
    }

    #[test]
    fn every_fault_of_a_text_is_named() {
        let unknown = |name: &str| PatternFault::Unknown(name.into());

        for (text, faults) in [
            ("{doctor} and {code}", vec![unknown("doctor"), unknown("code")]),
            ("{", vec![PatternFault::StrayBrace]),
            ("a } b", vec![PatternFault::StrayBrace]),
            ("{a{clinic}", vec![PatternFault::StrayBrace]),
            ("{}", vec![unknown("")]),
            ("{Clinic}", vec![unknown("Clinic")]),
            ("{ clinic }", vec![unknown(" clinic ")]),
            ("{given\n_name}", vec![PatternFault::StrayBrace, PatternFault::StrayBrace]),
        ] {
            assert_eq!(Pattern::parse(text, KNOWN).unwrap_err(), faults, "{text}");
        }
    }
}
