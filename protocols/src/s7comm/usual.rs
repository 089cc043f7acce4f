//! The way of nearly every frame: Read Var or Write Var, or its answer without an error, whole in one TPDU.
//!
//! Any other frame takes the general way, which would tell the same of these. This one exists for its cost: it asks the
//! questions that tell the two apart once, and the compiler makes one straight piece of code of it.

use super::entry::{Asked, Entry};
use super::header::{ACK_DATA, JOB, PROTOCOL};
use super::{ROSCTR_FUNC, S7comm, function, variable};
use crate::context::Context;
use crate::dissector::Function;

impl S7comm {
    /// Decodes a frame if it is a usual one. Returns whether it is: nothing has happened if not.
    #[inline(always)]
    pub(super) fn usual(&mut self, frame: &[u8], context: &mut Context<'_>) -> bool {
        let Some(pdu) = self.stack.plain(frame).and_then(|tsdu| Pdu::split(tsdu, self.pdu_length)) else {
            return false;
        };
        match (pdu.rosctr, pdu.parameters) {
            (JOB, [function::READ_VAR, items @ ..]) => self.usual_job(&function::READ, items, None, &pdu, context),
            (JOB, [function::WRITE_VAR, items @ ..]) => {
                self.usual_job(&function::WRITE, items, Some(pdu.data), &pdu, context)
            }
            (ACK_DATA, [code @ (function::READ_VAR | function::WRITE_VAR), claimed]) => {
                self.usual_answer(*code, *claimed, &pdu, context)
            }
            _ => false,
        }
    }

    #[inline(always)]
    fn usual_job(
        &mut self,
        function: &'static Function,
        items: &[u8],
        written: Option<&[u8]>,
        pdu: &Pdu<'_>,
        context: &mut Context<'_>,
    ) -> bool {
        context.sink.pdu(ROSCTR_FUNC, u32::from(JOB) << 8 | function.code);
        let mut asked = Asked::new(self.stack.number(), function.code as u16, function);
        variable::announce(&mut asked, items, written, &mut self.spare, context);
        self.wait(asked, pdu.reference, false, context);
        true
    }

    #[inline(always)]
    fn usual_answer(&mut self, code: u8, claimed: u8, pdu: &Pdu<'_>, context: &mut Context<'_>) -> bool {
        // Copied, not borrowed: what is lent to the search lies in memory, not in registers.
        let (reference, from) = (pdu.reference, context.from);
        let asked_by = move |entry: &Entry| entry.is_answered_by(reference, Some(code), from);
        let Some((index, _)) = self.pending.find(asked_by, |_| true) else { return false };
        context.sink.pdu(ROSCTR_FUNC, u32::from(ACK_DATA) << 8 | u32::from(code));
        // Told where it waits, and taken out afterwards: it need not be moved.
        if let Some(entry) = self.pending.get(index) {
            match code {
                function::READ_VAR => variable::conclude_read(entry, Some(&claimed), pdu.data, context),
                _ => variable::conclude_write(entry, Some(&claimed), pdu.data, context),
            }
        }
        if let Some(entry) = self.pending.remove(index) {
            entry.asked.recycle(&mut self.spare);
        }
        true
    }
}

/// A job or an answer without an error, as [`header::split`](super::header::split) gives it if nothing is wrong.
struct Pdu<'a> {
    rosctr: u8,
    reference: u16,
    parameters: &'a [u8],
    data: &'a [u8],
}

impl<'a> Pdu<'a> {
    #[inline(always)]
    fn split(tsdu: &'a [u8], longest: usize) -> Option<Self> {
        let (&[PROTOCOL, rosctr, _, _, r_high, r_low, p_high, p_low, d_high, d_low], rest) =
            tsdu.split_first_chunk()?
        else {
            return None;
        };
        let body = match (rosctr, rest) {
            (JOB, _) => rest,
            (ACK_DATA, [0, 0, body @ ..]) => body,
            _ => return None,
        };
        let lengths = [[p_high, p_low], [d_high, d_low]].map(|pair| usize::from(u16::from_be_bytes(pair)));
        let [parameter_length, data_length] = lengths;
        if body.len() != parameter_length + data_length || tsdu.len() > longest {
            return None;
        }
        let (parameters, data) = body.split_at_checked(parameter_length)?;
        Some(Self { rosctr, reference: u16::from_be_bytes([r_high, r_low]), parameters, data })
    }
}
