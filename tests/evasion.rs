//! Nobody hides behind the network: whatever a sender does so that a sensor sees something else than its receiver, there is an
//! alert; and a sender who does the same without lying raises none.

#[path = "evasion/mod.rs"]
mod generator;
mod support;

use std::path::Path;

use generator::attacks::{ATTACKS, LIES, Requests};
use generator::speech::Speech;
use generator::wire::{self, Line, SECOND, Segment, Tag};
use serde_json::Value;
use support::rewrite::pcap;
use support::{is_loud, last_revisions, lines, replay};

/// Reading and observing is permitted, and nothing else.
const FLOWS: [&str; 3] = [
    "protocol = \"modbus\"\nport = 502\nallow = [{ op = \"observe\" }]",
    "protocol = \"s7comm\"\nport = 102\nallow = [{ op = \"observe\" }]",
    "protocol = \"opcua\"\nport = 4840\nallow = [{ op = \"observe\" }, { op = \"security\" }]",
];

/// The violations that a replay of what was sent tells, the last revision of each.
fn violations(folder: &Path, line: &Line, options: &[&str]) -> Vec<Value> {
    let (capture, policy) = (folder.join("sent.pcap"), folder.join("policy.toml"));
    std::fs::write(&capture, pcap(&line.packets)).expect("a written capture");
    std::fs::write(&policy, support::policy(&FLOWS)).expect("a written policy");
    let mut more: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"--policy", &policy, &"--alerts", &"-"];
    more.extend(options.iter().map(|option| option as &dyn AsRef<std::ffi::OsStr>));
    let mut last = last_revisions(lines(&replay(&capture, &more)));
    last.retain(|alert| alert["kind"] == "violation");
    last
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A conversation in which the request is sent in some way, acknowledged, and answered if `answered`.
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
fn whoever_gets_a_server_to_write_is_seen_doing_it() {
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
fn every_way_to_make_a_decoy_and_every_place_to_cut_is_seen() {
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
fn one_byte_that_is_sent_twice_is_seen_wherever_it_is() {
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
fn data_in_a_syn_that_the_server_ignores_hide_nothing() {
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
fn wrong_checksums_throughout_gain_nothing() {
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
fn a_capture_made_before_checksums_were_computed_is_read_as_it_is() {
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
        // The sum of what the client sends, behind Ethernet, IPv4 and 16 bytes of TCP, is not computed.
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
fn who_sends_the_same_in_the_same_way_without_lying_raises_no_alert() {
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
fn directions_with_tags_of_their_own_are_one_conversation() {
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

/// A request with a byte that the server takes out of the stream, because it is urgent (RFC 6093).
fn say_with_urgent_byte(line: &mut Line, request: &[u8]) {
    let half = request.len() / 2;
    let bytes = [&request[..half], &[0xAA], &request[half..]].concat();
    let segment = line.segment(true, &bytes);
    line.send(&Segment { urgent: half as u16 + 1, ..segment });
    line.went_on(true, bytes.len());
}

#[test]
fn readings_that_are_used_up_are_reported_and_an_hour_later_they_are_judged_again() {
    let folder = folder();
    let speech = generator::speech::modbus();
    let is_write = |alert: &Value| alert["operation"]["class"] == "write";
    for (minutes, is_judged) in [(10, false), (61, true)] {
        let mut line = Line::new(speech.port);
        speech.begin(&mut line);
        for _ in 0..1_100 {
            say_with_urgent_byte(&mut line, &speech.read_on);
        }
        for _ in 0..minutes {
            line.time += 60 * SECOND;
            line.acknowledge(false);
        }
        say_with_urgent_byte(&mut line, &speech.write);
        line.acknowledge(false);
        let found = violations(folder.path(), &line, &[]);
        let is_limit = |alert: &Value| alert["anomaly"]["name"] == "readings" && alert["rule"] == "stream.given-up";
        assert!(found.iter().any(is_limit), "{minutes} minutes later: {found:?}");
        assert_eq!(found.iter().any(is_write), is_judged, "{minutes} minutes later: {found:?}");
    }
}
