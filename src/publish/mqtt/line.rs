//! What the two ends of a connection know of each other without waiting: counters, and the latest of two messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::window::Tally;
use crate::metrics::LatencySummary;

/// How a connection is, for whoever reports it, and what is said over it beside alerts. Cheap to clone; nothing waits.
#[derive(Clone, Debug)]
pub struct MqttLine(Arc<Line>);

/// A connection at one moment. Counters since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MqttReading {
    /// The broker answers.
    pub connected: bool,
    /// Why it does not, if it does not.
    pub reason: Option<String>,
    /// What keeps it from taking records although it answers: an acknowledgement that did not come, or a refusal for now.
    /// Over with the next record that it takes.
    #[serde(default)]
    pub stalled: Option<String>,
    /// How often it was connected.
    pub connections: u64,
    /// Records that wait for an acknowledgement.
    pub backlog: u64,
    /// Records that the broker acknowledged.
    pub delivered: u64,
    /// Records that the broker refused, or that are too large for it.
    pub refused: u64,
    /// Records that were dropped because the queue was full.
    pub dropped: u64,
    /// How often the broker refused a record for now, which was sent again later.
    #[serde(default)]
    pub retried: u64,
    /// How often a record was sent again because its acknowledgement did not come in time.
    #[serde(default)]
    pub overdue: u64,
    /// Acknowledgements of what was not sent, or was acknowledged before.
    #[serde(default)]
    pub unexpected: u64,
}

impl MqttLine {
    pub(super) const fn new(line: Arc<Line>) -> Self {
        Self(line)
    }

    /// How it is now. Each number is right by itself; together they may be a moment apart.
    pub fn read(&self) -> MqttReading {
        let line = &*self.0;
        MqttReading {
            connected: line.connected.load(Relaxed),
            reason: line.reason.borrow().clone(),
            stalled: line.stalled(),
            connections: line.connections.load(Relaxed),
            backlog: line.accepted.load(Relaxed).saturating_sub(line.settled.load(Relaxed)),
            delivered: line.delivered.load(Relaxed),
            refused: line.refused.load(Relaxed),
            dropped: line.dropped.load(Relaxed),
            retried: line.retried.load(Relaxed),
            overdue: line.overdue.load(Relaxed),
            unexpected: line.unexpected.load(Relaxed),
        }
    }

    /// From the packet to the acknowledgement of the first record that tells of it.
    pub fn latency(&self) -> LatencySummary {
        *self.0.latency.borrow()
    }

    /// What the retained topic `status` says from now on; the topic is told `offline` when the sensor leaves or is lost.
    pub fn status(&self, json: Vec<u8>) {
        self.0.status.send_replace(Some(json));
    }

    /// Publishes the counters, if the broker is there.
    pub fn metrics(&self, json: Vec<u8>) {
        self.0.metrics.send_replace(Some(json));
    }
}

/// What is shared with the connection's own thread.
#[derive(Debug)]
pub(super) struct Line {
    /// Bytes that may wait.
    room: u64,
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
    pub(super) status: watch::Sender<Option<Vec<u8>>>,
    pub(super) metrics: watch::Sender<Option<Vec<u8>>>,
}

/// The caller's side.
impl Line {
    pub(super) fn new(room: u64) -> Self {
        Self {
            room,
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

    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        let waiting = self.accepted_bytes.load(Relaxed).saturating_sub(self.settled_bytes.load(Relaxed));
        waiting.saturating_add(bytes) <= self.room
    }

    pub(super) fn accepted(&self, bytes: u64) {
        self.accepted.fetch_add(1, Relaxed);
        self.accepted_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    /// Records that were handed over in all, and those of them that were dropped.
    pub(super) fn given(&self) -> (u64, u64) {
        let dropped = self.dropped.load(Relaxed);
        (self.accepted.load(Relaxed) + dropped, dropped)
    }
}

/// The connection's side.
impl Line {
    pub(super) fn is_connected(&self) {
        self.connected.store(true, Relaxed);
        self.connections.fetch_add(1, Relaxed);
        self.reason.send_replace(None);
    }

    pub(super) fn is_broken(&self, reason: &str) {
        self.connected.store(false, Relaxed);
        self.reason.send_replace(Some(reason.to_owned()));
    }

    /// What keeps the broker from taking records although it answers; none: nothing any more.
    pub(super) fn is_stalled(&self, why: Option<&str>) {
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

    /// An acknowledgement came that nothing waits for.
    pub(super) fn unexpected(&self) {
        self.unexpected.fetch_add(1, Relaxed);
    }

    pub(super) fn has_settled(&self, tally: &Tally) {
        self.delivered.store(tally.delivered, Relaxed);
        self.refused.store(tally.refused, Relaxed);
        self.retried.store(tally.retried, Relaxed);
        self.overdue.store(tally.overdue, Relaxed);
        self.settled.store(tally.delivered + tally.refused, Relaxed);
        self.settled_bytes.store(tally.settled_bytes, Relaxed);
    }

    pub(super) fn took(&self, latency: LatencySummary) {
        self.latency.send_replace(latency);
    }
}
