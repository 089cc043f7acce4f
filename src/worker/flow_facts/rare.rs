//! What most conversations have not: one word for those.

use crate::policy::Secured;
use crate::record::ConversationText;
use crate::worker::pending::PendingOperations;
use crate::worker::readings::Readings;

/// What most conversations have not, unless every transaction is written down: one word then.
#[derive(Default)]
pub(in crate::worker) struct RareState {
    /// What is known about how it is protected.
    pub(in crate::worker) security: Option<ChannelSecurity>,
    /// Operations whose outcome is pending.
    pub(in crate::worker) pending: PendingOperations,
    pub(in crate::worker) readings: Readings,
    /// What it held when that was noted last, bytes.
    pub(in crate::worker) memory: u32,
    pub(in crate::worker) text: Option<Box<ConversationText>>,
    /// Packet clock at which the correlator was reported last that whoever is in reach was last_broadcast.
    pub(in crate::worker) last_broadcast: Option<i64>,
}

impl RareState {
    pub(super) fn is_empty(&self) -> bool {
        let Self { security, pending, readings, memory, text, last_broadcast } = self;
        let is_quiet = *memory == 0 && pending.memory() == 0 && readings.are_forgotten();
        is_quiet && security.is_none() && text.is_none() && last_broadcast.is_none()
    }
}

/// What is kept about the security of a conversation.
#[derive(Debug, Default)]
pub(in crate::worker) struct ChannelSecurity {
    pub(in crate::worker) secured: Secured,
    /// Somebody was reported that its content cannot be seen.
    pub(in crate::worker) opaque_reported: bool,
    /// Hashes of the certificates that both sides showed last: renewing a channel shows them again.
    pub(in crate::worker) last_certificates: [Option<u64>; 2],
}
