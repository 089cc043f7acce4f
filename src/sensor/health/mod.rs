//! The health report of a running sensor.
//!
//! ```text
//!  workers, correlator: counters about once a second --> Board <-- interfaces, sinks, memory
//!                                                          |
//!                         Reporter: assesses it, then -----+--> status file --> `lockkeeper status`
//!                                                          +--> Prometheus, on request
//!                                                          +--> sinks, such as the MQTT topics `status` and `metrics`
//!                                                          +--> systemd: READY, STATUS, WATCHDOG, STOPPING
//! ```
//!
//! The reporter has a thread of its own. It is not on the packet path and cannot end the sensor: if one of these places
//! cannot be written, the others show it.

mod board;
mod exposition;
mod file;
mod http;
mod judge;
mod page;
mod reporter;
mod sinks;
mod snapshot;
mod systemd;
mod tally;

#[cfg(test)]
mod testing;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use board::{Board, Phase};
pub use exposition::{exposition, metric_names};
pub use judge::Limits;
pub use page::{Verdict, status};
pub use reporter::{Error, Handles, Reporter, Settings};
pub use sinks::Sinks;
pub use snapshot::{
    AlertCount, Interface, PolicyInForce, Reason, Recording, Rejection, SCHEMA, Snapshot, State, Traffic,
};
pub use tally::{AlertTally, measure_verdicts};

/// The status file of a sensor, by default.
pub const STATUS_FILE: &str = "/run/lockkeeper/status.json";

/// The address of the metrics endpoint, by default.
pub const METRICS_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9469);

/// The current time: health is about the present, not about packet time.
#[expect(clippy::disallowed_methods, reason = "health is about the present; no result depends on it")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
