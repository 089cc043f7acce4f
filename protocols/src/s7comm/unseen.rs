//! Accepted answers to requests that are not in the capture: they prove that the requests were executed.

use super::header::{ACK_DATA, Pdu};
use super::{S7comm, data, function};
use crate::context::Context;
use crate::dissector::{AnomalyKind, Function, Outcome, RequestRef, Side};
use crate::operation::{Operation, Target, Values};

/// The fields of the latest matched answer by which a second answer to the same request is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) from: Side,
    pub(super) reference: u16,
    /// Function of a job; group and sub-function of userdata.
    pub(super) code: u16,
}

impl S7comm {
    /// Reports an answer without a request. Returns `false` if it repeats the latest matched answer.
    pub(super) fn report_stray_answer(&mut self, answer: Answered, context: &mut Context<'_>) -> bool {
        context.anomaly(AnomalyKind::Unmatched, "answer_without_request", Some(answer.code.into()));
        self.answered.take_if(|last| *last == answer).is_none()
    }

    /// Handles an answer to a job that was not seen.
    pub(super) fn on_job_unseen(&mut self, pdu: &Pdu<'_>, context: &mut Context<'_>) {
        let code = pdu.parameters.first().copied();
        let answer = Answered { from: context.from, reference: pdu.reference, code: code.unwrap_or_default().into() };
        let is_first = self.report_stray_answer(answer, context);
        if is_first && pdu.rosctr == ACK_DATA && pdu.error == 0 {
            self.report_unseen_job(code.unwrap_or_default(), pdu, context);
        }
    }

    /// Reports the operations of an executed job: of a Write Var one for each accepted item.
    fn report_unseen_job(&mut self, code: u8, pdu: &Pdu<'_>, context: &mut Context<'_>) {
        let function = match code {
            function::PI_SERVICE => &function::UNKNOWN_SERVICE,
            _ => function::job(code),
        };
        // A client answers only the jobs that a controller sends in a download.
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
                codes.filter(|code| data::outcome_of(**code) == Outcome::Accepted).count() as u32
            }
            _ => 1,
        };
        self.report_unseen(function, code.into(), accepted, values, context);
    }

    /// Reports the operation of userdata that were not seen, by their answer without an error.
    pub(super) fn report_unseen_userdata(&mut self, function: &'static Function, code: u16, context: &mut Context<'_>) {
        if function.class.changes() {
            self.report_unseen(function, code, 1, Values::None, context);
        }
    }

    fn report_unseen(
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
