//! Addresses that a setting names: whose word on the caller's address is believed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Addresses as `10.0.0.0/8`, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    pub fn is_v4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// How many bits its addresses have in common.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

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

/// As PostgreSQL writes a `cidr`: without what lies behind the prefix.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn cut(bits: u128, width: u32, prefix: u8) -> u128 {
            let shift = width - u32::from(prefix);
            bits.checked_shr(shift).and_then(|bits| bits.checked_shl(shift)).unwrap_or(0)
        }
        let address: IpAddr = match self.address {
            IpAddr::V4(a) => {
                Ipv4Addr::from(cut(u32::from(a).into(), 32, self.prefix) as u32).into()
            }
            IpAddr::V6(a) => Ipv6Addr::from(cut(a.into(), 128, self.prefix)).into(),
        };
        write!(f, "{address}/{}", self.prefix)
    }
}

impl FromStr for Network {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_written_without_what_lies_behind_its_prefix() {
        for (given, written) in [
            ("10.1.2.3/20", "10.1.0.0/20"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8:1:2::3/48", "2001:db8:1::/48"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(given.parse::<Network>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn a_network_holds_its_addresses_only() {
        let network: Network = "10.1.0.0/16".parse().unwrap();

        assert!(network.contains("10.1.200.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()));
        assert!(!network.contains("::1".parse().unwrap()));
    }
}
