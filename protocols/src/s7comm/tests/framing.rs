//! Wrong headers, as servers read them.

use super::*;
use crate::dissector::Transport;
use crate::session::Session;
use crate::testing::at;
use proptest::prelude::*;

const STOP: &[u8] = b"\x29\0\0\0\0\0\x09P_PROGRAM";
const STOPPED: &str = "control plc_stop 41";
const STOPPED_PERHAPS: &str = "control plc_stop 41 (ambiguous)";

/// A job and its headers, field by field.
#[derive(Clone, Debug)]
struct Headers {
    /// TPKT: version, reserved byte.
    tpkt: [u8; 2],
    /// COTP: length, code, number.
    cotp: [u8; 3],
    /// S7comm: protocol, ROSCTR, two reserved bytes.
    s7comm: [u8; 4],
}

impl Headers {
    const SOUND: Self = Self { tpkt: [3, 0], cotp: [2, 0xF0, 0x80], s7comm: [0x32, 1, 0, 0] };

    fn frame(&self, parameters: &[u8], data: &[u8]) -> Vec<u8> {
        let Self { tpkt, cotp, s7comm } = self;
        let [reference, p, d] = [7, parameters.len() as u16, data.len() as u16].map(u16::to_be_bytes);
        let tsdu = [s7comm, reference.as_slice(), &p, &d, parameters, data].concat();
        let length = (tsdu.len() as u16 + 7).to_be_bytes();
        [tpkt, length.as_slice(), cotp, &tsdu].concat()
    }

    /// Whether snap7 1.4.2 executes the job, as tested with its server.
    fn is_executed_by_snap7(&self) -> bool {
        let [length, code, number] = self.cotp;
        length >= 2 && code == 0xF0 && number & 0x80 != 0 && self.s7comm[1] == 1
    }

    /// The same of python-snap7 3.3.0.
    fn is_executed_by_python_snap7(&self) -> bool {
        let [_, code, number] = self.cotp;
        let [protocol, rosctr, ..] = self.s7comm;
        self.tpkt[0] == 3 && code == 0xF0 && number & 0x80 != 0 && protocol == 0x32 && !matches!(rosctr, 3 | 7)
    }

    fn is_sound(&self) -> bool {
        let Self { tpkt, cotp, s7comm } = self;
        (tpkt, cotp, &s7comm[..2]) == (&[3, 0], &[2, 0xF0, 0x80], &[0x32, 1])
    }
}

fn asked(log: &Log) -> Vec<String> {
    reported(log, "asks")
}

fn is_malformed(log: &Log) -> bool {
    !log.lines_of("Malformed").is_empty()
}

/// Some value that a field should have, or any other.
fn field(usual: u8) -> impl Strategy<Value = u8> {
    prop_oneof![2 => Just(usual), 1 => any::<u8>(), 1 => 0u8..9]
}

fn headers() -> impl Strategy<Value = Headers> {
    let tpkt = [field(3), field(0)];
    (
        tpkt,
        field(2),
        prop_oneof![9 => Just(0xF0_u8), 1 => any::<u8>()],
        field(0x80),
        field(0x32),
        field(1),
        any::<[u8; 2]>(),
    )
        .prop_map(|(tpkt, length, code, number, protocol, rosctr, [one, two])| Headers {
            tpkt,
            cotp: [length, code, number],
            s7comm: [protocol, rosctr, one, two],
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_a_server_executes_is_announced_and_said_to_be_malformed(headers in headers(), stops in any::<bool>()) {
        let write = [&[5, 1], db(20, 0, 1).as_slice()].concat();
        let (frame, class) = match stops {
            true => (headers.frame(STOP, &[]), "control"),
            false => (headers.frame(&write, &[0, 4, 0, 8, 99]), "write"),
        };
        let sound = Headers::SOUND.frame(STOP, &[]);
        let log = decode_conversation(&[(Client, frame.clone()), (Client, sound)]);
        if headers.is_executed_by_snap7() || headers.is_executed_by_python_snap7() {
            let found = asked(&log).iter().any(|line| line.starts_with(&std::format!("0.0 {class}")));
            prop_assert!(found, "{:02x?} {:?}", frame, log.lines);
            prop_assert!(headers.is_sound() || is_malformed(&log), "{:02x?} {:?}", frame, log.lines);
        }
        prop_assert!(asked(&log).iter().any(|line| line.contains(STOPPED)), "what follows is read: {:?}", log.lines);
    }
}

#[test]
fn every_version_and_reserved_byte_of_a_frame_is_decoded_and_reported_each_time() {
    for version in (0..=255).filter(|version| *version != 3) {
        let odd = Headers { tpkt: [version, 0], ..Headers::SOUND }.frame(STOP, &[]);
        let log = decode_conversation(&[(Client, odd.clone()), (Server, ack_data(7, &[0x29], &[])), (Client, odd)]);
        assert_eq!(asked(&log).len(), 2, "{version}");
        assert_eq!(reported(&log, "accepted").len(), 1, "the answer is paired");
        let fault = std::format!("Malformed tpkt_version {version} from Client");
        assert_eq!(log.lines_of("Malformed"), [fault.as_str(), &fault]);
    }
    let log = decode_conversation(&[(Client, Headers { tpkt: [3, 7], ..Headers::SOUND }.frame(STOP, &[]))]);
    assert_eq!(log.lines_of("Malformed"), ["Malformed tpkt_reserved 7 from Client"]);
    assert_eq!(asked(&log), ["0.0 control plc_stop 41"]);
}

#[test]
fn other_protocol_ids_and_kinds_are_jobs_where_their_lengths_and_function_are_those_of_one() {
    for [protocol, rosctr] in
        [[0x00, 1], [0x33, 1], [0x72, 1], [0x32, 0], [0x32, 2], [0x32, 4], [0x32, 8], [0x32, 0xFF]]
    {
        let odd = Headers { s7comm: [protocol, rosctr, 0, 0], ..Headers::SOUND };
        let log = decode_conversation(&[(Client, odd.frame(STOP, &[])), (Server, ack_data(7, &[0x29], &[]))]);
        assert_eq!(asked(&log), ["0.0 control plc_stop 41"], "{protocol:02x} {rosctr:02x}");
        assert_eq!(reported(&log, "accepted").len(), 1);
        let fault = if protocol == 0x32 { ("rosctr", rosctr) } else { ("protocol_id", protocol) };
        assert_eq!(log.lines_of("Malformed"), [std::format!("Malformed {} {} from Client", fault.0, fault.1)]);
    }
    // Other lengths or an unknown function: no job, but reported.
    let longer =
        [Headers { s7comm: [0, 1, 0, 0], ..Headers::SOUND }.frame(STOP, &[])[7..].to_vec(), std::vec![0]].concat();
    let log = decode_conversation(&[
        (Client, frame(&longer)),
        (Client, Headers { s7comm: [0, 1, 0, 0], ..Headers::SOUND }.frame(b"\x42", &[])),
    ]);
    assert_eq!(asked(&log), ["0.0 unknown other 5"]);
}

#[test]
fn an_answer_stays_an_answer_and_is_no_job_of_kind_2() {
    // ROSCTR 2 with an error behind its header, as controllers refuse.
    let refusal = pdu(2, 7, &[0x81, 0x04], &[], &[]);
    let log = decode_conversation(&[(Client, job(7, STOP, &[])), (Server, refusal)]);
    assert_eq!(asked(&log).len(), 1, "{:?}", log.lines);
    assert!(reported(&log, "refused")[0].starts_with("(33028 service_not_implemented)"));
    // The answer of a server that gives another number as its protocol's ends the job.
    let mut answer = ack_data(7, &[0x29], &[]);
    answer[7] = 0x33;
    let log = decode_conversation(&[(Client, job(7, STOP, &[])), (Server, answer)]);
    assert_eq!(reported(&log, "accepted").len(), 1);
    assert_eq!(log.lines_of("Malformed"), ["Malformed protocol_id 51 from Server"]);
}

#[test]
fn userdata_under_another_kind_are_userdata() {
    // Set clock; ROSCTR 8.
    let mut set = userdata(2, 0x40, (7, 2), &[0], &[0, 0x19, 0x26, 1, 1, 0, 0, 0, 0, 5]);
    set[8] = 8;
    let log = decode_conversation(&[(Client, set)]);
    assert_eq!(asked(&log), ["0.0 time set_clock 1794 = 0x00192601010000000005"]);
    assert_eq!(log.lines_of("Malformed"), ["Malformed rosctr 8 from Client"]);
}

#[test]
fn a_client_that_answers_nothing_asks_for_servers_that_look_at_four_bits_of_the_group() {
    let clock = [0, 0x19, 0x26, 1, 1, 0, 0, 0, 0, 5];
    let set = "time set_clock 1794 (ambiguous) = 0x00192601010000000005";
    // Type 2, an answer; type 1 and group 0x17, of which four bits are 7.
    let log = decode_conversation(&[
        (Client, userdata(1, 0x80, (7, 2), &[0], &clock)),
        (Client, userdata(2, 0x40, (0x17, 2), &[0], &clock)),
    ]);
    let asked = asked(&log);
    assert_eq!(asked[0], std::format!("0.0 {set}"));
    assert!(asked[1].starts_with("1.0 unknown unknown_userdata 5890"), "{asked:?}");
    assert_eq!(asked[2], std::format!("2.0 {set}"));
    // Groups that exist keep their meaning, and partners answer each other.
    let log = decode_conversation(&[
        (Client, userdata(1, 0x40, (0x3F, 7), &[0], &[1])),
        (Client, userdata(2, 0x80, (6, 1), &[0], &[1])),
    ]);
    assert_eq!(reported(&log, "asks"), ["0.0 program-upload nc_upload 16135 = 0x01"]);
}

#[test]
fn a_cotp_header_that_states_another_length_has_two_readings() {
    // LI 5: three bytes of options for one server; for the others they are the beginning of the PDU.
    let write = |db_number: u16| {
        let parameters = [&[5, 1], db(db_number, 0, 1).as_slice()].concat();
        job(1, &parameters, &[0, 4, 0, 8, 99])[7..].to_vec()
    };
    let only = |header: u8, tsdu: &[u8]| {
        let length = (tsdu.len() as u16 + 7).to_be_bytes();
        [&[3, 0, length[0], length[1], header, 0xF0, 0x80], tsdu].concat()
    };
    for (header, tsdu) in
        [(5, write(1)), (0, write(1)), (255, write(1)), (5, [b"\x01\x02\x03", write(1).as_slice()].concat())]
    {
        let log = decode_conversation(&[(Client, only(header, &tsdu))]);
        assert_eq!(asked(&log), ["0.0 write write_var 5 area=DB db=1 byte=0 bytes=1 = 0x63"], "{header}");
        assert_eq!(log.lines_of("Malformed"), ["Malformed cotp_data_header_length from Client"]);
    }
    // Sound in both: behind the stated header a Write Var of DB 1, which is data of one of DB 2 behind three bytes.
    let (inner, head) = (write(1), [&[0x32, 1, 0, 0, 0, 1, 0, 14], [0, 4 + write(1).len() as u8].as_slice()].concat());
    let outer = [&head, [5, 1].as_slice(), &db(2, 0, 29), &[0, 4, 0, 29 * 8], &inner].concat();
    let log = decode_conversation(&[(Client, only(2 + 28, &outer))]);
    assert_eq!(inner.len(), 29);
    assert_eq!(asked(&log).len(), 2, "{:?}", log.lines);
    assert!(asked(&log)[0].starts_with("0.0 write write_var 5 (ambiguous) area=DB db=1 byte=0 bytes=1"));
    assert!(asked(&log)[1].starts_with("1.0 write write_var 5 (ambiguous) area=DB db=2 byte=0 bytes=29"));
}

#[test]
fn fragments_with_wrong_headers_are_joined_in_both_readings() {
    let stop = job(1, STOP, &[])[7..].to_vec();
    let piece = |header: u8, end: u8, data: &[u8]| {
        let length = (data.len() as u16 + 7).to_be_bytes();
        [&[3, 0, length[0], length[1], header, 0xF0, end], data].concat()
    };
    // By the stated header length, the second fragment is two bytes shorter: then it is no PDU.
    let fragments = [piece(2, 0, &stop[..12]), piece(4, 0, &stop[12..20]), piece(2, 0x80, &stop[20..])];
    let log = decode_conversation(&[(Client, fragments.concat()), (Client, job(2, STOP, &[]))]);
    assert_eq!(asked(&log), ["0.0 control plc_stop 41", "1.0 control plc_stop 41"]);
}

#[test]
fn a_whole_pdu_that_goes_on_with_a_tsdu_is_one_for_servers_that_gave_up_waiting() {
    let mut begun = frame(&[b'x'; 30]);
    begun[6] = 0;
    let log = decode_conversation(&[(Client, begun), (Client, job(1, STOP, &[])), (Client, job(2, STOP, &[]))]);
    assert_eq!(asked(&log), ["0.0 unknown other 5", "1.0 control plc_stop 41 (ambiguous)", "2.0 control plc_stop 41"]);
    assert_eq!(log.lines_of("Malformed"), ["Malformed pdu_inside_tsdu 26 from Client"]);
}

#[test]
fn a_connection_request_drops_an_incomplete_tsdu() {
    let mut begun = frame(&[9; 30]);
    begun[6] = 0;
    let connect = std::vec![3, 0, 0, 11, 6, 0xE0, 0, 0, 0, 1, 0];
    let log = decode_conversation(&[(Client, begun), (Client, connect), (Client, job(1, STOP, &[]))]);
    assert!(asked(&log).contains(&"1.0 control plc_stop 41".into()), "{:?}", log.lines);
    assert_eq!(log.lost, 30);
    assert!(!is_malformed(&log));
}

#[test]
fn a_job_without_parameters_has_its_function_behind_its_header() {
    let log = decode_conversation(&[(Client, job(1, &[], STOP)), (Client, job(2, &[], &[]))]);
    assert_eq!(asked(&log), ["0.0 control plc_stop 41", "1.0 unknown unknown_job 0 unread=function"]);
    assert_eq!(log.lines_of("Malformed").len(), 2);
}

#[test]
fn a_pdu_hidden_in_the_length_of_another_is_read() {
    let read = job(1, &[&[4, 1], db(1, 0, 1).as_slice()].concat(), &[])[7..].to_vec();
    let stop = job(2, STOP, &[]);
    // Behind the PDU as a PDU, as a whole frame, or in half a frame of which the rest never came.
    let mut half = [&read[..20], &stop].concat();
    half[9] = 60;
    for tsdu in [[read.clone(), stop[7..].to_vec()].concat(), [read, stop].concat(), half] {
        let log = decode_conversation(&[(Client, frame(&tsdu))]);
        assert!(asked(&log)[0].starts_with("0.0 read read_var 4"), "{:?}", log.lines);
        assert_eq!(
            asked(&log).last().map(String::as_str),
            Some("1.0 control plc_stop 41 (ambiguous)"),
            "{:?}",
            log.lines
        );
        assert!(
            log.lines_of("Malformed").contains(&"Malformed pdu_length_mismatch 50 from Client") || is_malformed(&log)
        );
    }
}

#[test]
fn a_pdu_whose_header_is_odd_too_hides_neither_in_another_nor_in_a_tsdu() {
    let read = job(1, &[&[4, 1], db(1, 0, 1).as_slice()].concat(), &[])[7..].to_vec();
    for s7comm in [[0, 1, 0, 0], [0x32, 0, 0, 0], [0x32, 1, 0, 1], [0x72, 4, 9, 9]] {
        for (tpkt, number) in [([3, 0], 0x80), ([0, 7], 0x80), ([3, 0], 0x81)] {
            let stop = Headers { tpkt, cotp: [2, 0xF0, number], s7comm }.frame(STOP, &[]);
            let log = decode_conversation(&[(Client, frame(&[read.clone(), stop.clone()].concat()))]);
            let last = asked(&log).last().cloned().unwrap_or_default();
            assert!(last.ends_with(STOPPED_PERHAPS), "{s7comm:02x?}: {:?}", log.lines);
            // The beginning of a TSDU without its rest: any bytes may continue it.
            if ![0x32, 0].contains(&s7comm[0]) {
                continue;
            }
            let mut begun = frame(&read);
            begun[6] = 0;
            let log = decode_conversation(&[(Client, begun), (Client, stop)]);
            let last = asked(&log).last().cloned().unwrap_or_default();
            assert!(last.ends_with(STOPPED_PERHAPS), "{s7comm:02x?}: {:?}", log.lines);
        }
    }
}

#[test]
fn a_pdu_behind_half_a_frame_of_anything_is_read_and_nesting_costs_nothing() {
    // A frame of which half came, and no more: snap7 takes what comes three seconds later for the next frame.
    let half = [b"anything".as_slice(), &job(2, STOP, &[]), b"more"].concat();
    let log = decode_conversation(&[(Client, job(1, &[0xF0, 0, 0, 1, 0, 1, 1, 0xE0], &[])), (Client, frame(&half))]);
    assert!(asked(&log).last().is_some_and(|line| line.ends_with(STOPPED_PERHAPS)), "{:?}", log.lines);
    // PDUs of S7comm-plus in each other are searched once.
    let mut nested = Vec::new();
    for _ in 0..700 {
        let length = (nested.len() as u16 + 2).to_be_bytes();
        nested = [&[0x72, 1, length[0], length[1], 0x31, 0], nested.as_slice(), &[0x72, 1, 0, 0]].concat();
    }
    let log = decode_conversation(&[
        (Client, job(1, &[0xF0, 0, 0, 1, 0, 1, 1, 0xE0], &[])),
        (Client, frame(&[&[9], nested.as_slice()].concat())),
    ]);
    assert_eq!(log.lines_of("Malformed").len(), 1, "{:?}", log.lines);
}

#[test]
fn a_tsdu_longer_than_is_kept_is_read_as_far_as_it_is() {
    let limits = Limits { partial: 100, ..Limits::default() };
    let mut log = Log::default();
    let mut session = Session::new(&super::super::S7COMM, Transport::Tcp, &limits, false);
    let write =
        job(1, &[&[5, 1], db(3, 0, 150).as_slice()].concat(), &[&[0, 4, 4, 0xB0], [7; 150].as_slice()].concat());
    let mut pieces: Vec<_> = write[7..].chunks(40).map(frame).collect();
    let last = pieces.len() - 1;
    pieces[..last].iter_mut().for_each(|piece| piece[6] = 0);
    session.feed_stream(Client, &pieces.concat(), &at(0), &mut log);
    session.feed_stream(Client, &job(2, STOP, &[]), &at(0), &mut log);
    session.finish(&mut log);
    assert!(asked(&log)[0].starts_with("0.0 write write_var 5 area=DB db=3 byte=0 bytes=150"), "{:?}", log.lines);
    assert_eq!(asked(&log).last().map(String::as_str), Some("1.0 control plc_stop 41"));
    assert_eq!(log.lines_of("Limit"), ["Limit tsdu_too_long from Client"]);
}
