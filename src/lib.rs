//! Lockkeeper: a passive sensor for industrial networks.
//!
//! Packets become frames, frames belong to flows, flows carry streams, streams are cut into PDUs, PDUs pair into
//! transactions, each requested operation is judged against the conduit it crosses, and every denial is published.
//!
//! ```text
//!   by turns                      N workers, each owning its flows                 by turns            publishers
//!  file -> capture == Block ==> frame -> flow -> stream -> dissector -> policy == Report ==> alert ==> publish
//!          Packet               Frame   Flow    bytes     Operation    Verdict            dedupe, order   JSONL, MQTT
//! ```
//!
//! `==` are the only crossings between threads, who take turns at both ends; with one worker there are none. The modules, in path order:
//!
//! * [`capture`]: files and network interfaces into blocks of packets;
//! * [`frame`]: one packet into one [`frame::Frame`], whatever it is wrapped in;
//! * [`flow`]: which conversation a frame belongs to, and its bytes in order;
//! * [`lockkeeper_protocols`]: bytes into operations (its own crate: no IO, no clock, no configuration);
//! * [`keys`]: what opens encrypted channels in a replay, if an analyst has it;
//! * [`policy`]: zones, conduits and points into a verdict on each operation;
//! * [`certificate`]: what X.509 certificates say, for policy and inventory;
//! * [`alert`]: verdicts into alerts, in one order, each violation once;
//! * [`publish`]: alerts to files and brokers;
//! * [`evidence`]: the packets around alerts, for Wireshark;
//! * [`recording`]: all packets of the last days, for Wireshark too;
//! * [`metrics`]: what was counted on the way;
//! * [`highlights`], [`summary`]: what came of it, for people;
//! * [`worker`]: one shard, from packet to verdict: read this first;
//! * [`pipeline`]: builds, feeds, drains and joins the threads;
//! * [`health`]: what a running sensor says of itself;
//! * [`sensor`]: the life of a pipeline that listens to the network;
//! * [`confine`]: what a sensor gives up when everything is open;
//! * [`interfaces`]: what there is to listen to, and what is wrong with it;
//! * [`shelf`]: a folder of files of ours, of which the oldest go;
//! * [`trouble`]: what keeps an output from its work, told once;
//! * [`clock`]: the time now, for what deals with the present and not with packets;
//! * [`document`]: TOML files that people write, and what is wrong with them, for policy and configuration;
//! * [`cli`], [`config`]: what the user typed, and what the program runs on.
//!
//! Who may use whom is enforced by `tests/layering.rs`: `protocols` nothing of ours; `capture`, `frame`, `flow` never
//! `policy`; `policy` never a protocol's own types; `publish` never packets; no stage `config`.

pub mod alert;
pub mod capture;
pub mod certificate;
pub mod cli;
pub mod clock;
pub mod config;
pub mod confine;
pub mod document;
pub mod evidence;
pub mod flow;
pub mod frame;
pub mod health;
pub mod highlights;
pub mod interfaces;
pub mod keys;
pub mod metrics;
pub mod pipeline;
pub mod policy;
pub mod publish;
pub mod recording;
pub mod sensor;
pub mod shelf;
pub mod summary;
pub mod trouble;
pub mod worker;
