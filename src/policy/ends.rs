//! The two ends of a conversation as a policy sees them: where each belongs, and which flows name it.

use std::net::IpAddr;

use super::compile::Party;
use super::membership::Spot;
use super::model::{Endpoint, Flow};
use super::{Host, Link, Place};

/// What a ruling is made from, with the effective zones of both ends.
pub(super) struct Ends<'a> {
    pub(super) link: &'a Link,
    pub(super) client: End,
    pub(super) server: End,
}

/// One end: where it belongs, with the zone in which an address of many hosts is judged.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) place: Place,
    ip: Option<IpAddr>,
}

impl<'a> Ends<'a> {
    /// Multicast and broadcast belong to no zone; they are judged as traffic inside the zone of their sender.
    pub(super) fn new(link: &'a Link, client: Spot, server: Spot) -> Self {
        let end = |own: Spot, other: Spot, host: &Host| {
            let zone = if own.group { other.place.zone } else { own.place.zone };
            End { place: Place { zone, asset: own.place.asset }, ip: host.ip.map(|ip| ip.to_canonical()) }
        };
        Self { link, client: end(client, server, &link.client), server: end(server, client, &link.server) }
    }

    pub(super) fn match_flow(&self, flow: &Flow) -> bool {
        self.client.is_one_of(&flow.from) && self.server.is_one_of(&flow.to)
    }

    /// The same service, asked for from the other end.
    pub(super) fn match_reversed(&self, flow: &Flow) -> bool {
        let door = (self.link.transport, self.link.server_port);
        flow.ports.admit(door) && self.server.is_one_of(&flow.from) && self.client.is_one_of(&flow.to)
    }
}

impl End {
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
