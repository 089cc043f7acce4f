//! Read Var and Write Var in every syntax.

use super::*;

/// The operations that a Read Var of these items is.
fn read(items: &[&[u8]]) -> Vec<String> {
    let parameters = [&[4, items.len() as u8], items.concat().as_slice()].concat();
    reported(&decode_conversation(&[(Client, job(1, &parameters, &[]))]), "asks")
}

#[test]
fn areas_and_sizes_give_bits_bytes_and_numbers() {
    let cases: [(&[u8], &str); 7] = [
        // S7ANY: size, count, DB, area, bit address.
        (&[0x12, 10, 0x10, 1, 0, 1, 0, 0, 0x81, 0, 0, 0x43], "area=I byte=8 bit=3 bits=1"),
        (&[0x12, 10, 0x10, 2, 0, 16, 0, 0, 0x82, 0, 0, 0], "area=Q byte=0 bytes=16"),
        (&[0x12, 10, 0x10, 6, 0, 2, 0, 0, 0x83, 0, 0, 0x80], "area=M byte=16 bytes=8"),
        (&[0x12, 10, 0x10, 8, 0, 1, 1, 0, 0x84, 0, 0, 0x20], "area=DB db=256 byte=4 bytes=4"),
        (&[0x12, 10, 0x10, 0x1C, 0, 2, 0, 0, 0x1C, 0, 0, 5], "area=C number=5 count=2"),
        (&[0x12, 10, 0x10, 0x1D, 0, 1, 0, 0, 0x1D, 0, 0, 7], "area=T number=7 count=1"),
        (&[0x12, 10, 0x10, 2, 0xFF, 0xFF, 0, 0, 3, 0, 0, 0], "area=other area_code=3 byte=0 bytes=65535"),
    ];
    for (item, target) in cases {
        assert_eq!(read(&[item]), [std::format!("0.0 read read_var 4 {target}")]);
    }
}

#[test]
fn every_other_syntax_names_its_target() {
    let cases: [(&[u8], &str); 8] = [
        // Symbolic: reserved, root area DB 5, checksum, two ids with flags in the upper four bits.
        (
            &[0x12, 18, 0xB2, 0xFF, 0x8A, 0x0E, 0, 5, 1, 2, 3, 4, 0x40, 0, 0, 9, 0x10, 0, 0, 2],
            "object=2316173317 id_1=9 id_2=2",
        ),
        (&[0x12, 8, 0x82, 0x41, 0, 2, 0, 1, 0x7F, 1], "nck=1098842114 index=1"),
        (&[0x12, 10, 0xA2, 0, 0, 0, 0, 0, 0x03, 0x9A, 0, 2], "drive_parameter=922 index=2"),
        (&[0x12, 6, 0x13, 0, 0, 0, 1, 0], "r_id=256 index=0"),
        (&[0x12, 8, 0x19, 8, 0, 0, 0x60, 1, 0, 0], "alarm=24577 index=0"),
        (&[0x12, 2, 0x77, 0], "syntax=119 index=0"),
        (&[0x12, 3, 0x78, 0, 0, 0], "syntax=120 index=0"), // odd: with a fill byte
        (&[0x12, 3, 0x79, 0, 0], "syntax=121 index=0"),    // the last one has none
    ];
    for (item, target) in cases {
        assert_eq!(read(&[item]), [std::format!("0.0 read read_var 4 {target}")]);
    }
}

#[test]
fn one_dbread_item_is_several_operations_that_share_its_answer() {
    // Two areas: 2 bytes of DB 1 from byte 4, 1 byte of DB 2 from byte 0; then a usual item.
    let several = [0x12, 12, 0xB0, 2, 2, 0, 1, 0, 4, 1, 0, 2, 0, 0];
    let parameters = [&[4, 2], several.as_slice(), &db(9, 0, 1)].concat();
    // A return code before the bytes of each area, as controllers answer WinCC; then the usual item, which is refused.
    let data = [0xFF, 9, 0, 5, 0xFF, 0xAA, 0xBB, 0xFF, 0xCC, 0, 0x0A, 0, 0, 0];
    let log = decode_conversation(&[(Client, job(1, &parameters, &[])), (Server, ack_data(1, &[4, 2], &data))]);
    assert_eq!(reported(&log, "asks").len(), 3);
    let accepted = reported(&log, "accepted");
    assert!(accepted[0].ends_with("area=DB db=1 byte=4 bytes=2 = 0xaabb"), "{accepted:?}");
    assert!(accepted[1].ends_with("area=DB db=2 byte=0 bytes=1 = 0xcc"), "{accepted:?}");
    assert!(reported(&log, "refused")[0].starts_with("(10 object_does_not_exist) 0.2"), "{:?}", log.lines);
    assert!(log.lines_of("Malformed").is_empty(), "{:?}", log.lines);
}

#[test]
fn each_area_of_a_dbread_item_has_its_own_end_with_or_without_its_bytes() {
    let several = [&[4, 1], [0x12, 17, 0xB0, 3, 2, 0, 1, 0, 4, 2, 0, 9, 0, 0, 1, 0, 2, 0, 7].as_slice()].concat();
    let answers: [&[u8]; 2] = [
        &[0xFF, 0xAA, 0xBB, 0x0A, 0, 0, 0xFF, 0xCC], // the bytes of the area that is refused are there
        &[0xFF, 0xAA, 0xBB, 0x0A, 0xFF, 0xCC],       // or not
    ];
    for bytes in answers {
        let data = [&[0xFF, 9, 0, bytes.len() as u8], bytes].concat();
        let log = decode_conversation(&[(Client, job(1, &several, &[])), (Server, ack_data(1, &[4, 1], &data))]);
        let accepted = reported(&log, "accepted");
        assert!(accepted[0].ends_with("db=1 byte=4 bytes=2 = 0xaabb"), "{accepted:?}");
        assert!(accepted[1].ends_with("db=2 byte=7 bytes=1 = 0xcc"), "{accepted:?}");
        let refused = reported(&log, "refused");
        assert_eq!(refused.len(), 1);
        assert!(refused[0].ends_with("0.1 after 0: read read_var 4 area=DB db=9 byte=0 bytes=2"), "{refused:?}");
    }
}

#[test]
fn each_written_item_has_its_value_and_its_own_end() {
    let bit = [0x12, 10, 0x10, 1, 0, 1, 0, 0, 0x82, 0, 0, 5];
    let parameters = [&[5, 3], db(1, 0, 1).as_slice(), &bit, &db(2, 6, 2)].concat();
    let data = [0, 4, 0, 8, 0x11, 0, 0, 3, 0, 1, 1, 0, 0, 4, 0, 16, 0x22, 0x33];
    let log =
        decode_conversation(&[(Client, job(5, &parameters, &data)), (Server, ack_data(5, &[5, 3], &[0xFF, 3, 5]))]);
    assert_eq!(
        reported(&log, "asks"),
        [
            "0.0 write write_var 5 area=DB db=1 byte=0 bytes=1 = 0x11",
            "0.1 write write_var 5 area=Q byte=0 bit=5 bits=1 = [1]",
            "0.2 write write_var 5 area=DB db=2 byte=6 bytes=2 = 0x2233",
        ]
    );
    assert_eq!(reported(&log, "accepted").len(), 1);
    let refused = reported(&log, "refused");
    assert!(refused[0].starts_with("(3 access_denied) 0.1") && refused[1].starts_with("(5 invalid_address) 0.2"));
}

#[test]
fn an_answer_with_fewer_items_leaves_the_others_open() {
    let parameters = [&[4, 2], db(1, 0, 1).as_slice(), &db(1, 1, 1)].concat();
    let log =
        decode_conversation(&[(Client, job(1, &parameters, &[])), (Server, ack_data(1, &[4, 1], &[0xFF, 4, 0, 8, 1]))]);
    assert_eq!(log.lines_of("Malformed"), ["Malformed answer_differs_from_request 1 from Server"]);
    assert_eq!((reported(&log, "accepted").len(), reported(&log, "pending").len()), (1, 1));
}
