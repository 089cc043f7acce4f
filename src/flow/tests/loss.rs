//! What the capture does not have costs itself and nothing else.

use super::*;

/// Handshake, then `rounds` rounds of 12 bytes and 20 bytes.
fn polling(rounds: u8) -> Conversation {
    let mut conversation = Conversation::opened(1_000, 5_000);
    for round in 0..rounds {
        conversation.round(&[round; 12], &[round | 0x80; 20]);
    }
    conversation
}

fn polled(rounds: u8) -> Vec<Told> {
    (0..rounds).flat_map(|round| [bytes(A, &[round; 12]), bytes(B, &[round | 0x80; 20])]).collect()
}

#[test]
fn each_lost_segment_is_one_gap_of_its_size_in_its_place() {
    let whole = polling(6);
    for lost in 3..whole.sent.len() - 2 {
        let mut sent = whole.sent.clone();
        sent.remove(lost);
        let mut expected = polled(6);
        expected[lost - 3] = match &expected[lost - 3] {
            Told::Bytes(from, bytes) => Told::Gap(*from, u32::try_from(bytes.len()).expect("short")),
            other => other.clone(),
        };
        assert_eq!(told_of(&sent), expected, "without segment {lost}");
    }
}

#[test]
fn what_was_acknowledged_but_not_seen_is_waited_for_only_as_long_as_a_reordering_takes() {
    let conversation = polling(3);
    let mut bench = Bench::default();
    bench.feed_all(&conversation.sent[..4]);
    // The first response is missing; the second request acknowledges it.
    bench.feed_all(&conversation.sent[5..7]);
    assert_eq!(bench.told(), [bytes(A, &[0; 12])]);
    bench.wait(19 * MILLISECOND);
    assert_eq!(bench.told(), []);
    bench.wait(MILLISECOND);
    assert_eq!(bench.told(), [Told::Gap(B, 20), bytes(A, &[1; 12]), bytes(B, &[0x81; 20])]);
    assert_eq!(bench.flow.deadline(), None);
    assert_eq!((bench.counters.gaps, bench.counters.gap_bytes), (1, 20));
}

#[test]
fn without_time_passing_the_number_of_segments_decides() {
    let mut bench = Bench::default();
    let mut conversation = polling(1);
    conversation.send(A, ACK, &[1; 12]);
    bench.feed_all(&conversation.sent[..4]);
    bench.feed(&conversation.sent[5]);
    for segments in 1..=16 {
        assert_eq!(bench.told().last(), (segments == 1).then_some(&bytes(A, &[0; 12])));
        bench.feed(&conversation.sent[5]);
    }
    assert_eq!(bench.told(), [Told::Gap(B, 20), bytes(A, &[1; 12])]);
}

#[test]
fn what_was_not_acknowledged_is_waited_for_because_it_will_be_sent_again() {
    let mut conversation = polling(1);
    conversation.send(A, ACK, b"lost ");
    conversation.send(A, ACK, b"found");
    let mut bench = Bench::default();
    bench.feed_all(&conversation.sent[..5]);
    bench.feed(&conversation.sent[6]);
    bench.told();
    bench.wait(3600 * SECOND);
    assert_eq!(bench.told(), []);
    bench.feed(&conversation.sent[5]);
    assert_eq!(bench.told(), [bytes(A, b"lost found")]);
    assert_eq!(bench.counters.gaps, 0);
}

#[test]
fn delivery_after_a_wait_keeps_the_time_of_the_packet_and_moves_the_clock() {
    let conversation = polling(2);
    let mut bench = Bench::default();
    bench.feed_all(&conversation.sent[..4]);
    bench.feed(&conversation.sent[5]);
    let (seen, packet) = (bench.clock, bench.packet);
    bench.wait(SECOND);
    let expected = Stamp { time: seen, clock: seen + 20 * MILLISECOND, packet, origin: packet };
    assert_eq!(bench.recorder.stamps[1..], [expected; 2]);
}

#[test]
fn a_gap_that_was_not_one_is_filled_after_all_while_nothing_came_after_it() {
    let mut bench = Bench::default();
    let conversation = polling(1);
    bench.feed_all(&conversation.sent);
    // B's stream stands at 5021; somebody acknowledges 100 bytes that B never sent.
    bench.feed(&Sent::new(A, 1_013, 5_121, ACK, b""));
    bench.wait(SECOND);
    bench.told();
    bench.feed(&Sent::new(B, 5_021, 1_013, ACK, b"still here"));
    assert_eq!(bench.told(), [bytes(B, b"still here")]);
    assert_eq!(bench.counters.late_bytes, 10);
    bench.feed(&Sent::new(B, 5_031, 1_013, ACK, b"and here"));
    assert_eq!(bench.told(), [bytes(B, b"and here")]);
    assert_eq!(bench.flow.deadline(), None);
}

#[test]
fn bytes_that_a_snap_length_cut_off_are_a_gap() {
    let mut conversation = polling(1);
    conversation.send(A, ACK, b"seen cut!");
    conversation.send(B, ACK, b"next");
    conversation.sent[5].cut = 5;
    let expected = [bytes(A, b"seen"), Told::Gap(A, 5), bytes(B, b"next")];
    assert_eq!(told_of(&conversation.sent)[2..], expected);
    // The same when it has to be held first.
    conversation.sent.swap(5, 6);
    assert_eq!(told_of(&conversation.sent)[2..], expected);
}

#[test]
fn a_flow_joined_in_the_middle_starts_with_its_first_bytes() {
    let mut conversation = Conversation::midstream(77, u32::MAX - 5);
    conversation.round(b"ask", b"a longer answer");
    let mut bench = Bench::default();
    bench.feed_all(&conversation.sent);
    assert!(bench.flow.is_midstream());
    assert_eq!(bench.told(), [], "earlier segments may still come");
    bench.wait(20 * MILLISECOND);
    assert_eq!(bench.told(), [bytes(A, b"ask"), bytes(B, b"a longer answer")]);
    conversation.send(A, ACK, b"again");
    bench.feed(&conversation.sent[2]);
    assert_eq!(bench.told(), [bytes(A, b"again")]);
}

#[test]
fn one_direction_alone_is_delivered_without_waiting_for_the_other() {
    for side in [A, B] {
        for conversation in [polling(5), { Conversation { sent: polling(5).sent.split_off(3), ..polling(0) } }] {
            let mut bench = Bench::default();
            let mut only = conversation.sent.iter().filter(|sent| sent.from == side);
            for sent in only.by_ref().take(3) {
                bench.feed(sent);
            }
            bench.wait(20 * MILLISECOND);
            for sent in only {
                bench.told();
                bench.feed(sent);
                assert_eq!(bench.told(), [bytes(side, &sent.bytes)], "delivered at once");
            }
            bench.finish();
            assert_eq!(bench.counters.gaps, 0);
        }
    }
}

#[test]
fn a_hole_in_a_capture_of_one_direction_is_given_up_after_two_seconds() {
    let sent: Vec<_> = polling(5).sent.into_iter().filter(|sent| sent.from == A).collect();
    let mut bench = Bench::default();
    bench.feed_all(&sent[..3]);
    bench.wait(SECOND);
    bench.feed(&sent[4]);
    bench.told();
    bench.wait(2 * SECOND - 1);
    assert_eq!(bench.told(), []);
    bench.wait(1);
    assert_eq!(bench.told(), [Told::Gap(A, 12), bytes(A, &[2; 12])]);
}
