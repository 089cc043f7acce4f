//! Bytes missing from the capture cause a gap and no other loss.

use super::*;

/// Handshake, then `rounds` rounds of 12 bytes and 20 bytes.
fn polling(rounds: u8) -> Conversation {
    let mut conversation = Conversation::opened(1_000, 5_000);
    for round in 0..rounds {
        conversation.round(&[round; 12], &[round | 0x80; 20]);
    }
    conversation
}

fn polled(rounds: u8) -> Vec<Event> {
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
            Event::Bytes(from, bytes) => Event::Gap(*from, u32::try_from(bytes.len()).expect("short")),
            other => other.clone(),
        };
        assert_eq!(events_of(&sent), expected, "without segment {lost}");
    }
}

#[test]
fn acknowledged_bytes_that_were_not_captured_are_given_up_after_the_reordering_time() {
    let conversation = polling(3);
    let mut fixture = Fixture::default();
    fixture.feed_all(&conversation.sent[..4]);
    // The first response is missing; the second request acknowledges it.
    fixture.feed_all(&conversation.sent[5..7]);
    assert_eq!(fixture.take_events(), [bytes(A, &[0; 12])]);
    fixture.wait(19 * MILLISECOND);
    assert_eq!(fixture.take_events(), []);
    fixture.wait(MILLISECOND);
    assert_eq!(fixture.take_events(), [Event::Gap(B, 20), bytes(A, &[1; 12]), bytes(B, &[0x81; 20])]);
    assert_eq!(fixture.flow.deadline(), None);
    assert_eq!((fixture.counters.gaps, fixture.counters.gap_bytes), (1, 20));
}

#[test]
fn without_time_passing_the_number_of_segments_decides() {
    let mut fixture = Fixture::default();
    let mut conversation = polling(1);
    conversation.send(A, ACK, &[1; 12]);
    fixture.feed_all(&conversation.sent[..4]);
    fixture.feed(&conversation.sent[5]);
    for segments in 1..=16 {
        assert_eq!(fixture.take_events().last(), (segments == 1).then_some(&bytes(A, &[0; 12])));
        fixture.feed(&conversation.sent[5]);
    }
    assert_eq!(fixture.take_events(), [Event::Gap(B, 20), bytes(A, &[1; 12])]);
}

#[test]
fn unacknowledged_bytes_are_awaited_because_they_will_be_retransmitted() {
    let mut conversation = polling(1);
    conversation.send(A, ACK, b"lost ");
    conversation.send(A, ACK, b"found");
    let mut fixture = Fixture::default();
    fixture.feed_all(&conversation.sent[..5]);
    fixture.feed(&conversation.sent[6]);
    fixture.take_events();
    fixture.wait(3600 * SECOND);
    assert_eq!(fixture.take_events(), []);
    fixture.feed(&conversation.sent[5]);
    assert_eq!(fixture.take_events(), [bytes(A, b"lost found")]);
    assert_eq!(fixture.counters.gaps, 0);
}

#[test]
fn delivery_after_a_wait_keeps_the_time_of_the_packet_and_moves_the_clock() {
    let conversation = polling(2);
    let mut fixture = Fixture::default();
    fixture.feed_all(&conversation.sent[..4]);
    fixture.feed(&conversation.sent[5]);
    let (seen, packet) = (fixture.clock, fixture.packet);
    fixture.wait(SECOND);
    let expected = Stamp { time: seen, clock: seen + 20 * MILLISECOND, packet, origin: packet };
    assert_eq!(fixture.recorder.stamps[1..], [expected; 2]);
}

#[test]
fn a_gap_that_was_not_one_is_filled_after_all_while_nothing_came_after_it() {
    let mut fixture = Fixture::default();
    let conversation = polling(1);
    fixture.feed_all(&conversation.sent);
    // B's stream is at 5021; a segment acknowledges 100 bytes that B never sent.
    fixture.feed(&Sent::new(A, 1_013, 5_121, ACK, b""));
    fixture.wait(SECOND);
    fixture.take_events();
    fixture.feed(&Sent::new(B, 5_021, 1_013, ACK, b"still here"));
    assert_eq!(fixture.take_events(), [bytes(B, b"still here")]);
    assert_eq!(fixture.counters.late_bytes, 10);
    fixture.feed(&Sent::new(B, 5_031, 1_013, ACK, b"and here"));
    assert_eq!(fixture.take_events(), [bytes(B, b"and here")]);
    assert_eq!(fixture.flow.deadline(), None);
}

#[test]
fn bytes_that_a_snap_length_cut_off_are_a_gap() {
    let mut conversation = polling(1);
    conversation.send(A, ACK, b"seen cut!");
    conversation.send(B, ACK, b"next");
    conversation.sent[5].cut = 5;
    let expected = [bytes(A, b"seen"), Event::Gap(A, 5), bytes(B, b"next")];
    assert_eq!(events_of(&conversation.sent)[2..], expected);
    // The same for a segment that is held first.
    conversation.sent.swap(5, 6);
    assert_eq!(events_of(&conversation.sent)[2..], expected);
}

#[test]
fn a_flow_joined_in_the_middle_starts_with_its_first_bytes() {
    let mut conversation = Conversation::midstream(77, u32::MAX - 5);
    conversation.round(b"ask", b"a longer answer");
    let mut fixture = Fixture::default();
    fixture.feed_all(&conversation.sent);
    assert!(fixture.flow.is_midstream());
    assert_eq!(fixture.take_events(), [], "earlier segments may still come");
    fixture.wait(20 * MILLISECOND);
    assert_eq!(fixture.take_events(), [bytes(A, b"ask"), bytes(B, b"a longer answer")]);
    conversation.send(A, ACK, b"again");
    fixture.feed(&conversation.sent[2]);
    assert_eq!(fixture.take_events(), [bytes(A, b"again")]);
}

#[test]
fn one_direction_alone_is_delivered_without_waiting_for_the_other() {
    for side in [A, B] {
        for conversation in [polling(5), { Conversation { sent: polling(5).sent.split_off(3), ..polling(0) } }] {
            let mut fixture = Fixture::default();
            let mut only = conversation.sent.iter().filter(|sent| sent.from == side);
            for sent in only.by_ref().take(3) {
                fixture.feed(sent);
            }
            fixture.wait(20 * MILLISECOND);
            for sent in only {
                fixture.take_events();
                fixture.feed(sent);
                assert_eq!(fixture.take_events(), [bytes(side, &sent.bytes)], "delivered at once");
            }
            fixture.finish();
            assert_eq!(fixture.counters.gaps, 0);
        }
    }
}

#[test]
fn a_hole_in_a_capture_of_one_direction_is_given_up_after_two_seconds() {
    let sent: Vec<_> = polling(5).sent.into_iter().filter(|sent| sent.from == A).collect();
    let mut fixture = Fixture::default();
    fixture.feed_all(&sent[..3]);
    fixture.wait(SECOND);
    fixture.feed(&sent[4]);
    fixture.take_events();
    fixture.wait(2 * SECOND - 1);
    assert_eq!(fixture.take_events(), []);
    fixture.wait(1);
    assert_eq!(fixture.take_events(), [Event::Gap(A, 12), bytes(A, &[2; 12])]);
}
