//! Where calls to addresses that a clinic gave may go: hosts on the platform's allow list, and never into its own
//! network, whatever their names resolve to. The check is made on the very addresses that are then connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// What the platform allows: host names, `http://` and a host name where nothing better is spoken there, and addresses or
/// networks (`10.1.0.0/16`) where private ones are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    hosts: Vec<Listed>,
    networks: Vec<Network>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    name: String,
    in_the_clear: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    base: IpAddr,
    bits: u32,
}

/// Why a URL may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    #[error("only http and https are spoken")]
    Scheme,
    #[error("credentials belong into the headers, not into the address")]
    UserInfo,
    #[error("the platform does not list this host")]
    Host,
    #[error("this is an address inside the platform's own network")]
    Private,
    #[error("without https, secrets would go in the clear")]
    InTheClear,
}

impl AllowList {
    /// # Errors
    /// The entry that is neither a host name nor an address nor a network.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut list = Self::default();
        for entry in entries.into_iter().map(str::trim).filter(|entry| !entry.is_empty()) {
            if let Some(network) = Network::parse(entry) {
                list.networks.push(network);
                continue;
            }
            let (name, in_the_clear) = match entry.strip_prefix("http://") {
                Some(name) => (name, true),
                None => (entry, false),
            };
            match Host::parse(name) {
                Ok(Host::Domain(name)) => list.hosts.push(Listed { name, in_the_clear }),
                _ => return Err(entry.to_owned()),
            }
        }
        Ok(list)
    }

    /// Whether a URL may be called at all; its name's addresses are checked again when they are known.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, url: &Url) -> Result<(), Barred> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Barred::UserInfo);
        }
        let address = match url.host() {
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                let listed = self.hosts.iter().filter(|host| host.name == name);
                let in_the_clear = listed.map(|host| host.in_the_clear).max();
                let in_the_clear = in_the_clear.ok_or(Barred::Host)?;
                return speaks(url.scheme(), in_the_clear);
            }
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            None => return Err(Barred::Host),
        };
        match self.lists(address) {
            // Whoever lists an address knows the way to it.
            true => speaks(url.scheme(), true),
            false if is_public(address) => Err(Barred::Host),
            false => Err(Barred::Private),
        }
    }

    /// Whether an address may be connected to.
    pub fn admits(&self, address: IpAddr) -> bool {
        is_public(address) || self.lists(address)
    }

    fn lists(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.holds(address))
    }
}

fn speaks(scheme: &str, in_the_clear: bool) -> Result<(), Barred> {
    match scheme {
        "https" => Ok(()),
        "http" if in_the_clear => Ok(()),
        "http" => Err(Barred::InTheClear),
        _ => Err(Barred::Scheme),
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let base: IpAddr = base.trim_matches(['[', ']']).parse().ok()?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Self { base, bits })
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                (base.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                (base.to_bits() ^ address.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

/// Whether an address is one of the open internet (the special ranges of RFC 6890 and its heirs are not).
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local() // with the cloud's metadata in it
        || address.is_documentation()
        || address.is_multicast()
        || a >= 240 // reserved, and broadcast
        || (a == 100 && (64..128).contains(&b)) // carrier-grade NAT
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || (a == 192 && b == 88 && c == 99) // 6to4 relays
        || (a == 198 && (b == 18 || b == 19))) // benchmarks
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // Only 2000::/3 is given out. Inside it: ways to reach an IPv4 address under another name, and documentation.
    (parts[0] & 0xe000) == 0x2000
        && !(parts[0] == 0x2002 // 6to4
            || (parts[0] == 0x2001 && parts[1] < 0x0200) // Teredo, ORCHID and other protocols
            || (parts[0] == 0x2001 && parts[1] == 0x0db8)
            || (parts[0] == 0x3fff && parts[1] < 0x1000))
}

/// Resolves names, and gives the connector only addresses that the list admits.
pub(super) struct GuardedNames(pub Arc<AllowList>);

/// Why a name gives no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the name stands for an address inside the platform's own network")]
    PointsInside,
    #[error(transparent)]
    Unknown(#[from] std::io::Error),
}

impl AllowList {
    /// The addresses of a name, if none of them is inside: one bad address bars it, for an attacker's answer would mix
    /// good ones in.
    pub(super) async fn addresses(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, Unusable> {
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        match found.iter().all(|address| self.admits(address.ip())) {
            true => Ok(found),
            false => Err(Unusable::PointsInside),
        }
    }
}

impl Resolve for GuardedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let list = self.0.clone();
        Box::pin(async move {
            let found = list.addresses(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &[&str], url: &str) -> Result<(), Barred> {
        AllowList::new(list.iter().copied()).unwrap().check(&url.parse().unwrap())
    }

    #[test]
    fn only_addresses_of_the_open_internet_are_public() {
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2001::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn a_url_is_called_only_where_the_platform_lists_its_host() {
        let sms = ["sms.example"];
        assert_eq!(check(&sms, "https://sms.example/send"), Ok(()));
        assert_eq!(check(&sms, "https://SMS.example./send"), Ok(()));
        assert_eq!(check(&sms, "http://sms.example/send"), Err(Barred::InTheClear));
        assert_eq!(
            check(&["10.1.0.0/16", "sms.example"], "http://sms.example/"),
            Err(Barred::InTheClear)
        );
        assert_eq!(check(&["http://sms.example"], "http://sms.example/send"), Ok(()));
        assert_eq!(check(&["http://sms.example"], "https://sms.example/send"), Ok(()));
        assert_eq!(check(&sms, "https://evil.example/"), Err(Barred::Host));
        assert_eq!(check(&sms, "https://sms.example.evil.example/"), Err(Barred::Host));
        assert_eq!(check(&sms, "https://key@sms.example/"), Err(Barred::UserInfo));
        assert_eq!(check(&sms, "ftp://sms.example/"), Err(Barred::Scheme));
        assert_eq!(check(&sms, "https://1.1.1.1/"), Err(Barred::Host));
        for sly in
            ["https://127.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://[::1]/"]
        {
            assert_eq!(check(&sms, sly), Err(Barred::Private), "{sly}");
        }
    }

    #[test]
    fn a_private_address_is_reached_if_the_platform_names_it() {
        assert_eq!(check(&["127.0.0.1"], "http://127.0.0.1:8080/"), Ok(()));
        assert_eq!(check(&["10.1.0.0/16"], "https://10.1.200.3/"), Ok(()));
        assert_eq!(check(&["10.1.0.0/16"], "https://10.2.0.1/"), Err(Barred::Private));
        assert_eq!(check(&["fd00::/8"], "https://[fd12::1]/"), Ok(()));

        let list = AllowList::new(["10.1.0.0/16", "::1"]).unwrap();
        assert!(list.admits("::ffff:10.1.0.9".parse().unwrap()));
        assert!(list.admits("::1".parse().unwrap()));
        assert!(!list.admits("10.2.0.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_name_that_points_inside_gives_no_address() {
        for (list, admitted) in [(vec![], false), (vec!["127.0.0.0/8", "::1"], true)] {
            let list = Arc::new(AllowList::new(list).unwrap());
            let names = GuardedNames(list.clone());

            let resolved = names.resolve("localhost".parse().unwrap()).await;

            assert_eq!(resolved.is_ok(), admitted);
            assert_eq!(list.addresses("localhost", 25).await.is_ok(), admitted);
        }
    }

    #[test]
    fn an_entry_that_is_neither_name_nor_network_is_refused() {
        for entry in ["10.0.0.0/33", "::/129", "https://sms.example", "a b"] {
            assert_eq!(AllowList::new([entry]), Err(entry.to_owned()));
        }
    }
}
