//! What most conversations have not: one word for those.

use super::FlowFacts;
use crate::record::ConversationText;
use crate::worker::channel_security::ChannelSecurity;
use crate::worker::pending::PendingOperations;
use crate::worker::reading::Readings;

/// What most conversations have not, unless every transaction is written down: one word then.
#[derive(Default)]
pub(in crate::worker) struct RareState {
    /// What is known about how it is protected.
    pub(in crate::worker) security: Option<ChannelSecurity>,
    /// Operations whose outcome is pending.
    pub(in crate::worker) pending: PendingOperations,
    pub(in crate::worker) readings: Readings,
    /// [`Conversation::memory`](super::Conversation::memory) when that was noted last, bytes.
    pub(super) memory: u32,
    pub(in crate::worker) text: Option<Box<ConversationText>>,
    /// Packet clock at which the correlator was told last that whoever is in reach was called.
    pub(super) called: Option<i64>,
}

impl RareState {
    fn is_empty(&self) -> bool {
        let Self { security, pending, readings, memory, text, called } = self;
        let is_quiet = *memory == 0 && pending.memory() == 0 && readings.are_forgotten();
        is_quiet && security.is_none() && text.is_none() && called.is_none()
    }
}

impl FlowFacts {
    /// What it has of what most have not.
    #[inline]
    pub(in crate::worker) fn rare(&self) -> Option<&RareState> {
        self.rare.as_deref()
    }

    /// The same, to be changed.
    #[inline]
    pub(in crate::worker) fn rare_mut(&mut self) -> Option<&mut RareState> {
        self.rare.as_deref_mut()
    }

    /// Gives its memory back where it has nothing of that any more.
    pub(super) fn drop_empty_rare_state(&mut self) {
        self.rare.take_if(|rare| rare.is_empty());
    }

    /// The same, made where there is none.
    pub(in crate::worker) fn make_rare(&mut self) -> &mut RareState {
        self.rare.get_or_insert_default()
    }

    pub(in crate::worker) fn make_security(&mut self) -> &mut ChannelSecurity {
        self.make_rare().security.get_or_insert_default()
    }

    /// Its ends or what it speaks have changed.
    pub(super) fn forget_text(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.text = None;
        }
    }
}
