//! Any conversation, through any row of the registry, in any cut.
//!
//! The first byte selects the row, the transport, the tracked outcomes and whether the flow is joined in mid-stream;
//! `FUZZ_ROW` in the environment, such as `s7comm/iso-on-tcp`, selects the row instead. The rest are instructions: one byte
//! for the side, a gap, elapsed time, lack of memory or the end of the connection, and the upper bits of a length, one byte
//! for its lower bits, then that many bytes.

use std::collections::HashSet;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lockkeeper_protocols::{
    Anomaly, Class, Field, Hints, Identity, Limits, Namespaces, Operation, Outcome, Protocol, REGISTRY, RequestRef, Security,
    Session, Side, Sink, Stamp, Transport, Typed, Values,
};

const LIMITS: Limits = Limits { pending: 8, answer_timeout: 1_000, partial: 1024 };

/// The transports of the flow.
const PORTS: [u16; 4] = [0, 502, 102, 4840];

/// The only row to drive, if one is named.
static ROW: LazyLock<Option<&Protocol>> = LazyLock::new(|| {
    let named = std::env::var("FUZZ_ROW").ok()?;
    let row = REGISTRY.iter().find(|row| format!("{}/{}", row.name, row.framing) == named);
    Some(row.expect("FUZZ_ROW is NAME/FRAMING of a row"))
});

/// The operations whose outcomes are tracked.
#[derive(Clone, Copy, Default, PartialEq)]
enum Waits {
    #[default]
    ForAll,
    ForNone,
    ForSome,
}

impl Waits {
    fn for_outcome_of(self, at: RequestRef) -> bool {
        match self {
            Self::ForAll => true,
            Self::ForNone => false,
            Self::ForSome => at.item % 4 == 2,
        }
    }
}

/// Checks the events of a decoder against earlier ones.
#[derive(Default)]
struct Judge {
    waits: Waits,
    open: HashSet<RequestRef>,
    /// Operations with untracked outcomes: those reported one by one, those counted at once, and the outcomes that were only
    /// counted.
    idle: HashSet<RequestRef>,
    passed: u64,
    counted: u64,
    seen: HashSet<RequestRef>,
    groups: usize,
    lost: usize,
}

impl Sink for Judge {
    fn operation(&mut self, at: RequestRef, operation: &Operation<'_>, _: &Stamp) -> bool {
        assert!(self.seen.insert(at), "an operation is announced once");
        let is_awaited = self.waits.for_outcome_of(at);
        if is_awaited { self.open.insert(at) } else { self.idle.insert(at) };
        operation.target.fields(|_, field| {
            if let Field::Node(node) = field {
                assert!(!node.to_string().is_empty());
            }
        });
        visit(&operation.values);
        is_awaited
    }

    fn pass(&mut self, _: Class, _: Namespaces, count: u32) -> bool {
        let passes = self.waits == Waits::ForNone;
        self.passed += if passes { count.into() } else { 0 };
        passes
    }

    fn request_unseen(&mut self, at: RequestRef, operation: &Operation<'_>, _: &Stamp) {
        assert!(self.seen.insert(at), "an operation is announced once");
        visit(&operation.values);
    }

    fn overdue(&mut self, at: RequestRef, _: &Operation<'_>, _: &Stamp) {
        assert!(self.open.contains(&at) || self.idle.contains(&at), "what is overdue was announced and has not ended");
    }

    fn ended(&mut self, _: Outcome, count: u32) {
        self.counted += u64::from(count);
        assert!(self.counted <= self.idle.len() as u64 + self.passed, "an outcome is counted once");
    }

    fn outcome(&mut self, at: RequestRef, operation: &Operation<'_>, _: Outcome, requested: &Stamp, stamp: &Stamp) {
        let is_open = self.open.remove(&at) || self.idle.remove(&at);
        assert!(is_open, "an outcome ends an operation that was announced, once");
        assert!(requested.clock <= stamp.clock, "an answer comes after its request");
        visit(&operation.values);
    }

    fn identity(&mut self, _: &Identity<'_>, _: &Stamp) {}

    fn security(&mut self, _: &Security<'_>, _: &Stamp) {}

    fn anomaly(&mut self, anomaly: Anomaly, _: &Stamp) {
        assert!(!anomaly.name.is_empty());
    }

    fn pdu(&mut self, group: usize, _: u32) {
        assert!(group < self.groups, "a group that the registry names");
    }

    fn lost(&mut self, bytes: usize) {
        self.lost += bytes;
    }

    fn protocol(&mut self, protocol: &'static Protocol, _: &Stamp) {
        assert!(self.open.is_empty(), "what the protocol before has announced has ended");
        self.groups = protocol.pdu_groups.len();
    }
}

fn visit(values: &Values<'_>) {
    values.numbers().for_each(drop);
    values.typed().iter().flat_map(Typed::iter).for_each(drop);
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, mut rest)) = data.split_first() else { return };
    let protocol = ROW.unwrap_or(REGISTRY[usize::from(choice >> 2) % REGISTRY.len()]);
    let transport = protocol.transports[usize::from(choice & 1) % protocol.transports.len()];
    let midstream = choice & 2 != 0;
    let mut session = Session::new(protocol, transport, &LIMITS, midstream);
    let waits = [Waits::ForAll, Waits::ForNone, Waits::ForSome][usize::from(choice >> 6) % 3];
    let mut judge = Judge { waits, groups: protocol.pdu_groups.len(), ..Judge::default() };
    session.expect(Hints::of_ports([PORTS[usize::from(choice >> 3 & 3)], 0]));
    let longest = REGISTRY.iter().map(|row| row.max_frame).max().unwrap_or_default();
    let bound = 2 * LIMITS.partial.max(2 * longest);
    let (mut fed, mut clock, mut packet) = (0, 0, 0);
    while let [head, low, tail @ ..] = rest {
        let from = if head & 1 == 0 { Side::Client } else { Side::Server };
        let length = (usize::from(head >> 4 & 3) << 8 | usize::from(*low)).min(tail.len());
        let (bytes, after) = tail.split_at(length);
        rest = after;
        clock += i64::from(head >> 6) * 400;
        packet += 1;
        let stamp = Stamp { time: clock, clock, packet, origin: packet };
        if head & 2 != 0 {
            session.feed_gap(from, &mut judge);
        }
        if head & 4 != 0 {
            session.expire(clock, &mut judge);
        }
        if head & 8 != 0 {
            match low & 3 {
                0 => {
                    session.give_up(&stamp, &mut judge);
                    assert_eq!(session.buffered(), 0, "all of it is given up");
                }
                1 => session.forget(&stamp, &mut judge),
                2 => session.close(clock, &mut judge),
                _ => {}
            }
        }
        let _ = (protocol.probe)(transport, bytes);
        match transport {
            Transport::Tcp => session.feed_stream(from, bytes, &stamp, &mut judge),
            Transport::Udp => session.feed_datagram(from, bytes, &stamp, &mut judge),
        }
        fed += length;
        assert!(judge.lost + session.buffered() <= fed, "bytes are lost once");
        assert!(session.buffered() <= bound, "what is kept is bounded");
        assert!(session.deadline().is_none_or(|deadline| deadline >= clock), "what is overdue was given up");
    }
    session.finish(&mut judge);
    assert_eq!(session.buffered(), 0);
    assert!(judge.lost <= fed);
    assert!(judge.open.is_empty(), "every operation has an end");
    assert_eq!(judge.counted, judge.idle.len() as u64 + judge.passed, "every operation has an end");
});
