//! The entry of a flow in its table, without the flow itself.

use super::FlowKey;

/// The kind of an entry, which decides how long it may be idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Lifetime {
    /// An open TCP connection.
    Stream,
    /// Traffic without connections.
    Datagram,
    /// A TCP connection that has ended.
    Closed,
    /// A TCP connection whose handshake is not complete.
    Opening,
}

/// The part of an entry that every packet reads; fits in a cache line.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) key: FlowKey,
    pub(super) tag: Tag,
    /// Packet time of its last use.
    pub(super) used: i64,
    /// Packet time by which it is sorted in its list: that of an earlier use.
    pub(super) listed: i64,
}

/// The lifetime of a slot and its generation (how many flows it held before), in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tag(u32);

/// The neighbours of a slot in its list; for a free slot, `next` is the next free one.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListLinks {
    pub(super) previous: u32,
    pub(super) next: u32,
}

impl Slot {
    /// Time since its last use, nanoseconds. Wraps only for times that are centuries apart.
    pub(super) const fn idle_time(&self, clock: i64) -> i64 {
        clock.wrapping_sub(self.used)
    }

    /// Whether its position in its list is stale.
    pub(super) const fn is_due(&self, timeout: i64) -> bool {
        self.used.wrapping_sub(self.listed) >= timeout >> LISTED_AGAIN
    }
}

impl Tag {
    pub(super) const fn new(lifetime: Lifetime) -> Self {
        Self(lifetime as u32)
    }

    /// How long a flow of this lifetime may be idle, nanoseconds.
    pub(super) const fn timeout(self, timeouts: &[i64; LIFETIMES.len()]) -> i64 {
        timeouts[(self.0 & LIFETIME_BITS) as usize]
    }

    pub(super) const fn lifetime(self) -> Lifetime {
        match self.0 & LIFETIME_BITS {
            0 => Lifetime::Stream,
            1 => Lifetime::Datagram,
            2 => Lifetime::Closed,
            _ => Lifetime::Opening,
        }
    }

    pub(super) const fn generation(self) -> u32 {
        self.0 / (LIFETIME_BITS + 1)
    }

    pub(super) const fn with_lifetime(self, lifetime: Lifetime) -> Self {
        Self(self.0 & !LIFETIME_BITS | lifetime as u32)
    }

    /// The tag of the next flow in the slot.
    pub(super) const fn next(self) -> Self {
        Self(self.0.wrapping_add(LIFETIME_BITS + 1))
    }
}

impl Default for ListLinks {
    fn default() -> Self {
        Self { previous: NONE, next: NONE }
    }
}

/// The index of no slot.
pub(super) const NONE: u32 = u32::MAX;
/// Every lifetime, in the order of their numbers.
pub(super) const LIFETIMES: [Lifetime; 4] = [Lifetime::Stream, Lifetime::Datagram, Lifetime::Closed, Lifetime::Opening];
/// The bits of [`Tag`] that hold the lifetime.
const LIFETIME_BITS: u32 = 3;
/// A flow is moved in its list when its last use is this fraction of its timeout after its list position: 1/128, as a power
/// of two.
const LISTED_AGAIN: u32 = 7;
