//! Modbus.
use alloc::boxed::Box;

use crate::dissector::{Dissector, Limits, Probe, Protocol, Transport};

fn probe(_transport: Transport, _bytes: &[u8]) -> Probe {
    Probe::No
}
fn open(_transport: Transport, _limits: &Limits) -> Box<dyn Dissector> {
    unimplemented!()
}
/// Modbus/TCP.
pub static TCP: Protocol = Protocol {
    name: "modbus",
    framing: "tcp",
    title: "Modbus/TCP",
    transports: &[Transport::Tcp, Transport::Udp],
    ports: &[502],
    max_frame: 260,
    min_frame: 8,
    probe,
    open,
    pdu_groups: &[],
    functions: &[],
};
/// Modbus RTU over TCP.
pub static RTU: Protocol = Protocol {
    name: "modbus",
    framing: "rtu",
    title: "Modbus RTU over TCP or UDP",
    transports: &[Transport::Tcp, Transport::Udp],
    ports: &[],
    max_frame: 256,
    min_frame: 4,
    probe,
    open,
    pdu_groups: &[],
    functions: &[],
};
