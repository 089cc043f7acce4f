//! The operations that a decoder finds in generated traffic, with everything that judging and writing them needs.

use lockkeeper::flow::{End, FlowKey};
use lockkeeper::policy::{Carrier, FlowTuple, Host};
use lockkeeper::record::{Endpoint, OwnedOperation, OwnedTarget};
use lockkeeper_protocols::{
    Anomaly, Identity, Limits, Operation, Outcome, Protocol, RequestRef, Security, Session, Sink, Stamp, Transport,
    Values,
};

use crate::traffic::{Heard, first_of_each, flows};

/// One requested operation.
pub(crate) struct RequestedOperation {
    pub(crate) flow: usize,
    operation: OwnedOperation,
    /// Its register values as on the wire.
    registers: Vec<u8>,
    pub(crate) stamp: Stamp,
}

impl RequestedOperation {
    /// The borrowed form, as a decoder announces it.
    pub(crate) fn operation(&self) -> Operation<'_> {
        let OwnedOperation { class, function, code, ref target, .. } = self.operation;
        let OwnedTarget::Plain(target) = *target else { unreachable!("generated traffic has plain targets") };
        let values = if self.registers.is_empty() { Values::None } else { Values::Registers(&self.registers) };
        Operation { class, function, code, ambiguous: false, target, values }
    }

    /// The owned form, as an alert keeps it.
    pub(crate) fn owned(&self) -> &OwnedOperation {
        &self.operation
    }
}

/// Decodes TCP traffic of one protocol.
pub(crate) fn requested(protocol: &'static Protocol, heard: &[Heard<'_>]) -> Vec<RequestedOperation> {
    let mut collector = Collector::default();
    let mut sessions = sessions(protocol, flows(heard));
    for one in heard.iter().filter(|one| !one.payload().is_empty()) {
        collector.flow = one.flow;
        sessions[one.flow].feed_stream(one.side, one.payload(), &one.stamp, &mut collector);
    }
    collector.requested
}

/// A decoder for each conversation.
pub(crate) fn sessions(protocol: &'static Protocol, flows: usize) -> Vec<Session> {
    (0..flows).map(|_| Session::new(protocol, Transport::Tcp, &Limits::default(), false)).collect()
}

/// Both ends of each conversation, client first.
pub(crate) fn ends(heard: &[Heard<'_>]) -> Vec<[Endpoint; 2]> {
    let of_one = |one: &&Heard<'_>| {
        let (client, server) = (one.from, one.from.other());
        let [source, destination] = [one.frame.mac.map(|macs| macs.source), one.frame.mac.map(|macs| macs.destination)];
        [endpoint(&one.key, client, source), endpoint(&one.key, server, destination)]
    };
    first_of_each(heard).iter().map(of_one).collect()
}

fn endpoint(key: &FlowKey, end: End, mac: Option<[u8; 6]>) -> Endpoint {
    Endpoint { host: Host { ip: Some(key.address(end)), mac, vlan: key.vlan() }, port: key.port(end) }
}

/// The flow tuple of a conversation for the policy.
pub(crate) fn tuple([client, server]: &[Endpoint; 2]) -> FlowTuple {
    FlowTuple { client: client.host, server: server.host, transport: Carrier::Tcp, server_port: server.port }
}

/// A sink that only counts calls, so that only the decoder is timed.
#[derive(Default)]
pub(crate) struct CountingSink {
    /// Number of calls.
    pub(crate) calls: u64,
}

impl Sink for CountingSink {
    fn operation(&mut self, _: RequestRef, _: &Operation<'_>, _: &Stamp) -> bool {
        self.calls += 1;
        false
    }

    fn request_unseen(&mut self, _: RequestRef, _: &Operation<'_>, _: &Stamp) {
        self.calls += 1;
    }

    fn ended(&mut self, _: Outcome, _: u32) {
        self.calls += 1;
    }

    fn outcome(&mut self, _: RequestRef, _: &Operation<'_>, _: Outcome, _: &Stamp, _: &Stamp) {
        self.calls += 1;
    }

    fn identity(&mut self, _: &Identity<'_>, _: &Stamp) {
        self.calls += 1;
    }

    fn security(&mut self, _: &Security<'_>, _: &Stamp) {
        self.calls += 1;
    }

    fn anomaly(&mut self, _: Anomaly, _: &Stamp) {
        self.calls += 1;
    }

    fn pdu(&mut self, _: usize, _: u32) {
        self.calls += 1;
    }

    fn lost(&mut self, _: usize) {
        self.calls += 1;
    }
}

/// A sink that collects requested operations.
#[derive(Default)]
struct Collector {
    flow: usize,
    requested: Vec<RequestedOperation>,
}

impl Sink for Collector {
    fn operation(&mut self, _: RequestRef, operation: &Operation<'_>, stamp: &Stamp) -> bool {
        let registers = if let Values::Registers(bytes) = operation.values { bytes.to_vec() } else { Vec::new() };
        self.requested.push(RequestedOperation {
            flow: self.flow,
            operation: operation.into(),
            registers,
            stamp: *stamp,
        });
        false
    }

    fn request_unseen(&mut self, _: RequestRef, _: &Operation<'_>, _: &Stamp) {}

    fn outcome(&mut self, _: RequestRef, _: &Operation<'_>, _: Outcome, _: &Stamp, _: &Stamp) {}

    fn ended(&mut self, _: Outcome, _: u32) {}

    fn identity(&mut self, _: &Identity<'_>, _: &Stamp) {}

    fn security(&mut self, _: &Security<'_>, _: &Stamp) {}

    fn anomaly(&mut self, _: Anomaly, _: &Stamp) {}

    fn pdu(&mut self, _: usize, _: u32) {}

    fn lost(&mut self, _: usize) {}
}
