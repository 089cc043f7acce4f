//! Overlaps, retransmissions and stray segments.

use super::*;

/// A flow after a request of A (12 bytes from 1001) and an answer of B (10 bytes from 5001).
fn asked() -> Fixture {
    let mut conversation = Conversation::opened(1_000, 5_000);
    conversation.round(b"write 40 = 7", b"written: 7");
    let mut fixture = Fixture::default();
    fixture.feed_all(&conversation.sent);
    fixture.take_events();
    fixture
}

#[test]
fn a_retransmission_is_counted_and_not_delivered() {
    let mut fixture = asked();
    fixture.feed(&Sent::new(A, 1_001, 5_001, ACK, b"write 40 = 7"));
    assert_eq!(fixture.take_events(), []);
    assert_eq!((fixture.counters.retransmissions, fixture.counters.unverified_overlaps), (1, 0));
}

fn reading(from: End, cause: &'static str, reading: &[u8]) -> Event {
    Event::Reading(from, cause, reading.to_vec())
}

#[test]
fn a_repeat_at_once_is_a_copy_that_the_capture_has_made() {
    let mut fixture = asked();
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    fixture.feed_now(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    assert_eq!(fixture.take_events(), [bytes(A, b"next")]);
    assert_eq!((fixture.counters.duplicates, fixture.counters.retransmissions), (1, 0));
}

#[test]
fn a_retransmission_with_other_bytes_is_another_reading_however_it_is_cut() {
    let mut fixture = asked();
    fixture.feed(&Sent::new(A, 1_001, 5_011, ACK, b"write 40 = 8"));
    assert_eq!(fixture.take_events(), [reading(A, "differs", b"write 40 = 8")]);
    fixture.feed(&Sent::new(A, 1_010, 5_011, ACK, b"= 9"));
    assert_eq!(fixture.take_events(), [reading(A, "differs", b"write 40 = 9")]);
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    fixture.feed(&Sent::new(A, 1_001, 5_011, ACK, b"write 40 = 7next"));
    assert_eq!(fixture.take_events(), [bytes(A, b"next")], "the same bytes, cut in another half");
    fixture.feed(&Sent::new(A, 1_007, 5_011, ACK, b"41 = 7next and more"));
    assert_eq!(fixture.take_events(), [reading(A, "differs", b"write 41 = 7next"), bytes(A, b" and more")]);
    assert_eq!(fixture.counters.conflicts, 3);
}

#[test]
fn one_byte_that_was_not_acknowledged_is_no_keep_alive() {
    let mut fixture = asked();
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"read"));
    fixture.feed(&Sent::new(A, 1_016, 5_011, ACK, b"l"));
    assert_eq!(fixture.take_events(), [bytes(A, b"read"), reading(A, "differs", b"write 40 = 7real")]);
    fixture.feed(&Sent::new(B, 5_011, 1_017, ACK, b"ok"));
    fixture.feed(&Sent::new(A, 1_016, 5_013, ACK, b"\0"));
    assert_eq!(fixture.take_events(), [bytes(B, b"ok")]);
    assert_eq!(fixture.counters.keep_alives, 1);
}

#[test]
fn an_overlap_that_cannot_be_compared_any_more_is_another_reading() {
    let mut fixture = asked();
    let other = vec![7; fixture.settings.recent_bytes / 2];
    for round in 0..3 {
        fixture.feed(&Sent::new(B, 5_011 + round * 8_192, 1_013, ACK, &other));
    }
    fixture.take_events();
    fixture.feed(&Sent::new(A, 1_001, 5_011, ACK, b"write 41 = 7"));
    assert_eq!(fixture.take_events(), [reading(A, "unverified", b"write 41 = 7")]);
    assert_eq!((fixture.counters.unverified_overlaps, fixture.counters.conflicts), (1, 0));
}

#[test]
fn held_bytes_are_compared_one_by_one_and_the_first_win() {
    let mut fixture = asked();
    fixture.feed(&Sent::new(A, 1_016, 5_011, ACK, b"value=1"));
    fixture.feed(&Sent::new(A, 1_016, 5_011, ACK, b"value=2"));
    assert_eq!(fixture.take_events(), [], "where they begin is not known yet");
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"..."));
    assert_eq!(fixture.take_events(), [bytes(A, b"...value=1"), reading(A, "differs", b"write 40 = 7...value=2")]);
    assert!(fixture.flow.out_of_order.is_none());
}

#[test]
fn a_large_retransmission_is_compared_as_a_whole() {
    let mut fixture = asked();
    let mut large = vec![7; 1_000];
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, &large));
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, &large));
    large[500] = 8;
    fixture.take_events();
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, &large));
    assert_eq!(fixture.take_events(), [reading(A, "differs", &[&b"write 40 = 7"[..], &large].concat())]);
}

#[test]
fn data_in_a_syn_count_only_when_they_are_acknowledged() {
    for taken in [false, true] {
        let mut fixture = Fixture::default();
        fixture.feed(&Sent::new(A, 1_000, 0, SYN, b"early"));
        let acknowledged = if taken { 1_006 } else { 1_001 };
        fixture.feed(&Sent::new(B, 5_000, acknowledged, SYN_ACK, b""));
        fixture.feed(&Sent::new(A, acknowledged, 5_001, ACK, if taken { b" and late" } else { b"again" }));
        fixture.wait(SECOND);
        assert_eq!(fixture.take_events(), [bytes(A, if taken { b"early and late" } else { b"again" })]);
        assert_eq!(fixture.counters.dropped, u64::from(!taken));
    }
}

#[test]
fn a_doubtful_segment_is_delivered_only_if_it_is_acknowledged() {
    let doubtful = |sequence, bytes: &[u8]| Sent { is_doubtful: true, ..Sent::new(A, sequence, 5_011, ACK, bytes) };
    let mut fixture = asked();
    fixture.feed(&doubtful(1_013, b"decoy"));
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"genuine"));
    assert_eq!(fixture.take_events(), [bytes(A, b"genuine")]);
    assert_eq!(fixture.counters.dropped, 1);
    // No other segment covers these bytes, and B acknowledges them.
    fixture.feed(&doubtful(1_020, b"offloaded"));
    fixture.feed(&Sent::new(B, 5_011, 1_029, ACK, b"thanks"));
    fixture.wait(SECOND);
    assert_eq!(fixture.take_events(), [bytes(A, b"offloaded"), bytes(B, b"thanks")]);
    assert_eq!((fixture.counters.taken_doubtful, fixture.counters.gaps), (1, 0));
}

#[test]
fn of_two_that_should_have_been_dropped_the_second_is_another_reading() {
    let doubtful = |sequence, bytes: &[u8]| Sent { is_doubtful: true, ..Sent::new(A, sequence, 5_011, ACK, bytes) };
    let mut fixture = asked();
    fixture.feed(&doubtful(1_013, b"decoy"));
    fixture.feed(&doubtful(1_013, b"genuine"));
    fixture.feed(&doubtful(1_015, b"co"));
    fixture.feed(&Sent::new(B, 5_011, 1_020, ACK, b"thanks"));
    fixture.wait(SECOND);
    let told = [bytes(A, b"decoy"), reading(A, "differs", b"write 40 = 7genui"), bytes(A, b"ne"), bytes(B, b"thanks")];
    assert_eq!(fixture.take_events(), told);
}

#[test]
fn a_segment_fits_where_its_numbers_are_those_of_the_flow() {
    let fixture = asked();
    let fits = |from, sequence, ack| fixture.flow.fits(from, &Sent::new(from, sequence, ack, ACK, b"x").segment());
    assert!(fits(A, 1_013, 5_011) && fits(B, 5_011, 1_013));
    assert!(fits(A, 1_013 + 0xffff, 5_011), "a window further on");
    assert!(!fits(A, 1_013 + 0x1_0000, 5_011), "beyond a window");
    assert!(!fits(A, 1_013, 5_011 + 0x1_0000), "it acknowledges another flow");
    assert!(!TcpFlow::default().fits(A, &Sent::new(A, 1_013, 5_011, ACK, b"x").segment()), "nothing is known");
}

#[test]
fn a_reset_or_fin_that_is_dropped_ends_nothing() {
    let mut fixture = asked();
    for flags in [RST, FIN] {
        fixture.feed(&Sent { is_doubtful: true, ..Sent::new(A, 1_013, 5_011, flags, b"") });
    }
    assert_eq!(fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next")), Progress::Ok);
    assert_eq!(fixture.take_events(), [bytes(A, b"next")]);
}

#[test]
fn data_without_an_acknowledgement_are_dropped_by_their_receiver() {
    let mut fixture = asked();
    fixture.feed(&Sent::new(A, 1_013, 0, NONE, b"decoy"));
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    assert_eq!(fixture.take_events(), [bytes(A, b"next")]);
}

#[test]
fn padding_that_was_counted_into_an_acknowledgement_is_no_data() {
    let mut fixture = asked();
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, &[0; 6]));
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    assert_eq!(fixture.take_events(), [bytes(A, b"next")]);
    // Six zeros may be data.
    fixture.feed(&Sent::new(A, 1_017, 5_011, ACK, &[0; 6]));
    fixture.feed(&Sent::new(A, 1_023, 5_011, ACK, b"more"));
    fixture.feed(&Sent::new(B, 5_011, 1_027, ACK, b""));
    fixture.wait(SECOND);
    assert_eq!(fixture.take_events(), [bytes(A, b"\0\0\0\0\0\0more")]);
}

#[test]
fn bytes_after_a_fin_show_that_it_was_not_the_end() {
    let mut fixture = asked();
    fixture.feed(&Sent::new(A, 1_013, 5_011, FIN, b""));
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    assert_eq!(fixture.take_events(), [reading(A, "after end", b""), bytes(A, b"next")]);
    fixture.feed(&Sent::new(B, 5_011, 1_017, FIN, b""));
    assert_eq!(fixture.feed(&Sent::new(A, 1_017, 5_012, FIN, b"bye")), Progress::Closed);
    assert_eq!(fixture.take_events(), [bytes(A, b"bye")]);
}

#[test]
fn a_fin_that_comes_before_the_bytes_around_it_takes_none_of_them_away() {
    for place in 1..4 {
        let mut fixture = asked();
        fixture.feed(&Sent::new(A, 1_013 + place, 5_011, FIN, b""));
        fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
        assert_eq!(fixture.take_events(), [reading(A, "after end", b""), bytes(A, b"next")], "at {place}");
        assert_eq!(fixture.counters.conflicts, 1);
        assert!(fixture.flow.out_of_order.is_none());
    }
}

#[test]
fn a_fin_in_front_of_the_last_bytes_is_the_end_nevertheless() {
    let mut fixture = asked();
    fixture.feed(&Sent::new(A, 1_016, 5_011, FIN, b""));
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"bye"));
    fixture.feed(&Sent::new(B, 5_011, 1_017, FIN, b""));
    assert_eq!(fixture.take_events(), [bytes(A, b"bye")]);
    assert!(fixture.flow.is_closed());
}

#[test]
fn a_reset_followed_by_data_of_the_same_end_does_not_close_the_connection() {
    let mut fixture = asked();
    assert_eq!(fixture.feed(&Sent::new(A, 1_013, 0, RST, b"")), Progress::Closed);
    assert_eq!(fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next")), Progress::Ok);
    assert_eq!(fixture.take_events(), [bytes(A, b"next")]);
}

#[test]
fn an_urgent_byte_may_be_part_of_the_stream_or_not() {
    let mut fixture = asked();
    fixture.feed(&Sent { urgent: 2, ..Sent::new(A, 1_013, 5_011, ACK, b"nxext") });
    assert_eq!(fixture.take_events(), [bytes(A, b"nxext"), reading(A, "urgent", b"write 40 = 7next")]);
    fixture.feed(&Sent::new(A, 1_018, 5_011, ACK, b"!"));
    assert_eq!(fixture.take_events(), [bytes(A, b"!")]);
    assert!(fixture.flow.out_of_order.is_none());
}

#[test]
fn an_urgent_byte_may_be_announced_before_it_comes() {
    let mut fixture = asked();
    fixture.feed(&Sent { urgent: 4, ..Sent::new(A, 1_013, 5_011, ACK, b"") });
    fixture.feed(&Sent { urgent: 4, ..Sent::new(A, 1_013, 5_011, ACK, b"ne") });
    assert_eq!(fixture.take_events(), [bytes(A, b"ne")]);
    fixture.feed(&Sent { urgent: 2, ..Sent::new(A, 1_015, 5_011, ACK, b"x?t") });
    assert_eq!(fixture.take_events(), [bytes(A, b"x?t"), reading(A, "urgent", b"write 40 = 7next")]);
    assert!(fixture.flow.out_of_order.is_none());
}

#[test]
fn keep_alives_are_counted_and_never_a_conflict() {
    let mut fixture = asked();
    for content in [&b""[..], b"\0"] {
        fixture.feed(&Sent::new(A, 1_012, 5_011, ACK, content));
        fixture.feed(&Sent::new(B, 5_010, 1_013, ACK, content));
    }
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"next"));
    assert_eq!(fixture.take_events(), [bytes(A, b"next")]);
    assert_eq!((fixture.counters.keep_alives, fixture.counters.conflicts), (4, 0));
}

#[test]
fn a_keep_alive_with_a_different_byte_is_another_reading() {
    let mut fixture = asked();
    fixture.feed(&Sent::new(A, 1_012, 5_011, ACK, b"7"));
    assert_eq!(fixture.take_events(), []);
    fixture.feed(&Sent::new(A, 1_012, 5_011, ACK, b"8"));
    assert_eq!(fixture.take_events(), [reading(A, "unverified", b"write 40 = 8")]);
    assert_eq!((fixture.counters.keep_alives, fixture.counters.conflicts), (2, 0));
}

#[test]
fn a_repeated_fin_with_its_last_bytes_is_no_conflict() {
    let mut fixture = asked();
    for _ in 0..2 {
        fixture.feed(&Sent::new(A, 1_013, 5_011, FIN, b"bye"));
    }
    assert_eq!(fixture.take_events(), [bytes(A, b"bye")]);
    assert_eq!((fixture.counters.retransmissions, fixture.counters.unverified_overlaps), (1, 0));
}

#[test]
fn stray_segments_move_no_stream_that_its_receiver_acknowledges_elsewhere() {
    let mut fixture = asked();
    fixture.feed(&Sent::new(A, 0x8000_0000, 5_011, ACK, b"injected"));
    fixture.feed(&Sent::new(A, 0x8000_0008, 5_011, ACK, b"again"));
    fixture.feed(&Sent::new(A, 1_013, 5_011, ACK, b"genuine"));
    fixture.feed(&Sent::new(A, 0x8000_000d, 5_011, ACK, b"and again"));
    fixture.finish();
    let strays = [reading(A, "stray", b"injected"), reading(A, "stray", b"again")];
    assert_eq!(fixture.take_events()[..3], [&strays[..], &[bytes(A, b"genuine")]].concat());
    assert_eq!((fixture.counters.outside_window, fixture.counters.resynchronised), (3, 0));
}

#[test]
fn without_acknowledgements_the_stream_continues_at_two_consecutive_stray_segments() {
    let mut fixture = Fixture::default();
    fixture.feed(&Sent::new(A, 1_000, 0, SYN, b""));
    fixture.feed(&Sent::new(A, 1_001, 5_001, ACK, b"before"));
    fixture.wait(SECOND);
    let far = 1_007 + 3_000_000;
    fixture.feed(&Sent::new(A, far, 5_011, ACK, b"first "));
    fixture.feed(&Sent::new(A, far + 6, 5_011, ACK, b"second"));
    let expected = [bytes(A, b"before"), Event::Gap(A, 3_000_000), bytes(A, b"first second")];
    assert_eq!(fixture.take_events(), expected);
    assert_eq!(fixture.counters.resynchronised, 1);
}

#[test]
fn bytes_at_the_old_position_after_a_jump_are_another_reading() {
    let mut fixture = Fixture::default();
    fixture.feed(&Sent::new(A, 1_000, 0, SYN, b""));
    fixture.feed(&Sent::new(A, 1_001, 5_001, ACK, b"before"));
    fixture.wait(SECOND);
    let far = 1_007 + 3_000_000;
    fixture.feed(&Sent::new(A, far, 5_011, ACK, b"first "));
    fixture.feed(&Sent::new(A, far + 6, 5_011, ACK, b"second"));
    fixture.feed(&Sent::new(A, 1_007, 5_011, ACK, b"genuine"));
    fixture.take_events();
    fixture.feed(&Sent::new(A, far + 12, 5_011, ACK, b"third"));
    assert_eq!(fixture.take_events(), [reading(A, "stray", b"genuine"), bytes(A, b"third")]);
}

#[test]
fn both_directions_continue_where_their_segments_acknowledge_each_other() {
    let mut fixture = asked();
    let (a, b) = (1_013 + 3_000_000, 5_011 + 5_000_000);
    fixture.feed(&Sent::new(A, a, b, ACK, b"request"));
    fixture.feed(&Sent::new(B, b, a + 7, ACK, b"response"));
    let gaps = [Event::Gap(A, 3_000_000), bytes(A, b"request"), Event::Gap(B, 5_000_000), bytes(B, b"response")];
    assert_eq!(fixture.take_events(), gaps);
}

#[test]
fn the_stream_continues_at_a_long_run_of_stray_segments() {
    let mut fixture = asked();
    let far = 1_013 + 3_000_000;
    for at in 0..20 {
        fixture.feed(&Sent::new(A, far + 4 * at, 5_011, ACK, b"more"));
    }
    assert_eq!(fixture.counters.resynchronised, 1);
    assert_eq!(fixture.take_events().last(), Some(&bytes(A, &b"more".repeat(6))));
}

#[test]
fn a_stray_segment_that_its_receiver_acknowledges_was_genuine() {
    let mut fixture = asked();
    fixture.feed(&Sent::new(A, 0x7000_0000, 5_011, ACK, b"request"));
    fixture.feed(&Sent::new(B, 5_011, 0x7000_0007, ACK, b"response"));
    let missing = 0x7000_0000 - 1_013;
    assert_eq!(fixture.take_events(), [Event::Gap(A, missing), bytes(A, b"request"), bytes(B, b"response")]);
}

#[test]
fn two_segments_that_acknowledge_each_other_do_not_wait() {
    let mut fixture = asked();
    fixture.feed(&Sent::new(A, 1_013, 5_014, ACK, b"hen"));
    fixture.feed(&Sent::new(B, 5_011, 1_016, ACK, b"egg"));
    assert_eq!(fixture.take_events(), [bytes(A, b"hen"), bytes(B, b"egg")]);
    assert_eq!(fixture.flow.deadline(), None);
}

#[test]
fn the_limit_on_held_segments_gives_up_the_oldest_hole() {
    let mut fixture = asked();
    fixture.settings.held_segments = 3;
    for at in 0..4 {
        fixture.feed(&Sent::new(A, 1_015 + 4 * at, 5_011, ACK, b"ab"));
    }
    assert_eq!(fixture.take_events(), [Event::Limit(A), Event::Gap(A, 2), bytes(A, b"ab")]);
    assert_eq!((fixture.counters.limit_reached, fixture.flow.held_bytes()), (1, 6));
}

#[test]
fn the_state_of_a_flow_in_order_is_small() {
    assert!(size_of::<TcpFlow>() <= 96, "{}", size_of::<TcpFlow>());
    assert!(asked().flow.out_of_order.is_none());
}
