//! State that the publisher, the connection's thread and the health report share: counters, and the latest of two messages.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tokio::sync::watch;

use super::settings::SINK;
use super::window::Tally;
use crate::metrics::LatencySummary;
use crate::publish::sink::{Sink, SinkHealth, SinkMonitor};

/// The shared state of one connection to a broker. No method waits.
#[derive(Debug)]
pub(super) struct Shared {
    /// Bytes of unacknowledged records, at most.
    capacity: u64,
    accepted: AtomicU64,
    accepted_bytes: AtomicU64,
    dropped: AtomicU64,
    delivered: AtomicU64,
    refused: AtomicU64,
    retried: AtomicU64,
    overdue: AtomicU64,
    unexpected: AtomicU64,
    settled: AtomicU64,
    settled_bytes: AtomicU64,
    connected: AtomicBool,
    connections: AtomicU64,
    reason: watch::Sender<Option<String>>,
    stalled: watch::Sender<Option<String>>,
    latency: watch::Sender<LatencySummary>,
    /// The payload for the retained topic `status`, once the health report has one. The broker publishes `offline` there
    /// when the sensor leaves or is lost.
    pub(super) status: watch::Sender<Option<Vec<u8>>>,
    /// The payload for the topic `metrics`.
    pub(super) metrics: watch::Sender<Option<Vec<u8>>>,
}

/// The health report's side.
impl SinkMonitor for Shared {
    fn sink(&self) -> &'static Sink {
        SINK
    }

    fn health(&self) -> SinkHealth {
        SinkHealth {
            connected: self.connected.load(Relaxed),
            reason: self.reason.borrow().clone(),
            stalled: self.stalled(),
            connections: self.connections.load(Relaxed),
            backlog: self.accepted.load(Relaxed).saturating_sub(self.settled.load(Relaxed)),
            delivered: self.delivered.load(Relaxed),
            refused: self.refused.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            retried: self.retried.load(Relaxed),
            overdue: self.overdue.load(Relaxed),
            unexpected: self.unexpected.load(Relaxed),
        }
    }

    fn latency(&self) -> LatencySummary {
        *self.latency.borrow()
    }

    fn announce(&self, state: &[u8]) {
        self.status.send_replace(Some(state.to_owned()));
    }

    fn publish_metrics(&self, metrics: &[u8]) {
        self.metrics.send_replace(Some(metrics.to_owned()));
    }
}

/// The publisher's side.
impl Shared {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            accepted: AtomicU64::new(0),
            accepted_bytes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            overdue: AtomicU64::new(0),
            unexpected: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            settled_bytes: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            reason: watch::Sender::new(Some("not connected yet".to_owned())),
            stalled: watch::Sender::new(None),
            latency: watch::Sender::new(LatencySummary::default()),
            status: watch::Sender::new(None),
            metrics: watch::Sender::new(None),
        }
    }

    /// Whether a record of this size fits beside those that are not settled.
    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        let waiting = self.accepted_bytes.load(Relaxed).saturating_sub(self.settled_bytes.load(Relaxed));
        waiting.saturating_add(bytes) <= self.capacity
    }

    pub(super) fn count_accepted(&self, bytes: u64) {
        self.accepted.fetch_add(1, Relaxed);
        self.accepted_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// Records given to the sink, dropped ones included, and the number dropped.
    pub(super) fn given(&self) -> (u64, u64) {
        let dropped = self.dropped.load(Relaxed);
        (self.accepted.load(Relaxed) + dropped, dropped)
    }
}

/// The connection's side.
impl Shared {
    pub(super) fn set_connected(&self) {
        self.connected.store(true, Relaxed);
        self.connections.fetch_add(1, Relaxed);
        self.reason.send_replace(None);
    }

    pub(super) fn set_disconnected(&self, reason: &str) {
        self.connected.store(false, Relaxed);
        self.reason.send_replace(Some(reason.to_owned()));
    }

    /// Sets why a broker that answers takes no records, or clears it. Logs the beginning.
    pub(super) fn set_stalled(&self, why: Option<&str>) {
        self.stalled.send_if_modified(|stalled| {
            let is_news = stalled.as_deref() != why;
            if let Some(why) = why.filter(|_| stalled.is_none()) {
                tracing::warn!("The MQTT broker takes no records: {why}");
            }
            if is_news {
                *stalled = why.map(str::to_owned);
            }
            is_news
        });
    }

    pub(super) fn stalled(&self) -> Option<String> {
        self.stalled.borrow().clone()
    }

    /// Counts an acknowledgement that matches no record in flight.
    pub(super) fn count_unexpected(&self) {
        self.unexpected.fetch_add(1, Relaxed);
    }

    pub(super) fn set_tally(&self, tally: &Tally) {
        self.delivered.store(tally.delivered, Relaxed);
        self.refused.store(tally.refused, Relaxed);
        self.retried.store(tally.retried, Relaxed);
        self.overdue.store(tally.overdue, Relaxed);
        self.settled.store(tally.delivered + tally.refused, Relaxed);
        self.settled_bytes.store(tally.settled_bytes, Relaxed);
    }

    pub(super) fn set_latency(&self, latency: LatencySummary) {
        self.latency.send_replace(latency);
    }
}
