//! Secure channels: what is known about the protection of their messages, and the numbers that order their chunks.
//!
//! What a channel's messages look like follows from how it was opened. Where that was not seen, or where the opening is
//! encrypted (RSA policies encrypt the mode as well), each message speaks for itself: see `proof`.

use alloc::vec::Vec;

use super::security_policy::Suite;
use crate::dissector::Side;
use crate::security::Mode;

/// How the messages of a channel are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// Not at all, or signed: the body is readable, a signature of known length follows it.
    Readable,
    /// The opening of the channel was not seen or not readable, and its messages have not told enough yet.
    Unknown,
    /// Encrypted.
    Encrypted,
}

/// One secure channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: u32,
    /// The two latest tokens, newest first: after a renewal, both are in use for a while (OPC 10000-4, 5.5.2).
    tokens: [u32; 2],
    /// Its security policy; none while it is not known.
    pub(super) suite: Option<Suite>,
    pub(super) protection: Protection,
    /// Bytes of the signature behind each body, once that is known.
    pub(super) signature: Option<u8>,
    /// The protection that messages in a row showed while it was not known, and how many did.
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

    /// It was opened with this policy, and this mode if it is known; a renewal keeps the mode.
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

    /// Its mode, if that is known.
    pub(super) fn mode(&self) -> Option<Mode> {
        let suite = self.suite.as_ref()?;
        match self.protection {
            Protection::Unknown => None,
            Protection::Encrypted => Some(Mode::SignAndEncrypt),
            Protection::Readable if suite.is_none() => Some(Mode::None),
            Protection::Readable => Some(Mode::Sign),
        }
    }

    /// Whether a token is one of those in use.
    #[inline]
    pub(super) fn uses_token(&self, token: u32) -> bool {
        self.tokens.contains(&token)
    }

    /// A token was issued, or is used without that having been seen.
    pub(super) fn add_token(&mut self, token: u32) {
        if self.tokens[0] != token {
            self.tokens = [token, self.tokens[0]];
        }
    }

    /// A message whose protection was not known showed what it is. Several in a row settle it.
    pub(super) fn observe_protection(&mut self, protection: Protection) -> bool {
        let (before, count) = self.observed;
        self.observed = (protection, if before == protection { count.saturating_add(1) } else { 1 });
        let settled = self.observed.1 >= SETTLING_MESSAGES;
        if settled {
            self.protection = protection;
        }
        settled
    }

    /// Takes the sequence number of a side's next chunk: whether it follows the one before, if there was one.
    #[inline]
    pub(super) fn advance_sequence(&mut self, from: Side, number: u32) -> Option<bool> {
        let [client, server] = &mut self.sequence;
        let before = if from == Side::Client { client } else { server }.replace(number)?;
        Some(number == before.wrapping_add(1) || (before > LAST_BEFORE_WRAP && number < FIRST_AFTER_WRAP))
    }

    /// A chunk came whose number cannot be read.
    pub(super) fn forget_sequence(&mut self, from: Side) {
        let [client, server] = &mut self.sequence;
        *if from == Side::Client { client } else { server } = None;
    }
}

/// The channels of one connection. There is one, as a rule: it lies with the rest of what is known of the connection.
#[derive(Debug, Default)]
pub(super) struct Channels {
    oldest: Option<Channel>,
    /// Those that were opened after it.
    others: Vec<Channel>,
}

impl Channels {
    /// The channel of that number.
    #[inline]
    pub(super) fn get(&mut self, id: u32) -> Option<&mut Channel> {
        let Self { oldest, others } = self;
        oldest.iter_mut().chain(others).find(|channel| channel.id == id)
    }

    /// The channel of that number, if it uses this token and its messages are known to be readable; and how many bytes of
    /// signature follow each.
    #[inline]
    pub(super) fn get_readable(&mut self, id: u32, token: u32) -> Option<(&mut Channel, usize)> {
        let channel = self.get(id).filter(|channel| channel.protection == Protection::Readable)?;
        let signature = channel.signature.filter(|_| channel.uses_token(token))?;
        Some((channel, signature.into()))
    }

    /// Whether a channel of that number uses this token.
    pub(super) fn has_token(&self, id: u32, token: u32) -> bool {
        self.oldest.iter().chain(&self.others).any(|channel| channel.id == id && channel.uses_token(token))
    }

    /// The channel of that number, made if there is none. When there are too many, the oldest is forgotten: the second
    /// value says so.
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

/// Messages in a row that settle how a channel is protected.
const SETTLING_MESSAGES: u8 = 3;
/// Sequence numbers may begin anew behind this one (OPC 10000-6, 6.7.2.4) ...
const LAST_BEFORE_WRAP: u32 = 4_294_966_271;
/// ... with one below this.
const FIRST_AFTER_WRAP: u32 = 1024;
/// Channels of one connection that are remembered. The standard has one at a time.
const MAX_CHANNELS: usize = 8;
