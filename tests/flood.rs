//! A flood of half-open connections does not evict established ones.

mod support;

use support::tape::{SECOND, Tape};

#[test]
fn a_flood_of_syn_segments_evicts_no_established_connection() {
    let mut tape = Tape::default();
    tape.handshake(0);
    tape.flood(SECOND, 20_000);
    tape.read(2 * SECOND);
    let stats = tape.stats(&["--max-flows", "640"]);
    assert!(stats["losses"]["evicted_flows"].as_u64() > Some(10_000), "{stats}");
    assert_eq!(stats["losses"]["midstream_flows"], 0, "{stats}");
    assert_eq!(stats["outcomes"]["accepted"], 1, "{stats}");
}

#[test]
fn an_unanswered_connection_expires_sooner_than_a_silent_one() {
    let mut silent = Tape::default();
    silent.handshake(0);
    silent.read(600 * SECOND);
    assert_eq!(silent.stats(&[])["flows"], 1, "an established connection may be silent for an hour");

    let mut unanswered = Tape::default();
    for second in [0, 3, 9, 21, 45] {
        unanswered.client(second * SECOND, "S", 99, 0, &[]);
    }
    assert_eq!(unanswered.stats(&[])["flows"], 1, "it was tried again before it was forgotten");
    unanswered.client(45 * SECOND + 61 * SECOND, "S", 99, 0, &[]);
    assert_eq!(unanswered.stats(&[])["flows"], 2, "a minute after the last attempt it is forgotten");
    assert_eq!(unanswered.stats(&["--handshake-timeout", "120"])["flows"], 1);
}
