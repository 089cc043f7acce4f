//! Secure channels: how their messages are protected, and the sequence numbers of their chunks.
//!
//! The opening of a channel determines the shape of its messages. If it was not captured, or is encrypted (RSA policies
//! encrypt the mode as well), each message is examined by itself: see `cleartext`.

use alloc::vec::Vec;

use super::security_policy::Suite;
use crate::dissector::Side;
use crate::security::Mode;

/// How the messages of a channel are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// Not at all, or signed: the body is readable and followed by a signature of known length.
    Readable,
    /// Not known yet: the opening was not captured or not readable, and too few messages were examined.
    Unknown,
    /// Encrypted.
    Encrypted,
}

/// One secure channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: u32,
    /// The two latest token ids, newest first: after a renewal, both are valid for a while (OPC 10000-4, 5.5.2).
    tokens: [u32; 2],
    /// Its security policy; `None` while unknown.
    pub(super) suite: Option<Suite>,
    pub(super) protection: Protection,
    /// Length of the signature behind each body, bytes; `None` while unknown.
    pub(super) signature: Option<u8>,
    /// The protection observed while it is unknown, and the number of messages in a row that agree on it.
    observed: (Protection, u8),
    /// Sequence number of the latest chunk of each side.
    sequence: [Option<u32>; 2],
}

impl Channel {
    fn new(id: u32) -> Self {
        let (suite, signature) = (None, None);
        Self {
            id,
            tokens: [0; 2],
            suite,
            protection: Protection::Unknown,
            signature,
            observed: (Protection::Unknown, 0),
            sequence: [None; 2],
        }
    }

    /// Applies the opening or renewal of the channel. `mode` is `None` if unknown; a renewal keeps the mode.
    pub(super) fn apply_opening(&mut self, suite: Suite, mode: Option<Mode>, is_renewal: bool) {
        self.signature = suite.known().map(|policy| policy.signature);
        self.protection = match mode {
            _ if suite.is_none() => Protection::Readable,
            Some(Mode::SignAndEncrypt) => Protection::Encrypted,
            Some(Mode::None | Mode::Sign) => Protection::Readable,
            None if is_renewal => self.protection,
            None => Protection::Unknown,
        };
        self.suite = Some(suite);
    }

    /// Its security mode; `None` while unknown.
    pub(super) fn mode(&self) -> Option<Mode> {
        let suite = self.suite.as_ref()?;
        match self.protection {
            Protection::Unknown => None,
            Protection::Encrypted => Some(Mode::SignAndEncrypt),
            Protection::Readable if suite.is_none() => Some(Mode::None),
            Protection::Readable => Some(Mode::Sign),
        }
    }

    /// Whether this token is valid on the channel.
    #[inline]
    pub(super) fn uses_token(&self, token: u32) -> bool {
        self.tokens.contains(&token)
    }

    /// Adds a token that was issued, or that is in use although its issue was not captured.
    pub(super) fn add_token(&mut self, token: u32) {
        if self.tokens[0] != token {
            self.tokens = [token, self.tokens[0]];
        }
    }

    /// Records the protection of one message while that of the channel is unknown. Returns whether it is settled now:
    /// several messages in a row agreed.
    pub(super) fn observe_protection(&mut self, protection: Protection) -> bool {
        let (before, count) = self.observed;
        self.observed = (protection, if before == protection { count.saturating_add(1) } else { 1 });
        let settled = self.observed.1 >= SETTLING_MESSAGES;
        if settled {
            self.protection = protection;
        }
        settled
    }

    /// Records the sequence number of a side's next chunk. Returns whether it follows the previous one; `None` if there was
    /// none.
    #[inline]
    pub(super) fn advance_sequence(&mut self, from: Side, number: u32) -> Option<bool> {
        let [client, server] = &mut self.sequence;
        let before = if from == Side::Client { client } else { server }.replace(number)?;
        Some(number == before.wrapping_add(1) || (before > LAST_BEFORE_WRAP && number < FIRST_AFTER_WRAP))
    }

    /// Forgets the previous sequence number of a side: that of its latest chunk is unreadable.
    pub(super) fn forget_sequence(&mut self, from: Side) {
        let [client, server] = &mut self.sequence;
        *if from == Side::Client { client } else { server } = None;
    }
}

/// The channels of one connection: nearly always one, kept inline.
#[derive(Debug, Default)]
pub(super) struct Channels {
    oldest: Option<Channel>,
    /// Channels opened after it.
    others: Vec<Channel>,
}

impl Channels {
    /// The channel with this id.
    #[inline]
    pub(super) fn get(&mut self, id: u32) -> Option<&mut Channel> {
        let Self { oldest, others } = self;
        oldest.iter_mut().chain(others).find(|channel| channel.id == id)
    }

    /// The channel with this id and the length of its signatures in bytes, if it uses this token and its messages are
    /// readable.
    #[inline]
    pub(super) fn get_readable(&mut self, id: u32, token: u32) -> Option<(&mut Channel, usize)> {
        let channel = self.get(id).filter(|channel| channel.protection == Protection::Readable)?;
        let signature = channel.signature.filter(|_| channel.uses_token(token))?;
        Some((channel, signature.into()))
    }

    /// Whether a channel with this id uses this token.
    pub(super) fn has_token(&self, id: u32, token: u32) -> bool {
        self.oldest.iter().chain(&self.others).any(|channel| channel.id == id && channel.uses_token(token))
    }

    /// The channel with this id, added if there is none, and whether the oldest channel was removed to make room.
    pub(super) fn get_or_insert(&mut self, id: u32) -> (Option<&mut Channel>, bool) {
        let mut is_full = false;
        if self.get(id).is_none() {
            is_full = self.others.len() >= MAX_CHANNELS - 1;
            if is_full {
                self.oldest = Some(self.others.remove(0));
            }
            match self.oldest {
                Some(_) => self.others.push(Channel::new(id)),
                None => self.oldest = Some(Channel::new(id)),
            }
        }
        (self.get(id), is_full)
    }
}

/// Messages in a row that settle the protection of a channel.
const SETTLING_MESSAGES: u8 = 3;
/// Sequence numbers may wrap after this one (OPC 10000-6, 6.7.2.4) ...
const LAST_BEFORE_WRAP: u32 = 4_294_966_271;
/// ... to one below this.
const FIRST_AFTER_WRAP: u32 = 1024;
/// Channels of one connection that are kept. The standard has one at a time.
const MAX_CHANNELS: usize = 8;
