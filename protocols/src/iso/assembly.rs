//! A TSDU from the DT TPDUs that carry it, under a cap.

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// The fragments that one side has sent of a TSDU. Empty and without memory while every TSDU fits one TPDU.
#[derive(Debug, Default)]
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
    /// The TSDU is longer than allowed; `lost` bytes of it are given up, `first` time in this TSDU.
    TooLong { lost: usize, first: bool },
}

impl Assembly {
    /// The next TPDU begins a TSDU, and nothing is known to be missing.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.kept.is_empty() && self.state == State::Whole
    }

    /// Adds a fragment; `end`: the last one of its TSDU.
    pub(super) fn add<'a>(&mut self, data: &'a [u8], end: bool, limit: usize) -> Assembled<'a> {
        let skipping = self.state == State::Skipping;
        if skipping || self.kept.len() + data.len() > limit {
            let lost = data.len() + core::mem::take(&mut self.kept).len();
            self.state = if end { State::Whole } else { State::Skipping };
            return Assembled::TooLong { lost, first: !skipping };
        }
        if !end {
            self.kept.extend_from_slice(data);
            return Assembled::Open;
        }
        let torn = core::mem::take(&mut self.state) == State::Torn;
        if self.kept.is_empty() {
            return Assembled::Tsdu { bytes: Cow::Borrowed(data), torn };
        }
        let mut joined = core::mem::take(&mut self.kept);
        joined.extend_from_slice(data);
        Assembled::Tsdu { bytes: Cow::Owned(joined), torn }
    }

    /// Something is missing: returns how many bytes are given up.
    pub(super) fn interrupt(&mut self) -> usize {
        self.state = State::Torn;
        core::mem::take(&mut self.kept).len()
    }
}
