//! Session options of S7 controllers, and denials by them, as text.

use super::{Password, S7Session};
use crate::policy::{Denial, FlowVerdict, Policy};

/// `flow F-102 permits only connections as OP to rack 0 slot 2`.
pub(in crate::policy) fn connection_detail(policy: &Policy, _flow_verdict: &FlowVerdict, denial: &Denial) -> String {
    let flow = denial.flow.and_then(|flow| policy.flow(flow));
    let Some((flow, s7)) = flow.and_then(|flow| Some((flow, flow.session.s7?))) else {
        return "the connection is not declared".to_owned();
    };
    let kind = s7.connection.map(|kind| format!(" as {kind}"));
    let rack = s7.rack.map(|rack| format!(" to rack {rack}"));
    let slot = s7.slot.map(|slot| format!("{} slot {slot}", if rack.is_none() { " to" } else { "" }));
    let parts: String = [kind, rack, slot].into_iter().flatten().collect();
    format!("flow {} permits only connections{parts}", flow.id)
}

pub(in crate::policy) fn password_detail(policy: &Policy, _flow_verdict: &FlowVerdict, denial: &Denial) -> String {
    let flow = denial.flow.and_then(|flow| policy.flow(flow));
    let id = flow.map(|flow| flow.id.as_str()).unwrap_or_default();
    match flow.and_then(|flow| flow.session.s7?.password) {
        Some(Password::Required) => {
            format!("flow {id} requires the session password, and none was accepted on this connection")
        }
        _ => format!("flow {id} forbids the session password"),
    }
}

impl S7Session {
    /// In the summary of a policy: `, connection OP rack 0 slot 2, password forbidden`.
    pub(super) fn text(self) -> String {
        let kind = self.connection.map(|kind| format!(" {kind}"));
        let rack = self.rack.map(|rack| format!(" rack {rack}"));
        let slot = self.slot.map(|slot| format!(" slot {slot}"));
        let connection: String = [kind, rack, slot].into_iter().flatten().collect();
        let connection = if connection.is_empty() { connection } else { format!(", connection{connection}") };
        let password = self.password.map(|password| format!(", password {}", password.name())).unwrap_or_default();
        format!("{connection}{password}")
    }
}
