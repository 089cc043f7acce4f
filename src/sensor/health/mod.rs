//! What a running sensor says of itself.
//!
//! ```text
//!  workers, correlator: a pulse about once a second --> Board <-- interfaces, broker, memory
//!                                                         |
//!                         Reporter: judges it, then  -----+--> status file --> `lockkeeper status`
//!                                                         +--> Prometheus, on request
//!                                                         +--> MQTT topics `status` and `metrics`
//!                                                         +--> systemd: READY, STATUS, WATCHDOG, STOPPING
//! ```
//!
//! All of it happens on one thread of its own. Nothing here is on the packet path, and nothing here can end the sensor:
//! what cannot be told in one way is told in the others.

mod board;
mod exposition;
mod file;
mod http;
mod judge;
mod page;
mod reporter;
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
pub use snapshot::{
    AlertCount, Interface, PolicyInForce, Reason, Recording, Rejection, SCHEMA, Snapshot, State, Traffic,
};
pub use tally::{AlertTally, verdicts};

/// Where a sensor leaves its status unless it is told otherwise.
pub const STATUS_FILE: &str = "/run/lockkeeper/status.json";

/// Where Prometheus finds a sensor unless it is told otherwise.
pub const METRICS_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9469);

/// The time now: what a sensor says of itself is about the present, not about packets.
#[expect(clippy::disallowed_methods, reason = "health is about the present; no result depends on it")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
