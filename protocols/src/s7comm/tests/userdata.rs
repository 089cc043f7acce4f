//! Userdata: status lists, fragments, clock, password, test functions, indications.

use super::*;

const SZL: (u8, u8) = (4, 1);

/// An answer's sequence 2, data unit reference 0xD5, whether it is the last, no error.
const fn answer(more: bool) -> [u8; 5] {
    [2, 0xD5, more as u8, 0, 0]
}

#[test]
fn component_identification_in_two_fragments_names_the_controller() {
    let mut list = std::vec![0, 0x1C, 0, 0, 0, 34, 0, 4];
    for (index, text) in [(1, "Lock 7"), (5, "S C-B1U393142011"), (7, "CPU 315-2 PN/DP"), (2, "")] {
        list.extend([0, index]);
        list.extend(text.bytes().chain(core::iter::repeat(0)).take(32));
    }
    let (head, tail) = list.split_at(50);
    let log = decode_conversation(&[
        (Client, userdata(1, 0x40, SZL, &[0], &[0, 0x1C, 0, 0])),
        (Server, userdata(1, 0x80, SZL, &answer(true), head)),
        (Client, userdata(2, 0x40, SZL, &[2, 0, 0, 0, 0], &[])),
        (Server, userdata(2, 0x80, SZL, &answer(false), tail)),
    ]);
    assert_eq!(
        reported(&log, "asks"),
        ["0.0 identify read_szl 1025 szl=28 index=0", "1.0 identify read_szl 1025 szl=28 index=0"]
    );
    assert_eq!(
        log.lines_of("identity"),
        [
            "identity of Server 0: name = Lock 7",
            "identity of Server 0: serial = S C-B1U393142011",
            "identity of Server 0: model = CPU 315-2 PN/DP",
        ]
    );
    assert_eq!(log.pdus[&(super::super::USERDATA_GROUP, 0x1_0401)], 2);
}

#[test]
fn module_protection_and_mode_are_identities() {
    let order = b"6ES7 315-2EH14-0AB0 ";
    let module = |index: u8, version: &[u8; 4]| [&[0, index], order.as_slice(), &[0, 0xC0], version].concat();
    let lists: [(Vec<u8>, &[&str]); 4] = [
        (
            [&[0, 0x11, 0, 0, 0, 28, 0, 2], module(1, &[0, 3, 0, 1]).as_slice(), &module(7, b"V\x03\x02\x07")].concat(),
            &["product = 6ES7 315-2EH14-0AB0", "firmware = V3.2.7"],
        ),
        // Without the version, as some servers send it.
        ([&[0, 0x11, 0, 0, 0, 26, 0, 1, 0, 1], order.as_slice(), &[0; 4]].concat(), &["product = 6ES7 315-2EH14-0AB0"]),
        (
            [&[2, 0x32, 0, 4, 0, 40, 0, 1, 0, 4, 0, 1, 0, 3, 0, 3, 0, 2], [0; 30].as_slice()].concat(),
            &["protection_level = 3", "mode_switch = RUN_P"],
        ),
        ([&[4, 0x24, 0, 0, 0, 20, 0, 1, 0x51, 0x40, 0xFF, 4], [0; 16].as_slice()].concat(), &["run_state = STOP"]),
    ];
    for (list, expected) in lists {
        let log = decode_conversation(&[
            (Client, userdata(1, 0x40, SZL, &[0], &list[..4])),
            (Server, userdata(1, 0x80, SZL, &answer(false), &list)),
        ]);
        let found: Vec<_> = log.lines_of("identity").iter().filter_map(|line| line.split_once(": ")).collect();
        assert_eq!(found.iter().map(|(_, text)| *text).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_list_that_claims_more_records_than_it_has_invents_none() {
    let list = [0, 0x1C, 0, 0, 0, 34, 0xFF, 0xFF, 0, 1, b'X'];
    let log = decode_conversation(&[(Server, userdata(1, 0x80, SZL, &answer(false), &list))]);
    assert!(log.lines_of("identity").is_empty());
    assert_eq!(log.lines_of("Unmatched").len(), 1);
}

#[test]
fn a_password_is_an_event_and_never_a_value() {
    let secret = b"\x21\x3a\x1b\x1d\x6e\x68\x1b\x1d";
    let log = decode_conversation(&[
        (Client, userdata(6, 0x40, (5, 1), &[0], secret)),
        (Server, userdata(6, 0x80, (5, 1), &[1, 0, 0, 0xD6, 0x02], secret)),
        (Client, userdata(7, 0x40, (5, 2), &[0], &[])),
    ]);
    assert_eq!(reported(&log, "asks"), ["0.0 security plc_password 1281", "1.0 security clear_plc_password 1282"]);
    assert!(reported(&log, "refused")[0].starts_with("(54786 password_wrong)"), "{:?}", log.lines);
    assert!(!std::format!("{log:?}").contains("213a"));
}

#[test]
fn the_clock_is_read_and_set() {
    let clock = [0, 0x19, 0x16, 2, 8, 0x23, 8, 0x10, 0, 2];
    let log = decode_conversation(&[
        (Client, userdata(1, 0x40, (7, 1), &[0], &[])),
        (Client, userdata(2, 0x40, (7, 2), &[0], &clock)),
    ]);
    assert_eq!(
        reported(&log, "asks"),
        ["0.0 read read_clock 1793", "1.0 time set_clock 1794 = 0x00191602082308100002"]
    );
}

#[test]
fn modified_variables_are_writes_with_their_memory_and_values() {
    // Sizes 20 and 40; 20 bytes of parameters; 3 addresses: MD 0, MW 4, I 8.1; 3 data items.
    let mut data = std::vec![0, 20, 0, 40];
    data.extend([0; 20]);
    data.extend([0, 3, 3, 1, 0, 0, 0, 0, 2, 1, 0, 0, 0, 4, 0x10, 1, 0, 0, 0, 8]);
    data.extend([0, 9, 0, 4, 0x41, 0x33, 0x85, 0x1F, 0, 9, 0, 2, 0xDE, 0xAD, 0, 9, 0, 1, 1, 0]);
    let log = decode_conversation(&[(Client, userdata(1, 0x40, (1, 8), &[0], &data))]);
    assert_eq!(
        reported(&log, "asks"),
        [
            "0.0 write modify_variable 264 area=M byte=0 bytes=4 = 0x4133851f",
            "0.1 write modify_variable 264 area=M byte=4 bytes=2 = 0xdead",
            "0.2 write modify_variable 264 area=I byte=8 bit=1 bits=1 = [1]",
        ]
    );
}

#[test]
fn cyclic_services_name_the_memory_that_they_report() {
    let data = [&[0, 2, 1, 10], db(300, 4, 2).as_slice(), &db(200, 0, 2)].concat();
    let log = decode_conversation(&[(Client, userdata(1, 0x40, (2, 1), &[0], &data))]);
    assert_eq!(reported(&log, "asks")[1], "0.1 subscribe cyclic_transfer 513 area=DB db=200 byte=0 bytes=2");
}

#[test]
fn an_indication_of_a_controller_is_a_report_and_one_of_a_client_is_not() {
    // Mode transition: head, then group 0, mode 0 STOP.
    let mode = pdu(7, 0, &[], &[0, 1, 0, 0x10, 0x10, 0, 0, 0], &[]);
    let log = decode_conversation(&[
        (Server, mode),
        (Server, userdata(0, 0, (1, 8), &[0], &[1])),
        (Client, userdata(0, 0, (1, 8), &[0], &[1])),
    ]);
    assert_eq!(
        reported(&log, "asks"),
        [
            "0.0 report mode_transition 0 mode=0 index=0",
            "1.0 report modify_variable 264 = 0x01",
            "2.0 write modify_variable 264 = 0x01",
        ]
    );
    assert_eq!(log.lines_of("identity"), ["identity of Server 0: run_state = STOP"]);
    assert_eq!(reported(&log, "accepted").len(), 3);
    let keys: Vec<_> = log.pdus.keys().map(|(_, key)| super::super::userdata_key(*key)).collect();
    assert_eq!(keys, ["type0:grp1:sub8", "?:grp0"]);
}

#[test]
fn groups_have_six_bits() {
    let log = decode_conversation(&[
        (Client, userdata(1, 0x40, (0x20, 3), &[0], &[1])),
        (Client, userdata(2, 0x40, (0x3F, 1), &[0], &[])),
        (Client, userdata(3, 0x40, (0x2A, 9), &[0], &[])),
        (Client, userdata(4, 0x40, BLOCK_OF_TYPE, &[0], b"0B")),
    ]);
    assert_eq!(
        reported(&log, "asks"),
        [
            "0.0 write record_routing_data 8195 = 0x01",
            "1.0 program nc_request_download 16129",
            "2.0 unknown unknown_userdata 10761",
            "3.0 browse list_blocks_of_type 770 block=SDB",
        ]
    );
}

const BLOCK_OF_TYPE: (u8, u8) = (3, 2);
