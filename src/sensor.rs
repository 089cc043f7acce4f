//! The life of a sensor: listens, judges and tells until it is asked to stop, and then delivers what it has.
//!
//! ```text
//!  signals, policy file, counters of the interfaces
//!        |
//!      keeper (a thread, once a second) == Order ==> pipeline (every worker, between two blocks)
//!        |                              <== Census ==
//!        +-> alarms: what is wrong with the sensor itself, as alerts
//!        +-> onlookers: whoever shows the world how the sensor is
//! ```
//! Nothing here is on the path of a packet: the keeper gives orders, and the pipeline carries them out when it has a block
//! in its hands.

mod alarms;
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

use crate::capture::live::{Reading, Stop};
use crate::capture::{Live, Source};
use crate::pipeline::{self, Census, Outputs, Replayed, reins};
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
pub struct Look<'a> {
    /// Nanoseconds since 1970.
    pub now: i64,
    /// Each interface with its counters.
    pub interfaces: &'a [(String, Reading)],
    /// What the pipeline has counted; none before it has answered for the first time.
    pub census: Option<&'a Census>,
    /// The policy that is in force.
    pub policy: &'a Policy,
    /// Since when, nanoseconds since 1970.
    pub policy_since: i64,
    /// When a changed policy was last rejected because of its mistakes.
    pub policy_rejected: Option<i64>,
}

/// Somebody who is shown once a second what the sensor is like.
pub trait Onlooker: Send {
    /// The sensor runs, and is like this.
    fn look(&mut self, look: &Look<'_>);

    /// The sensor was asked to stop, and delivers what it has.
    fn stopping(&mut self) {}
}

/// Runs until SIGINT or SIGTERM. What was captured until then is judged and delivered.
pub fn run(
    mut live: Live,
    policy: &Arc<Policy>,
    settings: &Settings,
    pipeline: &pipeline::Settings,
    outputs: &mut Outputs,
    onlookers: Vec<Box<dyn Onlooker>>,
) -> io::Result<Replayed> {
    stop_on_signals(&live.stop())?;
    let (helm, reins) = reins();
    let names = live.captures().iter().map(|capture| capture.name.clone());
    let interfaces = names.zip(live.counters().iter().map(Arc::clone)).collect();
    let keeper = Keeper::new(helm, interfaces, settings, Arc::clone(policy), live.stop(), onlookers)?;
    let (running, ended) = bounded::<()>(0);
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("keeper".to_owned());
        let keeper = thread.spawn_scoped(scope, move || keeper.run(&ended))?;
        let watched = pipeline::watch(&mut live, policy, pipeline, outputs, &reins);
        drop(running);
        // It does not panic; if it did, what was watched is worth no less.
        let _ = keeper.join();
        Ok(watched)
    })
}

/// The first signal asks for an orderly end, the second one ends at once.
fn stop_on_signals(stop: &Stop) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, KILLED, stop.flag())?;
        flag::register(signal, stop.flag())?;
    }
    Ok(())
}

/// The time now, as packets carry it: nanoseconds since 1970-01-01 UTC.
#[expect(clippy::disallowed_methods, reason = "what a sensor tells about itself is not proved by a packet")]
fn now() -> i64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Exit status of a program that was ended by force.
const KILLED: i32 = 2;
