//! What each thread of a run costs: how long a run would take with a core for each of them.
//!
//! A machine with two cores cannot show what eight workers gain. It can show how the work is shared: the processor time
//! of every thread is counted, whenever it ran. With a core for each thread, a run takes at least as long as its busiest
//! thread ([`Shares::at_best`]: all of them are busy all the time), and about as long as its reader and its busiest
//! worker one after the other if they never overlap ([`Shares::at_worst`]). That leaves out what only real cores show:
//! shared caches and memory, and threads that wait for each other; and what threads burn while they spin counts as work.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::process::Contender;

/// Processor seconds by what a thread does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shares {
    /// The thread that reads the capture and deals packets to workers: the process's first.
    pub(crate) reader: f64,
    /// The busiest worker.
    pub(crate) worker: f64,
    /// All the others together: they put results in order and write them.
    pub(crate) others: f64,
}

impl Shares {
    /// With a core for each thread, and nobody ever waiting.
    pub(crate) fn at_best(&self) -> f64 {
        self.reader.max(self.worker).max(self.others)
    }

    /// With a core for each thread, and reader and workers never at work at the same time.
    pub(crate) fn at_worst(&self) -> f64 {
        self.reader + self.worker
    }
}

/// Runs a program and looks at its threads until it ends; nothing where the kernel does not tell.
pub(crate) fn watch(contender: &Contender) -> io::Result<Option<Shares>> {
    let Some((program, arguments)) = contender.command.split_first() else { return Ok(None) };
    let quiet = Stdio::null;
    let mut child = Command::new(program).args(arguments).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn()?;
    let threads = follow(&mut child)?;
    let Some(first) = threads.get(&child.id()) else { return Ok(None) };
    let mut shares = Shares { reader: first.seconds, ..Shares::default() };
    for (id, thread) in &threads {
        if thread.name.starts_with("worker") {
            shares.worker = shares.worker.max(thread.seconds);
        } else if *id != child.id() {
            shares.others += thread.seconds;
        }
    }
    Ok(Some(shares))
}

/// One thread, as it was when it was last seen.
struct Thread {
    name: String,
    seconds: f64,
}

fn follow(child: &mut Child) -> io::Result<BTreeMap<u32, Thread>> {
    let tasks = format!("/proc/{}/task", child.id());
    let mut threads = BTreeMap::new();
    while child.try_wait()?.is_none() {
        // The process may end at any moment.
        for task in fs::read_dir(&tasks).into_iter().flatten().flatten() {
            let id = task.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some((id, thread)) = id.zip(look(&task.path())) {
                threads.insert(id, thread);
            }
        }
        thread::sleep(INTERVAL);
    }
    Ok(threads)
}

fn look(task: &Path) -> Option<Thread> {
    let name = fs::read_to_string(task.join("comm")).ok()?;
    let times = fs::read_to_string(task.join("schedstat")).ok()?;
    let nanoseconds: u64 = times.split(' ').next()?.parse().ok()?;
    Some(Thread { name, seconds: nanoseconds as f64 / 1e9 })
}

/// How much of a thread's end is missed, at most: less than a hundredth of the run.
const INTERVAL: Duration = Duration::from_millis(4);
