//! What a table of flows knows of each of them, apart from the flow itself.

use super::FlowKey;

/// How long an entry may be idle, by what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Lifetime {
    /// An open TCP connection.
    Stream,
    /// Anything without a beginning and an end.
    Datagram,
    /// A TCP connection whose end was seen.
    Closed,
    /// A TCP connection of which no more than the handshake was seen, and that not to its end.
    Opening,
}

/// What is looked at for every packet: as long as a cache line.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) key: FlowKey,
    pub(super) tag: Tag,
    /// When it was used last.
    pub(super) used: i64,
    /// When it got its place in its list.
    pub(super) listed: i64,
}

/// How long a slot may be idle, and how many flows it had before: one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tag(u32);

/// Neighbours of a slot in its list, or the next free slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListLinks {
    pub(super) previous: u32,
    pub(super) next: u32,
}

impl Slot {
    /// How long it was not used, nanoseconds. Only times that are centuries apart can wrap.
    #[inline(always)]
    pub(super) const fn idle_time(&self, clock: i64) -> i64 {
        clock.wrapping_sub(self.used)
    }

    /// Whether it is time for a new place in its list.
    #[inline(always)]
    pub(super) const fn is_due(&self, timeout: i64) -> bool {
        self.used.wrapping_sub(self.listed) >= timeout >> LISTED_AGAIN
    }
}

impl Tag {
    pub(super) const fn new(lifetime: Lifetime) -> Self {
        Self(lifetime as u32)
    }

    /// How long a flow of its kind may be idle.
    #[inline(always)]
    pub(super) const fn timeout(self, timeouts: &[i64; LIFETIMES.len()]) -> i64 {
        timeouts[(self.0 & LIFETIME_BITS) as usize]
    }

    #[inline]
    pub(super) const fn lifetime(self) -> Lifetime {
        match self.0 & LIFETIME_BITS {
            0 => Lifetime::Stream,
            1 => Lifetime::Datagram,
            2 => Lifetime::Closed,
            _ => Lifetime::Opening,
        }
    }

    #[inline]
    pub(super) const fn generation(self) -> u32 {
        self.0 / (LIFETIME_BITS + 1)
    }

    pub(super) const fn with_lifetime(self, lifetime: Lifetime) -> Self {
        Self(self.0 & !LIFETIME_BITS | lifetime as u32)
    }

    /// The slot has another flow.
    pub(super) const fn next(self) -> Self {
        Self(self.0.wrapping_add(LIFETIME_BITS + 1))
    }
}

impl Default for ListLinks {
    fn default() -> Self {
        Self { previous: NONE, next: NONE }
    }
}

/// No slot.
pub(super) const NONE: u32 = u32::MAX;
/// Every lifetime, in the order of their numbers: as many as their bits can tell apart.
pub(super) const LIFETIMES: [Lifetime; 4] = [Lifetime::Stream, Lifetime::Datagram, Lifetime::Closed, Lifetime::Opening];
/// The bits of [`Tag`] that hold the lifetime.
const LIFETIME_BITS: u32 = 3;
/// A flow gets a new place in its list when it was used this part of its timeout after it got its place: the 128th, as a
/// power of two.
const LISTED_AGAIN: u32 = 7;
