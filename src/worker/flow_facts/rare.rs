//! Rarely used state of a conversation.

use crate::policy::Secured;
use crate::record::ConversationText;
use crate::worker::pending::PendingOperations;
use crate::worker::readings::Readings;

/// Rarely used state, boxed so that a conversation without it costs one pointer.
#[derive(Default)]
pub(in crate::worker) struct RareState {
    /// How the conversation is protected, as far as is known.
    pub(in crate::worker) security: Option<ChannelSecurity>,
    /// Operations whose outcome is pending.
    pub(in crate::worker) pending: PendingOperations,
    /// Alternative readings of its stream.
    pub(in crate::worker) readings: Readings,
    /// Memory in use when it was measured last, bytes.
    pub(in crate::worker) memory: u32,
    /// The parts of a transaction that all of its transactions share, as JSON.
    pub(in crate::worker) text: Option<Box<ConversationText>>,
    /// Packet clock of the last broadcast that was reported to the correlator.
    pub(in crate::worker) last_broadcast: Option<i64>,
}

impl RareState {
    pub(super) fn is_empty(&self) -> bool {
        let Self { security, pending, readings, memory, text, last_broadcast } = self;
        let is_quiet = *memory == 0 && pending.memory() == 0 && readings.are_empty();
        is_quiet && security.is_none() && text.is_none() && last_broadcast.is_none()
    }
}

/// The security of a conversation, as far as its handshakes show it.
#[derive(Debug, Default)]
pub(in crate::worker) struct ChannelSecurity {
    /// What the policy has judged of it.
    pub(in crate::worker) secured: Secured,
    /// Whether a denial of opaque content was reported.
    pub(in crate::worker) opaque_reported: bool,
    /// Hashes of the certificates that each side showed last: renewing a channel shows them again.
    pub(in crate::worker) last_certificates: [Option<u64>; 2],
}
