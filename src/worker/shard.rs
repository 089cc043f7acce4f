//! One shard: the conversations of some host pairs.

use super::checksums::Senders;
use super::context::Shared;
use super::conversation::Conversation;
use super::neighbours::Neighbours;
use super::settings::Settings;
use super::sightings::Sightings;
use crate::flow::{DuplicateFilter, Entry, FlowTable, Lifetime, Progress, RecentBytes};
use crate::metrics::FailedConnections;

/// One shard: the conversations of some host pairs.
#[repr(C, align(64))]
pub(super) struct Shard {
    pub(super) flows: FlowTable<Conversation>,
    pub(super) shared: Shared,
    pub(super) duplicates: DuplicateFilter,
    pub(super) neighbours: Neighbours,
    pub(super) sightings: Sightings,
}

impl Shard {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            flows: FlowTable::new(&settings.table),
            shared: Shared {
                recent: RecentBytes::new(settings.streams.recent_bytes),
                senders: Senders::new(settings.checksums),
                failed: FailedConnections::default(),
                memory: 0,
            },
            duplicates: DuplicateFilter::new(&settings.duplicates),
            neighbours: Neighbours::default(),
            sightings: Sightings::default(),
        }
    }

    /// Updates the timeout of a conversation: an established connection may be silent for longer than an opening one, and a
    /// closed one for a moment only. Returns whether it has changed.
    pub(super) fn update_lifetime(&mut self, entry: Entry, progress: Progress) -> bool {
        let lifetime = if progress == Progress::Closed {
            Lifetime::Closed
        } else if self.flows.lifetime(entry) == Some(Lifetime::Opening)
            && self.flows.get_mut(entry).is_some_and(|(_, conversation)| conversation.is_established())
        {
            Lifetime::Stream
        } else {
            return false;
        };
        self.flows.set_lifetime(entry, lifetime);
        true
    }
}
