//! Settings: environment variables with the prefix `NADI_`, or a TOML file named by `NADI_CONFIG`; the environment wins.
//! Read once, at the start. A bad or unknown one stops the start with its name and what was expected.
//!
//! A new setting is a field of `Settings` and a line in `Settings::take`: what is taken there is known.

mod master_key;
mod network;
mod source;
mod values;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::SecretString;
use url::Url;

pub use master_key::MasterKeyBytes;
pub use network::Network;
use values::Values;

/// Everything that a running nadi may be told from outside.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Settings that were given, and that this version cannot use yet.
    pub unused: Vec<&'static str>,
    pub bind: SocketAddr,
    pub base_domain: String,
    pub public_scheme: Scheme,
    /// Port of the links that we send; none is the scheme's own.
    pub public_port: Option<u16>,
    pub trusted_proxies: Vec<Network>,
    pub central_database_url: Option<SecretString>,
    pub central_database_url_direct: Option<SecretString>,
    pub master_key: Option<MasterKeyBytes>,
    /// Connections that this process may hold to one PostgreSQL server, all clinics together.
    pub connection_budget: usize,
    pub smtp_url: Option<SecretString>,
    /// Where WhatsApp's API is, if not at Meta.
    pub whatsapp_base_url: Option<Url>,
    /// Where the SMS provider's API is, if not at its own place.
    pub sms_base_url: Option<Url>,
    /// Hosts and networks that clinics' own gateways and mail servers may be in, between commas.
    pub outbound_hosts: String,
    pub metrics_bind: SocketAddr,
    pub pg_bin: Option<PathBuf>,
    pub log: String,
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

impl FromStr for Scheme {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "http" => Ok(Scheme::Http),
            "https" => Ok(Scheme::Https),
            _ => Err(()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(()),
        }
    }
}

/// A setting that stops the start: its name, and what was expected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingError {
    #[error("{name}: expected {expected}")]
    Bad { name: String, expected: String },
    #[error("{name} is no setting of nadi{hint}")]
    Unknown { name: String, hint: String },
    #[error("{name} is required here: {why}")]
    Missing { name: &'static str, why: &'static str },
    #[error("{name}: cannot read {path}: {error}")]
    File { name: String, path: String, error: String },
}

impl SettingError {
    fn bad(name: &str, expected: impl Into<String>) -> Self {
        Self::Bad { name: name.to_owned(), expected: expected.into() }
    }
}

/// Settings of capabilities that this version does not have yet. They are taken, so that one environment serves several
/// versions, and the start says openly that nothing comes of them.
const NOT_YET: &[&str] =
    &["NADI_PAYMENTS_BASE_URL", "NADI_SCANNER", "NADI_STORAGE_URL", "NADI_OTLP_ENDPOINT"];

impl Settings {
    /// Reads the process's environment and the file that `NADI_CONFIG` names.
    pub fn load() -> Result<Self, SettingError> {
        Self::read(source::environment())
    }

    /// Reads settings from pairs of names and values, and from the file that they name.
    pub fn read(environment: impl Iterator<Item = (String, String)>) -> Result<Self, SettingError> {
        Self::take(Values::new(source::gathered(environment)?))
    }

    /// Takes each setting by its name. Nothing is refused before all are taken: only then is it known what is unknown.
    fn take(mut values: Values) -> Result<Self, SettingError> {
        const POSTGRES: &[&str] = &["postgres", "postgresql"];
        let bind = values.parsed("NADI_BIND", "127.0.0.1:8088", "an address and port");
        let public_scheme = values.parsed("NADI_PUBLIC_SCHEME", "http", "http or https");
        let public_port = values.optional("NADI_PUBLIC_PORT", "a port, 1 to 65535");
        let base_domain = values.checked(
            "NADI_BASE_DOMAIN",
            "localhost",
            "a domain such as clinics.example",
            is_domain,
        );
        let trusted_proxies = values.list("NADI_TRUSTED_PROXIES");
        let master_key =
            values.secret("NADI_MASTER_KEY", "32 bytes in base64 (openssl rand -base64 32)");
        let connection_budget =
            values.number("NADI_CONNECTION_BUDGET", 40, 6..=10_000, "connections");
        let log = values.checked(
            "NADI_LOG",
            "info",
            "a level such as info, or nadi=debug,info",
            |text| text.parse::<tracing_subscriber::EnvFilter>().is_ok(),
        );
        let log_format = values.parsed("NADI_LOG_FORMAT", "text", "text or json");
        let central_database_url = values.url("NADI_CENTRAL_DATABASE_URL", POSTGRES);
        let central_database_url_direct = values.url("NADI_CENTRAL_DATABASE_URL_DIRECT", POSTGRES);
        let smtp_url = values.url("NADI_SMTP_URL", &["smtp", "smtps"]);
        let whatsapp_base_url = values.base_url("NADI_WHATSAPP_BASE_URL");
        let sms_base_url = values.base_url("NADI_SMS_BASE_URL");
        let outbound_hosts = values.text("NADI_OUTBOUND_HOSTS").unwrap_or_default();
        let metrics_bind =
            values.parsed("NADI_METRICS_BIND", "127.0.0.1:9088", "an address and port");
        let pg_bin = values.text("NADI_PG_BIN").map(PathBuf::from);
        let unused = NOT_YET.iter().copied().filter(|name| values.has(name)).collect();
        values.refuse_unknown()?;

        let (bind, public_scheme): (SocketAddr, Scheme) = (bind?, public_scheme?);
        let links_keep_the_port = public_scheme == Scheme::Http; // https: a proxy has its own
        Ok(Self {
            unused,
            bind,
            public_scheme,
            public_port: public_port?.or(links_keep_the_port.then_some(bind.port())),
            base_domain: base_domain?.to_ascii_lowercase(),
            trusted_proxies: trusted_proxies?,
            master_key: master_key?,
            connection_budget: connection_budget?,
            log: log?,
            log_format: log_format?,
            central_database_url: central_database_url?,
            central_database_url_direct: central_database_url_direct?,
            smtp_url: smtp_url?,
            whatsapp_base_url: whatsapp_base_url?,
            sms_base_url: sms_base_url?,
            outbound_hosts,
            metrics_bind: metrics_bind?,
            pg_bin,
        })
    }

    /// Where the world finds a host of ours: `https://shanti.clinics.example`. Never taken from a request.
    pub fn public_url(&self, host: &str) -> String {
        let scheme = self.public_scheme.as_str();
        match self.public_port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }

    pub fn require_central(&self) -> Result<&SecretString, SettingError> {
        self.central_database_url.as_ref().ok_or(SettingError::Missing {
            name: "NADI_CENTRAL_DATABASE_URL",
            why: "it says where the central database is (`nadi demo` starts one of its own)",
        })
    }

    pub fn require_master_key(&self) -> Result<&MasterKeyBytes, SettingError> {
        self.master_key.as_ref().ok_or(SettingError::Missing {
            name: "NADI_MASTER_KEY",
            why: "every clinic's keys are wrapped by it; make one with `openssl rand -base64 32`, and keep it safe",
        })
    }
}

fn is_domain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
        && text.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingError> {
        Settings::read(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        let settings = read(&[]).unwrap();

        assert_eq!(settings.public_url("shanti.localhost"), "http://shanti.localhost:8088");
        assert_eq!(settings.connection_budget, 40);
    }

    #[test]
    fn a_bad_setting_is_named_with_what_was_expected() {
        for (name, value) in [
            ("NADI_BIND", "8088"),
            ("NADI_PUBLIC_SCHEME", "ftp"),
            ("NADI_MASTER_KEY", "c2hvcnQ="),
            ("NADI_TRUSTED_PROXIES", "10.0.0.0/33"),
            ("NADI_CONNECTION_BUDGET", "lots"),
            ("NADI_LOG", "nadi=loudly"),
            ("NADI_SMTP_URL", "mail.example"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name) && error.contains("expected"), "{error}");
            assert!(!error.contains("c2hvcnQ="), "a secret is never repeated");
        }
    }

    #[test]
    fn a_misspelt_setting_stops_the_start_and_names_the_right_one() {
        let error = read(&[("NADI_BASE_DOMAINS", "x.example")]).unwrap_err().to_string();

        assert_eq!(
            error,
            "NADI_BASE_DOMAINS is no setting of nadi; did you mean NADI_BASE_DOMAIN?"
        );
    }

    #[test]
    fn the_environment_wins_over_the_file_also_where_one_of_them_names_a_secrets_own_file() {
        use secrecy::ExposeSecret;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (mine, theirs) = (path("mine", "smtp://mine\n"), path("theirs", "smtp://theirs\n"));
        let plain = path("plain.toml", "smtp_url = \"smtp://theirs\"");
        let named = path("named.toml", &format!("smtp_url_file = \"{theirs}\""));
        let both =
            path("both.toml", &format!("smtp_url = \"smtp://x\"\nsmtp_url_file = \"{theirs}\""));
        let url = |pairs: &[(&str, &str)]| {
            read(pairs).map(|settings| settings.smtp_url.unwrap().expose_secret().to_owned())
        };
        let mine = [("NADI_SMTP_URL_FILE", mine.as_str()), ("NADI_SMTP_URL", "smtp://mine")];

        for toml in [&plain, &named] {
            assert_eq!(url(&[("NADI_CONFIG", toml)]).unwrap(), "smtp://theirs");
            for one in mine {
                assert_eq!(url(&[("NADI_CONFIG", toml), one]).unwrap(), "smtp://mine");
            }
        }
        for twice in [&mine[..], &[("NADI_CONFIG", &both)]] {
            let error = url(twice).unwrap_err().to_string();
            assert!(error.contains("NADI_SMTP_URL or NADI_SMTP_URL_FILE"), "{error}");
        }
    }

    #[test]
    fn what_kubernetes_injects_is_ignored() {
        read(&[("NADI_PORT_80_TCP", "tcp://10.0.0.1:80"), ("NADI_SERVICE_HOST", "x")]).unwrap();
    }
}
