//! OPC UA conversations from the opening of the connection on: split, lossy, encrypted and hostile.

use std::sync::Arc;

use lockkeeper_protocols::opcua::OPCUA;
use lockkeeper_protocols::{Keys, Limits, Sealed, Session, Side, Transport};

#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests; this file uses a part")]
#[path = "../src/testing.rs"]
mod testing;
#[allow(dead_code, unreachable_pub, reason = "each file of tests uses a part")]
#[path = "opcua/wire.rs"]
mod wire;

use Side::{Client, Server};
use testing::{Log, at, decode};
use wire::{
    BASIC, Channel, ECC, NONE, acknowledge, activate, activated, hello, read, response, results, reverse_hello, values,
    write,
};

type Said = (Side, Vec<u8>);

fn log_of(said: &[Said]) -> Log {
    let segments: Vec<_> = said.iter().map(|(side, bytes)| (*side, bytes.as_slice())).collect();
    decode(&OPCUA, &segments)
}

/// Connection and channel.
fn opened(channel: &mut Channel, policy: &str, mode: u8) -> Vec<Said> {
    let mut said = vec![(Client, hello("opc.tcp://plc:4840")), (Server, acknowledge())];
    said.extend(channel.open(policy, mode));
    said
}

/// A message in one chunk.
fn say(channel: &mut Channel, from: Side, request: u32, body: &[u8]) -> Said {
    (from, channel.piece(from, b'F', request, body))
}

#[test]
fn a_connection_is_opened_secured_used_and_closed() {
    let channel = &mut Channel::new(0);
    let mut said = opened(channel, NONE, 1);
    said.push(say(channel, Client, 2, &activate(1, "anna", "secret")));
    said.push(say(channel, Server, 2, &activated()));
    said.push(say(channel, Client, 3, &read(&["Level", "Gate"])));
    said.push(say(channel, Server, 3, &values(&[7, -1])));
    said.push(say(channel, Client, 4, &write("Gate", b"up")));
    said.push(say(channel, Server, 4, &results(676, &[0x801F_0000])));
    said.push((Client, channel.close()));
    let log = log_of(&said);
    assert_eq!(
        log.lines,
        [
            "0 asks 0.0 session hello 0 endpoint=opc.tcp://plc:4840",
            "0 accepted 0.0 after 0: session hello 0 endpoint=opc.tcp://plc:4840",
            "0 asks 1.0 security open_secure_channel 446 mode=None policy=None",
            "0 accepted 1.0 after 0: security open_secure_channel 446 mode=None policy=None",
            "channel None None",
            "user username anna in clear",
            "0 asks 2.0 security activate_session 467 identity=username user=anna",
            "0 accepted 2.0 after 0: security activate_session 467 identity=username user=anna",
            "0 asks 3.0 read read 631 node=ns=2;s=Level attribute=value",
            "0 asks 3.1 read read 631 node=ns=2;s=Gate attribute=value",
            "0 accepted 3.0 after 0: read read 631 node=ns=2;s=Level attribute=value = [Signed(7)]",
            "0 accepted 3.1 after 0: read read 631 node=ns=2;s=Gate attribute=value = [Signed(-1)]",
            "0 asks 4.0 write write 673 node=ns=2;s=Gate attribute=value = [Bytes([117, 112])]",
            "0 refused(2149515264 bad_user_access_denied) 4.0 after 0: write write 673 node=ns=2;s=Gate attribute=value",
            "0 asks 5.0 session close_secure_channel 452",
            "0 accepted 5.0 after 0: session close_secure_channel 452",
        ]
    );
    assert_eq!(log.lost, 0);
}

/// The exchange that the tests below protect in different ways.
fn exchange(channel: &mut Channel) -> Vec<Said> {
    vec![
        say(channel, Client, 2, &read(&["Level"])),
        say(channel, Server, 2, &values(&[7])),
        say(channel, Client, 3, &write("Gate", b"up")),
        say(channel, Server, 3, &results(676, &[0])),
    ]
}

/// The lines about the exchange.
fn exchange_lines(log: &Log) -> Vec<&str> {
    log.lines
        .iter()
        .map(String::as_str)
        .filter(|line| line.contains("read 631") || line.contains("write 673"))
        .collect()
}

#[test]
fn a_signed_channel_gives_the_operations_of_its_plaintext_twin() {
    let clear = &mut Channel::new(0);
    let mut said = opened(clear, NONE, 1);
    said.extend(exchange(clear));
    let twin = log_of(&said);

    let signed = &mut Channel::new(32);
    let mut said = vec![(Client, hello("opc.tcp://plc:4840")), (Server, acknowledge())];
    said.extend(signed.open_sealed(BASIC));
    said.extend(exchange(signed));
    let log = log_of(&said);
    assert_eq!(exchange_lines(&log), exchange_lines(&twin));
    assert_eq!(log.lines_of("channel"), ["channel unknown Basic256Sha256", "channel Sign Basic256Sha256"]);
    assert_eq!(log.lines_of("certificate").len(), 2);
    assert!(!log.lines.iter().any(|line| line.starts_with("Malformed")), "{:?}", log.lines);
}

#[test]
fn a_signed_opening_shows_its_mode() {
    // ECC policies sign the opening: 64 bytes behind its body.
    let signed = &mut Channel::new(32);
    let mut said = vec![(Client, hello("opc.tcp://plc:4840")), (Server, acknowledge())];
    for (side, mut opening) in signed.open(ECC, 2) {
        opening.extend([b'S'; 64]);
        let size = (opening.len() as u32).to_le_bytes();
        opening[4..8].copy_from_slice(&size);
        said.push((side, opening));
    }
    said.extend(exchange(signed));
    let log = log_of(&said);
    assert_eq!(log.lines_of("channel"), ["channel Sign ECC_nistP256"]);
    assert_eq!(exchange_lines(&log).len(), 4);
}

#[test]
fn an_encrypted_channel_gives_only_opaque_operations() {
    let channel = &mut Channel::new(0);
    let mut said = vec![(Client, hello("opc.tcp://plc:4840")), (Server, acknowledge())];
    said.extend(channel.open_sealed(BASIC));
    for seed in 0..2_000 {
        let side = if seed % 2 == 0 { Client } else { Server };
        said.push((side, channel.sealed(b'F', 96, seed)));
    }
    let parts = [(b'C', 4096), (b'C', 4096), (b'F', 64)];
    said.extend(parts.map(|(part, size)| (Server, channel.sealed(part, size, 7))));
    said.push((Client, channel.close()));
    let log = log_of(&said);
    let opaque: Vec<_> = log.lines.iter().filter(|line| line.contains("asks") && line.contains("opaque")).collect();
    assert_eq!(opaque.len(), 2_001);
    assert!(opaque[0].ends_with("opaque encrypted_request 0 = [Unsigned(112)]"), "{}", opaque[0]);
    assert!(opaque[1].ends_with("opaque encrypted_response 0 = [Unsigned(112)]"), "{}", opaque[1]);
    assert!(opaque[2_000].ends_with("= [Unsigned(8304)]"), "three chunks are one message: {}", opaque[2_000]);
    assert_eq!(log.lines_of("channel"), ["channel unknown Basic256Sha256", "channel SignAndEncrypt Basic256Sha256"]);
    assert!(log.lines.last().is_some_and(|line| line.contains("close_secure_channel")));
    assert_eq!((log.lost, log.pdus.keys().filter(|(group, _)| *group == 1).count()), (0, 0));
}

/// Keys for a cipher that adds 1 to every byte.
#[derive(Debug)]
struct AddOne;

impl Keys for AddOne {
    fn open(&self, sealed: &Sealed<'_>, clear: &mut Vec<u8>) -> bool {
        assert_eq!((sealed.channel, sealed.header.len(), sealed.suite), (9, 16, Some("Basic256Sha256")));
        clear.extend(sealed.text.iter().map(|byte| byte.wrapping_sub(1)));
        sealed.token == 14
    }
}

#[test]
fn with_keys_an_encrypted_channel_gives_the_operations_of_its_plaintext_twin() {
    let clear = &mut Channel::new(0);
    let mut said = opened(clear, NONE, 1);
    said.extend(exchange(clear));
    let twin = log_of(&said);

    let sealed = &mut Channel::new(0);
    let mut said = vec![(Client, hello("opc.tcp://plc:4840")), (Server, acknowledge())];
    said.extend(sealed.open_sealed(BASIC));
    for (side, mut message) in exchange(sealed) {
        message[16..].iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
        said.push((side, message));
    }
    let mut log = Log::default();
    let mut session = Session::new(&OPCUA, Transport::Tcp, &Limits::default(), false);
    let keys: Arc<dyn Keys> = Arc::new(AddOne);
    session.unlock(&keys);
    for (side, bytes) in &said {
        session.feed_stream(*side, bytes, &at(0), &mut log);
    }
    session.finish(&mut log);
    assert_eq!(exchange_lines(&log), exchange_lines(&twin));
}

#[test]
fn midstream_a_plaintext_message_is_recognised_at_once_and_encrypted_ones_after_several() {
    let join = |said: &[Said]| {
        let mut log = Log::default();
        let mut session = Session::new(&OPCUA, Transport::Tcp, &Limits::default(), true);
        said.iter().for_each(|(side, bytes)| session.feed_stream(*side, bytes, &at(0), &mut log));
        session.finish(&mut log);
        log
    };
    for signature in [0, 16, 20, 32, 48] {
        let channel = &mut Channel::new(signature);
        let mut said = exchange(channel);
        said.extend(exchange(channel));
        let log = join(&said);
        assert_eq!(log.lines_of("0 asks").len(), 4, "signature of {signature}: {:?}", log.lines);
        let reported: &[&str] = if signature == 0 { &["channel None None"] } else { &[] };
        assert_eq!(log.lines_of("channel"), reported, "a signature hides its policy");
        assert!(!log.lines.iter().any(|line| line.starts_with("Malformed")), "{:?}", log.lines);
    }
    let channel = Channel::new(0);
    let sealed: Vec<_> = (0..8).map(|seed| (Client, channel.sealed(b'F', 96, seed))).collect();
    let log = join(&sealed);
    assert_eq!(log.lines_of("0 asks").len(), 6, "{:?}", log.lines);
    assert_eq!(log.lost, 2 * 96);
}

#[test]
fn a_server_that_opens_the_connection_is_still_the_server() {
    use lockkeeper_protocols::identify::Roles;
    use lockkeeper_protocols::{Decision, Hints, Identifier, REGISTRY};
    let reverse = reverse_hello("urn:plc", "opc.tcp://plc:4840");
    for port in [4840, 4850] {
        let identifier = Identifier {
            transport: Transport::Tcp,
            server_port: port,
            client_port: 50_000,
            declared: Hints::default(),
            roles: Roles::Certain,
            midstream: false,
        };
        // The end that opens the TCP connection sends RHE.
        let early = identifier.decide(REGISTRY, [&reverse, b""], false);
        assert!(matches!(early, Decision::Undecided), "{early:?}");
        let both = [reverse.clone(), acknowledge()].concat();
        let later = identifier.decide(REGISTRY, [&both, &hello("opc.tcp://plc:4840")], false);
        assert!(
            matches!(later, Decision::Identified { protocol, swapped: true } if protocol.name == "opcua"),
            "{later:?}"
        );
    }
    let log = log_of(&[(Server, reverse), (Client, hello("opc.tcp://plc:4840")), (Server, acknowledge())]);
    assert_eq!(log.lines[0], "application of Server: urn:plc");
    assert_eq!(log.lines[1], "0 asks 0.0 session reverse_hello 0 endpoint=opc.tcp://plc:4840");
}

#[test]
fn chunks_of_several_messages_may_alternate() {
    let channel = &mut Channel::new(0);
    let mut said = opened(channel, NONE, 1);
    let (one, other) = (read(&["Level"]), read(&["Gate"]));
    let (first, rest) = one.split_at(20);
    let (second, end) = other.split_at(40);
    said.push((Client, channel.piece(Client, b'C', 2, first)));
    said.push((Client, channel.piece(Client, b'C', 3, second)));
    said.push((Client, channel.piece(Client, b'F', 2, rest)));
    said.push((Client, channel.piece(Client, b'F', 3, end)));
    said.push(say(channel, Server, 3, &values(&[3])));
    said.push(say(channel, Server, 2, &values(&[2])));
    let log = log_of(&said);
    let answers: Vec<_> = log.lines.iter().filter(|line| line.contains("= [")).collect();
    assert!(answers[0].contains("s=Gate") && answers[0].ends_with("[Signed(3)]"), "{answers:?}");
    assert!(answers[1].contains("s=Level") && answers[1].ends_with("[Signed(2)]"), "{answers:?}");
}

#[test]
fn an_aborted_response_refuses_its_request() {
    let channel = &mut Channel::new(0);
    let mut said = opened(channel, NONE, 1);
    said.push(say(channel, Client, 2, &read(&["Level"])));
    said.push((Server, channel.piece(Server, b'C', 2, &values(&[1])[..20])));
    let reason = [&0x80B9_0000_u32.to_le_bytes()[..], &wire::string("too large")].concat();
    said.push((Server, channel.piece(Server, b'A', 2, &reason)));
    let log = log_of(&said);
    assert!(log.lines.last().is_some_and(|line| line.contains("bad_response_too_large")), "{:?}", log.lines);
}

#[test]
fn tokens_overlap_at_a_renewal_and_sequence_numbers_continue_and_wrap() {
    let channel = &mut Channel::new(0);
    channel.next = [u32::MAX - 1026; 2];
    let mut said = opened(channel, NONE, 1);
    said.extend(exchange(channel));
    let old = channel.token;
    channel.token = 15;
    said.extend(channel.open(NONE, 1));
    said.push(say(channel, Client, 9, &read(&["Level"])));
    channel.token = old;
    said.push(say(channel, Server, 9, &values(&[7])));
    let log = log_of(&said);
    let odd = |line: &&String| line.starts_with("Malformed") || line.starts_with("Unmatched");
    assert_eq!(log.lines.iter().find(odd), None);
    assert_eq!(exchange_lines(&log).len(), 6);
}

#[test]
fn each_session_of_a_channel_has_its_own_user() {
    let channel = &mut Channel::new(0);
    let mut said = opened(channel, NONE, 1);
    for (session, user) in [(1, "anna"), (2, "ben")] {
        said.push(say(channel, Client, session.into(), &activate(session, user, "secret")));
        said.push(say(channel, Server, session.into(), &activated()));
    }
    said.push(say(channel, Client, 5, &write("Gate", b"up")));
    let log = log_of(&said);
    let users = log.lines_of("user");
    assert_eq!(users, ["user username anna in clear", "user username ben in clear", "user username anna"]);
    assert!(!format!("{log:?}").contains("secret"));
}

#[test]
fn a_fault_refuses_every_operation_of_its_request() {
    let channel = &mut Channel::new(0);
    let mut said = opened(channel, NONE, 1);
    said.push(say(channel, Client, 2, &read(&["Level", "Gate"])));
    said.push(say(channel, Server, 2, &response(397, 0x8025_0000, &[])));
    let log = log_of(&said);
    assert_eq!(log.lines_of("0 refused").len(), 2);
    assert!(log.lines.last().is_some_and(|line| line.contains("bad_session_id_invalid")), "{:?}", log.lines);
}

#[test]
fn notifications_name_the_monitored_nodes() {
    let channel = &mut Channel::new(0);
    let mut said = opened(channel, NONE, 1);
    // Publish requests are pending until the server has a notification.
    said.push(say(channel, Client, 2, &wire::request(826, 1, &wire::NULL)));
    said.push(say(channel, Client, 3, &wire::request(826, 1, &wire::NULL)));
    said.push(say(channel, Client, 4, &wire::monitor(7, &["Level", "Gate"])));
    said.push(say(channel, Server, 4, &wire::monitored(2)));
    said.push(say(channel, Server, 2, &wire::published(7, &[(101, 5), (100, 6), (9, 7)])));
    said.push(say(channel, Client, 5, &wire::renumber(7, 2, 200)));
    said.push(say(channel, Server, 5, &wire::renumbered()));
    said.push(say(channel, Server, 3, &wire::published(7, &[(200, 8), (101, 9)])));
    let log = log_of(&said);
    let reports: Vec<_> = log.lines.iter().filter(|line| line.contains("asks") && line.contains("= [")).collect();
    assert_eq!(
        reports,
        [
            "0 asks 2.1 report publish 826 node=ns=2;s=Gate attribute=value = [Signed(5)]",
            "0 asks 2.2 report publish 826 node=ns=2;s=Level attribute=value = [Signed(6)]",
            "0 asks 2.3 report publish 826 subscription=7 index=0 = [Signed(7)]",
            "0 asks 3.1 report publish 826 node=ns=2;s=Gate attribute=value = [Signed(8)]",
            "0 asks 3.2 report publish 826 subscription=7 index=0 = [Signed(9)]",
        ]
    );
    assert!(!log.lines.iter().any(|line| line.contains("no_response")));
}

#[test]
fn every_operation_of_a_message_of_any_size_is_announced() {
    let channel = &mut Channel::new(0);
    let sizes = [200_000; 8];
    let names = vec!["A"; MANY];
    let reported: Vec<_> = (0..MANY as u32).map(|handle| (handle, 5)).collect();
    let mut said = opened(channel, NONE, 1);
    said.push(say(channel, Client, 2, &wire::request(826, 1, &wire::NULL)));
    said.extend(
        channel.message(Server, 2, &wire::published(7, &reported), &sizes).into_iter().map(|part| (Server, part)),
    );
    said.extend(channel.message(Client, 3, &read(&names), &sizes).into_iter().map(|part| (Client, part)));
    said.extend(channel.message(Server, 3, &values(&vec![1; MANY]), &sizes).into_iter().map(|part| (Server, part)));
    // Shorter names, so that the pending request fits into memory.
    let many = wire::request(566, 1, &wire::array(&vec![vec![0, 7]; MANY]));
    said.extend(channel.message(Client, 4, &many, &sizes).into_iter().map(|part| (Client, part)));
    said.push(say(channel, Server, 4, &response(569, 0, &[])));
    let log = log_of(&said);
    let told = |kind: &str| log.lines.iter().filter(|line| line.contains("asks") && line.contains(kind)).count();
    // The Publish request is one of the operations behind it.
    assert_eq!((told(" report "), told(" read ")), (MANY + 1, MANY));
    let last = |ending: &str| log.lines_of(&format!("0 {ending}.{} after 0: ", MANY - 1)).len();
    assert_eq!((last("pending 3"), last("accepted 4")), (1, 1), "{:?}", log.lines.last());
    assert_eq!(log.lines_of("Limit"), ["Limit pending_bytes from Client"]);
}

/// More operations than 16 bits can number.
const MANY: usize = (1 << 16) + 10;

#[test]
fn an_error_that_ends_the_connection_refuses_pending_requests() {
    let channel = &mut Channel::new(0);
    let refusal = wire::chunk("ERR", b'F', &[&0x8013_0000_u32.to_le_bytes()[..], &wire::NULL].concat());
    let mut said = vec![(Client, hello("opc.tcp://plc:4840")), (Server, acknowledge())];
    let [ask, _] = channel.open_sealed(BASIC);
    said.extend([ask, (Server, refusal)]);
    let log = log_of(&said);
    let last = log.lines.last().map(String::as_str);
    let expected = "0 refused(2148728832 bad_security_checks_failed) 1.0 after 0: security open_secure_channel 446 \
                    mode=unknown policy=Basic256Sha256";
    assert_eq!(last, Some(expected));
    assert!(log.lines_of("channel").is_empty(), "no channel was opened");
}

#[test]
fn a_publish_request_has_no_timeout_and_other_requests_have() {
    let channel = &mut Channel::new(0);
    let mut log = Log::default();
    let mut session = Session::new(&OPCUA, Transport::Tcp, &Limits::default(), false);
    let mut opening = opened(channel, NONE, 1);
    opening.push(say(channel, Client, 2, &wire::request(826, 1, &wire::NULL)));
    opening.push(say(channel, Client, 3, &read(&["Level"])));
    for (side, bytes) in &opening {
        session.feed_stream(*side, bytes, &at(0), &mut log);
    }
    session.feed_stream(Server, &say(channel, Server, 2, &wire::published(7, &[])).1, &at(60_000), &mut log);
    assert_eq!(log.lines_of("5000000001 overdue 3.0").len(), 1, "{:?}", log.lines);
    assert_eq!(log.lines_of("60000000000 accepted 2.0").len(), 1, "{:?}", log.lines);
}

#[test]
fn midstream_a_first_response_from_the_unexpected_end_leaves_the_roles_open() {
    use lockkeeper_protocols::identify::Roles;
    use lockkeeper_protocols::{Decision, Identifier, REGISTRY};
    let channel = &mut Channel::new(0);
    let (_, answer) = say(channel, Server, 2, &values(&[7]));
    let (_, request) = say(channel, Client, 3, &read(&["Level"]));
    let identifier = Identifier {
        transport: Transport::Tcp,
        server_port: 4840,
        client_port: 50_000,
        declared: lockkeeper_protocols::Hints::default(),
        roles: Roles::Guessed,
        midstream: true,
    };
    let early = identifier.decide(REGISTRY, [&answer, b""], false);
    assert!(matches!(early, Decision::Undecided), "{early:?}");
    let both = identifier.decide(REGISTRY, [&answer, &request], false);
    assert!(matches!(both, Decision::Identified { protocol, swapped: true } if protocol.name == "opcua"), "{both:?}");
    let alone = identifier.decide(REGISTRY, [&answer, b""], true);
    assert!(matches!(alone, Decision::Identified { swapped: false, .. }), "nothing else is known: {alone:?}");
}

#[test]
fn an_incomplete_message_is_announced_and_the_next_one_is_decoded() {
    let channel = &mut Channel::new(0);
    let mut said = opened(channel, NONE, 1);
    let one = read(&["Level"]);
    said.push((Client, channel.piece(Client, b'C', 2, &one[..20])));
    let mut log = Log::default();
    let mut session = Session::new(&OPCUA, Transport::Tcp, &Limits::default(), false);
    let stamp = at(0);
    for (from, bytes) in &said {
        session.feed_stream(*from, bytes, &stamp, &mut log);
    }
    assert!(session.buffered() == 20 && session.memory() >= 20, "{}", session.memory());
    session.give_up(&stamp, &mut log);
    assert_eq!((session.buffered(), log.lost), (0, 20));
    assert_eq!(log.lines_of("Limit"), ["Limit given_up_for_memory from Client"]);
    // Its last chunk alone is not a message.
    session.feed_stream(Client, &channel.piece(Client, b'F', 2, &one[20..]), &stamp, &mut log);
    session.feed_stream(Client, &channel.piece(Client, b'F', 3, &read(&["Gate"])), &stamp, &mut log);
    assert_eq!(log.lost, one.len());
    let reads: Vec<_> = log.lines.iter().filter(|line| line.contains("asks") && line.contains(" read ")).collect();
    assert!(
        matches!(&reads[..], [unread, gate] if unread.contains("unread") && gate.contains("Gate")),
        "{:?}",
        log.lines
    );
}
