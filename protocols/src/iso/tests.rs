//! The ISO transport with regular and with hostile frames.
#![allow(clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::borrow::Cow;
use std::vec::Vec;

use super::probe::{IsoProbe, probe_opening};
use super::stack::Tsdu;
use super::{Content, Form, OTHER, Stack, frame_len};
use crate::context::Context;
use crate::dissector::{FrameLen, Limits, Side};
use crate::testing::{Log, at, decode};

/// TPKT; LI 17, CR, references, class 0; C1 calling TSAP 0100; C2 called TSAP 0102: PG, rack 0, slot 2; C0 1024 bytes.
const CR: &[u8] = &[
    3, 0, 0, 22, 17, 0xE0, 0, 0, 0, 1, 0, 0xC1, 2, 1, 0, 0xC2, 2, 1, 2, 0xC0, 1, 0x0A, //
];
/// The answer to it: TPDUs of at most 512 bytes.
const CC: &[u8] = &[
    3, 0, 0, 22, 17, 0xD0, 0, 1, 0, 1, 0, 0xC0, 1, 9, 0xC1, 2, 1, 0, 0xC2, 2, 1, 2, //
];

/// A frame with a DT; `end`: the last one of its TSDU.
fn dt(data: &[u8], end: bool) -> Vec<u8> {
    let length = (data.len() as u16 + 7).to_be_bytes();
    [&[3, 0, length[0], length[1], 2, 0xF0, if end { 0x80 } else { 0 }], data].concat()
}

/// The TSDUs that a stack returns for frames of the client.
fn tsdus(stack: &mut Stack, log: &mut Log, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut context = Context { from: Side::Client, stamp: &at(0), sink: log };
    let tsdus = frames.iter().flat_map(|frame| stack.add_frame(frame, &mut context)).flatten();
    tsdus.map(|tsdu| tsdu.bytes.into_owned()).collect()
}

#[test]
fn a_connection_names_type_rack_and_slot_and_ends_with_its_answer() {
    let log = decode(&OTHER, &[(Side::Client, CR), (Side::Server, CC)]);
    let connect = "session cotp_connect 224 connection=PG rack=0 slot=2";
    assert_eq!(log.lines[0], std::format!("0 asks 0.0 {connect} = 0x0102"));
    assert_eq!(log.lines[1], std::format!("0 accepted 0.0 after 0: {connect}"));
    assert_eq!(log.lines.len(), 2);
}

#[test]
fn a_disconnect_refuses_the_connection_with_its_reason() {
    // LI 6, DR, references, reason 136.
    let refusal = [3, 0, 0, 11, 6, 0x80, 0, 1, 0, 2, 136];
    let log = decode(&OTHER, &[(Side::Client, CR), (Side::Server, &refusal)]);
    assert!(log.lines[1].starts_with("0 refused(136 connection_refused) 0.0"), "{:?}", log.lines);
}

#[test]
fn a_disconnect_and_its_confirmation_are_no_anomaly() {
    let (mut stack, mut log) = (Stack::new(&Limits::default()), Log::default());
    let leave = [3, 0, 0, 11, 6, 0x80, 0, 1, 0, 2, 0].to_vec();
    let confirm = [3, 0, 0, 10, 5, 0xC0, 0, 1, 0, 1].to_vec();
    assert!(tsdus(&mut stack, &mut log, &[leave, confirm]).is_empty());
    assert!(log.lines.is_empty(), "{:?}", log.lines);
}

#[test]
fn a_text_tsap_is_an_identity_of_the_end_that_it_names() {
    let mut frame = std::vec![3, 0, 0, 0, 0, 0xE0, 0, 0, 0, 1, 0, 0xC1, 2, 6, 0, 0xC2, 16];
    frame.extend(b"SIMATIC-ROOT-HMI");
    frame[3] = frame.len() as u8;
    frame[4] = frame.len() as u8 - 5;
    let log = decode(&OTHER, &[(Side::Client, &frame)]);
    assert_eq!(log.lines_of("identity"), ["identity of Server 0: called_tsap = SIMATIC-ROOT-HMI"]);
}

#[test]
fn one_whole_tsdu_is_borrowed_and_fragments_are_joined() {
    let (mut stack, mut log) = (Stack::new(&Limits::default()), Log::default());
    let whole = dt(&[0x32, 1, 2], true);
    let mut context = Context { from: Side::Client, stamp: &at(0), sink: &mut log };
    let tsdu = stack.add_frame(&whole, &mut context);
    assert!(matches!(tsdu, [Some(Tsdu { bytes: Cow::Borrowed(_), form }), None, None] if form == Form::default()));
    let frames = [dt(&[0x32], false), dt(&[], false), dt(&[1], false), dt(&[2], true), dt(&[], true)];
    assert_eq!(tsdus(&mut stack, &mut log, &frames), [[0x32, 1, 2]]);
}

#[test]
fn endless_fragments_are_returned_at_the_limit_and_the_next_tsdu_is_whole() {
    let limits = Limits { partial: 100, ..Limits::default() };
    let (mut stack, mut log) = (Stack::new(&limits), Log::default());
    let mut frames = std::vec![dt(&[7; 60], false); 50];
    frames.extend([dt(&[7], true), dt(&[1, 2], true)]);
    assert_eq!(tsdus(&mut stack, &mut log, &frames), [std::vec![7; 100], std::vec![1, 2]]);
    assert_eq!(log.lines, ["Limit tsdu_too_long from Client"]);
    assert_eq!(log.lost, 50 * 60 + 1 - 100);
}

#[test]
fn a_tsdu_after_a_gap_is_torn_and_kept_fragments_before_it_are_lost() {
    let (mut stack, mut log) = (Stack::new(&Limits::default()), Log::default());
    assert!(tsdus(&mut stack, &mut log, &[dt(&[0x32, 1], false)]).is_empty());
    stack.interrupt(Side::Client, &mut log);
    assert_eq!(log.lost, 2);
    let (tail, next) = (dt(&[9, 9], true), dt(&[0x32], true));
    let mut context = Context { from: Side::Client, stamp: &at(0), sink: &mut log };
    assert!(matches!(stack.add_frame(&tail, &mut context), [Some(tsdu), None, None] if tsdu.form.is_torn));
    assert!(matches!(stack.add_frame(&next, &mut context), [Some(tsdu), None, None] if !tsdu.form.is_torn));
}

#[test]
fn a_tpdu_longer_than_negotiated_is_malformed_and_still_decoded() {
    let (mut stack, mut log) = (Stack::new(&Limits::default()), Log::default());
    let small_cc = [3, 0, 0, 14, 9, 0xD0, 0, 1, 0, 1, 0, 0xC0, 1, 7];
    let mut context = Context { from: Side::Server, stamp: &at(0), sink: &mut log };
    assert!(matches!(stack.add_frame(&small_cc, &mut context), [None, None, None]));
    assert_eq!(tsdus(&mut stack, &mut log, &[dt(&[1; 200], true)]).len(), 1);
    assert!(log.lines.contains(&"Malformed tpdu_longer_than_negotiated 207 from Client".into()), "{:?}", log.lines);
}

#[test]
fn broken_tpdus_are_reported_and_do_not_end_the_connection() {
    let broken: [&[u8]; 5] = [
        &[3, 0, 0, 7, 9, 0xF0, 0x80],                    // LI beyond the frame
        &[3, 0, 0, 7, 0, 0xF0, 0x80],                    // LI 0
        &[3, 0, 0, 7, 2, 0x00, 0x80],                    // no such code
        &[3, 0, 0, 9, 4, 0x10, 0, 0, 0],                 // ED
        &[3, 0, 0, 13, 8, 0xE0, 0, 0, 0, 1, 0, 0xC1, 9], // CR: a parameter beyond the header
    ];
    for frame in broken {
        let log = decode(&OTHER, &[(Side::Client, frame), (Side::Client, &dt(b"\x16\x03\x01\0", true))]);
        assert!(log.lines.iter().any(|line| line.starts_with("Malformed")), "{frame:?} {:?}", log.lines);
        assert!(log.lines.iter().any(|line| line.contains("opaque tls")), "{frame:?} {:?}", log.lines);
        assert_eq!(log.lost, 0);
    }
}

#[test]
fn contents_are_distinguished_and_reported_once() {
    let mms: &[u8] = &[13, 12, 5, 6, 0x13, 1, 0, 0x16, 1, 2, 0x28, 0xCA, 0x22, 2, 1];
    let cases: [(&[u8], &str); 5] = [
        (mms, "unknown mms"),
        (&[13, 5, 5, 6, 0x13, 1, 0], "unknown iso_session"),
        (&[0x16, 3, 1, 0, 5], "opaque tls"),
        (&[0x32, 1, 0, 0], "unknown s7comm"),
        (b"hello", "unknown other"),
    ];
    for (tsdu, name) in cases {
        let frame = dt(tsdu, true);
        let log = decode(&OTHER, &[(Side::Client, &frame), (Side::Client, &frame)]);
        let asked: Vec<_> = log.lines.iter().filter(|line| line.contains(" asks ")).collect();
        assert_eq!(asked.len(), 1, "{:?}", log.lines);
        assert!(asked[0].contains(name), "{asked:?}");
        assert_eq!(log.pdus.values().sum::<u32>(), 2);
    }
}

#[test]
fn the_opening_is_identified_by_its_first_known_content_in_any_fragmentation() {
    let setup = [0x32, 1, 0, 0, 0, 1, 0, 8, 0, 0, 0xF0, 0, 0, 1, 0, 1, 1, 0xE0];
    let pieces: Vec<u8> = setup[..17].iter().flat_map(|byte| dt(&[*byte], false)).collect();
    let probe = [CR, &dt(b"noise", true), &pieces, &dt(&setup[17..], true)].concat();
    let found = probe_opening(&probe);
    let IsoProbe::Carries { content: Content::S7comm, sender: Some(Side::Client), head, is_odd: false } = found else {
        unreachable!("{found:?}")
    };
    assert_eq!((head.bytes(), head.total), (&setup[..], Some(18)));
    for length in 0..probe.len() {
        assert!(matches!(probe_opening(&probe[..length]), IsoProbe::More | IsoProbe::Connected { .. }), "{length}");
    }
    // A connection request of RDP: its cookie is no parameter.
    assert!(matches!(probe_opening(b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0Cookie: "), IsoProbe::No));
    assert!(matches!(probe_opening(b"GET / HTTP/1.1"), IsoProbe::No));
}

#[test]
fn framing_needs_seven_bytes_and_in_another_version_an_exact_tpdu() {
    let invalid = FrameLen::Invalid("tpkt_version");
    let cases: [(&[u8], FrameLen); 16] = [
        (&[3, 0, 0, 7], FrameLen::Bytes(7)),
        (&[3, 0, 0, 6], FrameLen::Invalid("tpkt_length")),
        (&[3, 0, 0], FrameLen::Unknown),
        (&[4, 0, 0, 7], FrameLen::Unknown),
        (&[4, 0, 0, 7, 2, 0xF0, 0x80], FrameLen::Bytes(7)),
        (&[255, 7, 0x10, 0, 2, 0xF0, 0], FrameLen::Bytes(0x1000)),
        (&[0, 0, 0, 7, 2, 0xF0, 0x01], invalid),
        (&[0, 0, 0x20, 5, 2, 0xF0, 0x80], invalid),
        (&[0, 0, 0, 9, 3, 0xF0, 0x80], FrameLen::Unknown),
        (&[0, 0, 0, 11, 6, 0xE0, 0, 0, 0, 1, 0], FrameLen::Bytes(11)),
        (&[0, 0, 0, 11, 6, 0xE0, 0, 0, 0, 1, 4], invalid), // class 4
        (&[0, 0, 0, 12, 6, 0xE0], invalid),                // user data
        (&[3, 0, 0x20, 4, 9], FrameLen::Bytes(0x2004)),
        (&[3, 0, 0x20, 5, 9], FrameLen::Unknown),
        (&[3, 0, 0xFF, 0xFF, 6, 0xE0], FrameLen::Invalid("tpkt_length")),
        (b"GET / HTTP/1.1", invalid),
    ];
    for (bytes, expected) in cases {
        assert_eq!(frame_len(bytes), expected, "{bytes:02x?}");
    }
}

#[test]
fn a_frame_longer_than_negotiable_is_accepted_if_its_pdu_fills_it() {
    // A Write Var of 60,000 bytes: python-snap7 3.3.0 executes it in one frame, or in two.
    let frame = |length: u16, end: u8, data: u16| {
        let [[high, low], [d_high, d_low]] = [length, data].map(u16::to_be_bytes);
        [3, 0, high, low, 2, 0xF0, end, 0x32, 1, 0, 0, 0, 1, 0, 14, d_high, d_low]
    };
    assert_eq!(frame_len(&frame(60_031, 0x80, 60_000)), FrameLen::Bytes(60_031));
    assert_eq!(frame_len(&frame(30_000, 0x00, 60_000)), FrameLen::Bytes(30_000));
    assert_eq!(frame_len(&frame(60_031, 0x80, 59_999)), FrameLen::Invalid("tpkt_length"));
    assert_eq!(frame_len(&frame(60_031, 0x80, 60_000)[..16]), FrameLen::Unknown);
}
