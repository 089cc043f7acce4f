//! A connection on which the sensor has announced itself, with the topics `status` and `metrics`.

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{Connection, Lost};
use super::packets::{Event, Manner};
use super::settings::Settings;
use super::shared::Shared;
use super::window::{Offer, Record};

/// A connection that is ready for records.
pub(super) struct Session {
    pub(super) connection: Connection,
    /// Records in flight, at most.
    pub(super) in_flight: usize,
    pub(super) status: LatestPayload,
    pub(super) metrics: LatestPayload,
}

/// The latest payload of a topic; a new one replaces it.
type LatestPayload = watch::Receiver<Option<Vec<u8>>>;

impl Session {
    /// Connects and announces the sensor. Returns when the broker has acknowledged the announcement.
    pub(super) async fn open(settings: &Settings, shared: &Shared) -> Result<Self, Lost> {
        let seconds = settings.connect_timeout.as_secs_f32();
        let too_late = |_elapsed| Err(format!("no answer within {seconds} s").into());
        timeout(settings.connect_timeout, Self::connect(settings, shared)).await.unwrap_or_else(too_late)
    }

    async fn connect(settings: &Settings, shared: &Shared) -> Result<Self, Lost> {
        let (connection, receive_maximum) = Connection::open(settings).await?;
        let (status, metrics) = (shared.status.subscribe(), shared.metrics.subscribe());
        let allowed = usize::from(receive_maximum.unwrap_or(u16::MAX));
        let mut session = Self { connection, in_flight: allowed.min(settings.window.into()).max(1), status, metrics };
        let latest = session.status.borrow_and_update().clone();
        session.announce(settings, latest.unwrap_or_else(|| settings.status("online"))).await?;
        Ok(session)
    }

    /// Publishes the status, retained, and waits for its acknowledgement. No record is in flight meanwhile.
    async fn announce(&mut self, settings: &Settings, payload: Vec<u8>) -> Result<(), Lost> {
        let record = Record { topic: settings.topics.status(), payload, latency_start: None };
        if self.connection.publish(&record, Manner::ANNOUNCEMENT, ANNOUNCEMENT_ID) != Offer::Taken {
            return Ok(());
        }
        loop {
            match self.connection.next_event()? {
                Some(Event::Acknowledged(ANNOUNCEMENT_ID, None)) => return Ok(()),
                Some(Event::Acknowledged(ANNOUNCEMENT_ID, Some(reason))) => {
                    tracing::warn!(topic = %record.topic, %reason, "MQTT status not published");
                    return Ok(());
                }
                Some(_) => {}
                None => self.connection.transfer().await?,
            }
        }
    }

    /// Publishes the latest status.
    pub(super) fn send_status(&mut self, settings: &Settings) {
        let latest = self.status.borrow_and_update().clone();
        self.send(settings.topics.status(), latest, Manner::STATUS);
    }

    /// Publishes the latest metrics.
    pub(super) fn send_metrics(&mut self, settings: &Settings) {
        let latest = self.metrics.borrow_and_update().clone();
        self.send(settings.topics.metrics(), latest, Manner::METRICS);
    }

    /// Sends a message without a packet identifier (QoS 0).
    fn send(&mut self, topic: String, payload: Option<Vec<u8>>, manner: Manner) {
        if let Some(payload) = payload
            && let Offer::Impossible(reason) =
                self.connection.publish(&Record { topic, payload, latency_start: None }, manner, 0)
        {
            tracing::debug!(%reason, "MQTT message not sent");
        }
    }

    /// Publishes `offline` and disconnects, if that can be done by `until`. Every record has been acknowledged before, so
    /// that nothing is lost otherwise: the broker then publishes the last will.
    pub(super) async fn disconnect(&mut self, settings: &Settings, until: Instant) {
        let leave = async {
            self.announce(settings, settings.status("offline")).await?;
            self.connection.disconnect();
            while !self.connection.is_flushed() {
                self.connection.transfer().await?;
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
