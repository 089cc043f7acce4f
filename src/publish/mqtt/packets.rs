//! MQTT packets as bytes, in both versions: those that a publisher sends, and those that a broker answers with.
//!
//! The library encodes packets and decodes the properties of CONNACK; none of its types leaves this file. PUBACK and
//! DISCONNECT are decoded here, because the library treats a reason code that it does not know as a malformed packet, and
//! mosquitto refuses with such a code (0x95). Its event loop is not used: it ends the connection at an unexpected
//! acknowledgement.

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{self, QoS as QoS3, v4 as packet3};
use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::v5::mqttbytes::v5 as packet5;

use super::reason::Reason;
use super::settings::Settings;
use super::url::Version;
use super::window::Record;

/// QoS and retention of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The broker acknowledges it (QoS 1), or not (QoS 0).
    acknowledged: bool,
    /// The broker keeps it for clients that subscribe later.
    retain: bool,
}

impl Manner {
    /// An alert.
    pub(super) const RECORD: Self = Self { acknowledged: true, retain: false };
    /// The sensor has connected, or leaves.
    pub(super) const ANNOUNCEMENT: Self = Self { acknowledged: true, retain: true };
    /// The sensor's state. The next one replaces it, and a new connection begins with an announcement, so that a lost one
    /// need not be sent again.
    pub(super) const STATUS: Self = Self { acknowledged: false, retain: true };
    /// The sensor's counters, until the next time.
    pub(super) const METRICS: Self = Self { acknowledged: false, retain: false };
}

/// A packet from the broker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// CONNACK: it accepts the client, on these terms.
    Connected(Terms),
    /// CONNACK: it refuses the client, for this reason.
    Refused(String),
    /// PUBACK: it accepts the message with this packet identifier, or refuses it.
    Acknowledged(u16, Option<Reason>),
    /// DISCONNECT: it ends the connection.
    Disconnected(Reason),
    /// Any other packet, such as PINGRESP.
    Other,
}

/// The limits that a broker sets for a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    /// Messages that may be unacknowledged at once.
    pub(super) receive_maximum: Option<u16>,
    /// Size of the largest packet that it accepts, bytes.
    pub(super) largest: Option<u32>,
    /// Longest silence of the client, seconds; 0 is no limit.
    pub(super) keep_alive: Option<u16>,
}

/// Appends CONNECT: a clean session, with `offline` as the last will.
pub(super) fn connect(settings: &Settings, out: &mut BytesMut) -> Result<(), String> {
    let (id, topic, offline) = (settings.client_id(), settings.topics.status(), settings.status("offline"));
    let keep_alive = u16::try_from(settings.keep_alive.as_secs()).unwrap_or(u16::MAX).max(1);
    let credentials = settings.credentials.as_ref();
    match settings.broker.version {
        Version::V3 => {
            let packet = packet3::Connect {
                keep_alive,
                last_will: Some(packet3::LastWill::new(topic, offline, QoS3::AtLeastOnce, true)),
                login: credentials.map(|login| packet3::Login::new(&login.user, &login.password)),
                ..packet3::Connect::new(id)
            };
            packet.write(out).map_err(|error| error.to_string())?;
        }
        Version::V5 => {
            let largest = packet5::ConnectProperties { max_packet_size: Some(MAX_PACKET), ..Default::default() };
            let packet = packet5::Connect { keep_alive, client_id: id, clean_start: true, properties: Some(largest) };
            let will = packet5::LastWill::new(topic, offline, QoS5::AtLeastOnce, true, None);
            let login = credentials.map(|login| packet5::Login::new(&login.user, &login.password));
            packet.write(&Some(will), &login, out).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Appends PUBLISH. The packet identifier of an acknowledged message must not be 0.
pub(super) fn publish(
    version: Version,
    record: &Record,
    manner: Manner,
    id: u16,
    out: &mut BytesMut,
) -> Result<(), String> {
    let Record { topic, payload, .. } = record;
    let payload = Bytes::copy_from_slice(payload);
    match version {
        Version::V3 => {
            let qos = if manner.acknowledged { QoS3::AtLeastOnce } else { QoS3::AtMostOnce };
            let mut packet = packet3::Publish::from_bytes(topic, qos, payload);
            (packet.pkid, packet.retain) = (id, manner.retain);
            packet.write(out).map_err(|error| error.to_string())?;
        }
        Version::V5 => {
            let qos = if manner.acknowledged { QoS5::AtLeastOnce } else { QoS5::AtMostOnce };
            let mut packet = packet5::Publish::new(topic, qos, payload, Some(json_properties()));
            (packet.pkid, packet.retain) = (id, manner.retain);
            packet.write(out).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// The properties of a JSON payload (MQTT 5, section 3.3.2.3).
fn json_properties() -> packet5::PublishProperties {
    packet5::PublishProperties {
        payload_format_indicator: Some(1),
        content_type: Some("application/json".to_owned()),
        ..packet5::PublishProperties::default()
    }
}

/// Appends PINGREQ.
pub(super) fn ping(out: &mut BytesMut) {
    out.extend_from_slice(&[0xC0, 0]);
}

/// Appends DISCONNECT: the broker discards the last will. The same bytes in both versions.
pub(super) fn disconnect(out: &mut BytesMut) {
    out.extend_from_slice(&[0xE0, 0]);
}

/// Takes the next packet from a stream; `None` if it is not complete yet. An error, for people, ends the stream.
pub(super) fn next(version: Version, stream: &mut BytesMut) -> Result<Option<Event>, String> {
    let length = match mqttbytes::check(stream.iter(), MAX_PACKET as usize) {
        Ok(header) => header.frame_length(),
        Err(mqttbytes::Error::InsufficientBytes(_)) => return Ok(None),
        Err(error) => return Err(malformed(&error)),
    };
    let frame = stream.split_to(length);
    let length_bytes = frame.iter().skip(1).take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let body = frame.get(1 + length_bytes..).unwrap_or_default();
    // The type is in the upper half of the first byte (section 2.1.2).
    match (frame.first().map(|first| first >> 4), body) {
        (Some(2), [_, 0, ..]) => connected(version, body.len(), frame.clone()).map(Some),
        (Some(2), [_, code, ..]) => Ok(Some(Event::Refused(connack_refusal(version, *code)))),
        // A PUBACK of two bytes means success (section 3.4.2.1).
        (Some(4), [high, low, rest @ ..]) => {
            let code = rest.first().copied().unwrap_or(0);
            Ok(Some(Event::Acknowledged(u16::from_be_bytes([*high, *low]), Reason::from_puback(code))))
        }
        (Some(2 | 4), _) => Err(malformed(&"it is too short")),
        (Some(14), rest) => Ok(Some(Event::Disconnected(Reason(rest.first().copied().unwrap_or(0))))),
        _ => Ok(Some(Event::Other)),
    }
}

/// The terms in a CONNACK that accepts the client, whose body has `body` bytes.
fn connected(version: Version, body: usize, mut frame: BytesMut) -> Result<Event, String> {
    // A CONNACK of MQTT 3.1.1 has no properties. A broker may send one in answer to MQTT 5.
    if version == Version::V3 || body == 2 {
        return Ok(Event::Connected(Terms { largest: Some(MAX_PACKET), ..Terms::default() }));
    }
    let read = packet5::Packet::read(&mut frame, None).map_err(|error| malformed(&error))?;
    let packet5::Packet::ConnAck(packet5::ConnAck { properties, .. }) = read else { return Ok(Event::Other) };
    let Some(properties) = properties else { return Ok(Event::Connected(Terms::default())) };
    if properties.max_qos == Some(0) {
        return Ok(Event::Refused("the broker takes no messages of QoS 1, and delivers none for certain".to_owned()));
    }
    Ok(Event::Connected(Terms {
        receive_maximum: properties.receive_max,
        largest: properties.max_packet_size,
        keep_alive: properties.server_keep_alive,
    }))
}

/// Why a broker refused CONNECT: a return code of MQTT 3.1.1 (section 3.2.2.3) or a reason code of MQTT 5.
fn connack_refusal(version: Version, code: u8) -> String {
    match (version, code) {
        (_, 4 | 5 | 0x86 | 0x87) => NOT_AUTHORISED.to_owned(),
        (Version::V5, 1 | 0x84) => "the broker does not speak MQTT 5: append ?version=3.1.1 to the URL".to_owned(),
        (_, 1) => "the broker refuses the connection: unsupported protocol version".to_owned(),
        (_, 2) => "the broker refuses the connection: client identifier not valid".to_owned(),
        (_, 3) => "the broker refuses the connection: server unavailable".to_owned(),
        (_, code) => format!("the broker refuses the connection: {}", Reason(code)),
    }
}

fn malformed(problem: &dyn std::fmt::Display) -> String {
    format!("the broker sent what is no MQTT packet: {problem}")
}

/// Size of the largest packet in either direction, bytes, unless the broker sets a lower limit.
const MAX_PACKET: u32 = 1024 * 1024;

const NOT_AUTHORISED: &str = "not authorised: check LOCKKEEPER_MQTT_USER and LOCKKEEPER_MQTT_PASSWORD";

#[cfg(test)]
mod tests {
    use super::*;

    /// The packets of a stream.
    fn read(version: Version, bytes: &[u8]) -> Result<Vec<Event>, String> {
        let mut stream = BytesMut::from(bytes);
        std::iter::from_fn(|| next(version, &mut stream).transpose()).collect()
    }

    #[test]
    fn the_limits_of_a_broker_are_read_from_connack() {
        #[rustfmt::skip]
        let connack = [
            0x20, 14,             // CONNACK, 14 bytes follow
            0, 0,                 // no session, success
            11,                   // length of the properties
            0x21, 0x00, 0x14,     // Receive Maximum 20
            0x27, 0, 0, 0x10, 0,  // Maximum Packet Size 4096
            0x13, 0x00, 0x1E,     // Server Keep Alive 30 s
        ];
        let terms = Terms { receive_maximum: Some(20), largest: Some(4096), keep_alive: Some(30) };
        assert_eq!(read(Version::V5, &connack), Ok(vec![Event::Connected(terms)]));
    }

    #[test]
    fn puback_is_decoded_with_any_reason_code() {
        #[rustfmt::skip]
        let packets = [
            0x40, 2, 0x00, 0x01,             // PUBACK of 1, success
            0x40, 3, 0x00, 0x02, 0x10,       // of 2: no matching subscribers
            0x40, 4, 0x00, 0x03, 0x95, 0,    // of 3: packet too large, no properties
            0x40, 3, 0x00, 0x04, 0xEE,       // of 4: an undefined code
            0xD0, 0,                         // PINGRESP
            0xE0, 1, 0x97,                   // DISCONNECT: quota exceeded
        ];
        let expected = vec![
            Event::Acknowledged(1, None),
            Event::Acknowledged(2, None),
            Event::Acknowledged(3, Some(Reason(0x95))),
            Event::Acknowledged(4, Some(Reason(0xEE))),
            Event::Other,
            Event::Disconnected(Reason(0x97)),
        ];
        assert_eq!(read(Version::V5, &packets), Ok(expected));
    }

    #[test]
    fn an_incomplete_packet_is_awaited_and_a_malformed_one_ends_the_stream() {
        let mut stream = BytesMut::from(&[0x40, 2, 0][..]);
        assert_eq!(next(Version::V5, &mut stream), Ok(None));
        stream.extend_from_slice(&[7]);
        assert_eq!(next(Version::V5, &mut stream), Ok(Some(Event::Acknowledged(7, None))));
        for wrong in
            [&[0x40, 1, 0][..], &[0x20, 1, 0], &[0x20, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], &[0x20, 5, 0, 0, 9, 0x21, 0]]
        {
            assert!(read(Version::V5, wrong).is_err_and(|error| error.contains("no MQTT packet")), "{wrong:02X?}");
        }
    }

    #[test]
    fn a_refused_connection_has_a_reason_in_either_version() {
        let cases: [(Version, &[u8], &str); 6] = [
            (Version::V3, &[0x20, 2, 0, 5], "LOCKKEEPER_MQTT_USER"),
            (Version::V5, &[0x20, 3, 0, 0x87, 0], "LOCKKEEPER_MQTT_USER"),
            (Version::V3, &[0x20, 2, 0, 3], "server unavailable"),
            (Version::V5, &[0x20, 3, 0, 0x9F, 0], "connection rate exceeded (0x9F)"),
            // A broker of MQTT 3.1.1 answers in its own version.
            (Version::V5, &[0x20, 2, 0, 1], "append ?version=3.1.1"),
            // Maximum QoS 0.
            (Version::V5, &[0x20, 5, 0, 0, 2, 0x24, 0], "QoS 1"),
        ];
        for (version, bytes, expected) in cases {
            let events = read(version, bytes).expect("readable");
            assert!(matches!(&events[..], [Event::Refused(why)] if why.contains(expected)), "{bytes:02X?}: {events:?}");
        }
    }
}
