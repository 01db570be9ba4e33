//! From a request's Host to whose site it is. Everything that names a host must agree: each `Host` header, the target's
//! authority, HTTP/2's `:authority`. A framework looks at the first alone.

use std::net::IpAddr;

use poem::Request;
use poem::http::{StatusCode, header};

use crate::config::Network;
use crate::error::Problem;

/// Whose host a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// The base domain itself.
    Landing,
    /// `admin.`
    Platform,
    /// A name below the base domain.
    Clinic(String),
    /// A name elsewhere: no clinic's.
    Elsewhere,
}

/// Names below the base domain that no clinic may have.
pub const RESERVED: &[&str] = &[
    "admin",
    "api",
    "www",
    "static",
    "assets",
    "mail",
    "smtp",
    "ftp",
    "docs",
    "status",
    "app",
    "auth",
    "login",
    "help",
    "support",
    "blog",
    "cdn",
    "dev",
    "test",
    "staging",
    "demo",
    "inbox",
    "metrics",
    "health",
    "root",
    "webmail",
    "imap",
    "pop",
    "ns1",
    "ns2",
    "mx",
    "autoconfig",
    "autodiscover",
    "localhost",
    "nadi",
    "platform",
    "public",
    "account",
    "billing",
];

/// A slug by the contract: 3 to 40 of `a-z 0-9 -`, a letter first, no hyphen last, none twice in a row, not reserved.
pub fn is_slug(text: &str) -> bool {
    (3..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--")
        && !RESERVED.contains(&text)
}

/// Whose site the request is for.
///
/// # Errors
/// `400 bad-host`: missing, repeated with another value, malformed, or an IP literal.
pub fn site(request: &Request, base_domain: &str, trusted: &[Network]) -> Result<Site, Problem> {
    let host = named_host(request, trusted)?;
    if host == base_domain {
        return Ok(Site::Landing);
    }
    let Some(name) = host.strip_suffix(base_domain).and_then(|rest| rest.strip_suffix('.')) else {
        return Ok(Site::Elsewhere);
    };
    Ok(match name {
        "admin" => Site::Platform,
        name if is_slug(name) => Site::Clinic(name.to_owned()),
        _ => Site::Elsewhere,
    })
}

fn named_host(request: &Request, trusted: &[Network]) -> Result<String, Problem> {
    let headers = request.headers();
    let from_proxy = peer(request).is_some_and(|peer| is_trusted(trusted, peer));
    let mut names = Vec::new();
    if from_proxy {
        names.extend(headers.get_all("x-forwarded-host"));
    }
    let forwarded = !names.is_empty();
    if !forwarded {
        let hosts = headers.get_all(header::HOST).iter().collect::<Vec<_>>();
        if hosts.len() > 1 {
            return Err(bad_host("give one Host"));
        }
        names.extend(hosts);
    }
    let mut found = Vec::new();
    for name in names {
        found.push(normal(name.to_str().map_err(|_| bad_host("a host is plain ASCII"))?)?);
    }
    // What a proxy asked for itself says nothing of what its client did.
    if !forwarded && let Some(authority) = request.uri().authority() {
        found.push(normal(authority.as_str())?);
    }
    let host = found.first().ok_or_else(|| bad_host("give a Host"))?.clone();
    if found.iter().any(|other| *other != host) {
        return Err(bad_host("the request names more than one host"));
    }
    Ok(host)
}

/// Lower case, without port and without one trailing dot.
fn normal(text: &str) -> Result<String, Problem> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err() || port.starts_with('+')) {
        return Err(bad_host("a malformed port or address"));
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let well_formed = !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
    if !well_formed {
        return Err(bad_host("a malformed host"));
    }
    // `127.1` and `0x7f.1` are addresses to many resolvers: a last label that is a number names no host.
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal = last
        .strip_prefix("0x")
        .or_else(|| last.strip_prefix("0X"))
        .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if last.bytes().all(|b| b.is_ascii_digit()) || hexadecimal {
        return Err(bad_host("an address is no host name"));
    }
    Ok(name.to_ascii_lowercase())
}

fn bad_host(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad-host", detail)
}

/// The address at the other end of the connection.
pub fn peer(request: &Request) -> Option<IpAddr> {
    request.remote_addr().as_socket_addr().map(|address| address.ip().to_canonical())
}

fn is_trusted(trusted: &[Network], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// The client's address: through trusted proxies from right to left, the first that is none of them.
pub fn client_address(request: &Request, trusted: &[Network]) -> Option<IpAddr> {
    let peer = peer(request)?;
    if !is_trusted(trusted, peer) {
        return Some(peer);
    }
    let forwarded: Vec<&str> = request
        .headers()
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let mut client = peer;
    for hop in forwarded.iter().rev() {
        let Ok(address) = hop.parse::<IpAddr>() else { break };
        client = address.to_canonical();
        if !is_trusted(trusted, client) {
            break;
        }
    }
    Some(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site_of(hosts: &[&str]) -> Result<Site, StatusCode> {
        let mut request = Request::builder();
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        site(&request.finish(), "localhost", &[]).map_err(|problem| problem.status)
    }

    #[test]
    fn a_host_is_matched_without_case_port_and_trailing_dot() {
        let shanti = Ok(Site::Clinic("shanti".into()));
        for host in
            ["shanti.localhost", "SHANTI.LocalHost", "shanti.localhost:8088", "shanti.localhost."]
        {
            assert_eq!(site_of(&[host]), shanti, "{host}");
        }
        assert_eq!(site_of(&["localhost:1"]), Ok(Site::Landing));
        assert_eq!(site_of(&["admin.localhost"]), Ok(Site::Platform));
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        for hosts in [
            &[][..],
            &["shanti.localhost", "arogya.localhost"],
            &["shanti.localhost", "shanti.localhost"],
            &[""],
            &["127.0.0.1"],
            &["127.0.0.1:8088"],
            &["[::1]:8088"],
            &["127.1"],
            &["0x7f.0x1"],
            &["2130706433"],
            &["shanti..localhost"],
            &["shanti.localhost.."],
            &[".localhost"],
            &["shanti.localhost:"],
            &["shanti.localhost:+80"],
            &["shanti.localhost:99999"],
            &["shanti localhost"],
            &["shanti.localhost/x"],
            &["user@shanti.localhost"],
            &["shanti.localhost, arogya.localhost"],
        ] {
            assert_eq!(site_of(hosts), Err(StatusCode::BAD_REQUEST), "{hosts:?}");
        }
    }

    #[test]
    fn what_looks_like_a_clinic_but_is_none_is_elsewhere() {
        for host in [
            "a.shanti.localhost",
            "xn--shnti-hra.localhost",
            "shanti-.localhost",
            "1shanti.localhost",
            "ab.localhost",
            "www.localhost",
            "shantilocalhost",
            "shanti.localhost.evil.example",
            "shanti.example",
        ] {
            assert_eq!(site_of(&[host]), Ok(Site::Elsewhere), "{host}");
        }
    }
}
