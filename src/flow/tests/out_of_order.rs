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

fn otherwise(from: End, cause: &'static str, reading: &[u8]) -> Told {
    Told::Otherwise(from, cause, reading.to_vec())
}

#[test]
fn a_repeat_at_once_is_a_copy_that_the_capture_has_made() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    bench.feed_now(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    assert_eq!(bench.told(), [bytes(A, b"next")]);
    assert_eq!((bench.counters.duplicates, bench.counters.retransmissions), (1, 0));
}

#[test]
fn a_retransmission_with_other_bytes_is_another_reading_however_it_is_cut() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_001, 5_011, ACK, b"write 40 = 8"));
    assert_eq!(bench.told(), [otherwise(A, "differs", b"write 40 = 8")]);
    bench.feed(&Sent::new(A, 1_010, 5_011, ACK, b"= 9"));
    assert_eq!(bench.told(), [otherwise(A, "differs", b"write 40 = 9")]);
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    bench.feed(&Sent::new(A, 1_001, 5_011, ACK, b"write 40 = 7next"));
    assert_eq!(bench.told(), [bytes(A, b"next")], "the same bytes, cut in another half");
    bench.feed(&Sent::new(A, 1_007, 5_011, ACK, b"41 = 7next and more"));
    assert_eq!(bench.told(), [otherwise(A, "differs", b"write 41 = 7next"), bytes(A, b" and more")]);
    assert_eq!(bench.counters.conflicts, 3);
}

#[test]
fn one_byte_that_was_not_acknowledged_is_no_keep_alive() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"read"));
    bench.feed(&Sent::new(A, 1_016, 5_011, ACK, b"l"));
    assert_eq!(bench.told(), [bytes(A, b"read"), otherwise(A, "differs", b"write 40 = 7real")]);
    bench.feed(&Sent::new(B, 5_011, 1_017, ACK, b"ok"));
    bench.feed(&Sent::new(A, 1_016, 5_013, ACK, b"\0"));
    assert_eq!(bench.told(), [bytes(B, b"ok")]);
    assert_eq!(bench.counters.keep_alives, 1);
}

#[test]
fn an_overlap_that_cannot_be_compared_any_more_is_another_reading() {
    let mut bench = asked();
    let other = vec![7; bench.settings.recent_bytes / 2];
    for round in 0..3 {
        bench.feed(&Sent::new(B, 5_011 + round * 8_192, 1_013, ACK, &other));
    }
    bench.told();
    bench.feed(&Sent::new(A, 1_001, 5_011, ACK, b"write 41 = 7"));
    assert_eq!(bench.told(), [otherwise(A, "unverified", b"write 41 = 7")]);
    assert_eq!((bench.counters.unverified_overlaps, bench.counters.conflicts), (1, 0));
}

#[test]
fn held_bytes_are_compared_one_by_one_and_the_first_win() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_016, 5_011, ACK, b"value=1"));
    bench.feed(&Sent::new(A, 1_016, 5_011, ACK, b"value=2"));
    assert_eq!(bench.told(), [], "where they begin is not known yet");
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"..."));
    assert_eq!(bench.told(), [bytes(A, b"...value=1"), otherwise(A, "differs", b"write 40 = 7...value=2")]);
    assert!(bench.flow.out_of_order.is_none());
}

#[test]
fn a_large_retransmission_is_compared_as_a_whole() {
    let mut bench = asked();
    let mut large = vec![7; 1_000];
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, &large));
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, &large));
    large[500] = 8;
    bench.told();
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, &large));
    assert_eq!(bench.told(), [otherwise(A, "differs", &[&b"write 40 = 7"[..], &large].concat())]);
}

#[test]
fn data_in_a_syn_count_only_when_they_are_acknowledged() {
    for taken in [false, true] {
        let mut bench = Bench::default();
        bench.feed(&Sent::new(A, 1_000, 0, SYN, b"early"));
        let acknowledged = if taken { 1_006 } else { 1_001 };
        bench.feed(&Sent::new(B, 5_000, acknowledged, SYN_ACK, b""));
        bench.feed(&Sent::new(A, acknowledged, 5_001, ACK, if taken { b" and late" } else { b"again" }));
        bench.wait(SECOND);
        assert_eq!(bench.told(), [bytes(A, if taken { b"early and late" } else { b"again" })]);
        assert_eq!(bench.counters.dropped, u64::from(!taken));
    }
}

#[test]
fn what_its_receiver_drops_is_not_delivered_unless_it_is_acknowledged() {
    let doubtful = |sequence, bytes: &[u8]| Sent { is_doubtful: true, ..Sent::new(A, sequence, 5_011, ACK, bytes) };
    let mut bench = asked();
    bench.feed(&doubtful(1_013, b"decoy"));
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"genuine"));
    assert_eq!(bench.told(), [bytes(A, b"genuine")]);
    assert_eq!(bench.counters.dropped, 1);
    // Nothing else comes for this place, and B has it.
    bench.feed(&doubtful(1_020, b"offloaded"));
    bench.feed(&Sent::new(B, 5_011, 1_029, ACK, b"thanks"));
    bench.wait(SECOND);
    assert_eq!(bench.told(), [bytes(A, b"offloaded"), bytes(B, b"thanks")]);
    assert_eq!((bench.counters.taken_doubtful, bench.counters.gaps), (1, 0));
}

#[test]
fn of_two_that_should_have_been_dropped_the_second_is_another_reading() {
    let doubtful = |sequence, bytes: &[u8]| Sent { is_doubtful: true, ..Sent::new(A, sequence, 5_011, ACK, bytes) };
    let mut bench = asked();
    bench.feed(&doubtful(1_013, b"decoy"));
    bench.feed(&doubtful(1_013, b"genuine"));
    bench.feed(&doubtful(1_015, b"co"));
    bench.feed(&Sent::new(B, 5_011, 1_020, ACK, b"thanks"));
    bench.wait(SECOND);
    let told =
        [bytes(A, b"decoy"), otherwise(A, "differs", b"write 40 = 7genui"), bytes(A, b"ne"), bytes(B, b"thanks")];
    assert_eq!(bench.told(), told);
}

#[test]
fn a_segment_fits_where_its_numbers_are_those_of_the_flow() {
    let bench = asked();
    let fits = |from, sequence, ack| bench.flow.fits(from, &Sent::new(from, sequence, ack, ACK, b"x").segment());
    assert!(fits(A, 1_013, 5_011) && fits(B, 5_011, 1_013));
    assert!(fits(A, 1_013 + 0xffff, 5_011), "a window further on");
    assert!(!fits(A, 1_013 + 0x1_0000, 5_011), "beyond a window");
    assert!(!fits(A, 1_013, 5_011 + 0x1_0000), "it acknowledges another flow");
    assert!(!TcpFlow::default().fits(A, &Sent::new(A, 1_013, 5_011, ACK, b"x").segment()), "nothing is known");
}

#[test]
fn a_reset_or_fin_that_is_dropped_ends_nothing() {
    let mut bench = asked();
    for flags in [RST, FIN] {
        bench.feed(&Sent { is_doubtful: true, ..Sent::new(A, 1_013, 5_011, flags, b"") });
    }
    assert_eq!(bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next")), Progress::Ok);
    assert_eq!(bench.told(), [bytes(A, b"next")]);
}

#[test]
fn data_without_an_acknowledgement_are_dropped_by_their_receiver() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_013, 0, NONE, b"decoy"));
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    assert_eq!(bench.told(), [bytes(A, b"next")]);
}

#[test]
fn padding_that_was_counted_into_an_acknowledgement_is_no_data() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, &[0; 6]));
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    assert_eq!(bench.told(), [bytes(A, b"next")]);
    // Six zeros that are sent on purpose are data all the same.
    bench.feed(&Sent::new(A, 1_017, 5_011, ACK, &[0; 6]));
    bench.feed(&Sent::new(A, 1_023, 5_011, ACK, b"more"));
    bench.feed(&Sent::new(B, 5_011, 1_027, ACK, b""));
    bench.wait(SECOND);
    assert_eq!(bench.told(), [bytes(A, b"\0\0\0\0\0\0more")]);
}

#[test]
fn what_comes_after_a_fin_shows_that_it_was_not_the_end() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_013, 5_011, FIN, b""));
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    assert_eq!(bench.told(), [otherwise(A, "after end", b""), bytes(A, b"next")]);
    bench.feed(&Sent::new(B, 5_011, 1_017, FIN, b""));
    assert_eq!(bench.feed(&Sent::new(A, 1_017, 5_012, FIN, b"bye")), Progress::Closed);
    assert_eq!(bench.told(), [bytes(A, b"bye")]);
}

#[test]
fn a_fin_that_comes_before_the_bytes_around_it_takes_none_of_them_away() {
    for place in 1..4 {
        let mut bench = asked();
        bench.feed(&Sent::new(A, 1_013 + place, 5_011, FIN, b""));
        bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
        assert_eq!(bench.told(), [otherwise(A, "after end", b""), bytes(A, b"next")], "at {place}");
        assert_eq!(bench.counters.conflicts, 1);
        assert!(bench.flow.out_of_order.is_none());
    }
}

#[test]
fn a_fin_that_comes_before_the_last_bytes_is_the_end_all_the_same() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_016, 5_011, FIN, b""));
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"bye"));
    bench.feed(&Sent::new(B, 5_011, 1_017, FIN, b""));
    assert_eq!(bench.told(), [bytes(A, b"bye")]);
    assert!(bench.flow.is_closed());
}

#[test]
fn who_resets_a_connection_and_goes_on_has_not_reset_it() {
    let mut bench = asked();
    assert_eq!(bench.feed(&Sent::new(A, 1_013, 0, RST, b"")), Progress::Closed);
    assert_eq!(bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next")), Progress::Ok);
    assert_eq!(bench.told(), [bytes(A, b"next")]);
}

#[test]
fn an_urgent_byte_may_be_part_of_the_stream_or_not() {
    let mut bench = asked();
    bench.feed(&Sent { urgent: 2, ..Sent::new(A, 1_013, 5_011, ACK, b"nxext") });
    assert_eq!(bench.told(), [bytes(A, b"nxext"), otherwise(A, "urgent", b"write 40 = 7next")]);
    bench.feed(&Sent::new(A, 1_018, 5_011, ACK, b"!"));
    assert_eq!(bench.told(), [bytes(A, b"!")]);
    assert!(bench.flow.out_of_order.is_none());
}

#[test]
fn an_urgent_byte_may_be_announced_before_it_comes() {
    let mut bench = asked();
    bench.feed(&Sent { urgent: 4, ..Sent::new(A, 1_013, 5_011, ACK, b"") });
    bench.feed(&Sent { urgent: 4, ..Sent::new(A, 1_013, 5_011, ACK, b"ne") });
    assert_eq!(bench.told(), [bytes(A, b"ne")]);
    bench.feed(&Sent { urgent: 2, ..Sent::new(A, 1_015, 5_011, ACK, b"x?t") });
    assert_eq!(bench.told(), [bytes(A, b"x?t"), otherwise(A, "urgent", b"write 40 = 7next")]);
    assert!(bench.flow.out_of_order.is_none());
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
fn a_keep_alive_with_a_byte_of_its_own_may_be_what_its_receiver_waits_for() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 1_012, 5_011, ACK, b"7"));
    assert_eq!(bench.told(), []);
    bench.feed(&Sent::new(A, 1_012, 5_011, ACK, b"8"));
    assert_eq!(bench.told(), [otherwise(A, "unverified", b"write 40 = 8")]);
    assert_eq!((bench.counters.keep_alives, bench.counters.conflicts), (2, 0));
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
fn stray_segments_move_no_stream_that_its_receiver_acknowledges_elsewhere() {
    let mut bench = asked();
    bench.feed(&Sent::new(A, 0x8000_0000, 5_011, ACK, b"injected"));
    bench.feed(&Sent::new(A, 0x8000_0008, 5_011, ACK, b"again"));
    bench.feed(&Sent::new(A, 1_013, 5_011, ACK, b"genuine"));
    bench.feed(&Sent::new(A, 0x8000_000d, 5_011, ACK, b"and again"));
    bench.finish();
    let strays = [otherwise(A, "stray", b"injected"), otherwise(A, "stray", b"again")];
    assert_eq!(bench.told()[..3], [&strays[..], &[bytes(A, b"genuine")]].concat());
    assert_eq!((bench.counters.outside_window, bench.counters.resynchronised), (3, 0));
}

#[test]
fn without_acknowledgements_two_consecutive_stray_segments_are_where_the_stream_goes_on() {
    let mut bench = Bench::default();
    bench.feed(&Sent::new(A, 1_000, 0, SYN, b""));
    bench.feed(&Sent::new(A, 1_001, 5_001, ACK, b"before"));
    bench.wait(SECOND);
    let far = 1_007 + 3_000_000;
    bench.feed(&Sent::new(A, far, 5_011, ACK, b"first "));
    bench.feed(&Sent::new(A, far + 6, 5_011, ACK, b"second"));
    let expected = [bytes(A, b"before"), Told::Gap(A, 3_000_000), bytes(A, b"first second")];
    assert_eq!(bench.told(), expected);
    assert_eq!(bench.counters.resynchronised, 1);
}

#[test]
fn what_is_sent_at_the_old_place_after_a_jump_is_another_reading() {
    let mut bench = Bench::default();
    bench.feed(&Sent::new(A, 1_000, 0, SYN, b""));
    bench.feed(&Sent::new(A, 1_001, 5_001, ACK, b"before"));
    bench.wait(SECOND);
    let far = 1_007 + 3_000_000;
    bench.feed(&Sent::new(A, far, 5_011, ACK, b"first "));
    bench.feed(&Sent::new(A, far + 6, 5_011, ACK, b"second"));
    bench.feed(&Sent::new(A, 1_007, 5_011, ACK, b"genuine"));
    bench.told();
    bench.feed(&Sent::new(A, far + 12, 5_011, ACK, b"third"));
    assert_eq!(bench.told(), [otherwise(A, "stray", b"genuine"), bytes(A, b"third")]);
}

#[test]
fn both_directions_go_on_where_their_segments_acknowledge_each_other() {
    let mut bench = asked();
    let (a, b) = (1_013 + 3_000_000, 5_011 + 5_000_000);
    bench.feed(&Sent::new(A, a, b, ACK, b"request"));
    bench.feed(&Sent::new(B, b, a + 7, ACK, b"response"));
    let gaps = [Told::Gap(A, 3_000_000), bytes(A, b"request"), Told::Gap(B, 5_000_000), bytes(B, b"response")];
    assert_eq!(bench.told(), gaps);
}

#[test]
fn a_long_run_of_stray_segments_is_where_the_stream_goes_on() {
    let mut bench = asked();
    let far = 1_013 + 3_000_000;
    for at in 0..20 {
        bench.feed(&Sent::new(A, far + 4 * at, 5_011, ACK, b"more"));
    }
    assert_eq!(bench.counters.resynchronised, 1);
    assert_eq!(bench.told().last(), Some(&bytes(A, &b"more".repeat(6))));
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
    assert_eq!(bench.told(), [Told::GivenUp(A), Told::Gap(A, 2), bytes(A, b"ab")]);
    assert_eq!((bench.counters.limit_reached, bench.flow.held_bytes()), (1, 6));
}

#[test]
fn the_state_of_a_flow_in_order_is_small() {
    assert!(size_of::<TcpFlow>() <= 96, "{}", size_of::<TcpFlow>());
    assert!(asked().flow.out_of_order.is_none());
}
