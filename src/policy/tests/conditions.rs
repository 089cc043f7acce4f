//! Conditions of a flow, by the one that exists for tests: only in even minutes.

use lockkeeper_protocols::Namespaces;

use super::*;

const PLANT: &str = r#"
schema = "lockkeeper-policy/1"
[zone.scada]
networks = ["10.20.20.0/24"]
[zone.lock]
networks = ["10.20.10.0/24"]
[conduit.C]
zones = ["scada", "lock"]
[[conduit.C.flow]]
id = "F-1"
from = "zone:scada"
to = "zone:lock"
protocol = "modbus"
allow = [{ op = "read" }]
even_minutes = true
"#;

/// The same, with a flow beside it that permits discovery at any time.
const BESIDE: &str = r#"
[[conduit.C.flow]]
id = "F-2"
from = "zone:scada"
to = "zone:lock"
protocol = "modbus"
allow = [{ op = "diagnostic" }]
"#;

const MINUTE: i64 = 60_000_000_000;

fn at(policy: &Policy, time: i64, operation: &Operation<'_>) -> String {
    let flow_verdict = policy.flow_verdict(&tcp("10.20.20.10", "10.20.10.11", 502), Some("modbus"));
    let (mut last, session) = (LastValues::default(), SessionState::default());
    short(policy, &flow_verdict, policy.judge(&flow_verdict, operation, &mut last, session, time))
}

#[test]
fn what_a_flow_permits_is_denied_while_its_condition_does_not_hold() {
    let policy = policy(PLANT);
    let read = operation(READ, 0, 1, Values::None);
    assert_eq!(at(&policy, 2 * MINUTE, &read), "permit F-1");
    assert_eq!(at(&policy, 3 * MINUTE - 1, &read), "permit F-1");
    let denied = "conduit.undeclared: flow F-1 permits this only in even minutes";
    assert_eq!(at(&policy, 3 * MINUTE, &read), denied);
    assert_eq!(at(&policy, -1, &read), denied, "the last minute of 1969 has an odd number");
}

#[test]
fn what_a_flow_never_permits_is_denied_for_what_it_is() {
    let policy = policy(PLANT);
    let write = operation(WRITE_ONE, 0, 1, Values::Registers(&[0, 1]));
    let denied = "operation.undeclared: conduit C permits only read";
    assert_eq!((at(&policy, 0, &write), at(&policy, MINUTE, &write)), (denied.to_owned(), denied.to_owned()));
}

#[test]
fn a_flow_without_conditions_permits_beside_one_whose_condition_does_not_hold() {
    let policy = policy(&format!("{PLANT}{BESIDE}"));
    let (read, diagnose) = (operation(READ, 0, 1, Values::None), bare("diagnostics", 8, Class::Diagnostic));
    let session = bare("session", 0, Class::Session);
    assert_eq!(at(&policy, MINUTE, &diagnose), "permit F-2");
    assert_eq!(at(&policy, MINUTE, &session), "permit F-2", "a flow that permits anything permits its session");
    assert_eq!(at(&policy, 0, &session), "permit F-1");
    assert!(at(&policy, MINUTE, &read).starts_with("conduit.undeclared: flow F-1"));
}

#[test]
fn the_flow_as_such_is_judged_by_its_condition_too() {
    let policy = policy(PLANT);
    let flow_verdict = policy.flow_verdict(&tcp("10.20.20.10", "10.20.10.11", 502), None);
    let verdict = |protocol, time| short(&policy, &flow_verdict, policy.judge_flow(&flow_verdict, protocol, time));
    assert_eq!(verdict(Some("modbus"), 0), "permit F-1");
    assert!(verdict(Some("modbus"), MINUTE).starts_with("conduit.undeclared: flow F-1"));
    assert!(verdict(None, MINUTE).starts_with("conduit.undeclared: flow F-1"));
    assert!(verdict(Some("opcua"), MINUTE).starts_with("flow.undeclared-protocol"));
}

#[test]
fn a_flow_with_conditions_is_never_permitted_plainly() {
    let read = operation(READ, 0, 1, Values::None);
    let plainly = |policy: &Policy| {
        let flow_verdict = policy.flow_verdict(&tcp("10.20.20.10", "10.20.10.11", 502), Some("modbus"));
        let all = policy.permits_all(&flow_verdict, Class::Read, Namespaces::NONE);
        (policy.permits_plainly(&flow_verdict, &read), all)
    };
    assert_eq!(plainly(&policy(PLANT)), (false, false));
    assert_eq!(plainly(&policy(&PLANT.replace("even_minutes = true", ""))), (true, true));
}

#[test]
fn a_condition_is_listed_with_its_flow() {
    let listed = policy(PLANT).summary();
    assert!(listed.contains(", only in even minutes\n"), "{listed}");
}

#[test]
fn a_mistake_in_a_condition_is_shown_at_its_place() {
    let wrong = Policy::parse("test.toml", &PLANT.replace("= true", "= 1")).map_err(|wrong| wrong.to_string());
    assert!(wrong.is_err_and(|wrong| wrong.contains("even_minutes")));
}
