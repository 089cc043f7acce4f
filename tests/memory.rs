//! The memory budget of all flows: the flow that holds most is given up first, with an alert.

mod support;

use support::policy;
use support::wire::{Station, WRITE, Wire};

/// Permits reads in both protocols.
const FLOWS: [&str; 2] =
    ["protocol = \"modbus\"\nallow = [{ op = \"read\" }]", "protocol = \"opcua\"\nallow = [{ op = \"observe\" }]"];

/// The smallest budget: 64 KiB for each of 64 shards, and the recent bytes.
const LEAST: [&str; 4] = ["--max-memory", "5242880", "--max-recent-bytes", "1048576"];

fn scada() -> Station {
    Station::new(10, "10.0.1.10")
}

fn plc() -> Station {
    Station::new(20, "10.0.2.10")
}

/// Hello (OPC 10000-6, 7.1.2.3): "HELF", 32 bytes, version 0, buffers of 65,536, no limits, no URL.
const HELLO: [u8; 32] = [
    b'H', b'E', b'L', b'F', 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF,
    0xFF,
];

/// The beginning of a chunk of 60,000 bytes: "OPNF", its size, and a channel.
fn half_chunk() -> Vec<u8> {
    let mut bytes = [&b"OPNF"[..], &60_000_u32.to_le_bytes(), &[0; 4]].concat();
    bytes.resize(1400, 0);
    bytes
}

/// A connection on which a client begins a chunk and never completes it, so that the sensor buffers its bytes.
fn begin_chunks(wire: &mut Wire, port: u16, segments: u32) {
    let (client, server) = ((scada(), port), (plc(), 4840));
    wire.tcp(client, server, "S", [99, 0], &[]);
    wire.tcp(server, client, "SA", [499, 100], &[]);
    wire.tcp(client, server, "A", [100, 500], &HELLO);
    let first = half_chunk();
    wire.tcp(client, server, "A", [132, 500], &first);
    for number in 1..segments {
        wire.tcp(client, server, "A", [132 + 1400 * number, 500], &[0; 1400]);
    }
}

#[test]
fn the_flow_that_holds_most_is_given_up_first() {
    let (mut wire, client, server) = (Wire::default(), (scada(), 40_000), (plc(), 502));
    // A write in two halves: the first is buffered while other flows buffer more and more.
    wire.tcp(client, server, "S", [99, 0], &[]);
    wire.tcp(server, client, "SA", [499, 100], &[]);
    wire.tcp(client, server, "A", [100, 500], &support::wire::READ);
    wire.tcp(server, client, "A", [500, 112], &support::wire::READ_ANSWER);
    wire.tcp(client, server, "A", [112, 511], &WRITE[..5]);
    for port in 50_000..50_020 {
        begin_chunks(&mut wire, port, 30);
    }
    wire.tcp(client, server, "A", [117, 511], &WRITE[5..]);
    wire.tcp(server, client, "A", [511, 124], &WRITE);
    let free = wire.replay(&policy(&FLOWS));
    assert_eq!(free.stats["losses"]["conversations_given_up"], 0);
    let bounded = wire.replay_with(&policy(&FLOWS), &LEAST);
    let given_up = bounded.stats["losses"]["conversations_given_up"].as_u64();
    assert!(given_up.is_some_and(|count| (10..=20).contains(&count)), "{}", bounded.stats["losses"]);
    assert_eq!(bounded.messages("stream.given-up").len(), 1, "{:?}", bounded.raised());
    assert_eq!(bounded.verdicts("write"), ["operation.undeclared"]);
    assert_eq!(bounded.verdicts("write"), free.verdicts("write"));
}

#[test]
fn bytes_out_of_order_and_pending_requests_count_as_well() {
    let mut wire = Wire::default();
    for port in 50_000..50_010 {
        let (client, server) = ((scada(), port), (plc(), 502));
        wire.tcp(client, server, "S", [99, 0], &[]);
        wire.tcp(server, client, "SA", [499, 100], &[]);
        // Behind a gap of twelve bytes, which is never filled.
        for number in 0..10 {
            wire.tcp(client, server, "A", [112 + 1400 * number, 500], &[0; 1400]);
        }
    }
    assert_eq!(wire.replay(&policy(&FLOWS)).stats["losses"]["conversations_given_up"], 0);
    let bounded = wire.replay_with(&policy(&FLOWS), &LEAST);
    assert!(bounded.stats["losses"]["conversations_given_up"].as_u64() > Some(0), "{}", bounded.stats["losses"]);
    let mut wire = Wire::default();
    for port in 50_000..50_010 {
        let (client, server) = ((scada(), port), (plc(), 502));
        wire.tcp(client, server, "S", [99, 0], &[]);
        wire.tcp(server, client, "SA", [499, 100], &[]);
        for number in 0..200_u16 {
            let [high, low] = number.to_be_bytes();
            // Write Single Register, whose response is pending.
            let write = [high, low, 0, 0, 0, 6, 1, 6, 0, 5, 0, 99];
            wire.tcp(client, server, "A", [100 + 12 * u32::from(number), 500], &write);
        }
    }
    assert_eq!(wire.replay(&policy(&FLOWS)).stats["losses"]["conversations_given_up"], 0);
    let bounded = wire.replay_with(&policy(&FLOWS), &LEAST);
    assert!(bounded.stats["losses"]["conversations_given_up"].as_u64() > Some(0), "{}", bounded.stats["losses"]);
    assert_eq!(bounded.verdicts("write").len(), 2000, "every one is judged");
}

#[test]
fn a_budget_that_is_too_small_is_one_clear_error() {
    let mut wire = Wire::default();
    wire.modbus(scada(), plc(), 40_000, false);
    let (_folder, capture) = wire.write();
    let output = support::lockkeeper(&[&"replay", &capture, &"--max-memory", &"1000"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors.contains("--max-memory 1000: conversations need at least 5242880 bytes"), "{errors}");
}
