//! Protocols and services by name: their ports and their functions.

use lockkeeper_protocols::{Function, Protocol, REGISTRY, Transport};

use super::Carrier;

/// A port of a service, with the carrier on which it has that port; 0 for carriers without ports.
pub type ServicePort = (Carrier, u16);

/// Ports of a carrier, from the first to the last.
pub type PortRange = (Carrier, u16, u16);

/// A service with a well-known name, judged by carrier and port.
struct Service {
    name: &'static str,
    ports: &'static [ServicePort],
}

const fn tcp(port: u16) -> ServicePort {
    (Carrier::Tcp, port)
}

const fn udp(port: u16) -> ServicePort {
    (Carrier::Udp, port)
}

/// Services that are not decoded, sorted by name.
///
/// Names and ports are those of the IANA Service Name and Transport Protocol Port Number Registry, with two exceptions: ADS,
/// Fox, GE-SRTP, MELSEC, PC Worx, Red Lion and TZSP have the ports of their vendors, and VXLAN also has the port that Linux
/// uses and that of its extension VXLAN-GPE. Tunnels are judged by their outer pair of hosts.
const SERVICES: &[Service] = &[
    Service { name: "ads", ports: &[tcp(48898), udp(48899)] },
    Service { name: "amqp", ports: &[tcp(5672), tcp(5671)] },
    Service { name: "bacnet", ports: &[udp(47808)] },
    Service { name: "coap", ports: &[udp(5683), udp(5684)] },
    Service { name: "codesys", ports: &[tcp(1217), tcp(2455), tcp(11740)] },
    Service { name: "dhcp", ports: &[udp(67), udp(68)] },
    Service { name: "dhcpv6", ports: &[udp(547), udp(546)] },
    Service { name: "dnp3", ports: &[tcp(20000), udp(20000)] },
    Service { name: "dns", ports: &[udp(53), tcp(53)] },
    Service { name: "enip", ports: &[tcp(44818), udp(44818), udp(2222)] },
    Service { name: "esp", ports: &[(Carrier::Ip(50), 0)] },
    Service { name: "fins", ports: &[tcp(9600), udp(9600)] },
    Service { name: "fox", ports: &[tcp(1911), tcp(4911)] },
    Service { name: "ftp", ports: &[tcp(21), tcp(20)] },
    Service { name: "ge-srtp", ports: &[tcp(18245), tcp(18246)] },
    Service { name: "geneve", ports: &[udp(6081)] },
    Service { name: "goose", ports: &[(Carrier::Ethernet(0x88B8), 0)] },
    Service { name: "gre", ports: &[(Carrier::Ip(47), 0)] },
    Service { name: "hart-ip", ports: &[udp(5094), tcp(5094)] },
    Service { name: "http", ports: &[tcp(80)] },
    Service { name: "http-alt", ports: &[tcp(8080)] },
    Service { name: "https", ports: &[tcp(443)] },
    Service { name: "icmp", ports: &[(Carrier::Ip(1), 0), (Carrier::Ip(58), 0)] },
    Service { name: "iec104", ports: &[tcp(2404)] },
    Service { name: "igmp", ports: &[(Carrier::Ip(2), 0)] },
    Service { name: "ike", ports: &[udp(500), udp(4500)] },
    Service { name: "ip-in-ip", ports: &[(Carrier::Ip(4), 0), (Carrier::Ip(41), 0)] },
    Service { name: "kerberos", ports: &[tcp(88), udp(88)] },
    Service { name: "l2tp", ports: &[udp(1701), (Carrier::Ip(115), 0)] },
    Service { name: "ldap", ports: &[tcp(389), udp(389)] },
    Service { name: "ldaps", ports: &[tcp(636)] },
    Service { name: "llmnr", ports: &[udp(5355), tcp(5355)] },
    Service { name: "mdns", ports: &[udp(5353)] },
    Service { name: "melsec", ports: &[tcp(5007), udp(5006)] },
    Service { name: "mms", ports: &[tcp(102)] },
    Service { name: "mpls-in-ip", ports: &[(Carrier::Ip(137), 0)] },
    Service { name: "mqtt", ports: &[tcp(1883)] },
    Service { name: "mqtt-tls", ports: &[tcp(8883)] },
    Service { name: "mssql", ports: &[tcp(1433)] },
    Service { name: "mysql", ports: &[tcp(3306)] },
    Service { name: "netbios", ports: &[udp(137), udp(138), tcp(139)] },
    Service { name: "ntp", ports: &[udp(123)] },
    Service { name: "oracle", ports: &[tcp(1521)] },
    Service { name: "ospf", ports: &[(Carrier::Ip(89), 0)] },
    Service { name: "pcworx", ports: &[tcp(1962)] },
    Service { name: "postgres", ports: &[tcp(5432)] },
    Service { name: "profinet", ports: &[udp(34962), udp(34963), udp(34964), (Carrier::Ethernet(0x8892), 0)] },
    Service { name: "ptp", ports: &[udp(319), udp(320), (Carrier::Ethernet(0x88F7), 0)] },
    Service { name: "radius", ports: &[udp(1812), udp(1813)] },
    Service { name: "rdp", ports: &[tcp(3389), udp(3389)] },
    Service { name: "red-lion", ports: &[tcp(789)] },
    Service { name: "rpc", ports: &[tcp(135)] },
    Service { name: "sip", ports: &[udp(5060), tcp(5060), tcp(5061)] },
    Service { name: "smb", ports: &[tcp(445)] },
    Service { name: "smtp", ports: &[tcp(25)] },
    Service { name: "snmp", ports: &[udp(161)] },
    Service { name: "snmp-trap", ports: &[udp(162)] },
    Service { name: "ssdp", ports: &[udp(1900)] },
    Service { name: "ssh", ports: &[tcp(22)] },
    Service { name: "suitelink", ports: &[tcp(5413)] },
    Service { name: "syslog", ports: &[udp(514)] },
    Service { name: "syslog-tls", ports: &[tcp(6514)] },
    Service { name: "tacacs", ports: &[tcp(49)] },
    Service { name: "telnet", ports: &[tcp(23)] },
    Service { name: "tftp", ports: &[udp(69)] },
    Service { name: "tls", ports: &[tcp(443)] },
    Service { name: "tzsp", ports: &[udp(37008)] },
    Service { name: "vnc", ports: &[tcp(5900)] },
    Service { name: "vrrp", ports: &[(Carrier::Ip(112), 0)] },
    Service { name: "vxlan", ports: &[udp(4789), udp(8472), udp(4790)] },
    Service { name: "winrm", ports: &[tcp(5985), tcp(5986)] },
    Service { name: "ws-discovery", ports: &[udp(3702)] },
];

/// Whether a port is registered for a service or a decoded protocol. Called once for each new flow.
pub fn is_service_port(carrier: Carrier, port: u16) -> bool {
    let ports = match carrier {
        Carrier::Tcp => &TCP_SERVICES,
        Carrier::Udp => &UDP_SERVICES,
        Carrier::Ip(_) | Carrier::Ethernet(_) => return false,
    };
    let word = ports.get(usize::from(port) / 64).copied().unwrap_or_default();
    word >> (port % 64) & 1 == 1 || REGISTRY.iter().any(|row| registered_ports(row).any(|at| at == (carrier, port)))
}

static TCP_SERVICES: PortSet = service_ports(true);
static UDP_SERVICES: PortSet = service_ports(false);

/// A set of ports, one bit each.
type PortSet = [u64; 1024];

/// The ports of all services, without those on which clients await answers.
const fn service_ports(of_tcp: bool) -> PortSet {
    let mut set = [0; 1024];
    let mut service = 0;
    while service < SERVICES.len() {
        let ports = SERVICES[service].ports;
        let mut at = 0;
        while at < ports.len() {
            let (is_of, port) = match ports[at] {
                (Carrier::Tcp, port) => (of_tcp, port),
                (Carrier::Udp, DHCP_CLIENT | DHCPV6_CLIENT) => (false, 0),
                (Carrier::Udp, port) => (!of_tcp, port),
                (Carrier::Ip(_) | Carrier::Ethernet(_), _) => (false, 0),
            };
            if is_of {
                set[port as usize / 64] |= 1 << (port % 64);
            }
            at += 1;
        }
        service += 1;
    }
    set
}

/// Ports of clients (RFC 2131, 4.1; RFC 8415, 7.2).
const DHCP_CLIENT: u16 = 68;
const DHCPV6_CLIENT: u16 = 546;

/// Whether a protocol is decoded, so that its operations are judged.
pub(super) fn is_decoded(protocol: &str) -> bool {
    REGISTRY.iter().any(|row| row.name == protocol)
}

/// Every name that `protocol` may be, sorted, without forms such as `tcp/443`.
pub(super) fn protocol_names() -> Vec<&'static str> {
    let mut names: Vec<_> = REGISTRY.iter().map(|row| row.name).collect();
    names.extend(SERVICES.iter().map(|service| service.name));
    names.sort_unstable();
    names.dedup();
    names
}

/// The static copy of a name that `protocol` may be.
pub(super) fn protocol_name(word: &str) -> Option<&'static str> {
    protocol_names().into_iter().find(|&name| name == word)
}

/// The registered ports of a protocol: those of a flow that names none.
pub(super) fn ports_of(protocol: &str) -> Vec<ServicePort> {
    let rows = REGISTRY.iter().filter(|row| row.name == protocol);
    let ports: Vec<ServicePort> = rows.flat_map(|row| registered_ports(row)).collect();
    match SERVICES.iter().find(|service| service.name == protocol) {
        Some(service) if ports.is_empty() => service.ports.to_vec(),
        _ => ports,
    }
}

/// The registered ports of a row of the registry, on each of its transports.
fn registered_ports(row: &'static Protocol) -> impl Iterator<Item = ServicePort> {
    row.transports.iter().flat_map(|transport| {
        let carrier = if *transport == Transport::Tcp { Carrier::Tcp } else { Carrier::Udp };
        row.ports.iter().map(move |&port| (carrier, port))
    })
}

/// The decoded protocols whose registered port this is, in the order of the registry.
pub(super) fn decoded_at(port: ServicePort) -> Vec<&'static str> {
    let mut names: Vec<_> = REGISTRY.iter().map(|row| row.name).filter(|name| ports_of(name).contains(&port)).collect();
    // Framings of one protocol are adjacent rows.
    names.dedup();
    names
}

/// The functions that a protocol lists; none for a protocol that is not decoded.
pub(super) fn functions_of(protocol: &str) -> impl Iterator<Item = &'static Function> + '_ {
    REGISTRY.iter().filter(move |row| row.name == protocol).flat_map(|row| row.functions)
}

/// A port as the policy writes it: `tcp/502`, `udp/123`, `ip/47`, `ethernet/0x8892`.
pub(super) fn port_text((carrier, port): ServicePort) -> String {
    match carrier {
        Carrier::Tcp => format!("tcp/{port}"),
        Carrier::Udp => format!("udp/{port}"),
        Carrier::Ip(number) => format!("ip/{number}"),
        Carrier::Ethernet(number) => format!("ethernet/0x{number:04x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_sorted_and_named_once() {
        assert!(SERVICES.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(SERVICES.iter().all(|service| !service.ports.is_empty()));
    }

    #[test]
    fn the_ports_of_services_are_known_by_carrier_and_those_of_their_clients_are_not() {
        let udp = [53, 67, 123, 137, 161, 1900, 5353, 34_964, 44_818, 47_808];
        assert!(udp.into_iter().all(|port| is_service_port(Carrier::Udp, port)));
        let tcp = [102, 443, 1883, 2404, 4840, 8883, 20_000, 44_818];
        assert!(tcp.into_iter().all(|port| is_service_port(Carrier::Tcp, port)));
        let clients = [0, 68, 546, 2404, 40_000, 65_535];
        assert!(!clients.into_iter().any(|port| is_service_port(Carrier::Udp, port)));
        assert!(!is_service_port(Carrier::Tcp, 123) && !is_service_port(Carrier::Ip(17), 53));
    }

    #[test]
    fn a_decoded_protocol_takes_its_ports_from_the_registry() {
        assert_eq!(ports_of("modbus"), [(Carrier::Tcp, 502), (Carrier::Udp, 502)]);
        assert_eq!(ports_of("ntp"), [(Carrier::Udp, 123)]);
    }
}
