//! What kind of place an address is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of place an address is, as far as it matters who asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Anywhere on the internet.
    Public,
    /// This machine or its neighbours: loopback, private, link-local, shared, documentation.
    Private,
    /// Where clouds tell a machine its secrets.
    Metadata,
    /// No single host: unspecified, multicast, broadcast, reserved.
    Nowhere,
}

/// Amazon, Google, Azure, OpenStack and others; Amazon's containers; Alibaba; Oracle; Azure's
/// wire server.
const METADATA_V4: [Ipv4Addr; 5] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// Amazon; Google.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// What kind of place an address is; one that wraps an IPv4 address is what it wraps.
pub(super) fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(address) => place_v4(address),
        IpAddr::V6(address) => match wrapped(address) {
            Some(inner) => place_v4(inner),
            None => place_v6(address),
        },
    }
}

fn place_v4(address: Ipv4Addr) -> Place {
    if METADATA_V4.contains(&address) {
        return Place::Metadata;
    }
    match address.octets() {
        [0, ..] | [224..=255, ..] => Place::Nowhere,
        [10 | 127, ..]
        | [100, 64..=127, ..]
        | [169, 254, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Place::Private,
        _ => Place::Public,
    }
}

fn place_v6(address: Ipv6Addr) -> Place {
    if METADATA_V6.contains(&address) {
        return Place::Metadata;
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Place::Private,
        [0, 0, 0, 0, 0, 0, ..] | [0xff00..=0xffff, ..] => Place::Nowhere,
        // Unique local, link-local, site-local; benchmarks, documentation, discard.
        [0xfc00..=0xfdff, ..]
        | [0xfe80..=0xfeff, ..]
        | [0x2001, 0x0000..=0x01ff, ..]
        | [0x2001, 0xdb8, ..]
        | [0x3fff, 0x0000..=0x0fff, ..]
        | [0x100, 0, 0, 0, ..] => Place::Private,
        // Only 2000::/3 is handed out to hosts.
        [0x2000..=0x3fff, ..] => Place::Public,
        _ => Place::Nowhere,
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, translated (NAT64) or 6to4.
pub(super) fn wrapped(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let two = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(two(high, low)),
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some(two(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(two(high, low)),
        [0x2002, high, low, ..] => Some(two(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        for (text, expected) in [
            ("93.184.216.34", Place::Public),
            ("172.15.0.1", Place::Public),
            ("172.32.0.1", Place::Public),
            ("100.128.0.1", Place::Public),
            ("2606:2800:220:1::1", Place::Public),
            ("127.0.0.1", Place::Private),
            ("127.8.8.8", Place::Private),
            ("10.0.0.1", Place::Private),
            ("172.16.0.1", Place::Private),
            ("192.168.1.1", Place::Private),
            ("169.254.1.1", Place::Private),
            ("100.64.0.1", Place::Private),
            ("198.19.255.255", Place::Private),
            ("::1", Place::Private),
            ("fe80::1", Place::Private),
            ("fd12::1", Place::Private),
            ("fec0::1", Place::Private),
            ("2001:db8::1", Place::Private),
            ("::ffff:127.0.0.1", Place::Private),
            ("::ffff:10.1.2.3", Place::Private),
            ("64:ff9b::7f00:1", Place::Private),
            ("2002:7f00:1::", Place::Private),
            ("169.254.169.254", Place::Metadata),
            ("::ffff:169.254.169.254", Place::Metadata),
            ("64:ff9b::a9fe:a9fe", Place::Metadata),
            ("fd00:ec2::254", Place::Metadata),
            ("100.100.100.200", Place::Metadata),
            ("0.0.0.0", Place::Nowhere),
            ("0.1.2.3", Place::Nowhere),
            ("::", Place::Nowhere),
            ("::7f00:1", Place::Nowhere),
            ("224.0.0.1", Place::Nowhere),
            ("255.255.255.255", Place::Nowhere),
            ("ff02::1", Place::Nowhere),
            ("4000::1", Place::Nowhere),
        ] {
            assert_eq!(place(text.parse().unwrap()), expected, "{text}");
        }
    }
}
