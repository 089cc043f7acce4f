//! The fast path of nearly every frame: Read Var or Write Var, or its answer without an error, whole in one TPDU.
//!
//! Any other frame takes the general path, which reports the same for these. The fast path needs a quarter less time
//! for a frame of four items (23 instead of 30 ns).

use super::entry::{Entry, PendingRequest};
use super::header::{ACK_DATA, HEADER, JOB, PROTOCOL};
use super::unseen::Answered;
use super::{ROSCTR_FUNC, S7comm, function, variable};
use crate::context::Context;
use crate::dissector::Function;

impl S7comm {
    /// Decodes a frame if the fast path applies. Returns `false`, without any effect, if not.
    pub(super) fn decode_fast(&mut self, frame: &[u8], context: &mut Context<'_>) -> bool {
        let Some(tsdu) = self.stack.whole_tsdu(frame) else { return false };
        match tsdu.split_first_chunk::<HEADER>() {
            _ if tsdu.len() > self.pdu_length => false,
            Some((&[PROTOCOL, JOB, _, _, ref head @ ..], body)) => self.fast_job(head, body, context),
            Some((&[PROTOCOL, ACK_DATA, _, _, ref head @ ..], &[0, 0, ref body @ ..])) => {
                self.fast_answer(head, body, context)
            }
            _ => false,
        }
    }

    fn fast_job(&mut self, head: &Head, body: &[u8], context: &mut Context<'_>) -> bool {
        match split(head, body) {
            Some(([function::READ_VAR, items @ ..], _)) => {
                self.variables(&function::READ, head, items, None, context);
            }
            Some(([function::WRITE_VAR, items @ ..], data)) => {
                self.variables(&function::WRITE, head, items, Some(data), context);
            }
            _ => return false,
        }
        true
    }

    fn variables(
        &mut self,
        function: &'static Function,
        head: &Head,
        items: &[u8],
        written: Option<&[u8]>,
        context: &mut Context<'_>,
    ) {
        context.sink.pdu(ROSCTR_FUNC, u32::from(JOB) << 8 | function.code);
        let asked = PendingRequest::new(self.stack.assign_number(), function.code as u16, function);
        let asked = asked.with_sender(context.from, reference(head), false);
        // Announced in its entry, so that it is moved only once.
        let mut entry = Entry { requested: *context.stamp, asked };
        variable::announce(&mut entry.asked, items, written, &mut self.spare, context);
        self.pending.push(entry, context.sink);
    }

    fn fast_answer(&mut self, head: &Head, body: &[u8], context: &mut Context<'_>) -> bool {
        let Some((&[code @ (function::READ_VAR | function::WRITE_VAR), claimed], data)) = split(head, body) else {
            return false;
        };
        // Concluded in place and removed afterwards. Among several requests, the general path chooses.
        let Some(entry) = self.pending.only() else { return false };
        let reference = reference(head);
        if !entry.is_answered_by(reference, Some(code), context.from) {
            return false;
        }
        self.answered = Some(Answered { from: context.from, reference, code: code.into() });
        context.sink.pdu(ROSCTR_FUNC, u32::from(ACK_DATA) << 8 | u32::from(code));
        match code {
            function::READ_VAR => variable::conclude_read(entry, Some(&claimed), data, context),
            _ => variable::conclude_write(entry, Some(&claimed), data, context),
        }
        if entry.asked.is_untracked() {
            self.pending.forget_only();
        } else if let Some(entry) = self.pending.remove(0) {
            entry.asked.recycle(&mut self.spare);
        }
        true
    }
}

/// PDU reference and the two lengths of a [header](super::header).
type Head = [u8; 6];

fn reference(&[high, low, ..]: &Head) -> u16 {
    u16::from_be_bytes([high, low])
}

/// Parameters and data, if their lengths agree with the header.
fn split<'f>(&[_, _, p_high, p_low, d_high, d_low]: &Head, body: &'f [u8]) -> Option<(&'f [u8], &'f [u8])> {
    let parameters = usize::from(u16::from_be_bytes([p_high, p_low]));
    let data = usize::from(u16::from_be_bytes([d_high, d_low]));
    if body.len() == parameters + data { body.split_at_checked(parameters) } else { None }
}
