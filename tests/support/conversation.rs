//! A TCP connection between a client in zone `scada` and a server in zone `plc`, segment by segment.

use lockkeeper_protocols::Side::{self, Client, Server};

use serde_json::Value;

use super::raised;
use super::wire::{ReplayResult, Station, Wire};

/// The packets of a connection that a tap captures; sequence numbers also count the others.
pub(crate) struct Conversation {
    wire: Wire,
    port: u16,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
    /// The only captured side, unless both are.
    only: Option<Side>,
}

impl Conversation {
    /// A connection to a port, captured from its handshake on.
    pub(crate) fn new(port: u16) -> Self {
        let mut conversation = Self::half(port, None);
        conversation.segment(Client, "S", &[]);
        conversation.segment(Server, "SA", &[]);
        conversation.segment(Client, "A", &[]);
        conversation
    }

    /// A connection captured midstream in one direction only.
    pub(crate) fn one_sided(port: u16, side: Side) -> Self {
        Self::half(port, Some(side))
    }

    fn half(port: u16, only: Option<Side>) -> Self {
        Self { wire: Wire::default(), port, next: [100, 500], only }
    }

    /// Captures only this side from now on.
    pub(crate) fn capture_only(&mut self, side: Side) {
        self.only = Some(side);
    }

    /// One side sends bytes in as many segments as they need.
    pub(crate) fn send(&mut self, from: Side, bytes: &[u8]) {
        bytes.chunks(LONGEST).for_each(|segment| self.segment(from, "A", segment));
    }

    /// Sends segments of both sides in order.
    pub(crate) fn say<B: AsRef<[u8]>>(mut self, segments: &[(Side, B)]) -> Self {
        segments.iter().for_each(|(from, bytes)| self.send(*from, bytes.as_ref()));
        self
    }

    /// Alerts of a replay, as in [`raised`].
    pub(crate) fn alerts(&self, policy: &str) -> Vec<Value> {
        let (folder, capture) = self.wire.write();
        let path = folder.path().join("policy.toml");
        std::fs::write(&path, policy).expect("a written policy");
        raised(&capture, &path, &[])
    }

    /// Alerts, transactions and statistics of a replay.
    pub(crate) fn replay(&self, policy: &str) -> ReplayResult {
        self.wire.replay(policy)
    }

    fn segment(&mut self, from: Side, flags: &str, payload: &[u8]) {
        let ends = [(Station::new(10, "10.0.1.10"), 40_000), (Station::new(20, "10.0.2.10"), self.port)];
        let (own, other) = (from.index(), from.other().index());
        if self.only.is_none_or(|only| only == from) {
            self.wire.tcp(ends[own], ends[other], flags, [self.next[own], self.next[other]], payload);
        }
        self.next[own] += payload.len() as u32 + u32::from(flags.contains('S'));
    }
}

/// Bytes of payload that fit into one segment.
const LONGEST: usize = 1400;
