use super::*;

/// A bridge with points, judged inside its zones too.
const BRIDGE: &str = r#"
schema = "lockkeeper-policy/1"
[default]
intra_zone = "declared"
[zone.lock]
networks = ["10.20.10.0/24", "2001:db8:10::/64"]
vlans = [110]
[zone.scada]
networks = ["10.20.20.0/24"]
[zone.office]
networks = ["10.1.0.0/16"]
[asset.PLC]
zone = "lock"
ip = ["10.20.10.12"]
[asset.OTHER]
zone = "lock"
ip = ["10.20.10.13"]
[asset.SCADA]
zone = "scada"
ip = ["10.20.20.10"]
[point.state]
asset = "PLC"
modbus = { unit = 1, table = "holding_register", addr = "0-39" }
[point.speed]
asset = "PLC"
modbus = { unit = 1, table = "holding_register", addr = 40 }
min = 0
max = 350
max_step = 50
[point.command]
asset = "PLC"
modbus = { unit = 1, table = "holding_register", addr = "41" }
values = [0, 1, 2, 4]
[point.level]
asset = "PLC"
modbus = { unit = 1, table = "holding_register", addr = "50-51" }
type = "f32"
min = -0.5
max = 4.2
[conduit.operate]
zones = ["scada", "lock"]
[[conduit.operate.flow]]
id = "F-1"
from = "SCADA"
to = ["PLC"]
protocol = "modbus"
allow = [
  { op = "read", points = ["state", "speed"] },
  { op = "write", points = ["speed", "command", "level"] },
  { functions = ["read_device_identification"] },
]
[[conduit.operate.flow]]
id = "F-2"
from = ["zone:scada"]
to = ["OTHER"]
protocol = "modbus"
port = "any"
allow = [{ op = "operate" }]
[[conduit.operate.flow]]
id = "F-3"
from = ["zone:lock"]
to = ["10.20.20.0/28"]
protocol = "ntp"
[[conduit.operate.flow]]
id = "F-4"
from = "SCADA"
to = "OTHER"
protocol = "tcp/443"
"#;

const SCADA: &str = "10.20.20.10";
const PLC: &str = "10.20.10.12";
const OTHER: &str = "10.20.10.13";

fn on_plc(operation: &Operation<'_>) -> String {
    judged(&policy(BRIDGE), &tcp(SCADA, PLC, 502), operation)
}

fn write(address: u16, bytes: &[u8]) -> Operation<'_> {
    let count = u16::try_from(bytes.len() / 2).unwrap_or(0);
    operation(if count == 1 { WRITE_ONE } else { WRITE_MANY }, address, count, Values::Registers(bytes))
}

#[test]
fn traffic_between_zones_without_a_conduit_is_undeclared_before_anything_else() {
    let policy = policy(BRIDGE);
    let read = operation(READ, 0, 1, Values::None);
    let office = tcp("10.1.2.3", PLC, 502);
    assert_eq!(judged(&policy, &office, &read), "conduit.undeclared: no conduit connects office and lock");
    let stranger = tcp("198.51.100.7", PLC, 502);
    assert_eq!(judged(&policy, &stranger, &read), "conduit.undeclared: no conduit connects unknown and lock");
    assert_eq!(flow_judged(&policy, &stranger, None), "conduit.undeclared: no conduit connects unknown and lock");
}

#[test]
fn traffic_between_hosts_of_no_zone_is_not_judged_and_never_permitted() {
    let read = operation(READ, 0, 1, Values::None);
    let strangers = tcp("192.0.2.1", "198.51.100.7", 502);
    assert_eq!(flow_judged(&policy(BRIDGE), &strangers, Some("modbus")), "not judged");
    assert_eq!(judged(&policy(BRIDGE), &strangers, &read), "not judged");
    assert_eq!(flow_judged(&Policy::permissive(), &tcp(SCADA, PLC, 502), Some("modbus")), "not judged");
    assert_eq!(judged(&Policy::permissive(), &tcp(SCADA, PLC, 502), &read), "not judged");
}

#[test]
fn a_change_between_hosts_of_one_link_is_denied_though_no_zone_has_them() {
    let policy = policy(BRIDGE);
    let written = |client, server| judged(&policy, &tcp(client, server, 502), &write(5, &[0, 1]));
    for (client, server) in [("fe80::1", "fe80::2"), ("169.254.3.4", "169.254.3.5"), ("192.0.2.1", "169.254.3.5")] {
        let expected = "operation.unplaced: neither host is in a zone, and their addresses hold on one link only: ";
        assert!(written(client, server).starts_with(expected), "{client}");
    }
    assert_eq!(written("192.0.2.1", "198.51.100.7"), "not judged", "a policy could name their networks");
    let strays = tcp("fe80::1", "fe80::2", 502);
    assert_eq!(judged(&policy, &strays, &operation(READ, 0, 1, Values::None)), "not judged");
    assert_eq!(flow_judged(&policy, &strays, None), "not judged", "office noise is no operation");
    assert_eq!(judged(&Policy::permissive(), &strays, &write(5, &[0, 1])), "not judged");
}

#[test]
fn a_host_of_one_link_that_its_vlan_places_is_judged_in_its_zone() {
    let vlan = |ip: &str| Host { vlan: Some(110), ..host(ip) };
    let tuple =
        FlowTuple { client: vlan("fe80::1"), server: vlan("fe80::2"), transport: Carrier::Tcp, server_port: 502 };
    let written = judged(&policy(BRIDGE), &tuple, &write(5, &[0, 1]));
    assert!(written.starts_with("flow.undeclared-peer"), "{written}");
}

#[test]
fn a_flow_permits_its_own_direction_only() {
    let flow = "[[conduit.operate.flow]]\nid = \"F-9\"\nfrom = \"10.20.20.99\"\nto = \"PLC\"\nprotocol = \"modbus\"\nallow = [{ op = \"read\" }]\n";
    let policy = policy(&format!("{BRIDGE}{flow}"));
    let back = tcp("10.20.10.12", "10.20.20.99", 502);
    let message = "flow.undeclared-peer: flow F-9 of conduit operate is declared only in the other direction";
    assert_eq!(flow_judged(&policy, &back, Some("modbus")), message);
    let other = tcp("10.20.20.11", PLC, 502);
    let message = "flow.undeclared-peer: conduit operate declares no flow from this client to this server";
    assert_eq!(flow_judged(&policy, &other, Some("modbus")), message);
}

#[test]
fn another_protocol_or_port_is_undeclared() {
    let policy = policy(BRIDGE);
    let ssh = flow_judged(&policy, &tcp(SCADA, PLC, 22), None);
    assert_eq!(
        ssh,
        "flow.undeclared-protocol: conduit operate permits only modbus on tcp/502, udp/502 between these hosts"
    );
    let elsewhere = judged(&policy, &tcp(SCADA, PLC, 1502), &operation(READ, 0, 1, Values::None));
    assert!(elsewhere.starts_with("flow.undeclared-protocol"), "{elsewhere}");
}

#[test]
fn any_port_is_any_port() {
    assert_eq!(flow_judged(&policy(BRIDGE), &tcp(SCADA, OTHER, 1502), Some("modbus")), "permit F-2");
}

#[test]
fn modbus_on_a_port_that_is_declared_for_something_else_is_undeclared() {
    let text = BRIDGE.replace("port = \"any\"\n", "");
    let policy = policy(&text);
    let tuple = tcp(SCADA, OTHER, 443);
    assert_eq!(flow_judged(&policy, &tuple, None), "permit F-4");
    assert!(flow_judged(&policy, &tuple, Some("modbus")).starts_with("flow.undeclared-protocol"));
    assert!(judged(&policy, &tuple, &operation(READ, 0, 1, Values::None)).starts_with("flow.undeclared-protocol"));
}

#[test]
fn payload_that_is_not_modbus_is_undeclared_where_modbus_is_declared() {
    let policy = policy(BRIDGE);
    let flow_verdict = policy.flow_verdict(&tcp(SCADA, PLC, 502), Some("modbus"));
    assert_eq!(rule_of(policy.judge_flow(&flow_verdict, None, 0)), None);
    assert_eq!(rule_of(policy.judge_unrecognised(&flow_verdict, 0)), Some(Rule::FlowUndeclaredProtocol));
    let https = policy.flow_verdict(&tcp(SCADA, OTHER, 443), Some("modbus"));
    assert_eq!(rule_of(policy.judge_unrecognised(&https, 0)), None);
}

#[test]
fn protocols_that_are_not_decoded_are_judged_by_carrier_and_port() {
    let policy = policy(BRIDGE);
    assert_eq!(flow_judged(&policy, &tuple(PLC, SCADA, Carrier::Udp, 123), None), "permit F-3");
    assert!(flow_judged(&policy, &tuple(PLC, SCADA, Carrier::Tcp, 123), None).starts_with("flow.undeclared-protocol"));
    assert!(flow_judged(&policy, &tuple(PLC, SCADA, Carrier::Ip(1), 0), None).starts_with("flow.undeclared-protocol"));
    assert!(
        flow_judged(&policy, &tuple(PLC, "10.20.20.99", Carrier::Udp, 123), None).starts_with("flow.undeclared-peer")
    );
}

#[test]
fn a_class_or_function_that_is_not_allowed_is_undeclared() {
    let stop = on_plc(&bare("force_listen_only_mode", 8, Class::Control));
    assert!(stop.starts_with("operation.undeclared: conduit operate permits "), "{stop}");
    assert_eq!(on_plc(&bare("read_device_identification", 43, Class::Identify)), "permit F-1");
    let tuple = tcp(SCADA, OTHER, 502);
    let stop = judged(&policy(BRIDGE), &tuple, &bare("force_listen_only_mode", 8, Class::Control));
    assert_eq!(stop, "operation.undeclared: conduit operate permits only operate");
}

#[test]
fn a_flow_that_permits_anything_permits_its_session() {
    assert_eq!(on_plc(&bare("init_comm", 90, Class::Session)), "permit F-1");
}

#[test]
fn the_unknown_is_permitted_only_where_it_is_named() {
    let unknown = bare("function_101", 101, Class::Unknown);
    for (allow, permitted) in [
        (r#"{ op = "any" }"#, false),
        (r#"{ op = "engineer" }"#, false),
        (r#"{ op = ["read", "unknown"] }"#, true),
        ("{ functions = [101] }", true),
        ("{ functions = [102] }", false),
    ] {
        let policy = policy(&BRIDGE.replace(r#"{ op = "operate" }"#, allow));
        let verdict = judged(&policy, &tcp(SCADA, OTHER, 502), &unknown);
        assert_eq!(verdict == "permit F-2", permitted, "{allow}: {verdict}");
    }
}

#[test]
fn an_address_outside_the_points_is_undeclared() {
    assert_eq!(on_plc(&operation(READ, 0, 40, Values::None)), "permit F-1");
    assert_eq!(on_plc(&operation(READ, 30, 11, Values::None)), "permit F-1", "two points that touch");
    let beyond = on_plc(&operation(READ, 30, 12, Values::None));
    assert_eq!(beyond, "address.undeclared: flow F-1 permits read only on state, speed");
    let written = on_plc(&write(5, &[0, 1]));
    assert_eq!(written, "address.undeclared: flow F-1 permits write only on speed, command, level");
    assert!(on_plc(&operation(READ, 65_535, 2, Values::None)).starts_with("address.undeclared"));
}

#[test]
fn another_unit_or_table_is_another_address() {
    let mut other = operation(READ, 0, 1, Values::None);
    other.target = Target::Table { unit: 2, table: Table::HoldingRegister, address: 0, count: 1 };
    assert!(on_plc(&other).starts_with("address.undeclared"));
    other.target = Target::Table { unit: 1, table: Table::InputRegister, address: 0, count: 1 };
    assert!(on_plc(&other).starts_with("address.undeclared"));
    other.target = Target::File { unit: 1, file: 1, record: 0, count: 1 };
    assert!(on_plc(&other).starts_with("address.undeclared"));
}

#[test]
fn a_value_beyond_a_limit_is_named_with_the_limit() {
    for (address, bytes, expected) in [
        (40, [0x01, 0x5E].as_slice(), "permit F-1"),
        (40, &[0x03, 0x84], "value.out-of-limits: 900 is above the maximum 350 of point speed"),
        (41, &[0, 4], "permit F-1"),
        (41, &[0, 3], "value.out-of-limits: 3 is not one of 0, 1, 2, 4 of point command"),
        (40, &[0, 1, 0, 3], "value.out-of-limits: 3 is not one of 0, 1, 2, 4 of point command"),
        (50, &[0x40, 0x80, 0, 0], "permit F-1"),
        (50, &[0x40, 0xA0, 0, 0], "value.out-of-limits: 5 is above the maximum 4.2 of point level"),
        (50, &[0xBF, 0x80, 0, 0], "value.out-of-limits: -1 is below the minimum -0.5 of point level"),
        (50, &[0x7F, 0xC0, 0, 0], "value.out-of-limits: NaN is no value that the limits of point level admit"),
    ] {
        assert_eq!(on_plc(&write(address, bytes)), expected);
    }
}

#[test]
fn a_value_that_cannot_be_determined_does_not_bypass_its_limits() {
    let unreadable =
        "value.out-of-limits: the value that point level would get cannot be told, so its limits cannot hold";
    assert_eq!(on_plc(&write(50, &[0x41, 0x20])), unreadable, "the high half alone");
    assert_eq!(on_plc(&write(51, &[0, 0])), unreadable, "the low half alone");
    let masked =
        |and, or| on_plc(&operation(("mask_write_register", 22, Class::Write), 40, 1, Values::Masks { and, or }));
    assert!(masked(0xFFF0, 0x000F).starts_with("value.out-of-limits"));
    assert_eq!(masked(0, 300), "permit F-1", "a mask that keeps no bit is a plain write");
    assert!(masked(0, 900).contains("above the maximum"));
    assert!(on_plc(&operation(WRITE_ONE, 40, 1, Values::None)).starts_with("value.out-of-limits"));
}

#[test]
fn a_step_is_measured_from_the_last_value_written_or_read() {
    let policy = policy(BRIDGE);
    let flow_verdict = policy.flow_verdict(&tcp(SCADA, PLC, 502), Some("modbus"));
    let mut last = LastValues::default();
    let mut step = |bytes: &[u8]| {
        short(
            &policy,
            &flow_verdict,
            policy.judge(&flow_verdict, &write(40, bytes), &mut last, SessionState::default(), 0),
        )
    };
    assert_eq!(step(&[0, 100]), "permit F-1");
    assert_eq!(step(&[0, 150]), "permit F-1");
    let refused = "value.out-of-limits: 250 is more than the largest step 50 from 150 of point speed";
    assert_eq!(step(&[0, 250]), refused);
    assert_eq!(step(&[0, 250]), refused, "what was refused is not the last value");
    let read = operation(READ, 40, 1, Values::Registers(&[0, 230]));
    policy.learn(&flow_verdict, &read, &mut last, &mut SessionState::default());
    assert_eq!(
        short(
            &policy,
            &flow_verdict,
            policy.judge(&flow_verdict, &write(40, &[0, 250]), &mut last, SessionState::default(), 0)
        ),
        "permit F-1"
    );
}

#[test]
fn limits_hold_also_where_a_flow_names_no_points() {
    let text = BRIDGE.replace("  { op = \"read\", points = [\"state\", \"speed\"] },", "  { op = \"operate\" },");
    let verdict = judged(&policy(&text), &tcp(SCADA, PLC, 502), &write(40, &[0x03, 0x84]));
    assert_eq!(verdict, "value.out-of-limits: 900 is above the maximum 350 of point speed");
}

#[test]
fn what_cannot_be_read_of_a_write_is_covered_by_no_named_address_and_no_limit() {
    let part = "item";
    let unread = Operation { target: Target::Unread { part }, ..operation(WRITE_ONE, 0, 1, Values::None) };
    assert!(on_plc(&unread).starts_with("operation.undeclared"), "{}", on_plc(&unread));
    let text = BRIDGE.replace("  { op = \"read\", points = [\"state\", \"speed\"] },", "  { op = \"operate\" },");
    let everywhere = judged(&policy(&text), &tcp(SCADA, PLC, 502), &unread);
    assert!(everywhere.starts_with("value.out-of-limits: the value that point"), "{everywhere}");
}

#[test]
fn a_conduit_or_operation_may_be_declared_as_only_observed_but_a_limit_holds() {
    let text = BRIDGE.replace(
        "intra_zone = \"declared\"",
        "undeclared_conduit = \"observe\"\nundeclared_operation = \"observe\"\nunknown_asset = \"observe\"",
    );
    let policy = policy(&text);
    let read = operation(READ, 200, 1, Values::None);
    assert_eq!(judged(&policy, &tcp("10.1.2.3", PLC, 502), &read), "observe");
    assert_eq!(judged(&policy, &tcp(SCADA, PLC, 502), &read), "observe");
    assert!(judged(&policy, &tcp(SCADA, PLC, 502), &write(40, &[0x03, 0x84])).starts_with("value.out-of-limits"));
    assert_eq!(policy.unknown_sides(&policy.flow_verdict(&tcp("10.20.20.99", PLC, 502), Some("modbus"))).count(), 0);
}

#[test]
fn only_flows_that_declare_a_protocol_decide_about_its_operations() {
    let other = "[[conduit.operate.flow]]\nid = \"F-9\"\nfrom = \"SCADA\"\nto = \"OTHER\"\nprotocol = \"s7comm\"\nport = \"any\"\n\
                 allow = [{ op = \"any\" }]\n";
    let policy = policy(&format!("{}{other}", BRIDGE.replace(r#"{ op = "operate" }"#, r#"{ op = "read" }"#)));
    let tuple = tcp(SCADA, OTHER, 502);
    assert_eq!(judged(&policy, &tuple, &operation(READ, 0, 1, Values::None)), "permit F-2");
    let written = judged(&policy, &tuple, &write(0, &[0, 1]));
    assert_eq!(written, "operation.undeclared: conduit operate permits only read");
    let flow_verdict = policy.flow_verdict(&tuple, Some("s7comm"));
    let written =
        policy.judge(&flow_verdict, &write(0, &[0, 1]), &mut LastValues::default(), SessionState::default(), 0);
    assert_eq!(short(&policy, &flow_verdict, written), "permit F-9");
}
