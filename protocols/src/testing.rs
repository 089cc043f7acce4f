//! A sink for tests that logs the events of a decoder and asserts the decoder's guarantees. Shared with `tests/`, the fuzzer
//! and the tests of the generator.

use std::boxed::Box;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, write};

use lockkeeper_protocols::{
    Anomaly, Class, Field, Identity, Limits, Namespaces, Operation, Outcome, Protocol, RequestRef, Security, Session,
    Side, Sink, Stamp, Transport, Typed, Values,
};

/// A sink that checks that every operation is reported once and ends once as the same operation, and logs all other
/// events.
#[derive(Debug)]
pub struct Log {
    /// One line for each event, in order, as far as [`Detail`] asks for it.
    pub lines: Vec<String>,
    pub pdus: BTreeMap<(usize, u32), u32>,
    pub lost: usize,
    pub anomalies: u32,
    /// Accepted answers whose request was not seen.
    pub unseen: u32,
    /// Operations that were reported one by one, or counted at once.
    pub operations: BTreeMap<Class, u32>,
    /// Operations that were counted at once.
    pub passed: u32,
    /// Outcomes of operations: accepted, refused, no response, pending.
    pub endings: [u32; 4],
    pub memory: Memory,
    answers: Answers,
    account: Account,
}

/// The answers of a [`Log`] to a decoder, and the events that it logs.
pub struct Answers {
    /// Whether the outcome of an operation is tracked.
    pub awaits: Box<dyn Fn(RequestRef) -> bool>,
    /// Whether operations of a class on nodes of these namespaces are counted at once.
    pub passes: fn(Class, Namespaces) -> bool,
    pub detail: Detail,
}

/// The events that a [`Log`] logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    All,
    /// All but operations, overdue operations and outcomes, which depend on what is tracked.
    NoOperations,
    Nothing,
}

/// Tracks every outcome, counts nothing at once, and logs every event.
impl Default for Answers {
    fn default() -> Self {
        Self { awaits: Box::new(|_| true), passes: |_, _| false, detail: Detail::All }
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Answers").field("detail", &self.detail).finish_non_exhaustive()
    }
}

/// The reported operations that have not ended, each with its class and target if anything is logged.
#[derive(Debug, Default)]
struct Account {
    seen: BTreeSet<RequestRef>,
    awaited: BTreeMap<RequestRef, String>,
    /// Operations with an untracked outcome, which may be reported singly or counted with others.
    idle: BTreeMap<RequestRef, String>,
    /// Outcomes that were only counted.
    counted: u32,
    /// Number of PDU groups of the identified protocol.
    groups: Option<usize>,
}

/// The buffers that its flows share.
#[derive(Debug, Default)]
pub struct Memory {
    pub buffers: Vec<Vec<u8>>,
    /// How often no buffer could be lent.
    pub made: usize,
}

impl Default for Log {
    fn default() -> Self {
        Self::answering(Answers::default())
    }
}

/// Two logs are equal if their events are, whatever was lent and tracked.
impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        let counts = |log: &Self| (log.lost, log.anomalies, log.unseen, log.endings);
        self.lines == other.lines
            && self.pdus == other.pdus
            && self.operations == other.operations
            && counts(self) == counts(other)
    }
}

impl Eq for Log {}

impl Log {
    /// A log with these answers.
    pub fn answering(answers: Answers) -> Self {
        Self {
            lines: Vec::new(),
            pdus: BTreeMap::new(),
            lost: 0,
            anomalies: 0,
            unseen: 0,
            operations: BTreeMap::new(),
            passed: 0,
            endings: [0; 4],
            memory: Memory::default(),
            answers,
            account: Account::default(),
        }
    }

    /// Sets the protocol that the flow begins with: each PDU has to be in one of its groups.
    pub fn of(self, protocol: &'static Protocol) -> Self {
        let account = Account { groups: Some(protocol.pdu_groups.len()), ..self.account };
        Self { account, ..self }
    }

    /// The lines that begin with a word.
    pub fn lines_of(&self, word: &str) -> Vec<&str> {
        self.lines.iter().map(String::as_str).filter(|line| line.starts_with(word)).collect()
    }

    /// Asserts that every operation has ended, as it has when its session is finished.
    pub fn assert_settled(&self) {
        let Account { awaited, idle, counted, .. } = &self.account;
        assert!(awaited.is_empty(), "every operation has an end: {awaited:?}");
        assert_eq!(*counted, idle.len() as u32 + self.passed, "every operation has an end");
        assert_eq!(self.operations.values().sum::<u32>(), self.endings.iter().sum::<u32>(), "one end each");
    }

    /// Writes an event of an operation down.
    fn write_operation(&mut self, line: impl FnOnce() -> String) {
        if self.answers.detail == Detail::All {
            self.lines.push(line());
        }
    }

    /// Writes any other event down.
    fn write(&mut self, line: impl FnOnce() -> String) {
        if self.answers.detail != Detail::Nothing {
            self.lines.push(line());
        }
    }

    /// The class and the target of an operation, which must not change until it ends.
    fn subject(&self, operation: &Operation<'_>) -> String {
        let is_compared = self.answers.detail != Detail::Nothing;
        if is_compared { format!("{:?} {:?}", operation.class, operation.target) } else { String::new() }
    }

    fn end(&mut self, outcome: Outcome, count: u32) {
        let [accepted, refused, unanswered, open] = &mut self.endings;
        let ended = match outcome {
            Outcome::Accepted => accepted,
            Outcome::Refused { .. } => refused,
            Outcome::NoResponse => unanswered,
            Outcome::Pending => open,
        };
        *ended += count;
    }
}

impl Sink for Log {
    fn operation(&mut self, at: RequestRef, operation: &Operation<'_>, stamp: &Stamp) -> bool {
        assert!(self.account.seen.insert(at), "an operation is reported once: {at:?}");
        *self.operations.entry(operation.class).or_default() += 1;
        visit(operation);
        let (is_awaited, subject) = ((self.answers.awaits)(at), self.subject(operation));
        let Account { awaited, idle, .. } = &mut self.account;
        if is_awaited {
            awaited.insert(at, subject)
        } else {
            idle.insert(at, subject)
        };
        let RequestRef { request, item } = at;
        self.write_operation(|| format!("{} asks {request}.{item} {}", stamp.clock, describe(operation)));
        is_awaited
    }

    fn pass(&mut self, class: Class, namespaces: Namespaces, count: u32) -> bool {
        let passes = (self.answers.passes)(class, namespaces);
        if passes {
            *self.operations.entry(class).or_default() += count;
            self.passed += count;
        }
        passes
    }

    fn outcome(
        &mut self,
        at: RequestRef,
        operation: &Operation<'_>,
        outcome: Outcome,
        requested: &Stamp,
        stamp: &Stamp,
    ) {
        let announced = self.account.awaited.remove(&at).or_else(|| self.account.idle.remove(&at));
        assert_eq!(announced, Some(self.subject(operation)), "an operation ends once, as the same operation: {at:?}");
        assert!(requested.clock <= stamp.clock, "an answer comes after its request");
        visit(operation);
        self.end(outcome, 1);
        let RequestRef { request, item } = at;
        let result = || match outcome {
            Outcome::Accepted => "accepted".into(),
            Outcome::Refused { code, name } => format!("refused({code} {name})"),
            Outcome::NoResponse => "no_response".into(),
            Outcome::Pending => "pending".into(),
        };
        let waited = stamp.clock - requested.clock;
        self.write_operation(|| {
            format!("{} {} {request}.{item} after {waited}: {}", stamp.clock, result(), describe(operation))
        });
    }

    fn request_unseen(&mut self, at: RequestRef, operation: &Operation<'_>, stamp: &Stamp) {
        assert!(self.account.seen.insert(at), "an operation is reported once: {at:?}");
        self.unseen += 1;
        visit(operation);
        let RequestRef { request, item } = at;
        self.write(|| format!("{} unseen {request}.{item} {}", stamp.clock, describe(operation)));
    }

    fn overdue(&mut self, at: RequestRef, operation: &Operation<'_>, stamp: &Stamp) {
        let Account { awaited, idle, .. } = &self.account;
        assert!(
            awaited.contains_key(&at) || idle.contains_key(&at),
            "an overdue operation was reported and has not ended"
        );
        let RequestRef { request, item } = at;
        self.write_operation(|| format!("{} overdue {request}.{item} {}", stamp.clock, describe(operation)));
    }

    fn ended(&mut self, outcome: Outcome, count: u32) {
        let Account { idle, counted, .. } = &mut self.account;
        *counted += count;
        assert!(*counted <= idle.len() as u32 + self.passed, "a tracked outcome is not only counted");
        self.end(outcome, count);
    }

    fn identity(&mut self, identity: &Identity<'_>, _: &Stamp) {
        let Identity { of, unit, field, value } = identity;
        self.write(|| {
            let value = String::from_utf8_lossy(value);
            format!("identity of {of:?} {}: {field} = {value}", unit.unwrap_or_default())
        });
    }

    fn security(&mut self, fact: &Security<'_>, _: &Stamp) {
        let text = |bytes| String::from_utf8_lossy(bytes);
        self.write(|| match *fact {
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
        assert!(!name.is_empty(), "an anomaly has a name");
        self.anomalies += 1;
        self.write(|| {
            let value = value.map(|value| format!(" {value}")).unwrap_or_default();
            format!("{kind:?} {name}{value} from {from:?}")
        });
    }

    fn pdu(&mut self, group: usize, key: u32) {
        assert!(self.account.groups.is_none_or(|groups| group < groups), "a group that the registry names");
        *self.pdus.entry((group, key)).or_default() += 1;
    }

    fn lost(&mut self, bytes: usize) {
        self.lost += bytes;
    }

    fn protocol(&mut self, protocol: &'static Protocol, stamp: &Stamp) {
        assert!(self.account.awaited.is_empty(), "all operations of the previous protocol have ended");
        self.account.groups = Some(protocol.pdu_groups.len());
        self.write(|| format!("{} speaks {}", stamp.clock, protocol.title));
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

/// Reads every field that an operation borrows from its packet: no read may panic.
fn visit(operation: &Operation<'_>) {
    operation.target.fields(|_, field| {
        if let Field::Node(node) = field {
            assert!(!node.to_string().is_empty(), "a node has a text");
        }
    });
    operation.values.numbers().for_each(drop);
    operation.values.typed().iter().flat_map(Typed::iter).for_each(drop);
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
    let mut log = Log::default().of(protocol);
    let mut session = Session::new(protocol, Transport::Tcp, &Limits::default(), false);
    for (from, bytes) in segments {
        session.feed_stream(*from, bytes, &at(0), &mut log);
    }
    session.finish(&mut log);
    log.assert_settled();
    log
}
