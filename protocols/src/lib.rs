//! Decoders of industrial protocols: bytes in, [`Operation`]s out.
//!
//! ```text
//!  stream bytes --> Session --> Dissector::frame_len --> Dissector::decode_frame --> Sink
//!  (one side,       partial      where does the          what does the               operation, outcome,
//!   in order,       input,       next frame end?         whole frame mean?           identity, anomaly,
//!   or a gap)       resync                                                           PDU count
//! ```
//!
//! The crate is `no_std` on purpose: a decoder cannot read a clock, a file or a configuration. Time is an argument
//! ([`Stamp`]).
//!
//! # Map
//!
//! * [`dissector`]: the trait that a protocol implements, its row in the registry, and the events that it reports;
//! * [`operation`]: the protocol-neutral vocabulary of policies, alerts and reports; [`techniques`]: what an operation looks
//!   like in MITRE ATT&CK for ICS; [`security`]: facts about channels, certificates and users;
//! * [`session`]: the adapter between a stream and a decoder: partial input, resynchronisation, lost bytes;
//! * [`identify`]: which protocol a flow carries, and which end is the client; `candidate`: whether bytes are frames of
//!   another row; `search`: late identification;
//! * [`reader`]: the bounds-checked cursor of all decoders, and [`fault`]: the reasons why decoding stops; `reassembly`:
//!   messages from fragments; `pending`: requests and their answers; `memory`: shared buffers;
//! * [`keys`]: keys for encrypted flows;
//! * [`modbus`]: Modbus/TCP, Modbus/UDP, RTU over TCP and UDP, with UMAS;
//! * [`opcua`]: OPC UA over TCP, its services and its security;
//! * [`s7comm`]: the communication of the S7-300 and S7-400;
//! * [`s7commplus`]: that of the S7-1200 and S7-1500;
//! * [`iso`]: TPKT and COTP, and the content that no other row decodes.
//!
//! # Glossary
//!
//! | word | meaning |
//! | --- | --- |
//! | anomaly | a deviation from a specification, or a reached limit; never ends decoding |
//! | answer | a message of the server that ends a request; *response* in protocols that call it so |
//! | class | what an operation does to the controlled process: `read`, `write`, `control`, ... |
//! | client, server | the end that sends requests and the end that answers them, whichever opened the connection |
//! | framing | the rule that finds the end of a frame; a side whose framing is *lost* has no known frame boundary |
//! | frame | the bytes of one protocol message on its transport, header included; may hold a fragment |
//! | function | what a request asks for, by the standard's name and number |
//! | head | the fields at the start of a PDU that its decoding needs |
//! | item | one operation of a request, or the part of the request that holds it |
//! | message | what fragments are reassembled into |
//! | operation | one requested action on one target |
//! | outcome | how an operation ended: accepted, refused, no response, unknown |
//! | overdue | without an answer after the answer timeout; a late answer still counts |
//! | PDU | one message of a protocol, without its transport |
//! | pending | without an answer so far |
//! | probe | judges by structure whether bytes are frames of a row |
//! | reading | one of several ways to decode ambiguous bytes; *ambiguous* operations belong to one |
//! | request | a message of the client that asks for one or more operations; numbered in its flow |
//! | row | a protocol in one framing: an entry of [`REGISTRY`] |
//! | side | the bytes that one end sends; also that end ([`Side`]) |
//! | stamp | time, clock, number and origin of a packet |
//! | target | what an operation acts on: registers, memory, a node, ... |
//! | torn | perhaps without its beginning, because bytes are missing |
//! | cut | without its end, because it exceeds a limit |
//! | tracked | an operation whose outcome the sink wants one by one; outcomes of others are only counted |
//! | unread | present, but not decodable here |
//! | unseen | not in the capture, although an answer proves it |
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

extern crate alloc;
#[cfg(test)]
extern crate self as lockkeeper_protocols;
#[cfg(test)]
extern crate std;

mod candidate;
mod context;
pub mod dissector;
#[cfg(test)]
mod example;
pub mod fault;
pub mod identify;
pub mod iso;
pub mod keys;
mod memory;
pub mod modbus;
pub mod opcua;
pub mod operation;
mod pending;
pub mod reader;
mod reassembly;
pub mod s7comm;
pub mod s7commplus;
mod search;
pub mod security;
pub mod session;
pub mod techniques;
#[cfg(test)]
#[allow(unreachable_pub, reason = "also a part of the tests in `tests`")]
mod testing;

// The public interface is:
pub use dissector::{
    Anomaly, AnomalyKind, Boundary, Dissector, FrameLen, Function, Identity, Limits, Outcome, PduGroup, Probe,
    Protocol, RequestRef, Side, Sink, Stamp, Transport,
};
pub use identify::{Decision, Hints, Identifier};
pub use keys::{Keys, Sealed};
pub use operation::{
    Area, Class, Field, Kind, MethodTarget, Namespaces, Node, NodeId, NodeTarget, OBJECT_DEPTH, Operation, Table,
    Target, Typed, Value, Values, attribute_name, attribute_number,
};
pub use search::{Found, Search};
pub use security::{Mode, Security, UserKind};
pub use session::Session;
pub use techniques::Techniques;

/// Every decoded protocol, one row for each framing. Ports, command-line listings, metric labels, policy names, display
/// names, ATT&CK techniques, the fuzz target and the invariance tests all derive from these rows.
pub static REGISTRY: &[&Protocol] =
    &[&modbus::TCP, &modbus::RTU, &s7comm::S7COMM, &s7commplus::S7COMM_PLUS, &opcua::OPCUA, &iso::OTHER];
