//! Jobs and their answers.

use super::block::{self, Named};
use super::entry::{Asked, Entry, Item};
use super::header::{ACK_DATA, Pdu};
use super::service::Service;
use super::{PI_SERVICES, ROSCTR_FUNC, S7comm, error, function, variable};
use crate::context::Context;
use crate::dissector::{AnomalyKind, Outcome};
use crate::operation::{Target, Values};
use crate::pending::Waiting;
use crate::reader::DecodeError;

impl S7comm {
    #[inline]
    pub(super) fn on_job(&mut self, pdu: &Pdu<'_>, context: &mut Context<'_>) {
        let request = self.stack.number();
        let Some((&code, parameters)) = pdu.parameters.split_first() else {
            context.malformed("job_without_function", 0u32);
            let mut asked = Asked::new(request, 0, &function::UNKNOWN_JOB);
            asked.announce(Target::None, Values::None, context);
            return self.wait(asked, pdu, false, context);
        };
        context.sink.pdu(ROSCTR_FUNC, u32::from(pdu.rosctr) << 8 | u32::from(code));
        let mut asked = Asked::new(request, code.into(), function::job(code));
        match code {
            function::READ_VAR => variable::announce(&mut asked, parameters, None, &mut self.spare, context),
            function::WRITE_VAR => {
                variable::announce(&mut asked, parameters, Some(pdu.data), &mut self.spare, context);
            }
            function::PI_SERVICE => {
                let service = Service::read(parameters);
                let function = service.map_or(&function::UNKNOWN_SERVICE, |service| service.function());
                asked = Asked::new(request, code.into(), function);
                self.service(&mut asked, service, context);
            }
            _ => self.rare(code, parameters, &mut asked, context),
        }
        self.wait(asked, pdu, false, context);
    }

    #[inline(never)]
    fn rare(&mut self, code: u8, parameters: &[u8], asked: &mut Asked, context: &mut Context<'_>) {
        let (target, values) = match code {
            function::REQUEST_DOWNLOAD
            | function::DOWNLOAD_BLOCK
            | function::DOWNLOAD_ENDED
            | function::START_UPLOAD => match block::named(parameters) {
                Ok(Named { target, name }) => (target, Values::Bytes(name)),
                Err(_) => {
                    context.malformed("truncated_request", parameters.len() as u32);
                    (Target::None, Values::None)
                }
            },
            function::UPLOAD | function::END_UPLOAD => {
                let target = block::upload_id(parameters).map_or(Target::None, |id| self.uploads.target(id));
                (target, Values::None)
            }
            function::PLC_STOP => {
                match Service::read_stop(parameters) {
                    Ok(service) => context.sink.pdu(PI_SERVICES, service.number()),
                    Err(_) => context.malformed("truncated_request", parameters.len() as u32),
                }
                (Target::None, Values::None)
            }
            _ if parameters.is_empty() => (Target::None, Values::None),
            _ => (Target::None, Values::Bytes(parameters)),
        };
        asked.announce(target, values, context);
    }

    /// Announces a PI service: one operation for each block that it names. Arguments of security services are secrets.
    fn service(&mut self, asked: &mut Asked, service: Result<Service<'_>, DecodeError>, context: &mut Context<'_>) {
        let Ok(service) = service else {
            context.malformed("truncated_request", 0u32);
            return asked.announce(Target::None, Values::None, context);
        };
        context.sink.pdu(PI_SERVICES, service.number());
        let mut count = 0;
        for text in service.blocks() {
            let item = Item::new(block::file(text), 0, None);
            asked.announce_item(count, item, Values::Bytes(text), &mut self.spare, context);
            count += 1;
        }
        if count == 0 {
            let values = match service.arguments {
                [] => Values::None,
                _ if asked.is_secret() => Values::None,
                arguments => Values::Bytes(arguments),
            };
            asked.announce(Target::None, values, context);
        }
    }

    #[inline]
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
        let from = context.from;
        let asked_by = |entry: &Entry| {
            !entry.is_userdata
                && entry.reference == pdu.reference
                && entry.from != from
                && code.is_none_or(|code| entry.asked.code == u16::from(code))
        };
        match self.pending.take(asked_by, |_| true) {
            Some((entry, _)) => {
                self.conclude(&entry, pdu, context);
                entry.asked.recycle(&mut self.spare);
            }
            None => {
                context.anomaly(AnomalyKind::Unmatched, "answer_without_request", code.map(u32::from));
            }
        }
    }

    /// Tells what became of a job.
    #[inline]
    fn conclude(&mut self, entry: &Entry, pdu: &Pdu<'_>, context: &mut Context<'_>) {
        if pdu.error != 0 {
            let outcome = Outcome::Refused { code: pdu.error.into(), name: error::name(pdu.error) };
            return entry.conclude(outcome, context.stamp, context.sink);
        }
        let parameters = pdu.parameters.get(1..).unwrap_or_default();
        match entry.asked.code.to_be_bytes() {
            [0, function::READ_VAR] => variable::conclude_read(entry, parameters.first(), pdu.data, context),
            [0, function::WRITE_VAR] => variable::conclude_write(entry, parameters.first(), pdu.data, context),
            [0, code] => self.conclude_rare(code, entry, parameters, pdu.data, context),
            _ => {}
        }
    }

    #[inline(never)]
    fn conclude_rare(&mut self, code: u8, entry: &Entry, parameters: &[u8], data: &[u8], context: &mut Context<'_>) {
        match code {
            function::START_UPLOAD => {
                if let Some(id) = block::upload_id(parameters) {
                    self.uploads.begin(id, entry.asked.target(0));
                }
            }
            // Two bytes for the length, two more, then the block.
            function::UPLOAD | function::DOWNLOAD_BLOCK => {
                let values = data.get(4..).map_or(Values::None, Values::Bytes);
                return entry.conclude_item(0, values, Outcome::Accepted, context);
            }
            _ => {}
        }
        entry.conclude(Outcome::Accepted, context.stamp, context.sink);
    }
}
