//! Shared by the tests of this crate: a sink that logs its events. Also a part of the tests in `tests/`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::string::String;
use std::vec::Vec;
use std::{format, write};

use lockkeeper_protocols::{
    Anomaly, Field, Identity, Limits, Operation, Outcome, Protocol, RequestRef, Security, Session, Side, Sink, Stamp,
    Transport, Values,
};

/// One line for each event, in order; PDU counts and lost bytes as sums.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Log {
    pub lines: Vec<String>,
    pub pdus: BTreeMap<(usize, u32), u32>,
    pub lost: usize,
    pub memory: Memory,
}

/// The buffers that its flows share.
#[derive(Debug, Default)]
pub struct Memory {
    pub buffers: Vec<Vec<u8>>,
    /// How often no buffer could be lent.
    pub made: usize,
}

/// Logs are compared by their events: the buffers do not matter.
impl PartialEq for Memory {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Memory {}

impl Log {
    /// The lines that begin with `word`.
    pub fn lines_of(&self, word: &str) -> Vec<&str> {
        self.lines.iter().map(String::as_str).filter(|line| line.starts_with(word)).collect()
    }
}

impl Sink for Log {
    fn operation(&mut self, at: RequestRef, operation: &Operation<'_>, stamp: &Stamp) -> bool {
        let RequestRef { request, item } = at;
        self.lines.push(format!("{} asks {request}.{item} {}", stamp.clock, describe(operation)));
        true
    }

    fn outcome(
        &mut self,
        at: RequestRef,
        operation: &Operation<'_>,
        outcome: Outcome,
        requested: &Stamp,
        stamp: &Stamp,
    ) {
        let RequestRef { request, item } = at;
        let result = match outcome {
            Outcome::Accepted => "accepted".into(),
            Outcome::Refused { code, name } => format!("refused({code} {name})"),
            Outcome::NoResponse => "no_response".into(),
            Outcome::Pending => "pending".into(),
        };
        let waited = stamp.clock - requested.clock;
        self.lines.push(format!("{} {result} {request}.{item} after {waited}: {}", stamp.clock, describe(operation)));
    }

    fn request_unseen(&mut self, at: RequestRef, operation: &Operation<'_>, stamp: &Stamp) {
        let RequestRef { request, item } = at;
        self.lines.push(format!("{} unseen {request}.{item} {}", stamp.clock, describe(operation)));
    }

    fn overdue(&mut self, at: RequestRef, operation: &Operation<'_>, stamp: &Stamp) {
        let RequestRef { request, item } = at;
        self.lines.push(format!("{} overdue {request}.{item} {}", stamp.clock, describe(operation)));
    }

    fn ended(&mut self, outcome: Outcome, count: u32) {
        assert_eq!(count, 0, "{outcome:?}: the outcome of every operation is waited for");
    }

    fn identity(&mut self, identity: &Identity<'_>, _: &Stamp) {
        let Identity { of, unit, field, value } = identity;
        let value = String::from_utf8_lossy(value);
        self.lines.push(format!("identity of {of:?} {}: {field} = {value}", unit.unwrap_or_default()));
    }

    fn security(&mut self, fact: &Security<'_>, _: &Stamp) {
        let text = |bytes| String::from_utf8_lossy(bytes);
        self.lines.push(match *fact {
            Security::Channel { mode, policy } => {
                format!("channel {} {policy}", mode.map_or("unknown", |mode| mode.name()))
            }
            Security::Offered { mode, policy } => format!("offered {} {policy}", mode.name()),
            Security::Certificate { of, der } => format!("certificate of {of:?}: {} bytes", der.len()),
            Security::User { kind, name, clear_secret } => {
                let secret = if clear_secret { " in clear" } else { "" };
                format!("user {} {}{secret}", kind.name(), text(name.unwrap_or_default()))
            }
            Security::Application { of, uri } => format!("application of {of:?}: {}", text(uri)),
        });
    }

    fn anomaly(&mut self, anomaly: Anomaly, _: &Stamp) {
        let Anomaly { kind, name, value, from } = anomaly;
        let value = value.map(|value| format!(" {value}")).unwrap_or_default();
        self.lines.push(format!("{kind:?} {name}{value} from {from:?}"));
    }

    fn pdu(&mut self, group: usize, key: u32) {
        *self.pdus.entry((group, key)).or_default() += 1;
    }

    fn lost(&mut self, bytes: usize) {
        self.lost += bytes;
    }

    fn protocol(&mut self, protocol: &'static Protocol, stamp: &Stamp) {
        self.lines.push(format!("{} speaks {}", stamp.clock, protocol.title));
    }

    fn lend(&mut self, _: usize, most: usize) -> Vec<u8> {
        let lent = self.memory.buffers.pop_if(|memory| memory.capacity() <= most);
        self.memory.made += usize::from(lent.is_none());
        lent.unwrap_or_default()
    }

    fn give_back(&mut self, mut memory: Vec<u8>) {
        if memory.capacity() > 0 {
            memory.clear();
            self.memory.buffers.push(memory);
        }
    }
}

fn describe(operation: &Operation<'_>) -> String {
    let mut text = format!("{} {} {}", operation.class.name(), operation.function, operation.code);
    if operation.ambiguous {
        text.push_str(" (ambiguous)");
    }
    operation.target.fields(|name, field| {
        let _ = match field {
            Field::Number(number) => write!(text, " {name}={number}"),
            Field::Name(word) => write!(text, " {name}={word}"),
            Field::Text(bytes) => write!(text, " {name}={}", String::from_utf8_lossy(bytes)),
            Field::Node(node) => write!(text, " {name}={node}"),
        };
    });
    match operation.values {
        Values::None => {}
        Values::Bytes(bytes) => {
            text.push_str(" = 0x");
            bytes.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
        }
        values => {
            let _ = match values.typed() {
                Some(typed) => write!(text, " = {:?}", typed.iter().collect::<Vec<_>>()),
                None => write!(text, " = {:?}", values.numbers().collect::<Vec<_>>()),
            };
        }
    }
    text
}

/// A stamp at a time in milliseconds, with the same number as packet and origin.
pub fn at(milliseconds: i64) -> Stamp {
    let (time, packet) = (milliseconds * 1_000_000, milliseconds.unsigned_abs());
    Stamp { time, clock: time, packet, origin: packet }
}

/// Decodes a conversation from its start to its end, with all segments at the same time, and returns the log.
pub fn decode(protocol: &'static Protocol, segments: &[(Side, &[u8])]) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(protocol, Transport::Tcp, &Limits::default(), false);
    for (from, bytes) in segments {
        session.feed_stream(*from, bytes, &at(0), &mut log);
    }
    session.finish(&mut log);
    log
}
