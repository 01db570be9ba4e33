//! Letters that come back: the address that each comes back to, which names it and proves it ours, and what the mail server that
//! gave up says of it (RFC 3464). Whoever reads here has a stranger's bytes in hand.

use std::fmt::Write as _;

use mail_parser::{MessageParser, MimeHeaders};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::crypto;
use crate::ids::MessageId;

const LOCAL_PART: &str = "bounce+";
const PROOF: usize = 10;
const DIGITS: usize = 2 * (16 + PROOF);
/// More parts or recipients than that no report of ours has.
const MOST: usize = 20;

/// A letter of ours, as its return path names it. Only who saw the letter knows the address, and only for the recipient that it
/// was sent to does the proof hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub message: MessageId,
    proof: [u8; PROOF],
}

impl Token {
    pub fn new(key: &[u8; 32], message: MessageId, to: &str) -> Self {
        let told = format!("return path\n{}\n{}", message.0, to.trim().to_lowercase());
        let proof = crypto::mac(key, told.as_bytes());
        Self { message, proof: proof[..PROOF].try_into().expect("a MAC is longer") }
    }

    /// `bounce+<token>@<domain>`, within the 64 letters that a local part may have.
    pub fn address(&self, domain: &str) -> String {
        let mut address = LOCAL_PART.to_owned();
        for byte in self.message.0.as_bytes().iter().chain(&self.proof) {
            write!(address, "{byte:02x}").expect("a text takes whatever is written to it");
        }
        format!("{address}@{domain}")
    }

    /// The first that stands somewhere in a text.
    fn within(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        text.split(LOCAL_PART).skip(1).find_map(|rest| {
            let (digits, rest) = rest.split_at_checked(DIGITS)?;
            if !rest.starts_with('@') || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            let mut bytes = [0; DIGITS / 2];
            for (byte, at) in bytes.iter_mut().zip((0..DIGITS).step_by(2)) {
                *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
            }
            let (message, proof) = bytes.split_first_chunk::<16>()?;
            let message = MessageId(Uuid::from_bytes(*message));
            Some(Self { message, proof: proof.try_into().ok()? })
        })
    }

    /// Whether we sent that letter to this address.
    pub fn is_of(&self, key: &[u8; 32], address: &str) -> bool {
        Self::new(key, self.message, address).proof.ct_eq(&self.proof).into()
    }
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The address takes no mail, now or later.
    Dead,
    /// It did not take this letter: full, too large, suspected, out of reach for days.
    NotThisOne,
}

/// A report of failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub token: Token,
    pub verdict: Verdict,
    /// RFC 3463: `5.1.1`
    pub status: String,
    /// The recipients that the report names, in any spelling.
    pub recipients: Vec<String>,
}

/// Reads a message that came to a return path; `envelope_to` is whom it came to, where the mail server says so. None: it is no
/// report of failure (a delay, an answer of somebody on holiday), or names no letter of ours.
pub fn read(raw: &[u8], envelope_to: Option<&str>) -> Option<Report> {
    let letter = MessageParser::default().parse(raw)?;
    let named = ["To", "Delivered-To", "X-Original-To", "Envelope-To"];
    let token = envelope_to.and_then(Token::within).or_else(|| {
        let mut headers = letter.headers_raw();
        let is_named = |name: &str| named.iter().any(|known| known.eq_ignore_ascii_case(name));
        headers.find_map(|(name, value)| is_named(name).then(|| Token::within(value))?)
    })?;
    let part = letter.parts.iter().take(MOST).find(|part| {
        part.content_type().is_some_and(|kind| {
            let subtype = kind.subtype().unwrap_or_default();
            kind.ctype().eq_ignore_ascii_case("message")
                && ["delivery-status", "global-delivery-status"]
                    .iter()
                    .any(|known| subtype.eq_ignore_ascii_case(known))
        })
    })?;
    let text = String::from_utf8_lossy(part.contents());
    let failed = groups(&text).into_iter().find(|group| {
        field(group, "action").is_some_and(|action| action.eq_ignore_ascii_case("failed"))
    })?;
    let status = field(&failed, "status").and_then(enhanced)?;
    let recipients = ["original-recipient", "final-recipient"]
        .into_iter()
        .filter_map(|name| field(&failed, name))
        .map(|value| value.rsplit(';').next().unwrap_or_default().trim().to_owned())
        .collect();
    Some(Report { token, verdict: verdict(&status), status, recipients })
}

/// The address is dead by any word on it, but for its being full; all else is about the letter, its sender, or the way.
fn verdict(status: &str) -> Verdict {
    let dead = status.starts_with("5.1.")
        || (status.starts_with("5.2.") && status != "5.2.2" && status != "5.2.3")
        || status == "5.0.0";
    if dead { Verdict::Dead } else { Verdict::NotThisOne }
}

type Group = Vec<(String, String)>;

/// The fields of the report: the letter's first, then those of each recipient. Lines that begin with a blank go on with the last.
fn groups(text: &str) -> Vec<Group> {
    let mut groups = vec![Group::new()];
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        let group = groups.last_mut().expect("there is one from the start");
        if line.trim().is_empty() {
            if groups.len() >= MOST {
                break;
            }
            groups.push(Group::new());
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = group.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            group.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    groups
}

fn field<'a>(group: &'a Group, name: &str) -> Option<&'a str> {
    group.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// `5.1.1`, of `5.1.1 (bad mailbox)`; a success is none.
fn enhanced(value: &str) -> Option<String> {
    let code = value.split_whitespace().next()?;
    let mut parts = code.split('.');
    let class = parts.next()?;
    let rest: Vec<&str> = parts.collect();
    let digits =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let fits = matches!(class, "4" | "5") && rest.len() == 2 && rest.iter().all(digits);
    fits.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn token() -> Token {
        Token::new(&KEY, MessageId(Uuid::from_u128(7)), "Lakshmi@Mail.example")
    }

    fn report(to: &str, fields: &str) -> Vec<u8> {
        format!(
            "From: MAILER-DAEMON@mx.example\r\nTo: {to}\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"\r\n\r\n\
             --b1\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n\
             --b1\r\nContent-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; mx.example\r\nArrival-Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\n{fields}\r\n\
             --b1\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: Your appointment\r\n--b1--\r\n"
        )
        .into_bytes()
    }

    fn failed(status: &str) -> String {
        format!(
            "Final-Recipient: rfc822; lakshmi@mail.example\r\nAction: failed\r\nStatus: {status}\r\n\
             Diagnostic-Code: smtp; 550 no\r\n such user\r\n"
        )
    }

    #[test]
    fn a_return_path_names_one_letter_to_one_address() {
        let address = token().address("bounces.shanti.example");

        let (local, domain) = address.split_once('@').unwrap();
        assert!(local.len() <= 64 && domain == "bounces.shanti.example", "{address}");
        assert_eq!(Token::within(&format!("<{}>", address.to_uppercase())), Some(token()));
        assert!(token().is_of(&KEY, " LAKSHMI@mail.example"));
        assert!(!token().is_of(&KEY, "prakash@mail.example"));
        assert!(!token().is_of(&[8; 32], "lakshmi@mail.example"));
        for other in ["", "bounce+", "bounce+00@x", &address.replace('@', "0@"), "bounce+ü@x"] {
            assert_eq!(Token::within(other), None, "{other}");
        }
    }

    #[test]
    fn a_report_says_what_the_address_is_worth() {
        let to = token().address("shanti.example");
        for (status, verdict) in [
            ("5.1.1", Verdict::Dead),
            ("5.1.1 (bad destination mailbox)", Verdict::Dead),
            ("5.2.1", Verdict::Dead),
            ("5.0.0", Verdict::Dead),
            ("5.2.2", Verdict::NotThisOne),
            ("5.7.1", Verdict::NotThisOne),
            ("5.3.4", Verdict::NotThisOne),
            ("4.4.7", Verdict::NotThisOne),
        ] {
            let read = read(&report(&to, &failed(status)), None).expect(status);

            assert_eq!((read.token, read.verdict), (token(), verdict), "{status}");
            assert_eq!(read.recipients, ["lakshmi@mail.example"]);
            assert!(status.starts_with(&read.status));
        }
        let elsewhere = report("postmaster@shanti.example", &failed("5.1.1"));
        assert_eq!(read(&elsewhere, None), None);
        assert!(read(&elsewhere, Some(&to)).is_some(), "the mail server says whom it came to");
    }

    #[test]
    fn what_is_no_report_of_failure_is_none() {
        let to = token().address("shanti.example");
        for fields in [
            "",
            "Action: failed\r\n",
            "Status: 5.1.1\r\n",
            "Action: delayed\r\nStatus: 4.4.7\r\n",
            "Action: delivered\r\nStatus: 2.0.0\r\n",
            "Action: failed\r\nStatus: 2.0.0\r\n",
            "Action: failed\r\nStatus: 5.1.1.1\r\n",
            "Action: failed\r\nStatus: five\r\n",
            ": \r\n:::\r\n \r\n\t\r\nAction failed",
        ] {
            assert_eq!(read(&report(&to, fields), None), None, "{fields}");
        }
        let holiday = format!(
            "From: x@y\r\nTo: {to}\r\nSubject: On leave\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        );
        assert_eq!(read(holiday.as_bytes(), None), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = read(&bytes, std::str::from_utf8(&bytes).ok());
        }

        #[test]
        fn no_damage_to_a_report_breaks_the_reader_or_names_another_letter(
            at in 0usize..900, with in proptest::collection::vec(any::<u8>(), 0..40), cut in 0usize..40,
        ) {
            let mut raw = report(&token().address("shanti.example"), &failed("5.1.1"));
            let at = at.min(raw.len());
            let end = (at + cut).min(raw.len());
            raw.splice(at..end, with);

            if let Some(read) = read(&raw, None) {
                let names_ours = read.token == token();
                prop_assert!(names_ours || !read.token.is_of(&KEY, "lakshmi@mail.example"));
            }
        }
    }

    #[test]
    fn a_letter_of_letters_ends_somewhere() {
        let mut nested = String::from("To: x@y\r\n");
        for depth in 0..2000 {
            nested.push_str(&format!(
                "Content-Type: multipart/mixed; boundary=\"{depth}\"\r\n\r\n--{depth}\r\n"
            ));
        }
        assert_eq!(read(nested.as_bytes(), None), None);
        let letters = "Content-Type: message/rfc822\r\n\r\n".repeat(20_000);
        assert_eq!(read(letters.as_bytes(), None), None);
    }
}
