//! The expected alerts of a shipped capture, beside it in `pcaps/`.
//!
//! `NAME.alerts.jsonl` holds them as printed. If they are too long to be reviewed in a diff, `NAME.alerts.json` holds their
//! number by rule, severity, endpoints and function, the first alert of each rule, and digests that change with any alert.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::lines;

/// The longest file of alerts that a person can review, bytes.
pub(crate) const LONGEST: usize = 200 << 10;

/// Asserts that the alerts of a capture are the expected ones; with `LOCKKEEPER_BLESS=1`, they become the expected ones.
pub(crate) fn check(capture: &Path, found: &str) {
    let printed = capture.with_extension("alerts.jsonl");
    let counted = capture.with_extension("alerts.json");
    let (golden, text, other) = if found.len() > LONGEST {
        (counted, format!("{:#}\n", summary(found)), printed)
    } else {
        (printed, found.to_owned(), counted)
    };
    if std::env::var_os("LOCKKEEPER_BLESS").is_some() {
        std::fs::write(&golden, &text).expect("a written expectation");
        let _not_there = std::fs::remove_file(&other);
    }
    assert!(!other.exists(), "{} is out of date: LOCKKEEPER_BLESS=1 removes it", other.display());
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    let compare = if found.len() > LONGEST { different_counts } else { different_lines };
    assert!(
        expected == text,
        "{} differs:\n{}\nAll alerts that were found: {}\n\
         LOCKKEEPER_BLESS=1 cargo test --test replay writes the expectation anew",
        golden.display(),
        shortened(&compare(&expected, &text)),
        keep(capture, found).display(),
    );
}

/// The summary of alerts that are too many to be reviewed individually.
pub(crate) fn summary(alerts: &str) -> Value {
    let mut by_rule: BTreeMap<String, BTreeMap<String, Vec<&str>>> = BTreeMap::new();
    let mut counts = json!({});
    let mut samples = Map::new();
    for (line, alert) in alerts.lines().zip(lines(alerts)) {
        let [rule, severity] = ["rule", "severity"].map(|member| word(&alert[member]));
        by_rule.entry(rule.clone()).or_default().entry(severity.clone()).or_default().push(line);
        let endpoints = format!("{} > {}", endpoint(&alert["client"]), endpoint(&alert["server"]));
        let function = format!("{} {}", word(&alert["protocol"]), word(&alert["operation"]["function"]));
        let count = &mut counts[&rule][&severity][endpoints][function];
        *count = (count.as_u64().unwrap_or(0) + 1).into();
        samples.entry(rule).or_insert(alert);
    }
    let digest_of = |lines: &Vec<&str>| json!({ "alerts": lines.len(), "sha256": digest(&lines.concat())[..16] });
    let rules: BTreeMap<_, BTreeMap<_, _>> = by_rule
        .iter()
        .map(|(rule, by_severity)| {
            (rule, by_severity.iter().map(|(severity, lines)| (severity, digest_of(lines))).collect())
        })
        .collect();
    json!({
        "alerts": alerts.lines().count(),
        "sha256": digest(alerts),
        "rules": rules,
        "counts": counts,
        "first_of_each_rule": samples,
    })
}

/// One line for each member in which two summaries differ.
pub(crate) fn different_counts(expected: &str, found: &str) -> Vec<String> {
    let [expected, found] = [expected, found].map(|text| {
        let mut members = BTreeMap::new();
        flatten(&serde_json::from_str(text).unwrap_or_default(), String::new(), &mut members);
        members
    });
    let paths: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let different = paths.into_iter().filter(|path| expected.get(*path) != found.get(*path));
    let shown =
        |members: &BTreeMap<String, String>, path| members.get(path).map_or("nothing", String::as_str).to_owned();
    different
        .map(|path| format!("{path}: expected {}, found {}", shown(&expected, path), shown(&found, path)))
        .collect()
}

fn different_lines(expected: &str, found: &str) -> Vec<String> {
    let [mut expected, mut found] = [expected.lines(), found.lines()];
    let mut different = Vec::new();
    for number in 1.. {
        let pair = (expected.next(), found.next());
        match pair {
            (None, None) => break,
            (expected, found) if expected == found => {}
            (expected, found) => different.push(format!(
                "alert {number}: expected {}\n        found {}",
                expected.unwrap_or("nothing"),
                found.unwrap_or("nothing")
            )),
        }
    }
    different
}

/// Collects every leaf of a value by its path.
fn flatten(value: &Value, path: String, members: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(name, value)| flatten(value, format!("{path}/{name}"), members));
        }
        leaf => {
            members.insert(path, leaf.to_string());
        }
    }
}

/// Writes all alerts to a file for the review of a difference.
fn keep(capture: &Path, alerts: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("alerts");
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(capture.with_extension("alerts.jsonl").file_name().expect("a name"));
    std::fs::write(&path, alerts).expect("written alerts");
    path
}

fn shortened(differences: &[String]) -> String {
    let mut shown = differences[..differences.len().min(MOST_SHOWN)].join("\n");
    if let Some(more @ 1..) = differences.len().checked_sub(MOST_SHOWN) {
        shown.push_str(&format!("\nand {more} more"));
    }
    shown
}

/// The asset, or the address of a host without one.
fn endpoint(end: &Value) -> String {
    let name = [&end["asset"], &end["ip"], &end["mac"]].into_iter().find(|name| name.is_string());
    name.map_or_else(|| "-".to_owned(), word)
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Most differences in a message.
const MOST_SHOWN: usize = 40;
