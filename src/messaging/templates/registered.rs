//! Registered texts. An operator drops what differs from the registered text by a single character, silently, so what does
//! not match is not sent.

use crate::messaging::channels::sms::segments::LONGEST_VARIABLE;

/// The fixed parts of a registered text, with a variable between each two: `{#var#}`, or any tag of that form.
fn fixed_parts(registered: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = registered;
    let mut from = 0;
    while let Some(at) = rest[from..].find("{#").map(|at| from + at) {
        let Some(end) = rest[at..].find("#}").map(|end| at + end + 2) else { break };
        let name = &rest[at + 2..end - 2];
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            parts.push(&rest[..at]);
            rest = &rest[end..];
            from = 0;
        } else {
            from = at + 2;
        }
    }
    parts.push(rest);
    parts
}

/// How many variables it has.
pub fn variables(registered: &str) -> usize {
    fixed_parts(registered).len() - 1
}

/// Whether a text is the registered one, each variable holding 1 to 30 characters of one line.
pub fn matches(registered: &str, text: &str) -> bool {
    let registered = registered.replace("\r\n", "\n");
    let parts = fixed_parts(registered.trim());
    let Some(rest) = text.strip_prefix(parts[0]) else { return false };
    if parts.len() == 1 {
        return rest.is_empty();
    }
    // Where in `rest` the next variable may begin: a value may hold what looks like a fixed part.
    let mut starts = vec![0];
    for (index, part) in parts.iter().enumerate().skip(1) {
        let is_last = index == parts.len() - 1;
        let mut next = Vec::new();
        for start in starts {
            let mut units = 0;
            for (at, letter) in rest[start..].char_indices() {
                units += letter.len_utf16();
                if letter == '\n' || units > LONGEST_VARIABLE {
                    break;
                }
                let end = start + at + letter.len_utf8();
                let fits = match is_last {
                    true => rest[end..] == **part,
                    false => rest[end..].starts_with(part),
                };
                if fits && !next.contains(&(end + part.len())) {
                    next.push(end + part.len());
                }
            }
        }
        starts = next;
    }
    starts.contains(&rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_matches_to_the_letter_or_not_at_all() {
        let registered = "{#var#} is your code at Shanti. Valid for {#numeric#} min.";
        let long = format!("{} is your code at Shanti. Valid for 5 min.", "9".repeat(31));

        for (text, fits) in [
            ("482913 is your code at Shanti. Valid for 5 min.", true),
            ("a is your code at b is your code at Shanti. Valid for 5 min.", true),
            ("482913 is your code at Shanti. Valid for 5 min", false),
            ("482913 is your code at Shanti.  Valid for 5 min.", false),
            ("482913 is your code at shanti. Valid for 5 min.", false),
            (" is your code at Shanti. Valid for 5 min.", false),
            ("482913 is your code at Shanti. Valid for  min.", true), // a space is a character
            ("48\n13 is your code at Shanti. Valid for 5 min.", false),
            (long.as_str(), false),
        ] {
            assert_eq!(matches(registered, text), fits, "{text}");
        }
        assert!(matches(
            "प्रिय {#var#},\r\n@shanti.example #{#var#}",
            "प्रिय लक्ष्मी,\n@shanti.example #482913"
        ));
        assert!(matches("{#var#}{#var#}", "ab") && !matches("{#var#}{#var#}", "a"));
        assert!(matches("no variable", "no variable") && !matches("no variable", "no variables"));
    }

    #[test]
    fn only_tags_count_as_variables() {
        for (text, count) in
            [("", 0), ("{#var#}", 1), ("{##} {#a b#} {#var#} {#", 1), ("@h #{#var#}", 1)]
        {
            assert_eq!(variables(text), count, "{text}");
        }
    }
}
