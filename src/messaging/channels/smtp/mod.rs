//! One mail server, and a few connections to it that are kept between letters. Only one whose last call ended with its
//! answer is used again. (lettre's own pool also keeps one whose call was given up: the late answer was then taken for
//! that of the next letter, and letters that the server refused counted as delivered.)

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::{Address, Message};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use url::Url;

mod answers;

use answers::{Stage, judged};

use super::guard::{AllowList, Barred, Unusable};
use super::{Accepted, ErrorClass, Failure, Lane, Outcome, Reached};
use crate::config::SettingError;

/// The whole of one call may take so long.
const DEADLINE: Duration = Duration::from_secs(15);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Connections kept between letters, and for how long: servers close idle ones after a few minutes.
const KEPT: usize = 16;
const KEPT_FOR: Duration = Duration::from_secs(60);
/// One that was used so recently is not asked whether it is still there.
const JUST_USED: Duration = Duration::from_secs(1);
/// Letters under way at once that are no codes: servers count connections.
const AT_ONCE: usize = 16;

/// A mail server, as `NADI_SMTP_URL` names it.
pub struct MailServer {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    hello: ClientId,
    /// Of a clinic's own server: what it may not be.
    guard: Option<Arc<AllowList>>,
    kept: Mutex<Vec<Kept>>,
    places: Semaphore,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Security {
    /// From the first byte: `smtps://`
    Tls,
    /// `smtp://…?tls=required`
    StartTls,
    /// To this machine alone.
    Plain,
}

struct Kept {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl MailServer {
    /// # Errors
    /// When the URL is no address of a mail server, or would send passwords and letters in the clear beyond this machine.
    pub fn new(url: &SecretString) -> Result<Self, SettingError> {
        let url =
            Url::parse(url.expose_secret()).map_err(|_| expected("smtps://user:password@host"))?;
        let host = url.host_str().ok_or_else(|| expected("smtps://user:password@host"))?;
        let host = host.trim_matches(['[', ']']).to_owned(); // of an IPv6 address
        let loopback = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let tls = url.query_pairs().find(|(name, _)| name == "tls");
        let security = match (url.scheme(), tls.as_ref().map(|(_, value)| value.as_ref())) {
            ("smtps", _) => Security::Tls,
            ("smtp", Some("required")) => Security::StartTls,
            ("smtp", None) if loopback => Security::Plain,
            _ => {
                return Err(expected(
                    "smtps://… or smtp://…?tls=required: nothing is sent in the clear",
                ));
            }
        };
        let port = url.port().unwrap_or(match security {
            Security::Tls => 465,
            Security::StartTls => 587,
            Security::Plain => 25,
        });
        let credentials = match url.password() {
            None => None,
            Some(password) => Some(Credentials::new(decoded(url.username())?, decoded(password)?)),
        };
        let hello = ClientId::default();
        let (kept, places) = (Mutex::default(), Semaphore::new(AT_ONCE));
        Ok(Self { host, port, security, credentials, hello, guard: None, kept, places })
    }

    /// One that a clinic named: never inside the platform's own network, unless its list says so.
    ///
    /// # Errors
    /// As for [`MailServer::new`].
    pub fn of_clinic(url: &SecretString, allowed: Arc<AllowList>) -> Result<Self, SettingError> {
        Ok(Self { guard: Some(allowed), ..Self::new(url)? })
    }

    /// Hands a letter over. Dropped before its end, it leaves no connection behind.
    ///
    /// # Errors
    /// Why it was not taken, and of which class that is.
    pub async fn hand_over(&self, letter: &Message, lane: Lane, time_left: Duration) -> Outcome {
        // How far it came, for the case that time runs out.
        let letter_is_out = AtomicBool::new(false);
        let call = timeout(DEADLINE.min(time_left), async {
            let _place = match lane {
                Lane::Codes => None,
                Lane::Others => Some(self.places.acquire().await.expect("never closed")),
            };
            let mut connection = self.connection().await?;
            speak(&mut connection, letter, &letter_is_out).await?;
            self.keep(connection);
            Ok(Accepted { provider_id: None, http: None, recipient_id: None })
        });
        match call.await {
            Ok(outcome) => outcome,
            Err(_) => {
                let reached = match letter_is_out.load(Ordering::Relaxed) {
                    true => Reached::Perhaps,
                    false => Reached::Nothing,
                };
                Err(Failure::wire(reached, "too_slow", "the mail server took too long"))
            }
        }
    }

    /// Whether it is there and lets us in.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn answers(&self) -> Result<(), String> {
        match timeout(DEADLINE, self.connection()).await {
            Ok(Ok(connection)) => {
                self.keep(connection);
                Ok(())
            }
            Ok(Err(failure)) => Err(failure.to_string()),
            Err(_) => Err("it takes too long to answer".into()),
        }
    }

    /// One that answers: from those kept, else a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Failure> {
        loop {
            let Some(mut kept) = self.kept().pop() else { return self.connect().await };
            let idle = kept.since.elapsed();
            if idle < JUST_USED || (idle < KEPT_FOR && kept.connection.test_connected().await) {
                return Ok(kept.connection);
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let on = |stage| move |error: Error| judged(stage, &error);
        let parameters = || TlsParameters::new(self.host.clone()).map_err(on(Stage::Hello));
        let tls = (self.security == Security::Tls).then(parameters).transpose()?;
        let hello = &self.hello;
        let within = Some(CONNECT_WITHIN);
        let connecting = match &self.guard {
            None => {
                let server = (self.host.as_str(), self.port);
                AsyncSmtpConnection::connect_tokio1(server, within, hello, tls, None).await
            }
            Some(allowed) => {
                let found = allowed.addresses(&self.host, self.port).await.map_err(unusable)?;
                AsyncSmtpConnection::connect_tokio1(&found[..], within, hello, tls, None).await
            }
        };
        let mut connection = connecting.map_err(on(Stage::Hello))?;
        if self.security == Security::StartTls {
            let starting = connection.starttls(parameters()?, &self.hello);
            starting.await.map_err(on(Stage::Hello))?;
        }
        if let Some(credentials) = &self.credentials {
            let signing_in = connection.auth(DEFAULT_MECHANISMS, credentials);
            signing_in.await.map_err(on(Stage::SignIn))?;
        }
        Ok(connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut kept = self.kept();
        kept.retain(|kept| kept.since.elapsed() < KEPT_FOR);
        if kept.len() < KEPT {
            kept.push(Kept { connection, since: Instant::now() });
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        // Nothing in there panics half-way through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives one letter over a connection, step by step.
async fn speak(
    connection: &mut AsyncSmtpConnection,
    letter: &Message,
    letter_is_out: &AtomicBool,
) -> Result<(), Failure> {
    let on = |stage| move |error: Error| judged(stage, &error);
    let envelope = letter.envelope();
    let bytes = letter.formatted();
    let mut options = Vec::new();
    let beyond_ascii = |address: &Address| !AsRef::<str>::as_ref(address).is_ascii();
    if envelope.from().into_iter().chain(envelope.to()).any(beyond_ascii) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let says = "the mail server takes no addresses beyond ASCII";
            return Err(Failure::answered(ErrorClass::Recipient, None, None, says));
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    if !bytes.is_ascii() {
        if !connection.server_info().supports_feature(Extension::EightBitMime) {
            return Err(Failure::ours("8bit", "the mail server takes no letters beyond ASCII"));
        }
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let mail = Mail::new(envelope.from().cloned(), options);
    connection.command(mail).await.map_err(on(Stage::Sender))?;
    for to in envelope.to() {
        let rcpt = Rcpt::new(to.clone(), Vec::new());
        connection.command(rcpt).await.map_err(on(Stage::Recipient))?;
    }
    connection.command(Data).await.map_err(on(Stage::Letter))?;
    letter_is_out.store(true, Ordering::Relaxed);
    // In one piece: an end that is sent by itself waits until the server has acknowledged the rest.
    connection.command(ended(&bytes)?).await.map_err(on(Stage::Verdict))?;
    Ok(())
}

/// A letter with the line that ends it; a line that begins with a dot has one more, so that it ends nothing.
fn ended(bytes: &[u8]) -> Result<String, Failure> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Failure::ours("bad_letter", "the letter is not in UTF-8"))?;
    let dotted = text.replace("\r\n.", "\r\n..");
    let first = if text.starts_with('.') { "." } else { "" };
    Ok(format!("{first}{dotted}\r\n.\r\n"))
}

fn unusable(why: Unusable) -> Failure {
    match why {
        Unusable::PointsInside => super::http::barred(Barred::Private),
        Unusable::Unknown(error) => {
            let says = format!("the mail server's name could not be looked up: {error}");
            Failure::wire(Reached::Nothing, "connect", &says)
        }
    }
}

fn decoded(text: &str) -> Result<String, SettingError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| expected("a user and password in UTF-8, percent-encoded"))
}

fn expected(what: &str) -> SettingError {
    SettingError::Bad { name: "NADI_SMTP_URL".into(), expected: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<MailServer, SettingError> {
        MailServer::new(&SecretString::from(url))
    }

    #[test]
    fn no_line_of_a_letter_ends_it() {
        let ends = |letter: &str| ended(letter.as_bytes()).ok().unwrap();

        assert_eq!(ends("a\r\n.\r\nb"), "a\r\n..\r\nb\r\n.\r\n");
        assert_eq!(ends(".\r\n.\r\n..b.c"), "..\r\n..\r\n...b.c\r\n.\r\n");
        assert_eq!(ends("नमस्ते"), "नमस्ते\r\n.\r\n");
    }

    #[test]
    fn nothing_goes_in_the_clear_beyond_this_machine() {
        for url in
            ["smtp://mail.example", "smtp://10.0.0.1:2525", "smtp://mail.example?tls=opportunistic"]
        {
            let error = server(url).err().expect(url).to_string();
            assert!(error.starts_with("NADI_SMTP_URL: expected smtps://"), "{error}");
        }
        for (url, port) in [
            ("smtp://localhost:2525", 2525),
            ("smtp://127.0.0.1", 25),
            ("smtp://[::1]:1025", 1025),
            ("smtp://mail.example?tls=required", 587),
            ("smtps://mail.example", 465),
        ] {
            assert_eq!(server(url).unwrap().port, port, "{url}");
        }
    }

    #[test]
    fn a_password_may_hold_anything() {
        let server = server("smtps://clinic%40example:p%2Fa%40s%3Ds+%26@mail.example").unwrap();

        let wanted = Credentials::new("clinic@example".into(), "p/a@s=s+&".into());
        assert_eq!(server.credentials, Some(wanted));
    }
}
