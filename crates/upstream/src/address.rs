//! Which addresses the service connects to on behalf of its configuration. Source: events-and-operations 9.1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::settings::PrivateAddresses;

/// Where clouds keep what a machine may know of itself, its credentials included.
const METADATA: [IpAddr; 9] = [
    // Most clouds; then tasks and pods of AWS, Alibaba, the host of an Azure machine, and the older address of Oracle.
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // AWS, its pods, and Google.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Tells whether a handler may be at an address.
pub(crate) fn is_allowed(private: PrivateAddresses, address: IpAddr) -> bool {
    let address = innermost(address);
    if METADATA.contains(&address) {
        return false;
    }
    match private {
        PrivateAddresses::Allow => true,
        PrivateAddresses::Deny => match address {
            IpAddr::V4(address) => is_public_v4(address),
            IpAddr::V6(address) => is_public_v6(address),
        },
    }
}

/// Returns the IPv4 address that an IPv6 address leads to, if it does: mapped, compatible, NAT64 and 6to4.
fn innermost(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        _ => address,
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_shared = first == 100 && (64..128).contains(&second);
    let is_for_benchmarks = first == 198 && (18..20).contains(&second);
    let is_for_protocols = (first, second, third) == (192, 0, 0);
    !(first == 0
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || is_shared
        || is_for_benchmarks
        || is_for_protocols
        || address.is_multicast()
        || first >= 240)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    let is_site_local = (first & 0xffc0) == 0xfec0;
    // The local form of NAT64 leads into private networks.
    let is_local_nat64 = address.segments()[..3] == [0x64, 0xff9b, 1];
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || is_site_local
        || is_local_nat64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(private: PrivateAddresses, addresses: &[&str]) -> Vec<String> {
        addresses
            .iter()
            .filter(|text| is_allowed(private, text.parse().unwrap()))
            .map(|text| (*text).to_owned())
            .collect()
    }

    const METADATA_FORMS: [&str; 12] = [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ];

    #[test]
    fn metadata_addresses_are_refused_always() {
        for private in [PrivateAddresses::Allow, PrivateAddresses::Deny] {
            assert!(allowed(private, &METADATA_FORMS).is_empty(), "{private:?}");
        }
    }

    #[test]
    fn private_addresses_are_refused_unless_allowed() {
        let addresses = [
            "127.0.0.1",
            "127.8.9.10",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::",
        ];
        assert!(allowed(PrivateAddresses::Deny, &addresses).is_empty());
        assert_eq!(allowed(PrivateAddresses::Allow, &addresses), addresses);
    }

    #[test]
    fn public_addresses_are_allowed() {
        let addresses = [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "::ffff:8.8.8.8",
        ];
        assert_eq!(allowed(PrivateAddresses::Deny, &addresses), addresses);
    }
}
