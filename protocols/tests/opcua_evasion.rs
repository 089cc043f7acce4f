//! Every executed operation is reported, however odd its request is, and whether it is in the capture or not.

use lockkeeper_protocols::opcua::OPCUA;
use lockkeeper_protocols::{Class, Limits, Namespaces, Session, Side, Transport};

#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests; this file uses a part")]
#[path = "../src/testing.rs"]
mod testing;
#[allow(dead_code, unreachable_pub, reason = "each file of tests uses a part")]
#[path = "opcua/wire.rs"]
mod wire;

use std::slice::from_ref;

use Side::{Client, Server};
use proptest::collection::vec;
use proptest::prelude::*;
use testing::{Answers, Log, at};
use wire::{
    BASIC, Channel, NONE, NULL, acknowledge, array, hello, read, request, response, results, string, values, write,
};

/// A conversation, and what is decoded of it.
struct Talk {
    channel: Channel,
    session: Session,
    log: Log,
    now: i64,
}

impl Talk {
    /// Connection and channel, clear.
    fn opened() -> Self {
        let mut talk = Self::joined(0, false);
        talk.decode(Client, &hello("opc.tcp://plc:4840"));
        talk.decode(Server, &acknowledge());
        for (side, opening) in talk.channel.open(NONE, 1) {
            talk.decode(side, &opening);
        }
        talk.log.lines.clear();
        talk
    }

    /// A conversation that began before the capture.
    fn joined(signature: usize, is_midstream: bool) -> Self {
        let session = Session::new(&OPCUA, Transport::Tcp, &Limits::default(), is_midstream);
        Self { channel: Channel::new(signature), session, log: Log::default(), now: 0 }
    }

    fn decode(&mut self, from: Side, bytes: &[u8]) {
        self.session.feed_stream(from, bytes, &at(self.now), &mut self.log);
    }

    fn say(&mut self, from: Side, number: u32, body: &[u8]) {
        let chunk = self.channel.piece(from, b'F', number, body);
        self.decode(from, &chunk);
    }

    /// The lines of operations and of unseen requests, from their class on.
    fn announced(&self) -> Vec<String> {
        let announced = self.log.lines.iter().filter_map(|line| {
            let mut words = line.splitn(4, ' ').skip(1);
            let what = words.next().filter(|word| ["asks", "unseen"].contains(word))?;
            Some(format!("{what} {}", words.nth(1)?))
        });
        announced.collect()
    }

    fn outcomes(&self) -> Vec<&str> {
        let ends = ["accepted", "refused", "no_response", "pending"];
        let is_end =
            |line: &&str| line.split(' ').nth(1).is_some_and(|word| ends.iter().any(|end| word.starts_with(end)));
        self.log.lines.iter().map(String::as_str).filter(is_end).collect()
    }
}

/// A node of a namespace with a number, four-byte form.
fn number(namespace: u8, id: u16) -> Vec<u8> {
    [&[1, namespace][..], &id.to_le_bytes()].concat()
}

/// Write of the value 7 (Int32) to nodes as they are encoded.
fn write_to(nodes: &[Vec<u8>]) -> Vec<u8> {
    let item = |node: &Vec<u8>| [&node[..], &13_u32.to_le_bytes(), &NULL, &[1, 6, 7, 0, 0, 0]].concat();
    request(673, 1, &array(&nodes.iter().map(item).collect::<Vec<_>>()))
}

fn register(nodes: &[Vec<u8>]) -> Vec<u8> {
    request(560, 1, &array(nodes))
}

fn registered(aliases: &[Vec<u8>]) -> Vec<u8> {
    response(563, 0, &array(aliases))
}

#[test]
fn a_flag_in_the_type_of_a_request_hides_nothing() {
    let mut talk = Talk::opened();
    let body = write_to(&[number(2, 2)]);
    // 81: a namespace URI, null
    let odd = [&[0x81][..], &body[1..4], &NULL, &body[4..]].concat();
    talk.say(Client, 2, &odd);
    talk.say(Server, 2, &results(676, &[0]));
    assert_eq!(talk.announced(), ["asks write write 673 node=ns=2;i=2 attribute=value = [Signed(7)]"]);
    assert_eq!(talk.outcomes(), ["0 accepted 2.0 after 0: write write 673 node=ns=2;i=2 attribute=value"]);
    assert_eq!(talk.log.lines_of("Malformed"), ["Malformed node_id_encoding from Client"]);
}

#[test]
fn each_reading_has_its_outcomes_from_the_same_results() {
    let mut talk = Talk::opened();
    // ns=2;i=1, then ns=2;i=2 with the flag of a server index; both readings end in the message
    let odd = [
        &[0x41, 2, 2, 0][..],
        &[13, 0, 0, 0], // the index, or the attribute
        &[13, 0, 0, 0], // the attribute, or the length of the range
        &[0xFF, 0xFF, 0xFF, 0xFF, 1, 6, 7, 0, 0, 0, 0, 0, 0],
        &[1, 6, 8, 0, 0, 0],
    ];
    let first = [&number(2, 1)[..], &13_u32.to_le_bytes(), &NULL, &[1, 6, 7, 0, 0, 0]].concat();
    talk.say(Client, 2, &request(673, 1, &array(&[first, odd.concat()])));
    talk.say(Server, 2, &results(676, &[0, 0x801F_0000]));
    let announced = talk.announced();
    assert_eq!(announced.len(), 3, "{announced:?}");
    assert!(
        !announced[0].contains("(ambiguous)") && announced[1].contains("(ambiguous) node=ns=2;i=2"),
        "{announced:?}"
    );
    let outcomes = talk.outcomes();
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
fn an_unread_part_ends_as_the_results_after_the_fault_do() {
    let mut talk = Talk::opened();
    let nested = [&number(2, 1)[..], &13_u32.to_le_bytes(), &NULL, &[1], &[24; 101], &[1, 1]].concat();
    let first = [&number(2, 9)[..], &13_u32.to_le_bytes(), &NULL, &[1, 6, 7, 0, 0, 0]].concat();
    talk.say(Client, 2, &request(673, 1, &array(&[first, nested])));
    talk.say(Server, 2, &results(676, &[0x801F_0000, 0]));
    let outcomes = talk.outcomes();
    assert!(outcomes[0].starts_with("0 refused(2149515264 bad_user_access_denied) 2.0"), "{outcomes:?}");
    assert!(
        outcomes[1..].iter().all(|line| line.starts_with("0 accepted 2.") && line.contains("unread=item")),
        "{outcomes:?}"
    );
    assert_eq!(talk.log.lines_of("Limit"), ["Limit value_depth from Client"]);
}

#[test]
fn a_request_without_a_type_is_an_unknown_operation() {
    let mut talk = Talk::opened();
    talk.say(Client, 2, &[0x4F, 1, 2, 3, 4, 5]);
    talk.say(Server, 3, &[0x4F, 1, 2, 3, 4, 5]);
    assert_eq!(talk.announced(), ["asks unknown unread_request 0 unread=type_id"]);
}

#[test]
fn a_login_is_announced_whatever_flags_its_token_has() {
    // The type of an anonymous token, 321, with the flag of a server index, and the index
    let token = |kind: &[u8]| [kind, &[1], &9_u32.to_le_bytes(), &string("anybody")[..9]].concat();
    let login = |token: Vec<u8>| request(467, 1, &[&NULL[..], &NULL, &NULL, &NULL, &token, &NULL, &NULL].concat());
    for (kind, users) in [
        (&[0x41, 0, 0x41, 0x01, 0, 0, 0, 0][..], &["user anonymous "][..]),
        (&[0x41, 0, 0x41, 0x01], &["user anonymous "]),
        (&[0x11, 0, 0x41, 0x01], &["user anonymous "]),
    ] {
        let mut talk = Talk::opened();
        talk.say(Client, 2, &login(token(kind)));
        talk.say(Server, 2, &response(470, 0, &[NULL, NULL, NULL].concat()));
        assert_eq!(talk.log.lines_of("user"), users, "{kind:02x?}");
        let announced = talk.announced();
        let is_login = |line: &String| {
            line.starts_with("asks security activate_session 467") && line.ends_with("identity=anonymous")
        };
        assert!(announced.iter().all(is_login), "{announced:?}");
        assert!(talk.outcomes().iter().all(|line| line.contains("accepted")), "{:?}", talk.outcomes());
    }
    // A type without a structure: some servers take that for anonymous.
    let mut talk = Talk::opened();
    talk.say(Client, 2, &login([1, 0, 0x44, 0x01, 0].to_vec()));
    assert_eq!(talk.log.lines_of("user"), ["user anonymous "]);
    // What no server can read is a login all the same, of a user of whom nothing is known.
    let mut talk = Talk::opened();
    talk.say(Client, 2, &login([7, 0, 0x44, 0x01, 0].to_vec()));
    assert_eq!(talk.announced(), ["asks security activate_session 467 unread=item"]);
    assert_eq!(talk.log.lines_of("user"), ["user unread "]);
}

#[test]
fn a_login_that_cannot_be_read_is_that_of_an_unread_user() {
    // The type of ActivateSession with a server index, and a structure without a length: asyncua reads on
    let mut odd = request(467, 1, &[&NULL[..], &NULL, &NULL, &NULL, b"\x01\0\x41\x01\x01", &NULL, &NULL].concat());
    odd.splice(0..1, [0x41]);
    odd.splice(4..4, [0; 4]);
    let mut talk = Talk::opened();
    talk.say(Client, 2, &odd);
    assert_eq!(talk.log.lines_of("user"), ["user unread "]);
    // A type that the standard does not have, and a structure that is none of a token
    let unknown = [&[1, 0, 0x0F, 0x27, 1][..], &2_u32.to_le_bytes(), b"zz"].concat();
    let mut talk = Talk::opened();
    talk.say(Client, 2, &request(467, 1, &[&NULL[..], &NULL, &NULL, &NULL, &unknown, &NULL, &NULL].concat()));
    assert_eq!(talk.log.lines_of("user"), ["user unread "]);
}

#[test]
fn a_registered_node_is_announced_as_the_node_that_it_stands_for() {
    let mut talk = Talk::opened();
    let (real, alias) = (number(3, 2), vec![2, 2, 0, 0xA1, 0xBB, 0x0D, 0]); // ns=2;i=900001
    talk.say(Client, 2, &register(&[real, number(4, 7)]));
    talk.say(Server, 2, &registered(&[alias.clone(), number(4, 7)]));
    talk.log.lines.clear();
    talk.say(Client, 3, &write_to(&[number(2, 1), alias.clone(), number(4, 7)]));
    talk.say(Client, 4, &request(560, 1, &array(from_ref(&alias))));
    talk.say(Client, 5, &request(566, 1, &array(from_ref(&alias))));
    // Until the node is no longer registered it is what it was.
    talk.say(Client, 6, &write_to(from_ref(&alias)));
    talk.say(Server, 5, &response(569, 0, &[]));
    talk.say(Server, 3, &results(676, &[0, 0, 0]));
    talk.say(Server, 6, &results(676, &[0]));
    talk.say(Client, 7, &write_to(&[alias]));
    assert_eq!(
        talk.announced(),
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
    let accepted = talk.outcomes();
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
fn methods_and_monitored_items_are_announced_by_the_nodes_that_are_meant() {
    let mut talk = Talk::opened();
    let shutdown = number(0, 12886); // RequestServerStateChange
    talk.say(Client, 2, &register(&[number(0, 2253), shutdown, number(3, 2)]));
    talk.say(Server, 2, &registered(&[number(2, 100), number(2, 101), number(2, 102)]));
    talk.log.lines.clear();
    let call = [&number(2, 100)[..], &number(2, 101), &NULL].concat();
    talk.say(Client, 3, &request(712, 1, &array(&[call])));
    let value = [&number(2, 102)[..], &13_u32.to_le_bytes(), &NULL, &[0, 0], &NULL].concat();
    let parameters = [&100_u32.to_le_bytes()[..], &[0; 8], &[0; 3], &[1, 0, 0, 0, 1]].concat();
    let item = [value, 2_u32.to_le_bytes().to_vec(), parameters].concat();
    talk.say(Client, 4, &request(751, 1, &[&7_u32.to_le_bytes()[..], &[0; 4], &array(&[item])].concat()));
    talk.say(Server, 4, &wire::monitored(1));
    talk.say(Client, 5, &request(826, 1, &NULL));
    talk.say(Server, 5, &wire::published(7, &[(100, 5)]));
    let announced = talk.announced();
    assert_eq!(announced[0], "asks control call 712 object=i=2253 method=i=12886 = []");
    assert_eq!(announced[1], "asks subscribe create_monitored_items 751 node=ns=3;i=2 attribute=value");
    assert_eq!(announced[3], "asks report publish 826 node=ns=3;i=2 attribute=value = [Signed(5)]");
}

#[test]
fn a_report_that_cannot_be_read_is_one_without_target() {
    let mut talk = Talk::opened();
    talk.say(Client, 2, &request(826, 1, &NULL));
    let mut report = wire::published(7, &[(100, 5)]);
    let kind = report.windows(4).position(|bytes| bytes == [1, 0, 0x2B, 0x03]).expect("a data change notification");
    report[kind] = 0x4F;
    talk.say(Server, 2, &report);
    assert_eq!(talk.announced()[1..], ["asks report publish 826 unread=notification"]);
    assert_eq!(talk.log.lines_of("Malformed"), ["Malformed node_id_encoding from Server"]);
}

#[test]
fn aliases_belong_to_the_session_that_registered_them_and_end_with_it() {
    let mut talk = Talk::opened();
    let of_session = |session: u8, body: Vec<u8>| [&body[..5], &[session], &body[6..]].concat();
    for (session, node) in [(1, number(3, 1)), (2, number(3, 2))] {
        talk.say(Client, session.into(), &of_session(session, register(&[node])));
        talk.say(Server, session.into(), &registered(&[number(2, 9)]));
    }
    talk.log.lines.clear();
    let write = |session: u8| of_session(session, write_to(&[number(2, 9)]));
    talk.say(Client, 10, &write(1));
    talk.say(Client, 11, &write(2));
    talk.say(Client, 12, &write(3));
    talk.say(Client, 13, &of_session(1, request(473, 1, &[1])));
    talk.say(Server, 13, &response(476, 0, &[]));
    talk.say(Client, 14, &write(1));
    let nodes: Vec<_> = talk
        .announced()
        .iter()
        .filter_map(|line| Some(line.split("node=").nth(1)?.split(' ').next()?.to_owned()))
        .collect();
    assert_eq!(nodes, ["ns=3;i=1", "ns=3;i=2", "ns=2;i=9", "ns=2;i=9"]);
}

#[test]
fn aliases_whose_registration_was_not_seen_are_unread() {
    // Only the answer: these ids are known to be aliases.
    let mut talk = Talk::opened();
    talk.say(Server, 2, &registered(&[number(2, 9)]));
    talk.say(Client, 3, &write_to(&[number(2, 9), number(2, 1)]));
    let unread = "asks write write 673 unread=registered_node = [Signed(7)]";
    let plain = "asks write write 673 node=ns=2;i=1 attribute=value = [Signed(7)]";
    assert_eq!(talk.announced(), [unread, plain]);

    // Only the request, and no answer in time: any node may be one of them, but for those of the standard.
    let mut talk = Talk::opened();
    talk.say(Client, 2, &register(&[number(3, 2)]));
    talk.now = 4_000;
    talk.say(Client, 3, &write_to(&[number(2, 1)]));
    talk.now = 6_000;
    talk.say(Client, 4, &write_to(&[number(2, 1), number(0, 7)]));
    assert_eq!(talk.announced()[1..], [plain, unread, "asks write write 673 node=i=7 attribute=value = [Signed(7)]"]);

    // A refusal returns no aliases.
    let mut talk = Talk::opened();
    talk.say(Client, 2, &register(&[number(3, 2)]));
    talk.say(Server, 2, &response(397, 0x801F_0000, &[]));
    talk.now = 6_000;
    talk.say(Client, 3, &write_to(&[number(2, 1)]));
    assert_eq!(talk.announced()[1..], [plain]);

    // An answer that names fewer nodes than were registered, or cannot be read.
    for answer in [registered(&[]), registered(&[number(2, 9), vec![0x66, 0, 0]])] {
        let mut talk = Talk::opened();
        talk.say(Client, 2, &register(&[number(3, 2), number(3, 3)]));
        talk.say(Server, 2, &answer);
        talk.say(Client, 3, &write_to(&[number(2, 1)]));
        assert_eq!(talk.announced()[2..], [unread]);
    }
}

#[test]
fn an_answer_with_more_aliases_than_nodes_leaves_their_nodes_unread() {
    let mut talk = Talk::opened();
    talk.say(Client, 2, &register(&[number(2, 1)]));
    talk.say(Server, 2, &registered(&[number(2, 100), number(2, 101)]));
    talk.log.lines.clear();
    talk.say(Client, 3, &write_to(&[number(2, 100), number(2, 101)]));
    assert_eq!(
        talk.announced(),
        [
            "asks write write 673 node=ns=2;i=1 attribute=value = [Signed(7)]",
            "asks write write 673 unread=registered_node = [Signed(7)]",
        ]
    );
}

#[test]
fn more_aliases_than_can_be_kept_are_a_limit_and_unread() {
    let mut talk = Talk::opened();
    let long = |namespace: u8, id: usize| [&[3, namespace, 0][..], &string(&format!("{id:0>400}"))].concat();
    for request in 0..60 {
        let ids = || (0..100).map(|id| request * 100 + id);
        let sizes = [60_000; 8];
        let (nodes, names) =
            (ids().map(|id| long(3, id)).collect::<Vec<_>>(), ids().map(|id| long(2, id)).collect::<Vec<_>>());
        let asks = talk.channel.message(Client, request as u32, &register(&nodes), &sizes);
        let answers = talk.channel.message(Server, request as u32, &registered(&names), &sizes);
        asks.iter().for_each(|chunk| talk.decode(Client, chunk));
        answers.iter().for_each(|chunk| talk.decode(Server, chunk));
    }
    assert!(!talk.log.lines_of("Limit registered_nodes").is_empty());
    talk.log.lines.clear();
    talk.say(Client, 1000, &write_to(&[long(2, 0), long(2, 5_999)]));
    let announced = talk.announced();
    assert!(
        announced[0].contains("node=ns=3;s=0000") && announced[1].contains("unread=registered_node"),
        "{announced:?}"
    );
}

/// Waits for no outcome, and lets reads and writes of nodes of namespaces 2 and 4 pass.
fn passing() -> Log {
    let passes = |class, namespaces| {
        let permitted = Namespaces::only(2).with(Namespaces::only(4));
        [Class::Read, Class::Write].contains(&class) && permitted.hold(namespaces)
    };
    Log::answering(Answers { awaits: Box::new(|_| false), passes, ..Answers::default() })
}

#[test]
fn only_requests_that_were_read_pass_at_once_and_with_the_nodes_behind_their_aliases() {
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
    // An alias for a node of a namespace that is permitted, too: still at once.
    say(Client, 3, &register(&[number(4, 1)]), &mut sink);
    say(Server, 3, &registered(&[number(2, 1)]), &mut sink);
    say(Client, 4, &write_to(&bulk(1)), &mut sink);
    assert_eq!((sink.passed, sink.lines_of("0 asks").len()), (200, 0));
    // An alias for a node of a namespace that is not: each is announced.
    say(Client, 5, &register(&[number(3, 1)]), &mut sink);
    say(Server, 5, &registered(&[number(2, 2)]), &mut sink);
    say(Client, 6, &write_to(&bulk(1)), &mut sink);
    assert_eq!((sink.passed, sink.lines_of("0 asks").len()), (200, 100));
    assert!(sink.lines_of("0 asks")[1].contains("node=ns=3;"), "{:?}", sink.lines);
    // An item that servers do not all read alike: none passes.
    let mut odd = bulk(50);
    odd[60] = vec![0x41, 2, 2, 0, 0, 0, 0, 0];
    say(Client, 7, &write_to(&odd), &mut sink);
    assert_eq!(sink.passed, 200);
    assert!(sink.lines_of("0 asks").len() >= 100, "{:?}", sink.lines);
}

#[test]
fn joined_in_mid_stream_any_clock_and_any_request_for_diagnostics_are_clear() {
    for (time, flags) in [(0_i64, 0_u32), (1, 0x3FF), (283_699_584_000_000_000, 0), (i64::MAX, 0x3FF), (-1, u32::MAX)] {
        let mut talk = Talk::joined(0, true);
        for round in 1..=3 {
            let mut body = write_to(&[number(2, 2)]);
            // behind the type and the two bytes of the token: time, handle, flags
            body[6..14].copy_from_slice(&time.to_le_bytes());
            body[18..22].copy_from_slice(&flags.to_le_bytes());
            talk.say(Client, round, &body);
            let mut answer = results(676, &[0]);
            answer[4..12].copy_from_slice(&time.to_le_bytes());
            talk.say(Server, round, &answer);
        }
        talk.session.finish(&mut talk.log);
        assert_eq!(talk.announced().len(), 3, "{time} {flags:x}: {:?}", talk.log.lines);
        assert!(talk.announced().iter().all(|line| line.contains("node=ns=2;i=2")));
        assert!(talk.outcomes().iter().all(|line| line.contains("accepted")), "{:?}", talk.outcomes());
    }
}

#[test]
fn in_mid_stream_requests_determine_the_client_against_swapped_roles() {
    let mut talk = Talk::joined(0, true);
    for round in 1..=2 {
        talk.say(Server, round, &write_to(&[number(2, 2)]));
        talk.say(Client, round, &results(676, &[0]));
    }
    talk.session.finish(&mut talk.log);
    assert_eq!(talk.announced().len(), 2, "{:?}", talk.log.lines);
    assert_eq!(talk.outcomes().len(), 2);
}

#[test]
fn a_hello_is_one_whatever_its_letter_and_however_long_its_url_is() {
    let long = format!("opc.tcp://{}:4840", "a".repeat(5_000));
    let mut talk = Talk::joined(0, false);
    let mut bytes = hello(&long);
    bytes[3] = b'X';
    talk.decode(Client, &bytes);
    talk.decode(Server, &acknowledge());
    for (side, opening) in talk.channel.open(NONE, 1) {
        talk.decode(side, &opening);
    }
    talk.say(Client, 2, &write_to(&[number(2, 2)]));
    assert_eq!(talk.announced().len(), 3, "{:?}", talk.log.lines);
    let malformed = talk.log.lines_of("Malformed");
    assert_eq!(malformed, ["Malformed message_part from Client", "Malformed endpoint_url 5015 from Client"]);
}

#[test]
fn an_answer_without_results_ends_its_request_as_its_header_states() {
    let mut talk = Talk::opened();
    let nulls = [NULL, NULL].concat();
    for (round, answer) in (2..).zip([
        response(676, 0, &nulls),                   // null
        response(676, 0, &[[0; 4], NULL].concat()), // empty
        results(676, &[0]),                         // one of two
        response(397, 0x801F_0000, &[]),            // a fault
        response(676, 0x801F_0000, &[]),            // a bad answer
        response(676, 0, &[]),                      // nothing at all
    ]) {
        talk.log.lines.clear();
        talk.say(Client, round, &write_to(&[number(2, 1), number(2, 2)]));
        talk.say(Server, round, &answer);
        let end = if [5, 6].contains(&round) { "refused(2149515264" } else { "accepted" };
        let outcomes = talk.outcomes();
        assert!(outcomes.len() == 2 && outcomes.iter().all(|line| line.contains(end)), "{round}: {outcomes:?}");
        let malformed = talk.log.lines_of("Malformed");
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
        let mut talk = Talk::opened();
        (10..).zip(requests).for_each(|(number, body)| talk.say(Client, number, body));
        if is_torn {
            talk.session.feed_gap(Server, &mut talk.log);
        }
        talk.now = after;
        talk.say(Server, number, answer);
        talk.say(Server, 900, &values(&[]));
        let accepted = talk.log.lines_of(&format!("{} accepted", after * 1_000_000)).len();
        let is_counted = talk.log.lines.iter().any(|line| line.starts_with("Unmatched answer_with_other_number"));
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
fn a_number_that_is_used_again_ends_the_wait_for_the_request_before() {
    let mut talk = Talk::opened();
    talk.say(Client, 7, &write_to(&[number(2, 1)]));
    talk.say(Client, 7, &write_to(&[number(2, 2)]));
    talk.say(Server, 7, &results(676, &[0]));
    let outcomes = talk.outcomes();
    assert_eq!(
        outcomes,
        [
            "0 no_response 2.0 after 0: write write 673 node=ns=2;i=1 attribute=value",
            "0 accepted 3.0 after 0: write write 673 node=ns=2;i=2 attribute=value"
        ]
    );
}

#[test]
fn an_accepted_answer_without_a_request_proves_the_change() {
    let mut talk = Talk::opened();
    talk.say(Server, 2, &results(676, &[0, 0x801F_0000, 0]));
    let called = [&[0; 4][..], &NULL, &NULL, &array(&[vec![6, 9, 0, 0, 0]])].concat();
    talk.say(Server, 3, &response(715, 0, &[array(&[called]), NULL.to_vec()].concat()));
    let added = [&[0; 4][..], &number(2, 77)].concat();
    talk.say(Server, 4, &response(491, 0, &[array(&[added]), NULL.to_vec()].concat()));
    talk.say(Server, 5, &results(503, &[0]));
    talk.say(Server, 6, &wire::activated());
    let updated = [&[0; 4][..], &NULL, &NULL].concat();
    talk.say(Server, 7, &response(703, 0, &[array(&[updated]), NULL.to_vec()].concat()));
    // These change nothing, or did nothing.
    talk.say(Server, 8, &values(&[7]));
    talk.say(Server, 9, &response(676, 0x801F_0000, &[]));
    talk.say(Server, 10, &results(676, &[0x801F_0000]));
    assert_eq!(
        talk.announced(),
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
    assert_eq!(talk.log.lines_of("Unmatched").len(), 9, "counted as before");
}

#[test]
fn a_second_answer_is_no_proof_and_another_answer_with_the_same_number_is() {
    let mut talk = Talk::opened();
    talk.say(Client, 2, &write_to(&[number(2, 1)]));
    talk.say(Server, 2, &results(676, &[0]));
    talk.say(Server, 2, &results(676, &[0]));
    assert_eq!(talk.announced().len(), 1, "{:?}", talk.announced());
    let mut later = results(676, &[0]);
    later[4] += 1; // the server's clock
    talk.say(Server, 2, &later);
    assert_eq!(talk.announced().len(), 2, "{:?}", talk.announced());
    // A request for which there was no room was seen.
    let mut talk = Talk::opened();
    for number in 2..80 {
        talk.say(Client, number, &write("Gate", &[7; 10_000]));
    }
    assert!(!talk.log.lines_of("Limit pending_bytes").is_empty());
    (2..80).for_each(|number| talk.say(Server, number, &results(676, &[0])));
    assert!(!talk.announced().iter().any(|line| line.starts_with("unseen")));
    assert!(talk.log.lines_of("Unmatched").is_empty());
}

#[test]
fn the_answers_of_a_server_alone_are_enough_clear_or_signed() {
    for signature in [0, 32] {
        let mut talk = Talk::joined(signature, true);
        for number in 2..5 {
            talk.say(Server, number, &results(676, &[0]));
        }
        talk.session.finish(&mut talk.log);
        assert_eq!(talk.announced(), ["unseen write write 673 unread=target"; 3], "signature of {signature}");
    }
    // The opening is encrypted, and seen from the server's side only.
    let mut talk = Talk::joined(32, false);
    talk.decode(Server, &acknowledge());
    let [_, (side, grant)] = talk.channel.open_sealed(BASIC);
    talk.decode(side, &grant);
    for number in 2..6 {
        talk.say(Server, number, &results(676, &[0]));
    }
    talk.session.finish(&mut talk.log);
    assert_eq!(talk.announced(), ["unseen write write 673 unread=target"; 4], "{:?}", talk.log.lines);
}

/// Requests with their answers, some bytes of which are changed.
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
    fn however_damaged_a_conversation_is_every_operation_is_announced_once_and_ends_once(
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
