//! What a session with an S7 controller must be like: its connection, its password.

use lockkeeper_protocols::{Class, Operation, Target};

use super::super::SessionState;
use crate::policy::classes::Classes;
use crate::policy::compile::FlowRules;
use crate::policy::flow_verdict::Candidate;
use crate::policy::section::{Complaint, Section};
use crate::policy::{Denial, Policy, Reason, Rule, Verdict, values};

/// `s7` of a flow: what a session must be like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct S7Session {
    /// `PG`, `OP`, `BASIC` or `other`.
    pub connection: Option<&'static str>,
    /// Rack of the CPU.
    pub rack: Option<u8>,
    /// Slot of the CPU.
    pub slot: Option<u8>,
    /// What holds for the session password.
    pub password: Option<Password>,
}

/// What holds for the session password of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Password {
    /// It must be accepted before logic is read, changed, started or stopped.
    Required,
    /// It must not be used.
    Forbidden,
    /// It may be used.
    Optional,
}

impl Password {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Required, Self::Forbidden, Self::Optional];

    /// The word of the language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Forbidden => "forbidden",
            Self::Optional => "optional",
        }
    }

    fn parse(text: &str) -> Result<Self, Complaint> {
        let name = values::one_of(text, "a rule for passwords", &Self::ALL.map(Self::name))?;
        Ok(Self::ALL.into_iter().find(|password| password.name() == name).unwrap_or(Self::Optional))
    }
}

impl S7Session {
    /// Reads the `s7` table of a flow; `None` if it has none.
    pub(super) fn read(flow: &mut Section<'_>) -> Option<Self> {
        let what = format!("s7 of {}", flow.what);
        let mut section = flow.table("s7", what)?;
        let session = Self {
            connection: section.one_of("connection", "a connection type", &["PG", "OP", "BASIC", "other"]),
            rack: section.integer_in("rack", 0..=7),
            slot: section.integer_in("slot", 0..=31),
            password: section.parsed("password", Password::parse),
        };
        section.finish();
        Some(session)
    }

    /// Whether a connection to a module is as the flow demands it.
    pub fn admits(&self, kind: &str, rack: u8, slot: u8) -> bool {
        self.connection.is_none_or(|own| own == kind)
            && self.rack.is_none_or(|own| own == rack)
            && self.slot.is_none_or(|own| own == slot)
    }

    /// The classes whose operations depend on these options: connections, the password, and what it unlocks.
    pub(in crate::policy) fn classes(&self) -> Classes {
        let own = Classes::only(Class::Session).with(Classes::only(Class::Security));
        if self.password == Some(Password::Required) { own.with(Classes::OF_LOGIC) } else { own }
    }

    /// The rule that operations of a class violate until the session password is accepted.
    pub(in crate::policy) fn lock(&self, class: Class, session: SessionState) -> Option<Rule> {
        let is_locked = self.password == Some(Password::Required) && !session.password_accepted;
        (is_locked && Classes::OF_LOGIC.contains(class)).then_some(Rule::S7Password)
    }
}

/// The verdict on a connection or a session password that session options decide about. `undeclared_operation` does not
/// apply: session options are always meant.
pub(super) fn judge(policy: &Policy, candidates: &[Candidate], operation: &Operation<'_>) -> Option<Verdict> {
    if let Target::Connection { kind, rack, slot } = operation.target {
        let admits = |s7: S7Session| s7.admits(kind, rack, slot);
        let first = policy.deciding(candidates).next()?.0.flow;
        let admitted = policy.deciding(candidates).any(|(_, rules)| rules.session.s7.is_none_or(admits));
        return (!admitted).then(|| deny(Rule::S7ConnectionType, first));
    }
    if is_password(operation) { judge_password(policy, candidates) } else { None }
}

fn judge_password(policy: &Policy, candidates: &[Candidate]) -> Option<Verdict> {
    let password = |rules: &FlowRules| rules.session.s7.and_then(|s7| s7.password);
    let first = policy.deciding(candidates).next()?.0.flow;
    let allows = |rules: &FlowRules| matches!(password(rules), Some(Password::Required | Password::Optional));
    if let Some((one, _)) = policy.deciding(candidates).find(|(_, rules)| allows(rules)) {
        return Some(Verdict::Permit { flow: Some(one.flow) });
    }
    let is_forbidden = policy.deciding(candidates).all(|(_, rules)| password(rules) == Some(Password::Forbidden));
    is_forbidden.then(|| deny(Rule::S7Password, first))
}

const fn deny(rule: Rule, flow: u16) -> Verdict {
    Verdict::Deny(Denial { rule, flow: Some(flow), reason: Reason::Plain })
}

impl SessionState {
    pub(super) fn learn_password(&mut self, operation: &Operation<'_>) {
        if is_password(operation) {
            self.password_accepted = !PASSWORD_CLEARED.contains(&operation.function);
        }
    }
}

/// Whether an operation sets the password of a session, or clears it. On an S7-1200 or S7-1500 a write to the session's
/// own objects sets it.
fn is_password(operation: &Operation<'_>) -> bool {
    let is_known = || PASSWORD_SET.contains(&operation.function) || PASSWORD_CLEARED.contains(&operation.function);
    operation.class == Class::Security && is_known()
}

/// Functions of class `security` that set the session password, and those that clear it.
const PASSWORD_SET: [&str; 3] = ["plc_password", "set_variable", "set_multi_variables"];
const PASSWORD_CLEARED: [&str; 1] = ["clear_plc_password"];
