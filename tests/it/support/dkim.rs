//! Verifies a letter's signature as its receivers do (RFC 6376, relaxed/relaxed, rsa-sha256): by the letter as it came and the
//! record in the DNS, and nothing that wrote it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs8::DecodePublicKey;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest, Sha256};

/// What stands before a SHA-256 in an RSA signature (RFC 8017).
const SHA_256: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// A signature that holds.
#[derive(Debug)]
pub struct Signature {
    pub domain: String,
    pub selector: String,
    /// In lower case, as often as named.
    pub signed: Vec<String>,
}

fn headers(letter: &str) -> (Vec<(String, String)>, &str) {
    let (head, body) = letter.split_once("\r\n\r\n").expect("a head and a body");
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in head.split("\r\n") {
        match line.starts_with([' ', '\t']) {
            true => {
                let (_, value) = headers.last_mut().expect("a line to go on with");
                value.push_str(line);
            }
            false => {
                let (name, value) = line.split_once(':').expect(line);
                headers.push((name.to_ascii_lowercase(), value.to_owned()));
            }
        }
    }
    (headers, body)
}

fn relaxed(value: &str) -> String {
    value.split([' ', '\t']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn tag<'a>(signature: &'a str, name: &str) -> Option<&'a str> {
    signature.split(';').find_map(|tag| {
        let (known, value) = tag.split_once('=')?;
        (known.trim() == name).then(|| value.trim())
    })
}

fn decoded(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    STANDARD.decode(text).expect("base64")
}

/// # Errors
/// What does not hold.
pub fn verify(letter: &str, record: &str) -> Result<Signature, &'static str> {
    let (mut headers, body) = headers(letter);
    let at = headers.iter().position(|(name, _)| name == "dkim-signature").ok_or("unsigned")?;
    let (_, signature) = headers.remove(at);
    let tag = |name| tag(&signature, name).ok_or("a tag is missing");
    if (tag("v")?, tag("a")?, tag("c")?) != ("1", "rsa-sha256", "relaxed/relaxed") {
        return Err("another way of signing");
    }
    let mut lines: Vec<String> = body
        .split("\r\n")
        .map(|line| {
            let line = line.strip_prefix('.').filter(|rest| rest.starts_with('.')).unwrap_or(line);
            let begins = if line.starts_with([' ', '\t']) { " " } else { "" };
            format!("{begins}{}", relaxed(line)).trim_end().to_owned()
        })
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let body: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    if decoded(tag("bh")?) != Sha256::digest(body.as_bytes()).as_slice() {
        return Err("the body is another");
    }
    let signed: Vec<String> =
        tag("h")?.split(':').map(|name| name.trim().to_ascii_lowercase()).collect();
    let mut hash = Sha256::new();
    for name in &signed {
        // Of several with one name the lowest first; one that is not there stands for none.
        if let Some(at) = headers.iter().rposition(|(known, _)| known == name) {
            let (name, value) = headers.remove(at);
            hash.update(format!("{name}:{}\r\n", relaxed(&value)));
        }
    }
    let (before, after) = signature.rsplit_once("b=").ok_or("a tag is missing")?;
    let after = after.split_once(';').map(|(_, rest)| format!(";{rest}")).unwrap_or_default();
    hash.update(format!("dkim-signature:{}", relaxed(&format!("{before}b={after}"))));
    let public = record.split("p=").nth(1).ok_or("no key in the record")?;
    let public = RsaPublicKey::from_public_key_der(&decoded(public)).map_err(|_| "no key")?;
    let scheme = Pkcs1v15Sign { hash_len: Some(32), prefix: Box::new(SHA_256) };
    public
        .verify(scheme, &hash.finalize(), &decoded(tag("b")?))
        .map_err(|_| "the signature does not hold")?;
    let (domain, selector) = (tag("d")?.to_owned(), tag("s")?.to_owned());
    Ok(Signature { domain, selector, signed })
}
