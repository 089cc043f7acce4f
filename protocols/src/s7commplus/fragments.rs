//! A PDU from its fragments: all but the last lack the trailer. This is apart from the fragments of the transport.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::pdu::is_beginning;

/// The fragments that one side has sent of a PDU. Empty and without memory while every PDU is whole.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    kept: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The next payload begins a PDU.
    #[default]
    Idle,
    /// Something is missing: the next payload may belong to a PDU that began there.
    Torn,
    /// The next payload goes on with the PDU that is kept.
    Open,
    /// The rest of the PDU is passed over: it was too long and is decoded already, or its beginning is missing.
    Skipping,
}

/// What a payload completed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added<'a> {
    /// A PDU. `is_cut`: it goes on, but it is longer than allowed.
    Pdu { bytes: Cow<'a, [u8]>, is_cut: bool },
    /// Nothing.
    Nothing,
    /// A piece of a PDU whose beginning is missing.
    Stray,
}

impl Assembly {
    /// A PDU is under way: the next payload goes on with it.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open | State::Skipping)
    }

    /// Adds a payload. A PDU of more than `limit` bytes is given out at once, without its rest: what it wants stands at
    /// its beginning, and an attacker must not be able to hide it behind fragments without end.
    pub(super) fn add<'a>(&mut self, payload: &'a [u8], is_last: bool, limit: usize) -> Added<'a> {
        let next = if is_last { State::Idle } else { State::Open };
        match core::mem::replace(&mut self.state, next) {
            State::Torn if !is_beginning(payload) => {
                self.skip(is_last);
                Added::Stray
            }
            State::Idle | State::Torn if is_last => Added::Pdu { bytes: Cow::Borrowed(payload), is_cut: false },
            State::Idle | State::Torn | State::Open => {
                self.kept.extend_from_slice(payload);
                let is_cut = self.kept.len() > limit && !is_last;
                if is_cut {
                    self.skip(is_last);
                }
                if !is_cut && !is_last {
                    return Added::Nothing;
                }
                Added::Pdu { bytes: Cow::Owned(core::mem::take(&mut self.kept)), is_cut }
            }
            State::Skipping => {
                self.skip(is_last);
                Added::Nothing
            }
        }
    }

    fn skip(&mut self, is_last: bool) {
        self.state = if is_last { State::Idle } else { State::Skipping };
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a request.
    const BEGIN: &[u8] = &[0x31, 0, 0, 0x04, 0xCA, 0, 0];

    fn pdu(bytes: &[u8], is_cut: bool) -> Added<'_> {
        Added::Pdu { bytes: Cow::Borrowed(bytes), is_cut }
    }

    #[test]
    fn fragments_are_joined_up_to_the_one_with_a_trailer() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.add(&[1], true, 9), pdu(&[1], false));
        assert_eq!(assembly.add(&[1], false, 9), Added::Nothing);
        assert_eq!(assembly.add(&[], false, 9), Added::Nothing);
        assert!(assembly.is_open());
        assert_eq!(assembly.add(&[2], true, 9), pdu(&[1, 2], false));
        assert!(!assembly.is_open());
    }

    #[test]
    fn endless_fragments_are_decoded_once_and_then_passed_over() {
        let mut assembly = Assembly::default();
        let mut given = 0;
        for _ in 0..1000 {
            match assembly.add(&[7; 5], false, 12) {
                Added::Pdu { bytes, is_cut } => {
                    assert_eq!((bytes.len(), is_cut), (15, true));
                    given += 1;
                }
                added => assert_eq!(added, Added::Nothing),
            }
            assert!(assembly.kept.len() <= 12);
        }
        assert_eq!(given, 1);
        assert_eq!(assembly.add(&[7], true, 12), Added::Nothing);
        assert_eq!(assembly.add(&[1], true, 12), pdu(&[1], false));
    }

    #[test]
    fn after_a_loss_only_what_begins_a_pdu_is_taken_for_one() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.add(BEGIN, false, 99), Added::Nothing);
        assert_eq!(assembly.interrupt(), BEGIN.len());
        assert_eq!(assembly.add(&[9, 9], false, 99), Added::Stray);
        assert_eq!(assembly.add(&[9, 9], true, 99), Added::Nothing);
        assert_eq!(assembly.add(&[9, 9], true, 99), pdu(&[9, 9], false), "in step again");
        assembly.interrupt();
        assert_eq!(assembly.add(BEGIN, true, 99), pdu(BEGIN, false));
    }
}
