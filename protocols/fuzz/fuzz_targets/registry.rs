//! Drives any row of the registry with any conversation in any segmentation.
//!
//! The first byte selects the row, the transport, the tracked outcomes, and whether the flow is joined midstream; `FUZZ_ROW` in
//! the environment, such as `s7comm/iso-on-tcp`, selects the row instead. The rest are instructions: one byte for the side, a
//! gap, passing time, lack of memory or the end of the connection, and the upper bits of the length, one for its lower bits,
//! then that many bytes.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lockkeeper_protocols::{Hints, Limits, Protocol, REGISTRY, Session, Side, Stamp, Transport};

#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the decoders; the fuzzer uses a part")]
#[path = "../../src/testing.rs"]
mod testing;
use testing::{Answers, Detail, Log};

const LIMITS: Limits = Limits { pending: 8, answer_timeout: 1_000, partial: 1024 };

/// Transports of the flow.
const PORTS: [u16; 4] = [0, 502, 102, 4840];

/// The row named by `FUZZ_ROW`.
static ROW: LazyLock<Option<&Protocol>> = LazyLock::new(|| {
    let named = std::env::var("FUZZ_ROW").ok()?;
    let row = REGISTRY.iter().find(|row| format!("{}/{}", row.name, row.framing) == named);
    Some(row.expect("FUZZ_ROW is NAME/FRAMING of a row"))
});

/// A log without lines that tracks all outcomes, none, or some.
fn log(choice: u8) -> Log {
    let answers = Answers { detail: Detail::Nothing, ..Answers::default() };
    Log::answering(match choice % 3 {
        0 => answers,
        1 => Answers { awaits: Box::new(|_| false), passes: |_, _| true, ..answers },
        _ => Answers { awaits: Box::new(|at| at.item % 4 == 2), ..answers },
    })
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, mut rest)) = data.split_first() else { return };
    let protocol = ROW.unwrap_or(REGISTRY[usize::from(choice >> 2) % REGISTRY.len()]);
    let transport = protocol.transports[usize::from(choice & 1) % protocol.transports.len()];
    let midstream = choice & 2 != 0;
    let mut session = Session::new(protocol, transport, &LIMITS, midstream);
    let mut log = log(choice >> 6).of(protocol);
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
            session.feed_gap(from, &mut log);
        }
        if head & 4 != 0 {
            session.expire(clock, &mut log);
        }
        if head & 8 != 0 {
            match low & 3 {
                0 => {
                    session.give_up(&stamp, &mut log);
                    assert_eq!(session.buffered(), 0, "all of it is dropped");
                }
                1 => session.forget(&stamp, &mut log),
                2 => session.close(clock, &mut log),
                _ => {}
            }
        }
        let _ = (protocol.probe)(transport, bytes);
        match transport {
            Transport::Tcp => session.feed_stream(from, bytes, &stamp, &mut log),
            Transport::Udp => session.feed_datagram(from, bytes, &stamp, &mut log),
        }
        fed += length;
        assert!(log.lost + session.buffered() <= fed, "bytes are lost once");
        assert!(session.buffered() <= bound, "kept bytes are bounded");
        assert!(session.deadline().is_none_or(|deadline| deadline >= clock), "overdue requests have ended");
    }
    session.finish(&mut log);
    assert_eq!(session.buffered(), 0);
    assert!(log.lost <= fed);
    log.assert_settled();
});
