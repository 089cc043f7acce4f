//! No cut changes the events, and no bytes cause a panic.

use proptest::collection::vec;
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

use super::Side::{self, Client, Server};
use super::*;

/// A conversation's payloads: sender, version, payload.
fn payload() -> impl Strategy<Value = (Side, u8, Vec<u8>)> {
    let version = 1u8..=3;
    let sequence = 0u16..4;
    let texts =
        prop_oneof![Just((0x054C, READ)), Just((0x0542, WRITE)), Just((0x04CA, SESSION)), Just((0x0556, "0000"))];
    prop_oneof![
        4 => (version.clone(), sequence.clone(), texts).prop_map(|(version, sequence, (function, body))| {
            (Client, version, request(function, sequence, &hex(body)))
        }),
        2 => (version.clone(), sequence).prop_map(|(version, sequence)| {
            (Server, version, response(0x054C, sequence, &hex("00 02 0008 21 00 01 05 00")))
        }),
        1 => (version.clone(), any::<u16>(), vec(any::<u8>(), 0..80)).prop_map(|(version, function, body)| {
            (Client, version, request(function, 1, &body))
        }),
        1 => (version, vec(any::<u8>(), 1..80)).prop_map(|(version, body)| (Server, version, body)),
    ]
}

/// The events, without the counts of fragments.
fn said(log: &Log) -> (&[String], usize) {
    (&log.lines, log.lost)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_cut_into_fragments_tpdus_or_segments_changes_the_events(
        payloads in vec(payload(), 1..8),
        fragment in 1usize..60,
        tpdu in 1usize..40,
        segment in 1usize..50,
    ) {
        let whole: Vec<_> = payloads.iter().map(|(side, version, body)| (*side, pdu(*version, body))).collect();
        let cut = payloads.iter().flat_map(|(side, version, body)| {
            let tpdus: Vec<u8> = pdus(*version, body, fragment).iter().flat_map(|frame| in_tpdus(frame, tpdu)).collect();
            tpdus.chunks(segment).map(|bytes| (*side, bytes.to_vec())).collect::<Vec<_>>()
        });
        let cut: Vec<_> = cut.collect();
        let (whole, cut) = (decode(&whole), decode(&cut));
        prop_assert_eq!(said(&whole), said(&cut));
    }

    #[test]
    fn any_payload_is_survived_and_every_operation_ends(
        payloads in vec((any::<bool>(), 1u8..=3, vec(any::<u8>(), 0..200)), 1..6),
    ) {
        let segments: Vec<_> = payloads.iter().map(|(client, version, body)| {
            (if *client { Client } else { Server }, pdu(*version, body))
        }).collect();
        let log = decode(&segments);
        let ends = log.lines.iter().filter(|line| line.contains(" after ")).count();
        prop_assert_eq!(log.lines.iter().filter(|line| line.contains(" asks ")).count(), ends);
    }
}

/// A DT with a whole TSDU as DTs of at most `size` bytes of it each.
fn in_tpdus(frame: &[u8], size: usize) -> Vec<u8> {
    let chunks: Vec<&[u8]> = frame[7..].chunks(size).collect();
    let tpdu = |(index, chunk): (usize, &&[u8])| {
        let mut tpdu = dt(chunk);
        tpdu[6] = if index + 1 == chunks.len() { 0x80 } else { 0 };
        tpdu
    };
    chunks.iter().enumerate().flat_map(tpdu).collect()
}
