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
    /// Where a frame ends by a header that claims more than a frame can have, 0 for none. Few servers believe that; they are
    /// not followed where there is no other reading.
    far: usize,
    /// The reading by function stands at the first header that lies.
    is_first: bool,
    /// There is no frame where the reading by function stands.
    is_dead: bool,
    /// The reading by header has no frame, and looks for the next one inside of those that the other has found: what lies
    /// there with a sound header was perhaps meant.
    is_lost: bool,
}

/// What the readings find next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A frame whose header cannot be, from here to there.
    First(usize, usize),
    /// A frame of the one reading, from here to there.
    ByFunction(usize, usize),
    /// A frame of the other.
    ByHeader(usize, usize),
    /// There is one reading again: the next frame begins there.
    One(usize),
    /// There is no frame in either.
    Nothing,
    /// More bytes will tell.
    More,
}

impl Fork {
    /// Behind a frame that ends at one place by its function and at another by its header.
    pub(super) const fn new(by_function: usize, by_header: usize) -> Self {
        Self { by_header, ..Self::one(by_function) }
    }

    /// At a header that cannot be.
    pub(super) const fn at_unsound_header() -> Self {
        Self { by_header: 1, is_first: true, is_lost: true, ..Self::one(0) }
    }

    /// There is one reading, which begins there; the bytes before may not have arrived.
    pub(super) const fn one(at: usize) -> Self {
        Self { by_function: at, by_header: at, far: 0, is_first: false, is_dead: false, is_lost: false }
    }

    /// How many bytes both readings are done with: `there` are.
    pub(super) fn take(&mut self, there: usize) -> usize {
        let done = self.by_function.min(self.by_header).min(there);
        self.by_function -= done;
        self.by_header -= done;
        self.far = self.far.saturating_sub(done);
        done
    }

    /// Where to go on when no more than `there` bytes come: behind the frame that the header claims, if all of it came.
    pub(super) fn end(self, there: usize) -> usize {
        let by_header = if self.is_lost || self.by_header > there { 0 } else { self.by_header };
        self.by_function.max(by_header).min(there)
    }

    /// Whether a frame that the header claims has not arrived.
    pub(super) fn claims_more_than(self, there: usize) -> bool {
        self.far.max(if self.is_lost { 0 } else { self.by_header }) > there
    }

    /// A server has shown that it goes by the function, or by the header.
    pub(super) fn decide(&mut self, goes_by_function: bool) {
        *self = Self::one(if goes_by_function { self.by_function } else { self.by_header });
    }

    /// Goes on with the frame that ends first. So the order of what is found does not depend on how much has arrived.
    /// `is_sound`: whether a frame is one that a server takes; what is none is told only where there is no other reading.
    pub(super) fn next(&mut self, from: Side, bytes: &[u8], is_sound: impl Fn(&[u8]) -> bool) -> Found {
        let mut one = self.next_by_function(from, bytes);
        loop {
            let Self { by_function, by_header, .. } = *self;
            if by_function == by_header || (self.is_lost && by_header > by_function && !self.is_first) {
                if self.far > by_function && !self.is_dead && self.is_lost {
                    (self.by_header, self.is_lost) = (self.far, false);
                    continue;
                }
                return if by_function <= bytes.len() { Found::One(by_function) } else { Found::More };
            }
            if self.far > by_function && !self.is_lost && bytes.get(by_function..).is_some_and(mbap::is_unsound) {
                (self.by_header, self.is_lost, self.is_first) = (by_function + 1, true, true);
                one = self.next_by_function(from, bytes);
                continue;
            }
            let (one_ends, by_function_next) = one;
            let (other_ends, other) = self.next_by_header(bytes);
            let frame = || bytes.get(by_header..other_ends).unwrap_or_default();
            match (by_function_next, other) {
                (Next::More, Next::More) => return Found::More,
                (Next::Frame(_), _) if one_ends <= other_ends => return self.go_on(by_function, one_ends, bytes),
                (Next::None(_), _) if one_ends <= other_ends && self.is_first && self.is_lost => {
                    return if by_function > 0 { Found::One(by_function) } else { Found::Nothing };
                }
                (Next::None(_), _) if one_ends <= other_ends => {
                    self.give_up_function();
                    one = (usize::MAX, Next::More);
                }
                (_, Next::Frame(_)) if is_sound(frame()) => {
                    (self.by_header, self.far, self.is_lost) = (other_ends, 0, false);
                    if self.is_dead {
                        self.decide(false);
                    }
                    return Found::ByHeader(by_header, other_ends);
                }
                (_, Next::Frame(_)) if !self.is_lost && by_function < other_ends => match by_function_next {
                    // Perhaps there is no other reading by then.
                    Next::Frame(_) => return self.go_on(by_function, one_ends, bytes),
                    Next::None(_) => self.give_up_function(),
                    Next::More => return Found::More,
                },
                (_, Next::Frame(_)) if !self.is_lost => self.by_header = other_ends,
                (_, Next::Frame(_) | Next::None(_)) if self.is_lost => self.by_header += 1,
                (_, Next::Frame(_) | Next::None(_)) => {
                    (self.by_header, self.far, self.is_lost) = (by_header + 1, 0, true);
                }
                (_, Next::More) => return Found::More,
            }
        }
    }

    /// A frame by function. While a header is believed that claims far too much, another one that lies may hide others.
    fn go_on(&mut self, start: usize, end: usize, bytes: &[u8]) -> Found {
        self.by_function = end;
        if core::mem::take(&mut self.is_first) {
            return Found::First(start, end);
        }
        let lies = || bytes.get(start..end).is_some_and(|frame| mbap::fault(frame).is_some());
        if self.far != 0 && !self.is_lost && lies() {
            (self.by_header, self.is_lost) = (start + 1, true);
        }
        Found::ByFunction(start, end)
    }

    /// There is no frame by function: the header is believed, unless nothing speaks for it either.
    fn give_up_function(&mut self) {
        match self.is_lost {
            true => self.is_dead = true,
            false => self.decide(self.far != 0),
        }
    }

    /// Where a [first](Found::First) frame ends by its header: a server that believes it goes on there, unless it believes
    /// another one before it, and has not come to this one.
    pub(super) fn believe(&mut self, claimed: usize) {
        if self.is_lost && self.far <= self.by_function {
            self.far = claimed;
        }
    }

    /// What the reading by function finds next, and where the bytes end that say so.
    fn next_by_function(self, from: Side, bytes: &[u8]) -> (usize, Next) {
        match bytes.get(self.by_function..).filter(|rest| !rest.is_empty() && !self.is_dead) {
            Some(rest) if self.is_first => ends(self.by_function, mbap::by_function_at_first(from, rest)),
            Some(rest) => ends(self.by_function, mbap::by_function(from, rest)),
            None => (usize::MAX, Next::More),
        }
    }

    /// The same by header.
    fn next_by_header(self, bytes: &[u8]) -> (usize, Next) {
        match bytes.get(self.by_header..).filter(|rest| !rest.is_empty()) {
            Some(rest) => ends(self.by_header, mbap::by_header(rest)),
            None => (usize::MAX, Next::More),
        }
    }
}

fn ends(at: usize, next: Next) -> (usize, Next) {
    match next {
        Next::More => (usize::MAX, next),
        Next::Frame(length) | Next::None(length) => (at + length, next),
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
    /// Who believes the header carries it out as well, once all that it claims is there.
    pub(super) is_shared: bool,
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

    /// The answer to a request shows how the server reads, if only one reading has found that request, or found all of it. A
    /// refusal of the request whose header lied shows nothing: that may be why.
    pub(super) fn answered(&mut self, request: u32, is_refused: bool) {
        let [Some(fork), _] = &mut self.forks else { return };
        // Numbers wrap, those in doubt lie close together.
        match request.wrapping_sub(self.since) {
            _ if self.by_header.contains(&request) => fork.decide(false),
            0 if is_refused || self.is_shared && !fork.claims_more_than(self.there) => {}
            0..CLOSE => fork.decide(true),
            _ => {}
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
