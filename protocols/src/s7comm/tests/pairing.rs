//! Matching of answers with requests, and the changes that answers without requests prove.

use super::*;

fn read(reference: u16, items: u8) -> Vec<u8> {
    let items: Vec<u8> = (0..items).flat_map(|item| db(1, item.into(), 1)).collect();
    job(reference, &[&[4, items.len() as u8 / 12], items.as_slice()].concat(), &[])
}

fn values(reference: u16, items: u8) -> Vec<u8> {
    let data: Vec<u8> = (0..items).flat_map(|item| [0xFF, 4, 0, 8, item, 0]).collect();
    ack_data(reference, &[4, items], &data)
}

/// A Write Var of one byte.
fn write(reference: u16) -> Vec<u8> {
    job(reference, &[&[5, 1], db(1, 0, 1).as_slice()].concat(), &[0, 4, 0, 8, 1])
}

fn accepted(log: &Log) -> Vec<String> {
    reported(log, "accepted")
}

#[test]
fn an_answer_of_four_items_is_not_that_to_nine_under_the_same_reference() {
    let log = decode_conversation(&[
        (Client, [read(0, 9), read(0, 4)].concat()),
        (Server, values(0, 4)),
        (Client, read(0, 4)),
        (Server, values(0, 4)),
    ]);
    assert_eq!(accepted(&log).len(), 8);
    assert!(accepted(&log)[0].starts_with("1.0") && accepted(&log)[4].starts_with("2.0"), "{:?}", log.lines);
    assert_eq!(reported(&log, "pending").len(), 9);
    assert!(log.lines_of("Malformed").is_empty() && log.lines_of("Unmatched").is_empty());
}

#[test]
fn with_one_job_in_flight_another_reference_does_not_lose_its_outcome() {
    let log = decode_conversation(&[
        (Client, write(7)),
        (Server, ack_data(0, &[5, 1], &[0xFF])),
        (Client, read(8, 2)),
        (Server, values(0, 2)),
    ]);
    assert_eq!(accepted(&log).len(), 3);
    assert_eq!(
        log.lines_of("Unmatched"),
        ["Unmatched answer_with_other_reference 0 from Server", "Unmatched answer_with_other_reference 0 from Server"]
    );
    assert!(reported(&log, "unseen").is_empty());
}

#[test]
fn with_one_userdata_in_flight_another_reference_does_not_lose_its_outcome() {
    let set_clock = |reference| userdata(reference, 0x40, (7, 2), &[0], &[0xFF, 9, 0, 2, 0, 0x19]);
    let log =
        decode_conversation(&[(Client, set_clock(7)), (Server, userdata(8, 0x80, (7, 2), &[1, 0, 0, 0, 0], &[]))]);
    assert_eq!(accepted(&log).len(), 1, "{:?}", log.lines);
    assert_eq!(log.lines_of("Unmatched"), ["Unmatched answer_with_other_reference 8 from Server"]);
    assert!(reported(&log, "unseen").is_empty());
}

#[test]
fn an_answer_with_another_reference_that_does_not_fit_or_may_be_anothers_ends_nothing() {
    let read_clock = |reference| userdata(reference, 0x40, (7, 1), &[0], &[0x0A, 0, 0, 0]);
    let clock = |reference| userdata(reference, 0x80, (7, 1), &[1, 0, 0, 0, 0], &[]);
    let cases = [
        std::vec![(Client, read(7, 2)), (Server, clock(7))], // userdata
        std::vec![(Client, [read_clock(7), read(8, 1)].concat()), (Server, clock(9))], // two in flight
        std::vec![(Client, read(7, 2)), (Server, values(0, 3))], // other items
        std::vec![(Client, read(7, 2)), (Server, ack_data(0, &[0x1F], &[]))], // another function
        std::vec![(Client, read(7, 2)), (Client, values(0, 2))], // the wrong end
        std::vec![(Client, [read(7, 2), read(8, 2)].concat()), (Server, values(0, 2))], // two in flight
        // A second answer to the one before.
        std::vec![(Client, read(6, 2)), (Server, values(6, 2)), (Client, read(7, 2)), (Server, values(6, 2))],
        // Another one was sent after it, and answered: that would be answered first.
        std::vec![(Client, [read(7, 2), read(8, 2)].concat()), (Server, values(8, 2)), (Server, values(9, 2))],
    ];
    for said in cases {
        let log = decode_conversation(&said);
        assert_eq!(log.lines_of("Unmatched").len(), 1, "{:?}", log.lines);
        assert!(log.lines_of("Unmatched")[0].starts_with("Unmatched answer_without_request"));
        assert!(reported(&log, "pending").len() >= 2);
    }
}

#[test]
fn an_accepted_answer_without_a_request_proves_the_change() {
    let write = "unseen 0.0 write write_var 5 unread=target";
    let cases: [(Side, Vec<u8>, &[&str]); 8] = [
        (Server, ack_data(1, &[5, 1], &[0xFF]), &[write]),
        (Server, ack_data(1, &[5, 3], &[0xFF, 5, 0xFF]), &[write, "unseen 0.1 write write_var 5 unread=target"]),
        (Server, ack_data(1, &[0x28], &[]), &["unseen 0.0 program pi_unknown 40 unread=target"]),
        (Server, ack_data(1, &[0x29], &[]), &["unseen 0.0 control plc_stop 41 unread=target"]),
        (Server, ack_data(1, &[0x1A], &[]), &["unseen 0.0 program request_download 26 unread=target"]),
        (
            Client,
            ack_data(1, &[0x1B, 0], &[0, 2, 0, 0xFB, 0x70, 0x70]),
            &["unseen 0.0 program download_block 27 unread=target = 0x7070"],
        ),
        (Server, userdata(1, 0x80, (7, 2), &[1, 0, 0, 0, 0], &[]), &["unseen 0.0 time set_clock 1794 unread=target"]),
        (
            Server,
            userdata(1, 0x80, (5, 1), &[1, 0, 0, 0, 0], &[]),
            &["unseen 0.0 security plc_password 1281 unread=target"],
        ),
    ];
    for (from, answer, expected) in cases {
        let log = decode_conversation(&[(from, answer)]);
        let unseen: Vec<_> = log.lines_of("0 unseen").iter().map(|line| &line[2..]).collect();
        assert_eq!(unseen, expected);
        assert_eq!(log.lines_of("Unmatched").len(), 1);
    }
}

#[test]
fn answers_that_change_nothing_refuse_or_repeat_are_only_counted() {
    let cases = [
        std::vec![(Server, values(1, 2))],
        std::vec![(Server, ack_data(1, &[0x1E, 0], &[]))], // an upload
        std::vec![(Server, ack_data(1, &[5, 1], &[5]))],   // the item was refused
        std::vec![(Server, pdu(3, 1, &[0x85, 0], &[5, 1], &[]))], // the job was
        std::vec![(Server, pdu(2, 1, &[0, 0], &[], &[]))], // of what is not said
        std::vec![(Client, ack_data(1, &[5, 1], &[0xFF]))], // a client carries nothing out
        std::vec![(Server, userdata(1, 0x80, (7, 2), &[1, 0, 0, 0xD4, 1], &[]))],
        std::vec![(Client, write(1)), (Server, ack_data(1, &[5, 1], &[0xFF])), (Server, ack_data(1, &[5, 1], &[0xFF]))],
    ];
    for said in cases {
        let log = decode_conversation(&said);
        assert_eq!((log.lines_of("0 unseen").len(), log.lines_of("Unmatched").len()), (0, 1), "{:?}", log.lines);
    }
    // A third one is no copy any more.
    let answer = ack_data(1, &[5, 1], &[0xFF]);
    let log = decode_conversation(&[(Client, write(1)), (Server, [answer.clone(), answer.clone(), answer].concat())]);
    assert_eq!(log.lines_of("0 unseen").len(), 1, "{:?}", log.lines);
}
