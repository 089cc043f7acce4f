//! Decoders of industrial protocols: bytes in, [`Operation`]s out.
//!
//! ```text
//!  stream bytes --> Session --> Dissector::frame_len --> Dissector::decode_frame --> Sink
//!  (one side,       partial      where does the          what does the        operation, outcome,
//!   in order,       input,       next PDU end?           whole PDU mean?      identity, anomaly,
//!   or a gap)       resync                                                    tally
//! ```
//!
//! * [`operation`]: the neutral words that policy, alerts and reports are written in;
//! * [`techniques`]: what an operation looks like in MITRE ATT&CK for ICS;
//! * [`security`]: facts about channels, certificates and identities, in neutral words, too;
//! * [`reader`]: the bounds-checked cursor that every decoder reads with, and [`fault`]: what stops one;
//! * [`dissector`]: the trait that a protocol implements, and the [`Sink`] that it speaks to;
//! * [`session`]: the one adapter that owns partial input, resynchronisation and the counting of lost bytes;
//! * [`keys`]: keys from outside, for what is encrypted;
//! * [`identify`]: which protocol a flow speaks, by structure, and which end is the client; `candidate`: whether the bytes at
//!   a place are frames of another row; `search`: whether a flow that seemed to speak none of them does so later;
//! * [`modbus`]: Modbus/TCP, Modbus/UDP, RTU over TCP and UDP, with UMAS;
//! * [`opcua`]: OPC UA over TCP, its services and its security;
//! * [`s7comm`]: the communication of the S7-300 and S7-400;
//! * [`s7commplus`]: that of the S7-1200 and S7-1500;
//! * [`iso`]: TPKT and COTP, and what they carry that nothing else decodes.
//!
//! The crate is `no_std` on purpose: a decoder cannot read a clock, a file or a configuration.
//! Time is an argument ([`Stamp`]).
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

/// Every protocol that Lockkeeper decodes, one row for each framing. Ports, command-line listings, metric labels,
/// policy names, the fuzz target and the invariance tests all derive from this slice.
pub static REGISTRY: &[&Protocol] =
    &[&modbus::TCP, &modbus::RTU, &s7comm::S7COMM, &s7commplus::S7COMM_PLUS, &opcua::OPCUA, &iso::OTHER];
