//! Whatever a tap does to a conversation within the window, it is delivered as it was sent.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Without a handshake, B must be seen before A has sent [`StreamSettings::reorder_packets`] segments, each byte of its
/// first request up to three times.
const MIDSTREAM_FIRST: usize = 4;

/// Request and response of each round, whether A acknowledges the response at once, and the first sequence numbers.
fn conversation() -> impl Strategy<Value = Conversation> {
    let round = (vec(any::<u8>(), 1..20), vec(any::<u8>(), 1..30), any::<bool>());
    let sequence = prop_oneof![any::<u32>(), (u32::MAX - 60)..=u32::MAX];
    (any::<bool>(), any::<bool>(), sequence.clone(), sequence, vec(round, 1..8)).prop_map(
        |(opened, closed, a, b, rounds)| {
            let mut conversation = if opened { Conversation::opened(a, b) } else { Conversation::midstream(a, b) };
            for (round, (mut request, response, confirms)) in rounds.into_iter().enumerate() {
                if round == 0 && !opened {
                    request.truncate(MIDSTREAM_FIRST);
                }
                conversation.round(&request, &response);
                if confirms {
                    conversation.send(A, ACK, b"");
                }
            }
            if closed {
                conversation.close();
            }
            conversation
        },
    )
}

/// Every byte in a segment of its own; FIN on the last.
fn split(sent: &[Sent]) -> Vec<Sent> {
    let singles = |one: &Sent| -> Vec<Sent> {
        if one.bytes.len() < 2 {
            return vec![one.clone()];
        }
        let single = |(at, byte): (u32, &u8)| Sent {
            sequence: one.sequence.wrapping_add(at),
            bytes: vec![*byte],
            ..one.clone()
        };
        (0..).zip(&one.bytes).map(single).collect()
    };
    sent.iter().flat_map(singles).collect()
}

/// Repeats each segment by `times`, at least once, with the copies side by side.
fn duplicate(sent: &[Sent], times: &[u8]) -> Vec<Sent> {
    let copies = |(one, &times): (&Sent, &u8)| vec![one.clone(); 1 + usize::from(times)];
    sent.iter().zip(times.iter().cycle()).flat_map(copies).collect()
}

/// No segment is moved by more than the largest of `shifts`.
fn reorder(sent: &[Sent], shifts: &[usize]) -> Vec<Sent> {
    let mut order: Vec<_> = sent.iter().zip(shifts.iter().cycle()).enumerate().collect();
    order.sort_by_key(|(at, (_, shift))| at + *shift);
    order.into_iter().map(|(_, (one, _))| one.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn splitting_duplicating_and_reordering_change_nothing(
        conversation in conversation(),
        singles in any::<bool>(),
        times in vec(0_u8..3, 1..40),
        shifts in vec(0_usize..=8, 1..60),
    ) {
        let sent = &conversation.sent;
        let changed = if singles { split(sent) } else { sent.clone() };
        let changed = reorder(&duplicate(&changed, &times), &shifts);
        prop_assert_eq!(events_of(sent), events_of(&changed));
    }

    #[test]
    fn expiring_early_late_or_never_delivers_the_same(
        conversation in conversation(),
        lost in vec(any::<bool>(), 1..20),
        pauses in vec(prop_oneof![Just(0), 0..30 * MILLISECOND, 0..40 * SECOND], 1..20),
        shifts in vec(0_usize..=8, 1..60),
    ) {
        let kept = conversation.sent.iter().zip(lost.iter().cycle()).filter(|(_, lost)| !**lost);
        let kept: Vec<_> = kept.map(|(one, _)| one.clone()).collect();
        let [mut eager, mut lazy] = [Fixture::default(), Fixture::default()];
        for (one, pause) in reorder(&kept, &shifts).iter().zip(pauses.iter().cycle()) {
            lazy.clock += pause;
            eager.wait(pause / 3);
            eager.wait(pause - pause / 3);
            eager.feed(one);
            lazy.feed(one);
        }
        eager.wait(50 * SECOND);
        lazy.clock += 50 * SECOND;
        eager.finish();
        lazy.finish();
        prop_assert_eq!(&eager.recorder.events, &lazy.recorder.events);
        prop_assert_eq!(&eager.recorder.stamps, &lazy.recorder.stamps);
        prop_assert_eq!(eager.counters, lazy.counters);
    }

    #[test]
    fn nothing_makes_a_flow_hold_more_than_its_limit(
        sent in vec(
            (any::<bool>(), 0_u32..4_000, 0_u32..4_000, 0_u8..16, 0_usize..300, 0_usize..40, any::<bool>()),
            1..400,
        ),
    ) {
        let mut fixture = Fixture::default();
        (fixture.settings.held_bytes, fixture.settings.held_segments) = (2_000, 12);
        for (from_a, sequence, acknowledgement, bits, length, cut, far) in sent {
            let flags = TcpFlags {
                syn: bits == 1,
                ack: bits != 2,
                fin: bits == 3,
                rst: bits == 4,
            };
            let sequence = if far { sequence.wrapping_mul(0x0100_0193) } else { sequence };
            let payload = vec![bits; length];
            let from = if from_a { A } else { B };
            let one = Sent { cut: cut.min(length), ..Sent::new(from, sequence, acknowledgement, flags, &payload) };
            fixture.feed(&one);
            prop_assert!(fixture.flow.held_bytes() <= 2_000);
        }
        fixture.finish();
    }
}
