//! Reassembly of a message (a TSDU of ISO transport, a PDU of S7comm-plus) from the fragments of one side, under a limit.

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// The message that one side is sending in fragments. Holds no memory while every message is one fragment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reassembly {
    kept: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The next fragment begins a message.
    #[default]
    Idle,
    /// Bytes are missing: the next fragment may continue a message that began in them.
    Torn,
    /// The next fragment continues the kept message. `is_torn`: the message itself may have begun in missing bytes.
    Open { is_torn: bool },
    /// The rest of the message is skipped: it was too long and has been returned, or its beginning is missing.
    Skipping,
}

/// Where a message that is too long is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// At exactly so many bytes.
    Exact(usize),
    /// After the fragment with which it exceeds so many bytes. The last fragment never cuts it.
    WholeFragment(usize),
}

/// What a fragment contributed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added<'a> {
    /// It completed a message, or made it too long. A message that is too long is returned at once: its beginning holds the
    /// request, and endless fragments must not hide it.
    Message {
        /// Borrowed from the fragment if the message has no other.
        bytes: Cow<'a, [u8]>,
        /// Bytes are missing before it: it may be only the end of a message.
        is_torn: bool,
        /// It is too long: its rest is missing, and will be skipped.
        is_cut: bool,
        /// Bytes of this fragment that are not part of it.
        lost: usize,
    },
    /// It was kept: the message continues.
    Kept,
    /// It belongs to a message that is skipped: so many bytes.
    Skipped(usize),
}

impl Reassembly {
    /// Whether the next fragment begins a message and no bytes are missing.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.kept.is_empty() && matches!(self.state, State::Idle | State::Open { is_torn: false })
    }

    /// Whether the next fragment can begin a message.
    pub(crate) fn may_begin(&self) -> bool {
        self.kept.is_empty() && self.state != State::Skipping
    }

    /// Whether the next fragment continues a message, kept or skipped.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::Skipping)
    }

    /// Whether bytes are missing directly before the next fragment.
    pub(crate) fn is_torn(&self) -> bool {
        self.state == State::Torn
    }

    /// Adds a fragment; `is_last`: the last one of its message.
    pub(crate) fn add<'a>(&mut self, fragment: &'a [u8], is_last: bool, limit: Limit) -> Added<'a> {
        if self.state == State::Skipping {
            self.skip(is_last);
            return Added::Skipped(fragment.len());
        }
        let is_torn = matches!(self.state, State::Torn | State::Open { is_torn: true });
        let (part, lost, is_cut) = self.cut(fragment, is_last, limit);
        if !is_last && !is_cut {
            self.kept.extend_from_slice(part);
            self.state = State::Open { is_torn };
            return Added::Kept;
        }
        let bytes = if self.kept.is_empty() {
            Cow::Borrowed(part)
        } else {
            let mut message = core::mem::take(&mut self.kept);
            message.extend_from_slice(part);
            Cow::Owned(message)
        };
        self.skip(is_last);
        Added::Message { bytes, is_torn, is_cut, lost }
    }

    /// The part of a fragment that the limit admits, the number of bytes it does not, and whether the message ends here.
    fn cut<'a>(&self, fragment: &'a [u8], is_last: bool, limit: Limit) -> (&'a [u8], usize, bool) {
        match limit {
            Limit::Exact(limit) => {
                let (part, lost) = fragment.split_at(fragment.len().min(limit.saturating_sub(self.kept.len())));
                (part, lost.len(), !lost.is_empty())
            }
            Limit::WholeFragment(limit) => (fragment, 0, !is_last && self.kept.len() + fragment.len() > limit),
        }
    }

    /// Skips the rest of the current message. `is_last`: nothing of it follows.
    pub(crate) fn skip(&mut self, is_last: bool) {
        self.state = if is_last { State::Idle } else { State::Skipping };
    }

    /// Bytes that are kept.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Bytes are missing: drops the kept message and returns its length.
    pub(crate) fn interrupt(&mut self) -> usize {
        self.state = State::Torn;
        core::mem::take(&mut self.kept).len()
    }

    /// Drops the kept message, as the connection restarts; returns its length.
    pub(crate) fn restart(&mut self) -> usize {
        self.state = State::Idle;
        core::mem::take(&mut self.kept).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: [Limit; 2] = [Limit::Exact(12), Limit::WholeFragment(12)];

    fn message(bytes: &[u8]) -> Added<'_> {
        Added::Message { bytes: Cow::Borrowed(bytes), is_torn: false, is_cut: false, lost: 0 }
    }

    #[test]
    fn fragments_are_joined_up_to_the_last_one() {
        for limit in LIMITS {
            let mut reassembly = Reassembly::default();
            assert_eq!(reassembly.add(&[1], true, limit), message(&[1]));
            assert_eq!(reassembly.add(&[1], false, limit), Added::Kept);
            assert_eq!(reassembly.add(&[], false, limit), Added::Kept);
            assert!(reassembly.is_open() && !reassembly.may_begin());
            assert_eq!(reassembly.add(&[2], true, limit), message(&[1, 2]));
            assert!(reassembly.is_idle() && !reassembly.is_open());
        }
    }

    #[test]
    fn endless_fragments_are_returned_once_and_then_skipped() {
        for (limit, length, lost_of_it) in [(LIMITS[0], 12, 3), (LIMITS[1], 15, 0)] {
            let mut reassembly = Reassembly::default();
            let mut returned = 0;
            for _ in 0..1000 {
                if let Added::Message { bytes, is_cut, lost, .. } = reassembly.add(&[7; 5], false, limit) {
                    assert_eq!((bytes.len(), is_cut, lost), (length, true, lost_of_it));
                    returned += 1;
                }
                assert!(reassembly.len() <= 12);
            }
            assert_eq!(returned, 1);
            assert_eq!(reassembly.add(&[7], true, limit), Added::Skipped(1));
            assert_eq!(reassembly.add(&[1], true, limit), message(&[1]));
        }
    }

    #[test]
    fn only_an_exact_limit_cuts_the_last_fragment() {
        let mut reassembly = Reassembly::default();
        reassembly.add(&[7; 10], false, LIMITS[0]);
        assert!(matches!(reassembly.add(&[7; 5], true, LIMITS[0]), Added::Message { is_cut: true, lost: 3, .. }));
        reassembly.add(&[7; 10], false, LIMITS[1]);
        assert!(matches!(reassembly.add(&[7; 5], true, LIMITS[1]), Added::Message { is_cut: false, lost: 0, .. }));
    }

    #[test]
    fn a_message_after_a_loss_is_torn_up_to_its_end() {
        let mut reassembly = Reassembly::default();
        reassembly.add(&[1; 7], false, LIMITS[0]);
        assert_eq!(reassembly.interrupt(), 7);
        assert!(reassembly.is_torn() && !reassembly.is_idle());
        assert_eq!(reassembly.add(&[2], false, LIMITS[0]), Added::Kept);
        assert!(matches!(reassembly.add(&[3], true, LIMITS[0]), Added::Message { is_torn: true, .. }));
        assert!(matches!(reassembly.add(&[4], true, LIMITS[0]), Added::Message { is_torn: false, .. }));
        reassembly.interrupt();
        assert_eq!((reassembly.restart(), reassembly.is_idle()), (0, true));
    }
}
