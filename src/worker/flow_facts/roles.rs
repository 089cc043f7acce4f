//! Which end of a conversation is the client, by ports and the first packet: the last resort, after the handshake and the
//! protocol.

use lockkeeper_protocols::REGISTRY;

use crate::flow::{End, FlowKey};
use crate::frame::{Body, Frame};
use crate::policy::{BROADCAST, Carrier, is_group, is_service_port};

/// The client, before any handshake or payload is known. `from` is the sender of the first packet; `to_all`: its destination
/// is a broadcast or multicast address, which is never a client.
///
/// No port alone decides, because a client may have any port by chance: the weights of the two ports are compared, and the
/// sender of the first packet is the client where they are equal.
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

/// Whether a frame goes to a multicast or broadcast address, or, unless it is TCP, to the broadcast hardware address.
pub(super) fn is_to_all(frame: &Frame<'_>) -> bool {
    let to_all = frame.mac.is_some_and(|macs| macs.destination == BROADCAST);
    match frame.body {
        Body::Tcp(pair, _) => is_group(pair.destination),
        Body::Udp(pair, _) | Body::Ip(pair, _) => to_all || is_group(pair.destination),
        Body::Link { .. } => to_all,
    }
}

/// The server, by two different ports; none where they do not decide.
fn server_by_port(carrier: Carrier, low: u16, high: u16) -> Option<End> {
    let weights = [low, high].map(|port| weight(carrier, port));
    let [is_decoded, other_is_decoded] = [low, high].map(is_decoded);
    let known_otherwise = (is_decoded != other_is_decoded && weights.iter().all(|weight| *weight >= KNOWN_PORT))
        .then_some(if is_decoded { End::High } else { End::Low });
    let [low_weight, high_weight] = weights;
    let by_weight = match low_weight.cmp(&high_weight) {
        std::cmp::Ordering::Less => Some(End::High),
        std::cmp::Ordering::Greater => Some(End::Low),
        std::cmp::Ordering::Equal => None,
    };
    match carrier {
        // A datagram shows at once whether it is of a decoded protocol.
        Carrier::Udp => known_otherwise.or(by_weight),
        // Of a connection that is joined midstream, either direction may come first.
        _ => by_weight.or(known_otherwise).or(Some(if high < low { End::High } else { End::Low })),
    }
}

/// How likely a port is a server's. No system assigns system ports (RFC 6335, section 6) to clients; most assign those from
/// 32768 on.
fn weight(carrier: Carrier, port: u16) -> u8 {
    let is_known = is_decoded(port) || is_service_port(carrier, port);
    match port {
        0 => 0,
        1..FIRST_USER_PORT if is_known => 4,
        FIRST_USER_PORT..FIRST_EPHEMERAL if is_known => 3,
        _ if is_known => KNOWN_PORT,
        1..FIRST_USER_PORT => 1,
        _ => 0,
    }
}

/// Whether payload of no decoded protocol makes the client the server: the server's port is that of a decoded protocol, and
/// the client's that of another service.
pub(super) fn is_service_of_client(carrier: Carrier, client: u16, server: u16) -> bool {
    is_decoded(server) && !is_decoded(client) && is_service_port(carrier, client)
}

/// Whether a port is that of a decoded protocol.
fn is_decoded(port: u16) -> bool {
    REGISTRY.iter().any(|row| row.ports.contains(&port))
}

/// The least weight of a known port.
const KNOWN_PORT: u8 = 2;

/// System ports are below (RFC 6335).
const FIRST_USER_PORT: u16 = 1024;

/// The first port that Linux assigns to clients, the lowest of all systems (IANA: 49152).
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
        assert_eq!(server_by_port(Carrier::Tcp, 700, 44_818), Some(End::High), "a system port of no known service");
    }

    #[test]
    fn of_equal_ports_the_first_sender_is_the_client_and_of_streams_the_lower_port_is_the_servers() {
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
    fn payload_of_another_protocol_overrides_the_port_of_a_decoded_one() {
        assert!(is_service_of_client(Carrier::Tcp, 44_818, 502));
        assert!(!is_service_of_client(Carrier::Tcp, 40_000, 502));
        assert!(!is_service_of_client(Carrier::Tcp, 4840, 502));
        assert!(!is_service_of_client(Carrier::Tcp, 502, 44_818));
    }
}
