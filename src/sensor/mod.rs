//! The life of a sensor: listens, judges and tells until it is asked to stop, and then delivers what it has.
//!
//! ```text
//!  signals, policy file (looked at by a thread of its own), counters of the interfaces
//!        |
//!      keeper (a thread, once a second) == ControlCommand ==> pipeline (every worker, between two blocks)
//!        |                              <== Census ==
//!        +-> alarms: what is wrong with the sensor itself, as alerts
//!        +-> shown: the board of its health
//! ```
//! Nothing here is on the path of a packet: the keeper gives orders, and the pipeline carries them out when it has a block
//! in its hands.

mod alarms;
pub mod confine;
pub mod health;
pub mod interfaces;
mod keeper;
mod policy_file;
mod shown;

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
use keeper::Keeper;
pub use shown::Shown;

/// What a sensor runs on, beside its pipeline.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where the policy is read from again; none: it stays as it is.
    pub policy: Option<PathBuf>,
    /// What is wrong enough with the sensor itself to tell it.
    pub limits: Limits,
}

/// What a sensor is like at one moment.
#[derive(Debug)]
struct Look<'a> {
    /// Nanoseconds since 1970.
    now: i64,
    /// Each interface with its counters.
    interfaces: &'a [(String, InterfaceReading)],
    /// What the pipeline has counted; none before it has answered for the first time.
    status: Option<&'a PipelineStatus>,
    /// The policy that is in force.
    policy: &'a Policy,
    /// Since when, nanoseconds since 1970.
    policy_since: i64,
    /// The policy that should be in force and is not, if there is one.
    policy_rejected: Option<&'a Rejection>,
}

/// A policy that was not taken.
#[derive(Debug)]
struct Rejection {
    /// When, nanoseconds since 1970.
    time: i64,
    /// Why.
    reason: String,
}

/// Runs until it is asked to stop, or until an interface can only be heard by a sensor that is started again. What was
/// captured until then is judged and delivered. Once a second, what the sensor is like is shown.
pub fn run(
    mut live: Live,
    policy: &Arc<Policy>,
    settings: &Settings,
    pipeline: &pipeline::Settings,
    outputs: &mut Outputs,
    shown: Shown,
) -> io::Result<Replayed> {
    live.start().map_err(io::Error::other)?;
    let (control, port) = control_channel();
    let names = live.captures().iter().map(|capture| capture.name.clone());
    let interfaces = names.zip(live.counters().iter().map(Arc::clone)).collect();
    let keeper = Keeper::new(control, interfaces, settings, Arc::clone(policy), live.stop(), shown)?;
    let (running, ended) = bounded::<()>(0);
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("keeper".to_owned());
        let keeper = thread.spawn_scoped(scope, move || keeper.run(&ended))?;
        let watched = pipeline::watch(&mut live, policy, pipeline, outputs, &port);
        drop(running);
        // It does not panic; if it did, what was watched is worth no less.
        let _ = keeper.join();
        Ok(watched)
    })
}

/// SIGINT and SIGTERM: the first signal asks for an orderly end, the second one ends at once.
pub fn stop_on_signals(stop: &Stop) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, KILLED, stop.flag())?;
        flag::register(signal, stop.flag())?;
    }
    Ok(())
}

/// Exit status of a program that was ended by force.
const KILLED: i32 = 2;
