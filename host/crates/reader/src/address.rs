//! Which addresses may be dialled.
//!
//! An address is dialled if it is public, or if the operator lists a network that holds it. "Public"
//! is written as what is *not* reserved by the IANA special-purpose registries; for IPv6 only
//! `2000::/3` is ever public, so mapped, translated (NAT64), 6to4 and Teredo addresses are not, and
//! no private IPv4 address can be reached in disguise. A listed translation network still does not
//! reach a private IPv4 address inside it unless that one is listed too.
//!
//! Odd spellings (`127.1`, `0x7f.1`, `2130706433`) never arrive here: the URL parser has turned them
//! into addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A network in CIDR notation, such as `10.0.0.0/8` or `fd00::/8`. A bare address is one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network; write it like `10.0.0.0/8` or `fd00::/8`")]
pub struct NetworkError(pub String);

impl Network {
    /// Whether `address` lies in this network. Families never mix: `::ffff:10.0.0.1` is not in
    /// `10.0.0.0/8`.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix);
                let cut = |ip: Ipv4Addr| ip.to_bits().checked_shr(shift).unwrap_or(0);
                cut(base) == cut(address)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix);
                let cut = |ip: Ipv6Addr| ip.to_bits().checked_shr(shift).unwrap_or(0);
                cut(base) == cut(address)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || NetworkError(text.chars().take(80).collect());
        let (base, prefix) = match text.split_once('/') {
            Some((base, prefix)) => (base, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| error())?;
        let longest = if base.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| error())?,
            None => longest,
        };
        if prefix > longest {
            return Err(error());
        }
        Ok(Network { base, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Whether `address` belongs to the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Whether `address` may be dialled when the operator lists `networks`.
#[must_use]
pub fn is_permitted(address: IpAddr, networks: &[Network]) -> bool {
    let listed = |address| networks.iter().any(|network| network.contains(address));
    if is_public(address) {
        return true;
    }
    if !listed(address) {
        return false;
    }
    match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => carried_v4(address).is_none_or(|inner| {
            let inner = IpAddr::V4(inner);
            is_public(inner) || listed(inner)
        }),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)        // this network, private, loopback, multicast, reserved, broadcast
            | (100, 64..=127, _)                // shared address space of carriers
            | (169, 254, _)                     // link-local, and the metadata services of clouds
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)                   // protocol assignments, documentation
            | (192, 88, 99)                     // 6to4 relays
            | (192, 168, _)
            | (198, 18..=19, _)                 // benchmarking
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let global_unicast = a & 0xe000 == 0x2000;
    let reserved = match a {
        0x2001 => b < 0x0200 || b == 0x0db8, // protocol assignments with Teredo, documentation
        0x2002 => true,                      // 6to4
        0x3fff => b < 0x1000,                // documentation
        _ => false,
    };
    global_unicast && !reserved
}

/// The IPv4 address that a mapped, compatible, NAT64 or 6to4 address stands for.
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0..=1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => {
            Some(v4(high, low))
        }
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn r01_private_mapped_and_translated_addresses_are_not_public() {
        for text in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.88.99.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:7f00:1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fe80::1",
            "fec0::1",
            "fd00::1",
            "fd00:ec2::254",
            "ff02::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(!is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_public() {
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
        ] {
            assert!(is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn listed_networks_are_permitted_exactly() {
        let listed = [network("10.0.0.0/8"), network("fd00::/16")];
        assert!(is_permitted(address("10.255.0.1"), &listed));
        assert!(is_permitted(address("fd00::1"), &listed));
        assert!(
            !is_permitted(address("11.0.0.1").to_canonical(), &[])
                || is_public(address("11.0.0.1"))
        );
        assert!(!is_permitted(address("127.0.0.1"), &listed));
        assert!(!is_permitted(address("::ffff:10.0.0.1"), &listed));
        assert!(!is_permitted(address("fd01::1"), &listed));
        assert!(is_permitted(address("127.0.0.1"), &[network("0.0.0.0/0")]));
        assert!(is_permitted(address("fe80::1"), &[network("::/0")]));
    }

    #[test]
    fn r01_a_listed_translation_network_reaches_no_private_address() {
        let listed = [network("64:ff9b::/96")];
        assert!(is_permitted(address("64:ff9b::808:808"), &listed));
        assert!(!is_permitted(address("64:ff9b::7f00:1"), &listed));
        let both = [network("64:ff9b::/96"), network("127.0.0.0/8")];
        assert!(is_permitted(address("64:ff9b::7f00:1"), &both));
    }

    #[test]
    fn networks_print_and_refuse_nonsense() {
        assert_eq!(network("10.0.0.0/8").to_string(), "10.0.0.0/8");
        assert_eq!(network("::1").to_string(), "::1/128");
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0/8",
            "host/8",
            "::/129",
            "10.0.0.0/8/8",
        ] {
            assert!(Network::from_str(text).is_err(), "{text}");
        }
    }
}
