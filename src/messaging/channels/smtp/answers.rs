//! What a mail server's answers mean. The same number means one thing about the sender and another about the recipient.

use std::error::Error as _;
use std::time::Duration;

use lettre::transport::smtp::Error;

use crate::messaging::channels::{ErrorClass, Failure, Reached, Shun};

/// A server that closes down for now is left alone for so long.
const PAUSE: Duration = Duration::from_secs(60);
/// What says that an address is dead, and not only unwelcome (RFC 3463).
const DEAD_ADDRESSES: [&str; 3] = ["5.1.1", "5.1.10", "5.2.1"];

/// Where in the conversation something went wrong decides what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Up to and with TLS.
    Hello,
    SignIn,
    Sender,
    Recipient,
    /// From the word `DATA` to its last line.
    Letter,
    /// The last line is out, the answer not in.
    Verdict,
}

/// What a failure means. The server's own words stay out of it: they name addresses.
pub(super) fn judged(stage: Stage, error: &Error) -> Failure {
    let Some(code) = error.status() else {
        return unanswered(stage, error);
    };
    let words = error.source().map(ToString::to_string).unwrap_or_default();
    let enhanced = enhanced(&words);
    let code = code.to_string();
    let policy = enhanced.is_some_and(|code| code.starts_with("5.7."));
    let (class, says) = match stage {
        _ if code.starts_with('4') => (ErrorClass::Transient, "the mail server puts it off"),
        Stage::Hello => (ErrorClass::Transient, "the mail server turns us away"),
        Stage::SignIn => (ErrorClass::Account, "the mail server refused the sign-in"),
        Stage::Sender => (ErrorClass::Account, "the mail server refused the sender"),
        Stage::Recipient if policy => {
            (ErrorClass::Policy, "the mail server refused the recipient by policy")
        }
        Stage::Recipient => (ErrorClass::Recipient, "the mail server refused the recipient"),
        Stage::Letter | Stage::Verdict if policy => {
            (ErrorClass::Policy, "the mail server refused the letter by policy")
        }
        Stage::Letter | Stage::Verdict => {
            (ErrorClass::Refused, "the mail server refused the letter")
        }
    };
    let dead = stage == Stage::Recipient && enhanced.is_some_and(|c| DEAD_ADDRESSES.contains(&c));
    let shown = match enhanced {
        Some(enhanced) => format!("{code} {enhanced}"),
        None => code.clone(),
    };
    Failure::answered(class, Some(shown), None, says)
        .retry_after((code == "421").then_some(PAUSE))
        .shunning(dead.then_some(Shun::ForGood))
}

fn unanswered(stage: Stage, error: &Error) -> Failure {
    if stage == Stage::SignIn && error.is_client() {
        let says = "the mail server knows no way of signing in that we do";
        return Failure::answered(ErrorClass::Account, None, None, says);
    }
    let reached = if stage == Stage::Verdict { Reached::Perhaps } else { Reached::Nothing };
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    match stage {
        Stage::Hello if error.is_tls() => {
            Failure::wire(reached, "tls", &format!("TLS with the mail server failed{cause}"))
        }
        Stage::Hello => {
            let says = format!("the mail server could not be connected to{cause}");
            Failure::wire(reached, "connect", &says)
        }
        _ => Failure::wire(reached, "broke_off", "the mail server broke off"),
    }
}

/// The code of RFC 3463 at the beginning of an answer's words.
fn enhanced(words: &str) -> Option<&str> {
    let first = words.split_whitespace().next()?;
    let mut parts = first.split('.');
    let fits = matches!(parts.next(), Some("2" | "4" | "5"))
        && parts.clone().count() == 2
        && parts
            .all(|part| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()));
    fits.then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enhanced_code_is_told_from_words() {
        for (words, code) in [
            ("permanent error (550): 5.1.1 no such user", None),
            ("5.1.1 no such user", Some("5.1.1")),
            ("5.7.26 unauthenticated", Some("5.7.26")),
            ("4.2.2", Some("4.2.2")),
            ("6.1.1 x", None),
            ("5.1 x", None),
            ("5.1.1.1 x", None),
            ("no such user", None),
            ("", None),
        ] {
            assert_eq!(enhanced(words), code, "{words}");
        }
    }
}
