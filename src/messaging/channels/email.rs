//! E-mail: a letter with both forms of its text, files, one-click unsubscription and a signature where asked for. What could
//! smuggle a header in is refused, not mended.

use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use lettre::address::Envelope;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue, MIME_VERSION_1_0,
};
use lettre::message::{Attachment, Body, Mailbox, MultiPart};
use lettre::{Address, Message};
use url::Url;

use super::dkim::Signer;
use super::smtp::MailServer;
use super::{Failure, Outcome, Outgoing};

/// Longer ones are cut off by mail programs, or hide something.
const LONGEST_SUBJECT: usize = 200;

/// A letter. It has no `Debug`: it may hold a code.
pub struct Letter {
    pub to_name: String,
    /// An address of the clinic's own domain; its domain is also that of the Message-ID.
    pub from: (String, String),
    pub reply_to: Option<String>,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub unsubscribe: Option<Unsubscribe>,
    pub files: Vec<File>,
    /// Where it comes back to if it cannot be delivered; none: to its sender.
    pub return_path: Option<String>,
    pub signer: Option<Arc<Signer>>,
    pub written_at: DateTime<Utc>,
}

/// How its reader gets no more of the kind, with one click (RFC 8058).
pub struct Unsubscribe {
    /// A POST to it needs no sign-in.
    pub url: Url,
    pub mailto: Option<String>,
}

pub struct File {
    pub name: String,
    pub mime: String,
    pub bytes: Vec<u8>,
}

/// Sends a letter.
///
/// # Errors
/// Why it was not taken.
pub async fn send(server: &MailServer, letter: &Outgoing<Letter>) -> Outcome {
    let message = compose(letter)?;
    server.hand_over(&message, letter.lane, letter.time_left).await
}

/// The letter as it travels. Its Message-ID is the same at every try, so that receivers can tell a repeat.
///
/// # Errors
/// When an address is none, or something in a header holds control characters.
pub fn compose(outgoing: &Outgoing<Letter>) -> Result<Message, Failure> {
    let letter = &outgoing.content;
    let (from_name, from) = &letter.from;
    for text in [&letter.to_name, from_name, from, &outgoing.to, &letter.subject] {
        plain(text)?;
    }
    if letter.subject.trim().is_empty() || letter.subject.chars().count() > LONGEST_SUBJECT {
        return Err(Failure::ours("bad_subject", "the subject is empty or too long"));
    }
    let from_address = address(from)?;
    let id = format!("<{}@{}>", outgoing.message_id, from_address.domain());
    let mut builder = Message::builder()
        .from(Mailbox::new(named(from_name), from_address))
        .to(Mailbox::new(named(&letter.to_name), address(&outgoing.to)?))
        .subject(&letter.subject)
        .message_id(Some(id))
        .date(SystemTime::from(letter.written_at));
    if let Some(reply_to) = &letter.reply_to {
        plain(reply_to)?;
        builder = builder.reply_to(Mailbox::new(None, address(reply_to)?));
    }
    if let Some(unsubscribe) = &letter.unsubscribe {
        builder = builder.header(unsubscribe.list()?).header(OneClick);
    }
    let text = MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone());
    let mut body = text;
    if !letter.files.is_empty() {
        body = MultiPart::mixed().multipart(body);
        for file in &letter.files {
            plain(&file.name)?;
            let kind = ContentType::parse(&file.mime)
                .map_err(|_| Failure::ours("bad_file", "a file's type is none"))?;
            body =
                body.singlepart(Attachment::new(file.name.clone()).body(file.bytes.clone(), kind));
        }
    }
    if let Some(return_path) = &letter.return_path {
        let envelope = Envelope::new(Some(address(return_path)?), vec![address(&outgoing.to)?]);
        builder = builder.envelope(envelope.map_err(|_| unmade())?);
    }
    // The outermost part's type becomes a header of the letter's own: a signature covers those alone.
    let kind = body.headers().get::<ContentType>().ok_or_else(unmade)?;
    let parts = body.formatted();
    let begins = parts.windows(4).position(|end| end == b"\r\n\r\n").ok_or_else(unmade)?;
    let parts = parts[begins + 4..].to_vec();
    let encoding = match parts.is_ascii() {
        true => ContentTransferEncoding::SevenBit,
        false => ContentTransferEncoding::EightBit,
    };
    let body = Body::dangerous_pre_encoded(parts, encoding); // each part is encoded already
    let written = builder.header(MIME_VERSION_1_0).header(kind).body(body);
    let mut written = written.map_err(|_| unmade())?;
    if let Some(signer) = &letter.signer {
        signer.sign(&mut written);
    }
    Ok(written)
}

fn unmade() -> Failure {
    Failure::ours("bad_letter", "the letter cannot be put together")
}

fn named(name: &str) -> Option<String> {
    (!name.trim().is_empty()).then(|| name.to_owned())
}

fn address(text: &str) -> Result<Address, Failure> {
    let told = "an e-mail address is none";
    text.parse().map_err(|_| Failure::ours("bad_address", told))
}

fn plain(text: &str) -> Result<(), Failure> {
    // Line and paragraph separators are no control characters by the letter, but some readers break lines there.
    match text
        .chars()
        .any(|letter| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}'))
    {
        true => Err(Failure::ours("bad_header", "a header would hold control characters")),
        false => Ok(()),
    }
}

impl Unsubscribe {
    /// Whether such an address may be offered: by the RFC https alone; a trial on one's own machine has none.
    pub fn may_be_at(url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        url.scheme() == "https" || host == "localhost" || host.ends_with(".localhost")
    }

    fn list(&self) -> Result<List, Failure> {
        if !Self::may_be_at(&self.url) {
            return Err(Failure::ours("bad_unsubscribe", "one-click unsubscription needs https"));
        }
        let mut ways = format!("<{}>", self.url);
        if let Some(mailto) = &self.mailto {
            if !mailto.is_ascii() {
                return Err(Failure::ours(
                    "bad_address",
                    "an address to unsubscribe by is not ASCII",
                ));
            }
            ways.push_str(&format!(", <mailto:{}>", address(mailto)?));
        }
        Ok(List(ways))
    }
}

/// `List-Unsubscribe`
#[derive(Clone)]
struct List(String);

/// `List-Unsubscribe-Post`
#[derive(Clone)]
struct OneClick;

type Unparsed = Box<dyn std::error::Error + Send + Sync>;

impl Header for List {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }

    fn parse(text: &str) -> Result<Self, Unparsed> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        // Must not be folded or encoded: mail programs read it as it is. A `Url` is printable ASCII, and so is what was let in.
        HeaderValue::dangerous_new_pre_encoded(Self::name(), self.0.clone(), self.0.clone())
    }
}

impl Header for OneClick {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe-Post")
    }

    fn parse(_: &str) -> Result<Self, Unparsed> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "List-Unsubscribe=One-Click".to_owned())
    }
}
