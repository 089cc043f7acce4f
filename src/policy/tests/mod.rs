//! The policy from outside: a text in, verdicts and complaints out.
#![expect(clippy::panic, reason = "a policy that a test cannot use is shown with what is wrong with it")]

mod advice;
mod complaints;
mod conditions;
mod flows;
mod language;
mod opcua;
mod places;
mod robustness;
mod s7;
mod verdicts;
mod wholesale;

use lockkeeper_protocols::{Class, Operation, Table, Target, Values};

use super::{Carrier, FlowTuple, FlowVerdict, Host, LastValues, Policy, Rule, SessionState, Verdict};

/// The example that ships.
const FULL: &str = include_str!("../../../rules/full-example.toml");

fn policy(text: &str) -> Policy {
    match Policy::parse("test.toml", text) {
        Ok(policy) => policy,
        Err(wrong) => panic!("{wrong}"),
    }
}

fn host(ip: &str) -> Host {
    Host { ip: ip.parse().ok(), mac: None, vlan: None }
}

fn tuple(client: &str, server: &str, transport: Carrier, server_port: u16) -> FlowTuple {
    FlowTuple { client: host(client), server: host(server), transport, server_port }
}

fn tcp(client: &str, server: &str, port: u16) -> FlowTuple {
    tuple(client, server, Carrier::Tcp, port)
}

/// Function, code and class of the Modbus operations in the tests.
const READ: (&str, u32, Class) = ("read_holding_registers", 3, Class::Read);
const WRITE_ONE: (&str, u32, Class) = ("write_single_register", 6, Class::Write);
const WRITE_MANY: (&str, u32, Class) = ("write_multiple_registers", 16, Class::Write);

fn operation<'a>(
    (function, code, class): (&'static str, u32, Class),
    address: u16,
    count: u16,
    values: Values<'a>,
) -> Operation<'a> {
    let target = Target::Table { unit: 1, table: Table::HoldingRegister, address, count };
    Operation { class, function, code, ambiguous: false, target, values }
}

/// An operation that has no address.
fn bare(function: &'static str, code: u32, class: Class) -> Operation<'static> {
    Operation { class, function, code, ambiguous: false, target: Target::Unit { unit: 1 }, values: Values::None }
}

/// The verdict in short: `permit F-101`, `observe`, `not judged`, or the rule and what the message says.
fn short(policy: &Policy, flow_verdict: &FlowVerdict, verdict: Verdict) -> String {
    match verdict {
        Verdict::Permit { flow } => format!("permit {}", flow.map_or("", |flow| policy.flow_id(flow))),
        Verdict::Observe => "observe".to_owned(),
        Verdict::NotJudged => "not judged".to_owned(),
        Verdict::Deny(denial) => format!("{}: {}", denial.rule.id(), policy.detail(flow_verdict, &denial)),
    }
}

fn judged(policy: &Policy, tuple: &FlowTuple, operation: &Operation<'_>) -> String {
    let flow_verdict = policy.flow_verdict(tuple, Some("modbus"));
    let verdict = policy.judge(&flow_verdict, operation, &mut LastValues::default(), SessionState::default(), 0);
    short(policy, &flow_verdict, verdict)
}

fn flow_judged(policy: &Policy, tuple: &FlowTuple, protocol: Option<&str>) -> String {
    let flow_verdict = policy.flow_verdict(tuple, protocol);
    short(policy, &flow_verdict, policy.judge_flow(&flow_verdict, protocol, 0))
}

fn rule_of(verdict: Verdict) -> Option<Rule> {
    match verdict {
        Verdict::Deny(denial) => Some(denial.rule),
        Verdict::Permit { .. } | Verdict::Observe | Verdict::NotJudged => None,
    }
}
