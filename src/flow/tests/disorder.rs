//! Overlaps, repetitions and segments that do not belong.

use super::*;

/// A flow in which A has asked (12 bytes from 1001) and B has answered (10 bytes from 5001).
fn asked() -> Bench {
    let mut conversation = Conversation::opened(1_000, 5_000);
    conversation.round(b"write 40 = 7", b"written: 7");
    let mut bench = Bench::default();
    bench.feed_all(&conversation.sent);
    bench.told();
    bench
}

#[test]
fn a_retransmission_is_counted_and_not_delivered() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_001, 5_001, ACK, b"write 40 = 7"));
    assert_eq!(bench.told(), []);
    assert_eq!((bench.counters.retransmissions, bench.counters.unverified_overlaps), (1, 0));
}

#[test]
fn a_retransmission_with_other_bytes_is_a_conflict() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_001, 5_001, ACK, b"write 40 = 8"));
    assert_eq!(bench.told(), [Told::Conflict(A)]);
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    bench.feed(&Sent::new(A, 1_001, 5_001, ACK, b"write 40 = 7next"));
    assert_eq!(bench.told(), [bytes(A, b"next")], "both of the last two deliveries are known");
    bench.feed(&Sent::new(A, 1_001, 5_001, ACK, b"write 40 = 9next and more"));
    assert_eq!(bench.told(), [Told::Conflict(A), bytes(A, b" and more")]);
    assert_eq!(bench.counters.conflicts, 2);
}

#[test]
fn an_overlap_that_cannot_be_compared_is_counted() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_010, 5_011, ACK, b"???tail"));
    assert_eq!(bench.told(), [bytes(A, b"tail")]);
    assert_eq!((bench.counters.unverified_overlaps, bench.counters.conflicts), (1, 0));
}

#[test]
fn held_bytes_are_compared_one_by_one_and_the_first_win() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_016, 5_011, ACK, b"value=1"));
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"...value=2!"));
    assert_eq!(bench.told(), [Told::Conflict(A), bytes(A, b"...value=1!")]);
}

#[test]
fn a_large_retransmission_is_compared_at_both_ends() {
    let mut bench = asked();
    let mut large = vec![7; 1_000];
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, &large));
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, &large));
    large[999] = 8;
    bench.told();
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, &large));
    assert_eq!(bench.told(), [Told::Conflict(A)]);
}

#[test]
fn keep_alives_are_counted_and_never_a_conflict() {
    let mut bench = asked();
    for content in [&b""[..], b"\0"] {
        bench.feed(&Sent::new(A, 1_012, 5_011, ACK, content));
        bench.feed(&Sent::new(B, 5_010, 1_013, ACK, content));
    }
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    assert_eq!(bench.told(), [bytes(A, b"next")]);
    assert_eq!((bench.counters.keep_alives, bench.counters.conflicts), (4, 0));
}

#[test]
fn a_repeated_fin_with_its_last_bytes_is_no_conflict() {
    let mut bench = asked();
    for _ in 0..2 {
        bench.feed(&Sent::new(A, 1_013, 5_011, FIN, b"bye"));
    }
    assert_eq!(bench.told(), [bytes(A, b"bye")]);
    assert_eq!((bench.counters.retransmissions, bench.counters.unverified_overlaps), (1, 0));
}

#[test]
fn one_stray_segment_changes_nothing() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 0x8000_0000, 5_011, ACK, b"injected"));
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"genuine"));
    bench.feed(&Sent::new(A, 0x8000_0008, 5_011, ACK, b"injected"));
    bench.finish();
    assert_eq!(bench.told(), [bytes(A, b"genuine")]);
    assert_eq!(bench.counters.outside_window, 2);
}

#[test]
fn two_consecutive_stray_segments_are_where_the_stream_goes_on() {
    let mut bench = asked();
    let far = 1_013 + 3_000_000;
    bench.feed(&Sent::new(A, far, 5_011, ACK, b"first "));
    bench.feed(&Sent::new(A, far + 6, 5_011, ACK, b"second"));
    assert_eq!(bench.told(), [Told::Gap(A, 3_000_000), bytes(A, b"first second")]);
    assert_eq!(bench.counters.resynchronised, 1);
}

#[test]
fn a_stray_segment_that_its_receiver_acknowledges_was_genuine() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 0x7000_0000, 5_011, ACK, b"request"));
    bench.feed(&Sent::new(B, 5_011, 0x7000_0007, ACK, b"response"));
    let missing = 0x7000_0000 - 1_013;
    assert_eq!(bench.told(), [Told::Gap(A, missing), bytes(A, b"request"), bytes(B, b"response")]);
}

#[test]
fn two_segments_that_acknowledge_each_other_do_not_wait() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_013, 5_014, ACK, b"hen"));
    bench.feed(&Sent::new(B, 5_011, 1_016, ACK, b"egg"));
    assert_eq!(bench.told(), [bytes(A, b"hen"), bytes(B, b"egg")]);
    assert_eq!(bench.flow.deadline(), None);
}

#[test]
fn the_limit_on_held_segments_gives_up_the_oldest_hole() {
    let mut bench = asked();
    bench.settings.held_segments = 3;
    for at in 0..4 {
        bench.feed(&Sent::new(A, 1_015 + 4 * at, 5_011, ACK, b"ab"));
    }
    assert_eq!(bench.told(), [Told::Gap(A, 2), bytes(A, b"ab")]);
    assert_eq!((bench.counters.limit_reached, bench.flow.held_bytes()), (1, 6));
}

#[test]
fn the_state_of_a_flow_in_order_is_small() {
    assert!(size_of::<TcpFlow>() <= 96, "{}", size_of::<TcpFlow>());
    assert!(asked().flow.disorder.is_none());
}
