//! Reason codes of a broker (MQTT 5, section 2.4), and how the client reacts to them.

use std::fmt;

/// Why a broker refused a packet or ended a connection: a reason code of 0x80 or more, or 0x00 if it gave none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reason(pub(super) u8);

impl Reason {
    /// The reason for which a PUBACK refuses a record; `None` if it accepts it. 0x10 accepts it without subscribers.
    pub(super) const fn from_puback(code: u8) -> Option<Self> {
        if code < FIRST_FAILURE { None } else { Some(Self(code)) }
    }

    /// Whether the broker may accept the same record later: its state is the reason, not the record.
    ///
    /// Section 3.4.2.1 has nine codes for PUBACK. Not authorized, Topic Name invalid and Payload format invalid are about the
    /// record, as is Packet too large, which mosquitto sends. A code that the specification does not define counts as
    /// permanent, so that it cannot hold up the records behind it.
    pub(super) const fn is_transient(self) -> bool {
        matches!(self.0, UNSPECIFIED | IMPLEMENTATION | SERVER_BUSY | ID_IN_USE | RECEIVE_MAXIMUM | RATE | QUOTA)
    }

    /// Whether a DISCONNECT with this reason is about a packet of the client: the same packet would end the next connection.
    pub(super) const fn blames_a_packet(self) -> bool {
        matches!(self.0, 0x81 | 0x82 | NOT_AUTHORIZED | 0x90 | 0x94 | 0x95 | 0x99 | 0x9A | 0x9B)
    }

    /// The description in the specification.
    const fn description(self) -> Option<&'static str> {
        Some(match self.0 {
            0x00 => "normal disconnection",
            UNSPECIFIED => "unspecified error",
            0x81 => "malformed packet",
            0x82 => "protocol error",
            IMPLEMENTATION => "implementation specific error",
            0x84 => "unsupported protocol version",
            0x85 => "client identifier not valid",
            0x86 => "bad user name or password",
            NOT_AUTHORIZED => "not authorized",
            0x88 => "server unavailable",
            SERVER_BUSY => "server busy",
            0x8A => "banned",
            0x8B => "server shutting down",
            0x8C => "bad authentication method",
            0x8D => "keep alive timeout",
            0x8E => "session taken over by another client of the same id",
            0x90 => "topic name invalid",
            ID_IN_USE => "packet identifier in use",
            RECEIVE_MAXIMUM => "receive maximum exceeded",
            0x94 => "topic alias invalid",
            0x95 => "packet too large",
            RATE => "message rate too high",
            QUOTA => "quota exceeded",
            0x98 => "administrative action",
            0x99 => "payload format invalid",
            0x9A => "retain not supported",
            0x9B => "QoS not supported",
            0x9C => "use another server",
            0x9D => "server moved",
            0x9F => "connection rate exceeded",
            0xA0 => "maximum connect time",
            _ => return None,
        })
    }
}

/// The description and the number.
impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(code) = self;
        match self.description() {
            Some(description) => write!(formatter, "{description} (0x{code:02X})"),
            None => write!(formatter, "reason code 0x{code:02X}"),
        }
    }
}

/// The lowest code of a failure (section 2.4).
const FIRST_FAILURE: u8 = 0x80;
const UNSPECIFIED: u8 = 0x80;
const IMPLEMENTATION: u8 = 0x83;
const NOT_AUTHORIZED: u8 = 0x87;
const SERVER_BUSY: u8 = 0x89;
const ID_IN_USE: u8 = 0x91;
const RECEIVE_MAXIMUM: u8 = 0x93;
const RATE: u8 = 0x96;
const QUOTA: u8 = 0x97;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_about_the_record_are_permanent_and_reasons_about_the_broker_are_transient() {
        let transient = |code| Reason::from_puback(code).map(Reason::is_transient);
        for code in [0x00, 0x10] {
            assert_eq!(transient(code), None, "0x{code:02X} is no refusal");
        }
        for code in [0x80, 0x83, 0x91, 0x97] {
            assert_eq!(transient(code), Some(true), "0x{code:02X}");
        }
        for code in [0x87, 0x90, 0x95, 0x99, 0xFF] {
            assert_eq!(transient(code), Some(false), "0x{code:02X}");
        }
    }

    #[test]
    fn a_reason_is_shown_with_its_description_and_number() {
        assert_eq!(Reason(0x97).to_string(), "quota exceeded (0x97)");
        assert_eq!(Reason(0xF0).to_string(), "reason code 0xF0");
    }
}
