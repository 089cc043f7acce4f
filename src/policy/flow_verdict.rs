//! The verdict on a flow: the conduit that it crosses, and the declared flows that name its two hosts.

use std::sync::Arc;

use lockkeeper_protocols::{Class, Operation, Side};

use super::addresses::NO_ASSET;
use super::ends::{Ends, JudgedEnd};
use super::membership::{AddressKind, is_group, is_placeless};
use super::model::{Consequence, Flow};
use super::{Carrier, FlowTuple, Host, Place, Policy};

/// What the policy says of a flow: resolved once, and used for the verdict on each of its operations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowVerdict {
    /// Zone and asset of the client.
    pub client: Place,
    /// Zone and asset of the server.
    pub server: Place,
    /// The conduit that the flow crosses, if one connects the two zones.
    pub conduit: Option<u16>,
    pub(super) relation: Relation,
    /// The declared flows that name these hosts in this direction. Shared, since every finding holds a copy.
    pub(super) candidates: Option<Arc<[Candidate]>>,
    /// The candidate that decides about operations, if exactly one does and it has no conditions.
    pub(super) sole: Option<SoleFlow>,
    /// A declared flow that names these hosts in the other direction, if none does in this one.
    pub(super) reverse: Option<u16>,
    /// Whether client and server are undeclared hosts of a zone that declares its assets.
    pub(super) undeclared: [bool; 2],
    /// Whether client and server are addresses of many hosts.
    pub(super) to_all: [bool; 2],
}

impl FlowVerdict {
    /// A verdict that judges nothing: it names the places and the conduit only.
    pub fn new(client: Place, server: Place, conduit: Option<u16>) -> Self {
        Self { client, server, conduit, ..Self::default() }
    }

    /// Whether the flow is judged: `false` if it is only observed, or if neither host is in a zone.
    pub fn is_judged(&self) -> bool {
        !matches!(self.relation, Relation::Observed | Relation::Unplaced)
    }

    /// Whether the flow cannot be judged because neither host is in a zone.
    pub fn is_unplaced(&self) -> bool {
        self.relation == Relation::Unplaced
    }

    /// Whether the address of a side is multicast or broadcast.
    pub fn is_to_all(&self, side: Side) -> bool {
        let [client, server] = self.to_all;
        if side == Side::Client { client } else { server }
    }
}

/// The relation of the zones of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Relation {
    /// Neither end is in a zone.
    #[default]
    Unplaced,
    /// Neither end is in a zone, and no policy could place them by network: one has an address that is valid on one link only,
    /// or the packets go to every host near the sender.
    Stray,
    /// Only observed: traffic inside a zone that is not judged, traffic that `undeclared_conduit = "observe"` exempts, or
    /// housekeeping of the link.
    Observed,
    /// No conduit connects the two zones.
    Unconnected,
    /// A conduit connects them, or both are one zone whose traffic is judged.
    Connected,
}

/// A declared flow that names both hosts of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Candidate {
    pub(super) flow: u16,
    /// It declares the carrier and the port.
    pub(super) fits: bool,
    /// It declares the protocol, and permits some of its operations.
    pub(super) declares: bool,
}

impl Candidate {
    /// Whether it decides about the operations of the flow.
    pub(super) const fn decides(self) -> bool {
        self.fits && self.declares
    }
}

/// The only candidate that decides about operations, unless it has conditions: the basis of the plain permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SoleFlow {
    pub(super) flow: u16,
    /// The server, or [`NO_ASSET`].
    pub(super) asset: u16,
    /// The server has points with limits.
    pub(super) limited: bool,
}

impl SoleFlow {
    /// Whether the values of an operation may violate a limit.
    pub(super) fn restricts(&self, operation: &Operation<'_>) -> bool {
        self.limited && operation.class == Class::Write
    }
}

impl Policy {
    /// Whether a flow is housekeeping of its link, which is recorded and not judged: ARP, neighbour discovery, IGMP, MLD,
    /// spanning tree, LLDP, and the supervision frames of redundancy protocols.
    pub fn is_housekeeping(&self, tuple: &FlowTuple) -> bool {
        let local = |host: &Host| host.ip.is_some_and(|ip| is_group(ip) || is_placeless(ip));
        match tuple.transport {
            // Frames without an EtherType are spanning tree and the like, or old protocols between two hosts.
            Carrier::Ethernet(0) => [&tuple.client, &tuple.server].into_iter().any(is_l2_group),
            Carrier::Ethernet(kind) => HOUSEKEEPING.contains(&kind),
            Carrier::Ip(IGMP) => true,
            Carrier::Ip(ICMP_V6) => local(&tuple.client) || local(&tuple.server),
            Carrier::Tcp | Carrier::Udp | Carrier::Ip(_) => false,
        }
    }

    /// The verdict that depends on the flow alone. `protocol` is the decoded protocol, `None` while it is not known. Called once
    /// for a flow, and again when its protocol becomes known or its roles change.
    pub fn flow_verdict(&self, tuple: &FlowTuple, protocol: Option<&str>) -> FlowVerdict {
        let (client, server) = (self.compiled.members.place(&tuple.client), self.compiled.members.place(&tuple.server));
        let mut flow_verdict = FlowVerdict::new(client.place, server.place, None);
        let ends = Ends::new(tuple, client, server, &self.compiled.members);
        flow_verdict.to_all = ends.to_all;
        flow_verdict.undeclared = [(client, ends.to_all[0]), (server, ends.to_all[1])].map(|(placement, to_all)| {
            !to_all && placement.kind != AddressKind::DirectedBroadcast && self.is_unknown_asset(placement.place)
        });
        let (Some(from), Some(to)) = (ends.client.place.zone, ends.server.place.zone) else {
            let is_placed = ends.client.place.zone.or(ends.server.place.zone).is_some();
            flow_verdict.relation = match self.is_housekeeping(tuple) {
                true if is_placed => Relation::Observed,
                false if is_placed => self.unconnected(),
                false if ends.have_placeless() => Relation::Stray,
                _ => Relation::Unplaced,
            };
            return flow_verdict;
        };
        let judged = from != to || self.declared.defaults.intra_zone_declared;
        if judged && !self.is_housekeeping(tuple) {
            self.fill_candidates(&ends, protocol, (from, to), &mut flow_verdict);
        } else {
            // A group address is judged in the zone of the sender, but an operation reaches all hosts of the link.
            let is_for_all = server.place.zone.is_none() && tuple.server.ip.is_some_and(is_group);
            flow_verdict.relation = if is_for_all && protocol.is_some() { Relation::Stray } else { Relation::Observed };
        }
        flow_verdict
    }

    /// Fills in `relation`, and if a conduit connects the two zones, also `candidates`, `reverse`, `sole` and `conduit`: the
    /// declared flows between the two hosts, and those that decide (see [`Candidate::decides`]).
    fn fill_candidates(
        &self,
        ends: &Ends<'_>,
        protocol: Option<&str>,
        (from, to): (u16, u16),
        flow_verdict: &mut FlowVerdict,
    ) {
        let connecting = || {
            let conduits = (0u16..).zip(&self.declared.conduits);
            conduits
                .filter(|(_, conduit)| conduit.zones.contains(&from) && conduit.zones.contains(&to))
                .map(|(at, _)| at)
        };
        let Some(first) = connecting().next() else {
            flow_verdict.relation = if from == to { Relation::Connected } else { self.unconnected() };
            return;
        };
        flow_verdict.relation = Relation::Connected;
        let flows = |client, server| connecting().flat_map(move |conduit| self.flows_between(conduit, client, server));
        let matching = flows(ends.client, ends.server).filter(|(_, flow)| ends.match_flow(flow)).map(|(at, flow)| {
            let fits = flow.ports.admit((ends.tuple.transport, ends.tuple.server_port));
            let declares = !flow.allow.is_empty() && flow.protocol.covers(protocol);
            Candidate { flow: at, fits, declares }
        });
        let candidates: Vec<Candidate> = matching.collect();
        flow_verdict.reverse = if candidates.is_empty() {
            flows(ends.server, ends.client).find(|(_, flow)| ends.match_reversed(flow)).map(|(at, _)| at)
        } else {
            None
        };
        let mut deciding = candidates.iter().filter(|one| one.decides());
        let sole = deciding.next().filter(|_| deciding.next().is_none()).filter(|one| !self.has_conditions(one.flow));
        flow_verdict.sole = sole.map(|one| self.sole_flow(one.flow, flow_verdict.server.asset));
        let closest = candidates.iter().find(|one| one.fits).or(candidates.first()).map(|one| one.flow);
        let closest = closest.or(flow_verdict.reverse).and_then(|flow| self.flow(flow));
        // Traffic inside a zone crosses a conduit only if one of the conduit's flows names it.
        flow_verdict.conduit = closest.map(|flow| flow.conduit).or((from != to).then_some(first));
        flow_verdict.candidates = Some(Arc::from(candidates));
    }

    /// The relation of two zones that no conduit connects.
    fn unconnected(&self) -> Relation {
        match self.declared.defaults.undeclared_conduit {
            Consequence::Observe => Relation::Observed,
            _ => Relation::Unconnected,
        }
    }

    /// The sole deciding flow, with the server that its points belong to.
    fn sole_flow(&self, flow: u16, asset: Option<u16>) -> SoleFlow {
        let points = asset.and_then(|asset| self.compiled.limited.get(usize::from(asset)));
        let limited = points.is_some_and(|points| !points.is_empty());
        SoleFlow { flow, asset: asset.unwrap_or(NO_ASSET), limited }
    }

    /// The flows of a conduit that may name these two ends, in the order of the policy.
    fn flows_between(&self, conduit: u16, client: JudgedEnd, server: JudgedEnd) -> impl Iterator<Item = (u16, &Flow)> {
        let index = self.compiled.flows_of.get(usize::from(conduit));
        let flows = index.map(|index| index.between(client.parties(), server.parties())).unwrap_or_default();
        flows.into_iter().filter_map(|at| Some((at, self.flow(at)?)))
    }

    /// Whether a host is undeclared in a zone that declares its assets. Verdicts use [`Policy::unknown_sides`], which excludes
    /// broadcast addresses.
    pub fn is_unknown_asset(&self, place: Place) -> bool {
        let declares = |zone: u16| self.compiled.declares_assets.get(usize::from(zone)).copied().unwrap_or(false);
        let violation = self.declared.defaults.unknown_asset == Consequence::Violation;
        violation && place.asset.is_none() && place.zone.is_some_and(declares)
    }

    /// The sides of a flow that violate `asset.unknown`.
    pub fn unknown_sides(&self, flow_verdict: &FlowVerdict) -> impl Iterator<Item = Side> + use<> {
        let [client, server] = flow_verdict.undeclared;
        [(Side::Client, client), (Side::Server, server)].into_iter().filter_map(|(side, is)| is.then_some(side))
    }
}

/// IP protocol numbers (IANA Assigned Internet Protocol Numbers).
const IGMP: u8 = 2;
const ICMP_V6: u8 = 58;

/// The EtherTypes of housekeeping: ARP, reverse ARP, EAPOL, slow protocols (LACP), LLDP, PRP and HSR supervision, HSR, MRP, PTP,
/// connectivity fault management, loopback (IEEE 802 Numbers).
const HOUSEKEEPING: [u16; 11] =
    [0x0806, 0x8035, 0x888E, 0x8809, 0x88CC, 0x88FB, 0x892F, 0x88E3, 0x88F7, 0x8902, 0x9000];

/// Whether the hardware address of a host is multicast or broadcast.
fn is_l2_group(host: &Host) -> bool {
    host.mac.is_some_and(|[first, ..]| first & 1 == 1)
}
