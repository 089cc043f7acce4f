//! Every operation that a server executes is announced, however its request is encoded and even if it was not captured.

use lockkeeper_protocols::opcua::OPCUA;
use lockkeeper_protocols::{Limits, Session, Side, Transport};

#[allow(dead_code, unreachable_pub, reason = "each file of tests uses a part")]
#[path = "opcua/conversation.rs"]
mod conversation;
#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests; this file uses a part")]
#[path = "../src/testing.rs"]
mod testing;
#[allow(dead_code, unreachable_pub, reason = "each file of tests uses a part")]
#[path = "opcua/wire.rs"]
mod wire;

use Side::{Client, Server};
use conversation::{Conversation, number, register, registered, write_to};
use proptest::collection::vec;
use proptest::prelude::*;
use testing::{Answers, Log, at};
use wire::{
    BASIC, Channel, NONE, NULL, acknowledge, array, hello, read, request, response, results, string, values, write,
};

#[test]
fn a_flag_in_the_type_of_a_request_hides_nothing() {
    let mut conversation = Conversation::opened();
    let body = write_to(&[number(2, 2)]);
    // 81: a namespace URI, null
    let odd = [&[0x81][..], &body[1..4], &NULL, &body[4..]].concat();
    conversation.say(Client, 2, &odd);
    conversation.say(Server, 2, &results(676, &[0]));
    assert_eq!(conversation.announced(), ["asks write write 673 node=ns=2;i=2 attribute=value = [Signed(7)]"]);
    assert_eq!(conversation.outcomes(), ["0 accepted 2.0 after 0: write write 673 node=ns=2;i=2 attribute=value"]);
    assert_eq!(conversation.log.lines_of("Malformed"), ["Malformed node_id_encoding from Client"]);
}

#[test]
fn both_readings_have_outcomes_from_the_same_results() {
    let mut conversation = Conversation::opened();
    // ns=2;i=1, then ns=2;i=2 with the flag of a server index; both readings end in the message
    let odd = [
        &[0x41, 2, 2, 0][..],
        &[13, 0, 0, 0], // the index, or the attribute
        &[13, 0, 0, 0], // the attribute, or the length of the range
        &[0xFF, 0xFF, 0xFF, 0xFF, 1, 6, 7, 0, 0, 0, 0, 0, 0],
        &[1, 6, 8, 0, 0, 0],
    ];
    let first = [&number(2, 1)[..], &13_u32.to_le_bytes(), &NULL, &[1, 6, 7, 0, 0, 0]].concat();
    conversation.say(Client, 2, &request(673, 1, &array(&[first, odd.concat()])));
    conversation.say(Server, 2, &results(676, &[0, 0x801F_0000]));
    let announced = conversation.announced();
    assert_eq!(announced.len(), 3, "{announced:?}");
    assert!(
        !announced[0].contains("(ambiguous)") && announced[1].contains("(ambiguous) node=ns=2;i=2"),
        "{announced:?}"
    );
    let outcomes = conversation.outcomes();
    let begins = [
        "0 accepted 2.0 ",
        "0 refused(2149515264 bad_user_access_denied) 2.1 ",
        "0 refused(2149515264 bad_user_access_denied) 2.2 ",
    ];
    assert!(
        outcomes.len() == 3 && outcomes.iter().zip(begins).all(|(line, begin)| line.starts_with(begin)),
        "{outcomes:?}"
    );
}

#[test]
fn unreadable_items_end_with_the_results_behind_the_fault() {
    let mut conversation = Conversation::opened();
    let nested = [&number(2, 1)[..], &13_u32.to_le_bytes(), &NULL, &[1], &[24; 101], &[1, 1]].concat();
    let first = [&number(2, 9)[..], &13_u32.to_le_bytes(), &NULL, &[1, 6, 7, 0, 0, 0]].concat();
    conversation.say(Client, 2, &request(673, 1, &array(&[first, nested])));
    conversation.say(Server, 2, &results(676, &[0x801F_0000, 0]));
    let outcomes = conversation.outcomes();
    assert!(outcomes[0].starts_with("0 refused(2149515264 bad_user_access_denied) 2.0"), "{outcomes:?}");
    assert!(
        outcomes[1..].iter().all(|line| line.starts_with("0 accepted 2.") && line.contains("unread=item")),
        "{outcomes:?}"
    );
    assert_eq!(conversation.log.lines_of("Limit"), ["Limit value_depth from Client"]);
}

#[test]
fn a_request_without_a_type_is_an_unknown_operation() {
    let mut conversation = Conversation::opened();
    conversation.say(Client, 2, &[0x4F, 1, 2, 3, 4, 5]);
    conversation.say(Server, 3, &[0x4F, 1, 2, 3, 4, 5]);
    assert_eq!(conversation.announced(), ["asks unknown unread_request 0 unread=type_id"]);
}

#[test]
fn a_login_with_any_flags_in_its_token_is_announced() {
    // The type of an anonymous token, 321, with the flag of a server index, and the index
    let token = |kind: &[u8]| [kind, &[1], &9_u32.to_le_bytes(), &string("anybody")[..9]].concat();
    let login = |token: Vec<u8>| request(467, 1, &[&NULL[..], &NULL, &NULL, &NULL, &token, &NULL, &NULL].concat());
    for (kind, users) in [
        (&[0x41, 0, 0x41, 0x01, 0, 0, 0, 0][..], &["user anonymous "][..]),
        (&[0x41, 0, 0x41, 0x01], &["user anonymous "]),
        (&[0x11, 0, 0x41, 0x01], &["user anonymous "]),
    ] {
        let mut conversation = Conversation::opened();
        conversation.say(Client, 2, &login(token(kind)));
        conversation.say(Server, 2, &response(470, 0, &[NULL, NULL, NULL].concat()));
        assert_eq!(conversation.log.lines_of("user"), users, "{kind:02x?}");
        let announced = conversation.announced();
        let is_login = |line: &String| {
            line.starts_with("asks security activate_session 467") && line.ends_with("identity=anonymous")
        };
        assert!(announced.iter().all(is_login), "{announced:?}");
        assert!(conversation.outcomes().iter().all(|line| line.contains("accepted")), "{:?}", conversation.outcomes());
    }
    // A type without a structure, which some servers accept as anonymous.
    let mut conversation = Conversation::opened();
    conversation.say(Client, 2, &login([1, 0, 0x44, 0x01, 0].to_vec()));
    assert_eq!(conversation.log.lines_of("user"), ["user anonymous "]);
    // A token that no server can read is still a login, of an unread user.
    let mut conversation = Conversation::opened();
    conversation.say(Client, 2, &login([7, 0, 0x44, 0x01, 0].to_vec()));
    assert_eq!(conversation.announced(), ["asks security activate_session 467 unread=item"]);
    assert_eq!(conversation.log.lines_of("user"), ["user unread "]);
}

#[test]
fn an_unreadable_login_is_that_of_an_unread_user() {
    // The type of ActivateSession with a server index, and a structure with a wrong length: asyncua reads on
    let mut odd = request(467, 1, &[&NULL[..], &NULL, &NULL, &NULL, b"\x01\0\x41\x01\x01", &NULL, &NULL].concat());
    odd.splice(0..1, [0x41]);
    odd.splice(4..4, [0; 4]);
    let mut conversation = Conversation::opened();
    conversation.say(Client, 2, &odd);
    assert_eq!(conversation.log.lines_of("user"), ["user unread "]);
    // A type outside of the standard, and a structure that is not a token
    let unknown = [&[1, 0, 0x0F, 0x27, 1][..], &2_u32.to_le_bytes(), b"zz"].concat();
    let mut conversation = Conversation::opened();
    conversation.say(Client, 2, &request(467, 1, &[&NULL[..], &NULL, &NULL, &NULL, &unknown, &NULL, &NULL].concat()));
    assert_eq!(conversation.log.lines_of("user"), ["user unread "]);
}

#[test]
fn an_unreadable_report_has_no_target() {
    let mut conversation = Conversation::opened();
    conversation.say(Client, 2, &request(826, 1, &NULL));
    let mut report = wire::published(7, &[(100, 5)]);
    let kind = report.windows(4).position(|bytes| bytes == [1, 0, 0x2B, 0x03]).expect("a data change notification");
    report[kind] = 0x4F;
    conversation.say(Server, 2, &report);
    assert_eq!(conversation.announced()[1..], ["asks report publish 826 unread=notification"]);
    assert_eq!(conversation.log.lines_of("Malformed"), ["Malformed node_id_encoding from Server"]);
}

#[test]
fn midstream_any_timestamp_and_any_diagnostics_flags_are_plaintext() {
    for (time, flags) in [(0_i64, 0_u32), (1, 0x3FF), (283_699_584_000_000_000, 0), (i64::MAX, 0x3FF), (-1, u32::MAX)] {
        let mut conversation = Conversation::joined(0, true);
        for round in 1..=3 {
            let mut body = write_to(&[number(2, 2)]);
            // behind the type and the two bytes of the token: time, handle, flags
            body[6..14].copy_from_slice(&time.to_le_bytes());
            body[18..22].copy_from_slice(&flags.to_le_bytes());
            conversation.say(Client, round, &body);
            let mut answer = results(676, &[0]);
            answer[4..12].copy_from_slice(&time.to_le_bytes());
            conversation.say(Server, round, &answer);
        }
        conversation.session.finish(&mut conversation.log);
        assert_eq!(conversation.announced().len(), 3, "{time} {flags:x}: {:?}", conversation.log.lines);
        assert!(conversation.announced().iter().all(|line| line.contains("node=ns=2;i=2")));
        assert!(conversation.outcomes().iter().all(|line| line.contains("accepted")), "{:?}", conversation.outcomes());
    }
}

#[test]
fn midstream_the_requesting_end_is_the_client_even_if_the_roles_were_swapped() {
    let mut conversation = Conversation::joined(0, true);
    for round in 1..=2 {
        conversation.say(Server, round, &write_to(&[number(2, 2)]));
        conversation.say(Client, round, &results(676, &[0]));
    }
    conversation.session.finish(&mut conversation.log);
    assert_eq!(conversation.announced().len(), 2, "{:?}", conversation.log.lines);
    assert_eq!(conversation.outcomes().len(), 2);
}

#[test]
fn a_hello_with_any_chunk_letter_and_any_length_of_url_is_recognised() {
    let long = format!("opc.tcp://{}:4840", "a".repeat(5_000));
    let mut conversation = Conversation::joined(0, false);
    let mut bytes = hello(&long);
    bytes[3] = b'X';
    conversation.feed(Client, &bytes);
    conversation.feed(Server, &acknowledge());
    for (side, opening) in conversation.channel.open(NONE, 1) {
        conversation.feed(side, &opening);
    }
    conversation.say(Client, 2, &write_to(&[number(2, 2)]));
    assert_eq!(conversation.announced().len(), 3, "{:?}", conversation.log.lines);
    let malformed = conversation.log.lines_of("Malformed");
    assert_eq!(malformed, ["Malformed message_part from Client", "Malformed endpoint_url 5015 from Client"]);
}

#[test]
fn a_response_without_results_ends_its_request_with_its_header_status() {
    let mut conversation = Conversation::opened();
    let nulls = [NULL, NULL].concat();
    for (round, answer) in (2..).zip([
        response(676, 0, &nulls),                   // null
        response(676, 0, &[[0; 4], NULL].concat()), // empty
        results(676, &[0]),                         // one of two
        response(397, 0x801F_0000, &[]),            // a fault
        response(676, 0x801F_0000, &[]),            // a bad answer
        response(676, 0, &[]),                      // nothing at all
    ]) {
        conversation.log.lines.clear();
        conversation.say(Client, round, &write_to(&[number(2, 1), number(2, 2)]));
        conversation.say(Server, round, &answer);
        let end = if [5, 6].contains(&round) { "refused(2149515264" } else { "accepted" };
        let outcomes = conversation.outcomes();
        assert!(outcomes.len() == 2 && outcomes.iter().all(|line| line.contains(end)), "{round}: {outcomes:?}");
        let malformed = conversation.log.lines_of("Malformed");
        let expected: &[&str] = match round {
            4 => &["Malformed results 1 from Server"],
            7 => &["Malformed results from Server"],
            _ => &[],
        };
        assert_eq!(malformed, expected, "{round}");
    }
}

#[test]
fn with_one_request_in_flight_a_wrong_number_does_not_lose_the_outcome() {
    let answer_to = |requests: &[Vec<u8>], number: u32, answer: &[u8], after: i64, is_torn: bool| {
        let mut conversation = Conversation::opened();
        (10..).zip(requests).for_each(|(number, body)| conversation.say(Client, number, body));
        if is_torn {
            conversation.session.feed_gap(Server, &mut conversation.log);
        }
        conversation.now = after;
        conversation.say(Server, number, answer);
        conversation.say(Server, 900, &values(&[]));
        let accepted = conversation.log.lines_of(&format!("{} accepted", after * 1_000_000)).len();
        let is_counted =
            conversation.log.lines.iter().any(|line| line.starts_with("Unmatched answer_with_other_number"));
        (accepted, is_counted)
    };
    let write = || write_to(&[number(2, 1), number(2, 2)]);
    let good = results(676, &[0, 0]);
    assert_eq!(answer_to(&[write()], 10, &good, 0, false), (2, false));
    assert_eq!(answer_to(&[write()], 11, &good, 0, false), (2, true), "another number");
    assert_eq!(answer_to(&[write(), write()], 13, &good, 0, false), (0, false), "two in flight");
    assert_eq!(answer_to(&[read(&["Level"])], 11, &good, 0, false), (0, false), "another service");
    assert_eq!(answer_to(&[write()], 11, &results(676, &[0]), 0, false), (0, false), "fewer results");
    assert_eq!(answer_to(&[write()], 11, &good, 6_000, false), (0, false), "too late");
    assert_eq!(answer_to(&[write()], 11, &good, 0, true), (0, false), "something is missing");
}

#[test]
fn a_reused_number_ends_the_pending_request_before() {
    let mut conversation = Conversation::opened();
    conversation.say(Client, 7, &write_to(&[number(2, 1)]));
    conversation.say(Client, 7, &write_to(&[number(2, 2)]));
    conversation.say(Server, 7, &results(676, &[0]));
    let outcomes = conversation.outcomes();
    assert_eq!(
        outcomes,
        [
            "0 no_response 2.0 after 0: write write 673 node=ns=2;i=1 attribute=value",
            "0 accepted 3.0 after 0: write write 673 node=ns=2;i=2 attribute=value"
        ]
    );
}

#[test]
fn an_accepted_response_without_a_request_proves_its_operation() {
    let mut conversation = Conversation::opened();
    conversation.say(Server, 2, &results(676, &[0, 0x801F_0000, 0]));
    let called = [&[0; 4][..], &NULL, &NULL, &array(&[vec![6, 9, 0, 0, 0]])].concat();
    conversation.say(Server, 3, &response(715, 0, &[array(&[called]), NULL.to_vec()].concat()));
    let added = [&[0; 4][..], &number(2, 77)].concat();
    conversation.say(Server, 4, &response(491, 0, &[array(&[added]), NULL.to_vec()].concat()));
    conversation.say(Server, 5, &results(503, &[0]));
    conversation.say(Server, 6, &wire::activated());
    let updated = [&[0; 4][..], &NULL, &NULL].concat();
    conversation.say(Server, 7, &response(703, 0, &[array(&[updated]), NULL.to_vec()].concat()));
    // These responses prove no change.
    conversation.say(Server, 8, &values(&[7]));
    conversation.say(Server, 9, &response(676, 0x801F_0000, &[]));
    conversation.say(Server, 10, &results(676, &[0x801F_0000]));
    assert_eq!(
        conversation.announced(),
        [
            "unseen write write 673 unread=target",
            "unseen write write 673 unread=target",
            "unseen control call 712 unread=target = [Signed(9)]",
            "unseen program add_nodes 488 node=ns=2;i=77",
            "unseen program delete_nodes 500 unread=target",
            "unseen security activate_session 467 unread=target",
            "unseen write history_update 700 unread=target",
        ]
    );
    assert_eq!(conversation.log.lines_of("Unmatched").len(), 9, "counted as before");
}

#[test]
fn only_a_different_second_response_with_the_same_number_is_a_proof() {
    let mut conversation = Conversation::opened();
    conversation.say(Client, 2, &write_to(&[number(2, 1)]));
    conversation.say(Server, 2, &results(676, &[0]));
    conversation.say(Server, 2, &results(676, &[0]));
    assert_eq!(conversation.announced().len(), 1, "{:?}", conversation.announced());
    let mut later = results(676, &[0]);
    later[4] += 1; // the server's clock
    conversation.say(Server, 2, &later);
    assert_eq!(conversation.announced().len(), 2, "{:?}", conversation.announced());
    // A request that found no room was captured nevertheless.
    let mut conversation = Conversation::opened();
    for number in 2..80 {
        conversation.say(Client, number, &write("Gate", &[7; 10_000]));
    }
    assert!(!conversation.log.lines_of("Limit pending_bytes").is_empty());
    (2..80).for_each(|number| conversation.say(Server, number, &results(676, &[0])));
    assert!(!conversation.announced().iter().any(|line| line.starts_with("unseen")));
    assert!(conversation.log.lines_of("Unmatched").is_empty());
}

#[test]
fn responses_alone_are_enough_in_plaintext_or_signed() {
    for signature in [0, 32] {
        let mut conversation = Conversation::joined(signature, true);
        for number in 2..5 {
            conversation.say(Server, number, &results(676, &[0]));
        }
        conversation.session.finish(&mut conversation.log);
        assert_eq!(conversation.announced(), ["unseen write write 673 unread=target"; 3], "signature of {signature}");
    }
    // The opening is encrypted, and captured from the server only.
    let mut conversation = Conversation::joined(32, false);
    conversation.feed(Server, &acknowledge());
    let [_, (side, grant)] = conversation.channel.open_sealed(BASIC);
    conversation.feed(side, &grant);
    for number in 2..6 {
        conversation.say(Server, number, &results(676, &[0]));
    }
    conversation.session.finish(&mut conversation.log);
    assert_eq!(conversation.announced(), ["unseen write write 673 unread=target"; 4], "{:?}", conversation.log.lines);
}

/// Requests with their responses, with some changed bytes.
fn damaged() -> impl Strategy<Value = Vec<(Side, u32, Vec<u8>)>> {
    let change = (any::<prop::sample::Index>(), prop_oneof![Just(0x40_u8), Just(0x80), Just(0xC0), any::<u8>()]);
    let one = (0_u8..9, 1_u16..5, 2_u32..5, vec(change, 0..3), vec(change_of_answer(), 0..2));
    vec(one, 1..12).prop_map(|all| {
        let exchange = |(kind, count, id, changes, answers): (u8, u16, u32, Vec<_>, Vec<_>)| {
            let nodes = || (0..count).map(|id| number(2, id + 1)).collect::<Vec<_>>();
            let statuses = vec![0; count.into()];
            let (mut ask, mut answer) = match kind {
                0 | 1 => (write_to(&nodes()), results(676, &statuses)),
                2 => (read(&["Level"]), values(&[7])),
                3 => (register(&nodes()), registered(&(0..count).map(|id| number(2, id + 2)).collect::<Vec<_>>())),
                4 => (request(566, 1, &array(&nodes())), response(569, 0, &[])),
                5 => (request(473, 1, &[1]), response(476, 0, &[])),
                6 => (wire::activate(1, "anna", "secret"), wire::activated()),
                7 => {
                    (request(712, 1, &array(&[[&number(2, 1)[..], &number(2, 2), &NULL].concat()])), results(715, &[]))
                }
                _ => (
                    request(500, 1, &array(&nodes().iter().map(|node| [node, &[1][..]].concat()).collect::<Vec<_>>())),
                    results(503, &statuses),
                ),
            };
            for (place, bits) in changes {
                let place: prop::sample::Index = place;
                let place = place.index(ask.len());
                ask[place] ^= bits;
            }
            for (place, byte) in answers {
                let place: prop::sample::Index = place;
                let place = place.index(answer.len());
                answer[place] = byte;
            }
            [(Client, id, ask), (Server, id, answer)]
        };
        all.into_iter().flat_map(exchange).collect()
    })
}

fn change_of_answer() -> impl Strategy<Value = (prop::sample::Index, u8)> {
    (any::<prop::sample::Index>(), any::<u8>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_operation_of_a_damaged_conversation_is_announced_once_and_ends_once(
        said in damaged(), order in vec(any::<prop::sample::Index>(), 0..6), awaits in any::<bool>(), wait in 0_i64..3_000,
    ) {
        let mut said = said;
        for place in order {
            let place = place.index(said.len());
            let moved = said.remove(place);
            said.push(moved);
        }
        let mut log = Log::answering(Answers { awaits: Box::new(move |_| awaits), ..Answers::default() });
        let mut channel = Channel::new(0);
        let mut session = Session::new(&OPCUA, Transport::Tcp, &Limits::default(), false);
        let [(_, ask), (_, grant)] = channel.open(NONE, 1);
        session.feed_stream(Client, &ask, &at(0), &mut log);
        session.feed_stream(Server, &grant, &at(0), &mut log);
        for (moment, (side, number, body)) in (0..).zip(&said) {
            let chunk = channel.piece(*side, b'F', *number, body);
            session.feed_stream(*side, &chunk, &at(moment * wait), &mut log);
        }
        session.finish(&mut log);
        log.assert_settled();
    }
}
