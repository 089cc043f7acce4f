//! The latest answered request: some gateways answer a request twice.

use super::entry::Entry;
use super::function;
use super::head::Head;
use super::pending_request::{PendingRequest, Range};

/// The fields of that request and of its answer by which a second answer is recognised.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answered {
    /// Transaction of the request. That of the answer may differ: some servers assign their own.
    asked: u16,
    answered: u16,
    unit: u8,
    /// 0 if there is none yet.
    code: u8,
    address: u16,
    count: u16,
}

impl Answered {
    /// The record of an answer and its request.
    pub(super) fn new(head: Head, entry: &Entry) -> Self {
        let (address, count) = match *entry.asked.unwrapped() {
            PendingRequest::Range(Range { address, count }) | PendingRequest::Untracked(Range { address, count }) => {
                (address, count)
            }
            _ => (0, 0),
        };
        let Head { transaction: answered, unit, code } = head;
        Self { asked: entry.transaction, answered, unit, code: code & !function::EXCEPTION, address, count }
    }

    /// The record of an answer whose request was not seen.
    pub(super) fn without_request(head: Head, data: &[u8]) -> Self {
        let word = |at: usize| data.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u16::from_be_bytes);
        let Head { transaction, unit, code } = head;
        let code = code & !function::EXCEPTION;
        Self { asked: transaction, answered: transaction, unit, code, address: word(0), count: word(2) }
    }

    /// Whether an answer is a second one to the request: by its transaction, and by the address in it, if any.
    pub(super) fn is_answered_by(self, head: Head, data: &[u8]) -> bool {
        self.asked == head.transaction && self.is_like(head, data)
    }

    /// Whether an answer is a second one, where the server may assign transactions of its own.
    pub(super) fn is_repeated_by(self, head: Head, data: &[u8]) -> bool {
        [self.asked, self.answered].contains(&head.transaction) && self.is_like(head, data)
    }

    fn is_like(self, head: Head, data: &[u8]) -> bool {
        let other = Self::without_request(head, data);
        let is_same_place = match head.code {
            function::WRITE_SINGLE_COIL | function::WRITE_SINGLE_REGISTER | function::MASK_WRITE_REGISTER => {
                self.address == other.address
            }
            function::WRITE_MULTIPLE_COILS | function::WRITE_MULTIPLE_REGISTERS => {
                (self.address, self.count) == (other.address, other.count)
            }
            _ => true,
        };
        (self.unit, self.code) == (other.unit, other.code) && is_same_place
    }
}
