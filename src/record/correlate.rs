//! The volume rule: the same violation is one alert with an exact count, in one order whatever the number of workers.
//!
//! An alert is published at once (revision 1), when its first outcome becomes known, then at most once per interval
//! while it changes, and when it closes. Each revision supersedes the one before it. `outcome` is that of the latest
//! occurrence whose outcome is known.
//!
//! Everything here runs on the packet clock. Whatever is due at a time earlier than an event is done before that event,
//! and whatever is due before the end of a block at the latest then: so nothing depends on where blocks end.

mod live_alert;
mod settings;

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use lockkeeper_protocols::{Outcome, RequestRef};

use super::calls::Calls;
use super::hosts::Hosts;
use super::key::Key;
use super::secured::Secured;
use super::sensor::{SensorAlert, SensorAlertContext, SensorAlerts};
use super::table::{LruTable, make_room};
use super::unread::UnreadShare;
use super::{Ending, Event, Fact, Finding, Kind, Rendered, Report, SortKey, mapping};
use crate::policy::Policy;
use live_alert::{LiveAlert, pending_request};

pub use settings::{Counters, Settings, Tally};

/// Puts the events of all workers into one order and makes alerts of them.
#[derive(Debug)]
pub struct Correlator {
    policy: Arc<Policy>,
    /// How many policies were in force before this one.
    generation: u32,
    settings: Settings,
    clock: i64,
    /// Running number of the packet behind the event that is being handled.
    packet: u64,
    /// How many alerts were opened.
    opened: u64,
    alerts: LruTable<AlertKey, LiveAlert>,
    /// Alerts with something unpublished, by when it is due and by opening.
    due: BTreeMap<(i64, u64), AlertKey>,
    pending: LruTable<PendingKey, (AlertKey, u64)>,
    /// Digests of published discoveries. Under a secret seed, two of 65,536 are alike once in some billion runs; the keys
    /// themselves would take five times the memory.
    discovered: LruTable<u64, ()>,
    digest: foldhash::quality::RandomState,
    secured: Secured,
    calls: Calls,
    hosts: Hosts,
    sensor_alerts: SensorAlerts,
    unread: UnreadShare,
    counters: Counters,
    tallies: BTreeMap<(&'static str, Option<u16>), Tally>,
    batch: Vec<(Rank, Event)>,
}

/// Identifies an open alert: the generation of the policy whose zones, conduits and flows the key names, and the key.
type AlertKey = (u32, Key);

/// Identifies an operation whose outcome is pending: conversation, request, and a number that tells apart the alerts behind
/// which the operation is.
type PendingKey = (u64, RequestRef, u8);

/// The order of events: by time, packet and rule; outcomes come after the findings of the same packet, because they may
/// belong to them.
type Rank = (i64, u64, u8, &'static str, u32);

/// Receives the revisions to publish.
type Out<'a> = &'a mut dyn FnMut(Rendered);

impl Correlator {
    /// Starts without any open alert.
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
            discovered: LruTable::default(),
            digest: foldhash::quality::RandomState::default(),
            secured,
            calls: Calls::new(),
            hosts,
            sensor_alerts: SensorAlerts::default(),
            unread,
            counters: Counters::default(),
            tallies: BTreeMap::new(),
            batch: Vec::new(),
        }
    }

    /// Takes the events of one block out of the reports of all workers. `clock` is the packet clock at the end of the block.
    pub fn take_block(&mut self, reports: &mut [Report], clock: i64, out: Out<'_>) {
        let mut batch = std::mem::take(&mut self.batch);
        for report in reports.iter_mut() {
            batch.extend(report.events.drain(..).map(|(order, event)| (rank(order, &event), event)));
        }
        // Stable, and fast on the sorted runs that the workers deliver.
        batch.sort_by_key(|(rank, _)| *rank);
        for (rank, event) in batch.drain(..) {
            self.advance(rank.0, out);
            self.packet = rank.1;
            self.handle_event(event, out);
        }
        self.batch = batch;
        self.advance(clock, out);
        self.handle_unread(reports, out);
        let context = SensorAlertContext { policy: &self.policy, settings: &self.settings, clock: self.clock };
        self.sensor_alerts.advance(&context, out);
    }

    /// Puts another policy in force. An alert that was opened under the one before stays under that one, so that it still
    /// gets its outcome and its last count; the same violation again is an alert under the new policy.
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

    /// Counts packets that were captured in a [window](super::window_of): the unread ones are a share of these. To be called
    /// before the reports on them are taken.
    pub fn add_packets(&mut self, window: i64, count: u64) {
        self.unread.add_packets(window, count);
    }

    /// Counts the unread packets of a block, and raises an alert when they are too many.
    fn handle_unread(&mut self, reports: &[Report], out: Out<'_>) {
        for (window, kind, count) in reports.iter().flat_map(|report| &report.unread) {
            self.unread.add_unread(*window, *kind, *count);
        }
        let mut raised = Vec::new();
        self.unread.advance(self.clock, &mut |alert| raised.push(alert));
        raised.into_iter().for_each(|alert| self.handle_sensor_alert(alert, out));
    }

    /// Counts and publishes an alert of the sensor about itself.
    pub fn handle_sensor_alert(&mut self, alert: SensorAlert, out: Out<'_>) {
        let tally = self.tallies.entry((alert.rule.id(), None)).or_default();
        let context = SensorAlertContext { policy: &self.policy, settings: &self.settings, clock: self.clock };
        let is_new = self.sensor_alerts.take(alert, &context, out);
        tally.alerts += u64::from(is_new);
        tally.occurrences += 1;
        self.counters.own += u64::from(is_new);
    }

    /// Ends the run: publishes the last revision of every alert that changed since its latest one.
    pub fn finish(&mut self, out: Out<'_>) {
        while self.hosts.due().is_some() {
            self.decide_host(out);
        }
        let mut raised = Vec::new();
        self.unread.finish(self.clock, &mut |alert| raised.push(alert));
        raised.into_iter().for_each(|alert| self.handle_sensor_alert(alert, out));
        self.due.clear();
        let rest = std::iter::from_fn(|| self.alerts.pop_front()).map(|(_, alert)| alert);
        let mut changed: Vec<LiveAlert> = rest.filter(LiveAlert::is_dirty).collect();
        changed.sort_by_key(|alert| alert.opened);
        for alert in &mut changed {
            self.publish(alert, out);
        }
        let context = SensorAlertContext { policy: &self.policy, settings: &self.settings, clock: self.clock };
        self.sensor_alerts.finish(&context, out);
    }

    /// What was done and given up so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How often each rule was violated, by rule and conduit (index for [`Policy::conduit_name`]), in that order.
    pub fn tallies(&self) -> impl Iterator<Item = (&'static str, Option<u16>, Tally)> + '_ {
        self.tallies.iter().map(|((rule, conduit), tally)| (*rule, *conduit, *tally))
    }

    /// Handles one event of a worker's report, in the order of [`Rank`].
    fn handle_event(&mut self, event: Event, out: Out<'_>) {
        match event {
            Event::Finding(finding) => self.handle_finding(finding, out),
            Event::Fact(base, fact) => self.handle_fact(base, fact, out),
            Event::Outcome { conversation, at, ending, is_last } => {
                self.handle_outcome((conversation, at), ending, is_last, out)
            }
        }
    }

    /// Compares a fact with earlier facts of other conversations, and handles the findings that follow.
    fn handle_fact(&mut self, base: Box<Finding>, fact: Fact, out: Out<'_>) {
        let finding = match fact {
            Fact::Call => {
                self.calls.add_call(&base, self.clock);
                None
            }
            Fact::Unasked { denial, by } => self.calls.handle_unasked(base, denial, by, self.clock),
            Fact::Asked(denial) => self.calls.handle_asked(base, denial),
            Fact::Sighting { claim } => {
                self.handle_sighting(&base, claim, out);
                None
            }
            Fact::Channel(_) | Fact::Certificate(..) | Fact::Application(..) => {
                for what in self.secured.record_fact(&self.policy, &base, fact) {
                    self.handle_finding(Box::new(Finding { what, ..(*base).clone() }), out);
                }
                self.counters.secured_forgotten = self.secured.forgotten;
                None
            }
        };
        if let Some(finding) = finding {
            self.handle_finding(finding, out);
        }
    }

    /// Compares the hardware and VLAN of a packet with the policy, and handles the findings that follow.
    fn handle_sighting(&mut self, base: &Finding, is_claim: bool, out: Out<'_>) {
        let mut found = Vec::new();
        self.hosts.handle_sighting(&self.policy, base, is_claim, self.clock, &mut |finding| found.push(finding));
        self.counters.hosts_forgotten = self.hosts.forgotten;
        found.into_iter().for_each(|finding| self.handle_finding(finding, out));
    }

    /// Decides the longest undecided doubt about a host.
    fn decide_host(&mut self, out: Out<'_>) {
        let mut found = Vec::new();
        self.hosts.decide(&self.policy, &mut |finding| found.push(finding));
        found.into_iter().for_each(|finding| self.handle_finding(finding, out));
    }

    /// Counts a finding, and adds it to the alert of its kind.
    fn handle_finding(&mut self, finding: Box<Finding>, out: Out<'_>) {
        self.counters.findings += 1;
        match mapping::kind(&finding.what) {
            Kind::Violation => self.handle_violation(finding, out),
            // No finding is about the sensor itself.
            Kind::Asset | Kind::Sensor => self.handle_discovery(finding, out),
        }
    }

    /// Adds an occurrence to the open alert with the finding's key, or opens that alert.
    fn handle_violation(&mut self, finding: Box<Finding>, out: Out<'_>) {
        let key = (self.generation, Key::of(&finding));
        self.count_occurrence(&finding, !self.alerts.contains_key(&key));
        let (clock, request) = (self.clock, pending_request(&finding));
        let conversation = finding.conversation;
        let opened = match self.alerts.to_back(&key) {
            Some(alert) => {
                alert.add_occurrence(finding.time, clock);
                alert.opened
            }
            None => self.open(key.clone(), finding, out),
        };
        if let Some(at) = request {
            self.add_pending(conversation, at, &key, opened);
        }
        self.publish_or_schedule(&key, out);
    }

    /// Opens an alert and publishes its first revision; returns its number.
    fn open(&mut self, key: AlertKey, finding: Box<Finding>, out: Out<'_>) -> u64 {
        while self.alerts.len() >= self.settings.live.max(1) {
            self.counters.closed_by_limit += 1;
            self.close_oldest(out);
        }
        self.counters.violations += 1;
        let alert = self.publish_first(finding, out);
        let opened = alert.opened;
        self.alerts.insert(key, alert);
        opened
    }

    /// Publishes a discovery, unless the same one was published before.
    fn handle_discovery(&mut self, finding: Box<Finding>, out: Out<'_>) {
        let key = self.digest.hash_one(Key::of(&finding));
        if self.discovered.to_back(&key).is_some() {
            return;
        }
        self.counters.discoveries_forgotten += make_room(&mut self.discovered, self.settings.discoveries.max(1));
        self.discovered.insert(key, ());
        self.count_occurrence(&finding, true);
        self.counters.discoveries += 1;
        self.publish_first(finding, out);
    }

    fn count_occurrence(&mut self, finding: &Finding, is_new: bool) {
        let tally = self.tallies.entry((mapping::rule_id(&finding.what), finding.flow_verdict.conduit)).or_default();
        tally.alerts += u64::from(is_new);
        tally.occurrences += 1;
    }

    /// Remembers which alert an outcome will belong to.
    fn add_pending(&mut self, conversation: u64, at: RequestRef, key: &AlertKey, opened: u64) {
        self.counters.pending_dropped += make_room(&mut self.pending, self.settings.pending.max(1));
        let free = (0..=u8::MAX).find(|number| !self.pending.contains_key(&(conversation, at, *number)));
        if let Some(number) = free {
            self.pending.insert((conversation, at, number), (key.clone(), opened));
        }
    }

    /// Sets the outcome of every open alert that waits for this request; `is_last`: no further outcome follows.
    fn handle_outcome(&mut self, (conversation, at): (u64, RequestRef), ending: Ending, is_last: bool, out: Out<'_>) {
        let is_known = ending.outcome != Outcome::Pending;
        self.counters.outcomes += u64::from(is_known && is_last);
        let mut matched = false;
        for number in 0..=u8::MAX {
            let key = (conversation, at, number);
            let found = if is_last { self.pending.remove(&key) } else { self.pending.get(&key).cloned() };
            let Some((key, opened)) = found else { break };
            matched |= is_known && self.set_outcome(&key, opened, ending, out);
        }
        self.counters.outcomes_unmatched += u64::from(is_known && is_last && !matched);
    }

    /// Sets the outcome of an alert; returns whether the alert is still open.
    fn set_outcome(&mut self, key: &AlertKey, opened: u64, ending: Ending, out: Out<'_>) -> bool {
        let Some(alert) = self.alerts.get_mut(key).filter(|alert| alert.opened == opened) else { return false };
        if alert.set_outcome(ending) {
            self.publish_update(key, out);
        } else {
            self.publish_or_schedule(key, out);
        }
        true
    }

    /// Publishes a change now if the interval allows it, and schedules it otherwise.
    fn publish_or_schedule(&mut self, key: &AlertKey, out: Out<'_>) {
        let Some(alert) = self.alerts.get_mut(key).filter(|alert| alert.is_dirty()) else { return };
        let due = alert.due(self.settings.interval);
        if due.0 <= self.clock {
            self.publish_update(key, out);
        } else {
            self.due.entry(due).or_insert_with(|| key.clone());
        }
    }

    /// Publishes a further revision of an open alert.
    fn publish_update(&mut self, key: &AlertKey, out: Out<'_>) {
        let Some(alert) = self.alerts.get_mut(key) else { return };
        self.due.remove(&alert.due(self.settings.interval));
        self.counters.updates += 1;
        out(alert.revise(&self.settings, self.clock));
    }

    /// Makes an alert of a finding and publishes its first revision.
    fn publish_first(&mut self, finding: Box<Finding>, out: Out<'_>) -> LiveAlert {
        let mut alert = LiveAlert::new(finding, Arc::clone(&self.policy), self.opened, self.clock);
        self.opened += 1;
        self.publish(&mut alert, out);
        alert
    }

    /// Publishes a revision of an alert that is not, or no longer, in the table.
    fn publish(&mut self, alert: &mut LiveAlert, out: Out<'_>) {
        let rendered = alert.revise(&self.settings, self.clock);
        self.counters.updates += u64::from(alert.revision > 1);
        let asks = self.settings.evidence_requests && alert.revision == 1;
        let evidence_request = asks.then(|| alert.evidence_request(self.packet));
        out(Rendered { evidence_request, ..rendered });
    }

    /// Moves the clock forward: does what is due before it, the earliest first.
    fn advance(&mut self, clock: i64, out: Out<'_>) {
        loop {
            let due = self.due.first_key_value().map(|((deadline, _), _)| *deadline);
            let closing = self.alerts.front().map(|(_, alert)| alert.clock.saturating_add(self.settings.close_after));
            if let Some(decision) = self.hosts.due()
                && decision < clock
                && [due, closing].into_iter().flatten().all(|other| decision <= other)
            {
                self.clock = self.clock.max(decision);
                self.decide_host(out);
                continue;
            }
            match (due, closing) {
                (Some(due), closing) if due < clock && closing.is_none_or(|closing| due <= closing) => {
                    self.clock = self.clock.max(due);
                    self.publish_earliest_due(out);
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

    fn publish_earliest_due(&mut self, out: Out<'_>) {
        if let Some((_, key)) = self.due.pop_first() {
            self.publish_update(&key, out);
        }
    }

    /// Closes the alert that was quiet longest.
    fn close_oldest(&mut self, out: Out<'_>) {
        let Some((_, mut alert)) = self.alerts.pop_front() else { return };
        self.due.remove(&alert.due(self.settings.interval));
        if alert.is_dirty() {
            self.publish(&mut alert, out);
        }
    }
}

/// The place of an event in the order of the run, whichever worker reported it.
const fn rank(order: SortKey, event: &Event) -> Rank {
    match event {
        Event::Finding(finding) => (order.clock, order.packet, 0, mapping::rule_id(&finding.what), order.sub),
        Event::Fact(_, Fact::Unasked { denial, .. }) => (order.clock, order.packet, 0, denial.rule.id(), order.sub),
        // Before the findings of the same packet: the findings that follow from it are ordered by what they are about.
        Event::Fact(..) => (order.clock, order.packet, 0, "", order.sub),
        Event::Outcome { .. } => (order.clock, order.packet, 1, "", order.sub),
    }
}

#[cfg(test)]
mod tests;
