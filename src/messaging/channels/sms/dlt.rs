//! India's registered templates. Operators drop, without a word, what differs from the registered text by one character:
//! so a message is written from that text, and what does not fit it is refused before it leaves.

use super::segments::{LONGEST_VARIABLE, cut};
use crate::messaging::channels::{ErrorClass, Failure, Reached};

/// How a variable is marked in a registered text. Others name its kind: `{#numeric#}`, `{#url#}`.
const OPEN: &str = "{#";
const CLOSE: &str = "#}";

/// The fixed parts of a registered text, around its variables.
fn parts(registered: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = registered;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((_, after)) = after.split_once(CLOSE) else { break };
        parts.push(before);
        rest = after;
    }
    parts.push(rest);
    parts
}

/// How many values a registered text takes.
pub fn variables(registered: &str) -> usize {
    parts(registered).len() - 1
}

/// Writes a message from its registered text; values too long for a variable are cut between letters.
///
/// # Errors
/// When there are not as many values as variables, or one is empty: the operator would drop it.
pub fn render(registered: &str, values: &[&str]) -> Result<String, Failure> {
    let parts = parts(registered);
    if parts.len() != values.len() + 1 {
        return Err(unfit("the registered text takes another number of values"));
    }
    let mut text = parts[0].to_owned();
    for (value, part) in values.iter().zip(&parts[1..]) {
        let value = cut(value.trim(), LONGEST_VARIABLE);
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(unfit("a value is empty, or holds line breaks"));
        }
        text.push_str(value);
        text.push_str(part);
    }
    Ok(text)
}

/// Whether a text could have been written from the registered one.
pub fn fits(registered: &str, text: &str) -> bool {
    // Each fixed part at its first place would not do: a value may hold what follows it. So all places that the parts so
    // far could end at are carried along.
    let parts = parts(registered);
    let mut ends: Vec<usize> =
        text.strip_prefix(parts[0]).map(|_| parts[0].len()).into_iter().collect();
    for part in &parts[1..] {
        let mut next = Vec::new();
        for &end in &ends {
            let value_ends = text[end..].char_indices().map(|(at, letter)| at + letter.len_utf8());
            next.extend(
                value_ends
                    .take_while(|at| text[end..end + at].encode_utf16().count() <= LONGEST_VARIABLE)
                    .filter(|at| text[end + at..].starts_with(part))
                    .map(|at| end + at + part.len()),
            );
        }
        next.sort_unstable();
        next.dedup();
        ends = next;
    }
    ends.contains(&text.len())
}

fn unfit(says: &str) -> Failure {
    let code = Some("dlt".to_owned());
    Failure { code, ..Failure::new(ErrorClass::Template, Reached::Nothing, says) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODE: &str = "{#var#} is your code at Shanti Clinic. Valid for {#numeric#} min.\n@shanti.nadi.health #{#var#}";

    #[test]
    fn a_message_is_its_registered_text_filled_in() {
        let text = render(CODE, &["048291", "5", "048291"]).unwrap();

        assert_eq!(
            text,
            "048291 is your code at Shanti Clinic. Valid for 5 min.\n@shanti.nadi.health #048291"
        );
        assert!(fits(CODE, &text) && variables(CODE) == 3);
        assert!(!fits(CODE, &text.replace("Clinic.", "clinic.")));
        assert!(!fits(CODE, &text.replace("at Shanti", "at  Shanti")));
        assert!(
            !fits(&"{#var#}".repeat(40), &"a".repeat(39))
                && fits(&"{#var#}".repeat(40), &"a".repeat(40))
        );
        assert!(!fits(CODE, &text.replace("Valid for 5", "Valid for ")));
        for wrong in [&["1", "2"][..], &["1", "2", ""], &["1", "2", "a\nb"], &["1", "2", "3", "4"]]
        {
            assert_eq!(render(CODE, wrong).unwrap_err().class, ErrorClass::Template);
        }
    }

    #[test]
    fn long_names_are_cut_to_the_variable() {
        let name = "Venkatanarasimharajuvaripeta Subrahmanyam";

        let text = render("Dear {#var#}, come.", &[name]).unwrap();

        assert_eq!(text, "Dear Venkatanarasimharajuvaripeta S, come.");
        assert!(fits("Dear {#var#}, come.", &text));
        assert!(!fits("Dear {#var#}, come.", &format!("Dear {name}, come.")));
    }

    proptest! {
        #[test]
        fn what_is_rendered_fits(
            fixed in prop::collection::vec("[a-c ]{0,6}", 1..5), values in prop::collection::vec("[a-cक]{1,40}", 4)
        ) {
            let registered = fixed.join("{#var#}");
            let values: Vec<&str> = values.iter().take(fixed.len() - 1).map(String::as_str).collect();
            let text = render(&registered, &values).unwrap();
            prop_assert!(fits(&registered, &text), "{} / {}", registered, text);
        }
    }
}
