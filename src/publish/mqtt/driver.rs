//! The connection's life: connect, announce, send and hear, connect again, say goodbye, or give up.

use std::hash::BuildHasher;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Settings;
use super::client::{self, Event, Events, Outbox};
use super::window::{Offer, Record, Window};

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
    window: Window,
    /// The caller has nothing more.
    closing: bool,
    /// When a record was last acknowledged, or became the only one.
    progress: Instant,
}

struct Session {
    outbox: Outbox,
    events: Events,
    /// Places of the window that may be on their way.
    span: usize,
}

/// Why a connection is no longer served.
enum End {
    Finished,
    Lost(String),
    GaveUp(String),
}

impl Driver {
    pub(super) fn new(settings: Settings, inbox: mpsc::Receiver<Record>) -> Self {
        let window = Window::new(settings.window.into());
        Self { settings, inbox, window, closing: false, progress: now() }
    }

    /// Runs to the end; `ready` hears of the first attempt to connect.
    pub(super) async fn run(mut self, ready: oneshot::Sender<Result<(), String>>) -> Ending {
        let mut session = match Session::open(&self.settings).await {
            Ok(session) => session,
            Err(reason) => {
                let _caller_is_gone = ready.send(Err(reason.clone()));
                return self.ending(Some(reason));
            }
        };
        let _caller_is_gone = ready.send(Ok(()));
        loop {
            let lost = match self.serve(&mut session).await {
                End::Finished => {
                    session.goodbye(&self.settings).await;
                    return self.ending(None);
                }
                End::GaveUp(reason) => return self.ending(Some(reason)),
                End::Lost(reason) => reason,
            };
            tracing::warn!(broker = %self.settings.broker, reason = %lost, "MQTT connection lost");
            self.window.rewind();
            session = match self.reconnect(lost).await {
                Ok(session) => session,
                Err(End::Finished) => return self.ending(None),
                Err(End::Lost(reason) | End::GaveUp(reason)) => return self.ending(Some(reason)),
            };
            tracing::info!(broker = %self.settings.broker, "MQTT connection restored");
        }
    }

    fn ending(&self, reason: Option<String>) -> Ending {
        let reason = reason.or_else(|| self.window.refusal().map(str::to_owned));
        Ending { delivered: self.window.delivered(), reason }
    }

    /// Sends and hears until the end, or until the connection is gone.
    async fn serve(&mut self, session: &mut Session) -> End {
        let Session { outbox, events, span } = session;
        loop {
            // Kept until it is done, because it may be in the middle of a packet.
            let mut event = pin!(events.next());
            let event = loop {
                self.window.offer(*span, |record| outbox.publish(record, false));
                if self.is_done() {
                    return End::Finished;
                }
                let give_up_at = self.give_up_at();
                tokio::select! {
                    event = &mut event => break event,
                    record = self.inbox.recv(), if self.wants_more() => self.take(record),
                    () = patience(give_up_at) => return End::GaveUp(self.no_progress()),
                }
            };
            match event {
                Ok(Event::Sent(id)) => self.window.sent(id),
                Ok(Event::Acknowledged(id, refusal)) => {
                    if self.window.acknowledged(id, refusal) {
                        self.progress = now();
                    }
                }
                Ok(Event::Connected { .. } | Event::Closed | Event::Other) => {}
                Err(reason) => return End::Lost(reason),
            }
        }
    }

    /// Tries again with growing pauses, until it works, nothing is left to do, or patience ends.
    async fn reconnect(&mut self, mut reason: String) -> Result<Session, End> {
        let mut longest = self.settings.first_pause;
        loop {
            self.pause(jittered(longest), &reason).await?;
            longest = (longest * 2).min(self.settings.longest_pause);
            let give_up_at = self.give_up_at();
            tokio::select! {
                session = Session::open(&self.settings) => match session {
                    Ok(session) => return Ok(session),
                    Err(why) => reason = why,
                },
                () = patience(give_up_at) => return Err(End::GaveUp(reason)),
            }
        }
    }

    /// Waits, but goes on taking records, and notices the end.
    async fn pause(&mut self, length: Duration, reason: &str) -> Result<(), End> {
        let mut pause = pin!(sleep(length));
        loop {
            if self.is_done() {
                return Err(End::Finished);
            }
            let give_up_at = self.give_up_at();
            tokio::select! {
                () = &mut pause => return Ok(()),
                record = self.inbox.recv(), if self.wants_more() => self.take(record),
                () = patience(give_up_at) => return Err(End::GaveUp(reason.to_owned())),
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
            return;
        };
        if self.window.is_empty() {
            self.progress = now();
        }
        self.window.push(record);
    }

    /// None while there is nothing to be impatient about.
    fn give_up_at(&self) -> Option<Instant> {
        let patience = self.settings.give_up_after.filter(|_| !self.window.is_empty())?;
        self.progress.checked_add(patience)
    }

    fn no_progress(&self) -> String {
        let seconds = self.settings.give_up_after.unwrap_or_default().as_secs_f32();
        format!("the broker acknowledged nothing for {seconds} s")
    }
}

async fn patience(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Between half of a pause and all of it, so that sensors do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let random = std::hash::RandomState::new().hash_one(0) % 1000;
    pause.mul_f64(0.5 + random as f64 / 2000.0)
}

impl Session {
    /// Connects and announces the sensor; ready for records when the broker has acknowledged that.
    async fn open(settings: &Settings) -> Result<Self, String> {
        let seconds = settings.connect_timeout.as_secs_f32();
        let too_late = |_elapsed| Err(format!("no answer within {seconds} s"));
        timeout(settings.connect_timeout, Self::connect(settings)).await.unwrap_or_else(too_late)
    }

    async fn connect(settings: &Settings) -> Result<Self, String> {
        let (outbox, events) = client::open(settings);
        let mut session = Self { outbox, events, span: settings.window.max(1).into() };
        loop {
            if let Event::Connected { in_flight, largest } = session.events.next().await? {
                // One less than the broker allows, so that packet identifiers cannot collide.
                let allowed = in_flight.map_or(usize::MAX, |in_flight| usize::from(in_flight).saturating_sub(1));
                session.span = session.span.min(allowed.max(1));
                session.outbox.largest = largest;
                break;
            }
        }
        session.announce(settings, "online").await?;
        Ok(session)
    }

    /// Publishes the status, retained, and waits for its acknowledgement. Nothing else is on its way meanwhile.
    async fn announce(&mut self, settings: &Settings, status: &str) -> Result<(), String> {
        let record = Record { topic: settings.topics.status(), payload: settings.status(status) };
        if self.outbox.publish(&record, true) != Offer::Taken {
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
            self.announce(settings, "offline").await?;
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

/// Patience with a broker is measured in our own time, not in that of the packets.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a broker takes has nothing to do with when a packet was captured"
)]
fn now() -> Instant {
    Instant::now()
}
