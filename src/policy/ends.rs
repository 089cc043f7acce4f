//! The two ends of a conversation as a policy sees them: where each belongs, and which flows name it.

use std::net::IpAddr;

use super::compile::Party;
use super::membership::{BROADCAST, Many, Membership, Spot, is_placeless};
use super::model::{Endpoint, Flow};
use super::{Carrier, FlowTuple, Host, Place};

/// What a ruling is made from, with the effective zones of both ends.
pub(super) struct Ends<'a> {
    pub(super) tuple: &'a FlowTuple,
    pub(super) client: JudgedEnd,
    pub(super) server: JudgedEnd,
    /// Which of client and server stands for whoever is in reach of the other.
    pub(super) to_all: [bool; 2],
}

/// One end: where it belongs, with the zone in which an address of many hosts is judged.
#[derive(Clone, Copy)]
pub(super) struct JudgedEnd {
    pub(super) place: Place,
    ip: Option<IpAddr>,
}

impl<'a> Ends<'a> {
    /// Multicast and broadcast belong to no zone: they are judged as traffic inside the zone of their sender, unless the
    /// address is in a network of another.
    pub(super) fn new(tuple: &'a FlowTuple, client: Spot, server: Spot, members: &Membership) -> Self {
        let is_to_all = |own, host, sender| is_to_all(own, host, sender, tuple.transport, members);
        let to_all = [is_to_all(client, &tuple.client, &tuple.server), is_to_all(server, &tuple.server, &tuple.client)];
        let end = |own: Spot, other: Spot, host: &Host, to_all: bool| {
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

    /// Whether an address of theirs holds on one link only, so that no network of a policy can place it.
    pub(super) fn have_placeless(&self) -> bool {
        [self.client.ip, self.server.ip].into_iter().flatten().any(is_placeless)
    }

    pub(super) fn match_flow(&self, flow: &Flow) -> bool {
        self.client.is_one_of(&flow.from) && self.server.is_one_of(&flow.to)
    }

    /// The same service, asked for from the other end. Any may be, where a segment or datagram shows no ports.
    pub(super) fn match_reversed(&self, flow: &Flow) -> bool {
        let port = (self.tuple.transport, self.tuple.server_port);
        let admits = self.tuple.transport.hides_ports() || flow.ports.admit(port);
        admits && self.server.is_one_of(&flow.from) && self.client.is_one_of(&flow.to)
    }
}

/// Whether what is sent to a host goes to whoever is in reach of the sender. A directed broadcast that a router would have
/// to bring to its network goes there, and hardware of its own shows a host that only has such an address. No host takes
/// part in a connection with many, so that a segment is for one.
fn is_to_all(own: Spot, host: &Host, sender: &Host, transport: Carrier, members: &Membership) -> bool {
    match (own.many, host.mac) {
        (Many::No, _) => false,
        (Many::Group, _) => true,
        (Many::Directed | Many::Perhaps, _) if transport == Carrier::Tcp => false,
        (Many::Directed | Many::Perhaps, Some(mac)) => mac == BROADCAST,
        (Many::Directed, None) => members.is_within(sender, host),
        (Many::Perhaps, None) => false,
    }
}

impl JudgedEnd {
    /// As what a policy can name it alone.
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
