//! Traffic without IP: inventory of its hosts, and verdicts on each pair of them.

use hashbrown::{HashMap, HashSet};
use lockkeeper_protocols::{Side, Stamp};

use super::state::{Between, WorkerState};
use crate::frame::{Body, Frame, Macs};
use crate::policy::{Carrier, Denial, FlowTuple, Host, Verdict};
use crate::record::{Endpoint, Event, Fact, Finding, FindingKind};

/// The hosts of one shard that send frames without IP.
#[derive(Default)]
pub(super) struct Neighbours {
    /// Hosts in the inventory: hardware address and EtherType.
    listed: HashSet<([u8; 6], u16)>,
    /// Traffic by sender, receiver and EtherType. Cleared when there are too many pairs.
    traffic: HashMap<([u8; 6], [u8; 6], u16), Traffic>,
}

/// Traffic from one host to another without IP.
#[derive(Clone, Copy)]
struct Traffic {
    /// Running number of its first packet.
    first: u64,
    /// Whether the policy denies it.
    is_denied: bool,
    /// Packet clock of the last broadcast that was reported; none where the receiver is one host.
    last_broadcast: Option<i64>,
}

/// Sender and receiver of a frame without IP.
struct Pair {
    macs: Macs,
    ether_type: u16,
    vlan: Option<u16>,
}

impl Neighbours {
    /// Takes in a frame without IP, or one of neighbour discovery. A known pair costs one lookup.
    pub(super) fn observe(&mut self, frame: &Frame<'_>, limit: usize, stamp: &Stamp, state: &mut WorkerState) {
        let ether_type = if let Body::Link { ether_type, .. } = frame.body { ether_type } else { IPV6 };
        let Some(macs) = frame.mac else { return };
        if frame.undecoded.is_some() {
            state.report_undecoded_link(frame, stamp);
        }
        let pair = Pair { macs, ether_type, vlan: frame.vlan };
        match self.traffic.get_mut(&pair.key()) {
            Some(traffic) => traffic.note_packet(&pair, stamp, state),
            None => {
                let is_judged = state.judging && !is_neighbour_discovery(frame);
                self.add_pair(&pair, is_judged, limit, stamp, state);
            }
        }
    }

    /// Forgets all pairs, so that another policy judges them.
    pub(super) fn forget_pairs(&mut self) {
        self.traffic.clear();
    }

    /// Adds a pair with its first frame: lists the sender, judges the pair, and reports.
    fn add_pair(&mut self, pair: &Pair, is_judged: bool, limit: usize, stamp: &Stamp, state: &mut WorkerState) {
        self.list_sender(pair, limit, stamp, state);
        if self.traffic.len() >= limit.max(1) {
            state.counters.losses.neighbour_pairs_forgotten += self.traffic.len() as u64;
            self.traffic.clear();
        }
        let mut traffic = Traffic { first: stamp.packet, is_denied: false, last_broadcast: None };
        if is_judged {
            let denial = pair.judge(stamp, state);
            match (self.traffic.get(&pair.reversed().key()).copied(), denial) {
                (None, Some(denial)) => {
                    traffic.is_denied = true;
                    let fact = Fact::Unasked { denial, by: Side::Client };
                    pair.report(state, traffic.first, stamp, |base| Event::Fact(base, fact));
                }
                (Some(Traffic { first, is_denied: true, .. }), Some(denial)) => {
                    pair.report(state, first, stamp, |base| Event::Fact(base, Fact::Asked(denial)));
                }
                _ => {}
            }
            if is_group(pair.macs.destination) {
                traffic.last_broadcast = Some(stamp.clock);
                pair.report_broadcast(traffic.first, stamp, state);
            }
        }
        self.traffic.insert(pair.key(), traffic);
    }

    /// Adds the sender to the inventory, unless it is a declared asset.
    fn list_sender(&mut self, pair: &Pair, limit: usize, stamp: &Stamp, state: &mut WorkerState) {
        let host = (pair.macs.source, pair.ether_type);
        if is_group(pair.macs.source) || self.listed.contains(&host) {
            return;
        }
        if self.listed.len() >= limit {
            state.counters.losses.neighbours_not_listed += 1;
            return;
        }
        self.listed.insert(host);
        if state.judging && state.policy.flow_verdict(&pair.tuple(), None).client.asset.is_none() {
            let new = |base: Box<Finding>| {
                Event::Finding(Box::new(Finding { what: FindingKind::NewHost(Side::Client), ..*base }))
            };
            pair.report(state, stamp.packet, stamp, new);
        }
    }
}

impl Traffic {
    /// Reports a broadcast, at most once a second.
    fn note_packet(&mut self, pair: &Pair, stamp: &Stamp, state: &mut WorkerState) {
        if let Some(last_broadcast) = &mut self.last_broadcast
            && stamp.clock.saturating_sub(*last_broadcast) >= SECOND
        {
            *last_broadcast = stamp.clock;
            pair.report_broadcast(self.first, stamp, state);
        }
    }
}

impl Pair {
    const fn key(&self) -> ([u8; 6], [u8; 6], u16) {
        (self.macs.source, self.macs.destination, self.ether_type)
    }

    const fn reversed(&self) -> Self {
        let Macs { source, destination } = self.macs;
        Self { macs: Macs { source: destination, destination: source }, ..*self }
    }

    fn between(&self) -> Between {
        let end = |mac| Endpoint { host: Host { ip: None, mac: Some(mac), vlan: self.vlan }, port: 0 };
        let (client, server) = (end(self.macs.source), end(self.macs.destination));
        Between { client, server, carrier: Carrier::Ethernet(self.ether_type) }
    }

    fn tuple(&self) -> FlowTuple {
        self.between().tuple()
    }

    /// The denial of traffic from the sender to the receiver. No frame without IP shows who is the client: a flow permits both
    /// directions.
    fn judge(&self, stamp: &Stamp, state: &WorkerState) -> Option<Denial> {
        let policy = &state.policy;
        let denied = |tuple: &FlowTuple| match policy.judge_flow(&policy.flow_verdict(tuple, None), None, stamp.time) {
            Verdict::Deny(denial) => Some(denial),
            Verdict::Permit { .. } | Verdict::Observe | Verdict::NotJudged => None,
        };
        denied(&self.tuple()).filter(|_| denied(&self.reversed().tuple()).is_some())
    }

    fn report_broadcast(&self, first: u64, stamp: &Stamp, state: &mut WorkerState) {
        self.report(state, first, stamp, |base| Event::Fact(base, Fact::Call));
    }

    fn report(&self, state: &mut WorkerState, first: u64, stamp: &Stamp, event: impl FnOnce(Box<Finding>) -> Event) {
        let flow_verdict = state.policy.flow_verdict(&self.tuple(), None);
        state.report_between(&self.between(), flow_verdict, first, stamp, event);
    }
}

/// Whether a frame is IPv6 neighbour discovery.
pub(super) fn is_neighbour_discovery(frame: &Frame<'_>) -> bool {
    matches!(frame.body, Body::Ip(_, other) if other.neighbour_discovery)
}

/// Whether a hardware address is a group address (IEEE 802, 8.2: the lowest bit of the first octet).
const fn is_group(mac: [u8; 6]) -> bool {
    let [first, ..] = mac;
    first & 1 == 1
}

/// EtherType of IPv6.
const IPV6: u16 = 0x86DD;

/// One second, nanoseconds.
const SECOND: i64 = 1_000_000_000;
