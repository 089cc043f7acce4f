//! The verdicts: which conduit, which flow, which operation, which address, which value, in this order.

use std::sync::Arc;

use lockkeeper_protocols::{Class, Operation, Target, Values};

use super::addresses::{NO_ASSET, is_covered};
use super::classes::Classes;
use super::compile::{FlowRules, LimitedPoints, Permit};
use super::dialect::{self, ValuesAt};
use super::ends::{Ends, JudgedEnd};
use super::limits;
use super::membership::{Many, is_group, is_placeless};
use super::model::{Consequence, DeclaredProtocol, Flow};
use super::{
    Carrier, Denial, FlowTuple, FlowVerdict, Host, LastValues, Place, Policy, Reason, Rule, SessionState, Verdict,
    services,
};

/// How the zones of a flow relate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Relation {
    /// Neither end is in a zone.
    #[default]
    Unplaced,
    /// No policy could name an end: neither is in a zone, and one has an address that no network can place, or what is said
    /// goes to whoever is in reach, wherever that is.
    Stray,
    /// Only observed: inside a zone that is not judged inside, between zones whose traffic the policy wants observed, or
    /// housekeeping of the link.
    Observed,
    /// No conduit connects the two zones.
    Apart,
    /// A conduit connects them, or the zone is judged inside.
    Connected,
}

/// A declared flow between these two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Candidate {
    pub(super) flow: u16,
    /// Carrier and port are the declared ones.
    pub(super) fits: bool,
    /// Its declared protocol covers the one seen, and it permits some of its operations.
    pub(super) declares: bool,
}

impl Candidate {
    /// Whether it decides about operations.
    pub(super) const fn decides(self) -> bool {
        self.fits && self.declares
    }
}

/// The one flow whose entries decide about operations, and what else they need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Only {
    pub(super) flow: u16,
    /// The server, or [`NO_ASSET`].
    pub(super) asset: u16,
    /// The server has points that limit values.
    pub(super) limited: bool,
}

impl Only {
    /// Whether the values of an operation may break a limit.
    fn restricts(&self, operation: &Operation<'_>) -> bool {
        self.limited && operation.class == Class::Write
    }
}

/// What a flow turned out to carry.
#[derive(Clone, Copy)]
enum Seen<'a> {
    /// Nothing is known: carrier and port decide.
    Nothing,
    /// This protocol.
    Protocol(&'a str),
    /// Payload that is none of the decoded protocols.
    Unrecognised,
}

impl Policy {
    /// FlowTuple-local housekeeping, which is inventoried and not judged: ARP, neighbour discovery, IGMP, MLD, spanning
    /// tree, LLDP, and the supervision frames of redundancy protocols.
    pub fn is_housekeeping(&self, tuple: &FlowTuple) -> bool {
        let local = |host: &Host| host.ip.is_some_and(|ip| is_group(ip) || is_placeless(ip));
        match tuple.transport {
            // Beside spanning tree and its like, old protocols for two hosts go without an EtherType.
            Carrier::Ethernet(0) => [&tuple.client, &tuple.server].into_iter().any(is_l2_group),
            Carrier::Ethernet(kind) => HOUSEKEEPING.contains(&kind),
            Carrier::Ip(IGMP) => true,
            Carrier::Ip(ICMP_V6) => local(&tuple.client) || local(&tuple.server),
            Carrier::Tcp | Carrier::Udp | Carrier::Ip(_) => false,
        }
    }

    /// Takes the verdicts that depend on the flow alone. `protocol` is the protocol that the dissector found, none while it
    /// is not known: operations are judged by the flows that declare it. Called once a flow, and again when its protocol
    /// becomes known or its roles change.
    pub fn flow_verdict(&self, tuple: &FlowTuple, protocol: Option<&str>) -> FlowVerdict {
        let (client, server) = (self.compiled.members.place(&tuple.client), self.compiled.members.place(&tuple.server));
        let mut flow_verdict = FlowVerdict::new(client.place, server.place, None);
        let ends = Ends::new(tuple, client, server, &self.compiled.members);
        flow_verdict.to_all = ends.to_all;
        flow_verdict.strangers = [(client, ends.to_all[0]), (server, ends.to_all[1])]
            .map(|(spot, to_all)| !to_all && spot.many != Many::Directed && self.is_unknown_asset(spot.place));
        let (Some(from), Some(to)) = (ends.client.place.zone, ends.server.place.zone) else {
            let is_placed = ends.client.place.zone.or(ends.server.place.zone).is_some();
            flow_verdict.relation = match self.is_housekeeping(tuple) {
                true if is_placed => Relation::Observed,
                false if is_placed => self.apart(),
                false if ends.have_placeless() => Relation::Stray,
                _ => Relation::Unplaced,
            };
            return flow_verdict;
        };
        let judged = from != to || self.declared.defaults.intra_zone_declared;
        if judged && !self.is_housekeeping(tuple) {
            self.find_flows(&ends, protocol, (from, to), &mut flow_verdict);
        } else {
            // Its zone is that of the sender, for want of another: an operation reaches the hosts of all that share the link.
            let is_for_all = server.place.zone.is_none() && tuple.server.ip.is_some_and(is_group);
            flow_verdict.relation = if is_for_all && protocol.is_some() { Relation::Stray } else { Relation::Observed };
        }
        flow_verdict
    }

    /// Finds the conduits between two zones, and the flows in them that name the two hosts.
    fn find_flows(
        &self,
        ends: &Ends<'_>,
        protocol: Option<&str>,
        (from, to): (u16, u16),
        flow_verdict: &mut FlowVerdict,
    ) {
        let connecting = || {
            let conduits = (0u16..).zip(&self.declared.conduits);
            conduits
                .filter(|(_, conduit)| conduit.zones.contains(&from) && conduit.zones.contains(&to))
                .map(|(at, _)| at)
        };
        let Some(first) = connecting().next() else {
            flow_verdict.relation = if from == to { Relation::Connected } else { self.apart() };
            return;
        };
        flow_verdict.relation = Relation::Connected;
        let flows = |client, server| connecting().flat_map(move |conduit| self.flows_between(conduit, client, server));
        let matching = flows(ends.client, ends.server).filter(|(_, flow)| ends.match_flow(flow)).map(|(at, flow)| {
            let fits = flow.ports.admit((ends.tuple.transport, ends.tuple.server_port));
            let declares = !flow.allow.is_empty() && flow.protocol.covers(protocol);
            Candidate { flow: at, fits, declares }
        });
        let candidates: Vec<Candidate> = matching.collect();
        flow_verdict.reverse = if candidates.is_empty() {
            flows(ends.server, ends.client).find(|(_, flow)| ends.match_reversed(flow)).map(|(at, _)| at)
        } else {
            None
        };
        let mut deciding = candidates.iter().filter(|one| one.decides());
        let only = deciding.next().filter(|_| deciding.next().is_none()).filter(|one| !self.has_conditions(one.flow));
        flow_verdict.only = only.map(|one| self.only(one.flow, flow_verdict.server.asset));
        let closest = candidates.iter().find(|one| one.fits).or(candidates.first()).map(|one| one.flow);
        let closest = closest.or(flow_verdict.reverse).and_then(|flow| self.flow(flow));
        // A conduit leads from zone to zone: traffic inside one crosses it only where one of its flows says so.
        flow_verdict.conduit = closest.map(|flow| flow.conduit).or((from != to).then_some(first));
        flow_verdict.candidates = Some(Arc::from(candidates));
    }

    /// How zones relate that no conduit connects.
    fn apart(&self) -> Relation {
        match self.declared.defaults.undeclared_conduit {
            Consequence::Observe => Relation::Observed,
            _ => Relation::Apart,
        }
    }

    fn only(&self, flow: u16, asset: Option<u16>) -> Only {
        let points = asset.and_then(|asset| self.compiled.limited.get(usize::from(asset)));
        let limited = points.is_some_and(|points| !points.is_empty());
        Only { flow, asset: asset.unwrap_or(NO_ASSET), limited }
    }

    /// The flows of a conduit that may name these two ends, in the order of the policy.
    fn flows_between(&self, conduit: u16, client: JudgedEnd, server: JudgedEnd) -> impl Iterator<Item = (u16, &Flow)> {
        let index = self.compiled.flows_of.get(usize::from(conduit));
        let flows = index.map(|index| index.between(client.parties(), server.parties())).unwrap_or_default();
        flows.into_iter().filter_map(|at| Some((at, self.flow(at)?)))
    }

    pub(super) fn flow(&self, flow: u16) -> Option<&Flow> {
        self.declared.flows.get(usize::from(flow))
    }

    /// The verdict on a flow as such. `protocol` is the name that the dissector gave it, none when nothing is known of
    /// its payload: then the server's port and the carrier decide (`tcp/443`, well-known names). `time` is that of the
    /// packet, nanoseconds since 1970-01-01 UTC.
    pub fn judge_flow(&self, flow_verdict: &FlowVerdict, protocol: Option<&str>, time: i64) -> Verdict {
        self.judge_seen(flow_verdict, protocol.map_or(Seen::Nothing, Seen::Protocol), time)
    }

    /// The verdict on a flow whose payload was seen and is none of the decoded protocols: a flow that declares a decoded
    /// protocol does not permit it, whatever its port.
    pub fn judge_unrecognised(&self, flow_verdict: &FlowVerdict, time: i64) -> Verdict {
        self.judge_seen(flow_verdict, Seen::Unrecognised, time)
    }

    fn judge_seen(&self, flow_verdict: &FlowVerdict, seen: Seen<'_>, time: i64) -> Verdict {
        // Every host calls into its network for names and addresses: that is no conversation with anybody.
        if flow_verdict.to_all.contains(&true) && !seen.is_decoded() {
            return Verdict::Observe;
        }
        let candidates = match self.standing(flow_verdict) {
            Ok(candidates) => candidates,
            Err(verdict) => return verdict,
        };
        let permits = |one: &&Candidate| one.fits && self.flow(one.flow).is_some_and(|flow| seen.fits(&flow.protocol));
        self.permit_in_condition(candidates.iter().filter(permits), time)
            .unwrap_or_else(|| self.deny(Rule::FlowUndeclaredProtocol, candidates.first(), Reason::Plain))
    }

    /// The flows that name these hosts, or the verdict where none does.
    pub(super) fn standing<'r>(&self, flow_verdict: &'r FlowVerdict) -> Result<&'r [Candidate], Verdict> {
        let candidates = flow_verdict.candidates.as_deref().unwrap_or_default();
        match flow_verdict.relation {
            Relation::Unplaced | Relation::Stray => Err(Verdict::NotJudged),
            Relation::Observed => Err(Verdict::Observe),
            Relation::Apart => {
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

    /// What a conduit's flows do not permit: a denial, unless the policy wants it only observed.
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
        if let Some(only) = self.permitted_by(flow_verdict, operation) {
            return if only.restricts(operation) {
                self.judge_values(only.flow, only.asset, operation, last)
            } else {
                Verdict::Permit { flow: Some(only.flow) }
            };
        }
        self.judge_fully(flow_verdict, operation, last, session, time)
    }

    /// Whether an operation is certainly permitted or only observed, whatever happened before: the short cut for nearly every
    /// one. What this does not permit [`Policy::judge`] may permit still.
    #[inline]
    pub fn permits_plainly(&self, flow_verdict: &FlowVerdict, operation: &Operation<'_>) -> bool {
        let Some(only) = flow_verdict.only else { return !flow_verdict.is_judged() };
        !only.restricts(operation) && self.permitted_by(flow_verdict, operation).is_some()
    }

    /// The only flow that decides about the operations of a conversation, if it plainly permits this one.
    fn permitted_by(&self, flow_verdict: &FlowVerdict, operation: &Operation<'_>) -> Option<Only> {
        let only = flow_verdict.only?;
        let rules = self.compiled.flows.get(usize::from(only.flow))?;
        rules.permit_plainly(only.asset, operation).then_some(only)
    }

    /// The verdict where several flows, functions or ranges have to be looked at, or nothing is permitted.
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
        let candidates = match self.standing(flow_verdict) {
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
        let mut chosen = self.choose(candidates, server, operation, When { session, time: Some(time) });
        if !matches!(chosen, Choice::Permitted(_))
            && let Some(rule) = self.lock(candidates, operation.class, session)
        {
            // An operation that only the lock keeps from being permitted violates the lock's rule. Session options are written
            // on purpose: they hold whatever `undeclared_operation` says.
            chosen =
                self.choose(candidates, server, operation, When { session: SessionState::UNLOCKED, time: Some(time) });
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
            // A flow that permits anything of a protocol permits its session.
            Choice::Nothing if operation.class == Class::Session || dialect::opens_session(operation) => {
                let deciding = candidates.iter().filter(|one| one.decides());
                self.permit_in_condition(deciding, time).unwrap_or(Verdict::Permit { flow: Some(first.flow) })
            }
            Choice::Nothing if operation.class == Class::Opaque => self.judge_opaque(first),
            Choice::Nothing => self.deny(Rule::OperationUndeclared, Some(first), Reason::Class(operation.class)),
        }
    }

    /// The denial of an operation that a flow permits at other times only: what is permitted but for a condition is denied
    /// for that, the rest for what it is.
    fn judge_conditions(
        &self,
        candidates: &[Candidate],
        server: Option<u16>,
        operation: &Operation<'_>,
        time: i64,
    ) -> Option<Verdict> {
        let deciding = || candidates.iter().filter(|one| one.decides());
        let first = deciding().find_map(|one| self.denied_by_condition(one.flow, time))?;
        match self.choose(candidates, server, operation, When { session: SessionState::UNLOCKED, time: None }) {
            Choice::Permitted(flow) => Some(self.denied_by_condition(flow, time).unwrap_or(first)),
            Choice::Nothing if is_of_every_flow(operation) => {
                self.permit_in_condition(deciding(), time).filter(|verdict| matches!(verdict, Verdict::Deny(_)))
            }
            Choice::Elsewhere(_) | Choice::Nothing => None,
        }
    }

    /// The denial of an operation about which no flow decides, in a conversation that is itself denied: for what it is where
    /// the flows that declare its protocol at other ports do not permit its class either.
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

    /// Whether an operation between hosts that cannot be placed is told: one that may change something, in a policy that wants
    /// to know of what crosses no conduit.
    fn judges_strays(&self, operation: &Operation<'_>) -> bool {
        let is_told = self.declared.defaults.undeclared_conduit == Consequence::Violation;
        is_told && self.judges() && !Classes::HARMLESS.contains(operation.class)
    }

    /// What the entries of all deciding flows say about an operation.
    fn choose<'r>(
        &self,
        candidates: &'r [Candidate],
        server: Option<u16>,
        operation: &Operation<'_>,
        when: When,
    ) -> Choice<'r> {
        let naming = || self.permits(candidates, operation, when).filter(|(_, permit)| permit.names(operation));
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

    /// The rule that keeps operations of a class locked in a session, in any flow that decides.
    fn lock(&self, candidates: &[Candidate], class: Class, session: SessionState) -> Option<Rule> {
        self.deciding(candidates).find_map(|(_, rules)| rules.session.lock(class, session))
    }

    /// The verdict on content that cannot be seen, where no flow permits that.
    fn judge_opaque(&self, first: &Candidate) -> Verdict {
        let reason = match self.declared.defaults.opaque_payload {
            Some(Consequence::Observe) => return Verdict::Observe,
            Some(Consequence::Violation) => Reason::Class(Class::Opaque),
            Some(Consequence::Report) | None => Reason::Plain,
        };
        Verdict::Deny(Denial { rule: Rule::FlowOpaque, flow: Some(first.flow), reason })
    }

    /// The entries of the deciding flows, but for those that wait for a password and those whose conditions do not hold.
    fn permits<'r>(
        &self,
        candidates: &'r [Candidate],
        operation: &Operation<'_>,
        When { session, time }: When,
    ) -> impl Iterator<Item = (&'r Candidate, &Permit)> {
        let class = operation.class;
        let holds = move |flow| time.is_none_or(|time| self.denied_by_condition(flow, time).is_none());
        let open = self.deciding(candidates);
        let open = open.filter(move |(one, rules)| rules.session.lock(class, session).is_none() && holds(one.flow));
        open.flat_map(|(one, rules)| rules.permits.iter().map(move |permit| (one, permit)))
    }

    /// The flows that decide about the operations of a conversation, with what they permit.
    pub(super) fn deciding<'r>(
        &self,
        candidates: &'r [Candidate],
    ) -> impl Iterator<Item = (&'r Candidate, &FlowRules)> {
        let deciding = candidates.iter().filter(|one| one.decides());
        deciding.filter_map(|one| Some((one, self.compiled.flows.get(usize::from(one.flow))?)))
    }

    /// The verdict on a write that a flow permits, as far as its values go.
    fn judge_values(&self, flow: u16, asset: u16, operation: &Operation<'_>, last: &mut LastValues) -> Verdict {
        let permitted = Verdict::Permit { flow: Some(flow) };
        let Some(points) = self.compiled.limited.get(usize::from(asset)) else { return permitted };
        let values = operation.values;
        let violated = match operation.target {
            Target::Unread { .. } => points.first.map(|point| Reason::Unreadable { point }),
            target => match dialect::values_at(asset, &target) {
                Some(ValuesAt::Addresses(reach)) => limits::violated(points, reach, &values, last),
                // Which of the addresses has which value cannot be known: no value can be read.
                Some(ValuesAt::Among(reach)) => limits::violated(points, reach, &Values::None, last),
                Some(ValuesAt::Node(node)) => limits::violated_at(points, node, &values, last),
                None => None,
            },
        };
        // A limit is written down on purpose: it holds whatever `undeclared_operation` says.
        if let Some(reason) = violated {
            return Verdict::Deny(Denial { rule: Rule::ValueOutOfLimits, flow: Some(flow), reason });
        }
        remember(points, asset, operation, last);
        permitted
    }

    /// Whether [`Policy::learn`] has anything to learn from operations of a class.
    #[inline]
    pub fn learns(&self, flow_verdict: &FlowVerdict, class: Class) -> bool {
        let limited =
            |asset: u16| self.compiled.limited.get(usize::from(asset)).is_some_and(|points| !points.is_empty());
        match (class, flow_verdict.only) {
            (Class::Read, Some(only)) => only.limited,
            _ if !flow_verdict.is_judged() => false,
            (Class::Read, None) => flow_verdict.server.asset.is_some_and(limited),
            (class, _) => class == Class::Security,
        }
    }

    /// What the server accepted: the values that a read answered, for points that limit their step, and passwords.
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

    /// Whether a host is unknown in a zone that declares its assets. For verdicts use [`Policy::unknown_sides`], which
    /// also knows that a broadcast address is no host.
    pub fn is_unknown_asset(&self, place: Place) -> bool {
        let declares = |zone: u16| self.compiled.declares_assets.get(usize::from(zone)).copied().unwrap_or(false);
        let violation = self.declared.defaults.unknown_asset == Consequence::Violation;
        violation && place.asset.is_none() && place.zone.is_some_and(declares)
    }
}

/// Whether an operation belongs to any use of its protocol, so that no entry has to name it.
fn is_of_every_flow(operation: &Operation<'_>) -> bool {
    matches!(operation.class, Class::Session | Class::Opaque) || dialect::opens_session(operation)
}

/// Keeps what an operation says about the values of points that limit their step.
fn remember(points: &LimitedPoints, asset: u16, operation: &Operation<'_>, last: &mut LastValues) {
    match dialect::values_at(asset, &operation.target) {
        Some(ValuesAt::Addresses(reach)) => limits::remember(points, reach, &operation.values, last),
        Some(ValuesAt::Node(node)) => limits::remember_at(points, node, &operation.values, last),
        Some(ValuesAt::Among(_)) | None => {}
    }
}

impl Seen<'_> {
    fn is_decoded(self) -> bool {
        matches!(self, Self::Protocol(name) if services::is_decoded(name))
    }

    fn fits(self, declared: &DeclaredProtocol) -> bool {
        match (self, declared) {
            (Self::Nothing, _) | (_, DeclaredProtocol::Any) => true,
            (Self::Protocol(seen), DeclaredProtocol::Named(name)) => seen == *name,
            // A decoded protocol is permitted only by its name: `tcp/443` means what is not decoded.
            (Self::Protocol(seen), DeclaredProtocol::Carried(_)) => !services::is_decoded(seen),
            (Self::Unrecognised, DeclaredProtocol::Named(name)) => !services::is_decoded(name),
            (Self::Unrecognised, DeclaredProtocol::Carried(_)) => true,
        }
    }
}

/// The circumstances of an operation on which it depends whether an entry counts.
#[derive(Clone, Copy)]
struct When {
    session: SessionState,
    /// Time of the packet, nanoseconds since 1970-01-01 UTC; none to ask as if every condition held.
    time: Option<i64>,
}

/// What the entries that name an operation say about its address.
enum Choice<'r> {
    /// It lies where they permit it: the flow that does.
    Permitted(u16),
    /// They permit it elsewhere.
    Elsewhere(&'r Candidate),
    /// No entry names it, or those that do speak of addresses and it has none.
    Nothing,
}

/// IP protocol numbers (IANA Assigned Internet Protocol Numbers).
const IGMP: u8 = 2;
const ICMP_V6: u8 = 58;

/// EtherTypes of housekeeping: ARP, reverse ARP, EAPOL, slow protocols (LACP), LLDP, PRP and HSR supervision, HSR, MRP, PTP,
/// connectivity fault management, loopback (IEEE 802 Numbers).
const HOUSEKEEPING: [u16; 11] =
    [0x0806, 0x8035, 0x888E, 0x8809, 0x88CC, 0x88FB, 0x892F, 0x88E3, 0x88F7, 0x8902, 0x9000];

/// Whether a hardware address stands for many hosts.
fn is_l2_group(host: &Host) -> bool {
    host.mac.is_some_and(|[first, ..]| first & 1 == 1)
}
