//! Identification of S7comm and of the client.

use super::*;
use crate::dissector::Transport;
use crate::identify::{Decision, Hints, Identifier, Roles};
use crate::{REGISTRY, iso};

/// TPKT, CR from PG to rack 0, slot 2.
const CR: &[u8] = &[3, 0, 0, 18, 13, 0xE0, 0, 0, 0, 1, 0, 0xC1, 0, 0xC2, 2, 1, 2, 0];

fn decide(port: u16, midstream: bool, client: &[u8], server: &[u8], exhausted: bool) -> (&'static str, bool) {
    let transport = Transport::Tcp;
    let (roles, declared) = (Roles::Guessed, Hints::default());
    let identifier = Identifier { transport, server_port: port, client_port: 49152, declared, roles, midstream };
    match identifier.decide(REGISTRY, [client, server], exhausted) {
        Decision::Identified { protocol, swapped } => (protocol.name, swapped),
        Decision::Undecided => ("undecided", false),
        Decision::Unknown => ("unknown", false),
    }
}

fn connect() -> Vec<u8> {
    let mut connect = CR.to_vec();
    connect.truncate(17);
    connect[3] = 17;
    connect[4] = 12;
    connect
}

fn setup() -> Vec<u8> {
    job(1, &[0xF0, 0, 0, 1, 0, 1, 1, 0xE0], &[])
}

#[test]
fn one_side_is_enough_on_its_port_and_both_are_needed_elsewhere() {
    let answer = ack_data(1, &[0xF0, 0, 0, 1, 0, 1, 0, 0xF0], &[]);
    assert_eq!(decide(102, false, &setup(), &[], false), ("s7comm", false));
    assert_eq!(decide(4102, false, &setup(), &[], false), ("undecided", false));
    assert_eq!(decide(4102, false, &setup(), &answer, false), ("s7comm", false));
    assert_eq!(decide(4102, false, &answer, &setup(), false), ("s7comm", true), "the roles were guessed wrongly");
}

#[test]
fn a_connection_is_not_claimed_before_it_carries_something() {
    assert_eq!(decide(102, false, &connect(), &[], false), ("undecided", false));
    assert_eq!(decide(102, false, &[connect(), setup()].concat(), &[], false), ("s7comm", false));
    assert_eq!(decide(102, false, &connect(), &[], true), ("iso-on-tcp", false), "nothing else came");
    let mms = frame(&[13, 12, 5, 6, 0x13, 1, 0, 0x16, 1, 2, 0x28, 0xCA, 0x22, 2, 1]);
    assert_eq!(decide(102, false, &[connect(), mms].concat(), &[], false), ("iso-on-tcp", false));
    assert_eq!(iso::OTHER.name, "iso-on-tcp");
}

#[test]
fn noise_before_the_first_job_hides_nothing() {
    let opening = [connect(), frame(b"noise"), setup()].concat();
    for length in connect().len()..opening.len() - 2 {
        assert_eq!(decide(102, false, &opening[..length], &[], false).0, "undecided", "{length}");
    }
    assert_eq!(decide(102, false, &opening, &[], false).0, "s7comm");
}

#[test]
fn a_flow_joined_inside_a_frame_is_recognised_by_a_later_one() {
    let opening = [&setup()[9..], &setup()].concat();
    assert_eq!(decide(102, true, &opening, &[], false), ("s7comm", false));
}

#[test]
fn a_download_that_the_controller_drives_does_not_swap_the_roles() {
    let block = job(0xC1, b"\x1B\0\0\0\0\0\0\0\x09_0800001P", &[]);
    assert_eq!(decide(102, true, &[], &block, false), ("s7comm", false));
    assert_eq!(decide(102, true, &ack_data(0xC1, &[0x1B, 0], &[0, 0, 0, 0xFB]), &block, false), ("s7comm", false));
}

#[test]
fn an_odd_first_pdu_is_enough_on_its_port_and_takes_several_sound_answers_elsewhere() {
    let answer = ack_data(1, &[0xF0, 0, 0, 1, 0, 1, 0, 0xF0], &[]);
    let odd = |at: usize, byte: u8| {
        let mut setup = setup();
        setup[at] = byte;
        setup
    };
    // TPKT version and reserved byte; COTP header length and number; protocol, ROSCTR and reserved byte of the PDU.
    for (at, byte) in [
        (0, 0),
        (0, 255),
        (1, 7),
        (4, 5),
        (4, 0),
        (6, 0x81),
        (7, 0),
        (7, 0x33),
        (7, 0x72),
        (7, 13),
        (7, 0x16),
        (8, 0),
        (8, 4),
        (9, 1),
    ] {
        let first = odd(at, byte);
        assert_eq!(decide(102, false, &first, &[], false), ("s7comm", false), "{at} {byte}");
        assert_eq!(decide(102, false, &[connect(), first.clone()].concat(), &[], false), ("s7comm", false));
        for length in 1..first.len() {
            assert_eq!(decide(102, false, &first[..length], &[], false).0, "undecided", "{at} {byte} {length}");
        }
        assert_eq!(decide(4102, false, &first, &answer, false), ("undecided", false), "{at} {byte}");
        assert_eq!(decide(4102, false, &first, &answer.repeat(3), false), ("s7comm", false), "{at} {byte}");
    }
}

#[test]
fn the_answers_of_a_server_alone_identify_the_protocol_and_the_client() {
    let answers = ack_data(1, &[5, 1], &[0xFF]).repeat(3);
    for midstream in [false, true] {
        assert_eq!(decide(102, midstream, &[], &answers[..22], false), ("s7comm", false));
        assert_eq!(decide(4102, midstream, &[], &answers, false), ("s7comm", false));
        assert_eq!(decide(4102, midstream, &answers, &[], false), ("s7comm", true), "the roles were guessed wrongly");
    }
}

#[test]
fn odd_frames_of_something_else_are_not_taken_for_s7comm() {
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: plc\r\n\r\n".as_slice(),
        b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03random and more of it",
    ] {
        assert_eq!(decide(102, false, bytes, &[], true).0, "unknown", "{bytes:?}");
    }
}

#[test]
fn a_side_that_is_joined_between_odd_frames_finds_the_next() {
    let mut stop = job(1, b"\x29\0\0\0\0\0\x09P_PROGRAM", &[]);
    (stop[0], stop[1]) = (9, 9);
    let mut log = Log::default();
    let mut session = crate::Session::new(&super::super::S7COMM, Transport::Tcp, &Limits::default(), true);
    session.feed_stream(Client, &[&stop[5..], &stop].concat(), &crate::testing::at(0), &mut log);
    session.finish(&mut log);
    assert_eq!(reported(&log, "asks"), ["0.0 control plc_stop 41"]);
    assert_eq!(log.lost, stop.len() - 5);
}
