//! Alerts to an MQTT broker: QoS 1, acknowledged one by one, each delivered at least once.
//!
//! ```text
//!  caller == bounded queue ==> driver: window of unacknowledged records --> client --> broker
//!                                      <------------- acknowledgements --------------
//! ```
//!
//! The library encodes and decodes packets. The connection, the window and the timeouts are our own, because the library
//! ends the connection at an unexpected acknowledgement, and drops unacknowledged records when it reconnects. Every
//! connection is a clean session that starts with the first record that the broker has not acknowledged. A receiver may
//! see a record twice, with the same `id` and `revision`; it never misses one that was reported as delivered.
//!
//! A record is sent until the broker takes it or refuses it permanently. After a temporary refusal (a quota), it is sent again
//! after a pause; without an acknowledgement in time, on another connection.
//!
//! There are two modes. A replay [connects](Mqtt::connect), waits for the broker, and gives it up when nothing is
//! acknowledged for a while. A sensor [starts](Mqtt::start) without waiting, retries for as long as it runs, keeps what
//! fits its queue, and counts what it drops. Its health report reads [`Shared`], and publishes the topics `status` and
//! `metrics` through it.

mod backoff;
mod connection;
mod driver;
mod packets;
mod reason;
mod session;
mod settings;
mod shared;
mod url;
mod window;

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use self::driver::{Driver, Ending};
pub(super) use self::settings::SINK;
use self::settings::Settings;
use self::shared::Shared;
use self::window::Record;
use super::sink::SinkMonitor;
use super::topic::Topics;
use super::{Delivered, PublishError, Publisher};
use crate::record::Rendered;

/// A connection to a broker, on a thread of its own.
struct Mqtt {
    broker: String,
    topics: Topics,
    shared: Arc<Shared>,
    live: bool,
    /// `None` once finished.
    queue: Option<mpsc::Sender<Record>>,
    /// Dropped to announce that no further record comes.
    open: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Ending>>,
    /// Records that were neither delivered nor dropped before the end.
    given_up: u64,
}

impl Mqtt {
    /// Connects, announces the sensor, and returns when the broker has answered. Makes one attempt: an unreachable broker
    /// is an error within [`Settings::connect_timeout`]. Neither this nor any other method may be called on an async
    /// runtime.
    fn connect(settings: Settings) -> Result<Self, PublishError> {
        let (connecting, connected) = Self::spawn(settings)?;
        match connected.blocking_recv() {
            Ok(Ok(())) => Ok(connecting),
            Ok(Err(reason)) => Err(connecting.failed(reason)),
            Err(_) => Err(connecting.failed(STOPPED.to_owned())),
        }
    }

    /// Starts to connect, and retries for as long as the sensor runs. Publishing never waits: a record that does not fit
    /// the queue is dropped and counted.
    fn start(settings: Settings) -> Result<Self, PublishError> {
        Self::spawn(Settings { live: true, ..settings }).map(|(mqtt, _connected)| mqtt)
    }

    fn spawn(settings: Settings) -> Result<(Self, oneshot::Receiver<Result<(), String>>), PublishError> {
        let (queue, inbox) = mpsc::channel(settings.queue.max(1));
        let (open, closing) = oneshot::channel();
        let shared = Arc::new(Shared::new(settings.queue_bytes));
        let mut mqtt = Self {
            broker: settings.broker.to_string(),
            topics: settings.topics.clone(),
            shared: Arc::clone(&shared),
            live: settings.live,
            queue: Some(queue),
            open: Some(open),
            thread: None,
            given_up: 0,
        };
        let (ready, connected) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| mqtt.failed(format!("cannot start the client: {error}")))?;
        let thread = std::thread::Builder::new().name("mqtt".to_owned()).spawn(move || {
            let ending = runtime.block_on(Driver::new(settings, inbox, closing, shared).run(ready));
            // Does not wait for a name that is still being resolved.
            runtime.shutdown_background();
            ending
        });
        mqtt.thread = Some(thread.map_err(|error| mqtt.failed(format!("cannot start the client: {error}")))?);
        Ok((mqtt, connected))
    }

    fn failed(&self, reason: String) -> PublishError {
        PublishError::Unreachable { receiver: SINK.title, address: self.broker.clone(), reason }
    }

    /// Records that were dropped or permanently refused.
    fn dropped_or_refused(&self) -> u64 {
        let health = self.shared.health();
        health.dropped + health.refused
    }

    /// Queues a record if it fits, and drops it otherwise.
    fn queue_or_drop(&self, record: Record) {
        let size = record.size();
        let fits = self.shared.has_room_for(size);
        if fits && self.queue.as_ref().is_some_and(|queue| queue.try_send(record).is_ok()) {
            self.shared.count_accepted(size);
        } else {
            self.shared.count_dropped();
        }
    }

    /// Queues a record, and waits while the queue is full.
    fn queue_or_wait(&mut self, record: Record) {
        self.shared.count_accepted(record.size());
        if self.queue.as_ref().is_some_and(|queue| queue.blocking_send(record).is_err()) {
            self.queue = None;
        }
    }
}

impl Publisher for Mqtt {
    /// A replay waits while the queue is full. Once the broker is given up, it returns at once and the record counts as
    /// undelivered, which [`Publisher::finish`] reports. A sensor never waits.
    fn publish(&mut self, alert: &Rendered) -> Result<(), PublishError> {
        let topic = self.topics.alert(alert.kind, alert.severity);
        let record = Record { topic, payload: alert.json.clone(), latency_start: alert.latency_start };
        if self.live {
            self.queue_or_drop(record);
        } else {
            self.queue_or_wait(record);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Delivered, PublishError> {
        (self.queue, self.open) = (None, None);
        let stopped = || Ending { delivered: 0, reason: Some(STOPPED.to_owned()) };
        let ending = self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_else(stopped);
        let (given, dropped) = self.shared.given();
        if ending.delivered == given {
            return Ok(Delivered { records: ending.delivered });
        }
        let overflow = (dropped > 0).then(|| format!("the queue was full, and {dropped} were dropped"));
        let undelivered = given.saturating_sub(ending.delivered);
        self.given_up = undelivered.saturating_sub(self.dropped_or_refused());
        Err(PublishError::Undelivered {
            receiver: SINK.title,
            address: self.broker.clone(),
            delivered: ending.delivered,
            undelivered,
            reason: ending.reason.or(overflow).unwrap_or_else(|| STOPPED.to_owned()),
        })
    }

    fn lost(&self) -> u64 {
        self.dropped_or_refused() + self.given_up
    }

    fn monitor(&self) -> Option<Arc<dyn SinkMonitor>> {
        Some(Arc::clone(&self.shared) as _)
    }
}

const STOPPED: &str = "the client stopped";

#[cfg(test)]
mod tests;
