//! A connection on which the sensor has announced itself, with what it says of itself over it.

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::Settings;
use super::connection::{Connection, Lost};
use super::line::Line;
use super::packets::{Event, Manner};
use super::window::{Offer, Record};

/// A connection that is ready for records.
pub(super) struct Session {
    pub(super) connection: Connection,
    /// Records that may be on their way at once.
    pub(super) span: usize,
    /// What the sensor says of itself.
    pub(super) status: Said,
    pub(super) metrics: Said,
}

/// The latest of messages that replace each other.
type Said = watch::Receiver<Option<Vec<u8>>>;

impl Session {
    /// Connects and announces the sensor; ready for records when the broker has acknowledged that.
    pub(super) async fn open(settings: &Settings, line: &Line) -> Result<Self, Lost> {
        let seconds = settings.connect_timeout.as_secs_f32();
        let too_late = |_elapsed| Err(format!("no answer within {seconds} s").into());
        timeout(settings.connect_timeout, Self::connect(settings, line)).await.unwrap_or_else(too_late)
    }

    async fn connect(settings: &Settings, line: &Line) -> Result<Self, Lost> {
        let (connection, in_flight) = Connection::open(settings).await?;
        let (status, metrics) = (line.status.subscribe(), line.metrics.subscribe());
        let allowed = usize::from(in_flight.unwrap_or(u16::MAX));
        let mut session = Self { connection, span: allowed.min(settings.window.into()).max(1), status, metrics };
        let latest = session.status.borrow_and_update().clone();
        session.announce(settings, latest.unwrap_or_else(|| settings.status("online"))).await?;
        Ok(session)
    }

    /// Publishes the status, retained, and waits for its acknowledgement. Nothing else is on its way meanwhile.
    async fn announce(&mut self, settings: &Settings, payload: Vec<u8>) -> Result<(), Lost> {
        let record = Record { topic: settings.topics.status(), payload, news: None };
        if self.connection.publish(&record, Manner::ANNOUNCEMENT, ANNOUNCEMENT_ID) != Offer::Taken {
            return Ok(());
        }
        loop {
            match self.connection.next()? {
                Some(Event::Acknowledged(ANNOUNCEMENT_ID, None)) => return Ok(()),
                Some(Event::Acknowledged(ANNOUNCEMENT_ID, Some(reason))) => {
                    tracing::warn!(topic = %record.topic, %reason, "MQTT status not published");
                    return Ok(());
                }
                Some(_) => {}
                None => self.connection.stir().await?,
            }
        }
    }

    /// Says how the sensor is, if that is new.
    pub(super) fn post_status(&mut self, settings: &Settings) {
        let latest = self.status.borrow_and_update().clone();
        self.post(settings.topics.status(), latest, Manner::STATUS);
    }

    /// Says what was counted.
    pub(super) fn post_metrics(&mut self, settings: &Settings) {
        let latest = self.metrics.borrow_and_update().clone();
        self.post(settings.topics.metrics(), latest, Manner::METRICS);
    }

    /// Sends something that the broker need not acknowledge.
    fn post(&mut self, topic: String, payload: Option<Vec<u8>>, manner: Manner) {
        if let Some(payload) = payload
            && let Offer::Impossible(reason) =
                self.connection.publish(&Record { topic, payload, news: None }, manner, 0)
        {
            tracing::debug!(%reason, "MQTT message not sent");
        }
    }

    /// Leaves in order, if that can be done in time. Every record has been acknowledged by now, so nothing is lost if the
    /// broker is gone: it then publishes the last will.
    pub(super) async fn goodbye(&mut self, settings: &Settings, until: Instant) {
        let leave = async {
            self.announce(settings, settings.status("offline")).await?;
            self.connection.disconnect();
            while !self.connection.is_flushed() {
                self.connection.stir().await?;
            }
            Ok::<(), Lost>(())
        };
        let reason = match timeout_at(until, leave).await {
            Ok(Ok(())) => return,
            Ok(Err(lost)) => lost.reason,
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(broker = %settings.broker, %reason, "MQTT connection not closed in order");
    }
}

/// The packet identifier of announcements, which no record has.
const ANNOUNCEMENT_ID: u16 = u16::MAX;
