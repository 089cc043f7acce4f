//! Irregular items, values and lists, as servers read them.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn asked(log: &Log) -> Vec<String> {
    reported(log, "asks")
}

/// The unread parts of a request.
fn unread(log: &Log) -> Vec<String> {
    let part = |line: &String| Some(line.split_once(" unread=")?.1.split(' ').next()?.into());
    asked(log).iter().filter_map(part).collect()
}

/// A Write Var of some items, with some values.
fn write(count: u8, items: &[&[u8]], values: &[&[u8]]) -> Log {
    let parameters = [&[5, count], items.concat().as_slice()].concat();
    let log = decode_conversation(&[(Client, job(1, &parameters, &values.concat()))]);
    assert!(!asked(&log).is_empty() && asked(&log).iter().all(|line| line.contains(" write write_var 5")));
    log
}

/// Four bytes of DB 20 from a byte on; the value 01020304, 32 bits.
fn four(byte: u32) -> Vec<u8> {
    db(20, byte, 4)
}
const VALUE: &[u8] = &[0, 4, 0, 32, 1, 2, 3, 4];

#[test]
fn three_bytes_of_an_item_that_servers_ignore_hide_nothing() {
    for (at, byte, fault) in
        [(0, 0x99, "item_specification"), (1, 32, "item_length"), (2, 0xF1, "item_syntax"), (2, 0xB2, "")]
    {
        let mut odd = four(40);
        odd[at] = byte;
        let log = write(2, &[&four(0), &odd], &[VALUE, VALUE]);
        let target = "area=DB db=20 byte=40 bytes=4 = 0x01020304";
        assert!(asked(&log).iter().any(|line| line.ends_with(target)), "{:?}", log.lines);
        assert_eq!(log.lines.iter().any(|line| line.contains(&std::format!("Malformed {fault}"))), !fault.is_empty());
    }
    // The same for reads.
    let mut odd = four(40);
    odd[0] = 0x99;
    let log = decode_conversation(&[(Client, job(1, &[&[4, 2], four(0).as_slice(), &odd].concat(), &[]))]);
    assert_eq!(asked(&log)[1], "0.1 read read_var 4 area=DB db=20 byte=40 bytes=4");
}

#[test]
fn an_item_that_is_sound_in_two_syntaxes_is_announced_in_both() {
    // Symbolic access: reserved byte 2, root area 00040014, ... ; as S7ANY four bytes of DB 20 from byte 40.
    let odd = [0x12, 10, 0xB2, 2, 0, 4, 0, 20, 0x84, 0, 1, 0x40];
    let log = write(1, &[&odd], &[VALUE]);
    assert_eq!(
        asked(&log),
        [
            "0.0 write write_var 5 (ambiguous) object=262164 = 0x01020304",
            "0.1 write write_var 5 (ambiguous) area=DB db=20 byte=40 bytes=4 = 0x01020304",
        ]
    );
    // What WinCC asks for is one thing only, also where its start looks like an area: 2 bytes of DB 1 from byte 132, 4 of
    // DB 8 from byte 28.
    for areas in [[2, 0, 1, 0, 132, 4, 0, 8, 0, 28], [2, 0, 1, 0, 28, 4, 0, 8, 0, 132]] {
        let parameters = [&[4, 1, 0x12, 12, 0xB0, 2], areas.as_slice()].concat();
        let log = decode_conversation(&[(Client, job(1, &parameters, &[]))]);
        assert_eq!(asked(&log).len(), 2, "{:?}", log.lines);
    }
    // A usual symbolic item is one thing only: its reserved byte is no size of an element.
    let usual = [0x12, 14, 0xB2, 0xFF, 0, 0, 0, 0x52, 1, 2, 3, 4, 0x40, 0, 0, 9];
    assert_eq!(asked(&write(1, &[&usual], &[VALUE])), ["0.0 write write_var 5 object=82 id_1=9 = 0x01020304"]);
}

#[test]
fn values_beyond_the_named_range_are_one_more_operation() {
    let hundred = [&[0, 4, 3, 0x20], [0xAA; 100].as_slice()].concat();
    let none = db(20, 0, 0);
    let (one, bit) = (db(20, 0, 1), [0x12, 10, 0x10, 1, 0, 1, 0, 20, 0x84, 0, 0, 3]);
    let longer: [(&[u8], &[u8]); 6] = [
        (&one, &hundred),                                             // 100 bytes for one
        (&none, VALUE),                                               // 4 bytes for none
        (&one, &[0, 4, 0, 8, 1, 0, 2, 3]),                            // bytes behind the value
        (&one, &[0, 0, 0, 32, 1, 2, 3, 4]),                           // 32 bits for one, 32 bytes for another server
        (&bit, &[0, 3, 0, 16, 1, 1]),                                 // 16 bits or bytes for one bit
        (&[0x12, 10, 0x10, 0x42, 0, 1, 0, 20, 0x84, 0, 0, 0], VALUE), // an element of unknown size
    ];
    for (item, value) in longer {
        let log = write(1, &[item], &[value]);
        assert_eq!(unread(&log), ["data"], "{item:02x?} {value:02x?} {:?}", log.lines);
        assert_eq!(asked(&log).len(), 2);
        assert!(log.lines.iter().any(|line| line.starts_with("Malformed")), "{:?}", log.lines);
    }
    let log = write(1, &[&one], &[&hundred]);
    assert!(asked(&log)[1].starts_with("0.1 write write_var 5 unread=data = 0xaaaa"));
}

#[test]
fn values_in_the_forms_that_clients_send_are_no_more_than_their_items() {
    let item = |size, count, area| [0x12, 10, 0x10, size, 0, count, 0, 20, area, 0, 0, 0];
    let sound: [([u8; 12], &[u8]); 9] = [
        (item(1, 1, 0x84), &[0, 3, 0, 1, 1]), // a bit
        (item(2, 1, 0x84), &[0, 4, 0, 8, 7]), // a byte, without and with a fill byte
        (item(2, 1, 0x84), &[0, 4, 0, 8, 7, 0]),
        (item(2, 4, 0x84), &[0, 9, 0, 4, 1, 2, 3, 4]),  // an octet string
        (item(4, 2, 0x84), &[0, 4, 0, 32, 1, 2, 3, 4]), // words
        (item(7, 1, 0x84), &[0, 5, 0, 32, 1, 2, 3, 4]), // an integer
        (item(8, 1, 0x84), &[0, 7, 0, 4, 1, 2, 3, 4]),  // a real
        (item(0x1D, 1, 0x1D), &[0, 9, 0, 2, 0x20, 5]),  // a timer
        (item(0x1C, 2, 0x1C), &[0, 4, 0, 32, 0, 1, 0, 2]), // counters
    ];
    for (item, value) in sound {
        let log = write(1, &[&item], &[value]);
        assert_eq!(log.lines.len(), 2, "{item:02x?} {value:02x?} {:?}", log.lines);
    }
}

#[test]
fn a_length_in_the_other_unit_is_accepted_where_it_fits() {
    // snap7 1.4.2 takes lengths under size 0 for bits, and those under size 3 for bytes.
    for value in [[0, 0, 0, 32, 1, 2, 3, 4], [0, 3, 0, 4, 1, 2, 3, 4], [0, 6, 0, 32, 1, 2, 3, 4]] {
        let log = write(2, &[&four(0), &four(8)], &[&value, VALUE]);
        assert!(asked(&log)[0].ends_with("byte=0 bytes=4 = 0x01020304"), "{value:02x?} {:?}", log.lines);
        assert!(asked(&log)[1].ends_with("byte=8 bytes=4 = 0x01020304"), "{value:02x?} {:?}", log.lines);
    }
}

#[test]
fn a_value_that_a_server_finds_inside_another_is_announced_for_its_item() {
    // Two reals; the first is 00070004, of which snap7 1.4.2 takes an eighth of the length and reads on: it writes the
    // head of the second value to the second item, and did so when it was tried.
    let real = |byte: u8| [0x12, 10, 0x10, 8, 0, 1, 0, 20, 0x84, 0, 0, byte * 8];
    let value = |bytes: [u8; 4]| [&[0, 7, 0, 4], bytes.as_slice()].concat();
    let log = write(2, &[&real(0), &real(8)], &[&value([0, 7, 0, 4]), &value([0x41, 0x20, 0, 0])]);
    assert_eq!(
        asked(&log),
        [
            "0.0 write write_var 5 area=DB db=20 byte=0 bytes=4 = 0x00070004",
            "0.1 write write_var 5 area=DB db=20 byte=8 bytes=4 = 0x41200000",
            "0.2 write write_var 5 (ambiguous) area=DB db=20 byte=8 bytes=4 = 0x00070004",
        ]
    );
    assert_eq!(log.lines_of("Malformed").len(), 1);
    // 33.750015 is one by chance: the server writes it so, but no client made it for that.
    let log = write(2, &[&real(0), &real(8)], &[&value([0x42, 7, 0, 4]), &value([0x41, 0x20, 0, 0])]);
    assert_eq!((asked(&log).len(), log.lines_of("Malformed").len()), (3, 0));
    // Usual values are no head of another.
    let log = write(2, &[&real(0), &real(8)], &[&value([0x41, 0xA0, 0, 0]), &value([0x41, 0x20, 0, 0])]);
    assert_eq!((asked(&log).len(), log.lines_of("Malformed").len()), (2, 0));
}

#[test]
fn counted_items_that_are_missing_and_uncounted_items_are_reported() {
    let log = write(2, &[&four(0)], &[VALUE]);
    assert_eq!((asked(&log).len(), unread(&log)), (2, std::vec!["items".into()]), "{:?}", log.lines);
    // python-snap7 3.3.0 executes the first item, whatever the number is.
    for count in [0, 1] {
        let log = write(count, &[&four(0), &four(40)], &[VALUE, VALUE]);
        let extra = "(ambiguous) area=DB db=20 byte=40 bytes=4 = 0x01020304";
        assert!(asked(&log)[1].ends_with(extra), "{:?}", log.lines);
        assert!(unread(&log).is_empty());
        assert!(log.lines.iter().any(|line| line.starts_with("Malformed trailing_bytes")));
    }
    let log = write(1, &[&four(0), &[0x12, 10, 0x10]], &[VALUE]);
    assert_eq!((asked(&log).len(), unread(&log)), (2, std::vec!["items".into()]), "{:?}", log.lines);
    let log = write(0, &[], &[]);
    assert_eq!((asked(&log).len(), unread(&log)), (1, std::vec!["items".into()]), "{:?}", log.lines);
}

#[test]
fn the_operations_of_a_faulty_request_end_as_the_answer_states() {
    let mut odd = four(40);
    odd[0] = 0x99;
    let parameters = [&[5, 2], four(0).as_slice(), &odd].concat();
    let data = [VALUE, &[0, 4, 0, 64, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
    let log =
        decode_conversation(&[(Client, job(1, &parameters, &data)), (Server, ack_data(1, &[5, 2], &[0x05, 0xFF]))]);
    assert_eq!(asked(&log).len(), 3);
    assert!(reported(&log, "refused")[0].starts_with("(5 invalid_address) 0.0"));
    let accepted = reported(&log, "accepted");
    assert!(
        accepted[0].starts_with("0.1") && accepted[1].starts_with("0.2"),
        "the rest belongs to item 2: {accepted:?}"
    );
}

#[test]
fn a_read_that_shares_its_answer_with_an_unread_item_keeps_its_values() {
    let mut odd = db(20, 8, 1);
    odd[0] = 0x99;
    let parameters = [&[4, 3], db(20, 0, 1).as_slice(), &odd, &[0x12, 10, 0x10]].concat();
    let data = [0xFF, 4, 0, 8, 0x11, 0, 0xFF, 4, 0, 8, 0x22, 0];
    let log = decode_conversation(&[(Client, job(1, &parameters, &[])), (Server, ack_data(1, &[4, 3], &data))]);
    let accepted = reported(&log, "accepted");
    assert!(accepted[0].ends_with("byte=0 bytes=1 = 0x11") && accepted[1].ends_with("byte=8 bytes=1 = 0x22"));
    assert_eq!(reported(&log, "pending").len(), 1);
}

#[test]
fn blocks_that_a_service_lists_beyond_its_count_are_announced() {
    let service = |arguments: &[u8], rest: &[u8]| {
        let head = [0x28, 0, 0, 0, 0, 0, 0, 0xFD, 0, arguments.len() as u8];
        let log = decode_conversation(&[(Client, job(1, &[&head, arguments, b"\x05_INSE", rest].concat(), &[]))]);
        (asked(&log), unread(&log), log.lines_of("Malformed").len())
    };
    let (one, two) = ("block=DB number=1 = 0x3041303030303150", "block=DB number=42 = 0x3041303030343250");
    let (said, unread, faults) = service(b"\x01\x000A00001P0A00042P", b"");
    assert!(said[0].ends_with(&std::format!("pi_inse 40 {one}")), "{said:?}");
    assert!(said[1].ends_with(&std::format!("pi_inse 40 (ambiguous) {two}")), "{said:?}");
    assert_eq!((said.len(), unread.len(), faults), (2, 0, 1));
    for (arguments, rest, readable) in [
        (b"\x02\x000A00001P".as_slice(), b"".as_slice(), 1), // fewer than counted
        (b"\x01\x000A00001P0A0", b"", 1),                    // half a name behind it
        (b"\x00\x00", b"", 0),                               // none
        (b"\x01\x000A00001P", b"P_PROGRAM", 1),              // something behind the service
    ] {
        let (said, unread, faults) = service(arguments, rest);
        assert_eq!((said.len(), unread.len(), faults), (readable + 1, 1, 1), "{arguments:?} {said:?}");
    }
}

#[test]
fn lists_of_variables_that_are_modified_or_forced_are_read_to_their_end() {
    // Sizes, no parameters, the number of addresses; MD 0 and MW 4; their values.
    let list = |count: u8, rest: &[u8]| {
        let addresses = [3, 1, 0, 0, 0, 0, 2, 1, 0, 0, 0, 4];
        let values = [0, 9, 0, 4, 1, 2, 3, 4, 0, 9, 0, 2, 5, 6];
        [&[0, 0, 0, 0, 0, count], addresses.as_slice(), &values, rest].concat()
    };
    for sub in [8, 9] {
        let ask = |data: &[u8]| decode_conversation(&[(Client, userdata(1, 0x40, (1, sub), &[0], data))]);
        let log = ask(&list(2, &[]));
        assert_eq!((asked(&log).len(), unread(&log).len()), (2, 0));
        for data in
            [list(1, &[]), list(3, &[]), list(2, &[0, 9, 0, 2, 7, 8]), list(2, &[])[..26].to_vec(), list(200, &[])]
        {
            let log = ask(&data);
            assert_eq!(unread(&log), ["items"], "{data:02x?} {:?}", log.lines);
            assert!(log.lines_of("Malformed").len() == 1, "{:?}", log.lines);
        }
    }
    let cyclic = [&[0, 2, 1, 10], db(300, 4, 2).as_slice()].concat();
    let log = decode_conversation(&[(Client, userdata(1, 0x40, (2, 1), &[0], &cyclic))]);
    assert_eq!((asked(&log).len(), unread(&log)), (2, std::vec!["items".into()]));
}

#[test]
fn names_that_cannot_be_read_leave_a_download_without_a_target() {
    for parameters in [b"\x1A\0\0\0\0\0\0\0\xFF_0A00001P".as_slice(), b"\x1A\0\0"] {
        let log = decode_conversation(&[(Client, job(1, parameters, &[]))]);
        assert_eq!(asked(&log), ["0.0 program request_download 26 unread=block"]);
    }
}

/// What python-snap7 3.3.0 writes: how many bytes, to which byte of which data block. As tested with its server.
fn python_writes(parameters: &[u8], data: &[u8]) -> Option<(u16, u32, usize)> {
    let item = parameters.get(2..14)?;
    let [_, size, high, low] = *data.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let length = if matches!(size, 0 | 3 | 6 | 7 | 9) { length } else { length / 8 };
    let written = length.min(data.len() - 4);
    let db = u16::from_be_bytes([item[6], item[7]]);
    let address = u32::from_be_bytes([0, item[9], item[10], item[11]]);
    (written > 0 && item[8] == 0x84 && !matches!(item[3], 0x1C | 0x1D)).then_some((db, address / 8, written))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn what_python_snap7_writes_is_within_what_is_announced_or_some_of_it_is_unread(
        count in 0u8..4,
        items in vec((prop_oneof![4 => Just(0x12_u8), 1 => any::<u8>()], 9u8..12, prop_oneof![4 => Just(0x10_u8), 1 => any::<u8>()], 0u8..9, 0u16..6, 0u32..64), 1..4),
        values in vec((prop_oneof![Just(0_u8), Just(3), Just(4), Just(5), Just(6), Just(7), Just(9), any::<u8>()], 0u16..70, vec(any::<u8>(), 0..12)), 0..4),
        cut in 0usize..20,
    ) {
        let mut parameters = std::vec![5, count];
        for (specification, length, syntax, size, elements, byte) in items {
            let mut item = db(20, byte, elements);
            (item[0], item[1], item[2], item[3]) = (specification, length, syntax, size);
            parameters.extend(item);
        }
        if cut < 12 {
            parameters.truncate(parameters.len() - cut);
        }
        let mut data = Vec::new();
        for (size, length, bytes) in values {
            data.extend([0, size, (length >> 8) as u8, length as u8]);
            data.extend(bytes);
        }
        let log = decode_conversation(&[(Client, job(1, &parameters, &data))]);
        let Some((number, byte, bytes)) = python_writes(&parameters, &data) else { return Ok(()) };
        let number = std::format!("db={number} ");
        let part = |line: &str, name: &str| {
            let words = line.split(' ').filter_map(|word| word.strip_prefix(name)).next();
            words.and_then(|word| word.parse::<usize>().ok())
        };
        let covers = |line: &String| {
            let (first, named) = (part(line, "byte="), part(line, "bytes=").or(part(line, "bits=").map(|bits| bits.div_ceil(8))));
            line.contains("unread=") || line.contains(&number) && first == Some(byte as usize) && named >= Some(bytes)
        };
        prop_assert!(asked(&log).iter().any(covers), "{} bytes from {}: {:?}", bytes, byte, log.lines);
    }
}
