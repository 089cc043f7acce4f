//! The connection's life: connect, announce, send and hear, connect again, say goodbye, or give up.

use std::hash::BuildHasher;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Settings;
use super::client::{self, Event, Events, Manner, Outbox};
use super::line::Line;
use super::window::{Offer, Record, Window};
use crate::clock;
use crate::metrics::Latency;

/// How it ended.
#[derive(Debug)]
pub(super) struct Ending {
    /// Records that the broker acknowledged.
    pub(super) delivered: u64,
    /// Why some were not, if any.
    pub(super) reason: Option<String>,
}

/// Everything that outlives a connection.
pub(super) struct Driver {
    settings: Settings,
    inbox: mpsc::Receiver<Record>,
    line: Arc<Line>,
    window: Window,
    /// The caller has nothing more.
    closing: bool,
    /// When a record was last acknowledged, or became the only one.
    progress: Instant,
    /// The next pause before an attempt to connect, at the longest.
    pause: Duration,
    latency: Latency,
    /// When the latency is told next; none if nothing has changed.
    telling: Option<Instant>,
}

struct Session {
    outbox: Outbox,
    events: Events,
    /// Places of the window that may be on their way.
    span: usize,
    /// What the sensor says of itself.
    status: Said,
    metrics: Said,
}

/// The latest of messages that replace each other.
type Said = watch::Receiver<Option<Vec<u8>>>;

/// Why a connection is no longer served.
enum End {
    Finished,
    Lost(String),
    GaveUp(String),
}

impl Driver {
    pub(super) fn new(settings: Settings, inbox: mpsc::Receiver<Record>, line: Arc<Line>) -> Self {
        Self {
            inbox,
            line,
            window: Window::new(settings.window.into()),
            closing: false,
            progress: now(),
            pause: settings.first_pause,
            latency: Latency::new(),
            telling: None,
            settings,
        }
    }

    /// Runs to the end; `ready` hears of the first attempt to connect.
    pub(super) async fn run(mut self, ready: oneshot::Sender<Result<(), String>>) -> Ending {
        let mut session = match Session::open(&self.settings, &self.line).await {
            Ok(session) => session,
            Err(reason) if self.settings.endures => {
                tracing::warn!(broker = %self.settings.broker, %reason, "No MQTT connection yet");
                match self.reconnect(reason).await {
                    Ok(session) => session,
                    Err(end) => return self.ended(end),
                }
            }
            Err(reason) => {
                let _caller_is_gone = ready.send(Err(reason.clone()));
                return self.ending(Some(reason));
            }
        };
        let _caller_is_gone = ready.send(Ok(()));
        loop {
            let begun = now();
            self.line.is_connected();
            let lost = match self.serve(&mut session).await {
                End::Finished => {
                    session.goodbye(&self.settings).await;
                    return self.ended(End::Finished);
                }
                End::Lost(reason) => reason,
                end @ End::GaveUp(_) => return self.ended(end),
            };
            tracing::warn!(broker = %self.settings.broker, reason = %lost, "MQTT connection lost");
            self.window.rewind();
            // A broker that lets us in and throws us out again is left alone as one that does not answer.
            if begun.elapsed() >= self.settings.longest_pause {
                self.pause = self.settings.first_pause;
            }
            session = match self.reconnect(lost).await {
                Ok(session) => session,
                Err(end) => return self.ended(end),
            };
            tracing::info!(broker = %self.settings.broker, "MQTT connection restored");
        }
    }

    fn ended(&self, end: End) -> Ending {
        match end {
            End::Finished => {
                self.line.is_broken("the sensor has stopped");
                self.ending(None)
            }
            End::Lost(reason) | End::GaveUp(reason) => self.ending(Some(reason)),
        }
    }

    fn ending(&self, reason: Option<String>) -> Ending {
        if let Some(reason) = &reason {
            self.line.is_broken(reason);
        }
        self.line.took(self.latency.summary());
        let reason = reason.or_else(|| self.window.refusal().map(str::to_owned));
        Ending { delivered: self.window.delivered(), reason }
    }

    /// Sends and hears until the end, or until the connection is gone.
    async fn serve(&mut self, session: &mut Session) -> End {
        let Session { outbox, events, span, status, metrics } = session;
        let line = Arc::clone(&self.line);
        loop {
            // Kept until it is done, because it may be in the middle of a packet.
            let mut event = pin!(events.next());
            let event = loop {
                self.window.offer(*span, |record| outbox.publish(record, Manner::RECORD));
                line.has_settled(&self.window);
                if self.is_done() {
                    return End::Finished;
                }
                let (give_up_at, telling) = (self.give_up_at(), self.telling);
                tokio::select! {
                    event = &mut event => break event,
                    record = self.inbox.recv(), if self.wants_more() => self.take(record),
                    // The line lives as long as this thread, so that neither of these ends.
                    Ok(()) = status.changed() => {
                        let latest = status.borrow_and_update().clone();
                        post(outbox, self.settings.topics.status(), latest, Manner::STATUS);
                    }
                    Ok(()) = metrics.changed() => {
                        let latest = metrics.borrow_and_update().clone();
                        post(outbox, self.settings.topics.metrics(), latest, Manner::METRICS);
                    }
                    () = until(telling) => {
                        self.telling = None;
                        line.took(self.latency.summary());
                    }
                    () = until(give_up_at) => return End::GaveUp(self.no_progress()),
                }
            };
            match event {
                Ok(Event::Sent(id)) => self.window.sent(id),
                Ok(Event::Acknowledged(id, refusal)) => self.acknowledged(id, refusal),
                Ok(Event::Connected { .. } | Event::Closed | Event::Other) => {}
                Err(reason) => return End::Lost(reason),
            }
        }
    }

    fn acknowledged(&mut self, id: u16, refusal: Option<String>) {
        let Some(acknowledged) = self.window.acknowledged(id, refusal) else { return };
        self.progress = now();
        self.pause = self.settings.first_pause;
        if let Some(packet) = acknowledged.news {
            self.latency.record(packet, clock::now());
            self.telling = self.telling.or_else(|| self.progress.checked_add(TELLING_INTERVAL));
        }
    }

    /// Tries again with growing pauses, until it works, nothing is left to do, or patience ends.
    async fn reconnect(&mut self, mut reason: String) -> Result<Session, End> {
        loop {
            self.line.is_broken(&reason);
            let pause = jittered(self.pause);
            self.pause = (self.pause * 2).min(self.settings.longest_pause);
            self.rest(pause, &reason).await?;
            let give_up_at = self.give_up_at();
            tokio::select! {
                session = Session::open(&self.settings, &self.line) => match session {
                    Ok(session) => return Ok(session),
                    Err(why) => reason = why,
                },
                () = until(give_up_at) => return Err(End::GaveUp(reason)),
            }
        }
    }

    /// Waits, but goes on taking records, and notices the end, which leaves no time to wait.
    async fn rest(&mut self, length: Duration, reason: &str) -> Result<(), End> {
        let mut pause = pin!(sleep(length));
        let was_closing = self.closing;
        loop {
            if self.is_done() {
                return Err(End::Finished);
            }
            if self.closing && !was_closing {
                self.pause = self.settings.first_pause;
                return Ok(());
            }
            let give_up_at = self.give_up_at();
            tokio::select! {
                () = &mut pause => return Ok(()),
                record = self.inbox.recv(), if self.wants_more() => self.take(record),
                () = until(give_up_at) => return Err(End::GaveUp(reason.to_owned())),
            }
        }
    }

    fn is_done(&self) -> bool {
        self.closing && self.window.is_empty()
    }

    fn wants_more(&self) -> bool {
        !self.closing && self.window.has_room()
    }

    fn take(&mut self, record: Option<Record>) {
        let Some(record) = record else {
            self.closing = true;
            if self.settings.endures {
                // Patience begins now: until here there was all the time in the world.
                self.progress = now();
            }
            return;
        };
        if self.window.is_empty() {
            self.progress = now();
        }
        self.window.push(record);
    }

    /// None while there is nothing to be impatient about.
    fn give_up_at(&self) -> Option<Instant> {
        if self.window.is_empty() || (self.settings.endures && !self.closing) {
            return None;
        }
        let patience = self.settings.give_up_after?;
        self.progress.checked_add(patience)
    }

    fn no_progress(&self) -> String {
        let seconds = self.settings.give_up_after.unwrap_or_default().as_secs_f32();
        format!("the broker acknowledged nothing for {seconds} s")
    }
}

async fn until(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => std::future::pending().await,
    }
}

/// Says something that nobody has to acknowledge. What does not get through now is said anew soon.
fn post(outbox: &Outbox, topic: String, payload: Option<Vec<u8>>, manner: Manner) {
    if let Some(payload) = payload
        && let Offer::Impossible(reason) = outbox.publish(&Record { topic, payload, news: None }, manner)
    {
        tracing::debug!(%reason, "MQTT message not sent");
    }
}

/// Between half of a pause and all of it, so that sensors do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let random = std::hash::RandomState::new().hash_one(0) % 1000;
    pause.mul_f64(0.5 + random as f64 / 2000.0)
}

impl Session {
    /// Connects and announces the sensor; ready for records when the broker has acknowledged that.
    async fn open(settings: &Settings, line: &Line) -> Result<Self, String> {
        let seconds = settings.connect_timeout.as_secs_f32();
        let too_late = |_elapsed| Err(format!("no answer within {seconds} s"));
        timeout(settings.connect_timeout, Self::connect(settings, line)).await.unwrap_or_else(too_late)
    }

    async fn connect(settings: &Settings, line: &Line) -> Result<Self, String> {
        let (outbox, events) = client::open(settings);
        let (status, metrics) = (line.status.subscribe(), line.metrics.subscribe());
        let mut session = Self { outbox, events, span: settings.window.max(1).into(), status, metrics };
        loop {
            if let Event::Connected { in_flight, largest } = session.events.next().await? {
                // One less than the broker allows, so that packet identifiers cannot collide.
                let allowed = in_flight.map_or(usize::MAX, |in_flight| usize::from(in_flight).saturating_sub(1));
                session.span = session.span.min(allowed.max(1));
                session.outbox.largest = largest;
                break;
            }
        }
        let latest = session.status.borrow_and_update().clone();
        session.announce(settings, latest.unwrap_or_else(|| settings.status("online"))).await?;
        Ok(session)
    }

    /// Publishes the status, retained, and waits for its acknowledgement. Nothing else is on its way meanwhile.
    async fn announce(&mut self, settings: &Settings, payload: Vec<u8>) -> Result<(), String> {
        let record = Record { topic: settings.topics.status(), payload, news: None };
        if self.outbox.publish(&record, Manner::ANNOUNCEMENT) != Offer::Taken {
            return Ok(());
        }
        loop {
            match self.events.next().await? {
                Event::Acknowledged(_, None) => return Ok(()),
                Event::Acknowledged(_, Some(reason)) => {
                    tracing::warn!(topic = %record.topic, %reason, "MQTT status not published");
                    return Ok(());
                }
                Event::Connected { .. } | Event::Sent(_) | Event::Closed | Event::Other => {}
            }
        }
    }

    /// Leaves in order. Every record has been acknowledged by now, so nothing is lost if the broker is gone: it then
    /// publishes the last will.
    async fn goodbye(&mut self, settings: &Settings) {
        let leave = async {
            self.announce(settings, settings.status("offline")).await?;
            if self.outbox.disconnect() {
                while self.events.next().await? != Event::Closed {}
            }
            Ok::<(), String>(())
        };
        let reason = match timeout(GOODBYE, leave).await {
            Ok(Ok(())) => return,
            Ok(Err(reason)) => reason,
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(broker = %settings.broker, %reason, "MQTT connection not closed in order");
    }
}

/// How long the broker may take to hear that we leave.
const GOODBYE: Duration = Duration::from_secs(2);

/// How often the latency is told.
const TELLING_INTERVAL: Duration = Duration::from_secs(1);

/// Patience with a broker is measured in our own time, not in that of the packets.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a broker takes has nothing to do with when a packet was captured"
)]
fn now() -> Instant {
    Instant::now()
}
