//! Accepted answers to requests that are not in the capture: what they say was done all the same.

use super::header::{ACK_DATA, Pdu};
use super::{S7comm, data, function};
use crate::context::Context;
use crate::dissector::{AnomalyKind, Function, Outcome, RequestRef, Side};
use crate::operation::{Operation, Target, Values};

/// The answer that was paired last, as far as it takes to know a second one to the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) from: Side,
    pub(super) reference: u16,
    /// Function of a job; group and sub-function of userdata.
    pub(super) code: u16,
}

impl S7comm {
    /// Counts an answer that no request is known to. Whether it is the first one: a second answer to the request that was
    /// answered last says nothing new.
    pub(super) fn is_first(&mut self, answer: Answered, context: &mut Context<'_>) -> bool {
        context.anomaly(AnomalyKind::Unmatched, "answer_without_request", Some(answer.code.into()));
        self.answered.take_if(|last| *last == answer).is_none()
    }

    /// The job that an answer is to was not seen.
    pub(super) fn on_job_unseen(&mut self, pdu: &Pdu<'_>, context: &mut Context<'_>) {
        let code = pdu.parameters.first().copied();
        let answer = Answered { from: context.from, reference: pdu.reference, code: code.unwrap_or_default().into() };
        let is_first = self.is_first(answer, context);
        if is_first && pdu.rosctr == ACK_DATA && pdu.error == 0 {
            self.job_unseen(code.unwrap_or_default(), pdu, context);
        }
    }

    /// The operations of a job that was carried out. Of a Write Var one for each item that was accepted.
    fn job_unseen(&mut self, code: u8, pdu: &Pdu<'_>, context: &mut Context<'_>) {
        let function = match code {
            function::PI_SERVICE => &function::UNKNOWN_SERVICE,
            _ => function::job(code),
        };
        // A client answers only what a controller asks for in a download.
        let answers =
            matches!(code, function::DOWNLOAD_BLOCK | function::DOWNLOAD_ENDED) == (context.from == Side::Client);
        if !answers || !function.class.changes() {
            return;
        }
        let values = match code {
            function::DOWNLOAD_BLOCK => pdu.data.get(4..).map_or(Values::None, Values::Bytes),
            _ => Values::None,
        };
        let accepted = match code {
            function::WRITE_VAR => {
                let codes = pdu.data.iter().take(u8::MAX.into());
                codes.filter(|code| data::outcome(**code) == Outcome::Accepted).count() as u32
            }
            _ => 1,
        };
        self.unseen(function, code.into(), accepted, values, context);
    }

    /// The userdata that an answer without an error is to were not seen.
    pub(super) fn userdata_unseen(&mut self, function: &'static Function, code: u16, context: &mut Context<'_>) {
        if function.class.changes() {
            self.unseen(function, code, 1, Values::None, context);
        }
    }

    fn unseen(
        &mut self,
        function: &'static Function,
        code: u16,
        count: u32,
        values: Values<'_>,
        context: &mut Context<'_>,
    ) {
        let operation = Operation {
            class: function.class,
            function: function.name,
            code: code.into(),
            ambiguous: false,
            target: Target::Unread { part: "target" },
            values,
        };
        let request = self.stack.assign_number();
        for item in 0..count {
            context.sink.request_unseen(RequestRef { request, item }, &operation, context.stamp);
        }
    }
}
