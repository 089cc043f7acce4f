//! The verdicts, in this order: on the conduit, the flow, the operation, its address, its values.

use lockkeeper_protocols::{Class, Operation, Target, Values};

use super::addresses::{NO_ASSET, is_covered};
use super::classes::Classes;
use super::compile::{FlowRules, LimitedPoints, Permit};
use super::dialect::{self, ValuesAt};
use super::flow_verdict::{Candidate, Relation, SoleFlow};
use super::limits;
use super::model::{Consequence, DeclaredProtocol, Flow};
use super::{Denial, FlowVerdict, LastValues, Policy, Reason, Rule, SessionState, Verdict, services};

/// The payload of a flow, as far as it is known.
#[derive(Clone, Copy)]
enum Payload<'a> {
    /// Not known yet: carrier and port decide.
    Unknown,
    /// A protocol by name.
    Protocol(&'a str),
    /// Payload that is none of the decoded protocols.
    Unrecognised,
}

impl Policy {
    pub(super) fn flow(&self, flow: u16) -> Option<&Flow> {
        self.declared.flows.get(usize::from(flow))
    }

    /// The verdict on a flow as such. `protocol` is its protocol, `None` while the payload is not known: then the carrier and the
    /// server's port decide. `time` is that of the packet, nanoseconds since 1970-01-01 UTC.
    pub fn judge_flow(&self, flow_verdict: &FlowVerdict, protocol: Option<&str>, time: i64) -> Verdict {
        self.judge_payload(flow_verdict, protocol.map_or(Payload::Unknown, Payload::Protocol), time)
    }

    /// The verdict on a flow whose payload is none of the decoded protocols: a flow that declares a decoded protocol does not
    /// permit it on any port.
    pub fn judge_unrecognised(&self, flow_verdict: &FlowVerdict, time: i64) -> Verdict {
        self.judge_payload(flow_verdict, Payload::Unrecognised, time)
    }

    fn judge_payload(&self, flow_verdict: &FlowVerdict, payload: Payload<'_>, time: i64) -> Verdict {
        // Hosts broadcast requests for names and addresses as a matter of course.
        if flow_verdict.to_all.contains(&true) && !payload.is_decoded() {
            return Verdict::Observe;
        }
        let candidates = match self.named_flows(flow_verdict) {
            Ok(candidates) => candidates,
            Err(verdict) => return verdict,
        };
        let permits =
            |one: &&Candidate| one.fits && self.flow(one.flow).is_some_and(|flow| payload.fits(&flow.protocol));
        self.permit_in_condition(candidates.iter().filter(permits), time)
            .unwrap_or_else(|| self.deny(Rule::FlowUndeclaredProtocol, candidates.first(), Reason::Plain))
    }

    /// The declared flows that name these hosts, or the verdict if there are none.
    pub(super) fn named_flows<'r>(&self, flow_verdict: &'r FlowVerdict) -> Result<&'r [Candidate], Verdict> {
        let candidates = flow_verdict.candidates.as_deref().unwrap_or_default();
        match flow_verdict.relation {
            Relation::Unplaced | Relation::Stray => Err(Verdict::NotJudged),
            Relation::Observed => Err(Verdict::Observe),
            Relation::Unconnected => {
                let denial = Denial { rule: Rule::ConduitUndeclared, flow: None, reason: Reason::Plain };
                Err(Verdict::Deny(denial))
            }
            Relation::Connected if candidates.is_empty() => {
                let reverse = flow_verdict.reverse.map(|flow| Candidate { flow, fits: false, declares: false });
                Err(self.deny(Rule::FlowUndeclaredPeer, reverse.as_ref(), Reason::Plain))
            }
            Relation::Connected => Ok(candidates),
        }
    }

    /// The verdict on what the flows of a conduit do not permit: a denial, unless `undeclared_operation = "observe"`.
    fn deny(&self, rule: Rule, closest: Option<&Candidate>, reason: Reason) -> Verdict {
        match self.declared.defaults.undeclared_operation {
            Consequence::Observe => Verdict::Observe,
            _ => Verdict::Deny(Denial { rule, flow: closest.map(|one| one.flow), reason }),
        }
    }

    /// The verdict on one operation of a flow whose protocol is known. `time` is that of the packet, nanoseconds since
    /// 1970-01-01 UTC. Does not allocate, except for the first value of a point that limits its step.
    pub fn judge(
        &self,
        flow_verdict: &FlowVerdict,
        operation: &Operation<'_>,
        last: &mut LastValues,
        session: SessionState,
        time: i64,
    ) -> Verdict {
        if let Some(sole) = self.permitted_by(flow_verdict, operation) {
            return if sole.restricts(operation) {
                self.judge_values(sole.flow, sole.asset, operation, last)
            } else {
                Verdict::Permit { flow: Some(sole.flow) }
            };
        }
        self.judge_fully(flow_verdict, operation, last, session, time)
    }

    /// Whether [`Policy::judge`] would permit or only observe an operation in any state of the conversation: true of nearly
    /// every operation, and cheap. `false` does not imply a denial.
    #[inline]
    pub fn permits_plainly(&self, flow_verdict: &FlowVerdict, operation: &Operation<'_>) -> bool {
        let Some(sole) = flow_verdict.sole else { return !flow_verdict.is_judged() };
        !sole.restricts(operation) && self.permitted_by(flow_verdict, operation).is_some()
    }

    /// The sole flow that decides about operations, if it permits this one plainly.
    fn permitted_by(&self, flow_verdict: &FlowVerdict, operation: &Operation<'_>) -> Option<SoleFlow> {
        let sole = flow_verdict.sole?;
        let rules = self.compiled.flows.get(usize::from(sole.flow))?;
        rules.permit_plainly(sole.asset, operation).then_some(sole)
    }

    /// The verdict that takes several flows, functions, ranges and the session into account.
    fn judge_fully(
        &self,
        flow_verdict: &FlowVerdict,
        operation: &Operation<'_>,
        last: &mut LastValues,
        session: SessionState,
        time: i64,
    ) -> Verdict {
        if flow_verdict.relation == Relation::Stray && self.judges_strays(operation) {
            return Verdict::Deny(Denial { rule: Rule::OperationUnplaced, flow: None, reason: Reason::Plain });
        }
        let candidates = match self.named_flows(flow_verdict) {
            Ok(candidates) => candidates,
            Err(verdict) => return verdict,
        };
        let Some(first) = candidates.iter().find(|one| one.decides()) else {
            return self.deny_elsewhere(candidates, operation);
        };
        if let Some(verdict) = dialect::judge_session(self, candidates, operation) {
            return verdict;
        }
        let server = flow_verdict.server.asset;
        let mut chosen = self.find_permit(candidates, server, operation, PermitContext { session, time: Some(time) });
        if !matches!(chosen, Choice::Permitted(_))
            && let Some(rule) = self.lock(candidates, operation.class, session)
        {
            // An operation that would be permitted in an unlocked session violates the rule of the lock. Session options are
            // always meant: `undeclared_operation` does not apply.
            chosen = self.find_permit(
                candidates,
                server,
                operation,
                PermitContext { session: SessionState::UNLOCKED, time: Some(time) },
            );
            if let Choice::Permitted(flow) = chosen {
                return Verdict::Deny(Denial { rule, flow: Some(flow), reason: Reason::Plain });
            }
        }
        if !matches!(chosen, Choice::Permitted(_))
            && let Some(denial) = self.judge_conditions(candidates, server, operation, time)
        {
            return denial;
        }
        match chosen {
            Choice::Permitted(flow) if operation.class == Class::Write => {
                self.judge_values(flow, server.unwrap_or(NO_ASSET), operation, last)
            }
            Choice::Permitted(flow) => Verdict::Permit { flow: Some(flow) },
            Choice::Elsewhere(one) => self.deny(Rule::AddressUndeclared, Some(one), Reason::Class(operation.class)),
            // A flow that permits any operation of a protocol permits its sessions.
            Choice::Nothing if operation.class == Class::Session || dialect::opens_session(operation) => {
                let deciding = candidates.iter().filter(|one| one.decides());
                self.permit_in_condition(deciding, time).unwrap_or(Verdict::Permit { flow: Some(first.flow) })
            }
            Choice::Nothing if operation.class == Class::Opaque => self.judge_opaque(first),
            Choice::Nothing => self.deny(Rule::OperationUndeclared, Some(first), Reason::Class(operation.class)),
        }
    }

    /// The denial of an operation that a flow would permit if its conditions held; `None` if no flow would.
    fn judge_conditions(
        &self,
        candidates: &[Candidate],
        server: Option<u16>,
        operation: &Operation<'_>,
        time: i64,
    ) -> Option<Verdict> {
        let deciding = || candidates.iter().filter(|one| one.decides());
        let first = deciding().find_map(|one| self.denied_by_condition(one.flow, time))?;
        match self.find_permit(
            candidates,
            server,
            operation,
            PermitContext { session: SessionState::UNLOCKED, time: None },
        ) {
            Choice::Permitted(flow) => Some(self.denied_by_condition(flow, time).unwrap_or(first)),
            Choice::Nothing if is_of_every_flow(operation) => {
                self.permit_in_condition(deciding(), time).filter(|verdict| matches!(verdict, Verdict::Deny(_)))
            }
            Choice::Elsewhere(_) | Choice::Nothing => None,
        }
    }

    /// The denial of an operation in a conversation that is itself denied. The rule is that of the operation if the flows that
    /// declare its protocol on other ports do not permit the operation either, and else that of the conversation.
    fn deny_elsewhere(&self, candidates: &[Candidate], operation: &Operation<'_>) -> Verdict {
        let mut declaring = candidates.iter().filter(|one| one.declares);
        let names = |one: &Candidate| {
            let rules = self.compiled.flows.get(usize::from(one.flow));
            rules.is_some_and(|rules| rules.permits.iter().any(|permit| permit.names(operation)))
        };
        match declaring.clone().next() {
            Some(one) if !is_of_every_flow(operation) && !declaring.any(names) => {
                self.deny(Rule::OperationUndeclared, Some(one), Reason::Class(operation.class))
            }
            _ => self.deny(Rule::FlowUndeclaredProtocol, candidates.first(), Reason::Plain),
        }
    }

    /// Whether an operation between hosts that cannot be placed is a violation: it may change something, and the policy reports
    /// traffic outside of conduits.
    fn judges_strays(&self, operation: &Operation<'_>) -> bool {
        let is_reported = self.declared.defaults.undeclared_conduit == Consequence::Violation;
        is_reported && self.judges() && !Classes::HARMLESS.contains(operation.class)
    }

    /// Finds a permit for an operation among the entries of all deciding flows.
    fn find_permit<'r>(
        &self,
        candidates: &'r [Candidate],
        server: Option<u16>,
        operation: &Operation<'_>,
        context: PermitContext,
    ) -> Choice<'r> {
        let naming = || self.permits(candidates, operation, context).filter(|(_, permit)| permit.names(operation));
        let mut closest = None;
        for (one, permit) in naming() {
            match &permit.places {
                None => return Choice::Permitted(one.flow),
                Some(places) if places.name(server, operation) => return Choice::Permitted(one.flow),
                Some(_) => closest = closest.or(Some(one)),
            }
        }
        let Some(one) = closest else { return Choice::Nothing };
        if let Some(reach) = dialect::reach(server.unwrap_or(NO_ASSET), &operation.target) {
            let furthest = |address| naming().filter_map(|(_, permit)| permit.end_of(&reach, address)).max();
            if is_covered(&reach, furthest) {
                return Choice::Permitted(one.flow);
            }
        }
        if dialect::has_address(&operation.target) { Choice::Elsewhere(one) } else { Choice::Nothing }
    }

    /// The rule that locks operations of a class in a session, in any deciding flow.
    fn lock(&self, candidates: &[Candidate], class: Class, session: SessionState) -> Option<Rule> {
        self.deciding(candidates).find_map(|(_, rules)| rules.session.lock(class, session))
    }

    /// The verdict on encrypted content that no flow permits.
    fn judge_opaque(&self, first: &Candidate) -> Verdict {
        let reason = match self.declared.defaults.opaque_payload {
            Some(Consequence::Observe) => return Verdict::Observe,
            Some(Consequence::Violation) => Reason::Class(Class::Opaque),
            Some(Consequence::Report) | None => Reason::Plain,
        };
        Verdict::Deny(Denial { rule: Rule::FlowOpaque, flow: Some(first.flow), reason })
    }

    /// The entries of the deciding flows, without flows that are locked or whose conditions do not hold.
    fn permits<'r>(
        &self,
        candidates: &'r [Candidate],
        operation: &Operation<'_>,
        PermitContext { session, time }: PermitContext,
    ) -> impl Iterator<Item = (&'r Candidate, &Permit)> {
        let class = operation.class;
        let holds = move |flow| time.is_none_or(|time| self.denied_by_condition(flow, time).is_none());
        let open = self.deciding(candidates);
        let open = open.filter(move |(one, rules)| rules.session.lock(class, session).is_none() && holds(one.flow));
        open.flat_map(|(one, rules)| rules.permits.iter().map(move |permit| (one, permit)))
    }

    /// The candidates that decide about operations, with their rules.
    pub(super) fn deciding<'r>(
        &self,
        candidates: &'r [Candidate],
    ) -> impl Iterator<Item = (&'r Candidate, &FlowRules)> {
        let deciding = candidates.iter().filter(|one| one.decides());
        deciding.filter_map(|one| Some((one, self.compiled.flows.get(usize::from(one.flow))?)))
    }

    /// The verdict on the values of a write that a flow permits.
    fn judge_values(&self, flow: u16, asset: u16, operation: &Operation<'_>, last: &mut LastValues) -> Verdict {
        let permitted = Verdict::Permit { flow: Some(flow) };
        let Some(points) = self.compiled.limited.get(usize::from(asset)) else { return permitted };
        let values = operation.values;
        let violated = match operation.target {
            Target::Unread { .. } => points.first.map(|point| Reason::Unreadable { point }),
            target => match dialect::values_at(asset, &target) {
                Some(ValuesAt::Addresses(reach)) => limits::violated(points, reach, &values, last),
                // No value can be assigned to an address.
                Some(ValuesAt::Among(reach)) => limits::violated(points, reach, &Values::None, last),
                Some(ValuesAt::Node(node)) => limits::violated_at(points, node, &values, last),
                None => None,
            },
        };
        // A limit is always meant: `undeclared_operation` does not apply.
        if let Some(reason) = violated {
            return Verdict::Deny(Denial { rule: Rule::ValueOutOfLimits, flow: Some(flow), reason });
        }
        remember(points, asset, operation, last);
        permitted
    }

    /// Whether [`Policy::learn`] may change anything for an operation of a class.
    #[inline]
    pub fn learns(&self, flow_verdict: &FlowVerdict, class: Class) -> bool {
        let limited =
            |asset: u16| self.compiled.limited.get(usize::from(asset)).is_some_and(|points| !points.is_empty());
        match (class, flow_verdict.sole) {
            (Class::Read, Some(sole)) => sole.limited,
            _ if !flow_verdict.is_judged() => false,
            (Class::Read, None) => flow_verdict.server.asset.is_some_and(limited),
            (class, _) => class == Class::Security,
        }
    }

    /// Updates the state of a conversation after an accepted operation: the values of a read, for points that limit their step,
    /// and session passwords.
    pub fn learn(
        &self,
        flow_verdict: &FlowVerdict,
        operation: &Operation<'_>,
        last: &mut LastValues,
        session: &mut SessionState,
    ) {
        match operation.class {
            Class::Read => {}
            Class::Security => return dialect::DIALECTS.iter().for_each(|dialect| dialect.learn(operation, session)),
            _ => return,
        }
        let Some(asset) = flow_verdict.server.asset else { return };
        if let Some(points) = self.compiled.limited.get(usize::from(asset)) {
            remember(points, asset, operation, last);
        }
    }
}

/// Whether an operation belongs to every use of its protocol, so that no entry needs to name it.
fn is_of_every_flow(operation: &Operation<'_>) -> bool {
    matches!(operation.class, Class::Session | Class::Opaque) || dialect::opens_session(operation)
}

/// Stores the values of an operation, for points that limit their step.
fn remember(points: &LimitedPoints, asset: u16, operation: &Operation<'_>, last: &mut LastValues) {
    match dialect::values_at(asset, &operation.target) {
        Some(ValuesAt::Addresses(reach)) => limits::remember(points, reach, &operation.values, last),
        Some(ValuesAt::Node(node)) => limits::remember_at(points, node, &operation.values, last),
        Some(ValuesAt::Among(_)) | None => {}
    }
}

impl Payload<'_> {
    fn is_decoded(self) -> bool {
        matches!(self, Self::Protocol(name) if services::is_decoded(name))
    }

    fn fits(self, declared: &DeclaredProtocol) -> bool {
        match (self, declared) {
            (Self::Unknown, _) | (_, DeclaredProtocol::Any) => true,
            (Self::Protocol(seen), DeclaredProtocol::Named(name)) => seen == *name,
            // `tcp/443` does not include decoded protocols: only their names permit them.
            (Self::Protocol(seen), DeclaredProtocol::Carried(_)) => !services::is_decoded(seen),
            (Self::Unrecognised, DeclaredProtocol::Named(name)) => !services::is_decoded(name),
            (Self::Unrecognised, DeclaredProtocol::Carried(_)) => true,
        }
    }
}

/// What locks and conditions of a flow depend on: the session, and the time.
#[derive(Clone, Copy)]
struct PermitContext {
    session: SessionState,
    /// Time of the packet, nanoseconds since 1970-01-01 UTC; `None`: conditions are taken to hold.
    time: Option<i64>,
}

/// The result of a search for a permit.
enum Choice<'r> {
    /// An entry of this flow permits the operation.
    Permitted(u16),
    /// Entries permit the operation at other addresses.
    Elsewhere(&'r Candidate),
    /// No entry names the operation, or those that do name addresses and it has none.
    Nothing,
}
