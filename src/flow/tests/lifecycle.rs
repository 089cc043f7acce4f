//! How connections start, end, and restart on the same ports.

use super::*;

#[test]
fn either_half_of_the_handshake_tells_the_client() {
    for part in 0..2 {
        let conversation = Conversation::opened(1_000, 5_000);
        let mut fixture = Fixture::default();
        fixture.feed(&conversation.sent[part]);
        assert_eq!((fixture.flow.client(), fixture.flow.is_midstream()), (Some(A), false));
    }
}

#[test]
fn a_handshake_that_arrives_late_still_tells_the_client() {
    let mut conversation = Conversation::opened(1_000, 5_000);
    conversation.round(b"ask", b"answer");
    let mut fixture = Fixture::default();
    fixture.feed_all(&conversation.sent[3..]);
    fixture.wait(SECOND);
    fixture.feed_all(&conversation.sent[..2]);
    assert_eq!(fixture.flow.client(), Some(A));
    assert_eq!(fixture.take_events(), [bytes(A, b"ask"), bytes(B, b"answer")]);
}

#[test]
fn a_connection_is_closed_by_both_fins_or_one_reset() {
    let mut conversation = Conversation::opened(1_000, 5_000);
    conversation.close();
    let mut fixture = Fixture::default();
    assert_eq!(fixture.feed_all(&conversation.sent[..4]), Progress::Ok);
    assert_eq!(fixture.feed_all(&conversation.sent[4..]), Progress::Closed);

    let mut reset = Fixture::default();
    reset.feed_all(&conversation.sent[..3]);
    assert_eq!(reset.feed(&Sent::new(B, 5_001, 0, RST, b"")), Progress::Closed);
    assert_eq!(reset.feed(&Sent::new(A, 1_001, 5_001, ACK, b"late")), Progress::Closed);
    assert_eq!(reset.take_events(), [bytes(A, b"late")]);
}

#[test]
fn a_reset_far_from_the_stream_closes_nothing() {
    let mut fixture = Fixture::default();
    fixture.feed_all(&Conversation::opened(1_000, 5_000).sent);
    assert_eq!(fixture.feed(&Sent::new(B, 0x9000_0000, 0, RST, b"")), Progress::Ok);
    assert_eq!(fixture.counters.outside_window, 1);
}

#[test]
fn a_closed_connection_makes_room_for_the_next_on_its_ports() {
    let mut conversation = Conversation::opened(1_000, 5_000);
    conversation.close();
    let mut fixture = Fixture::default();
    fixture.feed_all(&conversation.sent);
    assert_eq!(fixture.feed(&Sent::new(A, 9_000, 0, SYN, b"")), Progress::Restart);
    assert_eq!(fixture.feed(&Sent::new(A, 1_000, 0, SYN, b"")), Progress::Closed, "a copy of the first SYN");
    fixture.wait(SECOND);
    assert_eq!(fixture.feed(&Sent::new(A, 1_000, 0, SYN, b"")), Progress::Restart, "a device that starts alike");
}

#[test]
fn a_new_connection_on_open_ports_needs_both_halves_of_its_handshake() {
    let syn = Sent::new(A, 70_000, 0, SYN, b"");
    let syn_ack = Sent::new(B, 80_000, 70_001, SYN_ACK, b"");
    for (first, second) in [(&syn, &syn_ack), (&syn_ack, &syn)] {
        let mut fixture = Fixture::default();
        fixture.feed_all(&Conversation::opened(1_000, 5_000).sent);
        assert_eq!(fixture.feed(first), Progress::Ok);
        assert_eq!(fixture.feed(first), Progress::Ok, "a copy confirms nothing");
        assert_eq!(fixture.feed(second), Progress::Restart);
    }
}

#[test]
fn a_new_connection_is_also_confirmed_by_its_first_bytes() {
    let mut fixture = Fixture::default();
    fixture.feed_all(&Conversation::opened(1_000, 5_000).sent);
    fixture.feed(&Sent::new(A, 70_000, 0, SYN, b""));
    assert_eq!(fixture.feed(&Sent::new(A, 70_001, 80_001, ACK, b"hello")), Progress::Restart);
}

#[test]
fn a_forged_syn_hides_nothing() {
    let mut conversation = Conversation::opened(1_000, 5_000);
    conversation.round(b"one", b"two");
    let mut fixture = Fixture::default();
    fixture.feed_all(&conversation.sent[..3]);
    for sent in &conversation.sent[3..] {
        fixture.feed(&Sent::new(A, 0x6000_0000, 0, SYN, b""));
        fixture.feed(sent);
    }
    assert_eq!(fixture.take_events(), [bytes(A, b"one"), bytes(B, b"two")]);
    assert!(fixture.flow.out_of_order.is_none());
}
