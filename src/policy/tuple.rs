//! What the verdict on a flow depends on: its hosts, its carrier, its port.

use std::net::IpAddr;

/// One end of a flow, as the packet shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// IP address; none for traffic without IP.
    pub ip: Option<IpAddr>,
    /// Hardware address as the sensor sees it: that of the router for a host behind one.
    pub mac: Option<[u8; 6]>,
    /// VLAN id.
    pub vlan: Option<u16>,
}

/// What the verdict on a flow depends on, beside its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowTuple {
    /// The end that sends requests.
    pub client: Host,
    /// The end that answers them.
    pub server: Host,
    /// The carrier.
    pub transport: Carrier,
    /// Port of the server; 0 for carriers without ports.
    pub server_port: u16,
}

/// IP protocol numbers (IANA).
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What carries a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Another IP protocol, by number (1 ICMP, 47 GRE, ...).
    Ip(u8),
    /// No IP, by EtherType.
    Ethernet(u16),
}

impl Carrier {
    /// Whether this is TCP or UDP whose ports could not be read: the headers were cut or are malformed.
    pub const fn hides_ports(self) -> bool {
        matches!(self, Self::Ip(TCP | UDP))
    }

    /// IP protocol number (IANA); none without IP.
    pub const fn ip_protocol(self) -> Option<u8> {
        match self {
            Self::Tcp => Some(TCP),
            Self::Udp => Some(UDP),
            Self::Ip(protocol) => Some(protocol),
            Self::Ethernet(_) => None,
        }
    }
}

/// The zone and the asset of a host, as indices that [`Policy`](super::Policy) resolves to names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The zone; none stands for the zone `unknown`.
    pub zone: Option<u16>,
    /// The declared asset, if the host is one.
    pub asset: Option<u16>,
}
