//! A live sensor: captures, judges and publishes until it is asked to stop, and then delivers the remaining alerts.
//!
//! ```text
//!  signals, policy file (watched by a thread of its own), counters of the interfaces
//!        |
//!      supervisor (a thread, once a second) == ControlCommand ==> pipeline (every worker, between two blocks)
//!        |                                  <== PipelineStatus ==
//!        +-> alarms: alerts about the sensor itself
//!        +-> health_updater: the board of its health
//! ```
//! Nothing here is on the packet path: the supervisor sends commands, and the pipeline executes them between two blocks.

mod alarms;
pub mod confine;
pub mod health;
mod health_updater;
pub mod interfaces;
mod policy_file;
mod supervisor;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::bounded;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::capture::live::{InterfaceReading, Stop};
use crate::capture::{Live, Source};
use crate::pipeline::{self, Outputs, PipelineStatus, Replayed, control_channel};
use crate::policy::Policy;
pub use alarms::Limits;
pub use health_updater::HealthUpdater;
use supervisor::Supervisor;

/// The settings of a sensor beside those of its pipeline.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The policy file to watch for changes; `None`: the policy never changes.
    pub policy: Option<PathBuf>,
    /// Thresholds for alerts about the sensor itself.
    pub limits: Limits,
}

/// The state of a sensor at one moment.
#[derive(Debug)]
struct Observation<'a> {
    /// Nanoseconds since 1970.
    now: i64,
    /// Each interface with its counters.
    interfaces: &'a [(String, InterfaceReading)],
    /// The latest status of the pipeline; `None` before the first.
    status: Option<&'a PipelineStatus>,
    /// The policy in force.
    policy: &'a Policy,
    /// When it came into force, nanoseconds since 1970.
    policy_since: i64,
    /// The rejection of the latest change, if it was rejected.
    policy_rejected: Option<&'a Rejection>,
}

/// A changed policy that was rejected.
#[derive(Debug)]
struct Rejection {
    /// When it was rejected, nanoseconds since 1970.
    time: i64,
    /// Its mistake, or why it cannot be read.
    reason: String,
}

/// Runs until it is asked to stop, or until an interface is replaced by one that only a restarted sensor can open. Packets
/// captured until then are judged, and their alerts delivered. The health is updated once a second.
pub fn run(
    mut live: Live,
    policy: &Arc<Policy>,
    settings: &Settings,
    pipeline: &pipeline::Settings,
    outputs: &mut Outputs,
    health: HealthUpdater,
) -> io::Result<Replayed> {
    live.start().map_err(io::Error::other)?;
    let (control, port) = control_channel();
    let names = live.captures().iter().map(|capture| capture.name.clone());
    let interfaces = names.zip(live.counters().iter().map(Arc::clone)).collect();
    let supervisor = Supervisor::new(control, interfaces, settings, Arc::clone(policy), live.stop(), health)?;
    let (running, ended) = bounded::<()>(0);
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("supervisor".to_owned());
        let supervisor = thread.spawn_scoped(scope, move || supervisor.run(&ended))?;
        let watched = pipeline::watch(&mut live, policy, pipeline, outputs, &port);
        drop(running);
        // The supervisor does not panic; the results would be valid nevertheless.
        let _ = supervisor.join();
        Ok(watched)
    })
}

/// Handles SIGINT and SIGTERM: the first signal stops the sensor in an orderly way, the second one ends it at once.
pub fn stop_on_signals(stop: &Stop) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, KILLED, stop.flag())?;
        flag::register(signal, stop.flag())?;
    }
    Ok(())
}

/// The exit status after a second signal.
const KILLED: i32 = 2;
