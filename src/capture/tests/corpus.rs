//! Compares third-party captures with the counts of Wireshark.

use std::fs;

use super::*;
use crate::require;

/// Reads every capture listed in `truth.jsonl` of the folder `LOCKKEEPER_CORPUS`, if that is set.
#[test]
fn every_capture_of_the_corpus_has_the_packets_that_wireshark_counts() {
    let Some(corpus) = require::corpus() else { return };
    let truth = fs::read_to_string(corpus.join("truth.jsonl")).unwrap();
    let (mut paths, mut total) = (Vec::new(), 0);
    for line in truth.lines() {
        let truth: serde_json::Value = serde_json::from_str(line).unwrap();
        let path = corpus.join(truth["path"].as_str().unwrap());
        let count = truth["packets"].as_u64().unwrap();
        let (packets, replay) = replay(std::slice::from_ref(&path));
        let [capture] = replay.captures() else { panic!("one capture") };
        assert_eq!((packets.len() as u64, capture.packets), (count, count), "{capture:?}");
        assert_eq!(capture.cut.is_some(), truth["file_cut_short"].as_bool().unwrap(), "{capture:?}");
        let linktype = truth["linktype"][0].as_str().unwrap();
        let ethernet = packets.iter().all(|(packet, _)| packet.link == crate::capture::LinkType::Ethernet);
        assert!(ethernet || linktype != "Ethernet", "{capture:?} is {linktype}");
        (paths, total) = ([paths, vec![path]].concat(), total + count);
    }
    assert_eq!(replay(&paths).0.len() as u64, total, "merged");
}
