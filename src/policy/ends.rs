//! The two ends of a flow in terms of the policy: their zones and assets, and the declared flows that name them.

use std::net::IpAddr;

use super::compile::Party;
use super::membership::{AddressKind, BROADCAST, Membership, Placement, is_placeless};
use super::model::{Endpoint, Flow};
use super::{Carrier, FlowTuple, Host, Place};

/// The two ends of a flow, each with the zone in which it is judged.
pub(super) struct Ends<'a> {
    pub(super) tuple: &'a FlowTuple,
    pub(super) client: JudgedEnd,
    pub(super) server: JudgedEnd,
    /// Whether client and server are addresses of many hosts.
    pub(super) to_all: [bool; 2],
}

/// One end, with the zone in which it is judged.
#[derive(Clone, Copy)]
pub(super) struct JudgedEnd {
    pub(super) place: Place,
    ip: Option<IpAddr>,
}

impl<'a> Ends<'a> {
    /// A multicast or broadcast address belongs to no zone: it is judged in the zone of its sender, unless it is in a network
    /// of another zone.
    pub(super) fn new(tuple: &'a FlowTuple, client: Placement, server: Placement, members: &Membership) -> Self {
        let is_to_all = |own, host, sender| is_to_all(own, host, sender, tuple.transport, members);
        let to_all = [is_to_all(client, &tuple.client, &tuple.server), is_to_all(server, &tuple.server, &tuple.client)];
        let end = |own: Placement, other: Placement, host: &Host, to_all: bool| {
            let zone = own.place.zone.or(other.place.zone.filter(|_| to_all));
            JudgedEnd { place: Place { zone, asset: own.place.asset }, ip: host.ip.map(|ip| ip.to_canonical()) }
        };
        let [client_to_all, server_to_all] = to_all;
        Self {
            tuple,
            client: end(client, server, &tuple.client, client_to_all),
            server: end(server, client, &tuple.server, server_to_all),
            to_all,
        }
    }

    /// Whether an end has an address that is valid on one link only, so that no network of a policy can place it.
    pub(super) fn have_placeless(&self) -> bool {
        [self.client.ip, self.server.ip].into_iter().flatten().any(is_placeless)
    }

    pub(super) fn match_flow(&self, flow: &Flow) -> bool {
        self.client.is_one_of(&flow.from) && self.server.is_one_of(&flow.to)
    }

    /// Whether a flow names these ends in the other direction, for the same service or, where no ports were seen, for any.
    pub(super) fn match_reversed(&self, flow: &Flow) -> bool {
        let port = (self.tuple.transport, self.tuple.server_port);
        let admits = self.tuple.transport.hides_ports() || flow.ports.admit(port);
        admits && self.server.is_one_of(&flow.from) && self.client.is_one_of(&flow.to)
    }
}

/// Whether packets to a host reach every host near the sender.
///
/// Packets to an address that may be a directed broadcast do so if their hardware address is the broadcast one. Without a
/// hardware address, they do so if a declared network with this broadcast address contains the sender; otherwise a router
/// would have to forward them. A TCP segment is always for one host.
fn is_to_all(own: Placement, host: &Host, sender: &Host, transport: Carrier, members: &Membership) -> bool {
    match (own.kind, host.mac) {
        (AddressKind::Unicast, _) => false,
        (AddressKind::Group, _) => true,
        (AddressKind::DirectedBroadcast | AddressKind::MaybeBroadcast, _) if transport == Carrier::Tcp => false,
        (AddressKind::DirectedBroadcast | AddressKind::MaybeBroadcast, Some(mac)) => mac == BROADCAST,
        (AddressKind::DirectedBroadcast, None) => members.is_within(sender, host),
        (AddressKind::MaybeBroadcast, None) => false,
    }
}

impl JudgedEnd {
    /// The names that a policy has for this host alone.
    pub(super) fn parties(self) -> impl Iterator<Item = Party> {
        self.place.asset.map(Party::Asset).into_iter().chain(self.ip.map(Party::Address))
    }

    fn is_one_of(&self, endpoints: &[Endpoint]) -> bool {
        endpoints.iter().any(|endpoint| match endpoint {
            Endpoint::Asset(asset) => self.place.asset == Some(*asset),
            Endpoint::Zone(zone) => self.place.zone == Some(*zone),
            Endpoint::Network(network) => self.ip.is_some_and(|ip| network.contains(&ip)),
            Endpoint::Any => true,
        })
    }
}
