//! The nodes of Read, Write and Call, the identity type and the security policy equal Wireshark's fields for the same frame.
//!
//! `pcaps/wireshark-nodes.jsonl` holds Wireshark's fields for the shipped captures, `wireshark-nodes-public.jsonl` for a
//! sample of public ones. `pcaps/record/count` writes them; `pcaps/README.md` describes the members.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use support::{lines, lockkeeper, require, root};

#[test]
fn every_node_of_the_shipped_captures_equals_wiresharks() {
    let compared = compare(&root().join("pcaps"), "wireshark-nodes.jsonl");
    assert!(compared > 400, "{compared}");
}

#[test]
fn every_node_of_a_sample_of_public_captures_equals_wiresharks() {
    let Some(corpus) = require::corpus() else { return };
    let compared = compare(&corpus, "wireshark-nodes-public.jsonl");
    assert!(compared > 300, "{compared}");
}

/// The requests of a frame: service, and the nodes that it names.
type Asked = Vec<(u64, String)>;

/// Compares every line of Wireshark's with our transactions; returns the number of lines.
fn compare(folder: &Path, printed: &str) -> usize {
    let printed = std::fs::read_to_string(root().join("pcaps").join(printed)).expect("what Wireshark printed ships");
    let mut theirs = BTreeMap::<String, BTreeMap<u64, Asked>>::new();
    for line in lines(&printed) {
        let frames = theirs.entry(line["path"].as_str().expect("a path").to_owned()).or_default();
        frames.entry(line["frame"].as_u64().expect("a packet")).or_default().extend(expected(&line));
    }
    let mut compared = 0;
    for (capture, mut frames) in theirs {
        // In a flow joined midstream, the first message is decoded with the one that confirms the message boundary.
        for (_, first, second) in JOINED.iter().filter(|(joined, ..)| capture.ends_with(joined)) {
            let asked = frames.remove(first).expect("the first message");
            frames.entry(*second).or_default().splice(..0, asked);
        }
        let ours = transactions(&folder.join(&capture));
        for (frame, asked) in frames {
            assert_eq!(ours.get(&frame), Some(&asked), "{capture} packet {frame}");
            compared += asked.len();
        }
    }
    compared
}

fn expected(line: &Value) -> Asked {
    let service = line["service"].as_u64().expect("a number");
    let list = |name: &str| line[name].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs = list("nodes").chain(list("calls"));
    let named = pairs.map(|pair| format!("{} {}", text(&pair[0]), text(&pair[1])));
    let single = ["identity", "policy"].into_iter().filter(|name| !line[name].is_null()).map(|name| text(&line[name]));
    named.chain(single).map(|name| (service, name)).collect()
}

/// The same fields of our transactions, by packet. An OpenSecureChannel is listed for the packet of its response as well,
/// because Wireshark cannot distinguish the two where they are encrypted.
fn transactions(capture: &Path) -> BTreeMap<u64, Asked> {
    let output = lockkeeper(&[&"replay", &"--quiet", &"--transactions", &"-", &capture]);
    let mut found = BTreeMap::<u64, Vec<(u64, (u64, String))>>::new();
    for transaction in lines(&String::from_utf8_lossy(&output.stdout)) {
        let Some(asked) = asked(&transaction["operation"]) else { continue };
        let request = transaction["request"].as_u64().expect("a number");
        let evidence = &transaction["evidence"];
        let answered = (asked.0 == OPEN).then(|| evidence["response_packet"].as_u64()).flatten();
        for packet in evidence["packet"].as_u64().into_iter().chain(answered) {
            found.entry(packet).or_default().push((request, asked.clone()));
        }
    }
    let in_order = |mut asked: Vec<(u64, (u64, String))>| {
        asked.sort_by_key(|(request, _)| *request);
        asked.into_iter().map(|(_, asked)| asked).collect()
    };
    found.into_iter().map(|(packet, asked)| (packet, in_order(asked))).collect()
}

fn asked(operation: &Value) -> Option<(u64, String)> {
    let service = operation["code"].as_u64()?;
    let target = &operation["target"];
    let text = |name: &str| target[name].as_str().unwrap_or_default().to_owned();
    let named = match service {
        READ | WRITE => {
            let attribute = ATTRIBUTES.iter().position(|name| target["attribute"] == **name)? + 1;
            format!("{} {attribute}", text("node"))
        }
        CALL => format!("{} {}", text("object"), text("method")),
        ACTIVATE => IDENTITIES.iter().find(|(name, _)| target["identity"] == **name)?.1.to_string(),
        OPEN => text("policy"),
        _ => return None,
    };
    (operation["class"] != "opaque").then_some((service, named))
}

/// Flows joined midstream: capture, frame of the first message, frame of the second.
const JOINED: [(&str, u64, u64); 1] = [("opcua-midstream.pcap", 3, 6)];

const OPEN: u64 = 446;
const ACTIVATE: u64 = 467;
const READ: u64 = 631;
const WRITE: u64 = 673;
const CALL: u64 = 712;

/// Attributes, from 1 (OPC 10000-6, A.1).
const ATTRIBUTES: [&str; 27] = [
    "node_id",
    "node_class",
    "browse_name",
    "display_name",
    "description",
    "write_mask",
    "user_write_mask",
    "is_abstract",
    "symmetric",
    "inverse_name",
    "contains_no_loops",
    "event_notifier",
    "value",
    "data_type",
    "value_rank",
    "array_dimensions",
    "access_level",
    "user_access_level",
    "minimum_sampling_interval",
    "historizing",
    "executable",
    "user_executable",
    "data_type_definition",
    "role_permissions",
    "user_role_permissions",
    "access_restrictions",
    "access_level_ex",
];

/// Identity types with the type ids of their tokens.
const IDENTITIES: [(&str, u64); 4] =
    [("anonymous", 321), ("username", 324), ("certificate", 327), ("issued-token", 940)];
