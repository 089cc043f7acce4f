//! What conversations come to: the operations that a decoder finds in generated traffic, with all that judging them and
//! writing them down takes.

use lockkeeper::flow::{End, FlowKey};
use lockkeeper::policy::{Carrier, FlowTuple, Host};
use lockkeeper::record::{Endpoint, OwnedOperation, OwnedTarget};
use lockkeeper_protocols::{
    Anomaly, Identity, Limits, Operation, Outcome, Protocol, RequestRef, Security, Session, Sink, Stamp, Transport,
    Values,
};

use crate::traffic::{Heard, first_of_each, flows};

/// One operation that was asked for.
pub(crate) struct Asked {
    pub(crate) flow: usize,
    operation: OwnedOperation,
    /// Registers that travelled with it, as on the wire.
    registers: Vec<u8>,
    pub(crate) stamp: Stamp,
}

impl Asked {
    /// As a decoder lends it.
    pub(crate) fn operation(&self) -> Operation<'_> {
        let OwnedOperation { class, function, code, ref target, .. } = self.operation;
        let OwnedTarget::Plain(target) = *target else { unreachable!("generated traffic has plain targets") };
        let values = if self.registers.is_empty() { Values::None } else { Values::Registers(&self.registers) };
        Operation { class, function, code, ambiguous: false, target, values }
    }

    /// As an alert keeps it.
    pub(crate) fn owned(&self) -> &OwnedOperation {
        &self.operation
    }
}

/// Decodes traffic that speaks one protocol over TCP.
pub(crate) fn asked(protocol: &'static Protocol, heard: &[Heard<'_>]) -> Vec<Asked> {
    let mut notebook = Notebook::default();
    let mut sessions = sessions(protocol, flows(heard));
    for one in heard.iter().filter(|one| !one.payload().is_empty()) {
        notebook.flow = one.flow;
        sessions[one.flow].feed_stream(one.side, one.payload(), &one.stamp, &mut notebook);
    }
    notebook.asked
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

/// What the policy is asked about a conversation.
pub(crate) fn tuple([client, server]: &[Endpoint; 2]) -> FlowTuple {
    FlowTuple { client: client.host, server: server.host, transport: Carrier::Tcp, server_port: server.port }
}

/// Hears a decoder and does nothing: so that only the decoder is timed.
#[derive(Default)]
pub(crate) struct Ears {
    /// What it said.
    pub(crate) words: u64,
}

impl Sink for Ears {
    fn operation(&mut self, _: RequestRef, _: &Operation<'_>, _: &Stamp) -> bool {
        self.words += 1;
        false
    }

    fn request_unseen(&mut self, _: RequestRef, _: &Operation<'_>, _: &Stamp) {
        self.words += 1;
    }

    fn ended(&mut self, _: Outcome, _: u32) {
        self.words += 1;
    }

    fn outcome(&mut self, _: RequestRef, _: &Operation<'_>, _: Outcome, _: &Stamp, _: &Stamp) {
        self.words += 1;
    }

    fn identity(&mut self, _: &Identity<'_>, _: &Stamp) {
        self.words += 1;
    }

    fn security(&mut self, _: &Security<'_>, _: &Stamp) {
        self.words += 1;
    }

    fn anomaly(&mut self, _: Anomaly, _: &Stamp) {
        self.words += 1;
    }

    fn pdu(&mut self, _: usize, _: u32) {
        self.words += 1;
    }

    fn lost(&mut self, _: usize) {
        self.words += 1;
    }
}

/// Writes down what was asked for.
#[derive(Default)]
struct Notebook {
    flow: usize,
    asked: Vec<Asked>,
}

impl Sink for Notebook {
    fn operation(&mut self, _: RequestRef, operation: &Operation<'_>, stamp: &Stamp) -> bool {
        let registers = if let Values::Registers(bytes) = operation.values { bytes.to_vec() } else { Vec::new() };
        self.asked.push(Asked { flow: self.flow, operation: operation.into(), registers, stamp: *stamp });
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
