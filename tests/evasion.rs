//! A sender that makes the sensor see other data than its receiver raises an alert; the same packets without a decoy raise
//! none.

#[path = "evasion/mod.rs"]
mod generator;
mod support;

use std::path::Path;

use generator::attacks::{ATTACKS, LIES, Requests};
use generator::speech::Speech;
use generator::wire::{self, Line, SECOND, Segment, Tag};
use serde_json::Value;
use support::rewrite::pcap;
use support::{is_loud, raised};

/// Permits class `observe` only, and secure channels of OPC UA.
const FLOWS: [&str; 3] = [
    "protocol = \"modbus\"\nport = 502\nallow = [{ op = \"observe\" }]",
    "protocol = \"s7comm\"\nport = 102\nallow = [{ op = \"observe\" }]",
    "protocol = \"opcua\"\nport = 4840\nallow = [{ op = \"observe\" }, { op = \"security\" }]",
];

/// The last revision of each violation in a replay of the line.
fn violations(folder: &Path, line: &Line, options: &[&str]) -> Vec<Value> {
    let (capture, policy) = (folder.join("sent.pcap"), folder.join("policy.toml"));
    std::fs::write(&capture, pcap(&line.packets)).expect("a written capture");
    std::fs::write(&policy, support::policy(&FLOWS)).expect("a written policy");
    let mut alerts = raised(&capture, &policy, options);
    alerts.retain(|alert| alert["kind"] == "violation");
    alerts
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A conversation in which `attack` sends the request; the server acknowledges it, and responds if `answered`.
fn conversation(
    speech: &Speech,
    requests: &Requests<'_>,
    answered: bool,
    send: impl Fn(&mut Line, &Requests<'_>),
) -> Line {
    let mut line = Line::new(speech.port);
    speech.begin(&mut line);
    send(&mut line, requests);
    line.acknowledge(false);
    if answered {
        line.say(false, &speech.written);
    }
    line.time += SECOND / 10;
    if !requests.is_honest {
        speech.poll(&mut line);
        speech.poll(&mut line);
    }
    line
}

#[test]
fn a_write_that_a_server_executes_is_seen_however_it_is_sent() {
    let folder = folder();
    for speech in Speech::all() {
        for attack in ATTACKS {
            for answered in [false, true] {
                let requests = Requests { real: &speech.write, decoy: &speech.decoy, is_honest: false };
                let line = conversation(&speech, &requests, answered, attack.send);
                let found = violations(folder.path(), &line, &[]);
                assert!(found.iter().any(is_loud), "{}: {}, answered {answered}: {found:?}", speech.name, attack.name);
            }
        }
    }
}

#[test]
fn every_decoy_and_every_cut_is_seen() {
    let folder = folder();
    for speech in Speech::all() {
        for lie in LIES {
            for place in (1..speech.write.len()).step_by(3) {
                let requests = Requests { real: &speech.write, decoy: &speech.decoy, is_honest: false };
                let line = conversation(&speech, &requests, false, |line, requests| {
                    let decoy = line.segment(true, requests.decoy);
                    let decoy = requests.lie(decoy, lie);
                    line.send(&decoy);
                    line.say(true, &requests.real[..place]);
                    line.say(true, &requests.real[place..]);
                });
                let found = violations(folder.path(), &line, &[]);
                assert!(found.iter().any(is_loud), "{}: {lie:?}, cut at {place}: {found:?}", speech.name);
            }
        }
    }
}

#[test]
fn one_byte_sent_twice_is_seen_at_every_offset() {
    let folder = folder();
    for speech in Speech::all() {
        let differing = (0..speech.write.len()).filter(|at| speech.write[*at] != speech.decoy[*at]);
        for (place, lie) in differing.flat_map(|place| LIES.map(|lie| (place, lie))) {
            let requests = Requests { real: &speech.write, decoy: &speech.decoy, is_honest: false };
            let line = conversation(&speech, &requests, false, |line, requests| {
                line.say(true, &requests.real[..place]);
                let decoy = line.segment(true, &requests.decoy[place..=place]);
                let decoy = requests.lie(decoy, lie);
                line.send(&decoy);
                line.say(true, &requests.real[place..=place]);
                line.say(true, &requests.real[place + 1..]);
            });
            let found = violations(folder.path(), &line, &[]);
            assert!(found.iter().any(is_loud), "{}: {lie:?} at {place}: {found:?}", speech.name);
        }
    }
}

#[test]
fn data_in_a_syn_that_the_server_ignores_hides_nothing() {
    let folder = folder();
    for speech in Speech::all() {
        let mut line = Line::new(speech.port);
        let decoy = &speech.decoy;
        line.open(decoy);
        speech.greet(&mut line);
        line.say(true, &speech.write);
        line.acknowledge(false);
        let found = violations(folder.path(), &line, &[]);
        assert!(found.iter().any(is_loud), "{}: {found:?}", speech.name);
    }
}

#[test]
fn wrong_checksums_throughout_a_flow_hide_nothing() {
    let folder = folder();
    for speech in Speech::all() {
        for mode in ["auto", "ignore"] {
            let requests = Requests { real: &speech.write, decoy: &speech.decoy, is_honest: false };
            let mut line = Line::new(speech.port);
            speech.begin(&mut line);
            let real = line.segment(true, requests.real);
            line.send(&Segment { bytes: requests.decoy.to_vec(), bad_tcp: true, ..real.clone() });
            line.send(&Segment { bad_tcp: true, ..real });
            line.went_on(true, requests.real.len());
            line.acknowledge(false);
            speech.poll(&mut line);
            let found = violations(folder.path(), &line, &["--checksums", mode]);
            assert!(found.iter().any(is_loud), "{} with --checksums {mode}: {found:?}", speech.name);
        }
    }
}

#[test]
fn a_capture_with_checksum_offload_is_read() {
    let folder = folder();
    for speech in Speech::all() {
        let mut line = Line::new(speech.port);
        let offloaded = |line: &mut Line, bytes: &[u8], flags: u8| {
            let segment = line.segment(true, bytes);
            line.send(&Segment { bad_tcp: true, flags, ..segment });
        };
        offloaded(&mut line, b"", wire::SYN);
        line.next[0] += 1;
        let syn_ack = line.segment(false, b"");
        line.send(&Segment { flags: wire::SYN | wire::ACK, ..syn_ack });
        line.next[1] += 1;
        offloaded(&mut line, b"", wire::ACK);
        let opened = line.packets.len();
        speech.greet(&mut line);
        line.say(true, &speech.write);
        line.say(false, &speech.written);
        // The TCP checksum of the client's segments, behind Ethernet, IPv4 and 16 bytes of TCP, is left to the network card.
        for packet in &mut line.packets[opened..] {
            if packet.bytes[26..30] == wire::CLIENT {
                packet.bytes[50] ^= 1;
            }
        }
        let found = violations(folder.path(), &line, &[]);
        let accepted =
            |alert: &&Value| alert["operation"]["class"] == "write" && alert["outcome"]["status"] == "accepted";
        assert_eq!(found.iter().filter(accepted).count(), 1, "{}: {found:?}", speech.name);
    }
}

#[test]
fn the_same_packets_without_a_decoy_raise_no_alert() {
    let folder = folder();
    for speech in Speech::all() {
        for attack in ATTACKS.iter().filter(|attack| attack.has_twin) {
            let honest = &speech.read_on;
            let requests = Requests { real: honest, decoy: honest, is_honest: true };
            let line = conversation(&speech, &requests, false, attack.send);
            let found = violations(folder.path(), &line, &[]);
            assert!(found.is_empty(), "{}: {}: {found:?}", speech.name, attack.name);
        }
    }
}

#[test]
fn directions_with_different_tags_are_one_conversation() {
    let folder = folder();
    let tags = [None, Some(Tag::Vlan(10)), Some(Tag::Vlan(20)), Some(Tag::Hsr(2, 7))];
    for speech in Speech::all() {
        for (client, server) in tags.iter().flat_map(|client| tags.map(|server| (*client, server))) {
            let mut line = Line::new(speech.port);
            line.tags = [client, server];
            speech.begin(&mut line);
            let found = violations(folder.path(), &line, &[]);
            assert!(found.is_empty(), "{}: {client:?} {server:?}: {found:?}", speech.name);
            line.say(true, &speech.write);
            line.say(false, &speech.written);
            let found = violations(folder.path(), &line, &[]);
            assert_eq!(found.len(), 1, "{}: {client:?} {server:?}: {found:?}", speech.name);
            assert_eq!(found[0]["outcome"]["status"], "accepted", "{}: {client:?} {server:?}", speech.name);
        }
    }
}

/// A request with an urgent byte, which the server takes out of the stream (RFC 6093).
fn send_with_urgent_byte(line: &mut Line, request: &[u8]) {
    let half = request.len() / 2;
    let bytes = [&request[..half], &[0xAA], &request[half..]].concat();
    let segment = line.segment(true, &bytes);
    line.send(&Segment { urgent: half as u16 + 1, ..segment });
    line.went_on(true, bytes.len());
}

#[test]
fn exhausted_readings_are_reported_and_available_again_after_an_hour() {
    let folder = folder();
    let speech = generator::speech::modbus();
    let is_write = |alert: &Value| alert["operation"]["class"] == "write";
    for (minutes, is_judged) in [(10, false), (61, true)] {
        let mut line = Line::new(speech.port);
        speech.begin(&mut line);
        for _ in 0..1_100 {
            send_with_urgent_byte(&mut line, &speech.read_on);
        }
        for _ in 0..minutes {
            line.time += 60 * SECOND;
            line.acknowledge(false);
        }
        send_with_urgent_byte(&mut line, &speech.write);
        line.acknowledge(false);
        let found = violations(folder.path(), &line, &[]);
        let is_limit = |alert: &Value| alert["anomaly"]["name"] == "readings" && alert["rule"] == "stream.given-up";
        assert!(found.iter().any(is_limit), "{minutes} minutes later: {found:?}");
        assert_eq!(found.iter().any(is_write), is_judged, "{minutes} minutes later: {found:?}");
    }
}
