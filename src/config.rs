//! Settings: environment variables with the prefix `NADI_`, or a TOML file named by `NADI_CONFIG`; the environment wins.
//! Read once, at the start. A bad or unknown one stops the start with its name and what was expected.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use base64::Engine;
use secrecy::SecretString;
use url::Url;

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
    pub metrics_bind: SocketAddr,
    pub pg_bin: Option<PathBuf>,
    pub log: String,
    pub log_format: LogFormat,
}

/// 32 bytes that wrap every clinic's root key. `Debug` shows nothing of them.
#[derive(Clone)]
pub struct MasterKeyBytes(pub [u8; 32]);

impl std::fmt::Debug for MasterKeyBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKeyBytes(…)")
    }
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Addresses as `10.0.0.0/8`, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        fn same(a: u128, b: u128, width: u32, prefix: u8) -> bool {
            let shift = width - u32::from(prefix);
            shift >= width || a >> shift == b >> shift
        }
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                same(u32::from(a).into(), u32::from(b).into(), 32, self.prefix)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128, self.prefix),
            _ => false,
        }
    }
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("an address or network such as 10.0.0.0/8, not `{text}`");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| expected())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| expected())?,
            None => width,
        };
        if prefix > width {
            return Err(expected());
        }
        Ok(Self { address, prefix })
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

/// Settings whose value is a secret: they may also come from a file, `<name>_FILE`.
const SECRETS: &[&str] = &[
    "NADI_CENTRAL_DATABASE_URL",
    "NADI_CENTRAL_DATABASE_URL_DIRECT",
    "NADI_MASTER_KEY",
    "NADI_SMTP_URL",
];

const PLAIN: &[&str] = &[
    "NADI_BIND",
    "NADI_BASE_DOMAIN",
    "NADI_PUBLIC_SCHEME",
    "NADI_PUBLIC_PORT",
    "NADI_TRUSTED_PROXIES",
    "NADI_CONNECTION_BUDGET",
    "NADI_METRICS_BIND",
    "NADI_PG_BIN",
    "NADI_CONFIG",
    "NADI_LOG",
    "NADI_LOG_FORMAT",
];

/// Settings of capabilities that this version does not have yet. They are taken, so that one environment serves several
/// versions, and the start says openly that nothing comes of them.
const NOT_YET: &[&str] = &[
    "NADI_WHATSAPP_BASE_URL",
    "NADI_SMS_BASE_URL",
    "NADI_PAYMENTS_BASE_URL",
    "NADI_SCANNER",
    "NADI_STORAGE_URL",
    "NADI_OTLP_ENDPOINT",
];

impl Settings {
    /// Reads the process's environment and the file that `NADI_CONFIG` names.
    pub fn load() -> Result<Self, SettingError> {
        Self::read(std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            name.starts_with("NADI_")
                .then(|| (name, value.into_string().unwrap_or_else(|_| "\u{fffd}".into())))
        }))
    }

    /// Reads settings from pairs of names and values.
    pub fn read(environment: impl Iterator<Item = (String, String)>) -> Result<Self, SettingError> {
        let mut values: BTreeMap<String, String> = environment
            .filter(|(name, value)| !injected_by_kubernetes(name) && !value.is_empty())
            .collect();
        if let Some(path) = values.get("NADI_CONFIG").cloned() {
            for (name, value) in read_file(&path)? {
                values.entry(name).or_insert(value);
            }
        }
        for name in SECRETS {
            let from_file = format!("{name}_FILE");
            let Some(path) = values.remove(&from_file) else { continue };
            let secret = std::fs::read_to_string(&path).map_err(|error| SettingError::File {
                name: from_file,
                path,
                error: error.to_string(),
            })?;
            values.entry((*name).to_owned()).or_insert(secret.trim_end().to_owned());
        }
        for name in values.keys() {
            if NOT_YET.contains(&name.as_str()) {
                continue;
            }
            if !PLAIN.contains(&name.as_str()) && !SECRETS.contains(&name.as_str()) {
                return Err(SettingError::Unknown { name: name.clone(), hint: hint(name) });
            }
        }
        Self::from_values(&values)
    }

    fn from_values(values: &BTreeMap<String, String>) -> Result<Self, SettingError> {
        let get = |name: &str| values.get(name).map(String::as_str);
        let bind = parsed(get, "NADI_BIND", "127.0.0.1:8088", "an address and port")?;
        let public_scheme = match get("NADI_PUBLIC_SCHEME").unwrap_or("http") {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(SettingError::bad("NADI_PUBLIC_SCHEME", "http or https")),
        };
        let public_port = match get("NADI_PUBLIC_PORT") {
            Some(text) => Some(
                text.parse()
                    .map_err(|_| SettingError::bad("NADI_PUBLIC_PORT", "a port, 1 to 65535"))?,
            ),
            None if public_scheme == Scheme::Http => Some(SocketAddr::port(&bind)),
            None => None,
        };
        let base_domain = get("NADI_BASE_DOMAIN").unwrap_or("localhost").to_ascii_lowercase();
        if !is_domain(&base_domain) {
            return Err(SettingError::bad("NADI_BASE_DOMAIN", "a domain such as clinics.example"));
        }
        let trusted_proxies = get("NADI_TRUSTED_PROXIES")
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                part.parse().map_err(|e: String| SettingError::bad("NADI_TRUSTED_PROXIES", e))
            })
            .collect::<Result<_, _>>()?;
        let master_key = get("NADI_MASTER_KEY")
            .map(|text| {
                let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok();
                bytes.and_then(|bytes| bytes.try_into().ok()).map(MasterKeyBytes).ok_or_else(|| {
                    SettingError::bad(
                        "NADI_MASTER_KEY",
                        "32 bytes in base64 (openssl rand -base64 32)",
                    )
                })
            })
            .transpose()?;
        let connection_budget: usize =
            parsed(get, "NADI_CONNECTION_BUDGET", "40", "a number of connections, at least 5")?;
        if !(5..=10_000).contains(&connection_budget) {
            return Err(SettingError::bad("NADI_CONNECTION_BUDGET", "5 to 10000 connections"));
        }
        let log = get("NADI_LOG").unwrap_or("info").to_owned();
        if log.parse::<tracing_subscriber::EnvFilter>().is_err() {
            return Err(SettingError::bad("NADI_LOG", "a level such as info, or nadi=debug,info"));
        }
        let log_format = match get("NADI_LOG_FORMAT").unwrap_or("text") {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => return Err(SettingError::bad("NADI_LOG_FORMAT", "text or json")),
        };
        let unused = NOT_YET.iter().copied().filter(|name| get(name).is_some()).collect();
        Ok(Self {
            unused,
            bind,
            base_domain,
            public_scheme,
            public_port,
            trusted_proxies,
            central_database_url: url(
                get,
                "NADI_CENTRAL_DATABASE_URL",
                &["postgres", "postgresql"],
            )?,
            central_database_url_direct: url(
                get,
                "NADI_CENTRAL_DATABASE_URL_DIRECT",
                &["postgres", "postgresql"],
            )?,
            master_key,
            connection_budget,
            smtp_url: url(get, "NADI_SMTP_URL", &["smtp", "smtps"])?,
            metrics_bind: parsed(
                get,
                "NADI_METRICS_BIND",
                "127.0.0.1:9088",
                "an address and port",
            )?,
            pg_bin: get("NADI_PG_BIN").map(PathBuf::from),
            log,
            log_format,
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

fn parsed<'a, T: std::str::FromStr>(
    get: impl Fn(&str) -> Option<&'a str>,
    name: &str,
    default: &'a str,
    expected: &str,
) -> Result<T, SettingError> {
    get(name).unwrap_or(default).parse().map_err(|_| SettingError::bad(name, expected))
}

fn url<'a>(
    get: impl Fn(&str) -> Option<&'a str>,
    name: &str,
    schemes: &[&str],
) -> Result<Option<SecretString>, SettingError> {
    let Some(text) = get(name) else { return Ok(None) };
    let expected = || SettingError::bad(name, format!("a URL that begins with {}://", schemes[0]));
    // PostgreSQL's own form has an empty host when a socket is named in the query.
    let scheme = text.split_once("://").map(|(scheme, _)| scheme).ok_or_else(expected)?;
    if !schemes.contains(&scheme) {
        return Err(expected());
    }
    if !scheme.starts_with("postgres") {
        Url::parse(text).map_err(|_| expected())?;
    }
    Ok(Some(SecretString::from(text)))
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

/// Kubernetes puts these into every container beside a service called nadi.
fn injected_by_kubernetes(name: &str) -> bool {
    name == "NADI_PORT" || name.starts_with("NADI_PORT_") || name.starts_with("NADI_SERVICE_")
}

fn hint(name: &str) -> String {
    let known = PLAIN.iter().chain(SECRETS);
    let nearest = known.min_by_key(|known| edits(name, known)).filter(|k| edits(name, k) <= 4);
    nearest.map(|known| format!("; did you mean {known}?")).unwrap_or_default()
}

/// Levenshtein distance, for the hint alone.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// A file's `bind = "…"` is `NADI_BIND`.
fn read_file(path: &str) -> Result<Vec<(String, String)>, SettingError> {
    let text = std::fs::read_to_string(path).map_err(|error| SettingError::File {
        name: "NADI_CONFIG".into(),
        path: path.into(),
        error: error.to_string(),
    })?;
    let table: toml::Table = text
        .parse()
        .map_err(|error| SettingError::bad("NADI_CONFIG", format!("TOML in {path}: {error}")))?;
    table
        .into_iter()
        .map(|(key, value)| {
            let name = format!("NADI_{}", key.to_ascii_uppercase());
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(yes) => yes.to_string(),
                toml::Value::Array(items) => items
                    .iter()
                    .map(|item| item.as_str().map(str::to_owned))
                    .collect::<Option<Vec<_>>>()
                    .ok_or_else(|| SettingError::bad(&name, "a list of strings"))?
                    .join(","),
                _ => return Err(SettingError::bad(&name, "a string or a number")),
            };
            Ok((name, value))
        })
        .collect()
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
    fn what_kubernetes_injects_is_ignored() {
        read(&[("NADI_PORT_80_TCP", "tcp://10.0.0.1:80"), ("NADI_SERVICE_HOST", "x")]).unwrap();
    }

    #[test]
    fn a_network_holds_its_addresses_only() {
        let network: Network = "10.1.0.0/16".parse().unwrap();

        assert!(network.contains("10.1.200.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()));
        assert!(!network.contains("::1".parse().unwrap()));
    }
}
