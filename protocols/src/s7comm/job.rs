//! Jobs and their answers.

use super::block::{self, Named, Uploads};
use super::entry::{AnswerSlot, Entry, Item, PendingRequest};
use super::header::{ACK_DATA, Pdu};
use super::service::{Blocks, Service};
use super::unseen::Answered;
use super::{PI_SERVICES, ROSCTR_FUNC, S7comm, error, function, variable};
use crate::context::Context;
use crate::dissector::{AnomalyKind, Outcome};
use crate::operation::{Target, Values};
use crate::pending::Waiting;
use crate::reader::DecodeError;

impl S7comm {
    pub(super) fn on_job(&mut self, pdu: &Pdu<'_>, context: &mut Context<'_>) {
        let Some((&code, parameters)) = pdu.parameters.split_first() else {
            return self.on_job_without_parameters(pdu, context);
        };
        let request = self.stack.assign_number();
        context.sink.pdu(ROSCTR_FUNC, u32::from(pdu.rosctr) << 8 | u32::from(code));
        let mut asked = PendingRequest::new(request, code.into(), function::job(code)).with_ambiguity(pdu.is_ambiguous);
        match code {
            function::READ_VAR => variable::announce(&mut asked, parameters, None, &mut self.spare, context),
            function::WRITE_VAR => {
                variable::announce(&mut asked, parameters, Some(pdu.data), &mut self.spare, context);
            }
            function::PI_SERVICE => {
                let service = Service::read(parameters);
                let function = service.map_or(&function::UNKNOWN_SERVICE, |service| service.function());
                asked = PendingRequest::new(request, code.into(), function).with_ambiguity(pdu.is_ambiguous);
                self.announce_service(&mut asked, service, context);
            }
            _ => self.announce_rare(code, parameters, &mut asked, context),
        }
        self.add_pending(asked, pdu.reference, false, context);
    }

    /// Handles a job without parameters: snap7 1.4.2 takes the first byte after the header for its function
    /// nevertheless.
    fn on_job_without_parameters(&mut self, pdu: &Pdu<'_>, context: &mut Context<'_>) {
        context.malformed("job_without_function", 0u32);
        if !pdu.data.is_empty() {
            return self.on_job(&Pdu { parameters: pdu.data, data: &[], ..*pdu }, context);
        }
        let mut asked = PendingRequest::new(self.stack.assign_number(), 0, &function::UNKNOWN_JOB);
        asked.announce(Target::Unread { part: "function" }, Values::None, context);
        self.add_pending(asked, pdu.reference, false, context);
    }

    fn announce_rare(&mut self, code: u8, parameters: &[u8], asked: &mut PendingRequest, context: &mut Context<'_>) {
        let (target, values) = match code {
            function::REQUEST_DOWNLOAD
            | function::DOWNLOAD_BLOCK
            | function::DOWNLOAD_ENDED
            | function::START_UPLOAD => match block::read_named(parameters) {
                Ok(Named { target, name }) => (target, Values::Bytes(name)),
                Err(_) => {
                    context.malformed("truncated_request", parameters.len() as u32);
                    (Target::Unread { part: "block" }, Values::None)
                }
            },
            function::UPLOAD | function::END_UPLOAD => {
                let target = block::upload_id(parameters).map_or(Target::None, |id| self.uploads.target(id));
                (target, Values::None)
            }
            function::PLC_STOP => {
                match Service::read_stop(parameters) {
                    Ok(service) => context.sink.pdu(PI_SERVICES, service.count_key()),
                    Err(_) => context.malformed("truncated_request", parameters.len() as u32),
                }
                (Target::None, Values::None)
            }
            _ if parameters.is_empty() => (Target::None, Values::None),
            _ => (Target::None, Values::Bytes(parameters)),
        };
        asked.announce(target, values, context);
    }

    /// Reports a PI service: one operation for each block that it names, counted or not. The arguments of security
    /// services are secrets.
    fn announce_service(
        &mut self,
        asked: &mut PendingRequest,
        service: Result<Service<'_>, DecodeError>,
        context: &mut Context<'_>,
    ) {
        let Ok(service) = service else {
            context.malformed("truncated_request", 0u32);
            return asked.announce(Target::Unread { part: "arguments" }, Values::None, context);
        };
        context.sink.pdu(PI_SERVICES, service.count_key());
        match service.blocks() {
            Some(blocks) => self.announce_blocks(asked, &blocks, context),
            None => {
                let values = match service.arguments {
                    [] => Values::None,
                    _ if asked.is_secret() => Values::None,
                    arguments => Values::Bytes(arguments),
                };
                asked.announce(Target::None, values, context);
            }
        }
        if !service.rest.is_empty() {
            context.malformed("trailing_bytes", service.rest.len() as u32);
            asked.announce_unread("arguments", 0, Values::None, &mut self.spare, context);
        }
    }

    fn announce_blocks(&mut self, asked: &mut PendingRequest, blocks: &Blocks<'_>, context: &mut Context<'_>) {
        for (position, text) in blocks.names().enumerate() {
            let is_ambiguous = position >= usize::from(blocks.counted);
            let slot = AnswerSlot { is_ambiguous, ..AnswerSlot::default() };
            asked.announce_item(
                Item { target: block::parse_file_name(text), slot },
                Values::Bytes(text),
                &mut self.spare,
                context,
            );
        }
        if blocks.is_exact && asked.operation_count() > 0 {
            return;
        }
        context.malformed("block_list", blocks.counted);
        if !blocks.rest().is_empty() || asked.operation_count() < blocks.counted.max(1).into() {
            asked.announce_unread("blocks", 0, Values::None, &mut self.spare, context);
        }
    }

    /// The position of the job that an answer belongs to: the oldest with its reference and as many items, or with any
    /// number of items if none has as many. An answer with another reference belongs to the only job in flight, if that
    /// is the latest request and the answer fits.
    fn find_request(&mut self, pdu: &Pdu<'_>, code: Option<u8>, context: &mut Context<'_>) -> Option<usize> {
        let claimed = pdu.parameters.get(1).copied();
        let fits = |entry: &Entry| entry.has_as_many_items(claimed);
        let from = context.from;
        if let Some((index, _)) = self.pending.find(|entry| entry.is_answered_by(pdu.reference, code, from), fits) {
            return Some(index);
        }
        let answer = Answered { from, reference: pdu.reference, code: code?.into() };
        let only = self.pending.only()?;
        let is_last = only.asked.request == self.stack.next_request().wrapping_sub(1);
        if !is_last
            || self.answered == Some(answer)
            || !only.is_answered_by(only.asked.reference, code, from)
            || !fits(only)
        {
            return None;
        }
        context.anomaly(AnomalyKind::Unmatched, "answer_with_other_reference", Some(pdu.reference.into()));
        Some(0)
    }

    pub(super) fn on_answer(&mut self, pdu: &Pdu<'_>, context: &mut Context<'_>) {
        let code = pdu.parameters.first().copied();
        if let (ACK_DATA, Some(code)) = (pdu.rosctr, code) {
            context.sink.pdu(ROSCTR_FUNC, u32::from(pdu.rosctr) << 8 | u32::from(code));
        }
        if let [function::SETUP, .., high, low] = pdu.parameters
            && let length @ 1.. = u16::from_be_bytes([*high, *low])
        {
            self.pdu_length = length.into();
        }
        let Some(index) = self.find_request(pdu, code, context) else {
            return self.on_job_unseen(pdu, context);
        };
        let code = code.unwrap_or_default().into();
        self.answered = Some(Answered { from: context.from, reference: pdu.reference, code });
        if let Some(entry) = self.pending.get(index) {
            report_outcomes(entry, pdu, &mut self.uploads, context);
        }
        if let Some(entry) = self.pending.remove(index) {
            entry.asked.recycle(&mut self.spare);
        }
    }
}

/// Reports the outcome of a job.
fn report_outcomes(entry: &Entry, pdu: &Pdu<'_>, uploads: &mut Uploads, context: &mut Context<'_>) {
    let claimed = pdu.parameters.get(1);
    match entry.asked.code.to_be_bytes() {
        _ if pdu.error != 0 => refuse(entry, pdu.error, context),
        [0, function::READ_VAR] => variable::conclude_read(entry, claimed, pdu.data, context),
        [0, function::WRITE_VAR] => variable::conclude_write(entry, claimed, pdu.data, context),
        [0, code] => conclude_rare(code, entry, pdu, uploads, context),
        _ => {}
    }
}

/// Ends all operations of a request as refused with this error.
fn refuse(entry: &Entry, error: u16, context: &mut Context<'_>) {
    let outcome = Outcome::Refused { code: error.into(), name: error::name(error) };
    entry.report_outcomes(outcome, context.stamp, context.sink);
}

fn conclude_rare(code: u8, entry: &Entry, pdu: &Pdu<'_>, uploads: &mut Uploads, context: &mut Context<'_>) {
    match code {
        function::START_UPLOAD => {
            let parameters = pdu.parameters.get(1..).unwrap_or_default();
            if let Some(id) = block::upload_id(parameters) {
                uploads.begin(id, entry.asked.target(0));
            }
        }
        // Two bytes for the length, two more, then the block.
        function::UPLOAD | function::DOWNLOAD_BLOCK => {
            let values = pdu.data.get(4..).map_or(Values::None, Values::Bytes);
            return entry.report_item_outcome(0, values, Outcome::Accepted, context);
        }
        _ => {}
    }
    entry.report_outcomes(Outcome::Accepted, context.stamp, context.sink);
}
