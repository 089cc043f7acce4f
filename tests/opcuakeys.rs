//! Encrypted OPC UA gives the same operations as plaintext with the keys of one end, and opaque ones without them.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{lines, lockkeeper, root};

#[test]
fn a_decrypted_capture_has_the_same_operations_as_its_plaintext_twin() {
    let clear = operations(&capture("opcua-none.pcap"), None);
    let opened = operations(&capture("opcua-encrypt.pcap"), Some(&capture("opcua-encrypt.keys")));
    assert!(clear.len() > 30, "{clear:#?}");
    assert_eq!(opened, clear);
    assert_eq!(operations(&capture("opcua-sign.pcap"), None), clear, "signed, which needs no keys");
}

#[test]
fn keys_of_every_security_policy_are_read_from_the_capture() {
    let stats = stats(&[&capture("opcua-policies.pcapng")], None);
    let classes = &stats["operations"]["opcua"];
    assert!(classes["opaque"].is_null(), "{classes}");
    assert_eq!((&classes["read"], &classes["write"]), (&6.into(), &3.into()), "{classes}");
    assert_eq!(losses(&stats), [0, 0, 0]);
}

#[test]
fn the_keys_of_every_token_of_a_channel_are_used() {
    let stats = stats(&[&capture("opcua-renewals.pcap")], Some(&capture("opcua-renewals.keys")));
    assert!(stats["operations"]["opcua"]["opaque"].is_null(), "{stats}");
    assert_eq!(losses(&stats), [0, 0, 0]);
}

#[test]
fn missing_and_wrong_keys_leave_chunks_opaque_and_are_counted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let encrypted = capture("opcua-encrypt.pcap");
    let none = stats(&[&encrypted], None);
    assert_eq!(losses(&none), [0, 0, 0], "no keys were given");
    let opaque = none["operations"]["opcua"]["opaque"].as_u64().expect("encrypted");
    let keys = std::fs::read_to_string(capture("opcua-encrypt.keys")).expect("keys");
    let path = folder.path().join("other.keys");
    std::fs::write(&path, keys.replace(": ", "1: ")).expect("keys of another token");
    let missing = stats(&[&encrypted], Some(&path));
    assert_eq!(missing["operations"], none["operations"]);
    assert!(losses(&missing)[0] >= opaque, "{missing}");

    let turned = keys.replace('A', "Z").replace('5', "A").replace('Z', "5");
    let path = folder.path().join("wrong.keys");
    std::fs::write(&path, turned).expect("a written file");
    let wrong = stats(&[&encrypted], Some(&path));
    assert_eq!(wrong["operations"], none["operations"]);
    assert!(losses(&wrong)[1] >= opaque, "{wrong}");
    let summary = lockkeeper(&[&"replay", &encrypted, &"--opcua-keys", &path]);
    assert!(String::from_utf8_lossy(&summary.stderr).contains("wrong key"), "{summary:?}");
}

#[test]
fn an_invalid_key_log_is_one_error_with_its_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("broken.keys");
    std::fs::write(&path, "# of a stack\nclient_key_1_1: 0011\n").expect("a written file");
    for (keys, what) in [(path, "broken.keys:2: a key of 2 bytes"), (folder.path().join("none.keys"), "No such file")] {
        let output = lockkeeper(&[&"replay", &capture("opcua-none.pcap"), &"--opcua-keys", &keys]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(what) && !errors.contains("0011"), "{errors}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn keys_in_a_capture_decrypt_later_packets_for_any_number_of_workers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = std::fs::read(capture("opcua-policies.pcapng")).expect("a capture");
    let blocks = blocks(&whole);
    let secrets = blocks.iter().position(|block| block[..4] == 10_u32.to_le_bytes()).expect("secrets");
    let last = blocks.len();
    let mut opened = Vec::new();
    for place in [secrets, last / 3, last / 2, last - 4] {
        let mut order = blocks.clone();
        let moved = order.remove(secrets);
        order.insert(place, moved);
        let path = folder.path().join("moved.pcapng");
        std::fs::write(&path, order.concat()).expect("a written capture");
        let outputs = ["1", "3"].map(|workers| {
            let arguments: [&dyn AsRef<std::ffi::OsStr>; 8] =
                [&"replay", &path, &"--quiet", &"--transactions", &"-", &"--workers", &workers, &"--max-alerts=9"];
            String::from_utf8(lockkeeper(&arguments).stdout).expect("text")
        });
        assert_eq!(outputs[0], outputs[1], "secrets before block {place}");
        let is_opaque = |line: &&Value| line["operation"]["class"] == "opaque";
        opened.push(lines(&outputs[0]).iter().filter(|line| !is_opaque(line)).count());
    }
    assert!(
        opened.is_sorted_by(|earlier, later| earlier > later),
        "the later the keys, the less they open: {opened:?}"
    );
}

#[test]
fn secrets_in_another_format_are_counted_and_ignored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut whole = std::fs::read(capture("opcua-policies.pcapng")).expect("a capture");
    let at = whole.windows(9).position(|bytes| bytes == b"client_iv").expect("keys");
    whole[at] = b'k';
    let path = folder.path().join("broken.pcapng");
    std::fs::write(&path, whole).expect("a written capture");
    let stats = stats(&[&path], None);
    assert_eq!(losses(&stats), [0, 0, 1]);
    assert_eq!(stats["packets"], 98);
    assert!(stats["operations"]["opcua"]["opaque"].as_u64() > Some(0));
}

fn capture(name: &str) -> PathBuf {
    root().join("pcaps").join(name)
}

/// Counts of chunks without a key, chunks with a wrong key, and secrets in another format than a key log.
fn losses(stats: &Value) -> [u64; 3] {
    ["chunks_without_key", "chunks_with_wrong_key", "secrets_not_understood"]
        .map(|name| stats["losses"][name].as_u64().expect("a count"))
}

fn stats(captures: &[&Path], keys: Option<&Path>) -> Value {
    serde_json::from_str(&run("--stats", captures, keys)).expect("JSON")
}

/// Class, function, target, values and outcome of every operation, without what differs between channels.
fn operations(capture: &Path, keys: Option<&Path>) -> Vec<String> {
    let transactions = lines(&run("--transactions", &[capture], keys));
    let channel: BTreeSet<_> = ["hello", "open_secure_channel"].into();
    let others = transactions
        .iter()
        .filter(|transaction| !channel.contains(transaction["operation"]["function"].as_str().unwrap_or_default()));
    others.map(|transaction| format!("{} {}", transaction["operation"], transaction["outcome"])).collect()
}

fn run(output: &str, captures: &[&Path], keys: Option<&Path>) -> String {
    let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> =
        vec![&"replay", &"--quiet", &"--alerts", &"/dev/null", &output, &"-"];
    arguments.extend(captures.iter().map(|path| path as &dyn AsRef<std::ffi::OsStr>));
    if let Some(keys) = &keys {
        arguments.extend([&"--opcua-keys" as &dyn AsRef<std::ffi::OsStr>, keys]);
    }
    String::from_utf8(lockkeeper(&arguments).stdout).expect("text")
}

/// The blocks of a little-endian pcapng file.
fn blocks(file: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = file;
    let mut blocks = Vec::new();
    while let Some(header) = rest.first_chunk::<8>() {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let (block, next) = rest.split_at(length);
        blocks.push(block.to_vec());
        rest = next;
    }
    blocks
}
