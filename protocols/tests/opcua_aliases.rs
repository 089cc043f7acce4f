//! Registered nodes (RegisterNodes) are announced by the node behind their alias, or as unread if the node is unknown.

use lockkeeper_protocols::opcua::OPCUA;
use lockkeeper_protocols::{Class, Limits, Namespaces, Session, Side, Transport};

#[allow(dead_code, unreachable_pub, reason = "each file of tests uses a part")]
#[path = "opcua/conversation.rs"]
mod conversation;
#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests; this file uses a part")]
#[path = "../src/testing.rs"]
mod testing;
#[allow(dead_code, unreachable_pub, reason = "each file of tests uses a part")]
#[path = "opcua/wire.rs"]
mod wire;

use std::slice::from_ref;

use Side::{Client, Server};
use conversation::{Conversation, number, register, registered, write_to};
use testing::{Answers, Log, at};
use wire::{Channel, NONE, NULL, array, request, response, results, string};

#[test]
fn a_registered_node_is_announced_as_its_real_node() {
    let mut conversation = Conversation::opened();
    let (real, alias) = (number(3, 2), vec![2, 2, 0, 0xA1, 0xBB, 0x0D, 0]); // ns=2;i=900001
    conversation.say(Client, 2, &register(&[real, number(4, 7)]));
    conversation.say(Server, 2, &registered(&[alias.clone(), number(4, 7)]));
    conversation.log.lines.clear();
    conversation.say(Client, 3, &write_to(&[number(2, 1), alias.clone(), number(4, 7)]));
    conversation.say(Client, 4, &request(560, 1, &array(from_ref(&alias))));
    conversation.say(Client, 5, &request(566, 1, &array(from_ref(&alias))));
    // The alias is valid until the node is unregistered.
    conversation.say(Client, 6, &write_to(from_ref(&alias)));
    conversation.say(Server, 5, &response(569, 0, &[]));
    conversation.say(Server, 3, &results(676, &[0, 0, 0]));
    conversation.say(Server, 6, &results(676, &[0]));
    conversation.say(Client, 7, &write_to(&[alias]));
    assert_eq!(
        conversation.announced(),
        [
            "asks write write 673 node=ns=2;i=1 attribute=value = [Signed(7)]",
            "asks write write 673 node=ns=3;i=2 attribute=value = [Signed(7)]",
            "asks write write 673 node=ns=4;i=7 attribute=value = [Signed(7)]",
            "asks browse register_nodes 560 node=ns=3;i=2",
            "asks browse unregister_nodes 566 node=ns=3;i=2",
            "asks write write 673 node=ns=3;i=2 attribute=value = [Signed(7)]",
            "asks write write 673 node=ns=2;i=900001 attribute=value = [Signed(7)]",
        ]
    );
    let accepted = conversation.outcomes();
    assert!(
        accepted.contains(&"0 accepted 3.1 after 0: write write 673 node=ns=3;i=2 attribute=value"),
        "{accepted:?}"
    );
    assert!(
        accepted.contains(&"0 accepted 6.0 after 0: write write 673 node=ns=3;i=2 attribute=value"),
        "{accepted:?}"
    );
}

#[test]
fn methods_and_monitored_items_are_announced_by_their_real_nodes() {
    let mut conversation = Conversation::opened();
    let shutdown = number(0, 12886); // RequestServerStateChange
    conversation.say(Client, 2, &register(&[number(0, 2253), shutdown, number(3, 2)]));
    conversation.say(Server, 2, &registered(&[number(2, 100), number(2, 101), number(2, 102)]));
    conversation.log.lines.clear();
    let call = [&number(2, 100)[..], &number(2, 101), &NULL].concat();
    conversation.say(Client, 3, &request(712, 1, &array(&[call])));
    let value = [&number(2, 102)[..], &13_u32.to_le_bytes(), &NULL, &[0, 0], &NULL].concat();
    let parameters = [&100_u32.to_le_bytes()[..], &[0; 8], &[0; 3], &[1, 0, 0, 0, 1]].concat();
    let item = [value, 2_u32.to_le_bytes().to_vec(), parameters].concat();
    conversation.say(Client, 4, &request(751, 1, &[&7_u32.to_le_bytes()[..], &[0; 4], &array(&[item])].concat()));
    conversation.say(Server, 4, &wire::monitored(1));
    conversation.say(Client, 5, &request(826, 1, &NULL));
    conversation.say(Server, 5, &wire::published(7, &[(100, 5)]));
    let announced = conversation.announced();
    assert_eq!(announced[0], "asks control call 712 object=i=2253 method=i=12886 = []");
    assert_eq!(announced[1], "asks subscribe create_monitored_items 751 node=ns=3;i=2 attribute=value");
    assert_eq!(announced[3], "asks report publish 826 node=ns=3;i=2 attribute=value = [Signed(5)]");
}

#[test]
fn aliases_belong_to_the_session_that_registered_them_and_end_with_it() {
    let mut conversation = Conversation::opened();
    let of_session = |session: u8, body: Vec<u8>| [&body[..5], &[session], &body[6..]].concat();
    for (session, node) in [(1, number(3, 1)), (2, number(3, 2))] {
        conversation.say(Client, session.into(), &of_session(session, register(&[node])));
        conversation.say(Server, session.into(), &registered(&[number(2, 9)]));
    }
    conversation.log.lines.clear();
    let write = |session: u8| of_session(session, write_to(&[number(2, 9)]));
    conversation.say(Client, 10, &write(1));
    conversation.say(Client, 11, &write(2));
    conversation.say(Client, 12, &write(3));
    conversation.say(Client, 13, &of_session(1, request(473, 1, &[1])));
    conversation.say(Server, 13, &response(476, 0, &[]));
    conversation.say(Client, 14, &write(1));
    let nodes: Vec<_> = conversation
        .announced()
        .iter()
        .filter_map(|line| Some(line.split("node=").nth(1)?.split(' ').next()?.to_owned()))
        .collect();
    assert_eq!(nodes, ["ns=3;i=1", "ns=3;i=2", "ns=2;i=9", "ns=2;i=9"]);
}

#[test]
fn aliases_without_a_captured_registration_are_unread() {
    // Only the response: its ids are aliases of unknown nodes.
    let mut conversation = Conversation::opened();
    conversation.say(Server, 2, &registered(&[number(2, 9)]));
    conversation.say(Client, 3, &write_to(&[number(2, 9), number(2, 1)]));
    let unread = "asks write write 673 unread=registered_node = [Signed(7)]";
    let plain = "asks write write 673 node=ns=2;i=1 attribute=value = [Signed(7)]";
    assert_eq!(conversation.announced(), [unread, plain]);

    // Only the request, without a response in time: any node except those of the standard may be an alias.
    let mut conversation = Conversation::opened();
    conversation.say(Client, 2, &register(&[number(3, 2)]));
    conversation.now = 4_000;
    conversation.say(Client, 3, &write_to(&[number(2, 1)]));
    conversation.now = 6_000;
    conversation.say(Client, 4, &write_to(&[number(2, 1), number(0, 7)]));
    assert_eq!(
        conversation.announced()[1..],
        [plain, unread, "asks write write 673 node=i=7 attribute=value = [Signed(7)]"]
    );

    // A refusal returns no aliases.
    let mut conversation = Conversation::opened();
    conversation.say(Client, 2, &register(&[number(3, 2)]));
    conversation.say(Server, 2, &response(397, 0x801F_0000, &[]));
    conversation.now = 6_000;
    conversation.say(Client, 3, &write_to(&[number(2, 1)]));
    assert_eq!(conversation.announced()[1..], [plain]);

    // A response with fewer nodes than were registered, or an unreadable one.
    for answer in [registered(&[]), registered(&[number(2, 9), vec![0x66, 0, 0]])] {
        let mut conversation = Conversation::opened();
        conversation.say(Client, 2, &register(&[number(3, 2), number(3, 3)]));
        conversation.say(Server, 2, &answer);
        conversation.say(Client, 3, &write_to(&[number(2, 1)]));
        assert_eq!(conversation.announced()[2..], [unread]);
    }
}

#[test]
fn a_response_with_more_aliases_than_nodes_leaves_them_unread() {
    let mut conversation = Conversation::opened();
    conversation.say(Client, 2, &register(&[number(2, 1)]));
    conversation.say(Server, 2, &registered(&[number(2, 100), number(2, 101)]));
    conversation.log.lines.clear();
    conversation.say(Client, 3, &write_to(&[number(2, 100), number(2, 101)]));
    assert_eq!(
        conversation.announced(),
        [
            "asks write write 673 node=ns=2;i=1 attribute=value = [Signed(7)]",
            "asks write write 673 unread=registered_node = [Signed(7)]",
        ]
    );
}

#[test]
fn aliases_beyond_the_limit_are_unread() {
    let mut conversation = Conversation::opened();
    let long = |namespace: u8, id: usize| [&[3, namespace, 0][..], &string(&format!("{id:0>400}"))].concat();
    for request in 0..60 {
        let ids = || (0..100).map(|id| request * 100 + id);
        let sizes = [60_000; 8];
        let (nodes, names) =
            (ids().map(|id| long(3, id)).collect::<Vec<_>>(), ids().map(|id| long(2, id)).collect::<Vec<_>>());
        let asks = conversation.channel.message(Client, request as u32, &register(&nodes), &sizes);
        let answers = conversation.channel.message(Server, request as u32, &registered(&names), &sizes);
        asks.iter().for_each(|chunk| conversation.feed(Client, chunk));
        answers.iter().for_each(|chunk| conversation.feed(Server, chunk));
    }
    assert!(!conversation.log.lines_of("Limit registered_nodes").is_empty());
    conversation.log.lines.clear();
    conversation.say(Client, 1000, &write_to(&[long(2, 0), long(2, 5_999)]));
    let announced = conversation.announced();
    assert!(
        announced[0].contains("node=ns=3;s=0000") && announced[1].contains("unread=registered_node"),
        "{announced:?}"
    );
}

/// A sink that tracks no outcome, and lets reads and writes of nodes of namespaces 2 and 4 pass.
fn passing() -> Log {
    let passes = |class, namespaces| {
        let permitted = Namespaces::only(2).with(Namespaces::only(4));
        [Class::Read, Class::Write].contains(&class) && permitted.hold(namespaces)
    };
    Log::answering(Answers { awaits: Box::new(|_| false), passes, ..Answers::default() })
}

#[test]
fn only_readable_requests_pass_at_once_judged_by_their_real_nodes() {
    let mut channel = Channel::new(0);
    let mut session = Session::new(&OPCUA, Transport::Tcp, &Limits::default(), false);
    let mut sink = passing();
    let [(_, ask), (_, grant)] = channel.open(NONE, 1);
    session.feed_stream(Client, &ask, &at(0), &mut sink);
    session.feed_stream(Server, &grant, &at(0), &mut sink);
    let mut say = |from: Side, number: u32, body: &[u8], sink: &mut Log| {
        let chunk = channel.piece(from, b'F', number, body);
        sink.lines.clear();
        session.feed_stream(from, &chunk, &at(0), sink);
    };
    let bulk = |first: u16| (0..100).map(|id| number(2, first + id)).collect::<Vec<_>>();
    say(Client, 2, &write_to(&bulk(1)), &mut sink);
    assert_eq!((sink.passed, sink.lines_of("0 asks").len()), (100, 0));
    say(Server, 2, &results(676, &[0; 100]), &mut sink);
    // An alias of a node in a permitted namespace also passes at once.
    say(Client, 3, &register(&[number(4, 1)]), &mut sink);
    say(Server, 3, &registered(&[number(2, 1)]), &mut sink);
    say(Client, 4, &write_to(&bulk(1)), &mut sink);
    assert_eq!((sink.passed, sink.lines_of("0 asks").len()), (200, 0));
    // With an alias of a node in another namespace, each operation is announced.
    say(Client, 5, &register(&[number(3, 1)]), &mut sink);
    say(Server, 5, &registered(&[number(2, 2)]), &mut sink);
    say(Client, 6, &write_to(&bulk(1)), &mut sink);
    assert_eq!((sink.passed, sink.lines_of("0 asks").len()), (200, 100));
    assert!(sink.lines_of("0 asks")[1].contains("node=ns=3;"), "{:?}", sink.lines);
    // With an item that servers read differently, none passes.
    let mut odd = bulk(50);
    odd[60] = vec![0x41, 2, 2, 0, 0, 0, 0, 0];
    say(Client, 7, &write_to(&odd), &mut sink);
    assert_eq!(sink.passed, 200);
    assert!(sink.lines_of("0 asks").len() >= 100, "{:?}", sink.lines);
}
