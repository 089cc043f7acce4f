//! The verdict on a secure channel: its mode, its security policy, its user.
//!
//! A client may look for endpoints without protection (OPC 10000-4, 5.4). Therefore an unprotected channel is judged when it
//! is used: at a login, or at an operation.

use lockkeeper_protocols::{Class, Mode, Security, Side, UserKind};

use super::{Channel, Grade, OpcUaSession};
use crate::policy::compile::FlowRules;
use crate::policy::flow_verdict::Candidate;
use crate::policy::{Denial, FlowVerdict, Policy, Reason, Rule};

/// The state of the security of a conversation, for its verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Secured {
    channel: Option<Channel>,
    /// The best protection that the server offered.
    offered: Option<Channel>,
    used: Use,
    /// Kinds of identity that used the channel, one bit each.
    users: u8,
}

/// What a channel was used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// Discovery at most.
    #[default]
    Nothing,
    /// Operations that change nothing.
    Read,
    /// Operations that change something.
    Changed,
}

/// The verdict on a security fact, or on the use of a channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FactVerdict {
    /// The violations.
    pub denials: Vec<Denial>,
    /// The channel, at its first use.
    pub channel: Option<Channel>,
}

impl Secured {
    /// Whether an operation of this class is a use of the channel for [`Policy::judge_use`] to judge.
    pub fn waits(&self, class: Class) -> bool {
        self.is_unprotected() && Use::of(class) > self.used
    }

    /// Whether [`Secured::waits`] holds for any class.
    pub fn waits_for_some(&self) -> bool {
        self.is_unprotected() && self.used < Use::Changed
    }

    fn is_unprotected(&self) -> bool {
        self.channel.is_some_and(|channel| channel.mode == Mode::None)
    }

    fn open(&mut self, channel: Channel) {
        let protected = channel.mode != Mode::None;
        self.channel = Some(channel);
        self.users = 0;
        self.used = if protected { Use::Changed } else { Use::Nothing };
    }
}

impl Use {
    const fn of(class: Class) -> Self {
        match class {
            // A login is a fact of its own; servers register themselves without protection.
            Class::Session | Class::Discover | Class::Security => Self::Nothing,
            Class::Write
            | Class::Alarm
            | Class::Time
            | Class::Control
            | Class::Program
            | Class::Firmware
            | Class::DiagnosticClear => Self::Changed,
            _ => Self::Read,
        }
    }
}

impl Policy {
    /// Takes account of a fact about a conversation. Returns how it violates the session options of the flows that decide
    /// about the conversation. `undeclared_operation` does not apply: session options are always meant.
    pub fn judge_fact(&self, flow_verdict: &FlowVerdict, fact: &Security<'_>, state: &mut Secured) -> FactVerdict {
        match *fact {
            Security::Channel { mode: Some(mode), policy } => {
                let channel = Channel::new(mode, policy);
                if state.channel == Some(channel) {
                    return FactVerdict::default();
                }
                state.open(channel);
                if mode == Mode::None {
                    FactVerdict::default()
                } else {
                    self.judge_channel(flow_verdict, channel, policy)
                }
            }
            Security::Offered { mode, policy } => {
                let offered = Channel::new(mode, policy);
                if state.offered.is_none_or(|best| best.is_weaker_than(&offered)) {
                    state.offered = Some(offered);
                }
                FactVerdict::default()
            }
            Security::User { kind, clear_secret, .. } => self.judge_user(flow_verdict, kind, clear_secret, state),
            Security::Application { of: Side::Client, uri } => self.judge_client(flow_verdict, uri),
            Security::Channel { mode: None, .. } | Security::Certificate { .. } | Security::Application { .. } => {
                FactVerdict::default()
            }
        }
    }

    /// Judges the first use of an unprotected channel, and the first use that changes something.
    pub fn judge_use(&self, flow_verdict: &FlowVerdict, class: Class, state: &mut Secured) -> FactVerdict {
        let first = state.used == Use::Nothing;
        state.used = state.used.max(Use::of(class));
        match state.channel {
            Some(channel) => {
                let verdict = self.judge_channel(flow_verdict, channel, channel.policy);
                FactVerdict { channel: verdict.channel.filter(|_| first), ..verdict }
            }
            None => FactVerdict::default(),
        }
    }

    /// The denial of a channel that is weaker than these two hosts used before.
    pub fn judge_downgrade(&self, flow_verdict: &FlowVerdict, reason: Reason) -> Option<Denial> {
        self.demand(flow_verdict, |_| false, Rule::OpcUaDowngrade, reason)
    }

    fn judge_channel(&self, flow_verdict: &FlowVerdict, channel: Channel, policy: &str) -> FactVerdict {
        let mut verdict = FactVerdict { denials: Vec::new(), channel: Some(channel) };
        let reason = Reason::Channel(channel);
        let by_mode = |session: &OpcUaSession| session.min_mode.is_none_or(|least| least <= channel.mode);
        let rule = if channel.mode == Mode::None { Rule::OpcUaModeNone } else { Rule::OpcUaModeWeak };
        verdict.denials.extend(self.demand(flow_verdict, by_mode, rule, reason));
        if channel.mode != Mode::None {
            let deprecated = channel.grade == Some(Grade::Deprecated);
            let rule = if deprecated { Rule::OpcUaPolicyDeprecated } else { Rule::OpcUaPolicyUndeclared };
            let by_policy = |session: &OpcUaSession| session.admits(policy, deprecated);
            verdict.denials.extend(self.demand(flow_verdict, by_policy, rule, reason));
        }
        verdict
    }

    fn judge_user(
        &self,
        flow_verdict: &FlowVerdict,
        kind: UserKind,
        clear_secret: bool,
        state: &mut Secured,
    ) -> FactVerdict {
        let mut verdict = FactVerdict::default();
        // Several sessions with different users may share a connection.
        let kinds = state.users | 1 << kind as u8;
        if std::mem::replace(&mut state.users, kinds) == kinds && !clear_secret {
            return verdict;
        }
        if state.used == Use::Nothing && state.channel.is_some() {
            verdict = self.judge_use(flow_verdict, Class::Read, state);
        }
        let by_kind = |session: &OpcUaSession| session.identity.is_empty() || session.identity.contains(&kind);
        let anybody = |_: &OpcUaSession| !clear_secret;
        verdict.denials.extend(self.demand(flow_verdict, by_kind, Rule::OpcUaIdentity, Reason::User(kind)));
        verdict.denials.extend(self.demand(flow_verdict, anybody, Rule::OpcUaCleartextPassword, Reason::User(kind)));
        if let Some((now, than)) = state.channel.zip(state.offered).filter(|(now, than)| now.is_weaker_than(than)) {
            let suffices = |session: &OpcUaSession| session.says_enough(&now);
            let reason = Reason::Weaker { now, than };
            verdict.denials.extend(self.demand(flow_verdict, suffices, Rule::OpcUaBetterOffered, reason));
        }
        verdict
    }

    fn judge_client(&self, flow_verdict: &FlowVerdict, uri: &[u8]) -> FactVerdict {
        let admits = |session: &OpcUaSession| session.admits_client(|own| own.as_bytes() == uri);
        let denial = self.demand(flow_verdict, admits, Rule::OpcUaClient, Reason::Plain);
        FactVerdict { denials: denial.into_iter().collect(), channel: None }
    }

    /// The denial by `rule`, unless a flow that decides about the conversation admits it. A flow without session options has
    /// the defaults.
    pub(super) fn demand(
        &self,
        flow_verdict: &FlowVerdict,
        admits: impl Fn(&OpcUaSession) -> bool,
        rule: Rule,
        reason: Reason,
    ) -> Option<Denial> {
        let mut deciding = self.deciding(self.named_flows(flow_verdict).ok()?);
        let first = deciding.next()?;
        let silent = OpcUaSession::default();
        let says = |(_, rules): &(&Candidate, &FlowRules)| admits(rules.session.opcua.as_ref().unwrap_or(&silent));
        let admitted = says(&first) || deciding.any(|one| says(&one));
        (!admitted).then_some(Denial { rule, flow: Some(first.0.flow), reason })
    }
}

impl OpcUaSession {
    fn admits(&self, policy: &str, deprecated: bool) -> bool {
        if self.policies.is_empty() { !deprecated } else { self.policies.iter().any(|own| own == policy) }
    }

    /// Whether the flow declares that the protection of a channel suffices.
    fn says_enough(&self, channel: &Channel) -> bool {
        let deprecated = channel.grade == Some(Grade::Deprecated);
        let by_policy = || channel.mode == Mode::None || self.admits(channel.policy, deprecated);
        self.min_mode.is_some_and(|least| least <= channel.mode) && by_policy()
    }

    /// Whether `is_own` holds for an application URI that the flow names, or the flow names none.
    pub(super) fn admits_client(&self, is_own: impl Fn(&str) -> bool) -> bool {
        self.client_uris.is_empty() || self.client_uris.iter().any(|uri| is_own(uri))
    }
}
