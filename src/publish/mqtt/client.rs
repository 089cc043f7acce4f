//! The MQTT library behind one small face: both protocol versions, errors in words.
//!
//! No type of the library leaves this file.

use std::io;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::v5::mqttbytes::v5 as packet5;
use rumqttc::{self as v3, v5};
use rumqttc::{NetworkOptions, Outgoing};

use super::Settings;
use super::url::Version;
use super::window::{Offer, Record};

/// Where messages are handed over.
pub(super) struct Outbox {
    sender: Sender,
    /// Largest packet that the broker takes, bytes.
    pub(super) largest: Option<u32>,
}

enum Sender {
    V3(v3::AsyncClient),
    V5(v5::AsyncClient),
}

/// How a message is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The broker answers (QoS 1), or it does not (QoS 0).
    acknowledged: bool,
    /// The broker keeps it for whoever subscribes later.
    retain: bool,
}

impl Manner {
    /// An alert.
    pub(super) const RECORD: Self = Self { acknowledged: true, retain: false };
    /// That the sensor is there, or leaves.
    pub(super) const ANNOUNCEMENT: Self = Self { acknowledged: true, retain: true };
    /// How the sensor is. The next one replaces it, and a new connection begins with an announcement, so that nothing
    /// has to be remembered of it.
    pub(super) const STATUS: Self = Self { acknowledged: false, retain: true };
    /// What was counted, until the next time.
    pub(super) const METRICS: Self = Self { acknowledged: false, retain: false };
}

/// Where it is heard what becomes of them.
pub(super) enum Events {
    /// MQTT 3.1.1.
    V3(Box<v3::EventLoop>),
    /// MQTT 5.
    V5(Box<v5::EventLoop>),
}

/// What the connection tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The broker let us in.
    Connected {
        /// Messages that it wants unacknowledged at most, if it says so.
        in_flight: Option<u16>,
        /// Largest packet that it takes, bytes, if it says so.
        largest: Option<u32>,
    },
    /// The oldest message handed over was sent under this packet identifier.
    Sent(u16),
    /// The broker took a message, or refused it for this reason.
    Acknowledged(u16, Option<String>),
    /// We said goodbye.
    Closed,
    /// Anything else.
    Other,
}

/// A client for one connection: nothing of it survives that. Connects when [`Events::next`] is first called.
pub(super) fn open(settings: &Settings) -> (Outbox, Events) {
    let capacity = usize::from(settings.window) + SPARE;
    match settings.broker.version {
        Version::V3 => {
            let (client, mut events) = v3::AsyncClient::new(options3(settings), capacity);
            events.network_options = network(settings);
            (Outbox { sender: Sender::V3(client), largest: Some(MAX_PACKET) }, Events::V3(Box::new(events)))
        }
        Version::V5 => {
            let (client, events) = v5::AsyncClient::new(options5(settings), capacity);
            (Outbox { sender: Sender::V5(client), largest: None }, Events::V5(Box::new(events)))
        }
    }
}

/// An alert is not held back until the one before it has been acknowledged by the other end's TCP, which may take 40 ms.
fn network(settings: &Settings) -> NetworkOptions {
    let mut options = NetworkOptions::new();
    options.set_connection_timeout(seconds(settings.connect_timeout));
    options.set_tcp_nodelay(true);
    options
}

fn options3(settings: &Settings) -> v3::MqttOptions {
    let mut options = v3::MqttOptions::new(settings.client_id(), &settings.broker.host, settings.broker.port);
    let (topic, offline) = (settings.topics.status(), settings.status("offline"));
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_max_packet_size(MAX_PACKET as usize, MAX_PACKET as usize)
        // One more than our own window, so that packet identifiers cannot collide.
        .set_inflight(settings.window.saturating_add(1))
        .set_last_will(v3::LastWill::new(topic, offline, v3::QoS::AtLeastOnce, true));
    if let Some(credentials) = &settings.credentials {
        options.set_credentials(&credentials.user, &credentials.password);
    }
    options
}

fn options5(settings: &Settings) -> v5::MqttOptions {
    let mut options = v5::MqttOptions::new(settings.client_id(), &settings.broker.host, settings.broker.port);
    let (topic, offline) = (settings.topics.status(), settings.status("offline"));
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_connection_timeout(seconds(settings.connect_timeout))
        .set_network_options(network(settings))
        .set_max_packet_size(Some(MAX_PACKET))
        .set_outgoing_inflight_upper_limit(settings.window.saturating_add(1))
        .set_last_will(packet5::LastWill::new(topic, offline, QoS5::AtLeastOnce, true, None));
    if let Some(credentials) = &settings.credentials {
        options.set_credentials(&credentials.user, &credentials.password);
    }
    options
}

impl Outbox {
    /// Hands a message over, without waiting.
    pub(super) fn publish(&self, record: &Record, manner: Manner) -> Offer {
        let Record { topic, payload, .. } = record;
        let size = topic.len() + payload.len() + PACKET_OVERHEAD;
        if let Some(largest) = self.largest.filter(|largest| size > *largest as usize) {
            return Offer::Impossible(format!("a record of {size} bytes exceeds the broker's limit of {largest}"));
        }
        let retain = manner.retain;
        let taken = match &self.sender {
            Sender::V3(client) => {
                let qos = if manner.acknowledged { v3::QoS::AtLeastOnce } else { v3::QoS::AtMostOnce };
                client.try_publish(topic, qos, retain, payload.as_slice()).is_ok()
            }
            Sender::V5(client) => {
                let qos = if manner.acknowledged { QoS5::AtLeastOnce } else { QoS5::AtMostOnce };
                client.try_publish_with_properties(topic, qos, retain, payload.clone(), json_properties()).is_ok()
            }
        };
        if taken { Offer::Taken } else { Offer::Full }
    }

    /// Asks for an orderly end of the connection.
    pub(super) fn disconnect(&self) -> bool {
        match &self.sender {
            Sender::V3(client) => client.try_disconnect().is_ok(),
            Sender::V5(client) => client.try_disconnect().is_ok(),
        }
    }
}

/// Says that the payload is JSON (MQTT 5, section 3.3.2.3).
fn json_properties() -> packet5::PublishProperties {
    packet5::PublishProperties {
        payload_format_indicator: Some(1),
        content_type: Some("application/json".to_owned()),
        ..packet5::PublishProperties::default()
    }
}

impl Events {
    /// Waits for the next event. The error says in words why the connection is gone. Not to be dropped half-way while
    /// messages are on their way: a packet could be cut in the middle.
    pub(super) async fn next(&mut self) -> Result<Event, String> {
        match self {
            Self::V3(events) => events.poll().await.map(|event| event3(&event)).map_err(|error| reason3(&error)),
            Self::V5(events) => events.poll().await.map(|event| event5(&event)).map_err(|error| reason5(&error)),
        }
    }
}

fn event3(event: &v3::Event) -> Event {
    match event {
        v3::Event::Incoming(v3::Packet::ConnAck(_)) => Event::Connected { in_flight: None, largest: Some(MAX_PACKET) },
        v3::Event::Incoming(v3::Packet::PubAck(ack)) => Event::Acknowledged(ack.pkid, None),
        v3::Event::Outgoing(outgoing) => outgoing_event(outgoing),
        v3::Event::Incoming(_) => Event::Other,
    }
}

fn event5(event: &v5::Event) -> Event {
    match event {
        v5::Event::Incoming(packet5::Packet::ConnAck(ack)) => {
            let properties = ack.properties.as_ref();
            Event::Connected {
                in_flight: properties.and_then(|properties| properties.receive_max),
                largest: properties.and_then(|properties| properties.max_packet_size),
            }
        }
        v5::Event::Incoming(packet5::Packet::PubAck(ack)) => Event::Acknowledged(ack.pkid, refusal(ack.reason)),
        v5::Event::Outgoing(outgoing) => outgoing_event(outgoing),
        v5::Event::Incoming(_) => Event::Other,
    }
}

const fn outgoing_event(outgoing: &Outgoing) -> Event {
    match outgoing {
        // Without an acknowledgement there is no packet identifier.
        Outgoing::Publish(0) => Event::Other,
        Outgoing::Publish(id) => Event::Sent(*id),
        Outgoing::Disconnect => Event::Closed,
        _ => Event::Other,
    }
}

/// Reason codes of PUBACK from 0x80 on are refusals (MQTT 5, section 3.4.2.1); the library counts them as done.
fn refusal(reason: packet5::PubAckReason) -> Option<String> {
    use packet5::PubAckReason as Reason;
    match reason {
        Reason::Success | Reason::NoMatchingSubscribers => None,
        Reason::NotAuthorized => Some("refused: not authorised to publish on this topic".to_owned()),
        Reason::QuotaExceeded => Some("refused: quota exceeded".to_owned()),
        other => Some(format!("refused: {other:?}")),
    }
}

fn reason3(error: &v3::ConnectionError) -> String {
    use v3::{ConnectReturnCode as Code, ConnectionError as Error};
    match error {
        Error::Io(error) | Error::MqttState(v3::StateError::Io(error)) => of_io(error),
        Error::NetworkTimeout | Error::FlushTimeout => NO_ANSWER.to_owned(),
        Error::ConnectionRefused(Code::BadUserNamePassword | Code::NotAuthorized) => NOT_AUTHORISED.to_owned(),
        Error::ConnectionRefused(code) => format!("the broker refuses the connection: {code:?}"),
        other => other.to_string(),
    }
}

fn reason5(error: &v5::ConnectionError) -> String {
    use packet5::ConnectReturnCode as Code;
    use v5::ConnectionError as Error;
    match error {
        Error::Io(error) | Error::MqttState(v5::StateError::Io(error)) => of_io(error),
        Error::MqttState(v5::StateError::ConnectionAborted) => CLOSED.to_owned(),
        Error::Timeout(_) => NO_ANSWER.to_owned(),
        Error::ConnectionRefused(Code::BadUserNamePassword | Code::NotAuthorized) => NOT_AUTHORISED.to_owned(),
        Error::ConnectionRefused(Code::UnsupportedProtocolVersion | Code::RefusedProtocolVersion) => {
            "the broker does not speak MQTT 5: append ?version=3.1.1 to the URL".to_owned()
        }
        Error::ConnectionRefused(code) => format!("the broker refuses the connection: {code:?}"),
        other => other.to_string(),
    }
}

fn of_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: no broker listens there".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::UnexpectedEof => {
            CLOSED.to_owned()
        }
        _ => error.to_string(),
    }
}

const fn seconds(duration: Duration) -> u64 {
    if duration.as_secs() == 0 { 1 } else { duration.as_secs() }
}

/// Also the longest time in which a silently dead connection is noticed, twice over.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Largest packet in either direction, bytes. The library's own default is 10 KiB, which a large record exceeds.
const MAX_PACKET: u32 = 1024 * 1024;
/// Fixed header, packet identifier and properties of a PUBLISH, generously.
const PACKET_OVERHEAD: usize = 64;
/// Requests that the client takes beyond the window: status and goodbye.
const SPARE: usize = 4;
const CLOSED: &str = "the broker closed the connection";
const NO_ANSWER: &str = "no answer in time";
const NOT_AUTHORISED: &str = "not authorised: check LOCKKEEPER_MQTT_USER and LOCKKEEPER_MQTT_PASSWORD";
