//! Whether bytes are exactly frames of a row that is not (yet) the current one. The row's own probe decides, by the bytes
//! alone: how they were cut into segments makes no difference.

use crate::dissector::{FrameLen, Limits, Probe, Protocol, Side, Transport};

/// Whether bytes are frames of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// They are not.
    No,
    /// More bytes are needed.
    Undecided,
    /// They are, exactly.
    Yes {
        /// Length of the frames that prove it, bytes.
        end: usize,
    },
}

/// How much proof a match requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// One exact frame: a frame is due at this position.
    Aligned,
    /// One exact frame, and a second one if only a checksum proves it: the position is one of many.
    Anywhere,
}

/// Bytes of a flow that may begin with a frame of another row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) transport: Transport,
    pub(crate) from: Side,
    pub(crate) bytes: &'a [u8],
    /// The stream ends with these bytes.
    pub(crate) is_last: bool,
}

impl Candidate<'_> {
    /// The first of several rows that match. A row is not tried while one before it is undecided.
    pub(crate) fn first_match(
        &self,
        rows: impl Iterator<Item = &'static Protocol>,
        proof: Proof,
    ) -> (Match, Option<&'static Protocol>) {
        for row in rows {
            match self.match_row(row, proof) {
                Match::No => {}
                Match::Undecided => return (Match::Undecided, None),
                yes @ Match::Yes { .. } => return (yes, Some(row)),
            }
        }
        (Match::No, None)
    }

    /// Whether these bytes are frames of `row`.
    fn match_row(&self, row: &'static Protocol, proof: Proof) -> Match {
        if (row.probe)(self.transport, self.bytes) == Probe::No {
            return Match::No;
        }
        let matched = match self.prove(row, self.bytes) {
            Match::Yes { end } if proof == Proof::Anywhere && row.is_bare() => self.match_next_frame(row, end),
            matched => matched,
        };
        if matched == Match::Undecided && self.is_last { Match::No } else { matched }
    }

    /// Whether a second frame follows the first, which ends at `end`, or the stream ends with the first.
    fn match_next_frame(&self, row: &'static Protocol, end: usize) -> Match {
        match self.bytes.get(end..).unwrap_or_default() {
            [] if self.is_last => Match::Yes { end },
            rest => match self.prove(row, rest) {
                Match::Yes { end: further } => Match::Yes { end: end + further },
                other => other,
            },
        }
    }

    /// Asks the probe about the first whole frame, then about the first two, and so on until it decides: the bytes after a
    /// frame must not influence the result.
    fn prove(&self, row: &'static Protocol, bytes: &[u8]) -> Match {
        let dissector = (row.open)(self.transport, &Limits::default());
        let mut end = 0;
        for _ in 0..FRAMES {
            let length = match dissector.frame_len(self.from, bytes.get(end..).unwrap_or_default()) {
                FrameLen::Bytes(length) => length.max(1),
                FrameLen::Unknown => return Match::Undecided,
                FrameLen::Invalid(_) => return Match::No,
            };
            end = end.saturating_add(length).min(WINDOW);
            let Some(frames) = bytes.get(..end) else { return Match::Undecided };
            match (row.probe)(self.transport, frames) {
                Probe::Yes { sender } if sender.is_none_or(|sender| sender == self.from) => return Match::Yes { end },
                Probe::More | Probe::Wait { .. } if end < WINDOW => {}
                _ => return Match::No,
            }
        }
        Match::No
    }
}

/// Number of frames after which a probe must have decided: a message may span several.
const FRAMES: usize = 4;
/// Number of bytes that a probe may inspect: of a long frame, the beginning has to be proof enough.
const WINDOW: usize = 1024;
