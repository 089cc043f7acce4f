//! S7 controllers: memory, values, blocks, actions, sessions.

use lockkeeper_protocols::{Area, OBJECT_DEPTH};
use proptest::prelude::*;

use super::*;

const GATE: &str = r#"
schema = "lockkeeper-policy/1"
[zone.lock]
networks = ["10.20.10.0/24"]
[zone.scada]
networks = ["10.20.20.0/24"]
[asset.GATE]
zone = "lock"
ip = ["10.20.10.11"]
[asset.PUMP]
zone = "lock"
ip = ["10.20.10.13"]
[asset.SCADA]
zone = "scada"
ip = ["10.20.20.10"]
[asset.EWS]
zone = "scada"
ip = ["10.20.20.20"]
[point.data]
asset = "GATE"
s7 = { area = "DB", db = 10, bytes = "0-255" }
[point.level]
asset = "GATE"
s7 = { area = "DB", db = 20, bytes = "16-19" }
type = "f32"
min = -0.5
max = 4.2
max_step = 1.0
[point.mode]
asset = "GATE"
s7 = { area = "DB", db = 20, bytes = 20 }
values = [0, 1, 2]
[point.open]
asset = "GATE"
s7 = { area = "M", bytes = 3, bits = 2 }
values = [0]
[point.delay]
asset = "GATE"
s7 = { area = "T", numbers = "5" }
max = 10_000
[point.name]
asset = "GATE"
s7 = { area = "DB", db = 30, bytes = "0-11" }
type = "string"
max = 4
[conduit.operate]
zones = ["scada", "lock"]
[[conduit.operate.flow]]
id = "F-1"
from = "SCADA"
to = "GATE"
protocol = "s7comm"
s7 = { connection = "OP", rack = 0, slot = 2, password = "forbidden" }
allow = [
  { op = "read", points = ["data", "level"] },
  { op = "read", s7 = { area = "DB", db = 10, bytes = "256-299" } },
  { op = "write", points = ["level", "mode", "open", "delay", "name"] },
  { op = "write", s7 = { area = "M", bytes = [8, "10-11"] } },
]
[[conduit.operate.flow]]
id = "F-2"
from = "EWS"
to = "GATE"
protocol = "s7comm"
s7 = { password = "required" }
allow = [
  { op = ["read", "program-upload"] },
  { op = "program", blocks = ["OB1", "FC*", "DB10-20"] },
  { op = "control", actions = ["stop", "warm-restart"] },
]
[[conduit.operate.flow]]
id = "F-3"
from = "SCADA"
to = "PUMP"
protocol = "s7commplus"
allow = [
  { op = "read", s7 = { area = "DB", db = 7 } },
  { op = "write", s7 = { object = 0x8A0E0007, path = [2550, 9] } },
]
"#;

const SCADA: &str = "10.20.20.10";
const EWS: &str = "10.20.20.20";
const PLC: &str = "10.20.10.11";
const PUMP: &str = "10.20.10.13";

fn memory(area: Area, db: u16, first: u32, count: u32) -> Target<'static> {
    Target::Memory { area, db, first, count }
}

/// Bytes of a data block.
fn bytes(db: u16, first: u32, count: u32) -> Target<'static> {
    memory(Area::DataBlock, db, first * 8, count * 8)
}

fn read(target: Target<'static>) -> Operation<'static> {
    Operation { class: Class::Read, function: "read_var", code: 4, ambiguous: false, target, values: Values::None }
}

fn write<'a>(target: Target<'static>, bytes: &'a [u8]) -> Operation<'a> {
    Operation {
        class: Class::Write,
        function: "write_var",
        code: 5,
        ambiguous: false,
        target,
        values: Values::Bytes(bytes),
    }
}

fn other(class: Class, function: &'static str, target: Target<'static>) -> Operation<'static> {
    Operation { class, function, code: 0, ambiguous: false, target, values: Values::None }
}

fn between(client: &str, server: &str, protocol: &str, operation: &Operation<'_>, session: SessionState) -> String {
    let policy = policy(GATE);
    let flow_verdict = policy.flow_verdict(&tcp(client, server, 102), Some(protocol));
    short(&policy, &flow_verdict, policy.judge(&flow_verdict, operation, &mut LastValues::default(), session, 0))
}

fn operate(operation: &Operation<'_>) -> String {
    between(SCADA, PLC, "s7comm", operation, SessionState::default())
}

fn engineer(operation: &Operation<'_>, password_accepted: bool) -> String {
    let session = if password_accepted { SessionState::UNLOCKED } else { SessionState::default() };
    between(EWS, PLC, "s7comm", operation, session)
}

#[test]
fn memory_is_permitted_where_points_or_ranges_cover_all_of_it() {
    for (target, permitted) in [
        (bytes(10, 0, 256), true),
        (bytes(10, 200, 100), true),
        (bytes(10, 299, 2), false),
        (bytes(11, 0, 1), false),
        (bytes(20, 16, 4), true),
        (bytes(20, 15, 2), false),
        (memory(Area::DataBlock, 10, 9, 1), true),
        (memory(Area::Flag, 0, 0, 8), false),
        (memory(Area::InstanceData, 10, 0, 8), false),
        (memory(Area::DataBlock, 10, u32::MAX, u32::MAX), false),
        (memory(Area::DataBlock, 10, 0, u32::MAX), false),
    ] {
        let verdict = operate(&read(target));
        assert_eq!(verdict == "permit F-1", permitted, "{target:?}: {verdict}");
    }
    let expected = "address.undeclared: flow F-1 permits read only on data, level, DB10 byte 256-299";
    assert_eq!(operate(&read(bytes(11, 0, 1))), expected);
}

#[test]
fn ranges_that_are_listed_are_permitted_and_what_lies_between_is_not() {
    for (byte, permitted) in [(7, false), (8, true), (9, false), (10, true), (11, true), (12, false)] {
        let verdict = operate(&write(memory(Area::Flag, 0, byte * 8, 8), &[0]));
        assert_eq!(verdict == "permit F-1", permitted, "{byte}: {verdict}");
    }
}

#[test]
fn values_are_read_by_type_and_held_against_limits() {
    let level = |value: f32| operate(&write(bytes(20, 16, 4), &value.to_be_bytes()));
    assert_eq!(level(4.0), "permit F-1");
    assert_eq!(level(9.5), "value.out-of-limits: 9.5 is above the maximum 4.2 of point level");
    let mode = operate(&write(bytes(20, 20, 1), &[3]));
    assert_eq!(mode, "value.out-of-limits: 3 is not one of 0, 1, 2 of point mode");
    let open = memory(Area::Flag, 0, 3 * 8 + 2, 1);
    assert_eq!(operate(&write(open, &[0])), "permit F-1");
    assert!(operate(&write(open, &[1])).starts_with("value.out-of-limits: 1 is not one of 0 of point open"));
    let bit = Operation { values: Values::Bits { bytes: &[1], count: 1 }, ..write(open, &[]) };
    assert!(operate(&bit).starts_with("value.out-of-limits"));
    let delay = memory(Area::Timer, 0, 5, 1);
    assert_eq!(operate(&write(delay, &[0x10, 0x99])), "permit F-1", "S5T#9s900ms");
    assert!(operate(&write(delay, &[0x20, 0x99])).contains("99000 is above the maximum 10000 of point delay"));
    let name = |text: &[u8]| operate(&write(bytes(30, 0, text.len() as u32), text));
    assert_eq!(name(b"\x0a\x03abc"), "permit F-1");
    assert!(name(b"\x0a\x05abcde").contains("5 is above the maximum 4 of point name"));
}

#[test]
fn a_write_of_several_points_is_held_against_each_and_of_half_a_point_cannot_be_judged() {
    let both = [4.0_f32.to_be_bytes().as_slice(), &[9]].concat();
    assert!(operate(&write(bytes(20, 16, 5), &both)).contains("9 is not one of 0, 1, 2 of point mode"));
    let unreadable =
        "value.out-of-limits: the value that point level would get cannot be told, so its limits cannot hold";
    assert_eq!(operate(&write(bytes(20, 18, 2), &[0, 0])), unreadable, "the low half alone");
    assert_eq!(operate(&write(bytes(20, 16, 4), &[0x40])), unreadable, "cut short");
    let bit =
        Operation { values: Values::Bits { bytes: &[1], count: 1 }, ..write(memory(Area::DataBlock, 20, 131, 1), &[]) };
    assert_eq!(operate(&bit), unreadable, "one bit of a number");
}

#[test]
fn a_step_is_measured_from_what_was_read_or_written() {
    let policy = policy(GATE);
    let flow_verdict = policy.flow_verdict(&tcp(SCADA, PLC, 102), Some("s7comm"));
    let mut last = LastValues::default();
    let answer = Operation { values: Values::Bytes(&[0x40, 0, 0, 0]), ..read(bytes(20, 16, 4)) };
    policy.learn(&flow_verdict, &answer, &mut last, &mut SessionState::default());
    let mut step = |value: f32| {
        let value = value.to_be_bytes();
        let verdict =
            policy.judge(&flow_verdict, &write(bytes(20, 16, 4), &value), &mut last, SessionState::default(), 0);
        short(&policy, &flow_verdict, verdict)
    };
    assert!(step(3.5).contains("3.5 is more than the largest step 1 from 2 of point level"));
    assert_eq!(step(3.0), "permit F-1");
    assert_eq!(step(3.5), "permit F-1");
}

#[test]
fn blocks_are_permitted_by_pattern() {
    let download =
        |kind, number| engineer(&other(Class::Program, "request_download", Target::Block { kind, number }), true);
    assert_eq!(download("OB", Some(1)), "permit F-2");
    assert_eq!(download("FC", Some(4711)), "permit F-2");
    assert_eq!(download("DB", Some(20)), "permit F-2");
    let refused = "address.undeclared: flow F-2 permits program only on OB1, FC*, DB10-20";
    assert_eq!(download("OB", Some(100)), refused);
    assert_eq!(download("DB", None), refused);
    let activate = engineer(&other(Class::Program, "pi_inse", Target::None), true);
    assert_eq!(activate, "operation.undeclared: conduit operate permits program only on named addresses");
}

#[test]
fn actions_are_permitted_by_what_they_do() {
    let control = |function| engineer(&other(Class::Control, function, Target::None), true);
    assert_eq!(control("plc_stop"), "permit F-2");
    assert_eq!(control("plc_warm_start"), "permit F-2");
    let refused = "operation.undeclared: conduit operate permits control only as stop, warm-restart";
    assert_eq!(control("plc_cold_start"), refused);
    assert_eq!(control("memory_reset"), refused);
}

#[test]
fn a_connection_must_be_of_the_kind_and_to_the_module_that_a_flow_names() {
    let connect =
        |kind, rack, slot| operate(&other(Class::Session, "cotp_connect", Target::Connection { kind, rack, slot }));
    assert_eq!(connect("OP", 0, 2), "permit F-1");
    let refused = "s7.connection-type: flow F-1 permits only connections as OP to rack 0 slot 2";
    assert_eq!(connect("PG", 0, 2), refused);
    assert_eq!(connect("OP", 0, 1), refused);
    assert_eq!(connect("OP", 1, 2), refused);
    let any = other(Class::Session, "cotp_connect", Target::Connection { kind: "PG", rack: 0, slot: 3 });
    assert_eq!(engineer(&any, false), "permit F-2", "a flow that says nothing of connections");
    assert_eq!(operate(&other(Class::Session, "setup_communication", Target::None)), "permit F-1");
}

#[test]
fn logic_waits_for_the_password_where_it_is_required() {
    let wanted = "s7.password: flow F-2 requires the session password, and none was accepted on this connection";
    let block = Target::Block { kind: "FC", number: Some(1) };
    for operation in [
        other(Class::Program, "request_download", block),
        other(Class::ProgramUpload, "start_upload", block),
        other(Class::Control, "plc_stop", Target::None),
    ] {
        assert_eq!(engineer(&operation, false), wanted, "{operation:?}");
        assert_eq!(engineer(&operation, true), "permit F-2", "{operation:?}");
    }
    assert_eq!(engineer(&read(bytes(1, 0, 1)), false), "permit F-2", "a read does not wait");
    let other_block = other(Class::Program, "request_download", Target::Block { kind: "OB", number: Some(9) });
    assert!(engineer(&other_block, false).starts_with("address.undeclared"));
    let cold = engineer(&other(Class::Control, "plc_cold_start", Target::None), false);
    assert!(cold.starts_with("operation.undeclared"), "not permitted with a password either: {cold}");
}

#[test]
fn a_password_counts_once_it_is_accepted_and_until_it_is_cleared() {
    let policy = policy(GATE);
    let flow_verdict = policy.flow_verdict(&tcp(EWS, PLC, 102), Some("s7comm"));
    let (mut last, mut session) = (LastValues::default(), SessionState::default());
    let password = other(Class::Security, "plc_password", Target::None);
    assert_eq!(engineer(&password, false), "permit F-2", "what is required is permitted");
    policy.learn(&flow_verdict, &password, &mut last, &mut session);
    assert_eq!(session, SessionState::UNLOCKED);
    policy.learn(&flow_verdict, &other(Class::Security, "security", Target::None), &mut last, &mut session);
    assert_eq!(session, SessionState::UNLOCKED, "another security function");
    policy.learn(&flow_verdict, &other(Class::Security, "clear_plc_password", Target::None), &mut last, &mut session);
    assert_eq!(session, SessionState::default());
}

#[test]
fn a_password_where_it_is_forbidden_is_a_finding_of_its_own() {
    let password = other(Class::Security, "plc_password", Target::None);
    assert_eq!(operate(&password), "s7.password: flow F-1 forbids the session password");
    let said_nothing = between(SCADA, PUMP, "s7commplus", &password, SessionState::default());
    assert!(said_nothing.starts_with("operation.undeclared"), "{said_nothing}");
}

#[test]
fn symbolic_access_is_permitted_by_object_or_by_a_whole_block() {
    let plus = |operation: &Operation<'_>| between(SCADA, PUMP, "s7commplus", operation, SessionState::default());
    let object = |object, path, depth| Target::Object { object, path, depth };
    assert_eq!(plus(&read(object(0x8A0E_0007, [2550, 3, 0, 0], 2))), "permit F-3");
    let refused = plus(&read(object(0x8A0E_0008, [2550, 3, 0, 0], 2)));
    assert_eq!(refused, "address.undeclared: flow F-3 permits read only on DB7");
    assert_eq!(plus(&write(object(0x8A0E_0007, [2550, 9, 1, 0], 3), &[1])), "permit F-3");
    let refused = plus(&write(object(0x8A0E_0007, [2550, 3, 0, 0], 2), &[1]));
    assert_eq!(refused, "address.undeclared: flow F-3 permits write only on object 0x8a0e0007.2550.9");
    assert!(plus(&read(object(0x31, [0; OBJECT_DEPTH], 0))).starts_with("address.undeclared"));
}

#[test]
fn symbolic_writes_do_not_bypass_limits_in_the_same_block() {
    let text = GATE.replace(
        "to = \"GATE\"\nprotocol = \"s7comm\"\ns7 = { password = \"required\" }",
        "to = \"GATE\"\nprotocol = \"s7commplus\"",
    );
    let text = text.replace("{ op = [\"read\", \"program-upload\"] },", "{ op = \"write\" },");
    let policy = policy(&text);
    let flow_verdict = policy.flow_verdict(&tcp(EWS, PLC, 102), Some("s7commplus"));
    let judge = |object| {
        let target = Target::Object { object, path: [2550, 1, 0, 0], depth: 2 };
        let operation = write(target, &[0; 64]);
        short(
            &policy,
            &flow_verdict,
            policy.judge(&flow_verdict, &operation, &mut LastValues::default(), SessionState::default(), 0),
        )
    };
    assert!(judge(0x8A0E_0014).starts_with("value.out-of-limits: the value that point"), "{}", judge(0x8A0E_0014));
    assert_eq!(judge(0x8A0E_0063), "permit F-2");
}

#[test]
fn session_options_hold_also_where_operations_are_only_observed() {
    let text = GATE.replace("[zone.lock]", "[default]\nundeclared_operation = \"observe\"\n[zone.lock]");
    let policy = policy(&text);
    let flow_verdict = policy.flow_verdict(&tcp(SCADA, PLC, 102), Some("s7comm"));
    let judge = |operation: &Operation<'_>| {
        rule_of(policy.judge(&flow_verdict, operation, &mut LastValues::default(), SessionState::default(), 0))
    };
    assert_eq!(judge(&read(bytes(99, 0, 1))), None);
    assert_eq!(judge(&other(Class::Security, "plc_password", Target::None)), Some(Rule::S7Password));
}

/// The bits that entries name, written as bytes: area M, below byte 24.
fn text_of(ranges: &[(u32, u32)]) -> String {
    let ranges: Vec<String> = ranges.iter().map(|&(first, more)| format!("\"{first}-{}\"", first + more)).collect();
    format!("{{ op = \"write\", s7 = {{ area = \"M\", bytes = [{}] }} }}", ranges.join(", "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_write_is_permitted_if_each_of_its_bits_is(
        entries in prop::collection::vec(prop::collection::vec((0u32..24, 0u32..6), 1..4), 1..4),
        asked in prop::collection::vec((0u32..240, 0u32..60), 40),
    ) {
        let allow: Vec<String> = entries.iter().map(|ranges| text_of(ranges)).collect();
        let (head, rest) = GATE.split_once("allow = [\n  { op = \"read\", points").expect("the first flow");
        let (_, rest) = rest.split_once("]\n[[conduit").expect("the second flow");
        let text = format!("{head}allow = [{}]\n[[conduit{rest}", allow.join(", "));
        let policy = policy(&text.replace("values = [0]\n", ""));
        let flow_verdict = policy.flow_verdict(&tcp(SCADA, PLC, 102), Some("s7comm"));
        let long = FlowVerdict { sole: None, ..flow_verdict.clone() };
        let named = |bit: u32| entries.iter().flatten().any(|&(first, more)| (first..=first + more).contains(&(bit / 8)));
        for (first, count) in asked {
            let operation = write(memory(Area::Flag, 0, first, count), &[]);
            let judge = |flow_verdict| policy.judge(flow_verdict, &operation, &mut LastValues::default(), SessionState::default(), 0);
            let permitted = (first..first + count.max(1)).all(named);
            prop_assert_eq!(matches!(judge(&flow_verdict), Verdict::Permit { .. }), permitted, "{:?}", operation);
            prop_assert_eq!(judge(&flow_verdict), judge(&long), "{:?}", operation);
        }
    }

    #[test]
    fn a_verdict_never_panics_whatever_is_asked(
        area in 0usize..11, db in any::<u16>(), first in any::<u32>(), count in any::<u32>(), near in any::<bool>(),
        bytes in prop::collection::vec(any::<u8>(), 0..60), bits in any::<bool>(),
    ) {
        let area = Area::NAMED.get(area).copied().unwrap_or(Area::Other(3));
        let (db, first) = if near { (20, first % 400) } else { (db, first) };
        let values = if bits { Values::Bits { bytes: &bytes, count: u16::MAX } } else { Values::Bytes(&bytes) };
        let operation = Operation { values, ..write(memory(area, db, first, count), &[]) };
        operate(&operation);
        operate(&Operation { class: Class::Read, ..operation });
    }
}
