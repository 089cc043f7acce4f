//! The latest request that was answered: gateways answer some of them twice.

use super::entry::Entry;
use super::function;
use super::head::Head;
use super::pending_request::{PendingRequest, Range};

/// What is kept of it, and of its answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answered {
    /// The number of the request and that of its answer, which some servers make up.
    asked: u16,
    answered: u16,
    unit: u8,
    /// 0 where there is none yet.
    code: u8,
    address: u16,
    count: u16,
}

impl Answered {
    /// An answer to a request.
    pub(super) fn new(head: Head, entry: &Entry) -> Self {
        let (address, count) = match *entry.asked.plainly() {
            PendingRequest::Range(Range { address, count }) | PendingRequest::Passed(Range { address, count }) => {
                (address, count)
            }
            _ => (0, 0),
        };
        let Head { transaction: answered, unit, code } = head;
        Self { asked: entry.transaction, answered, unit, code: code & !function::EXCEPTION, address, count }
    }

    /// An answer whose request was not seen.
    pub(super) fn by(head: Head, data: &[u8]) -> Self {
        let word = |at: usize| data.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u16::from_be_bytes);
        let Head { transaction, unit, code } = head;
        let code = code & !function::EXCEPTION;
        Self { asked: transaction, answered: transaction, unit, code, address: word(0), count: word(2) }
    }

    /// Whether an answer is a second one to the request: by its number, and by the place that it names, if it does.
    pub(super) fn is_answered_by(self, head: Head, data: &[u8]) -> bool {
        self.asked == head.transaction && self.is_like(head, data)
    }

    /// The same where the server makes up its numbers.
    pub(super) fn is_repeated_by(self, head: Head, data: &[u8]) -> bool {
        [self.asked, self.answered].contains(&head.transaction) && self.is_like(head, data)
    }

    fn is_like(self, head: Head, data: &[u8]) -> bool {
        let other = Self::by(head, data);
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
