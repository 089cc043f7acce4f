//! Bytes that can be read in two ways: where a header lies, a server that goes by the function finds the next frame
//! elsewhere than one that goes by the header. Both are followed until they meet, or until one of them finds no frame.

use alloc::vec::Vec;

use super::function;
use super::head::Head;
use super::mbap::{self, Next};
use crate::dissector::{Side, Stamp};

/// The two readings of what one side sends: where the next frame begins, counted from the first byte that is not done with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fork {
    by_function: usize,
    by_header: usize,
    /// The header claims more than a frame can have: a server that believes it hardly exists, and is not followed where
    /// there is no other reading.
    is_far: bool,
}

/// What the readings find next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A frame of the one reading, from here to there.
    ByFunction(usize, usize),
    /// A frame of the other.
    ByHeader(usize, usize),
    /// There is one reading again: the next frame begins there.
    One(usize),
    /// More bytes will tell.
    More,
}

impl Fork {
    /// A frame that ends at one place by its function, and at another by its header.
    pub(super) fn new(lying: mbap::Lying) -> Option<Self> {
        let by_header = lying.claimed?;
        Some(Self { by_function: lying.own, by_header, is_far: by_header > mbap::LONGEST_FRAME })
    }

    /// There is one reading, which begins there; the bytes before may not have arrived.
    pub(super) fn one(at: usize) -> Self {
        Self { by_function: at, by_header: at, is_far: false }
    }

    /// How many bytes both readings are done with: `there` are.
    pub(super) fn take(&mut self, there: usize) -> usize {
        let done = self.by_function.min(self.by_header).min(there);
        self.by_function -= done;
        self.by_header -= done;
        done
    }

    /// Where to go on when no more than `there` bytes come: behind the frame that the header claims, if all of it came.
    pub(super) fn end(self, there: usize) -> usize {
        let by_header = if self.by_header > there { 0 } else { self.by_header };
        self.by_function.max(by_header).min(there)
    }

    /// Whether the frame that the header claims has not arrived.
    pub(super) fn claims_more_than(self, there: usize) -> bool {
        self.by_header > there
    }

    /// A server has shown that it goes by the function, or by the header.
    pub(super) fn decide(&mut self, goes_by_function: bool) {
        *self = Self::one(if goes_by_function { self.by_function } else { self.by_header });
    }

    /// Goes on with the frame that ends first. So the order of what is found does not depend on how much has arrived.
    pub(super) fn next(&mut self, from: Side, bytes: &[u8]) -> Found {
        loop {
            let Self { by_function, by_header, is_far } = *self;
            if by_function == by_header {
                return if by_function <= bytes.len() { Found::One(by_function) } else { Found::More };
            }
            let ahead = |at: usize, next: Next| match next {
                Next::More => (usize::MAX, Next::More),
                Next::Frame(length) => (at + length, next),
                Next::None(length) => (at + length, next),
            };
            let rest = |at: usize| bytes.get(at..).filter(|rest| !rest.is_empty());
            let one = rest(by_function).map_or(Next::More, |rest| mbap::by_function(from, rest));
            let other = rest(by_header).map_or(Next::More, mbap::by_header);
            let ((one_ends, one), (other_ends, other)) = (ahead(by_function, one), ahead(by_header, other));
            match (one, other) {
                (Next::More, Next::More) => return Found::More,
                (Next::Frame(_), _) if one_ends <= other_ends => {
                    self.by_function = one_ends;
                    return Found::ByFunction(by_function, one_ends);
                }
                (Next::None(_), _) if one_ends <= other_ends => self.decide(is_far),
                (_, Next::Frame(_)) => {
                    (self.by_header, self.is_far) = (other_ends, false);
                    return Found::ByHeader(by_header, other_ends);
                }
                _ => self.decide(true),
            }
        }
    }
}

/// What a flow keeps while some of its bytes can be read in two ways.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// By side.
    pub(super) forks: [Option<Fork>; 2],
    /// Bytes of the client that were there when its readings were followed the last time.
    pub(super) there: usize,
    /// Number of the request whose header lied.
    pub(super) since: u32,
    /// Numbers of the requests behind it that only the reading by header has found.
    pub(super) by_header: Vec<u32>,
    /// A frame of the client that is too short by its header, while the rest that its function wants may still come.
    pub(super) held: Option<Held>,
}

/// See [`Doubt::held`].
#[derive(Debug)]
pub(super) struct Held {
    pub(super) frame: Vec<u8>,
    pub(super) stamp: Stamp,
}

impl Doubt {
    /// Whether there is none.
    pub(super) fn is_over(&self) -> bool {
        self.forks.iter().all(Option::is_none) && self.held.is_none()
    }

    pub(super) fn fork(&mut self, from: Side) -> &mut Option<Fork> {
        let [client, server] = &mut self.forks;
        if from == Side::Client { client } else { server }
    }

    /// The answer to a request shows how the server reads, if only one reading has found that request, or found all of it.
    pub(super) fn answered(&mut self, request: u32) {
        let Some(fork) = &mut self.forks[0] else { return };
        // Numbers wrap, those in doubt lie close together.
        let behind = request.wrapping_sub(self.since);
        if self.by_header.contains(&request) {
            fork.decide(false);
        } else if behind == 0 && fork.claims_more_than(self.there) || (1..CLOSE).contains(&behind) {
            fork.decide(true);
        }
    }
}

impl Held {
    /// Whether an answer is the one to this request.
    pub(super) fn is_answered_by(&self, head: Head) -> bool {
        mbap::split(&self.frame).is_some_and(|(asked, _)| {
            (asked.transaction, asked.unit) == (head.transaction, head.unit)
                && asked.code == head.code & !function::EXCEPTION
        })
    }
}

/// Requests that are told while there is doubt, at most.
const CLOSE: u32 = u32::MAX / 2;
