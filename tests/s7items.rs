//! Every item of Read Var and Write Var equals Wireshark's fields for the same frame.
//!
//! `pcaps/wireshark-items.jsonl` holds Wireshark's fields for the shipped captures, `wireshark-items-public.jsonl` for a
//! sample of public ones. `pcaps/record/count` writes them; `pcaps/README.md` describes the members.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use support::{lines, lockkeeper, require, root};

#[test]
fn every_item_of_the_shipped_captures_equals_wiresharks() {
    let compared = compare(&root().join("pcaps"), "wireshark-items.jsonl");
    assert!(compared > 700, "{compared}");
}

#[test]
fn every_item_of_a_sample_of_public_captures_equals_wiresharks() {
    let Some(corpus) = require::corpus() else { return };
    let compared = compare(&corpus, "wireshark-items-public.jsonl");
    assert!(compared > 900, "{compared}");
}

/// Compares every item of Wireshark's with our transactions; returns the number of items.
fn compare(folder: &Path, printed: &str) -> usize {
    let printed = std::fs::read_to_string(root().join("pcaps").join(printed)).expect("what Wireshark printed ships");
    let mut theirs = BTreeMap::<String, BTreeMap<u64, Vec<Item>>>::new();
    for request in lines(&printed) {
        let packets = theirs.entry(request["path"].as_str().expect("a path").to_owned()).or_default();
        let frame = request["frame"].as_u64().expect("a packet");
        let items = request["items"].as_array().expect("items").iter().map(|item| expected(&request, item));
        packets.entry(frame).or_default().extend(items);
    }
    let mut compared = 0;
    for (capture, packets) in theirs {
        let ours = transactions(&folder.join(&capture));
        for (packet, items) in packets.into_iter().filter(|(_, items)| !items.is_empty()) {
            let found = ours.get(&packet).map(Vec::as_slice).unwrap_or_default();
            assert_eq!(found, items, "{capture} packet {packet}");
            compared += items.len();
        }
    }
    compared
}

/// One item: address, length and outcome.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    area: u64,
    db: u64,
    /// First bit, or number of the first counter or timer.
    start: u64,
    /// Length in bits, or number of counters or timers.
    count: u64,
    /// Packet of the response and the return code of the item, if the response has one.
    end: Option<(u64, u64)>,
}

fn expected(request: &Value, item: &Value) -> Item {
    let number = |name: &str| item[name].as_u64().unwrap_or(0);
    let area = number("area");
    let each = if matches!(area, COUNTERS | TIMERS) { 1 } else { bits(number("type")) };
    let end = request["answer"].as_u64().zip(item["code"].as_u64());
    Item { area, db: number("db"), start: number("start"), count: number("length") * each, end }
}

/// Bits of one element, by transport size.
fn bits(size: u64) -> u64 {
    match size {
        1 => 1,
        2 | 3 => 8,
        4 | 5 => 16,
        6..=8 => 32,
        other => unreachable!("no transport size {other} in the captures"),
    }
}

/// The items of all requests that a packet carries, by packet.
fn transactions(capture: &Path) -> BTreeMap<u64, Vec<Item>> {
    let output = lockkeeper(&[&"replay", &"--quiet", &"--transactions", &"-", &capture]);
    let mut found = BTreeMap::<u64, Vec<(u64, Item)>>::new();
    for transaction in lines(&String::from_utf8_lossy(&output.stdout)) {
        let is_variable = matches!(transaction["operation"]["code"].as_u64(), Some(4 | 5));
        if is_variable && transaction["protocol"] == "s7comm" && transaction["operation"]["target"]["area"].is_string()
        {
            let packet = transaction["evidence"]["packet"].as_u64().expect("a packet");
            let request = transaction["request"].as_u64().expect("a number");
            found.entry(packet).or_default().push((request, item(&transaction)));
        }
    }
    let in_order = |mut items: Vec<(u64, Item)>| {
        items.sort_by_key(|(request, _)| *request);
        items.into_iter().map(|(_, item)| item).collect()
    };
    found.into_iter().map(|(packet, items)| (packet, in_order(items))).collect()
}

fn item(transaction: &Value) -> Item {
    let target = &transaction["operation"]["target"];
    let part = |name: &str| target[name].as_u64();
    let area = match target["area"].as_str() {
        Some("I") => 0x81,
        Some("Q") => 0x82,
        Some("M") => 0x83,
        Some("DB") => 0x84,
        Some("C") => COUNTERS,
        Some("T") => TIMERS,
        other => unreachable!("no area {other:?} in the captures"),
    };
    let start = part("number").unwrap_or_else(|| part("byte").unwrap_or(0) * 8 + part("bit").unwrap_or(0));
    let count = part("count").or(part("bits")).unwrap_or_else(|| part("bytes").unwrap_or(0) * 8);
    let outcome = &transaction["outcome"];
    let refused = || outcome["code"].as_u64().filter(|code| *code <= 0xFF); // a longer code refuses the whole job
    let code = if outcome["status"] == "accepted" { Some(0xFF) } else { refused() };
    let evidence = &transaction["evidence"];
    // A tap that swaps packets may put a response in front of its request; Wireshark then pairs none.
    let behind = |answer: &u64| evidence["packet"].as_u64().is_some_and(|packet| packet < *answer);
    let end = evidence["response_packet"].as_u64().filter(behind).zip(code);
    Item { area, db: part("db").unwrap_or(0), start, count, end }
}

const COUNTERS: u64 = 0x1C;
const TIMERS: u64 = 0x1D;
