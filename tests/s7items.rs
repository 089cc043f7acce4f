//! Field by field: each item of Read Var and Write Var is what Wireshark prints for the same frame.
//!
//! `s7items.tsv` is what Wireshark printed (`pcaps/record/s7items`), for a sample of the public captures.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use support::{lines, lockkeeper};

/// Area, data block, first bit or number, bits or elements, return code.
type Item = (u64, u64, u64, u64, u64);

#[test]
fn area_block_start_length_and_return_code_of_every_item_are_wiresharks() {
    let Some(corpus) = std::env::var_os("LOCKKEEPER_CORPUS") else {
        eprintln!("LOCKKEEPER_CORPUS is not set: nothing compared");
        return;
    };
    let mut ours = BTreeMap::new();
    let mut compared = 0;
    for line in include_str!("s7items.tsv").lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [capture, packet, answer, _, lists @ ..] = fields.as_slice() else { unreachable!("{line}") };
        let found = ours.entry(*capture).or_insert_with(|| transactions(&Path::new(&corpus).join(capture)));
        let key = (number(packet), number(answer));
        let expected = expected(lists);
        assert_eq!(found.get(&key), Some(&expected), "{capture} {packet}");
        compared += expected.len();
    }
    assert!(compared > 900, "{compared}");
}

/// What the lists of one line say: area, data block, transport size, length, address, return code, for each item.
fn expected(lists: &[&str]) -> Vec<Item> {
    let list = |index: usize| lists[index].split(',').map(number).collect::<Vec<_>>();
    let [area, db, size, length, address, code] = [0, 1, 2, 3, 4, 5].map(list);
    let item = |index: usize| {
        let is_numbered = matches!(area[index], COUNTERS | TIMERS);
        let each = if is_numbered { 1 } else { bits(size[index]) };
        (area[index], db[index], address[index], length[index] * each, code[index])
    };
    (0..area.len()).map(item).collect()
}

/// Bits of one element, by transport size.
fn bits(size: u64) -> u64 {
    match size {
        1 => 1,
        2 | 3 => 8,
        4 | 5 => 16,
        6..=8 => 32,
        other => unreachable!("no transport size {other} in the sample"),
    }
}

/// The items of every request by the packets that carry it and its answer.
fn transactions(capture: &Path) -> BTreeMap<(u64, u64), Vec<Item>> {
    let output = lockkeeper(&[&"replay", &"--quiet", &"--transactions", &"-", &capture]);
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for transaction in lines(&String::from_utf8_lossy(&output.stdout)) {
        let evidence = &transaction["evidence"];
        if matches!(transaction["operation"]["code"].as_u64(), Some(4 | 5)) && transaction["protocol"] == "s7comm" {
            let key = (evidence["packet"].as_u64(), evidence["response_packet"].as_u64());
            let (Some(packet), Some(answer)) = key else { continue };
            found.entry((packet, answer)).or_default().push(item(&transaction));
        }
    }
    found
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
        other => unreachable!("no area {other:?} in the sample"),
    };
    let first = part("number").unwrap_or_else(|| part("byte").unwrap_or(0) * 8 + part("bit").unwrap_or(0));
    let count = part("count").or(part("bits")).unwrap_or_else(|| part("bytes").unwrap_or(0) * 8);
    let outcome = &transaction["outcome"];
    let code = if outcome["status"] == "accepted" { 0xFF } else { outcome["code"].as_u64().unwrap_or(0) };
    (area, part("db").unwrap_or(0), first, count, code)
}

fn number(text: &str) -> u64 {
    let parsed = text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    parsed.unwrap_or_else(|_| unreachable!("{text} is no number"))
}

const COUNTERS: u64 = 0x1C;
const TIMERS: u64 = 0x1D;
