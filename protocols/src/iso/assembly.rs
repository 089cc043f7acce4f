//! A TSDU from the DT TPDUs that carry it, under a cap.

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// The fragments that one side has sent of a TSDU. Empty and without memory while every TSDU fits one TPDU.
#[derive(Clone, Debug, Default)]
pub(super) struct Assembly {
    kept: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// In step: the next fragment belongs to what is kept.
    #[default]
    Whole,
    /// Something is missing before what is kept: the TSDU may have begun there.
    Torn,
    /// The TSDU was too long: its rest is passed over.
    Skipping,
}

/// What a fragment completed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Assembled<'a> {
    /// A TSDU; `torn`: perhaps only its end.
    Tsdu { bytes: Cow<'a, [u8]>, torn: bool },
    /// Nothing yet.
    Open,
    /// The TSDU is longer than allowed: as much of it as is. What it asks for stands at its beginning, and endless fragments
    /// must not hide it. `lost` bytes of this fragment are not part of that.
    TooLong { bytes: Cow<'a, [u8]>, torn: bool, lost: usize },
    /// So many bytes of the rest of a TSDU that was too long.
    Passed(usize),
}

impl Assembly {
    /// The next TPDU begins a TSDU, and nothing is known to be missing.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.kept.is_empty() && self.state == State::Whole
    }

    /// The next TPDU begins a TSDU, as far as is known.
    pub(super) fn begins(&self) -> bool {
        self.kept.is_empty() && self.state != State::Skipping
    }

    /// Adds a fragment; `end`: the last one of its TSDU.
    pub(super) fn add<'a>(&mut self, data: &'a [u8], end: bool, limit: usize) -> Assembled<'a> {
        if self.state == State::Skipping {
            self.state = if end { State::Whole } else { State::Skipping };
            return Assembled::Passed(data.len());
        }
        let (taken, lost) = data.split_at(data.len().min(limit.saturating_sub(self.kept.len())));
        if !end && lost.is_empty() {
            self.kept.extend_from_slice(data);
            return Assembled::Open;
        }
        let torn = core::mem::take(&mut self.state) == State::Torn;
        let bytes = if self.kept.is_empty() {
            Cow::Borrowed(taken)
        } else {
            let mut joined = core::mem::take(&mut self.kept);
            joined.extend_from_slice(taken);
            Cow::Owned(joined)
        };
        if lost.is_empty() {
            return Assembled::Tsdu { bytes, torn };
        }
        self.state = if end { State::Whole } else { State::Skipping };
        Assembled::TooLong { bytes, torn, lost: lost.len() }
    }

    /// Bytes that are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Something is missing: returns how many bytes are given up.
    pub(super) fn interrupt(&mut self) -> usize {
        self.state = State::Torn;
        core::mem::take(&mut self.kept).len()
    }

    /// The connection begins anew: returns how many bytes are given up.
    pub(super) fn restart(&mut self) -> usize {
        self.state = State::Whole;
        core::mem::take(&mut self.kept).len()
    }
}
