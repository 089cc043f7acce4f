//! What a protocol must offer to be generated.

use std::collections::BTreeMap;

use clap::ValueEnum;

use super::Settings;
use super::modbus::Modbus;
use super::random::Random;
use super::rtu::Rtu;

/// What is spoken: name and framing of a row of the registry. Another protocol is another variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Speech {
    /// Modbus/TCP, or Modbus/UDP with UDP.
    #[value(name = "modbus/tcp")]
    ModbusTcp,
    /// Modbus RTU over TCP or UDP.
    #[value(name = "modbus/rtu")]
    ModbusRtu,
}

impl Speech {
    pub(super) fn application(self, settings: &Settings) -> Box<dyn Application> {
        let modbus = Modbus::new(settings.exceptions, settings.violations);
        match self {
            Self::ModbusTcp => Box::new(modbus),
            Self::ModbusRtu => Box::new(Rtu::new(modbus)),
        }
    }
}

/// A client and a server of one protocol. The server knows nothing but the request: so requests can wait in line.
pub(super) trait Application {
    /// Port of the server.
    fn port(&self) -> u16;

    /// Appends the next request. Protocols that open a session do so in their first turns.
    fn request(&mut self, turn: Turn, random: &mut Random, out: &mut Vec<u8>);

    /// Appends the answer to a request.
    fn reply(&mut self, request: &[u8], random: &mut Random, out: &mut Vec<u8>);

    /// What was sent so far.
    fn tally(&self) -> Tally;
}

/// Whose turn it is.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    /// Requests that this flow has sent before.
    pub(super) number: u32,
}

/// What was sent, with the keys of `--stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Requests by function code.
    pub(crate) requests: BTreeMap<String, u64>,
    /// Answers by function code, exceptions included.
    pub(crate) responses: BTreeMap<String, u64>,
    /// Exceptions as `function:code`.
    pub(crate) exceptions: BTreeMap<String, u64>,
    /// Requests that the policy does not permit.
    pub(crate) violations: u64,
}
