//! Community ID flow hashing, version 1, seed 0 (Corelight, community-id-spec): the same conversation has the same id
//! in every tool that follows it.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::Endpoint;
use crate::policy::Carrier;

/// The id of a conversation. None without IP addresses, and for ICMP, whose ids need type and code of the messages.
pub fn community_id(carrier: Carrier, client: &Endpoint, server: &Endpoint) -> Option<String> {
    let protocol = carrier.ip_protocol().filter(|protocol| !matches!(*protocol, ICMP | ICMPV6))?;
    let has_ports = matches!(carrier, Carrier::Tcp | Carrier::Udp);
    let a = (octets(client.host.ip?), client.port.to_be_bytes());
    let b = (octets(server.host.ip?), server.port.to_be_bytes());
    let (first, second) = if a <= b { (a, b) } else { (b, a) };

    let mut hash = Sha1::new();
    hash.update(SEED);
    hash.update(&first.0);
    hash.update(&second.0);
    hash.update([protocol, 0]);
    if has_ports {
        hash.update(first.1);
        hash.update(second.1);
    }
    Some(format!("1:{}", STANDARD.encode(hash.finalize())))
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

const SEED: [u8; 2] = [0, 0];
/// IP protocol numbers (IANA).
const ICMP: u8 = 1;

const ICMPV6: u8 = 58;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Host;

    fn end(ip: &str, port: u16) -> Endpoint {
        Endpoint { host: Host { ip: ip.parse().ok(), mac: None, vlan: None }, port }
    }

    fn id(carrier: Carrier, a: (&str, u16), b: (&str, u16)) -> Option<String> {
        community_id(carrier, &end(a.0, a.1), &end(b.0, b.1))
    }

    #[test]
    fn the_published_vectors_hold_in_both_directions() {
        let client = ("128.232.110.120", 34855);
        let server = ("66.35.250.204", 80);
        let expected = Some("1:LQU9qZlK+B5F3KDmev6m5PMibrg=".to_owned());
        assert_eq!(id(Carrier::Tcp, client, server), expected);
        assert_eq!(id(Carrier::Tcp, server, client), expected);
        let expected = Some("1:d/FP5EW3wiY1vCndhwleRRKHowQ=".to_owned());
        assert_eq!(id(Carrier::Udp, ("192.168.1.52", 54585), ("8.8.8.8", 53)), expected);
    }

    #[test]
    fn equal_addresses_are_ordered_by_port() {
        let a = id(Carrier::Tcp, ("10.0.0.1", 502), ("10.0.0.1", 40_000));
        assert_eq!(a, id(Carrier::Tcp, ("10.0.0.1", 40_000), ("10.0.0.1", 502)));
    }

    #[test]
    fn traffic_without_addresses_or_with_types_for_ports_has_none() {
        assert_eq!(id(Carrier::Ip(1), ("10.0.0.1", 0), ("10.0.0.2", 0)), None);
        assert_eq!(id(Carrier::Ethernet(0x8892), ("", 0), ("", 0)), None);
        assert!(id(Carrier::Ip(47), ("10.0.0.1", 0), ("10.0.0.2", 0)).is_some());
    }
}
