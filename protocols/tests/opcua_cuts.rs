//! An OPC UA conversation gives the same operations in any chunks and segments; a lost chunk loses only its message; hostile
//! chunks use bounded memory.

use lockkeeper_protocols::opcua::OPCUA;
use lockkeeper_protocols::{Limits, Session, Side, Transport};
use proptest::collection::vec;
use proptest::prelude::*;

#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests; this file uses a part")]
#[path = "../src/testing.rs"]
mod testing;
#[allow(dead_code, unreachable_pub, reason = "each file of tests uses a part")]
#[path = "opcua/wire.rs"]
mod wire;

use Side::{Client, Server};
use testing::{Log, at};
use wire::{Channel, ECC, NONE, acknowledge, hello, read, results, values, write};

/// A message with its sender and its exchange.
type Said = (Side, u32, Vec<u8>);

/// Reads and writes, each with different nodes, and their responses.
fn exchanges() -> impl Strategy<Value = Vec<Said>> {
    let one = prop_oneof![
        vec(any::<i32>(), 1..20).prop_map(|numbers| (numbers, Vec::new())),
        vec(any::<u8>(), 1..400).prop_map(|value| (Vec::new(), value)),
    ];
    vec(one, 1..8).prop_map(|all| {
        let said = (2_u32..).zip(all).flat_map(|(request, (numbers, value))| {
            let names: Vec<_> = (0..numbers.len()).map(|index| format!("Node{request}.{index}")).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            match value.is_empty() {
                true => [(Client, request, read(&names)), (Server, request, values(&numbers))],
                false => {
                    let name = format!("Node{request}.0");
                    [(Client, request, write(&name, &value)), (Server, request, results(676, &[0]))]
                }
            }
        });
        said.collect()
    })
}

/// Sizes of chunks. Real chunks have 8 KiB and more, but any size is legal.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(0usize..120, 0..8)
}

/// The chunks of a whole conversation with their exchanges.
fn chunks(said: &[Said], sizes: &[usize], is_signed: bool) -> Vec<Said> {
    let channel = &mut Channel::new(if is_signed { 32 } else { 0 });
    let mut chunks = vec![(Client, 0, hello("opc.tcp://plc:4840")), (Server, 0, acknowledge())];
    let (policy, mode) = if is_signed { (ECC, 2) } else { (NONE, 1) };
    chunks.extend(channel.open(policy, mode).map(|(side, bytes)| (side, 0, bytes)));
    for (side, request, body) in said {
        let pieces = channel.message(*side, *request, body, sizes);
        chunks.extend(pieces.into_iter().map(|bytes| (*side, *request, bytes)));
    }
    chunks
}

/// The log of chunks cut into segments, with each side in order.
fn log_of(chunks: &[Said], segment: usize) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(&OPCUA, Transport::Tcp, &Limits::default(), false);
    for (side, _, bytes) in chunks {
        for piece in bytes.chunks(segment) {
            session.feed_stream(*side, piece, &at(0), &mut log);
        }
    }
    session.finish(&mut log);
    log
}

/// The log without request numbers.
fn unnumbered(log: &Log) -> Vec<String> {
    let line = |line: &String| {
        let words: Vec<_> = line.split(' ').collect();
        words.iter().enumerate().filter(|(place, _)| *place != 2).map(|(_, word)| format!("{word} ")).collect()
    };
    log.lines.iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_chunks_and_any_segments_give_the_same_operations(
        said in exchanges(), sizes in sizes(), segment in 1usize..2000, is_signed in any::<bool>(),
    ) {
        let whole = log_of(&chunks(&said, &[], is_signed), usize::MAX);
        let cut = log_of(&chunks(&said, &sizes, is_signed), segment);
        prop_assert_eq!(&whole.lines, &cut.lines);
        prop_assert_eq!((whole.lost, cut.lost), (0, 0));
    }

    // The header of a message is in its first chunk, because the standard forbids smaller chunks.
    #[test]
    fn a_lost_chunk_loses_only_its_message(
        said in exchanges(), first in 40usize..100, sizes in sizes(), lost in any::<prop::sample::Index>(), kept in 0usize..40,
    ) {
        let sizes = [&[first][..], &sizes].concat();
        let all = chunks(&said, &sizes, false);
        let opening = 4;
        let lost = opening + lost.index(all.len() - opening);
        let (mut log, mut session) = (Log::default(), Session::new(&OPCUA, Transport::Tcp, &Limits::default(), false));
        for (place, (side, _, bytes)) in all.iter().enumerate() {
            if place == lost {
                // Its beginning may have been captured.
                session.feed_stream(*side, &bytes[..kept.min(bytes.len() - 1)], &at(0), &mut log);
                session.feed_gap(*side, &mut log);
            } else {
                session.feed_stream(*side, bytes, &at(0), &mut log);
            }
        }
        session.finish(&mut log);
        let name = format!("=Node{}.", all[lost].1).replace('=', "ns=2;s=");
        let of_others = |log: &Log| unnumbered(log).into_iter().filter(|line| !line.contains(&name)).collect::<Vec<_>>();
        let mut found = of_others(&log);
        // The response to a lost request, and the operation that it proves.
        found.retain(|line| !line.starts_with("Unmatched answer_without_request ") && !line.starts_with("0 unseen write"));
        prop_assert_eq!(found, of_others(&log_of(&all, usize::MAX)));
    }

    #[test]
    fn an_encrypted_channel_is_never_decoded(sizes in vec((1usize..300, any::<u32>()), 1..60)) {
        let channel = &mut Channel::new(0);
        let mut log = Log::default();
        let mut session = Session::new(&OPCUA, Transport::Tcp, &Limits::default(), false);
        for (side, opening) in channel.open_sealed(wire::BASIC) {
            session.feed_stream(side, &opening, &at(0), &mut log);
        }
        for (size, seed) in &sizes {
            session.feed_stream(Client, &channel.sealed(b'F', size * 16, *seed), &at(0), &mut log);
        }
        session.finish(&mut log);
        let opaque = log.lines.iter().filter(|line| line.contains("asks") && line.contains(" opaque ")).count();
        prop_assert_eq!(opaque, sizes.len());
        prop_assert_eq!(log.lines.iter().filter(|line| line.contains("asks")).count(), sizes.len() + 1);
    }
}

/// A conversation with one hostile side, and its log.
struct Attack {
    channel: Channel,
    session: Session,
    log: Log,
    sent: usize,
}

impl Attack {
    fn new() -> Self {
        let mut channel = Channel::new(0);
        let mut log = Log::default();
        let mut session = Session::new(&OPCUA, Transport::Tcp, &Limits::default(), false);
        for (side, opening) in channel.open(NONE, 1) {
            session.feed_stream(side, &opening, &at(0), &mut log);
        }
        Self { channel, session, log, sent: 0 }
    }

    fn piece(&mut self, part: u8, request: u32, body: &[u8]) {
        let bytes = self.channel.piece(Client, part, request, body);
        self.sent += body.len();
        self.session.feed_stream(Client, &bytes, &at(0), &mut self.log);
    }

    fn limits(&self, name: &str) -> usize {
        self.log.lines_of(&format!("Limit {name}")).len()
    }
}

#[test]
fn endless_chunks_hold_at_most_two_mebibytes_and_their_beginning_is_decoded() {
    let mut attack = Attack::new();
    let request = write("Gate", &[7; 100]);
    attack.piece(b'C', 2, &request);
    for _ in 0..200 {
        attack.piece(b'C', 2, &[0; 60_000]);
    }
    assert_eq!(attack.limits("message_in_chunks"), 1, "reported once");
    let kept = attack.sent - attack.log.lost;
    assert!(kept <= 2 * 1024 * 1024, "{kept} bytes kept");
    attack.piece(b'F', 2, &[]);
    assert!(attack.log.lines.iter().any(|line| line.contains("asks 1.0 write write 673 node=ns=2;s=Gate")));
}

#[test]
fn many_endless_messages_displace_each_other() {
    let mut attack = Attack::new();
    for request in 0..10_000 {
        attack.piece(b'C', request, &[0; 1000]);
    }
    let kept = attack.sent - attack.log.lost;
    assert!(kept <= 16 * 1000, "{kept} bytes kept");
    assert!(attack.limits("messages_in_chunks") > 0);
}

#[test]
fn endless_empty_chunks_hold_nothing() {
    let mut attack = Attack::new();
    for _ in 0..100_000 {
        attack.piece(b'C', 2, &[]);
    }
    assert_eq!(attack.limits("message_in_chunks"), 1);
}

#[test]
fn an_incomplete_message_is_kept_as_long_as_the_connection_lives() {
    let mut attack = Attack::new();
    // A Write whose second chunk begins, inside a byte string, with the bytes of a Read.
    let inner = read(&["Level"]);
    let body = write("Gate", &inner);
    let (first, second) = body.split_at(body.len() - inner.len());
    attack.piece(b'C', 2, first);
    attack.session.expire(at(3_600_000).clock, &mut attack.log);
    attack.piece(b'F', 2, second);
    let reported: Vec<_> =
        attack.log.lines.iter().filter(|line| line.contains("asks 1.") || line.contains("asks 2.")).collect();
    assert!(reported.len() == 1 && reported[0].contains("asks 1.0 write write 673 node=ns=2;s=Gate"), "{reported:?}");
    assert_eq!((attack.log.lines_of("Limit").len(), attack.log.lost), (0, 0));
}

#[test]
fn a_message_dropped_for_lack_of_memory_is_an_operation_without_target() {
    let mut attack = Attack::new();
    let body = write("Gate", &[7; 100]);
    attack.piece(b'C', 1, &body[..60]);
    for request in 2..=17 {
        attack.piece(b'C', request, &read(&["Level"])[..60]);
    }
    let unread: Vec<_> = attack.log.lines.iter().filter(|line| line.contains("unread=message")).collect();
    assert!(unread[0].contains("asks") && unread[0].ends_with("write write 673 unread=message"), "{unread:?}");
    assert_eq!(attack.limits("messages_in_chunks"), 1);
}

#[test]
fn alternating_chunks_of_two_requests_add_an_unreadable_operation() {
    let mut attack = Attack::new();
    let (one, other) = (write("Gate", &[7; 100]), read(&["Level"]));
    attack.piece(b'C', 2, &one[..60]);
    attack.piece(b'F', 3, &other);
    attack.piece(b'F', 2, &one[60..]);
    let asked: Vec<_> = attack.log.lines.iter().filter(|line| line.contains("asks ")).skip(1).collect();
    let expected = [
        "unknown unread_request 0 unread=chunks",
        "read read 631 node=ns=2;s=Level",
        "write write 673 node=ns=2;s=Gate",
    ];
    assert_eq!(asked.len(), expected.len(), "{asked:?}");
    for (line, expected) in asked.iter().zip(expected) {
        assert!(line.contains(expected), "{line}");
    }
    assert_eq!(attack.log.lines_of("Malformed"), ["Malformed chunks_interleaved 3 from Client"]);
}

#[test]
fn the_rest_of_a_message_beyond_the_limit_is_an_operation_without_target() {
    let mut attack = Attack::new();
    let request = write("Gate", &[7; 100]);
    let head = &request[..request.len() - write_item().len() - 4];
    attack.piece(b'C', 2, &[head, &(1 + 40 * 480_u32).to_le_bytes(), &write_item()].concat());
    for _ in 0..40 {
        attack.piece(b'C', 2, &write_item().repeat(480));
    }
    attack.piece(b'F', 2, &[]);
    let asked: Vec<_> = attack.log.lines.iter().filter(|line| line.contains("asks 1.")).collect();
    assert!(asked.len() > 16_000 && asked[16_000].contains("write write 673 node=ns=2;s=Gate"), "{}", asked.len());
    let unread: Vec<_> = asked.iter().filter(|line| line.contains("unread")).collect();
    assert!(unread.len() == 1 && unread[0].ends_with("write write 673 unread=item"), "{unread:?}");
}

/// The only item of a Write of 100 bytes to `Gate`.
fn write_item() -> Vec<u8> {
    let request = write("Gate", &[7; 100]);
    request[request.len() - (11 + 4 + 4 + 2 + 4 + 100)..].to_vec()
}

#[test]
fn the_beginning_of_a_chunk_that_is_too_long_is_decoded_and_the_rest_skipped() {
    let long = {
        let request = write("Gate", &vec![7; 1_000_000]);
        let read = read(&["Level"]);
        (request, read)
    };
    let log_of = |segment: usize| {
        let mut attack = Attack::new();
        let chunks = [attack.channel.piece(Client, b'F', 2, &long.0), attack.channel.piece(Client, b'F', 3, &long.1)];
        for piece in chunks.concat().chunks(segment) {
            attack.session.feed_stream(Client, piece, &at(0), &mut attack.log);
            assert!(attack.session.buffered() <= 512 * 1024);
        }
        attack.log
    };
    let log = log_of(usize::MAX);
    let asked: Vec<_> = log.lines.iter().filter(|line| line.contains("asks ")).skip(1).collect();
    assert!(asked[0].ends_with("write write 673 unread=item"), "{asked:?}");
    assert!(asked[1].contains("read read 631 node=ns=2;s=Level"), "{asked:?}");
    assert_eq!(log.lines_of("Limit").len(), 1, "{:?}", log.lines);
    assert!(log.lines_of("Malformed").is_empty() && log.lines_of("Desynchronised").is_empty());
    for segment in [1, 7, 1400, 65_536, 262_143, 262_144, 262_145] {
        assert_eq!(log_of(segment), log, "segments of {segment}");
    }
}

#[test]
fn huge_counts_and_deeply_nested_values_are_one_malformed_write() {
    for body in [
        // Write of 2^31 - 1 nodes
        wire::request(673, 1, b"\xff\xff\xff\x7f"),
        // one node, whose value is 200 nested arrays of variants
        wire::request(
            673,
            1,
            &[&[1, 0, 0, 0, 0, 1, 13, 0, 0, 0, 255, 255, 255, 255, 1][..], &[0x98, 1, 0, 0, 0].repeat(200)].concat(),
        ),
        // dimensions whose product is 2^64
        wire::request(
            673,
            1,
            b"\x01\0\0\0\0\x01\x0d\0\0\0\xff\xff\xff\xff\x01\xc6\0\0\0\0\x02\0\0\0\0\0\0\x80\0\0\0\x80",
        ),
    ] {
        let mut attack = Attack::new();
        attack.piece(b'F', 2, &body);
        let log = &attack.log;
        assert_eq!(
            log.lines.iter().filter(|line| line.contains("asks 1.0 write write 673")).count(),
            1,
            "{:?}",
            log.lines
        );
        assert!(
            log.lines.iter().any(|line| line.starts_with("Malformed") || line.starts_with("Limit")),
            "{:?}",
            log.lines
        );
    }
}

#[test]
fn pending_requests_are_bounded_in_number_and_in_bytes() {
    let mut attack = Attack::new();
    for request in 0..1000 {
        attack.piece(b'F', request, &write("Gate", &[7; 10_000]));
    }
    assert!(attack.limits("pending_bytes") > 0);
    let mut attack = Attack::new();
    for request in 0..1000 {
        attack.piece(b'F', request, &write("Gate", &[7; 10]));
    }
    assert_eq!(attack.limits("pending_requests"), 1000 - 256);
}
