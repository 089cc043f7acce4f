//! What is written: alerts and transactions, in one order, each violation once, with exact counts.
//!
//! ```text
//!  workers == Report ==> correlate (one order, volume rule) -> alert (JSON) == Rendered ==> publish
//!             finding    key: what is one violation            rules, mapping, attack, message, community_id
//!                        secured, hosts, calls: what only
//!                        several conversations show
//!  workers -> transaction (one JSON line per operation) == merge ==> a file
//! ```
//!
//! The text of a rule, its severity, requirements and techniques stand in one row: [`crate::policy::rules`] for the rules of
//! a policy, [`rules`] for those of the inventory and of the sensor itself.

mod alert;
mod attack;
mod calls;
pub mod community_id;
pub mod correlate;
mod finding;
pub mod highlights;
mod hosts;
mod id;
mod json;
mod key;
mod mapping;
mod message;
mod operation;
mod owned;
mod rendered;
pub mod rules;
mod secured;
mod sensor;
mod table;
#[cfg(test)]
mod testing;
pub mod transaction;
pub mod unread;

pub use crate::policy::rules::Severity;
pub use correlate::{Correlator, Counters, Settings, Tally};
pub use finding::{Doubt, Ending, Endpoint, Event, Evidence, Fact, Finding, FindingKind, Mismatch};
pub use operation::{OperationView, ValuesView};
pub(crate) use owned::short_name;
pub use owned::{
    ALERT_BYTES, NAME_BYTES, OwnedNode, OwnedNodeId, OwnedOperation, OwnedTarget, OwnedValues, TRANSACTION_BYTES,
};
pub use rendered::{AlertId, EvidenceRequest, Kind, Rendered};
pub use rules::{InventoryRule, SensorRule};
pub use sensor::SensorAlert;
pub use transaction::{Captures, ConversationText, Transaction, merge_transactions, write_transaction};
pub use unread::{Unread, UnreadShare, window_of};

/// The place of an event in the one order of a run, which does not depend on the number of workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey {
    /// Packet clock when the event became known, nanoseconds.
    pub clock: i64,
    /// Running number of the packet that made it known; for a timeout, that of the request.
    pub packet: u64,
    /// Counts the events that one packet made known.
    pub sub: u32,
}

/// What one worker made of one block, sorted by [`SortKey`].
#[derive(Debug, Default)]
pub struct Report {
    /// For the correlator.
    pub events: Vec<(SortKey, Event)>,
    /// Finished transactions: one JSON line each, in [`Report::lines`].
    pub transactions: Vec<(SortKey, std::ops::Range<usize>)>,
    /// The text of the transactions.
    pub lines: Vec<u8>,
    /// Unread packets: their [window](window_of), why they are unread, and how many.
    pub unread: Vec<(i64, Unread, u64)>,
}

impl Report {
    /// Empties the report and keeps its allocations.
    pub fn clear(&mut self) {
        self.events.clear();
        self.transactions.clear();
        self.lines.clear();
        self.unread.clear();
    }

    /// Counts an unread packet, when the packet clock was `clock`.
    pub fn add_unread(&mut self, clock: i64, kind: Unread) {
        let window = window_of(clock);
        match self.unread.last_mut() {
            Some((last, of, count)) if (*last, *of) == (window, kind) => *count += 1,
            _ => self.unread.push((window, kind, 1)),
        }
    }
}
