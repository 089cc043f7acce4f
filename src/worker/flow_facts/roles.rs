//! Which end of a conversation asks, as far as ports and the first packet tell: a last resort, after the handshake and the
//! protocol's own shape.

use lockkeeper_protocols::REGISTRY;

use crate::flow::{End, FlowKey};
use crate::frame::{Body, Frame};
use crate::policy::{BROADCAST, Carrier, is_group, is_service_port};

/// The client, before any handshake or payload is known. `from`: who sent the first packet; `to_all`: it went to a
/// broadcast or multicast address, which is nobody that could ask.
///
/// A port alone makes nobody a server, because any port may be a client's by chance: the two ports are compared, and where
/// they weigh the same, the end that spoke first asks.
pub(super) fn guess_client(key: &FlowKey, from: End, carrier: Carrier, to_all: bool) -> End {
    let ports = [End::Low, End::High].map(|end| key.port(end));
    let has_ports = matches!(carrier, Carrier::Tcp | Carrier::Udp);
    match ports {
        [low, high] if has_ports && !to_all && low != high => {
            server_by_port(carrier, low, high).map_or(from, End::other)
        }
        _ => from,
    }
}

/// Whether a frame goes to whoever is in reach of its sender: to a multicast or broadcast address, or, what no host takes
/// for a segment of a connection, to every hardware address.
pub(super) fn is_to_all(frame: &Frame<'_>) -> bool {
    let to_all = frame.mac.is_some_and(|macs| macs.destination == BROADCAST);
    match frame.body {
        Body::Tcp(pair, _) => is_group(pair.destination),
        Body::Udp(pair, _) | Body::Ip(pair, _) => to_all || is_group(pair.destination),
        Body::Link { .. } => to_all,
    }
}

/// The server as far as two different ports tell.
fn server_by_port(carrier: Carrier, low: u16, high: u16) -> Option<End> {
    let weights = [low, high].map(|port| weight(carrier, port));
    let [is_decoded, other_is_decoded] = [low, high].map(is_decoded);
    let known_otherwise = (is_decoded != other_is_decoded && weights.iter().all(|weight| *weight >= SELDOM_BY_CHANCE))
        .then_some(if is_decoded { End::High } else { End::Low });
    let [low_weight, high_weight] = weights;
    let by_weight = match low_weight.cmp(&high_weight) {
        std::cmp::Ordering::Less => Some(End::High),
        std::cmp::Ordering::Greater => Some(End::Low),
        std::cmp::Ordering::Equal => None,
    };
    match carrier {
        // A datagram shows at once whether it is of a decoded protocol, and is believed then.
        Carrier::Udp => known_otherwise.or(by_weight),
        // Both directions of a connection that is joined in its middle are as likely to be seen first.
        _ => by_weight.or(known_otherwise).or(Some(if high < low { End::High } else { End::Low })),
    }
}

/// How much a port speaks for a server. System ports (RFC 6335, section 6) are given to clients by no system, those from
/// 32768 on are given to them by most.
fn weight(carrier: Carrier, port: u16) -> u8 {
    let is_known = is_decoded(port) || is_service_port(carrier, port);
    match port {
        0 => 0,
        1..FIRST_USER_PORT if is_known => 4,
        FIRST_USER_PORT..FIRST_EPHEMERAL if is_known => 3,
        _ if is_known => SELDOM_BY_CHANCE,
        1..FIRST_USER_PORT => 1,
        _ => 0,
    }
}

/// Whether payload that is none of the decoded protocols shows that the other end is the server: this one's port is only
/// that of a decoded protocol, and the client's that of another service.
pub(super) fn is_service_of_client(carrier: Carrier, client: u16, server: u16) -> bool {
    is_decoded(server) && !is_decoded(client) && is_service_port(carrier, client)
}

/// Whether a port is that of a decoded protocol: what is sent shows whether it is spoken there.
fn is_decoded(port: u16) -> bool {
    REGISTRY.iter().any(|row| row.ports.contains(&port))
}

/// The least weight of a port that is known.
const SELDOM_BY_CHANCE: u8 = 2;

/// Ports below this belong to services.
const FIRST_USER_PORT: u16 = 1024;

/// The first port that Linux gives to clients, the lowest of the systems of today (IANA has 49152).
const FIRST_EPHEMERAL: u16 = 32_768;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_port_is_the_servers_whatever_the_other_happens_to_be() {
        for (service, chance) in [(123, 4840), (53, 502), (161, 102), (44_818, 4840), (47_808, 502), (34_964, 4840)] {
            assert_eq!(server_by_port(Carrier::Udp, service, chance), Some(End::Low), "{service} and {chance}");
            assert_eq!(server_by_port(Carrier::Udp, chance, service), Some(End::High), "{chance} and {service}");
        }
        for (service, chance) in
            [(443, 4840), (1883, 50_000), (2404, 40_000), (20_000, 4840), (502, 44_818), (80, 44_818)]
        {
            assert_eq!(server_by_port(Carrier::Tcp, service, chance), Some(End::Low), "{service} and {chance}");
            assert_eq!(server_by_port(Carrier::Tcp, chance, service), Some(End::High), "{chance} and {service}");
        }
    }

    #[test]
    fn clients_of_high_ports_are_not_taken_for_servers_because_theirs_is_lower() {
        for server in [44_818, 48_898] {
            assert_eq!(server_by_port(Carrier::Tcp, 1025, server), Some(End::High), "{server}");
        }
        assert_eq!(server_by_port(Carrier::Tcp, 700, 44_818), Some(End::High), "a system port that nobody knows");
    }

    #[test]
    fn where_ports_weigh_the_same_who_spoke_first_asks_and_of_streams_the_lower_one_answers() {
        assert_eq!(server_by_port(Carrier::Udp, 50_000, 60_000), None);
        assert_eq!(server_by_port(Carrier::Udp, 161, 123), None);
        assert_eq!(server_by_port(Carrier::Tcp, 60_000, 50_000), Some(End::High));
        assert_eq!(server_by_port(Carrier::Tcp, 0, 50_000), Some(End::Low));
    }

    #[test]
    fn a_server_of_leases_is_known_from_its_clients() {
        assert_eq!(server_by_port(Carrier::Udp, 67, 68), Some(End::Low));
        assert_eq!(server_by_port(Carrier::Udp, 546, 547), Some(End::High));
    }

    #[test]
    fn payload_of_another_protocol_takes_back_what_the_port_of_a_decoded_one_said() {
        assert!(is_service_of_client(Carrier::Tcp, 44_818, 502));
        assert!(!is_service_of_client(Carrier::Tcp, 40_000, 502));
        assert!(!is_service_of_client(Carrier::Tcp, 4840, 502));
        assert!(!is_service_of_client(Carrier::Tcp, 502, 44_818));
    }
}
