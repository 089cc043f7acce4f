//! Alerts to an MQTT broker: QoS 1, acknowledged one by one, each delivered at least once.
//!
//! ```text
//!  caller == bounded queue ==> driver: window of unacknowledged records --> client --> broker
//!                                      <------------- acknowledgements --------------
//! ```
//!
//! The library writes and reads packets; the connection, the window and the patience are ours, because the library ends the
//! connection at an acknowledgement that it does not expect, and drops what is not acknowledged when it connects again.
//! Every connection is a new client that knows nothing, and starts with the first record that the broker has not
//! acknowledged. A receiver may see a record twice, with the same `id` and `revision`; it never misses one that was reported
//! as delivered.
//!
//! A record is sent until the broker takes it or refuses it for good. What is refused for now (a quota) is sent again after a
//! pause; what is not acknowledged in time, on another connection.
//!
//! There are two ways to use it. A replay [connects](Mqtt::connect), waits for the broker, and gives it up when nothing
//! moves. A sensor [endures](Mqtt::endure): it goes on without the broker, tries for ever, keeps what fits its queue,
//! and counts the rest; a [`MqttLine`] tells how the connection is, and takes the topics `status` and `metrics`.

mod backoff;
mod connection;
mod driver;
mod line;
mod packets;
mod reason;
mod session;
mod url;
mod window;

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use self::driver::{Driver, Ending};
use self::line::Line;
pub use self::line::{MqttLine, MqttReading};
use self::url::Broker;
use self::window::Record;
use super::topic::Topics;
use super::{Delivered, PublishError, Publisher};
use crate::record::Rendered;

/// How to reach a broker and how patient to be.
#[derive(Clone, Debug)]
pub struct Settings {
    broker: Broker,
    topics: Topics,
    site: String,
    sensor: String,
    /// User and password, where the broker asks for them.
    pub credentials: Option<Credentials>,
    /// Records that may be on their way without an acknowledgement (1..=1000). A broker can ask for fewer.
    pub window: u16,
    /// Records that wait, before the caller has to or they are dropped.
    pub queue: usize,
    /// Bytes that records which wait may take up, before a sensor that endures drops them.
    pub queue_bytes: u64,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How long the broker may take to acknowledge a record, before it is sent again on another connection.
    pub ack_timeout: Duration,
    /// After which time a silent broker is asked whether it is there. It is lost after half as long again.
    pub keep_alive: Duration,
    /// The first pause between attempts; it doubles with each failure in a row.
    pub first_pause: Duration,
    /// The longest pause between attempts to connect: how long a broker that is back may have to wait.
    pub longest_pause: Duration,
    /// The longest pause between attempts to send a record that the broker refuses for now.
    pub longest_retry: Duration,
    /// How long nothing may be acknowledged, while something is to be, before the rest is given up; none waits for ever.
    /// A sensor that endures gives up only when it has been asked to stop, and then so long after that, whatever is
    /// acknowledged meanwhile.
    pub give_up_after: Option<Duration>,
    /// Goes on without the broker.
    endures: bool,
}

impl Settings {
    /// Reads a URL `mqtt://host[:port][/prefix][?version=3.1.1&client_id=name]`. The prefix is `lockkeeper` unless the
    /// URL names another one, and can have several levels.
    pub fn new(url: &str, site: &str, sensor: &str) -> Result<Self, PublishError> {
        let broker = Broker::parse(url)?;
        Ok(Self {
            topics: Topics::new(&broker.prefix, site, sensor),
            broker,
            site: site.to_owned(),
            sensor: sensor.to_owned(),
            credentials: None,
            window: 64,
            queue: 1024,
            queue_bytes: 64 * 1024 * 1024,
            connect_timeout: Duration::from_secs(5),
            ack_timeout: Duration::from_secs(20),
            keep_alive: Duration::from_secs(15),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(5),
            longest_retry: Duration::from_secs(30),
            give_up_after: Some(Duration::from_secs(10)),
            endures: false,
        })
    }

    /// The TCP port of the broker.
    pub const fn port(&self) -> u16 {
        self.broker.port
    }

    /// Whether the broker is known by a name, which has to be resolved, and not by an address.
    pub fn is_named(&self) -> bool {
        let host = self.broker.host.trim_matches(['[', ']']);
        host.parse::<IpAddr>().is_err()
    }

    /// Unique for each run, so that two replays do not push each other off the broker.
    fn client_id(&self) -> String {
        let made = || format!("lockkeeper-{}-{}", super::topic::level(&self.sensor), std::process::id());
        self.broker.client_id.clone().unwrap_or_else(made)
    }

    /// What the topic `status` says.
    fn status(&self, status: &str) -> Vec<u8> {
        let json = serde_json::json!({
            "schema": "lockkeeper/status/1", "status": status, "sensor": self.sensor, "site": self.site,
        });
        json.to_string().into_bytes()
    }
}

/// User and password for a broker. The password shows in no output.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    /// Takes `LOCKKEEPER_MQTT_USER` and `LOCKKEEPER_MQTT_PASSWORD` through `variable`, or the password from the first
    /// line of a file. None if there is no user.
    pub fn load(
        variable: impl Fn(&str) -> Option<String>,
        password_file: Option<&Path>,
    ) -> Result<Option<Self>, PublishError> {
        let Some(user) = variable(USER).filter(|user| !user.is_empty()) else { return Ok(None) };
        let password = match password_file {
            Some(path) => first_line(path)?,
            None => variable(PASSWORD).unwrap_or_default(),
        };
        Ok(Some(Self { user, password }))
    }
}

fn first_line(path: &Path) -> Result<String, PublishError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| PublishError::PasswordFile { path: path.display().to_string(), source })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credentials {{ user: {:?}, password: *** }}", self.user)
    }
}

/// A connection to a broker, on a thread of its own.
pub struct Mqtt {
    broker: String,
    topics: Topics,
    line: Arc<Line>,
    endures: bool,
    /// None once finished.
    queue: Option<mpsc::Sender<Record>>,
    /// Dropped when there is nothing more.
    open: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Ending>>,
    /// Records that were neither delivered nor dropped before the end.
    given_up: u64,
}

impl Mqtt {
    /// Connects, announces the sensor, and returns when the broker has answered. One attempt: an unreachable broker is
    /// an error within [`Settings::connect_timeout`]. Must not be called, nor any other method, on an async runtime.
    pub fn connect(settings: Settings) -> Result<Self, PublishError> {
        let (connecting, connected) = Self::start(settings)?;
        match connected.blocking_recv() {
            Ok(Ok(())) => Ok(connecting),
            Ok(Err(reason)) => Err(connecting.failed(reason)),
            Err(_) => Err(connecting.failed(STOPPED.to_owned())),
        }
    }

    /// Starts to connect, and goes on trying for as long as the sensor runs. Handing over never waits: what does not fit
    /// the queue is dropped and counted.
    pub fn endure(settings: Settings) -> Result<Self, PublishError> {
        Self::start(Settings { endures: true, ..settings }).map(|(mqtt, _connected)| mqtt)
    }

    fn start(settings: Settings) -> Result<(Self, oneshot::Receiver<Result<(), String>>), PublishError> {
        let (queue, inbox) = mpsc::channel(settings.queue.max(1));
        let (open, closing) = oneshot::channel();
        let line = Arc::new(Line::new(settings.queue_bytes));
        let mut mqtt = Self {
            broker: settings.broker.to_string(),
            topics: settings.topics.clone(),
            line: Arc::clone(&line),
            endures: settings.endures,
            queue: Some(queue),
            open: Some(open),
            thread: None,
            given_up: 0,
        };
        let (ready, connected) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| mqtt.failed(format!("cannot start the client: {error}")))?;
        let thread = std::thread::Builder::new().name("mqtt".to_owned()).spawn(move || {
            let ending = runtime.block_on(Driver::new(settings, inbox, closing, line).run(ready));
            // A name that is still being resolved is not waited for.
            runtime.shutdown_background();
            ending
        });
        mqtt.thread = Some(thread.map_err(|error| mqtt.failed(format!("cannot start the client: {error}")))?);
        Ok((mqtt, connected))
    }

    /// How the connection is, and what else is said over it. Goes on telling after the end.
    pub fn line(&self) -> MqttLine {
        MqttLine::new(Arc::clone(&self.line))
    }

    fn failed(&self, reason: String) -> PublishError {
        PublishError::Unreachable { broker: self.broker.clone(), reason }
    }

    /// Records that were dropped or refused for good.
    fn lost(&self) -> u64 {
        let reading = self.line().read();
        reading.dropped + reading.refused
    }

    /// Hands over without waiting.
    fn offer(&self, record: Record) {
        let size = record.size();
        let fits = self.line.has_room_for(size);
        if fits && self.queue.as_ref().is_some_and(|queue| queue.try_send(record).is_ok()) {
            self.line.accepted(size);
        } else {
            self.line.dropped();
        }
    }

    /// Hands over, and waits while the queue is full.
    fn wait(&mut self, record: Record) {
        self.line.accepted(record.size());
        if self.queue.as_ref().is_some_and(|queue| queue.blocking_send(record).is_err()) {
            self.queue = None;
        }
    }
}

impl Publisher for Mqtt {
    /// A replay waits while the queue is full. After the broker was given up it returns at once, and the record counts
    /// as not delivered: [`Publisher::finish`] says so. A sensor that endures never waits.
    fn publish(&mut self, alert: &Rendered) -> Result<(), PublishError> {
        let topic = self.topics.alert(alert.kind, alert.severity);
        let record = Record { topic, payload: alert.json.clone(), news: alert.news };
        if self.endures {
            self.offer(record)
        } else {
            self.wait(record)
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Delivered, PublishError> {
        (self.queue, self.open) = (None, None);
        let stopped = || Ending { delivered: 0, reason: Some(STOPPED.to_owned()) };
        let ending = self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_else(stopped);
        let (given, dropped) = self.line.given();
        if ending.delivered == given {
            return Ok(Delivered { records: ending.delivered });
        }
        let overflow = (dropped > 0).then(|| format!("the queue was full, and {dropped} were dropped"));
        let undelivered = given.saturating_sub(ending.delivered);
        self.given_up = undelivered.saturating_sub(self.lost());
        Err(PublishError::Undelivered {
            broker: self.broker.clone(),
            delivered: ending.delivered,
            undelivered,
            reason: ending.reason.or(overflow).unwrap_or_else(|| STOPPED.to_owned()),
        })
    }

    fn left_out(&self) -> u64 {
        self.lost() + self.given_up
    }
}

const USER: &str = "LOCKKEEPER_MQTT_USER";
const PASSWORD: &str = "LOCKKEEPER_MQTT_PASSWORD";
const STOPPED: &str = "the client stopped";

#[cfg(test)]
mod tests;
