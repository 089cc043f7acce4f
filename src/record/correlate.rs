//! The volume rule: the same violation is one alert whose count is exact, in one order whatever the number of workers.
//!
//! An alert is published at once (revision 1), when its first outcome becomes known, then at most once per interval
//! while it changes, and at its end. Each revision supersedes the one before it. `outcome` is that of the latest
//! occurrence whose outcome is known.
//!
//! Everything here runs on the packet clock. Whatever is due at a time earlier than an event is done before that event,
//! and whatever is due before the end of a block at the latest then: so nothing depends on where blocks end.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use lockkeeper_protocols::{Outcome, RequestRef};

use super::alert::Record;
use super::calls::Calls;
use super::hosts::Hosts;
use super::id::alert_id;
use super::key::Key;
use super::secured::Secured;
use super::sensor::{SensorAlert, SensorAlertContext, SensorAlerts};
use super::table::{LruTable, make_room};
use super::unread::UnreadShare;
use super::{About, AlertId, Ending, Event, Fact, Finding, Kind, Rendered, Report, SortKey, What, mapping, message};
use crate::policy::Policy;

/// What the correlator needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the sensor, in every record.
    pub sensor: String,
    /// Name of the site, in every record.
    pub site: String,
    /// Names of the captures, in the order of [`Evidence::capture`](super::Evidence::capture).
    pub captures: Vec<String>,
    /// Whether first revisions say [what they are about](Rendered::about).
    pub about: bool,
    /// Shortest time between two revisions of an alert, nanoseconds of packet clock.
    pub interval: i64,
    /// How long an alert lives without a new occurrence, nanoseconds of packet clock; the next occurrence opens a new
    /// one. Not less than `interval`.
    pub close_after: i64,
    /// Alerts that live at the same time. Beyond it the one that was quiet longest ends early. One costs about 1 KiB,
    /// at most 9 KiB ([`ALERT_BYTES`](super::ALERT_BYTES) of values, two names of [`NAME_BYTES`](super::NAME_BYTES)).
    pub live: usize,
    /// Denied operations whose outcome is waited for. Beyond it the oldest is no longer waited for. 400 bytes each, at
    /// most 1.5 KiB.
    pub pending: usize,
    /// Discoveries that are remembered so as not to be told twice. Beyond it the one that was not seen for longest is
    /// forgotten. 150 bytes each, plus the text of identities.
    pub discoveries: usize,
    /// Pairs of hosts whose best channel is remembered, certificates, and ends that showed one: so many of each. Beyond
    /// it the one that was not seen for longest is forgotten. At most 4 KiB each, commonly 500 bytes.
    pub secured: usize,
    /// Hardware addresses of which it is known what comes from them, and what of hosts was found not to be as declared: so
    /// many of each. Beyond it the one that was not seen for longest is forgotten. 250 bytes each.
    pub hosts: usize,
    /// Packets that were not read, in percent of all within ten seconds, above which that is told.
    pub unread_limit: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sensor: "lockkeeper".to_owned(),
            site: "default".to_owned(),
            captures: Vec::new(),
            about: false,
            interval: 60 * SECOND,
            close_after: 3600 * SECOND,
            live: 32_768,
            pending: 65_536,
            discoveries: 65_536,
            secured: 8192,
            hosts: 16_384,
            unread_limit: 1.0,
        }
    }
}

/// What the correlator did, and what it gave up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Findings received.
    pub findings: u64,
    /// Outcomes received, pending ones excluded.
    pub outcomes: u64,
    /// Alerts of kind violation that were opened.
    pub violations: u64,
    /// Alerts of kind asset.
    pub discoveries: u64,
    /// Alerts of kind sensor.
    pub own: u64,
    /// Revisions after the first.
    pub updates: u64,
    /// Alerts ended early because too many lived.
    pub closed_by_limit: u64,
    /// Outcomes whose alert was gone, or was never seen.
    pub outcomes_unmatched: u64,
    /// Outcomes no longer waited for because too many were.
    pub pending_dropped: u64,
    /// Discoveries forgotten because too many were remembered: they may be told again.
    pub discoveries_forgotten: u64,
    /// Channels and certificates forgotten because too many were remembered: a downgrade may go unseen.
    pub secured_forgotten: u64,
    /// Hosts forgotten because too many were remembered: who uses which address may be told again.
    pub hosts_forgotten: u64,
}

/// How often a rule was hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Alerts opened.
    pub alerts: u64,
    /// Occurrences in them.
    pub occurrences: u64,
}

/// Puts the events of all workers into one order and makes alerts of them.
#[derive(Debug)]
pub struct Correlator {
    policy: Arc<Policy>,
    /// How many policies there were before this one.
    generation: u32,
    settings: Settings,
    clock: i64,
    /// Running number of the packet behind the event that is being handled.
    packet: u64,
    opened: u64,
    alerts: LruTable<Filed, Live>,
    /// Alerts with something unpublished, by when it is due and by opening.
    due: BTreeMap<(i64, u64), Filed>,
    pending: LruTable<Waiting, (Filed, u64)>,
    /// Digests of what was told. Under a seed that nobody knows, two of 65,536 are alike once in some billion runs; the
    /// keys themselves would take five times the memory.
    seen: LruTable<u64, ()>,
    digest: foldhash::quality::RandomState,
    secured: Secured,
    calls: Calls,
    hosts: Hosts,
    owns: SensorAlerts,
    unread: UnreadShare,
    counters: Counters,
    tallies: BTreeMap<(&'static str, Option<u16>), Tally>,
    batch: Vec<(Rank, Event)>,
}

/// What an alert is filed under: its key, and the policy whose zones, conduits and flows the key names.
type Filed = (u32, Key);

/// Which operation's outcome is waited for. One operation can be behind several alerts: the last number tells them
/// apart.
type Waiting = (u64, RequestRef, u8);

/// Where an event stands: alerts are ordered by time, packet and rule, and outcomes come after the findings of the same
/// packet, because they may belong to them.
type Rank = (i64, u64, u8, &'static str, u32);

#[derive(Debug)]
struct Live {
    /// The policy that it was judged by.
    policy: Arc<Policy>,
    finding: Box<Finding>,
    id: AlertId,
    opened: u64,
    /// Packet clock of the latest occurrence.
    clock: i64,
    answered: bool,
    now: State,
    /// What the latest revision said, and the packet clock of its publication.
    published: State,
    published_at: i64,
    revision: u32,
}

/// What changes from revision to revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    count: u64,
    first_seen: i64,
    last_seen: i64,
    ending: Option<Ending>,
}

/// Who takes what is to be published.
type Out<'a> = &'a mut dyn FnMut(Rendered);

impl Correlator {
    /// Starts with nothing known.
    pub fn new(policy: Arc<Policy>, mut settings: Settings) -> Self {
        settings.close_after = settings.close_after.max(settings.interval);
        let (secured, hosts) = (Secured::new(settings.secured), Hosts::new(settings.hosts));
        let unread = UnreadShare::new(settings.unread_limit, &settings.captures);
        Self {
            policy,
            generation: 0,
            settings,
            clock: i64::MIN,
            packet: 0,
            opened: 0,
            alerts: LruTable::default(),
            due: BTreeMap::new(),
            pending: LruTable::default(),
            seen: LruTable::default(),
            digest: foldhash::quality::RandomState::default(),
            secured,
            calls: Calls::new(),
            hosts,
            owns: SensorAlerts::default(),
            unread,
            counters: Counters::default(),
            tallies: BTreeMap::new(),
            batch: Vec::new(),
        }
    }

    /// Takes the events out of what every worker made of one block. `clock` is the packet clock at the end of the block.
    pub fn block(&mut self, reports: &mut [Report], clock: i64, out: Out<'_>) {
        let mut batch = std::mem::take(&mut self.batch);
        for report in reports.iter_mut() {
            batch.extend(report.events.drain(..).map(|(order, event)| (rank(order, &event), event)));
        }
        // Stable, and fast on the sorted runs that the workers deliver.
        batch.sort_by_key(|(rank, _)| *rank);
        for (rank, event) in batch.drain(..) {
            self.advance(rank.0, out);
            self.packet = rank.1;
            self.event(event, out);
        }
        self.batch = batch;
        self.advance(clock, out);
        self.not_read(reports, out);
        let context = SensorAlertContext { policy: &self.policy, settings: &self.settings, clock: self.clock };
        self.owns.advance(&context, out);
    }

    /// From here on another policy is in force. An alert that was opened under the one before goes on under that one, so
    /// that it still gets its outcome and its last count; the same violation again is an alert under the new policy.
    pub fn adopt(&mut self, policy: Arc<Policy>) {
        let before = std::mem::replace(&mut self.policy, policy);
        self.generation += 1;
        self.hosts.forget();
        let tallies = std::mem::take(&mut self.tallies);
        for ((rule, conduit), tally) in tallies {
            let conduit = conduit.and_then(|conduit| self.policy.conduit_named(before.conduit_name(conduit)));
            let sum = self.tallies.entry((rule, conduit)).or_default();
            sum.alerts += tally.alerts;
            sum.occurrences += tally.occurrences;
        }
    }

    /// So many packets were captured in a [window](super::window_of): what is not read of them is a share of these. Comes
    /// before the reports on them.
    pub fn packets(&mut self, window: i64, count: u64) {
        self.unread.packets(window, count);
    }

    /// Takes what was not read of a block, and tells when it is too much.
    fn not_read(&mut self, reports: &[Report], out: Out<'_>) {
        for (window, kind, count) in reports.iter().flat_map(|report| &report.unread) {
            self.unread.unread(*window, *kind, *count);
        }
        let mut told = Vec::new();
        self.unread.advance(self.clock, &mut |own| told.push(own));
        told.into_iter().for_each(|own| self.own(own, out));
    }

    /// Takes something that the sensor tells about itself.
    pub fn own(&mut self, own: SensorAlert, out: Out<'_>) {
        let tally = self.tallies.entry((own.rule.id(), None)).or_default();
        let context = SensorAlertContext { policy: &self.policy, settings: &self.settings, clock: self.clock };
        let is_new = self.owns.take(own, &context, out);
        tally.alerts += u64::from(is_new);
        tally.occurrences += 1;
        self.counters.own += u64::from(is_new);
    }

    /// The end of the run: publishes the last revision of every alert that changed since its latest one.
    pub fn finish(&mut self, out: Out<'_>) {
        while self.hosts.due().is_some() {
            self.decide(out);
        }
        let mut told = Vec::new();
        self.unread.finish(self.clock, &mut |own| told.push(own));
        told.into_iter().for_each(|own| self.own(own, out));
        self.due.clear();
        let rest = std::iter::from_fn(|| self.alerts.pop_front()).map(|(_, live)| live);
        let mut changed: Vec<Live> = rest.filter(Live::is_dirty).collect();
        changed.sort_by_key(|live| live.opened);
        for live in &mut changed {
            self.publish(live, out);
        }
        let context = SensorAlertContext { policy: &self.policy, settings: &self.settings, clock: self.clock };
        self.owns.finish(&context, out);
    }

    /// What was done and given up so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How often each rule was hit, by rule and conduit (index for [`Policy::conduit_name`]), in that order.
    pub fn tallies(&self) -> impl Iterator<Item = (&'static str, Option<u16>, Tally)> + '_ {
        self.tallies.iter().map(|((rule, conduit), tally)| (*rule, *conduit, *tally))
    }

    fn event(&mut self, event: Event, out: Out<'_>) {
        match event {
            Event::Finding(finding) => self.finding(finding, out),
            Event::Fact(base, fact) => self.fact(base, fact, out),
            Event::Outcome { conversation, at, ending, is_last } => {
                self.outcome((conversation, at), ending, is_last, out)
            }
        }
    }

    /// What a fact comes to, beside those before it.
    fn fact(&mut self, base: Box<Finding>, fact: Fact, out: Out<'_>) {
        let told = match fact {
            Fact::Call => {
                self.calls.call(&base, self.clock);
                None
            }
            Fact::Unasked { denial, by } => self.calls.unasked(base, denial, by, self.clock),
            Fact::Asked(denial) => self.calls.asked(base, denial),
            Fact::Sighting { claim } => {
                self.sighted(&base, claim, out);
                None
            }
            Fact::Channel(_) | Fact::Certificate(..) | Fact::Application(..) => {
                for what in self.secured.findings(&self.policy, &base, fact) {
                    self.finding(Box::new(Finding { what, ..(*base).clone() }), out);
                }
                self.counters.secured_forgotten = self.secured.forgotten;
                None
            }
        };
        if let Some(finding) = told {
            self.finding(finding, out);
        }
    }

    /// A host was seen to send.
    fn sighted(&mut self, base: &Finding, claim: bool, out: Out<'_>) {
        let mut told = Vec::new();
        self.hosts.sighted(&self.policy, base, claim, self.clock, &mut |finding| told.push(finding));
        self.counters.hosts_forgotten = self.hosts.forgotten;
        told.into_iter().for_each(|finding| self.finding(finding, out));
    }

    /// Decides what about hosts has waited for longest.
    fn decide(&mut self, out: Out<'_>) {
        let mut told = Vec::new();
        self.hosts.decide(&self.policy, &mut |finding| told.push(finding));
        told.into_iter().for_each(|finding| self.finding(finding, out));
    }

    fn finding(&mut self, finding: Box<Finding>, out: Out<'_>) {
        self.counters.findings += 1;
        match mapping::kind(&finding.what) {
            Kind::Violation => self.violation(finding, out),
            // No finding is about the sensor itself.
            Kind::Asset | Kind::Sensor => self.discovery(finding, out),
        }
    }

    fn violation(&mut self, finding: Box<Finding>, out: Out<'_>) {
        let key = (self.generation, Key::of(&finding));
        self.tally(&finding, !self.alerts.contains_key(&key));
        let (clock, waiting) = (self.clock, waits_for_outcome(&finding));
        let conversation = finding.conversation;
        let opened = match self.alerts.to_back(&key) {
            Some(live) => {
                live.occurred(finding.time, clock);
                live.opened
            }
            None => self.open(key.clone(), finding, out),
        };
        if let Some(at) = waiting {
            self.wait(conversation, at, &key, opened);
        }
        self.changed(&key, out);
    }

    /// Opens an alert and publishes its first revision; returns its number.
    fn open(&mut self, key: Filed, finding: Box<Finding>, out: Out<'_>) -> u64 {
        while self.alerts.len() >= self.settings.live.max(1) {
            self.counters.closed_by_limit += 1;
            self.close_oldest(out);
        }
        let mut live = Live::new(finding, Arc::clone(&self.policy), self.opened, self.clock);
        self.opened += 1;
        self.counters.violations += 1;
        self.publish(&mut live, out);
        let opened = live.opened;
        self.alerts.insert(key, live);
        opened
    }

    fn discovery(&mut self, finding: Box<Finding>, out: Out<'_>) {
        let key = self.digest.hash_one(Key::of(&finding));
        if self.seen.to_back(&key).is_some() {
            return;
        }
        self.counters.discoveries_forgotten += make_room(&mut self.seen, self.settings.discoveries.max(1));
        self.seen.insert(key, ());
        self.tally(&finding, true);
        self.counters.discoveries += 1;
        let mut live = Live::new(finding, Arc::clone(&self.policy), self.opened, self.clock);
        self.opened += 1;
        self.publish(&mut live, out);
    }

    fn tally(&mut self, finding: &Finding, is_new: bool) {
        let tally = self.tallies.entry((mapping::rule_id(&finding.what), finding.flow_verdict.conduit)).or_default();
        tally.alerts += u64::from(is_new);
        tally.occurrences += 1;
    }

    /// Remembers which alert an outcome will belong to.
    fn wait(&mut self, conversation: u64, at: RequestRef, key: &Filed, opened: u64) {
        self.counters.pending_dropped += make_room(&mut self.pending, self.settings.pending.max(1));
        let free = (0..=u8::MAX).find(|number| !self.pending.contains_key(&(conversation, at, *number)));
        if let Some(number) = free {
            self.pending.insert((conversation, at, number), (key.clone(), opened));
        }
    }

    fn outcome(&mut self, (conversation, at): (u64, RequestRef), ending: Ending, is_last: bool, out: Out<'_>) {
        let known = ending.outcome != Outcome::Pending;
        self.counters.outcomes += u64::from(known && is_last);
        let mut matched = false;
        for number in 0..=u8::MAX {
            let waiting = (conversation, at, number);
            let found = if is_last { self.pending.remove(&waiting) } else { self.pending.get_mut(&waiting).cloned() };
            let Some((key, opened)) = found else { break };
            matched |= known && self.answer(&key, opened, ending, out);
        }
        self.counters.outcomes_unmatched += u64::from(known && is_last && !matched);
    }

    /// Gives an alert its outcome; whether it was still there.
    fn answer(&mut self, key: &Filed, opened: u64, ending: Ending, out: Out<'_>) -> bool {
        let Some(live) = self.alerts.get_mut(key).filter(|live| live.opened == opened) else { return false };
        live.now.ending = Some(ending);
        if std::mem::replace(&mut live.answered, true) {
            self.changed(key, out);
        } else {
            self.update(key, out);
        }
        true
    }

    /// Publishes a change now if the interval allows it, else sees to it that it will be.
    fn changed(&mut self, key: &Filed, out: Out<'_>) {
        let Some(live) = self.alerts.get_mut(key).filter(|live| live.is_dirty()) else { return };
        let due = live.due(self.settings.interval);
        if due.0 <= self.clock {
            self.update(key, out);
        } else {
            self.due.entry(due).or_insert_with(|| key.clone());
        }
    }

    /// Publishes a further revision.
    fn update(&mut self, key: &Filed, out: Out<'_>) {
        let Some(live) = self.alerts.get_mut(key) else { return };
        self.due.remove(&live.due(self.settings.interval));
        live.next_revision(self.clock);
        self.counters.updates += 1;
        out(render(&self.settings, live));
    }

    /// Publishes a revision of an alert that is not, or no longer, in the table.
    fn publish(&mut self, live: &mut Live, out: Out<'_>) {
        live.next_revision(self.clock);
        self.counters.updates += u64::from(live.revision > 1);
        let about = (self.settings.about && live.revision == 1).then(|| self.about(live));
        out(Rendered { about, ..render(&self.settings, live) });
    }

    fn about(&self, Live { policy, finding, .. }: &Live) -> Box<About> {
        let Finding { what, evidence, client, server, carrier, .. } = &**finding;
        Box::new(About {
            rule: mapping::rule_id(what),
            message: message::message(policy, finding),
            evidence: *evidence,
            known: self.packet,
            client: *client,
            server: *server,
            carrier: *carrier,
        })
    }

    /// Moves the clock: does what is due before it, the earliest first.
    fn advance(&mut self, clock: i64, out: Out<'_>) {
        loop {
            let due = self.due.first_key_value().map(|((deadline, _), _)| *deadline);
            let closing = self.alerts.front().map(|(_, live)| live.clock.saturating_add(self.settings.close_after));
            if let Some(decision) = self.hosts.due()
                && decision < clock
                && [due, closing].into_iter().flatten().all(|other| decision <= other)
            {
                self.clock = self.clock.max(decision);
                self.decide(out);
                continue;
            }
            match (due, closing) {
                (Some(due), closing) if due < clock && closing.is_none_or(|closing| due <= closing) => {
                    self.clock = self.clock.max(due);
                    self.fire(out);
                }
                (_, Some(closing)) if closing < clock => {
                    self.clock = self.clock.max(closing);
                    self.close_oldest(out);
                }
                _ => break,
            }
        }
        self.clock = self.clock.max(clock);
    }

    fn fire(&mut self, out: Out<'_>) {
        if let Some((_, key)) = self.due.pop_first() {
            self.update(&key, out);
        }
    }

    /// Ends the alert that was quiet longest.
    fn close_oldest(&mut self, out: Out<'_>) {
        let Some((_, mut live)) = self.alerts.pop_front() else { return };
        self.due.remove(&live.due(self.settings.interval));
        if live.is_dirty() {
            self.publish(&mut live, out);
        }
    }
}

impl Live {
    fn new(finding: Box<Finding>, policy: Arc<Policy>, opened: u64, clock: i64) -> Self {
        let ending = match finding.what {
            What::RequestUnseen(_) => Some(Outcome::Accepted.into()),
            _ => waits_for_outcome(&finding).map(|_| Outcome::Pending.into()),
        };
        let now = State { count: 1, first_seen: finding.time, last_seen: finding.time, ending };
        let id = alert_id(&policy.sha256, &finding);
        let (answered, published, published_at) = (false, now, clock);
        Self { policy, finding, id, opened, clock, answered, now, published, published_at, revision: 0 }
    }

    /// One more occurrence. Packet times may run backwards where the clock does not.
    fn occurred(&mut self, time: i64, clock: i64) {
        self.clock = clock;
        self.now.count += 1;
        self.now.first_seen = self.now.first_seen.min(time);
        self.now.last_seen = self.now.last_seen.max(time);
    }

    fn is_dirty(&self) -> bool {
        self.now != self.published
    }

    /// Its place among what is due, should it change.
    const fn due(&self, interval: i64) -> (i64, u64) {
        (self.published_at.saturating_add(interval), self.opened)
    }

    const fn next_revision(&mut self, clock: i64) {
        self.revision += 1;
        self.published = self.now;
        self.published_at = clock;
    }
}

/// The operation whose outcome an alert will show.
fn waits_for_outcome(finding: &Finding) -> Option<RequestRef> {
    finding.operation.as_ref().and(finding.at)
}

fn render(settings: &Settings, live: &Live) -> Rendered {
    let Live { policy, finding, id, revision, published: State { count, first_seen, last_seen, ending }, .. } = live;
    let (id, revision, ending) = (*id, *revision, *ending);
    let (count, first_seen, last_seen) = (*count, *first_seen, *last_seen);
    let record = Record { policy, settings, finding, id, revision, count, first_seen, last_seen, ending };
    let mut json = Vec::with_capacity(RECORD_BYTES);
    record.write(&mut json);
    let news = (revision == 1).then_some(finding.time);
    let (kind, rule) = (mapping::kind(&finding.what), mapping::rule_id(&finding.what));
    Rendered { kind, rule, severity: mapping::severity(finding), id, news, json, about: None }
}

const fn rank(order: SortKey, event: &Event) -> Rank {
    match event {
        Event::Finding(finding) => (order.clock, order.packet, 0, mapping::rule_id(&finding.what), order.sub),
        Event::Fact(_, Fact::Unasked { denial, .. }) => (order.clock, order.packet, 0, denial.rule.id(), order.sub),
        // Before the findings of the same packet: what it comes to is ordered by what it is about.
        Event::Fact(..) => (order.clock, order.packet, 0, "", order.sub),
        Event::Outcome { .. } => (order.clock, order.packet, 1, "", order.sub),
    }
}

const SECOND: i64 = 1_000_000_000;
/// Room for a common record.
const RECORD_BYTES: usize = 1536;

#[cfg(test)]
mod tests;
