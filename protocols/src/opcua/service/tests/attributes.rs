//! Read, Write, Call and history.

use super::*;

#[test]
fn a_read_names_each_attribute_and_range() {
    let body = "
        0000000000000000 00000000                                  / any age, source timestamps
        04000000                                                   / four attributes
        03 0200 0c000000 426f696c65722e4c6576656c                  / ns=2;s=Boiler.Level
          0d000000 ffffffff 0000 ffffffff                          / value, no range, no encoding
        02 0000 d2080000 0d000000 ffffffff 0000 ffffffff           / i=2258, numeric although four bytes would do
        02 0300 d2040000 05000000 ffffffff 0000 ffffffff           / ns=3;i=1234, attribute 5
        03 0200 05000000 4172726179 0d000000 03000000 303a32 0000 ffffffff / ns=2;s=Array, elements 0:2";
    let expected = ["read ns=2;s=Boiler.Level 13", "read i=2258 13", "read ns=3;i=1234 5", "read ns=2;s=Array 13[0:2]"];
    assert_eq!(asked(Service::Read, body), expected);
}

#[test]
fn every_value_read_has_its_own_status() {
    let body = "
        04000000
        07 0b 0000000000404540 00000000 00a0883a1bb4da01           / 42.5, good, 2024-06-01T12:00:00Z
        03 0d 00a0883a1bb4da01 00000000                            / a time, good
        03 00 00003480                                             / null, bad
        03 86 03000000 010000000200000003000000 00000000           / Int32 1, 2, 3
        00000000";
    let expected = ["good 42.5", "good Time(1717243200000000000)", "bad_node_id_unknown", "good 1 2 3"];
    assert_eq!(answered(Service::Read, body), expected);
}

#[test]
fn writing_a_value_is_class_write_and_any_other_attribute_is_class_program() {
    let body = "
        02000000
        03 0200 0f000000 426f696c65722e536574706f696e74 0d000000 ffffffff / ns=2;s=Boiler.Setpoint, value
          03 0b 0000000000005440 00000000                          / 80.0
        02 0200 72170000 11000000 ffffffff 03 03 03 00000000       / ns=2;i=6002, access level: 3";
    assert_eq!(asked(Service::Write, body), ["write ns=2;s=Boiler.Setpoint 13 80.0", "program ns=2;i=6002 17 3"]);
    let results = "02000000 00000000 00001f80 00000000";
    assert_eq!(answered(Service::Write, results), ["good", "bad_user_access_denied"]);
}

#[test]
fn a_matrix_with_wrong_dimensions_is_a_deviation() {
    let body = hex("
        01000000 02 0200 01000000 0d000000 ffffffff
        01 c3 02000000 0a0b 02000000 00000100 00000100             / two bytes as a matrix of 65536 x 65536");
    let mut seen = Vec::new();
    let result = visit_items(Service::Write, Reader::new(&body), Standard, |one| seen.push((item(one), one.deviation)));
    assert_eq!(result, Ok(()));
    assert_eq!(seen, [("write ns=2;i=1 13 10 11".into(), Some("array_dimensions"))]);
}

#[test]
fn a_call_names_object_method_and_arguments_and_has_the_class_of_its_method() {
    let body = "
        02000000
        03 0200 04000000 50756d70                                  / object ns=2;s=Pump
        03 0200 0a000000 50756d702e5374617274                      / method ns=2;s=Pump.Start
          02000000 05 0500 0c 04000000 66617374                    / UInt16 5, 'fast'
        02 0000 5d310000 02 0000 a9350000 00000000                 / ServerConfiguration.UpdateCertificate, no arguments";
    let expected = ["control ns=2;s=Pump . ns=2;s=Pump.Start 5 \"fast\"", "security i=12637 . i=13737"];
    assert_eq!(asked(Service::Call, body), expected);
    let results = "
        02000000
        00000000 02000000 0000000000000000 00000000 01000000 01 01 / good, both arguments good; true
        00001f80 00000000 00000000 00000000                        / refused
        00000000";
    assert_eq!(answered(Service::Call, results), ["good Bool(true)", "bad_user_access_denied"]);
}

#[test]
fn history_is_read_written_and_deleted() {
    let body = "
        01 00 8902 01 16000000 01 00a0883a1bb4da01 00a0883a1bb4da01 00000000 01 / ReadRawModifiedDetails, stepped over
        00000000 01                                                / source timestamps, release
        01000000 03 0200 0c000000 426f696c65722e4c6576656c ffffffff 0000 ffffffff ffffffff";
    assert_eq!(asked(Service::HistoryRead, body), ["read ns=2;s=Boiler.Level 13"]);
    let results = "01000000 00000000 ffffffff 01 00 9202 01 20000000
        02000000 03 0b 000000000000f83f 00000000 03 0b 0000000000000440 00000000 00000000 00000000";
    assert_eq!(answered(Service::HistoryRead, results).len(), 1);
    let body = "
        02000000
        01 00 aa02 01 29000000                                     / UpdateDataDetails
          03 0200 0c000000 426f696c65722e4c6576656c 01000000 01000000 03 0b 000000000000f83f 00000000
        01 00 b002 01 24000000                                     / DeleteRawModifiedDetails
          03 0200 0c000000 426f696c65722e4c6576656c 01 00a0883a1bb4da01 00a0883a1bb4da01";
    let expected = ["write ns=2;s=Boiler.Level", "diagnostic-clear ns=2;s=Boiler.Level"];
    assert_eq!(asked(Service::HistoryUpdate, body), expected);
    // The place of the node in an unknown structure is unknown.
    assert_eq!(
        asked(Service::HistoryUpdate, &body.replace("01 00 aa02", "01 00 0f27"))[0],
        "write unread history_update_details"
    );
    let results = "02000000 00000000 01000000 00000000 00000000 00001f80 00000000 00000000 00000000";
    assert_eq!(answered(Service::HistoryUpdate, results), ["good", "bad_user_access_denied"]);
}

#[test]
fn server_status_includes_build_info_and_state() {
    // ServerStatus: start, now, state 0, BuildInfo, seconds until shutdown, reason
    let status = hex("
        01 00 6003 01 4c000000 00a0883a1bb4da01 00a0883a1bb4da01 00000000
        05000000 75726e3a61 04000000 41636d65 07000000 506c616e742039 05000000 322e312e30 02000000 3432
        00a0883a1bb4da01 00000000 00");
    let structure = Values::Typed { kind: crate::operation::Kind::Structure, count: 1, bytes: &status };
    let info = BuildInfo {
        product_uri: b"urn:a",
        manufacturer: b"Acme",
        product: b"Plant 9",
        version: b"2.1.0",
        build: b"42",
        state: Some(0),
    };
    assert_eq!(BuildInfo::of(structure), Some(info));
    assert_eq!((state_name(0), state_name(4), state_name(8)), (Some("running"), Some("shutdown"), None));
    assert_eq!(BuildInfo::of(Values::Bytes(&status)), None);
}
