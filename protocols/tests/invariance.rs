//! Invariants of every row of the registry for any bytes.

use lockkeeper_protocols::opcua::OPCUA;
use lockkeeper_protocols::{
    Class, FrameLen, Limits, Namespaces, Protocol, REGISTRY, RequestRef, Session, Side, Transport,
};
use proptest::collection::vec;
use proptest::prelude::*;

#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests; this file uses a part")]
#[path = "../src/testing.rs"]
mod testing;
use testing::{Answers, Detail, Log, at};
#[allow(dead_code, unreachable_pub, reason = "each file of tests uses a part")]
#[path = "opcua/wire.rs"]
mod wire;

const SIDES: [Side; 2] = [Side::Client, Side::Server];

/// Random bytes, and bytes with likely headers.
fn traffic() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop_oneof![
        vec(any::<u8>(), 0..300),
        (any::<u16>(), 2u8..=60, vec(any::<u8>(), 60)).prop_map(|(transaction, length, body)| {
            let mut frame = transaction.to_be_bytes().to_vec();
            frame.extend([0, 0, 0, length, 1]);
            frame.extend(body.into_iter().take(usize::from(length) - 1));
            frame
        }),
        (0u8..=247, any::<[u8; 5]>()).prop_map(|(unit, body)| {
            let mut frame = vec![unit, body[0] % 6 + 1];
            frame.extend(&body[1..]);
            let crc = frame.iter().fold(0xFFFF_u16, |crc, byte| {
                (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 })
            });
            frame.extend(crc.to_le_bytes());
            frame
        }),
        s7comm_plus(),
        opcua(),
        (0u8..9, vec(any::<u8>(), 0..60)).prop_map(|(kind, body)| tpkt(kind, &body)),
        (1u8..8, vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..20)).prop_map(|(rosctr, mut parameters, data)| {
            // Assigned functions, more often than at random.
            if let Some(first) = parameters.first_mut() {
                *first = [0x04, 0x05, 0x1D, 0x28, 0x29, 0xF0, 0x00, *first][usize::from(*first) % 8];
            }
            let error: &[u8] = if matches!(rosctr, 2 | 3) { &[0, 0] } else { &[] };
            let lengths = [0, parameters.len() as u8, 0, data.len() as u8];
            tpkt(0, &[&[0x32, rosctr, 0, 0, 0, 1], lengths.as_slice(), error, &parameters, &data].concat())
        }),
    ];
    vec(chunk, 1..6).prop_map(|chunks| chunks.concat())
}

/// Chunks of OPC UA: the opening of a channel, services with any content, parts of messages in any order.
fn opcua() -> impl Strategy<Value = Vec<u8>> {
    let numbers =
        [631_u16, 634, 673, 676, 712, 715, 751, 754, 826, 829, 461, 464, 467, 470, 428, 431, 397, 527, 530, 0];
    let content = vec(prop_oneof![0u8..4, Just(0xFF), any::<u8>()], 0..120);
    (0u8..14, 0u32..4, any::<prop::sample::Index>(), content).prop_map(move |(kind, request, number, content)| {
        let mut channel = wire::Channel::new(0);
        let number = number.get(&numbers);
        let body = match number % 3 {
            0 | 2 => wire::request(*number, 1, &content),
            _ => wire::response(*number, 0, &content),
        };
        let side = Side::Client;
        match kind {
            0 => channel.open(wire::NONE, 1).map(|(_, bytes)| bytes).concat(),
            1 => channel.open_sealed(wire::BASIC).map(|(_, bytes)| bytes).concat(),
            2 => [wire::hello("opc.tcp://plc:4840"), wire::acknowledge()].concat(),
            3 => channel.sealed(b'F', content.len(), request),
            4 => channel.piece(side, b'A', request, &[&[0, 0, 2, 0x80][..], &wire::NULL].concat()),
            5 => channel.close(),
            6 | 7 => channel.message(side, request, &body, &[40, 20, 7]).concat(),
            8 => channel.piece(side, b'C', request, &content),
            9 => wire::chunk("ERR", b'F', &content),
            _ => channel.piece(side, b'F', request, &body),
        }
    })
}

/// A PDU of S7comm-plus in one DT, whole or a fragment.
fn s7comm_plus() -> impl Strategy<Value = Vec<u8>> {
    let function = prop_oneof![Just(0x054C_u16), Just(0x0542), Just(0x04CA), Just(0x04BB), any::<u16>()];
    let opcode = prop_oneof![Just(0x31_u8), Just(0x32), Just(0x33)];
    let body = vec(prop_oneof![0u8..4, any::<u8>()], 0..60);
    (1u8..=2, opcode, function, body, any::<bool>()).prop_map(|(version, opcode, function, body, is_last)| {
        let [high, low] = function.to_be_bytes();
        let payload = [&[opcode, 0, 0, high, low, 0, 0, 0, 1], body.as_slice()].concat();
        let trailer: &[u8] = if is_last { &[0x72, version, 0, 0] } else { &[] };
        let tsdu = [&[0x72, version, 0, payload.len() as u8], payload.as_slice(), trailer].concat();
        tpkt(0, &tsdu)
    })
}

/// A TPDU in its TPKT: a whole DT, a fragment, or one of the others.
fn tpkt(kind: u8, body: &[u8]) -> Vec<u8> {
    let header: &[u8] = match kind {
        0..=3 => &[2, 0xF0, 0x80],
        4 | 5 => &[2, 0xF0, 0],
        6 => &[6, 0xE0, 0, 0, 0, 1, 0],
        7 => &[6, 0xD0, 0, 1, 0, 1, 0],
        _ => &[6, 0x80, 0, 1, 0, 1, 128],
    };
    let body = if kind < 6 { body } else { &[] };
    [&[3, 0, 0, (header.len() + body.len() + 4) as u8], header, body].concat()
}

fn log_of(protocol: &'static Protocol, midstream: bool, chunks: &[&[u8]], side: Side) -> (Log, usize) {
    let mut log = Log::default();
    let mut session = Session::new(protocol, Transport::Tcp, &Limits::default(), midstream);
    for chunk in chunks {
        session.feed_stream(side, chunk, &at(0), &mut log);
        assert!(session.buffered() <= Limits::default().partial);
    }
    session.finish(&mut log);
    let fed: usize = chunks.iter().map(|chunk| chunk.len()).sum();
    assert!(log.lost <= fed);
    (log, fed)
}

/// Whether the sink tracks the outcome of the operation with this number.
type Awaits = fn(RequestRef) -> bool;

/// The log of a sink that tracks some outcomes only, and lets operations pass or not.
fn count(awaits: Awaits, passes: bool, protocol: &'static Protocol, said: &[(Side, Vec<u8>)]) -> Log {
    let passes: fn(Class, Namespaces) -> bool = if passes { |_, _| true } else { |_, _| false };
    let mut log =
        Log::answering(Answers { awaits: Box::new(awaits), passes, detail: Detail::NoOperations }).of(protocol);
    let mut session = Session::new(protocol, Transport::Tcp, &Limits::default(), false);
    for (moment, (side, bytes)) in (0..).zip(said) {
        session.feed_stream(*side, bytes, &at(moment), &mut log);
    }
    session.finish(&mut log);
    log.assert_settled();
    log
}

/// Reads and writes of OPC UA with more or less matching responses, some of them in several pieces.
fn exchanges() -> impl Strategy<Value = Vec<(Side, Vec<u8>)>> {
    let statuses = vec(prop_oneof![Just(0_u32), Just(0x801F_0000), Just(0x8034_0000)], 0..5);
    let one = (0u8..5, 1usize..5, statuses, vec(any::<i32>(), 0..5), prop::option::of(0usize..90));
    vec(one, 1..6).prop_map(|all| {
        let mut channel = wire::Channel::new(0);
        let mut said = vec![(Side::Client, wire::hello("opc.tcp://plc:4840")), (Side::Server, wire::acknowledge())];
        said.extend(channel.open(wire::NONE, 1));
        for (id, (kind, nodes, statuses, numbers, cut)) in (2..).zip(all) {
            let names = ["Level", "Gate", "i=2256", "Pump"];
            let (asked, answer) = match kind {
                0 => (wire::write(names[nodes - 1], b"up"), wire::results(676, &statuses)),
                1 => (wire::read(&names[..nodes]), wire::results(634, &statuses)),
                2 => (wire::read(&names[..nodes]), wire::response(634, 0x8001_0000, &[])),
                _ => (wire::read(&names[..nodes]), wire::values(&numbers)),
            };
            for (side, body) in [(Side::Client, asked), (Side::Server, answer)] {
                let mut whole = channel.piece(side, b'F', id, &body);
                let rest = cut.map(|cut| whole.split_off(cut.min(whole.len())));
                said.extend([Some(whole), rest].into_iter().flatten().map(|bytes| (side, bytes)));
            }
        }
        said
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_segmentation_gives_the_same_events(bytes in traffic(), size in 1usize..40, midstream in any::<bool>()) {
        for protocol in REGISTRY {
            for side in SIDES {
                let whole = log_of(protocol, midstream, &[&bytes], side);
                let split = log_of(protocol, midstream, &bytes.chunks(size).collect::<Vec<_>>(), side);
                prop_assert_eq!(&whole, &split, "{} {:?}", protocol.title, side);
            }
        }
    }

    #[test]
    fn the_same_operations_end_the_same_way_whichever_outcomes_are_tracked(
        exchanges in exchanges(),
        noise in vec((any::<bool>(), traffic()), 1..5),
    ) {
        let noise: Vec<_> = noise.into_iter().map(|(asks, bytes)| (SIDES[usize::from(!asks)], bytes)).collect();
        for (protocol, said) in REGISTRY.iter().map(|row| (*row, &noise)).chain([(&OPCUA, &exchanges)]) {
            let all = count(|_| true, false, protocol, said);
            let sinks: [(Awaits, bool); 4] = [
                (|_| false, false),
                (|_| false, true),
                (|at| at.item == 1, false),
                (|at| at.request % 2 == 1, true),
            ];
            for (index, (awaits, passes)) in sinks.into_iter().enumerate() {
                prop_assert_eq!(&all, &count(awaits, passes, protocol, said), "{} {}", protocol.title, index);
            }
        }
    }

    #[test]
    fn datagrams_of_any_bytes_cause_no_panic(datagrams in vec(traffic(), 1..4)) {
        for protocol in REGISTRY.iter().filter(|row| row.transports.contains(&Transport::Udp)) {
            let mut log = Log::default();
            let mut session = Session::new(protocol, Transport::Udp, &Limits::default(), false);
            for (index, datagram) in datagrams.iter().enumerate() {
                session.feed_datagram(SIDES[index % 2], datagram, &at(index as i64), &mut log);
            }
            session.finish(&mut log);
            prop_assert!(log.lost <= datagrams.iter().map(Vec::len).sum());
        }
    }

    #[test]
    fn more_bytes_do_not_change_the_length_of_a_frame(bytes in traffic(), cut in any::<prop::sample::Index>()) {
        for protocol in REGISTRY {
            let dissector = (protocol.open)(Transport::Tcp, &Limits::default());
            let _ = (protocol.probe)(Transport::Udp, &bytes);
            for side in SIDES {
                let early = dissector.frame_len(side, &bytes[..cut.index(bytes.len().max(1)).min(bytes.len())]);
                let late = dissector.frame_len(side, &bytes);
                match (early, late) {
                    (FrameLen::Bytes(length), FrameLen::Bytes(other)) => {
                        prop_assert!(length >= 1 && length <= protocol.max_frame);
                        prop_assert_eq!(length, other);
                    }
                    (FrameLen::Bytes(length), _) => prop_assert!(length <= protocol.max_frame),
                    (FrameLen::Invalid(_), late) => prop_assert!(matches!(late, FrameLen::Invalid(_))),
                    (FrameLen::Unknown, _) => {}
                }
            }
        }
    }
}

#[test]
fn rows_have_distinct_framings_and_named_functions() {
    for (index, row) in REGISTRY.iter().enumerate() {
        assert!(!row.functions.is_empty() && !row.pdu_groups.is_empty());
        assert!(row.min_frame <= row.max_frame);
        assert!(REGISTRY.iter().take(index).all(|other| (other.name, other.framing) != (row.name, row.framing)));
    }
}
