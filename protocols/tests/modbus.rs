//! Modbus/TCP with wrong headers: every write that a server executes is announced, whether the server frames by header or by
//! function.

use lockkeeper_protocols::{Limits, Session, Side, Transport, modbus};
use proptest::collection::vec;
use proptest::prelude::*;

#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests; this file uses a part")]
#[path = "../src/testing.rs"]
mod testing;
use testing::{Log, at};

/// A frame with any header.
#[derive(Clone, Debug)]
struct Frame {
    protocol: u16,
    length: Option<u16>,
    pdu: Vec<u8>,
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let length = self.length.unwrap_or(self.pdu.len() as u16 + 1);
        [&[0, 7], &self.protocol.to_be_bytes()[..], &length.to_be_bytes(), &[1], &self.pdu].concat()
    }
}

/// Write Single Register: the address is the number of the frame.
fn write(number: u16) -> Vec<u8> {
    [&[6], &number.to_be_bytes()[..], &[0, 99]].concat()
}

/// Write Multiple Registers at the same, with values that may hold frames.
fn write_many(number: u16, values: &[u8]) -> Vec<u8> {
    let count = values.len() as u8 / 2;
    [&[16], &number.to_be_bytes()[..], &[0, count, count * 2], &values[..usize::from(count) * 2]].concat()
}

/// Bytes of unit and PDU for a server that frames by the function (Modbus Application Protocol V1.1b3, 6).
fn length_by_function(body: &[u8]) -> Option<usize> {
    Some(match *body.get(1)? {
        1..=6 => 6,
        7 | 11 | 12 | 17 => 2,
        16 => 7 + usize::from(*body.get(6)?),
        22 => 8,
        _ => return None,
    })
}

/// The address of a write that a server executes.
fn carries_out(body: &[u8]) -> Option<u16> {
    let address = u16::from_be_bytes([*body.get(2)?, *body.get(3)?]);
    match body[1] {
        6 if body.len() >= 6 => Some(address),
        16 if body.len() >= 7 => {
            let count = usize::from(u16::from_be_bytes([body[4], body[5]]));
            (body[6] as usize == count * 2 && body.len() >= 7 + count * 2 && (1..=123).contains(&count))
                .then_some(address)
        }
        _ => None,
    }
}

/// Writes that a server executes that frames by the function and ignores the header, like libmodbus, up to the first frame
/// that it refuses.
fn executed_by_function(mut bytes: &[u8]) -> Vec<u16> {
    let mut writes = Vec::new();
    while let Some(length) = bytes.get(6..).and_then(length_by_function)
        && let Some((frame, rest)) = bytes.split_at_checked(6 + length)
    {
        match (frame[7], carries_out(&frame[6..])) {
            (6 | 16, None) => break,
            (_, write) => writes.extend(write),
        }
        bytes = rest;
    }
    writes
}

/// Writes that a server executes that frames by the header and accepts frames of up to `longest` bytes, up to the first
/// impossible header. pymodbus accepts any length.
fn executed_by_header(mut bytes: &[u8], longest: usize) -> Vec<u16> {
    let mut writes = Vec::new();
    while let Some(&[_, _, 0, 0, high, low]) = bytes.first_chunk()
        && let length = usize::from(u16::from_be_bytes([high, low]))
        && (2..=longest).contains(&length)
        && let Some((frame, rest)) = bytes.split_at_checked(6 + length)
    {
        writes.extend(carries_out(&frame[6..]));
        bytes = rest;
    }
    writes
}

fn log_of(side: Side, bytes: &[u8], size: usize) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(&modbus::TCP, Transport::Tcp, &Limits::default(), false);
    bytes.chunks(size).for_each(|piece| session.feed_stream(side, piece, &at(0), &mut log));
    session.finish(&mut log);
    assert_eq!(session.buffered(), 0);
    assert!(log.lost <= bytes.len());
    log
}

/// Addresses of the announced writes.
fn announced(log: &Log) -> Vec<u16> {
    let writes = log.lines.iter().filter(|line| line.contains(" asks ") && line.contains(" write_"));
    writes.filter_map(|line| line.split("address=").nth(1)?.split(' ').next()?.parse().ok()).collect()
}

/// Lengths in headers.
const LIES: [u16; 24] =
    [0, 1, 2, 3, 5, 6, 7, 8, 9, 12, 13, 15, 18, 19, 24, 30, 36, 100, 254, 255, 256, 1024, 4096, 65535];

fn length() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![3 => Just(None), 4 => prop::sample::select(&LIES[..]).prop_map(Some)]
}

fn protocol() -> impl Strategy<Value = u16> {
    prop_oneof![5 => Just(0_u16), 1 => Just(1_u16), 1 => Just(0x0100_u16), 1 => Just(0xFFFF_u16)]
}

/// Frames with distinct numbers, some of them inside others.
fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let inner = (0u8..4, protocol(), length());
    let one = (0u8..4, protocol(), length(), vec(inner, 0..4), vec(any::<u8>(), 0..4));
    vec(one, 1..7).prop_map(|all| {
        let mut number = 1000;
        let mut next = move || {
            number += 1;
            number
        };
        let mut frame = |kind: u8, protocol: u16, length: Option<u16>| {
            let pdu = match kind {
                0 => vec![3, 0, 0, 0, 1],
                1 => vec![11],
                _ => write(next()),
            };
            Frame { protocol, length, pdu }
        };
        let mut numbers = 2000;
        all.into_iter()
            .map(|(kind, protocol, length, inner, pad)| {
                if kind < 3 {
                    return frame(kind, protocol, length);
                }
                let hidden = inner.into_iter().map(|(kind, protocol, length)| frame(kind, protocol, length).bytes());
                let mut values = [pad, hidden.collect::<Vec<_>>().concat()].concat();
                values.resize(values.len().max(2).next_multiple_of(2), 0);
                numbers += 1;
                Frame { protocol, length, pdu: write_many(numbers, &values) }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 1 << 20, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn writes_that_either_kind_of_server_executes_are_announced(frames in frames()) {
        let bytes = frames.iter().map(Frame::bytes).collect::<Vec<_>>().concat();
        let announced = announced(&log_of(Side::Client, &bytes, usize::MAX));
        let servers = [
            ("function", executed_by_function(&bytes)),
            ("header", executed_by_header(&bytes, 254)),
            ("header, however long", executed_by_header(&bytes, 65535)),
        ];
        for (server, executed) in servers {
            for address in executed {
                prop_assert!(announced.contains(&address), "{address} by {server}, announced {announced:?}");
            }
        }
    }

    #[test]
    fn segmentation_changes_nothing_for_wrong_headers(frames in frames(), size in 1usize..30) {
        let bytes = frames.iter().map(Frame::bytes).collect::<Vec<_>>().concat();
        for side in [Side::Client, Side::Server] {
            prop_assert_eq!(log_of(side, &bytes, usize::MAX), log_of(side, &bytes, size));
        }
    }

    #[test]
    fn junk_between_valid_frames_hides_none_of_them(
        before in 0u16..3,
        junk in prop_oneof![vec(any::<u8>(), 1..30), vec(prop::sample::select(&[0_u8, 1, 3, 6, 16][..]), 1..30)],
        after in 2u16..20,
        transaction in prop::sample::select(&[0_u16, 1, 0x0103][..]),
    ) {
        let sound = |number: u16| {
            let mut frame = Frame { protocol: 0, length: None, pdu: write(number) }.bytes();
            frame[..2].copy_from_slice(&transaction.to_be_bytes());
            frame
        };
        // A valid header that covers the next frame is not junk.
        let claims = |at: usize| junk[at..].iter().chain(&sound(100)).copied().take(6).collect::<Vec<u8>>();
        prop_assume!((0..junk.len()).all(|at| !matches!(claims(at)[..], [_, _, 0, 0, _, _])));
        let all = [(0..before).map(sound).collect::<Vec<_>>().concat(), junk.clone(), (100..100 + after).map(sound).collect::<Vec<_>>().concat()];
        let log = log_of(Side::Client, &all.concat(), usize::MAX);
        let addresses = announced(&log);
        for number in (0..before).chain(100..100 + after) {
            prop_assert!(addresses.contains(&number), "{} {:?}", number, log.lines);
        }
    }

    #[test]
    fn one_wrong_header_hides_no_valid_frame(
        before in 0u16..5,
        after in 0u16..40,
        protocol in protocol(),
        length in length(),
        kind in 0u8..3,
    ) {
        let sound = |number: u16| Frame { protocol: 0, length: None, pdu: write(number) }.bytes();
        let pdu = [vec![3, 0, 0, 0, 1], write(500), write_many(500, &[0; 20])][usize::from(kind)].clone();
        let lying = Frame { protocol, length, pdu }.bytes();
        let all = [(0..before).map(sound).collect::<Vec<_>>().concat(), lying, (100..100 + after).map(sound).collect::<Vec<_>>().concat()];
        let log = log_of(Side::Client, &all.concat(), usize::MAX);
        let addresses = announced(&log);
        for number in (0..before).chain(100..100 + after).chain((kind > 0).then_some(500)) {
            prop_assert_eq!(addresses.iter().filter(|one| **one == number).count(), 1, "{} {:?}", number, log.lines);
        }
        prop_assert_eq!(log.lost, 0);
        // In a datagram, too.
        let mut log = Log::default();
        let mut session = Session::new(&modbus::TCP, Transport::Udp, &Limits::default(), false);
        session.feed_datagram(Side::Client, &all.concat(), &at(0), &mut log);
        session.finish(&mut log);
        prop_assert_eq!(addresses, announced(&log));
    }
}
