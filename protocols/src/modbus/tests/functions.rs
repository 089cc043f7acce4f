//! Every function: the fields of its request and of its answer.

use super::{ask, exchange, frame};
use crate::Side;
use crate::modbus::{RTU, TCP};
use crate::testing::decode;

#[test]
fn read_coils_gives_as_many_bits_as_were_asked_for() {
    let log = exchange(
        &[
            0x01, // read coils
            0x00, 0x13, // starting address 19
            0x00, 0x0A, // quantity 10
        ],
        &[
            0x01, // read coils
            0x02, // byte count
            0xCD, // coils 19 to 26
            0xFF, // coils 27 and 28, and six bits that do not count
        ],
    );
    let what = "read read_coils 1 unit=1 table=coil address=19 count=10";
    assert_eq!(
        log.lines,
        [
            std::format!("0 asks 0.0 {what}"),
            std::format!("0 accepted 0.0 after 0: {what} = [1, 0, 1, 1, 0, 0, 1, 1, 1, 1]"),
        ]
    );
}

#[test]
fn read_discrete_inputs_reads_their_table() {
    let log = exchange(&[0x02, 0x00, 0xC4, 0x00, 0x03], &[0x02, 0x01, 0b101]);
    assert!(
        log.lines[1].ends_with("read_discrete_inputs 2 unit=1 table=discrete_input address=196 count=3 = [1, 0, 1]")
    );
}

#[test]
fn read_holding_and_input_registers_give_big_endian_values() {
    let answer = [
        0x03, // read holding registers
        0x04, // byte count
        0x03, 0x84, // 900
        0xFF, 0xFF, // 65535
    ];
    let log = exchange(&[0x03, 0x00, 0x28, 0x00, 0x02], &answer);
    assert!(log.lines[1].ends_with("table=holding_register address=40 count=2 = [900, 65535]"));
    let log = exchange(&[0x04, 0x00, 0x08, 0x00, 0x01], &[0x04, 0x02, 0x00, 0x0A]);
    assert!(log.lines[1].ends_with("read_input_registers 4 unit=1 table=input_register address=8 count=1 = [10]"));
}

#[test]
fn write_single_coil_is_on_or_off() {
    let on = [
        0x05, // write single coil
        0x00, 0xAC, // address 172
        0xFF, 0x00, // on
    ];
    let log = exchange(&on, &on);
    assert_eq!(log.lines[0], "0 asks 0.0 write write_single_coil 5 unit=1 table=coil address=172 count=1 = [1]");
    assert_eq!(log.lines[1], "0 accepted 0.0 after 0: write write_single_coil 5 unit=1 table=coil address=172 count=1");
    assert!(ask(&[0x05, 0x00, 0xAC, 0x00, 0x00]).lines[0].ends_with("= [0]"));
}

#[test]
fn write_single_register_carries_its_value() {
    let write = [
        0x06, // write single register
        0x00, 0x28, // address 40
        0x03, 0x84, // 900
    ];
    let log = exchange(&write, &write);
    assert!(
        log.lines[0]
            .ends_with("write write_single_register 6 unit=1 table=holding_register address=40 count=1 = [900]")
    );
    assert!(log.lines[1].starts_with("0 accepted"));
}

#[test]
fn read_exception_status_gives_eight_bits() {
    let log = exchange(&[0x07], &[0x07, 0x6D]);
    assert!(log.lines[1].ends_with("diagnostic read_exception_status 7 unit=1 = [1, 0, 1, 1, 0, 1, 1, 0]"));
}

#[test]
fn diagnostics_are_named_and_classed_by_their_sub_function() {
    let of = |sub: u8, data: [u8; 2]| ask(&[0x08, 0x00, sub, data[0], data[1]]).lines[0].clone();
    assert_eq!(of(0, [0xA5, 0x37]), "0 asks 0.0 diagnostic return_query_data 8 unit=1 subfunction=0 = [42295]");
    assert!(of(1, [0xFF, 0]).contains("control restart_communications_option 8 unit=1 subfunction=1"));
    assert!(of(4, [0, 0]).contains("control force_listen_only_mode 8"));
    assert!(of(10, [0, 0]).contains("diagnostic-clear clear_counters_and_diagnostic_register 8"));
    assert!(of(0x14, [0, 0]).contains("diagnostic-clear clear_overrun_counter_and_flag 8"));
    assert!(of(0x30, [0, 0]).contains("unknown diagnostics_reserved 8"));
}

#[test]
fn comm_event_counter_and_log_are_read() {
    let log = exchange(&[0x0B], &[0x0B, 0xFF, 0xFF, 0x01, 0x08]);
    assert!(log.lines[1].ends_with("get_comm_event_counter 11 unit=1 = [65535, 264]"));
    let answer = [
        0x0C, // get comm event log
        0x08, // byte count
        0x00, 0x00, // status
        0x01, 0x08, // event count
        0x01, 0x21, // message count
        0x20, 0x00, // events
    ];
    assert!(exchange(&[0x0C], &answer).lines[1].ends_with("get_comm_event_log 12 unit=1 = 0x0000010801212000"));
}

#[test]
fn write_multiple_coils_carries_its_bits() {
    let log = exchange(
        &[
            0x0F, // write multiple coils
            0x00, 0x13, // starting address 19
            0x00, 0x0A, // quantity 10
            0x02, // byte count
            0xCD, 0x01, // the bits
        ],
        &[0x0F, 0x00, 0x13, 0x00, 0x0A],
    );
    assert!(
        log.lines[0].ends_with(
            "write_multiple_coils 15 unit=1 table=coil address=19 count=10 = [1, 0, 1, 1, 0, 0, 1, 1, 1, 0]"
        )
    );
    assert!(log.lines[1].ends_with("count=10"));
    assert_eq!(log.lines.len(), 2);
}

#[test]
fn write_multiple_registers_carries_its_values() {
    let log = exchange(
        &[
            0x10, // write multiple registers
            0x00, 0x01, // starting address 1
            0x00, 0x02, // quantity 2
            0x04, // byte count
            0x00, 0x0A, // 10
            0x01, 0x02, // 258
        ],
        &[0x10, 0x00, 0x01, 0x00, 0x02],
    );
    assert!(
        log.lines[0]
            .ends_with("write_multiple_registers 16 unit=1 table=holding_register address=1 count=2 = [10, 258]")
    );
    assert_eq!(log.lines.len(), 2);
}

#[test]
fn each_record_of_a_file_is_an_operation() {
    let request = [
        0x14, // read file record
        0x0E, // byte count
        0x06, 0x00, 0x04, 0x00, 0x01, 0x00, 0x02, // file 4, record 1, two registers
        0x06, 0x00, 0x03, 0x00, 0x09, 0x00, 0x01, // file 3, record 9, one register
    ];
    let answer = [
        0x14, // read file record
        0x09, // response length
        0x05, 0x06, 0x0D, 0xFE, 0x00, 0x20, // two registers
        0x03, 0x06, 0x33, // half a register: the answer is cut off
    ];
    let log = exchange(&request, &answer);
    assert_eq!(log.lines[0], "0 asks 0.0 read read_file_record 20 unit=1 file=4 record=1 count=2");
    assert_eq!(log.lines[1], "0 asks 0.1 read read_file_record 20 unit=1 file=3 record=9 count=1");
    assert!(log.lines[2].starts_with("0 accepted 0.0") && log.lines[2].ends_with("= [3582, 32]"));
    assert_eq!(log.lines[3], "Malformed truncated_answer 10 from Server");
    assert!(log.lines[4].starts_with("0 accepted 0.1") && log.lines[4].ends_with("count=1"));
}

#[test]
fn written_file_records_carry_their_values() {
    let write = [
        0x15, // write file record
        0x0D, // request data length
        0x06, 0x00, 0x04, 0x00, 0x07, 0x00, 0x03, // file 4, record 7, three registers
        0x06, 0xAF, 0x04, 0xBE, 0x10, 0x0D, // their values
    ];
    let log = exchange(&write, &write);
    assert_eq!(
        log.lines[0],
        "0 asks 0.0 write write_file_record 21 unit=1 file=4 record=7 count=3 = [1711, 1214, 4109]"
    );
    assert_eq!(log.lines[1], "0 accepted 0.0 after 0: write write_file_record 21 unit=1 file=4 record=7 count=3");
}

#[test]
fn mask_write_register_carries_both_masks() {
    let write = [
        0x16, // mask write register
        0x00, 0x04, // address 4
        0x00, 0xF2, // AND mask
        0x00, 0x25, // OR mask
    ];
    let log = exchange(&write, &write);
    assert!(
        log.lines[0]
            .ends_with("write mask_write_register 22 unit=1 table=holding_register address=4 count=1 = [242, 37]")
    );
}

#[test]
fn read_write_multiple_registers_is_a_write_and_then_a_read() {
    let log = exchange(
        &[
            0x17, // read/write multiple registers
            0x00, 0x03, // read starting address 3
            0x00, 0x02, // quantity to read 2
            0x00, 0x0E, // write starting address 14
            0x00, 0x01, // quantity to write 1
            0x02, // write byte count
            0x00, 0xFF, // 255
        ],
        &[0x17, 0x04, 0x00, 0xFE, 0x0A, 0xCD],
    );
    let what = "read_write_multiple_registers 23 unit=1 table=holding_register";
    assert_eq!(
        log.lines,
        [
            std::format!("0 asks 0.0 write {what} address=14 count=1 = [255]"),
            std::format!("0 asks 0.1 read {what} address=3 count=2"),
            std::format!("0 accepted 0.0 after 0: write {what} address=14 count=1"),
            std::format!("0 accepted 0.1 after 0: read {what} address=3 count=2 = [254, 2765]"),
        ]
    );
}

#[test]
fn read_fifo_queue_gives_the_queue() {
    let answer = [
        0x18, // read FIFO queue
        0x00, 0x06, // byte count
        0x00, 0x02, // FIFO count
        0x01, 0xB8, // 440
        0x12, 0x84, // 4740
    ];
    let log = exchange(&[0x18, 0x04, 0xDE], &answer);
    assert!(
        log.lines[1].ends_with("read_fifo_queue 24 unit=1 table=holding_register address=1246 count=1 = [440, 4740]")
    );
}

#[test]
fn device_identification_is_reported_object_by_object() {
    let log = exchange(
        &[0x2B, 0x0E, 0x01, 0x00],
        &[
            0x2B, 0x0E, // read device identification
            0x01, // basic
            0x81, // conformity level
            0xFF, // more follows
            0x07, // next object
            0x03, // number of objects
            0x00, 0x04, b'A', b'c', b'm', b'e', // vendor name
            0x02, 0x04, b'V', b'2', b'.', b'1', // revision
            0x80, 0x01, b'x', // an object of the vendor's own
        ],
    );
    assert_eq!(log.lines[0], "0 asks 0.0 identify read_device_identification 43 unit=1 mei=14 = 0x0100");
    assert_eq!(
        log.lines_of("identity"),
        [
            "identity of Server 1: vendor = Acme",
            "identity of Server 1: firmware = V2.1",
            "identity of Server 1: object_80 = x",
        ]
    );
    assert!(log.lines_of("Malformed").is_empty());
    assert_eq!(log.pdus.get(&(4, 14)), Some(&2));
}

#[test]
fn report_server_id_yields_the_run_state_and_the_text() {
    let log = exchange(&[0x11], b"\x11\x0b\x00\xffWingpath\x00");
    assert_eq!(log.lines_of("identity"), ["identity of Server 1: run_state = on"]);
    let log = exchange(&[0x11], b"\x11\x0a\x00\xffWingpath");
    assert_eq!(log.lines_of("identity")[1], "identity of Server 1: server_id = Wingpath");
    let log = exchange(&[0x11], b"\x11\x05PLC1\x00");
    assert_eq!(
        log.lines_of("identity"),
        ["identity of Server 1: run_state = off", "identity of Server 1: server_id = PLC1"]
    );
}

#[test]
fn canopen_and_other_mei_types_are_apart() {
    assert!(ask(&[0x2B, 0x0D, 0x01]).lines[0].contains("write canopen_general_reference 43 unit=1 mei=13 = 0x01"));
    assert!(ask(&[0x2B, 0x00]).lines[0].contains("unknown reserved_mei 43 unit=1 mei=0"));
}

#[test]
fn umas_functions_have_their_own_classes_and_refusals() {
    let stop = [
        0x5A, // UMAS
        0x2A, // reservation key
        0x41, // stop the controller
        0xFF, 0x00, // data
    ];
    let log = exchange(&stop, &[0x5A, 0x2A, 0xFD, 0x80]);
    assert_eq!(log.lines[0], "0 asks 0.0 control umas_stop_plc 90 unit=1 umas=65 = 0xff00");
    assert!(log.lines[1].starts_with("0 refused(253 umas_error) 0.0") && log.lines[1].ends_with("= 0x80"));
    let log = exchange(&[0x5A, 0x00, 0x02], b"\x5a\x00\xfe\x06\x00\x0bBMX P34 2020\x00");
    assert_eq!(log.lines_of("identity"), ["identity of Server 1: name = BMX P34 2020"]);
    assert!(ask(&[0x5A, 0x00, 0xC8]).lines[0].contains("vendor umas_other 90 unit=1 umas=200"));
}

#[test]
fn vendor_and_unassigned_functions_keep_their_bytes() {
    assert_eq!(ask(&[0x7D, 0x01, 0x02]).lines[0], "0 asks 0.0 firmware firmware_replacement 125 unit=1 = 0x0102");
    assert!(ask(&[0x41]).lines[0].contains("vendor user_defined_65 65"));
    assert!(ask(&[0x19]).lines[0].contains("unknown unassigned_25 25"));
}

#[test]
fn exceptions_are_refusals_by_name() {
    let log = exchange(&[0x03, 0x00, 0x28, 0x00, 0x02], &[0x83, 0x02]);
    assert!(log.lines[1].starts_with("0 refused(2 illegal_data_address) 0.0"));
    assert_eq!(log.pdus.get(&(2, 0x0302)), Some(&1));
    assert_eq!((TCP.pdu_groups[2].key)(0x0302), "3:2");
    let log = exchange(&[0x17, 0, 1, 0, 1, 0, 1, 0, 1, 2, 0, 0], &[0x97, 0x0A]);
    assert_eq!(log.lines.iter().filter(|line| line.contains("refused(10 gateway_path_unavailable)")).count(), 2);
}

#[test]
fn rtu_frames_are_decoded_like_others() {
    let request = [
        0x11, // unit 17
        0x03, // read holding registers
        0x00, 0x6B, // starting address 107
        0x00, 0x03, // quantity 3
        0x76, 0x87, // CRC
    ];
    let answer = [
        0x11, // unit 17
        0x03, // read holding registers
        0x06, // byte count
        0xAE, 0x41, 0x56, 0x52, 0x43, 0x40, // the registers
        0x49, 0xAD, // CRC
    ];
    let log = decode(&RTU, &[(Side::Client, &request), (Side::Server, &answer)]);
    assert_eq!(log.lines.len(), 2);
    assert!(log.lines[1].ends_with("unit=17 table=holding_register address=107 count=3 = [44609, 22098, 17216]"));
}

#[test]
fn a_datagram_holds_whole_frames_only() {
    let mut log = crate::testing::Log::default();
    let mut session = crate::Session::new(&TCP, crate::Transport::Udp, &crate::Limits::default(), false);
    let mut datagram = frame(1, 1, &[0x07]);
    datagram.extend(&frame(2, 1, &[0x0B])[..7]);
    session.feed_datagram(Side::Client, &datagram, &crate::testing::at(0), &mut log);
    assert_eq!(log.lines.len(), 2);
    assert_eq!(log.lines[1], "Malformed datagram_ends_inside_frame from Client");
    assert_eq!(log.lost, 7);
}

#[test]
fn a_write_that_brings_more_than_it_names_is_one_more_operation_without_a_target() {
    let registers = [
        0x10, // write multiple registers
        0x00, 0x28, // starting address 40
        0x00, 0x01, // quantity 1
        0x04, // byte count: two registers
        0x00, 0x07, 0x00, 0x08, // 7, 8
    ];
    let coils = [
        0x0F, // write multiple coils
        0x00, 0x28, // starting address 40
        0x00, 0x08, // quantity 8
        0x02, // byte count: 16 coils
        0xFF, 0xFF,
    ];
    let both = [
        0x17, // read/write multiple registers
        0x00, 0x01, 0x00, 0x01, // read 1 from 1
        0x00, 0x28, 0x00, 0x01, // write 1 to 40
        0x04, // byte count: two registers
        0x00, 0x07, 0x00, 0x08, // 7, 8
    ];
    let answers = [&registers[..5], &coils[..5], &[0x17, 2, 0, 1]];
    for (request, answer) in [&registers[..], &coils, &both].into_iter().zip(answers) {
        let log = exchange(request, answer);
        let beyond = |line: &&std::string::String| line.contains("write") && line.contains("unread=values");
        let reported: std::vec::Vec<_> = log.lines.iter().filter(beyond).collect();
        assert_eq!(reported.len(), 2, "asked and accepted: {:?}", log.lines);
        assert!(reported[0].contains("asks") && reported[1].contains("accepted"), "{reported:?}");
        let refused = exchange(request, &[request[0] | 0x80, 3]);
        assert_eq!(refused.lines.iter().filter(beyond).count(), 2, "{:?}", refused.lines);
    }
    let exact = exchange(&[0x10, 0, 40, 0, 1, 2, 0, 7], &[0x10, 0, 40, 0, 1]);
    assert!(!exact.lines.iter().any(|line| line.contains("unread")), "{:?}", exact.lines);
}

#[test]
fn rtu_devices_may_have_a_reserved_unit() {
    let write = [
        0xFF, // unit 255
        0x06, // write single register
        0x00, 0x05, // address 5
        0x00, 0x63, // 99
        0xCC, 0x3C, // CRC
    ];
    let log = decode(&RTU, &[(Side::Client, &write), (Side::Server, &write)]);
    assert!(log.lines[0].contains("write_single_register 6 unit=255 table=holding_register address=5"), "{log:?}");
    assert_eq!(log.lines.len(), 2);
}
