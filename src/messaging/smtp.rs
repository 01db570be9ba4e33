//! One mail server, and a few connections to it that are kept between letters. Only one whose last call ended with its
//! answer is used again. (lettre's own pool also keeps one whose call was given up: the late answer was then taken for
//! that of the next letter, and letters that the server refused counted as delivered.)

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};
use url::Url;

use crate::config::SettingError;
use crate::outbox::Attempt;

/// The whole of one call may take so long.
const DEADLINE: Duration = Duration::from_secs(15);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Connections kept between letters, and for how long: servers close idle ones after a few minutes.
const KEPT: usize = 8;
const KEPT_FOR: Duration = Duration::from_secs(60);

/// A mail server, as `NADI_SMTP_URL` names it.
pub struct MailServer {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    hello: ClientId,
    kept: Mutex<Vec<Kept>>,
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
        Ok(Self { host, port, security, credentials, hello, kept: Mutex::default() })
    }

    /// Hands a letter over. Dropped before its end, it leaves no connection behind.
    pub async fn send(&self, letter: &Message) -> Attempt {
        let call = timeout(DEADLINE, async {
            // That the server lets us in says nothing about the letter: what fails here is tried again.
            let mut connection = self.connection().await.map_err(again)?;
            connection.send(letter.envelope(), &letter.formatted()).await.map_err(judged)?;
            self.keep(connection);
            Ok(Attempt::Accepted { provider_id: None })
        });
        match call.await {
            Ok(Ok(attempt) | Err(attempt)) => attempt,
            Err(_) => Attempt::Retry { error: "the mail server took too long".into() },
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
            Ok(Err(error)) => Err(in_words(&error)),
            Err(_) => Err("it takes too long to answer".into()),
        }
    }

    /// One that answers: from those kept, else a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Error> {
        loop {
            let Some(mut kept) = self.kept().pop() else { return self.connect().await };
            if kept.since.elapsed() < KEPT_FOR && kept.connection.test_connected().await {
                return Ok(kept.connection);
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let parameters = || TlsParameters::new(self.host.clone());
        let tls = (self.security == Security::Tls).then(parameters).transpose()?;
        let server = (self.host.as_str(), self.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(
            server,
            Some(CONNECT_WITHIN),
            &self.hello,
            tls,
            None,
        );
        let mut connection = connecting.await?;
        if self.security == Security::StartTls {
            connection.starttls(parameters()?, &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
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

/// 5yz about a letter is for good; all else may work later.
fn judged(error: Error) -> Attempt {
    match error.is_permanent() {
        true => Attempt::Refused { error: in_words(&error) },
        false => again(error),
    }
}

fn again(error: Error) -> Attempt {
    Attempt::Retry { error: in_words(&error) }
}

/// With its cause, which the library's own words leave out.
fn in_words(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
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
