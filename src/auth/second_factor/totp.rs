//! One-time codes by the clock: HMAC-SHA-1 over a counter of half minutes, six digits (RFC 6238, RFC 4226). Nothing here reads a
//! clock.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// What app and server share: 160 bits, as the RFC asks.
pub type Secret = [u8; 20];

const STEP_SECONDS: i64 = 30;

/// The step that an instant lies in.
pub fn step_at(now: DateTime<Utc>) -> i64 {
    now.timestamp().div_euclid(STEP_SECONDS)
}

/// The six digits of a step.
pub fn code_at(secret: &[u8], step: i64) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("any length of key will do");
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let at = usize::from(digest[19] & 0x0f);
    let four: [u8; 4] = digest[at..at + 4].try_into().expect("at most 15 + 4 of 20");
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

/// The step of a code, if it is one of now, of the step before or of the step after: clocks differ, and people type slowly.
/// Every one is compared, and in constant time.
pub fn step_of(secret: &[u8], code: &str, now: DateTime<Utc>) -> Option<i64> {
    let this = step_at(now);
    (this - 1..=this + 1).fold(None, |found, step| {
        let right: bool = code_at(secret, step).as_bytes().ct_eq(code.as_bytes()).into();
        if right { Some(step) } else { found }
    })
}

/// As apps take it when typed by hand (RFC 4648, without padding).
pub fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for five in bytes.chunks(5) {
        let mut padded = [0; 8];
        padded[3..3 + five.len()].copy_from_slice(five);
        let bits = u64::from_be_bytes(padded);
        for n in 0..(five.len() * 8).div_ceil(5) {
            text.push(char::from(ALPHABET[(bits >> (35 - 5 * n)) as usize & 31]));
        }
    }
    text
}

/// What a QR code for the app says.
pub fn uri(issuer: &str, account: &str, secret: &[u8]) -> String {
    let said = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let mut uri = format!("otpauth://totp/{}:{}", said(issuer), said(account));
    let _infallible = write!(
        uri,
        "?secret={}&issuer={}&algorithm=SHA1&digits=6&period={STEP_SECONDS}",
        base32(secret),
        said(issuer),
    );
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8; 20] = b"12345678901234567890";

    /// RFC 6238, appendix B: the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        for (at, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code_at(SECRET, step_at(DateTime::from_timestamp(at, 0).unwrap())), code);
        }
    }

    #[test]
    fn the_steps_before_and_after_count_and_no_others() {
        let now = DateTime::from_timestamp(1_234_567_890, 0).unwrap();
        let this = step_at(now);
        for step in this - 3..=this + 3 {
            let counts = (this - 1..=this + 1).contains(&step);
            assert_eq!(step_of(SECRET, &code_at(SECRET, step), now), counts.then_some(step));
        }
        assert_eq!(step_of(SECRET, "", now), None);
    }

    /// RFC 4648, section 10.
    #[test]
    fn secrets_are_told_as_apps_take_them() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(
            uri("Shanti clinic", "a@b.example", SECRET),
            "otpauth://totp/Shanti%20clinic:a%40b%2Eexample?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Shanti%20clinic&algorithm=SHA1&digits=6&period=30"
        );
    }
}
