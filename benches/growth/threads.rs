//! Processor time of each thread of a run, to estimate the duration with a core for each thread.
//!
//! A machine with two cores cannot show the gain of eight workers, but the processor time of every thread shows how the
//! work is distributed: with a core for each thread, a run takes at least as long as its busiest thread. The estimate
//! ignores shared caches and memory, and threads that wait for each other to read the capture in turn; time spent
//! spinning counts as work.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::process::Contender;

/// Processor seconds of the threads of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shares {
    /// The busiest thread.
    pub(crate) busiest: f64,
    /// All threads together.
    pub(crate) all: f64,
}

/// Runs a program and samples its threads until it ends; `None` if the kernel does not report them.
pub(crate) fn watch(contender: &Contender) -> io::Result<Option<Shares>> {
    let Some((program, arguments)) = contender.command.split_first() else { return Ok(None) };
    let quiet = Stdio::null;
    let mut child = Command::new(program).args(arguments).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn()?;
    let threads = follow(&mut child)?;
    if threads.is_empty() {
        return Ok(None);
    }
    Ok(Some(Shares { busiest: threads.values().copied().fold(0.0, f64::max), all: threads.values().sum() }))
}

/// The processor seconds of each thread at its last sample.
fn follow(child: &mut Child) -> io::Result<BTreeMap<u32, f64>> {
    let tasks = format!("/proc/{}/task", child.id());
    let mut threads = BTreeMap::new();
    while child.try_wait()?.is_none() {
        // The process may end at any moment.
        for task in fs::read_dir(&tasks).into_iter().flatten().flatten() {
            let id = task.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some((id, seconds)) = id.zip(look(&task.path())) {
                threads.insert(id, seconds);
            }
        }
        thread::sleep(INTERVAL);
    }
    Ok(threads)
}

fn look(task: &Path) -> Option<f64> {
    let times = fs::read_to_string(task.join("schedstat")).ok()?;
    let nanoseconds: u64 = times.split(' ').next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}

/// The sampling interval, less than a hundredth of a run.
const INTERVAL: Duration = Duration::from_millis(4);
