//! The client's loop: connect, announce the sensor, send records and read acknowledgements, reconnect, disconnect or give up.
//!
//! Every wait also watches for the end of the run: none outlasts [`Settings::give_up_after`].

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::backoff::Backoff;
use super::connection::Lost;
use super::packets::{Event, Manner};
use super::reason::Reason;
use super::session::Session;
use super::settings::Settings;
use super::shared::Shared;
use super::window::{Acknowledged, Record, Window};
use crate::clock;
use crate::metrics::Latency;

/// How the client ended.
#[derive(Debug)]
pub(super) struct Ending {
    /// Records that the broker acknowledged.
    pub(super) delivered: u64,
    /// Why others were not, if there are any.
    pub(super) reason: Option<String>,
}

/// The state of the client that outlives a connection.
pub(super) struct Driver {
    settings: Arc<Settings>,
    inbox: mpsc::Receiver<Record>,
    /// The inbox is empty and the publisher has closed it.
    drained: bool,
    /// Resolves when the publisher has no further records. The closed inbox shows that too, but nothing reads the inbox
    /// while the window is full.
    closing: oneshot::Receiver<()>,
    /// When that happened.
    closed_at: Option<Instant>,
    shared: Arc<Shared>,
    window: Window,
    /// When a record was last delivered or refused, or was added to an empty window.
    last_progress: Instant,
    backoff: Backoff,
    /// Consecutive connections that failed, or were lost before any acknowledgement.
    failures: u32,
    /// Records still to be sent one by one, to find the one for which the broker ends connections.
    one_by_one: usize,
    latency: Latency,
    /// When the latency is next copied to `shared`; `None` if it has not changed.
    latency_due: Option<Instant>,
}

/// Why the driver leaves a connection.
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
        shared: Arc<Shared>,
    ) -> Self {
        let window = Window::new(settings.window.into(), Backoff::new(settings.first_pause, settings.longest_retry));
        Self {
            inbox,
            drained: false,
            closing,
            closed_at: None,
            shared,
            window,
            last_progress: now(),
            backoff: Backoff::new(settings.first_pause, settings.longest_pause),
            failures: 0,
            one_by_one: 0,
            latency: Latency::new(),
            latency_due: None,
            settings: Arc::new(settings),
        }
    }

    /// Runs to the end; `ready` gets the result of the first attempt to connect.
    pub(super) async fn run(mut self, ready: oneshot::Sender<Result<(), String>>) -> Ending {
        let end = match self.begin().await {
            Ok(session) => {
                let _caller_is_gone = ready.send(Ok(()));
                self.serve_all(session).await
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

    /// Makes the first connection: one attempt in a replay, as many as it takes in a sensor.
    async fn begin(&mut self) -> Result<Session, ConnectionEnd> {
        if !self.settings.live {
            return Session::open(&self.settings, &self.shared).await.map_err(ConnectionEnd::Lost);
        }
        let lost = match self.connect("not connected yet").await? {
            Ok(session) => return Ok(session),
            Err(lost) => lost,
        };
        tracing::warn!(broker = %self.settings.broker, reason = %lost.reason, "No MQTT connection yet");
        self.reconnect(lost.reason).await
    }

    /// Serves one connection after the other, until the end.
    async fn serve_all(&mut self, mut session: Session) -> ConnectionEnd {
        loop {
            let begun = now();
            self.shared.set_connected();
            let lost = match self.serve(&mut session).await {
                ConnectionEnd::Finished => {
                    let latest = now() + DISCONNECT_TIMEOUT;
                    session.disconnect(&self.settings, self.give_up_at().map_or(latest, |end| end.min(latest))).await;
                    return ConnectionEnd::Finished;
                }
                ConnectionEnd::Lost(lost) => lost,
                end @ ConnectionEnd::GaveUp(_) => return end,
            };
            drop(session);
            tracing::warn!(broker = %self.settings.broker, reason = %lost.reason, "MQTT connection lost");
            self.prepare_next(lost.blame, now().saturating_duration_since(begun));
            session = match self.reconnect(lost.reason).await {
                Ok(session) => session,
                Err(end) => return end,
            };
            tracing::info!(broker = %self.settings.broker, "MQTT connection restored");
        }
    }

    /// Prepares the next connection after one is lost that lasted this long.
    fn prepare_next(&mut self, blame: Option<Reason>, lasted: Duration) {
        if let Some(reason) = blame {
            self.window.blame(reason);
            self.one_by_one = self.window.len();
        }
        self.window.rewind();
        self.shared.set_tally(self.window.tally());
        // A broker that accepts connections and soon closes them gets the same pauses as one that does not answer.
        if lasted >= self.settings.longest_pause {
            self.failures = 0;
        }
    }

    fn ending(&self, end: ConnectionEnd) -> Ending {
        let reason = match end {
            ConnectionEnd::Finished => None,
            ConnectionEnd::Lost(Lost { reason, .. }) | ConnectionEnd::GaveUp(reason) => Some(reason),
        };
        self.shared.set_disconnected(reason.as_deref().unwrap_or("the sensor has stopped"));
        self.shared.set_latency(self.latency.summary());
        let reason = reason.or_else(|| self.window.refusal().map(str::to_owned));
        Ending { delivered: self.window.tally().delivered, reason }
    }

    /// Sends records and reads acknowledgements until the end, or until the connection is lost.
    async fn serve(&mut self, session: &mut Session) -> ConnectionEnd {
        loop {
            let next_due = match self.do_turn(session) {
                Ok(next_due) => next_due,
                Err(end) => return end,
            };
            let has_room = session.connection.has_room();
            tokio::select! {
                progress = session.connection.transfer() => if let Err(reason) = progress {
                    return ConnectionEnd::Lost(reason.into());
                },
                record = self.inbox.recv(), if self.wants_more() => self.accept(record),
                _ = &mut self.closing, if self.closed_at.is_none() => self.close(),
                // `shared` lives as long as this thread, so that neither of these ends.
                Ok(()) = session.status.changed(), if has_room => session.send_status(&self.settings),
                Ok(()) = session.metrics.changed(), if has_room => session.send_metrics(&self.settings),
                () = until(next_due) => {}
            }
        }
    }

    /// Handles the packets that have arrived and the timers that are due, and sends what can be sent. Returns the next time
    /// at which something is due.
    fn do_turn(&mut self, session: &mut Session) -> Result<Option<Instant>, ConnectionEnd> {
        let now = now();
        while let Some(event) = session.connection.next_event().map_err(ConnectionEnd::Lost)? {
            if let Event::Acknowledged(id, refusal) = event {
                self.acknowledge(id, refusal, now);
            }
        }
        self.handle_timers(session, now)?;
        let in_flight = if self.one_by_one > 0 { 1 } else { session.in_flight };
        self.window.send(in_flight, now, |record, id| session.connection.publish(record, Manner::RECORD, id));
        self.shared.set_tally(self.window.tally());
        if self.is_done() {
            return Err(ConnectionEnd::Finished);
        }
        let due = [
            self.give_up_at(),
            self.latency_due,
            self.window.overdue_at(self.settings.ack_timeout),
            self.window.retry_at(now),
            session.connection.timer_at(),
        ];
        Ok(due.into_iter().flatten().min())
    }

    /// Handles the timers that are due.
    fn handle_timers(&mut self, session: &mut Session, now: Instant) -> Result<(), ConnectionEnd> {
        if self.give_up_at().is_some_and(|end| end <= now) {
            return Err(ConnectionEnd::GaveUp(self.reason_given_up(now)));
        }
        if self.latency_due.is_some_and(|then| then <= now) {
            self.latency_due = None;
            self.shared.set_latency(self.latency.summary());
        }
        let patience = self.settings.ack_timeout;
        if self.window.count_overdue(patience, now) {
            let reason = format!("the broker did not acknowledge a record within {} s", patience.as_secs_f32());
            self.shared.set_stalled(Some(&format!("{reason}; it is sent again")));
            return Err(ConnectionEnd::Lost(reason.into()));
        }
        session.connection.handle_timers(now).map_err(ConnectionEnd::Lost)
    }

    /// Handles the acknowledgement of the record in flight with this packet identifier.
    fn acknowledge(&mut self, id: u16, refusal: Option<Reason>, now: Instant) {
        match self.window.acknowledge(id, refusal, now) {
            Acknowledged::Delivered(latency_start) => {
                self.shared.set_stalled(None);
                if let Some(packet) = latency_start {
                    self.latency.record(packet, clock::now());
                    self.latency_due = self.latency_due.or_else(|| now.checked_add(LATENCY_INTERVAL));
                }
            }
            Acknowledged::Refused => {}
            Acknowledged::Later => {
                let reason = refusal.map(|reason| reason.to_string()).unwrap_or_default();
                self.shared.set_stalled(Some(&format!("refused for now: {reason}; it is tried again")));
                return;
            }
            Acknowledged::Unexpected => {
                tracing::debug!(id, "MQTT acknowledgement without a record in flight");
                return self.shared.count_unexpected();
            }
        }
        (self.last_progress, self.failures) = (now, 0);
        self.one_by_one = self.one_by_one.saturating_sub(1);
    }

    /// Retries with growing pauses, until a connection is made, no record is left, or the broker is given up.
    async fn reconnect(&mut self, mut reason: String) -> Result<Session, ConnectionEnd> {
        loop {
            self.shared.set_disconnected(&reason);
            self.failures = self.failures.saturating_add(1);
            let pause = pin!(sleep(self.backoff.pause(self.failures)));
            // The pause is cut short when the publisher has no further records.
            self.wait_for(pause, &reason).await?;
            match self.connect(&reason).await? {
                Ok(session) => return Ok(session),
                Err(lost) => reason = lost.reason,
            }
        }
    }

    /// Makes one attempt to connect. `reason` is reported if the broker is given up meanwhile.
    async fn connect(&mut self, reason: &str) -> Result<Result<Session, Lost>, ConnectionEnd> {
        let (settings, shared) = (Arc::clone(&self.settings), Arc::clone(&self.shared));
        let mut opening = pin!(Session::open(&settings, &shared));
        loop {
            if let Some(opened) = self.wait_for(opening.as_mut(), reason).await? {
                return Ok(opened);
            }
        }
    }

    /// Waits for a future, and accepts records and watches for the end meanwhile. `None`: the publisher has closed.
    async fn wait_for<T>(
        &mut self,
        mut future: Pin<&mut impl Future<Output = T>>,
        reason: &str,
    ) -> Result<Option<T>, ConnectionEnd> {
        loop {
            if self.is_done() {
                return Err(ConnectionEnd::Finished);
            }
            let give_up_at = self.give_up_at();
            tokio::select! {
                output = &mut future => return Ok(Some(output)),
                record = self.inbox.recv(), if self.wants_more() => self.accept(record),
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

    /// Notes that the publisher has no further records: those in the window are retried without pauses.
    fn close(&mut self) {
        self.closed_at = Some(now());
        self.failures = 0;
        self.window.skip_pauses();
    }

    /// Adds a record from the inbox to the window; `None`: the inbox is closed.
    fn accept(&mut self, record: Option<Record>) {
        let Some(record) = record else {
            self.drained = true;
            return;
        };
        if self.window.is_empty() {
            self.last_progress = now();
        }
        self.window.push(record);
    }

    /// When the remaining records are given up. In a replay: this long after the last progress, while a record is in the
    /// window. In a sensor: this long after it was asked to stop.
    fn give_up_at(&self) -> Option<Instant> {
        let is_waiting = !self.window.is_empty();
        let since = if self.settings.live { self.closed_at } else { is_waiting.then_some(self.last_progress) };
        since?.checked_add(self.settings.give_up_after?)
    }

    /// Why a broker that is connected is given up.
    fn reason_given_up(&self, now: Instant) -> String {
        let patience = self.settings.give_up_after.unwrap_or_default();
        let seconds = patience.as_secs_f32();
        if let Some(stalled) = self.shared.stalled() {
            return stalled;
        }
        if now.saturating_duration_since(self.last_progress) >= patience {
            return format!("the broker acknowledged nothing for {seconds} s");
        }
        format!("the broker did not acknowledge all of them within {seconds} s of the stop")
    }
}

/// Resolves at a time; `None` never resolves.
async fn until(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => std::future::pending().await,
    }
}

/// How long the broker may take to acknowledge that the sensor leaves.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the latency is copied to [`Shared`].
const LATENCY_INTERVAL: Duration = Duration::from_secs(1);

/// The current time: timeouts towards a broker do not follow packet time.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a broker takes has nothing to do with when a packet was captured"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}
