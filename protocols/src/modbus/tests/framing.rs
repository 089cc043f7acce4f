//! Wrong headers: servers differ in how they frame, so every reading is reported.

use super::frame;
use crate::modbus::TCP;
use crate::testing::{Log, at};
use crate::{Limits, Session, Side, Transport};
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use Side::{Client, Server};

/// Write Single Register 5 := 99.
const WRITE: [u8; 5] = [0x06, 0x00, 0x05, 0x00, 0x63];
/// Read Holding Registers, 1 from 0, and an answer.
const READ: [u8; 5] = [0x03, 0x00, 0x00, 0x00, 0x01];
const VALUE: [u8; 4] = [0x03, 0x02, 0x00, 0x07];

const ASKS_WRITE: &str = "write write_single_register 6 unit=1 table=holding_register address=5 count=1 = [99]";

/// A frame with any header, to or from unit 1.
fn with_header(transaction: u16, protocol: u16, length: u16, pdu: &[u8]) -> Vec<u8> {
    let words = [transaction, protocol, length].map(u16::to_be_bytes);
    [words.as_flattened(), &[1], pdu].concat()
}

/// A conversation, each line a segment, a millisecond apart.
fn decode_conversation(segments: &[(Side, Vec<u8>)]) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(&TCP, Transport::Tcp, &Limits::default(), false);
    for (time, (from, bytes)) in (0..).zip(segments) {
        session.feed_stream(*from, bytes, &at(time), &mut log);
    }
    session.finish(&mut log);
    assert_eq!(session.buffered(), 0);
    log
}

fn asked(log: &Log) -> Vec<&str> {
    log.lines.iter().filter_map(|line| line.split_once(" asks ")).map(|(_, asked)| asked).collect()
}

fn malformed(log: &Log) -> Vec<&str> {
    log.lines.iter().filter_map(|line| line.strip_prefix("Malformed ")).collect()
}

fn ended(log: &Log, outcome: &str) -> Vec<String> {
    let ends = log.lines.iter().filter(|line| line.contains(&format!(" {outcome} ")));
    ends.map(|line| line.split(" after ").next().unwrap().split(' ').next_back().unwrap().into()).collect()
}

#[test]
fn a_write_with_a_wrong_header_is_reported_and_matched() {
    for (protocol, length, fault) in [
        (0, 0, "length 0"),
        (0, 1, "length 1"),
        (0, 2, "length 2"),
        (0, 5, "length 5"),
        (0, 7, "trailing_bytes 1"),
        (0, 18, "trailing_bytes 12"),
        (0, 254, "trailing_bytes 248"),
        (0, 255, "length 255"),
        (0, 256, "length 256"),
        (0, 4096, "length 4096"),
        (0, 65535, "length 65535"),
        (1, 6, "protocol_identifier 1"),
        (0x0100, 6, "protocol_identifier 256"),
        (0xFFFF, 0, "protocol_identifier 65535"),
    ] {
        let log = decode_conversation(&[
            (Client, frame(1, 1, &READ)),
            (Server, frame(1, 1, &VALUE)),
            (Client, with_header(2, protocol, length, &WRITE)),
            (Server, frame(2, 1, &WRITE)),
            (Client, frame(3, 1, &READ)),
            (Server, frame(3, 1, &VALUE)),
        ]);
        // A server that frames by a length that is too short refuses the write; the last header is entirely wrong.
        let is_doubtful = (2..6).contains(&length) || (protocol != 0 && length != 6);
        let doubt = if is_doubtful { " (ambiguous)" } else { "" };
        let expected = ASKS_WRITE.replace(" 6 unit", &format!(" 6{doubt} unit"));
        assert_eq!(asked(&log)[1], format!("1.0 {expected}"), "{fault}");
        assert_eq!(ended(&log, "accepted"), ["0.0", "1.0", "2.0"], "{fault}: {:?}", log.lines);
        assert_eq!(malformed(&log), [format!("{fault} from Client")]);
        assert_eq!(log.lost, 0);
    }
}

/// The same joined in mid-stream, in pieces of any size.
fn joined(segments: &[(Side, Vec<u8>)], size: usize) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(&TCP, Transport::Tcp, &Limits::default(), true);
    for (time, (from, bytes)) in (0..).zip(segments) {
        bytes.chunks(size).for_each(|piece| session.feed_stream(*from, piece, &at(time), &mut log));
    }
    session.finish(&mut log);
    log
}

#[test]
fn a_write_with_a_wrong_header_is_reported_even_at_the_start_of_the_capture() {
    let faults = [(0, 0), (0, 1), (0, 5), (0, 7), (0, 4096), (1, 6), (0xFFFF, 6), (0xFFFF, 0)];
    for (protocol, length) in faults {
        // libmodbus answers with the protocol identifier that it was asked with.
        let exchange =
            [(Client, with_header(2, protocol, length, &WRITE)), (Server, with_header(2, protocol, 6, &WRITE))];
        let goes_on = [(Client, frame(3, 1, &READ)), (Server, frame(3, 1, &VALUE))];
        for segments in [exchange.to_vec(), [exchange, goes_on].concat()] {
            let log = joined(&segments, usize::MAX);
            let writes = asked(&log).iter().filter(|asked| asked.contains(" write_single_register ")).count();
            assert_eq!(writes, 1, "{protocol:04x} {length}: {:?}", log.lines);
            assert_eq!(ended(&log, "accepted")[0], "0.0", "{protocol:04x} {length}: {:?}", log.lines);
            assert_eq!(log.lost, 0, "{protocol:04x} {length}");
            for size in 1..13 {
                let cut = joined(&segments, size);
                assert_eq!((cut.lines, cut.lost), (log.lines.clone(), 0), "{protocol:04x} {length}, cut after {size}");
            }
        }
    }
}

#[test]
fn a_stream_joined_inside_a_frame_yields_no_invented_write() {
    // The end of an answer, whose registers are 6, 1, 99; then sound frames.
    let torn = [6, 0, 1, 0, 99];
    let log = joined(&[(Server, [&torn[..], &frame(3, 1, &VALUE), &frame(4, 1, &VALUE)].concat())], usize::MAX);
    assert_eq!(log.lost, torn.len());
    assert_eq!(asked(&log), Vec::<&str>::new());
    assert_eq!(log.lines.iter().filter(|line| line.contains("answer_without_request")).count(), 2);
}

#[test]
fn frames_hidden_in_the_length_of_another_are_reported() {
    let hidden = [frame(3, 1, &WRITE), with_header(4, 0xFFFF, 6, &WRITE), with_header(5, 0, 0, &WRITE)].concat();
    for visible in [READ, WRITE] {
        let length = 6 + hidden.len() as u16;
        let all = [with_header(2, 0, length, &visible), hidden.clone()].concat();
        let log = decode_conversation(&[(Client, all.clone()), (Client, frame(6, 1, &READ))]);
        let hidden = |number| format!("{number}.0 {}", ASKS_WRITE.replace(" 6 unit", " 6 (ambiguous) unit"));
        assert_eq!(asked(&log)[1..4], [1, 2, 3].map(hidden));
        assert!(asked(&log)[4].starts_with("4.0 read read_holding_registers 3 unit=1"), "{:?}", log.lines);
        let faults =
            ["trailing_bytes 36", "protocol_identifier 65535", "length 0"].map(|it| format!("{it} from Client"));
        assert_eq!(malformed(&log), faults, "every bad frame, not the first only");
        let mut datagrams = Log::default();
        let mut session = Session::new(&TCP, Transport::Udp, &Limits::default(), false);
        session.feed_datagram(Client, &all, &at(0), &mut datagrams);
        session.feed_datagram(Client, &frame(6, 1, &READ), &at(1), &mut datagrams);
        session.finish(&mut datagrams);
        assert_eq!(asked(&datagrams), asked(&log));
        assert_eq!((datagrams.lost, log.lost), (0, 0));
    }
}

#[test]
fn a_frame_that_only_the_reading_by_header_finds_is_reported() {
    // The length ends before the registers that are written, which hold a frame.
    let hidden = frame(3, 1, &WRITE);
    let write = [&[0x10, 0x00, 0x40, 0x00, 0x06, 0x0C], hidden.as_slice()].concat();
    let log = decode_conversation(&[
        (Client, with_header(2, 0, 7, &write)),
        (Server, frame(3, 1, &WRITE)),
        (Client, frame(4, 1, &READ)),
    ]);
    assert!(asked(&log)[0].starts_with("0.0 write write_multiple_registers 16 (ambiguous) unit=1"), "{:?}", log.lines);
    assert!(asked(&log)[1].starts_with("1.0 write write_single_register 6 (ambiguous) unit=1"));
    assert_eq!(ended(&log, "accepted"), ["1.0"]);
    assert_eq!((malformed(&log).len(), log.lost), (1, 0));
}

#[test]
fn an_answer_settles_the_reading() {
    let read = |transaction| frame(transaction, 1, &READ);
    let long = with_header(2, 0, 4096, &WRITE);
    let log = decode_conversation(&[(Client, long.clone()), (Server, frame(2, 1, &WRITE)), (Client, read(3))]);
    assert!(!asked(&log)[1].contains("ambiguous"), "a server that frames by header still waits: {:?}", log.lines);
    let log = decode_conversation(&[(Client, long.clone()), (Client, read(3)), (Client, read(4))]);
    assert_eq!(asked(&log).iter().filter(|asked| asked.contains("ambiguous")).count(), 2);
    let log =
        decode_conversation(&[(Client, [long, read(3)].concat()), (Server, frame(3, 1, &VALUE)), (Client, read(4))]);
    assert_eq!(asked(&log).iter().map(|asked| asked.contains("ambiguous")).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn a_request_that_is_too_short_waits_for_its_end_or_for_its_answer() {
    let short = frame(2, 1, &WRITE[..3]);
    // The server refuses it: it goes by the header.
    let log = decode_conversation(&[
        (Client, short.clone()),
        (Server, frame(2, 1, &[0x86, 0x03])),
        (Client, frame(3, 1, &READ)),
    ]);
    assert_eq!(asked(&log)[0], "0.0 write write_single_register 6 unit=1");
    assert_eq!(asked(&log).len(), 2);
    assert!(log.lines.iter().any(|line| line.contains("refused(3 illegal_data_value) 0.0")), "{:?}", log.lines);
    assert_eq!(malformed(&log), ["truncated_request 2 from Client"]);
    // The rest never arrives: the request is reported at the end, with its own time.
    assert_eq!(asked(&decode_conversation(&[(Client, short.clone())])), ["0.0 write write_single_register 6 unit=1"]);
    // One who goes by the function takes the missing bytes from the next frame.
    let log = decode_conversation(&[(Client, short), (Client, frame(3, 1, &READ)), (Client, frame(4, 1, &READ))]);
    let taken = "0.0 write write_single_register 6 (ambiguous) unit=1 table=holding_register address=5 count=1 = [3]";
    assert_eq!(asked(&log)[0], taken);
    assert_eq!((asked(&log).len(), log.lost), (3, 0), "{:?}", log.lines);
}

#[test]
fn answers_with_a_wrong_header_are_decoded_by_their_function() {
    let ask = |transaction: u16, address| frame(transaction, 1, &[0x03, 0x98, address, 0x00, 0x01]);
    // One byte less than it has; a whole frame behind it; a wrong protocol identifier; an exception with a length of 4.
    let answers = [
        with_header(0, 0, 4, &VALUE),
        [with_header(1, 0, 16, &VALUE), frame(2, 1, &VALUE)].concat(),
        with_header(3, 0x0100, 5, &VALUE),
        with_header(4, 0, 4, &[0x83, 0x02]),
        with_header(5, 0, 0, &VALUE),
        frame(6, 1, &VALUE),
    ];
    let asks = (0..7).map(|number| (Client, ask(number, number as u8)));
    let log = decode_conversation(&asks.chain(answers.into_iter().map(|answer| (Server, answer))).collect::<Vec<_>>());
    assert_eq!(ended(&log, "accepted"), ["0.0", "1.0", "2.0", "3.0", "5.0", "6.0"]);
    assert!(log.lines.iter().any(|line| line.contains("refused(2 illegal_data_address) 4.0")));
    let faults = ["length 4", "trailing_bytes 11", "protocol_identifier 256", "exception_length 2", "length 0"];
    assert_eq!(malformed(&log), faults.map(|fault| format!("{fault} from Server")));
    assert_eq!((log.lost, log.lines_of("Unmatched").len()), (0, 0));
}

#[test]
fn umas_may_be_longer_than_modbus_and_nothing_else_may() {
    let long = |code: u8, number: u8, length: usize| [&[code, 0, number], vec![0x54; length - 4].as_slice()].concat();
    for length in [254, 255, 256, 1023, 1024] {
        let (ask, answer) = (frame(1, 0, &long(0x5A, 0x0A, length)), frame(1, 0, &long(0x5A, 0xFE, length)));
        let log =
            decode_conversation(&[(Client, ask[..100].to_vec()), (Client, ask[100..].to_vec()), (Server, answer)]);
        assert!(asked(&log)[0].starts_with("0.0 diagnostic umas_repeat 90 unit=0 umas=10"));
        assert_eq!(ended(&log, "accepted"), ["0.0"], "{length}");
        assert!(malformed(&log).is_empty() && log.lost == 0);
    }
    for frame in [frame(1, 0, &long(0x5A, 0x0A, 1025)), frame(1, 0, &long(0x41, 0x0A, 255))] {
        let log = decode_conversation(&[(Client, frame)]);
        assert_eq!((asked(&log).len(), log.lines_of("Desynchronised length from Client").len()), (0, 1));
    }
}

#[test]
fn bytes_without_a_request_in_any_reading_are_lost() {
    // Function code 0x41, and FC 5 with neither length nor protocol identifier right.
    for bad in [with_header(1, 5, 3, &[0x41, 0, 0]), with_header(1, 5, 9, &[0x05, 0, 1, 0, 1])] {
        let log = decode_conversation(&[(Client, bad.clone()), (Client, frame(2, 1, &READ))]);
        assert_eq!((asked(&log).len(), log.lost), (1, bad.len()), "{:?}", log.lines);
        assert_eq!(log.lines_of("Desynchronised protocol_identifier from Client").len(), 1);
    }
    // With one of them right it is for the device to judge whether a coil may have that value.
    let log = decode_conversation(&[(Client, with_header(1, 5, 6, &[0x05, 0, 1, 0, 1]))]);
    assert!(asked(&log)[0].starts_with("0.0 write write_single_coil 5 unit=1"), "{:?}", log.lines);
}

#[test]
fn a_correct_crc_outweighs_a_header_that_happens_to_fit() {
    // RTU: unit 1, Read Holding Registers, 10 from 0, CRC. As MBAP: transaction 0x0103, length 10, unit 0xC5, function 0xCD.
    let rtu = vec![0x01, 0x03, 0x00, 0x00, 0x00, 0x0A, 0xC5, 0xCD];
    let log = decode_conversation(&[(Client, rtu.clone()), (Client, rtu)]);
    assert!(asked(&log).iter().all(|asked| asked.contains("read_holding_registers 3 unit=1")), "{:?}", log.lines);
    assert_eq!((asked(&log).len(), log.lost), (2, 0));
}
