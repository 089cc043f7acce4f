//! What a conversation works with.

use super::checksums::Senders;
use super::settings::Settings;
use super::state::WorkerState;
use crate::flow::{Assembly, DuplicateSettings, RecentBytes, StreamCounters, StreamSettings};
use crate::metrics::FailedConnections;

/// What the conversations of a shard share.
pub(super) struct Shared {
    /// Delivered bytes, for comparison with retransmissions.
    pub(super) recent: RecentBytes,
    /// Whose checksums are believed.
    pub(super) senders: Senders,
    /// Connections that were not established.
    pub(super) failed: FailedConnections,
    /// Memory that its conversations hold, bytes, as measured last.
    pub(super) memory: usize,
}

/// What a conversation works with.
pub(super) struct FlowContext<'a> {
    pub(super) state: &'a mut WorkerState,
    pub(super) streams: &'a StreamSettings,
    pub(super) counters: &'a mut StreamCounters,
    pub(super) duplicates: DuplicateSettings,
    pub(super) shared: &'a mut Shared,
}

impl<'a> FlowContext<'a> {
    pub(super) fn new(
        state: &'a mut WorkerState,
        settings: &'a Settings,
        counters: &'a mut StreamCounters,
        shared: &'a mut Shared,
    ) -> Self {
        Self { state, streams: &settings.streams, counters, duplicates: settings.duplicates, shared }
    }

    /// What reassembly works with, and the worker's state. `keeps_delivered`: delivered bytes are kept.
    pub(super) fn assembly(&mut self, keeps_delivered: bool) -> (Assembly<'_>, &mut WorkerState) {
        let recent = if keeps_delivered { Some(&mut self.shared.recent) } else { None };
        (Assembly { settings: self.streams, counters: self.counters, recent }, self.state)
    }
}
