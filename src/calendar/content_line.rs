//! Content lines of RFC 5545: text escaped, lines folded at 75 octets and ended as the standard wants. The crate that is well
//! kept stamps every component, a time zone too, with the present and a random id: no two answers would be the same.

use std::fmt::Write;

/// The longest line, in octets, without its end.
const LONGEST: usize = 75;

/// Lines as they are written one after the other.
#[derive(Default)]
pub struct Lines {
    written: String,
}

impl Lines {
    /// A line whose value is written as it is: ours, and known to be plain.
    pub fn plain(&mut self, name: &str, value: &str) {
        self.fold(&format!("{name}:{value}"));
    }

    /// A line whose value is text: anything that anybody typed.
    pub fn text(&mut self, name: &str, value: &str) {
        self.fold(&format!("{name}:{}", escaped(value)));
    }

    pub fn begin(&mut self, component: &str) {
        self.plain("BEGIN", component);
    }

    pub fn end(&mut self, component: &str) {
        self.plain("END", component);
    }

    pub fn finish(self) -> String {
        self.written
    }

    /// Writes a line in pieces of at most 75 octets, each but the first after a space. No character is cut in two: some readers
    /// decode before they unfold.
    fn fold(&mut self, line: &str) {
        let mut rest = line;
        let mut room = LONGEST;
        while rest.len() > room {
            let mut cut = room;
            while !rest.is_char_boundary(cut) {
                cut -= 1;
            }
            let (piece, after) = rest.split_at(cut);
            let _ = write!(self.written, "{piece}\r\n ");
            rest = after;
            room = LONGEST - 1; // the space counts
        }
        let _ = write!(self.written, "{rest}\r\n");
    }
}

/// Text with what has a meaning in it escaped. Line ends of every kind are one `\n`; other control characters may not be there.
fn escaped(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push(c),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_has_a_meaning_is_escaped() {
        let mut lines = Lines::default();
        lines.text("SUMMARY", "a, b; c\\d\r\ne\rf\ng\u{7}");
        assert_eq!(lines.finish(), "SUMMARY:a\\, b\\; c\\\\d\\ne\\nf\\ng\r\n");
    }

    proptest! {
        #[test]
        fn lines_are_short_and_unfold_to_what_they_were(text in "[ -~അആമലयळम\u{0d4d}\u{1f600}]{0,300}") {
            let mut lines = Lines::default();
            lines.plain("X-TEXT", &text);
            let written = lines.finish();

            prop_assert!(written.ends_with("\r\n"));
            for line in written.trim_end_matches("\r\n").split("\r\n") {
                prop_assert!(line.len() <= 75, "{} octets: {line}", line.len());
            }
            prop_assert_eq!(written.replace("\r\n ", ""), format!("X-TEXT:{text}\r\n"));
        }
    }
}
