//! Request patterns of OPC UA clients.

use super::super::random::Random;
use super::{NODES, PUBLISH, READ, WRITE};

/// The request pattern of the clients of a capture.
pub(in super::super) struct Habits {
    /// Frequency of each service.
    pub(super) mix: [u16; 10],
    /// The nodes of the next Read of a flow: first, count.
    pub(super) read: fn(flow: usize, random: &mut Random) -> (u16, u16),
    /// Nodes of a Write, at most.
    pub(super) writes: u32,
    /// Nodes of a subscription.
    pub(super) monitored: u32,
    /// The values of the next notification: first, count.
    pub(super) changed: fn(random: &mut Random) -> (u32, u32),
    /// Whether nodes have names instead of numbers.
    pub(super) named: bool,
    /// Segments of the longest message.
    pub(super) most_segments: u64,
}

/// Clients that read one segment, several segments, or several chunks at once, and other nodes each time. The notification
/// of a subscription is about half a segment.
pub(in super::super) static BULK: Habits = Habits {
    mix: [READ, READ, READ, READ, READ, READ, PUBLISH, PUBLISH, PUBLISH, WRITE],
    read: |_, random| {
        let nodes = match random.below(100) {
            0..85 => 34 + random.below(4),
            85..97 => 80 + random.below(80),
            _ => 330 + random.below(50),
        };
        (1 + random.below(u32::from(NODES) - nodes) as u16, nodes as u16)
    },
    writes: 8,
    monitored: 20,
    changed: |_| (0, 20),
    named: false,
    most_segments: 11,
};

/// Historians, which read whole machines at once: every Read names 600 nodes.
pub(in super::super) static HISTORIAN: Habits = Habits {
    mix: [READ, READ, READ, READ, READ, READ, READ, READ, READ, WRITE],
    read: |_, random| (1 + random.below(u32::from(NODES - MACHINE)) as u16, MACHINE),
    writes: 8,
    monitored: 20,
    changed: |_| (0, 20),
    named: false,
    most_segments: 16,
};

/// Operator panels: subscriptions report changes, each displayed page is the same Read every time, and an operator
/// sometimes writes a value.
pub(in super::super) static PANEL: Habits = Habits {
    mix: [PUBLISH, PUBLISH, PUBLISH, PUBLISH, PUBLISH, PUBLISH, READ, READ, READ, WRITE],
    read: |flow, random| {
        let page = random.below(PAGES);
        let first = (flow as u32 * PAGES + page) * PAGE % (u32::from(NODES) - PAGE);
        (1 + first as u16, (2 + 3 * page) as u16)
    },
    writes: 2,
    monitored: 50,
    changed: |random| {
        let values = 1 + random.below(5);
        (random.below(50 - values), values)
    },
    named: true,
    most_segments: 11,
};

/// Nodes of a Read of a historian.
const MACHINE: u16 = 600;
/// Pages of a panel, and nodes from one to the next.
const PAGES: u32 = 4;
const PAGE: u32 = 12;
