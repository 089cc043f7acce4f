//! The life of the client: connect, announce, send and hear, connect again, say goodbye, or give up.
//!
//! Whatever it waits for, it also waits for the end: none of its waits outlasts [`Settings::give_up_after`].

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::Settings;
use super::backoff::Backoff;
use super::connection::Lost;
use super::line::Line;
use super::packets::{Event, Manner};
use super::reason::Reason;
use super::session::Session;
use super::window::{Acknowledged, Record, Window};
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
    settings: Arc<Settings>,
    inbox: mpsc::Receiver<Record>,
    /// The inbox is empty and stays so.
    drained: bool,
    /// Resolves when the caller has nothing more. The inbox says so too, but only to a reader, and a full window does not
    /// read.
    closing: oneshot::Receiver<()>,
    /// When it did.
    closed_at: Option<Instant>,
    line: Arc<Line>,
    window: Window,
    /// When a record was last taken or refused, or became the only one.
    progress: Instant,
    backoff: Backoff,
    /// Connections in a row that failed, or were lost before anything was acknowledged.
    failures: u32,
    /// Records that are sent one by one, to find out which of them makes the broker end connections.
    careful: usize,
    latency: Latency,
    /// When the latency is told next; none if nothing has changed.
    telling: Option<Instant>,
}

/// Why a connection is no longer served.
enum ConnectionEnd {
    Finished,
    Lost(Lost),
    GaveUp(String),
}

impl Driver {
    pub(super) fn new(
        settings: Settings,
        inbox: mpsc::Receiver<Record>,
        closing: oneshot::Receiver<()>,
        line: Arc<Line>,
    ) -> Self {
        let window = Window::new(settings.window.into(), Backoff::new(settings.first_pause, settings.longest_retry));
        Self {
            inbox,
            drained: false,
            closing,
            closed_at: None,
            line,
            window,
            progress: now(),
            backoff: Backoff::new(settings.first_pause, settings.longest_pause),
            failures: 0,
            careful: 0,
            latency: Latency::new(),
            telling: None,
            settings: Arc::new(settings),
        }
    }

    /// Runs to the end; `ready` hears of the first attempt to connect.
    pub(super) async fn run(mut self, ready: oneshot::Sender<Result<(), String>>) -> Ending {
        let end = match self.begin().await {
            Ok(session) => {
                let _caller_is_gone = ready.send(Ok(()));
                self.keep_up(session).await
            }
            Err(end) => {
                if let ConnectionEnd::Lost(lost) = &end {
                    let _caller_is_gone = ready.send(Err(lost.reason.clone()));
                }
                end
            }
        };
        self.ending(end)
    }

    /// The first connection: one attempt, or as many as it takes.
    async fn begin(&mut self) -> Result<Session, ConnectionEnd> {
        if !self.settings.endures {
            return Session::open(&self.settings, &self.line).await.map_err(ConnectionEnd::Lost);
        }
        let lost = match self.connect("not connected yet").await? {
            Ok(session) => return Ok(session),
            Err(lost) => lost,
        };
        tracing::warn!(broker = %self.settings.broker, reason = %lost.reason, "No MQTT connection yet");
        self.reconnect(lost.reason).await
    }

    /// Serves one connection after the other, until the end.
    async fn keep_up(&mut self, mut session: Session) -> ConnectionEnd {
        loop {
            let begun = now();
            self.line.is_connected();
            let lost = match self.serve(&mut session).await {
                ConnectionEnd::Finished => {
                    let longest = now() + GOODBYE;
                    session.goodbye(&self.settings, self.give_up_at().map_or(longest, |end| end.min(longest))).await;
                    return ConnectionEnd::Finished;
                }
                ConnectionEnd::Lost(lost) => lost,
                end @ ConnectionEnd::GaveUp(_) => return end,
            };
            drop(session);
            tracing::warn!(broker = %self.settings.broker, reason = %lost.reason, "MQTT connection lost");
            self.lost(lost.blame, now().saturating_duration_since(begun));
            session = match self.reconnect(lost.reason).await {
                Ok(session) => session,
                Err(end) => return end,
            };
            tracing::info!(broker = %self.settings.broker, "MQTT connection restored");
        }
    }

    /// What a lost connection means for the next one.
    fn lost(&mut self, blame: Option<Reason>, lasted: Duration) {
        if let Some(reason) = blame {
            self.window.blame(reason);
            self.careful = self.window.len();
        }
        self.window.rewind();
        self.line.has_settled(self.window.tally());
        // A broker that lets us in and throws us out again is left alone as one that does not answer.
        if lasted >= self.settings.longest_pause {
            self.failures = 0;
        }
    }

    fn ending(&self, end: ConnectionEnd) -> Ending {
        let reason = match end {
            ConnectionEnd::Finished => None,
            ConnectionEnd::Lost(Lost { reason, .. }) | ConnectionEnd::GaveUp(reason) => Some(reason),
        };
        self.line.is_broken(reason.as_deref().unwrap_or("the sensor has stopped"));
        self.line.took(self.latency.summary());
        let reason = reason.or_else(|| self.window.refusal().map(str::to_owned));
        Ending { delivered: self.window.tally().delivered, reason }
    }

    /// Sends and hears until the end, or until the connection is gone.
    async fn serve(&mut self, session: &mut Session) -> ConnectionEnd {
        loop {
            let wake = match self.turn(session) {
                Ok(wake) => wake,
                Err(end) => return end,
            };
            let has_room = session.connection.has_room();
            tokio::select! {
                stirred = session.connection.stir() => if let Err(reason) = stirred {
                    return ConnectionEnd::Lost(reason.into());
                },
                record = self.inbox.recv(), if self.wants_more() => self.take(record),
                _ = &mut self.closing, if self.closed_at.is_none() => self.close(),
                // The line lives as long as this thread, so that neither of these ends.
                Ok(()) = session.status.changed(), if has_room => session.post_status(&self.settings),
                Ok(()) = session.metrics.changed(), if has_room => session.post_metrics(&self.settings),
                () = until(wake) => {}
            }
        }
    }

    /// Takes in what the broker said, looks at the clock, and sends what can be sent. Returns when the next thing is due.
    fn turn(&mut self, session: &mut Session) -> Result<Option<Instant>, ConnectionEnd> {
        let now = now();
        while let Some(event) = session.connection.next().map_err(ConnectionEnd::Lost)? {
            if let Event::Acknowledged(id, refusal) = event {
                self.acknowledged(id, refusal, now);
            }
        }
        self.look_at_clock(session, now)?;
        let span = if self.careful > 0 { 1 } else { session.span };
        self.window.send(span, now, |record, id| session.connection.publish(record, Manner::RECORD, id));
        self.line.has_settled(self.window.tally());
        if self.is_done() {
            return Err(ConnectionEnd::Finished);
        }
        let due = [
            self.give_up_at(),
            self.telling,
            self.window.overdue_at(self.settings.ack_timeout),
            self.window.retry_at(now),
            session.connection.wake_at(),
        ];
        Ok(due.into_iter().flatten().min())
    }

    /// Does what is due.
    fn look_at_clock(&mut self, session: &mut Session, now: Instant) -> Result<(), ConnectionEnd> {
        if self.give_up_at().is_some_and(|end| end <= now) {
            return Err(ConnectionEnd::GaveUp(self.why_given_up(now)));
        }
        if self.telling.is_some_and(|then| then <= now) {
            self.telling = None;
            self.line.took(self.latency.summary());
        }
        let patience = self.settings.ack_timeout;
        if self.window.give_up_overdue(patience, now) {
            let reason = format!("the broker did not acknowledge a record within {} s", patience.as_secs_f32());
            self.line.is_stalled(Some(&format!("{reason}; it is sent again")));
            return Err(ConnectionEnd::Lost(reason.into()));
        }
        session.connection.look_at_clock(now).map_err(ConnectionEnd::Lost)
    }

    fn acknowledged(&mut self, id: u16, refusal: Option<Reason>, now: Instant) {
        match self.window.acknowledged(id, refusal, now) {
            Acknowledged::Delivered(news) => {
                self.line.is_stalled(None);
                if let Some(packet) = news {
                    self.latency.record(packet, clock::now());
                    self.telling = self.telling.or_else(|| now.checked_add(TELLING_INTERVAL));
                }
            }
            Acknowledged::Refused => {}
            Acknowledged::Later => {
                let reason = refusal.map(|reason| reason.to_string()).unwrap_or_default();
                self.line.is_stalled(Some(&format!("refused for now: {reason}; it is tried again")));
                return;
            }
            Acknowledged::Unexpected => {
                tracing::debug!(id, "MQTT acknowledgement of nothing that was sent");
                return self.line.unexpected();
            }
        }
        (self.progress, self.failures) = (now, 0);
        self.careful = self.careful.saturating_sub(1);
    }

    /// Tries again with growing pauses, until it works, nothing is left to do, or patience ends.
    async fn reconnect(&mut self, mut reason: String) -> Result<Session, ConnectionEnd> {
        loop {
            self.line.is_broken(&reason);
            self.failures = self.failures.saturating_add(1);
            let pause = pin!(sleep(self.backoff.pause(self.failures)));
            // The end leaves no time to wait.
            self.meanwhile(pause, &reason).await?;
            match self.connect(&reason).await? {
                Ok(session) => return Ok(session),
                Err(lost) => reason = lost.reason,
            }
        }
    }

    /// One attempt to connect.
    async fn connect(&mut self, reason: &str) -> Result<Result<Session, Lost>, ConnectionEnd> {
        let (settings, line) = (Arc::clone(&self.settings), Arc::clone(&self.line));
        let mut opening = pin!(Session::open(&settings, &line));
        loop {
            if let Some(opened) = self.meanwhile(opening.as_mut(), reason).await? {
                return Ok(opened);
            }
        }
    }

    /// Waits for something, but goes on taking records, and notices the end. None: the caller has nothing more from now on.
    async fn meanwhile<T>(
        &mut self,
        mut what: Pin<&mut impl Future<Output = T>>,
        reason: &str,
    ) -> Result<Option<T>, ConnectionEnd> {
        loop {
            if self.is_done() {
                return Err(ConnectionEnd::Finished);
            }
            let give_up_at = self.give_up_at();
            tokio::select! {
                done = &mut what => return Ok(Some(done)),
                record = self.inbox.recv(), if self.wants_more() => self.take(record),
                _ = &mut self.closing, if self.closed_at.is_none() => {
                    self.close();
                    return Ok(None);
                }
                () = until(give_up_at) => return Err(ConnectionEnd::GaveUp(reason.to_owned())),
            }
        }
    }

    fn is_done(&self) -> bool {
        self.drained && self.window.is_empty()
    }

    fn wants_more(&self) -> bool {
        !self.drained && self.window.has_room()
    }

    /// The caller has nothing more: what waits is sent as soon as it can be.
    fn close(&mut self) {
        self.closed_at = Some(now());
        self.failures = 0;
        self.window.hurry();
    }

    fn take(&mut self, record: Option<Record>) {
        let Some(record) = record else {
            self.drained = true;
            return;
        };
        if self.window.is_empty() {
            self.progress = now();
        }
        self.window.push(record);
    }

    /// None while there is nothing to be impatient about. A sensor has all the time in the world until it is asked to stop,
    /// and no more than its patience from then on, whatever progress there is.
    fn give_up_at(&self) -> Option<Instant> {
        let waits = !self.window.is_empty();
        let since = if self.settings.endures { self.closed_at } else { waits.then_some(self.progress) };
        since?.checked_add(self.settings.give_up_after?)
    }

    /// Why a broker that is connected is given up.
    fn why_given_up(&self, now: Instant) -> String {
        let patience = self.settings.give_up_after.unwrap_or_default();
        let seconds = patience.as_secs_f32();
        if let Some(stalled) = self.line.stalled() {
            return stalled;
        }
        if now.saturating_duration_since(self.progress) >= patience {
            return format!("the broker acknowledged nothing for {seconds} s");
        }
        format!("the broker did not acknowledge all of them within {seconds} s of the stop")
    }
}

async fn until(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => std::future::pending().await,
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
pub(super) fn now() -> Instant {
    Instant::now()
}
