//! Bytes with two readings. Where a header is wrong, a server that frames by the function code finds the next frame
//! elsewhere than one that frames by the header. Both readings are followed until they meet, or until one of them finds
//! no frame.

use alloc::vec::Vec;

use super::echo::Echoes;
use super::function;
use super::head::Head;
use super::mbap::{self, Next};
use crate::dissector::{Side, Stamp};

/// The two readings of the bytes of one side. Each is an offset of the next frame from the first byte that both have
/// not passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fork {
    by_function: usize,
    by_header: usize,
    /// End of a frame whose header claims more than a frame can have; 0 for none. Few servers accept such a header: it
    /// is not followed where there is no other reading.
    far_end: usize,
    /// End of the latest frame that only the reading by header has found; 0 for none.
    found_by_header: usize,
    /// The reading by function is at the first wrong header.
    is_at_first: bool,
    /// The reading by function has found no frame.
    is_function_abandoned: bool,
    /// The reading by header has found no frame. It searches for its next one inside the frames of the other reading: a
    /// frame with a sound header there may have been meant.
    is_header_lost: bool,
}

/// The next step of the readings. Frames are given by start and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The frame at the first wrong header.
    First(usize, usize),
    /// A frame of the reading by function.
    ByFunction(usize, usize),
    /// A frame of the reading by header.
    ByHeader(usize, usize),
    /// One reading remains; its next frame begins at this offset.
    Single(usize),
    /// Neither reading finds a frame.
    Nothing,
    /// More bytes are needed.
    More,
}

impl Fork {
    /// The readings after a frame that ends at one offset by its function and at another by its header.
    pub(super) const fn new(by_function: usize, by_header: usize) -> Self {
        Self { by_header, ..Self::single(by_function) }
    }

    /// The readings at a header that is unsound.
    pub(super) const fn at_unsound_header() -> Self {
        Self { by_header: 1, is_at_first: true, is_header_lost: true, ..Self::single(0) }
    }

    /// A single reading that continues at this offset, which may be beyond the bytes that have arrived.
    pub(super) const fn single(at: usize) -> Self {
        Self {
            by_function: at,
            by_header: at,
            far_end: 0,
            found_by_header: 0,
            is_at_first: false,
            is_function_abandoned: false,
            is_header_lost: false,
        }
    }

    /// Advances past the bytes that both readings have passed, of `available` bytes, and returns their number.
    pub(super) fn advance(&mut self, available: usize) -> usize {
        let done = self.by_function.min(self.by_header).min(available);
        self.by_function -= done;
        self.by_header -= done;
        self.far_end = self.far_end.saturating_sub(done);
        self.found_by_header = self.found_by_header.saturating_sub(done);
        done
    }

    /// The offset at which decoding continues when the stream ends after `available` bytes: after the frame that the
    /// header claims, if all of it has arrived.
    pub(super) fn end_offset(self, available: usize) -> usize {
        let by_header = if self.is_header_lost || self.by_header > available { 0 } else { self.by_header };
        self.by_function.max(by_header).min(available)
    }

    /// Whether a frame that a header claims ends beyond the `available` bytes.
    pub(super) fn claims_more_than(self, available: usize) -> bool {
        self.far_end.max(if self.is_header_lost { 0 } else { self.by_header }) > available
    }

    /// The server has shown which reading it uses: the other one ends.
    pub(super) fn settle(&mut self, goes_by_function: bool) {
        *self = Self::single(if goes_by_function { self.by_function } else { self.by_header });
    }

    /// Follows the reading whose next frame ends first, so that the order of frames does not depend on how much has
    /// arrived. `is_sound`: whether a server accepts a frame that was found by its header, or by a search.
    pub(super) fn next(&mut self, from: Side, bytes: &[u8], is_sound: impl Fn(&[u8], bool) -> bool) -> Found {
        let mut one = self.next_by_function(from, bytes);
        loop {
            let Self { by_function, by_header, .. } = *self;
            if by_function == by_header || (self.is_header_lost && by_header > by_function && !self.is_at_first) {
                if self.far_end > by_function && !self.is_function_abandoned && self.is_header_lost {
                    (self.by_header, self.is_header_lost) = (self.far_end, false);
                    continue;
                }
                return if by_function <= bytes.len() { Found::Single(by_function) } else { Found::More };
            }
            if self.far_end > by_function
                && !self.is_header_lost
                && bytes.get(by_function..).is_some_and(mbap::is_unsound)
            {
                (self.by_header, self.is_header_lost, self.is_at_first) = (by_function + 1, true, true);
                one = self.next_by_function(from, bytes);
                continue;
            }
            let (one_ends, by_function_next) = one;
            let (other_ends, other) = self.next_by_header(bytes);
            let frame = || bytes.get(by_header..other_ends).unwrap_or_default();
            match (by_function_next, other) {
                (Next::More, Next::More) => return Found::More,
                (Next::Frame(_), _) if one_ends <= other_ends => {
                    return self.advance_by_function(by_function, one_ends, bytes);
                }
                (Next::None(_), _) if one_ends <= other_ends && self.is_at_first && self.is_header_lost => {
                    let start = by_function.max(self.found_by_header);
                    return if start > 0 { Found::Single(start) } else { Found::Nothing };
                }
                (Next::None(_), _) if one_ends <= other_ends => {
                    self.abandon_function();
                    one = (usize::MAX, Next::More);
                }
                (_, Next::Frame(_)) if is_sound(frame(), self.is_header_lost) => {
                    (self.by_header, self.far_end, self.is_header_lost) = (other_ends, 0, false);
                    self.found_by_header = other_ends;
                    if self.is_function_abandoned {
                        self.settle(false);
                    }
                    return Found::ByHeader(by_header, other_ends);
                }
                (_, Next::Frame(_)) if !self.is_header_lost && by_function < other_ends => match by_function_next {
                    // The other reading may have ended by then.
                    Next::Frame(_) => return self.advance_by_function(by_function, one_ends, bytes),
                    Next::None(_) => self.abandon_function(),
                    Next::More => return Found::More,
                },
                (_, Next::Frame(_)) if !self.is_header_lost => self.by_header = other_ends,
                (_, Next::Frame(_) | Next::None(_)) if self.is_header_lost => self.by_header += 1,
                (_, Next::Frame(_) | Next::None(_)) => {
                    (self.by_header, self.far_end, self.is_header_lost) = (by_header + 1, 0, true);
                }
                (_, Next::More) => return Found::More,
            }
        }
    }

    /// Passes a frame of the reading by function. While a header is followed that claims too much, another wrong header
    /// may hide frames, so that the search by header starts inside of this frame.
    fn advance_by_function(&mut self, start: usize, end: usize, bytes: &[u8]) -> Found {
        self.by_function = end;
        if core::mem::take(&mut self.is_at_first) {
            return Found::First(start, end);
        }
        let is_wrong = || bytes.get(start..end).is_some_and(|frame| mbap::fault(frame).is_some());
        if self.far_end != 0 && !self.is_header_lost && is_wrong() {
            (self.by_header, self.is_header_lost) = (start + 1, true);
        }
        Found::ByFunction(start, end)
    }

    /// The reading by function finds no frame: the header is followed, unless that reading has none either.
    fn abandon_function(&mut self) {
        match self.is_header_lost {
            true => self.is_function_abandoned = true,
            false => self.settle(self.far_end != 0),
        }
    }

    /// Sets the end of a [first](Found::First) frame by its header, where a server that frames by header continues,
    /// unless it frames by an earlier header and has not reached this one.
    pub(super) fn follow_header(&mut self, claimed: usize) {
        if self.is_header_lost && self.far_end <= self.by_function {
            self.far_end = claimed;
        }
    }

    /// The next frame of the reading by function, and the number of bytes that determine it.
    fn next_by_function(self, from: Side, bytes: &[u8]) -> (usize, Next) {
        match bytes.get(self.by_function..).filter(|rest| !rest.is_empty() && !self.is_function_abandoned) {
            Some(rest) if self.is_at_first => next_end(self.by_function, mbap::next_by_function_at_first(from, rest)),
            Some(rest) => next_end(self.by_function, mbap::next_by_function(from, rest)),
            None => (usize::MAX, Next::More),
        }
    }

    /// The next frame of the reading by header, and the number of bytes that determine it.
    fn next_by_header(self, bytes: &[u8]) -> (usize, Next) {
        match bytes.get(self.by_header..).filter(|rest| !rest.is_empty()) {
            Some(rest) => next_end(self.by_header, mbap::next_by_header(rest)),
            None => (usize::MAX, Next::More),
        }
    }
}

fn next_end(at: usize, next: Next) -> (usize, Next) {
    match next {
        Next::More => (usize::MAX, next),
        Next::Frame(length) | Next::None(length) => (at + length, next),
    }
}

/// State of a flow that has bytes with two readings, or whose server echoes requests.
#[derive(Debug, Default)]
pub(super) struct Irregular {
    /// The readings of each side.
    pub(super) forks: [Option<Fork>; 2],
    /// Number of bytes of the client when its readings were last followed.
    pub(super) available: usize,
    /// Number of the request whose header was wrong.
    pub(super) since: u32,
    /// A server that frames by header executes this request as well, once all bytes that the header claims have
    /// arrived.
    pub(super) is_shared: bool,
    /// Numbers of the later requests that only the reading by header has found.
    pub(super) by_header: Vec<u32>,
    /// A frame of the client that is too short by its header, while the bytes that its function requires may still
    /// arrive.
    pub(super) held: Option<Held>,
    /// Echoes of requests, in RTU frames.
    pub(super) echoes: Echoes,
}

/// A request whose end may still arrive: see [`Irregular::held`].
#[derive(Debug)]
pub(super) struct Held {
    pub(super) frame: Vec<u8>,
    pub(super) stamp: Stamp,
}

impl Irregular {
    /// Whether the flow is regular again.
    pub(super) fn is_over(&self) -> bool {
        self.forks.iter().all(Option::is_none) && self.held.is_none() && self.echoes.is_empty()
    }

    pub(super) fn fork_mut(&mut self, from: Side) -> &mut Option<Fork> {
        let [client, server] = &mut self.forks;
        if from == Side::Client { client } else { server }
    }

    /// Settles the readings of the client by an answer, if only one reading has found its request, or found all of it.
    /// A refusal of the request with the wrong header settles nothing: the header may be its reason.
    pub(super) fn settle_by_answer(&mut self, request: u32, is_refused: bool) {
        let [Some(fork), _] = &mut self.forks else { return };
        // Numbers wrap; those of ambiguous requests are close together.
        match request.wrapping_sub(self.since) {
            _ if self.by_header.contains(&request) => fork.settle(false),
            0 if is_refused || self.is_shared && !fork.claims_more_than(self.available) => {}
            0..CLOSE => fork.settle(true),
            _ => {}
        }
    }
}

impl Held {
    /// Whether an answer belongs to this request.
    pub(super) fn is_answered_by(&self, head: Head) -> bool {
        mbap::split(&self.frame).is_some_and(|(asked, _)| {
            (asked.transaction, asked.unit) == (head.transaction, head.unit)
                && asked.code == head.code & !function::EXCEPTION
        })
    }
}

/// Distance within which request numbers count as later, although they wrap.
const CLOSE: u32 = u32::MAX / 2;
