//! Lockkeeper: a passive sensor for industrial networks.
//!
//! Packets become frames, frames belong to flows, flows carry streams, streams are cut into PDUs, PDUs pair into
//! transactions, each requested operation is judged against the conduit it crosses, and every denial is published.
//!
//! ```text
//!   by turns                      N workers, each owning its flows                 by turns            publishers
//!  file -> capture == Block ==> frame -> flow -> stream -> dissector -> policy == Report == record ==> publish
//!          Packet               Frame   Flow    bytes     Operation    Verdict            dedupe, order   JSONL, MQTT
//! ```
//!
//! `==` are the only crossings between threads. Threads take turns at both ends; with one worker there are no crossings.
//!
//! # Map
//!
//! The packet path, in its order:
//!
//! * [`capture`]: reads files and network interfaces into blocks of packets;
//! * [`frame`]: decodes one packet into one [`frame::Frame`], whatever it is wrapped in;
//! * [`flow`]: assigns a frame to its flow, and puts the bytes of a TCP connection in order;
//! * [`lockkeeper_protocols`]: decodes bytes into operations (a crate of its own: no IO, no clock, no configuration);
//! * [`worker`]: takes the packets of its shards from frame to verdict: read this first;
//! * [`pipeline`]: starts, feeds, drains and joins the threads.
//!
//! Beside it:
//!
//! * [`policy`]: compiles zones, conduits and points into a verdict on each operation;
//! * [`keys`]: the keys of encrypted channels that an analyst gives to a replay;
//! * [`record`]: what is written: alerts and transactions, in one order, each violation once;
//! * [`publish`]: where records go: files and brokers;
//! * [`store`]: packets on disk: evidence around alerts, and a recording of the last days;
//! * [`sensor`]: a live sensor: interfaces, confinement, health, reload;
//! * [`report`]: what people read after a replay;
//! * [`metrics`]: counters and latencies;
//! * [`cli`], [`config`]: what the user typed, and what the program runs on;
//! * [`document`]: TOML files that people write, and how mistakes in them are shown;
//! * [`fault`], [`clock`]: an output that fails and is retried; the present time.
//!
//! `tests/layering.rs` enforces which module may use which: `protocols` uses nothing of ours; `capture`, `frame` and `flow`
//! never use `policy`; `policy` never uses a protocol's own types; `publish` never sees packets; no stage uses `config`.
//!
//! # Glossary
//!
//! | word | meaning |
//! | --- | --- |
//! | alert | a violation or a state of the sensor, as published; later revisions replace earlier ones |
//! | answer | what a server sends in reply to a request; it decides the outcome |
//! | asset | a declared host: a name, a zone, addresses |
//! | block | packets that are read, judged and reported together |
//! | carrier | what carries a flow: TCP, UDP, another IP protocol, or an EtherType |
//! | class | what an operation does: `read`, `write`, `control`, ...; policies permit classes |
//! | client, server | the end that asks and the end that is asked, whichever opened the connection |
//! | condition | what must hold at a packet's time for a declared flow to permit anything |
//! | conduit | the declared connection between zones (IEC 62443-3-2) |
//! | conversation | a flow together with its decoder and its verdict: one entry of a worker's table |
//! | denial | the verdict that something is not permitted, with the rule that it violates |
//! | dialect | the part of the policy language for the protocols of one kind of device: places, session options, messages |
//! | evidence | the packets that prove an alert |
//! | fault | the current failure of an output that is retried |
//! | finding | what a worker reports to the correlator; alerts are made of findings |
//! | flow | the packets between two endpoints over one carrier; in a policy, a *declared flow* permits operations to one |
//! | frame | one packet, decoded from its outermost header to the innermost transport header |
//! | half stream | one direction of a TCP connection |
//! | operation | one thing that a request asks for, in words that all protocols share |
//! | outcome | how an operation ended: accepted, refused, no response |
//! | packet clock | the latest packet time so far; never runs backwards, and decides all timeouts |
//! | PDU | one message of a protocol, whatever its packets were |
//! | point | a declared value of an asset: address, type, limits |
//! | reading | one of several ways to read a stream whose bytes are ambiguous |
//! | request | what a client sends; it asks for one or more operations |
//! | shard | one of 64 fixed parts of the traffic, by host pair; a worker owns whole shards |
//! | sink | a remote receiver of alerts, such as an MQTT broker: one row of [`publish::SINKS`] |
//! | transaction | an operation with its outcome, latency and verdict |
//! | verdict | what the policy says of a flow or of an operation: permit, deny, observe, not judged |
//! | zone | hosts of the same trust (IEC 62443-3-2) |

pub mod capture;
pub mod cli;
pub mod clock;
pub mod config;
pub mod document;
pub mod fault;
pub mod flow;
pub mod frame;
pub mod keys;
pub mod metrics;
pub mod pipeline;
pub mod policy;
pub mod publish;
pub mod record;
pub mod report;
#[cfg(test)]
#[allow(dead_code, reason = "shared with the tests in `tests`; the tests in here use a part")]
#[path = "../tests/support/require.rs"]
mod require;
pub mod sensor;
pub mod store;
pub mod worker;
