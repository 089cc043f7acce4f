//! Whether the bytes at a place are frames of a row that is not (yet) the one that is spoken: by its own probe, exactly, and
//! by nothing but the bytes, however they were cut.

use crate::dissector::{FrameLen, Limits, Probe, Protocol, Side, Transport};

/// What the bytes at a place are to one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// None of its frames.
    No,
    /// More bytes will tell.
    Open,
    /// Exactly its own.
    Yes {
        /// Where the bytes end that prove it.
        end: usize,
    },
}

/// How much proof is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// One exact frame: a frame must begin at this place.
    Aligned,
    /// One exact frame, and a second one where only a checksum proves it: the place is one of many.
    Anywhere,
}

/// Where frames of other rows are looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) transport: Transport,
    pub(crate) from: Side,
    pub(crate) bytes: &'a [u8],
    /// Nothing follows these bytes.
    pub(crate) is_last: bool,
}

impl Place<'_> {
    /// The first of several rows whose frames these are. While a row may still turn out to be it, those behind it wait.
    pub(crate) fn first_of(
        &self,
        rows: impl Iterator<Item = &'static Protocol>,
        proof: Proof,
    ) -> (Look, Option<&'static Protocol>) {
        for row in rows {
            match self.look(row, proof) {
                Look::No => {}
                Look::Open => return (Look::Open, None),
                yes @ Look::Yes { .. } => return (yes, Some(row)),
            }
        }
        (Look::No, None)
    }

    /// What these bytes are to one row.
    fn look(&self, row: &'static Protocol, proof: Proof) -> Look {
        if (row.probe)(self.transport, self.bytes) == Probe::No {
            return Look::No;
        }
        let looked = match self.prove(row, self.bytes) {
            Look::Yes { end } if proof == Proof::Anywhere && row.is_bare() => self.second(row, end),
            looked => looked,
        };
        if looked == Look::Open && self.is_last { Look::No } else { looked }
    }

    /// The proof of a frame that another must follow, unless the bytes end with it.
    fn second(&self, row: &'static Protocol, end: usize) -> Look {
        match self.bytes.get(end..).unwrap_or_default() {
            [] if self.is_last => Look::Yes { end },
            rest => match self.prove(row, rest) {
                Look::Yes { end: further } => Look::Yes { end: end + further },
                other => other,
            },
        }
    }

    /// Asks the probe about the first whole frame, then about the first two, until it is sure: what follows a frame says
    /// nothing about it.
    fn prove(&self, row: &'static Protocol, bytes: &[u8]) -> Look {
        let dissector = (row.open)(self.transport, &Limits::default());
        let mut end = 0;
        for _ in 0..FRAMES {
            let length = match dissector.frame_len(self.from, bytes.get(end..).unwrap_or_default()) {
                FrameLen::Bytes(length) => length.max(1),
                FrameLen::Unknown => return Look::Open,
                FrameLen::Invalid(_) => return Look::No,
            };
            end = end.saturating_add(length).min(WINDOW);
            let Some(frames) = bytes.get(..end) else { return Look::Open };
            match (row.probe)(self.transport, frames) {
                Probe::Yes { sender } if sender.is_none_or(|sender| sender == self.from) => return Look::Yes { end },
                Probe::More | Probe::Wait { .. } if end < WINDOW => {}
                _ => return Look::No,
            }
        }
        Look::No
    }
}

/// Frames that are looked at before a probe must be sure: a message may come in several.
const FRAMES: usize = 4;
/// Bytes that are looked at: the beginning of a long frame has to prove it.
const WINDOW: usize = 1024;
