//! What the broker may reach on the network by itself: context documents and receivers now, other
//! brokers later. URLs come from clients, so the default lets none of them reach inside.

use std::{net::IpAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{ByteSize, Value, section::settings};

settings! {
    /// What the broker may reach on the network when it fetches documents or notifies receivers
    /// that clients name.
    pub struct Egress = "egress" {
        /// Whether private, loopback and link-local addresses may be reached. Cloud metadata
        /// addresses never are.
        #[flag = "allow-private-egress"]
        allow_private: bool = false,
        /// Networks that may be reached although they are private, like 10.20.0.0/16.
        allow: Vec<Network> = Vec::new(),
        /// Which ports may be reached: those of web servers, not those of mail or shells.
        ports: Vec<Ports> = vec![Ports(80..=80), Ports(443..=443), Ports(1024..=65535)],
        /// Whether plain http and mqtt may be used besides https and mqtts.
        http: bool = true,
        /// Certificates (PEM) of authorities to trust besides the usual ones.
        ca: Option<PathBuf> = None,
        /// How many redirects are followed; each is checked like the first address.
        redirects: usize = 5,
        /// How long one fetch may take, redirects included.
        timeout: Duration = Duration::from_secs(10),
        /// How long a connection may take to open.
        connect_timeout: Duration = Duration::from_secs(3),
        /// The largest answer that is read.
        response: ByteSize = ByteSize::mebi(4),
    }
}

/// A range of ports, written `443` or `8000-8999`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports(pub RangeInclusive<u16>);

impl Value for Ports {
    const HINT: &'static str = "a port or a range of ports, like 443 or 8000-8999";
    const NAME: &'static str = "PORTS";

    fn from_text(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.trim().parse::<u16>().map_err(|_| String::new());
        let (first, last) = (number(first)?, number(last)?);
        if first > last { Err(String::new()) } else { Ok(Self(first..=last)) }
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        match value.as_integer() {
            Some(number) => Self::from_text(&number.to_string()),
            None => Self::from_text(value.as_str().ok_or_else(String::new)?),
        }
    }

    fn show(&self) -> Option<toml::Value> {
        let (first, last) = (self.0.start(), self.0.end());
        let text = if first == last { first.to_string() } else { format!("{first}-{last}") };
        Some(text.into())
    }
}

/// A network, written as an address with a prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address belongs to it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let shared = match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => return false,
        };
        shared >= u32::from(self.prefix)
    }
}

impl Value for Network {
    const HINT: &'static str = "a network, like 10.20.0.0/16 or fd00::/8";
    const NAME: &'static str = "NETWORK";

    fn from_text(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| String::new())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|bits| *bits <= most),
            None => Some(most),
        };
        Ok(Self { address, prefix: prefix.ok_or_else(String::new)? })
    }

    fn show(&self) -> Option<toml::Value> {
        Some(format!("{}/{}", self.address, self.prefix).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_of_its_prefix() {
        let network = Network::from_text("10.20.0.0/16").expect("a network");
        assert!(network.contains(IpAddr::from([10, 20, 255, 1])));
        assert!(!network.contains(IpAddr::from([10, 21, 0, 1])));
        assert!(!network.contains("::1".parse().expect("an address")));
        let all = Network::from_text("::/0").expect("a network");
        assert!(all.contains("2001:db8::1".parse().expect("an address")));
        let one = Network::from_text("127.0.0.1").expect("an address");
        assert!(one.contains(IpAddr::from([127, 0, 0, 1])));
        assert!(!one.contains(IpAddr::from([127, 0, 0, 2])));
        assert!(Network::from_text("10.0.0.0/33").is_err());
    }

    #[test]
    fn ports_are_one_or_a_range() {
        assert_eq!(Ports::from_text("443"), Ok(Ports(443..=443)));
        assert_eq!(Ports::from_text("8000-8999"), Ok(Ports(8000..=8999)));
        assert!(Ports::from_text("9-1").is_err());
        assert!(Ports::from_text("70000").is_err());
    }
}
