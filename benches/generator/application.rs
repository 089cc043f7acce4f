//! The interface of a generated protocol.

use std::collections::BTreeMap;

use clap::ValueEnum;

use super::modbus::Modbus;
use super::opcua::{BULK, HISTORIAN, OpcUa, PANEL};
use super::random::Random;
use super::rtu::Rtu;
use super::s7::S7;
use super::{MAX_SEGMENT, Settings};

/// The protocol or mixture of protocols of a capture. Another protocol is another variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Speech {
    /// Modbus/TCP, or Modbus/UDP with UDP.
    #[value(name = "modbus/tcp")]
    ModbusTcp,
    /// Modbus RTU over TCP or UDP.
    #[value(name = "modbus/rtu")]
    ModbusRtu,
    /// S7comm over ISO transport.
    #[value(name = "s7comm")]
    S7comm,
    /// OPC UA over TCP: bulk reads in full segments.
    #[value(name = "opcua")]
    OpcUa,
    /// OPC UA over TCP of historians: 600 nodes in a message, read in many full segments.
    #[value(name = "opcua/historian")]
    OpcUaHistorian,
    /// OPC UA over TCP of operator panels: subscriptions that report some values, reads and writes of few nodes.
    #[value(name = "opcua/panel")]
    OpcUaPanel,
    /// Modbus/TCP, S7comm and OPC UA, a third of the flows each.
    #[value(name = "mix")]
    Mix,
}

impl Speech {
    /// The single protocols, assigned to the flows in turn.
    pub(crate) const fn parts(self) -> &'static [Self] {
        match self {
            Self::ModbusTcp => &[Self::ModbusTcp],
            Self::ModbusRtu => &[Self::ModbusRtu],
            Self::S7comm => &[Self::S7comm],
            Self::OpcUa => &[Self::OpcUa],
            Self::OpcUaHistorian => &[Self::OpcUaHistorian],
            Self::OpcUaPanel => &[Self::OpcUaPanel],
            Self::Mix => &[Self::ModbusTcp, Self::S7comm, Self::OpcUa],
        }
    }

    /// Whether it is Modbus, which also runs over UDP and has registers for the points of a policy.
    pub(crate) const fn is_modbus(self) -> bool {
        matches!(self, Self::ModbusTcp | Self::ModbusRtu)
    }

    /// The name of a part's protocol in policies and `--stats`.
    pub(crate) const fn protocol(self) -> &'static str {
        self.row().0
    }

    /// Name and framing of the row of the registry that decodes it; for a mixture, its first part.
    pub(crate) const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::ModbusTcp | Self::Mix => ("modbus", "tcp"),
            Self::ModbusRtu => ("modbus", "rtu"),
            Self::S7comm => ("s7comm", "iso-on-tcp"),
            Self::OpcUa | Self::OpcUaHistorian | Self::OpcUaPanel => ("opcua", "tcp"),
        }
    }

    /// The application of a part.
    pub(super) fn application(self, settings: &Settings) -> Box<dyn Application> {
        let (exceptions, violations) = (settings.exceptions, settings.violations);
        match self {
            Self::ModbusTcp | Self::Mix => Box::new(Modbus::new(exceptions, violations)),
            Self::ModbusRtu => Box::new(Rtu::new(Modbus::new(exceptions, violations))),
            Self::S7comm => Box::new(S7::new(exceptions, violations)),
            Self::OpcUa => Box::new(OpcUa::new(&BULK, exceptions, violations)),
            Self::OpcUaHistorian => Box::new(OpcUa::new(&HISTORIAN, exceptions, violations)),
            Self::OpcUaPanel => Box::new(OpcUa::new(&PANEL, exceptions, violations)),
        }
    }
}

/// A client and a server of one protocol. A response depends only on the flow and the request, so that requests can be
/// pipelined.
pub(super) trait Application {
    /// Port of the server.
    fn port(&self) -> u16;

    /// Turns that open a session: each is answered before the next, even if later requests are pipelined.
    fn opening(&self) -> u32 {
        0
    }

    /// Largest payload of a segment, bytes.
    fn segment(&self) -> usize {
        MAX_SEGMENT
    }

    /// Segments of the longest request or response. Messages that open a session take one.
    fn most_segments(&self) -> u64 {
        1
    }

    /// Appends the next request. Protocols that open a session do so in their first turns.
    fn request(&mut self, turn: Turn, random: &mut Random, out: &mut Vec<u8>);

    /// Appends the response to a request of a flow.
    fn reply(&mut self, flow: usize, request: &[u8], random: &mut Random, out: &mut Vec<u8>);

    /// Counts of the messages sent so far.
    fn tally(&self) -> Tally;
}

/// The flow and the number of the next request.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    /// Number of the flow, from 0.
    pub(super) flow: usize,
    /// Requests that the flow has sent before.
    pub(super) number: u32,
}

/// Counts of sent messages, with the keys of `--stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// PDUs: the members of `pdus.<protocol>` that the application counts, each by its keys.
    pub(crate) pdus: BTreeMap<&'static str, BTreeMap<String, u64>>,
    /// Requests that the policy does not permit.
    pub(crate) violations: u64,
}
