//! What a session with an S7 controller must be like: its connection, its password.

use lockkeeper_protocols::{Class, Operation, Target};

use super::compile::FlowRules;
use super::judge::Candidate;
use super::model::{Password, S7Session};
use super::words::Classes;
use super::{Denial, Policy, Reason, Rule, SessionState, Verdict};

impl Policy {
    /// Whether a flow lets operations of this class wait for the session password.
    pub(super) fn waits_for_password(
        &self,
        candidates: &[Candidate],
        operation: &Operation<'_>,
        session: SessionState,
    ) -> bool {
        self.deciding(candidates).any(|(_, rules)| rules.s7.waits(operation.class, session))
    }

    /// The verdict on what opens a session, where a flow says what it must be like. What is written there is written on
    /// purpose: it holds whatever `undeclared_operation` says.
    pub(super) fn judge_session(&self, candidates: &[Candidate], operation: &Operation<'_>) -> Option<Verdict> {
        let deciding = || self.deciding(candidates);
        let first = deciding().next()?.0.flow;
        if let Target::Connection { kind, rack, slot } = operation.target {
            let admitted = deciding().any(|(_, rules)| rules.s7.admits(kind, rack, slot));
            return (!admitted).then(|| deny(Rule::S7ConnectionType, first));
        }
        if !is_password(operation) {
            return None;
        }
        let mentions = |rules: &FlowRules| matches!(rules.s7.password, Some(Password::Required | Password::Optional));
        if let Some((one, _)) = deciding().find(|(_, rules)| mentions(rules)) {
            return Some(Verdict::Permit { flow: Some(one.flow) });
        }
        let forbidden = deciding().all(|(_, rules)| rules.s7.password == Some(Password::Forbidden));
        forbidden.then(|| deny(Rule::S7Password, first))
    }
}

/// A session that is not as its flow wants it.
pub(super) const fn deny(rule: Rule, flow: u16) -> Verdict {
    Verdict::Deny(Denial { rule, flow: Some(flow), reason: Reason::Plain })
}

impl S7Session {
    /// Whether operations of a class wait for the session password.
    pub(super) fn waits(&self, class: Class, session: SessionState) -> bool {
        self.password == Some(Password::Required) && !session.password_accepted && Classes::OF_LOGIC.contains(class)
    }
}

impl SessionState {
    pub(super) fn learn(&mut self, operation: &Operation<'_>) {
        if is_password(operation) {
            self.password_accepted = !PASSWORD_CLEARED.contains(&operation.function);
        }
    }
}

/// Whether an operation sets the password of a session, or ends what it opened. On an S7-1200 or S7-1500 a session is
/// opened by writing to its objects.
fn is_password(operation: &Operation<'_>) -> bool {
    let known = || PASSWORD_SET.contains(&operation.function) || PASSWORD_CLEARED.contains(&operation.function);
    operation.class == Class::Security && known()
}

/// Functions of class security that set the session password, and those that clear it.
const PASSWORD_SET: [&str; 3] = ["plc_password", "set_variable", "set_multi_variables"];
const PASSWORD_CLEARED: [&str; 1] = ["clear_plc_password"];
