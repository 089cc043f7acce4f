//! The sensor that is measured.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cable::Cable;

/// `lockkeeper watch`, running.
pub(crate) struct Sensor {
    child: Child,
    stats: PathBuf,
}

impl Sensor {
    /// Starts it at the far end of a cable and waits until it listens. Its alerts come out of [`Sensor::alerts`].
    pub(crate) fn start(
        cable: &Cable,
        binary: &Path,
        policy: &Path,
        more: &[&str],
        alerts: Stdio,
    ) -> Result<Self, Box<dyn Error>> {
        let stats = std::env::temp_dir().join(format!("lockkeeper-bench-{}.json", std::process::id()));
        let [binary, policy, place] = [binary, policy, &stats].map(|path| path.display().to_string());
        let mut command = cable.command(&binary, &["watch", "-i", Cable::FAR, "-p", &policy, "-s", &place, "-a", "-"]);
        let mut child = command.args(more).stdout(alerts).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(child.stderr.take().ok_or("no standard error")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        if !line.starts_with("Listening") {
            said.read_to_string(&mut line)?;
            return Err(line.into());
        }
        // What it says at its end is in its counts too.
        std::thread::spawn(move || io::copy(&mut said, &mut io::sink()));
        Ok(Self { child, stats })
    }

    /// What it prints.
    pub(crate) fn alerts(&mut self) -> Option<impl BufRead + Send + use<>> {
        self.child.stdout.take().map(BufReader::new)
    }

    /// KiB of resident memory.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Stops it; returns what it counted.
    pub(crate) fn stop(mut self) -> Result<Value, Box<dyn Error>> {
        end(&mut self.child, Signal::TERM)?;
        let counted = serde_json::from_str(&fs::read_to_string(&self.stats)?)?;
        fs::remove_file(&self.stats)?;
        Ok(counted)
    }
}

/// What tcpdump captured and what the kernel dropped for it, while something was sent.
pub(crate) fn tcpdump(
    cable: &Cable,
    send: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<[u64; 2], Box<dyn Error>> {
    let arguments = ["-i", Cable::FAR, "-n", "-B", "131072", "-s", "65535", "-w", "/dev/null"];
    let mut command: Command = cable.command("tcpdump", &arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(child.stderr.take().ok_or("no standard error")?);
    let mut text = String::new();
    while !text.contains("listening on") {
        if said.read_line(&mut text)? == 0 {
            return Err(text.into());
        }
    }
    send()?;
    std::thread::sleep(std::time::Duration::from_millis(1500));
    end(&mut child, Signal::INT)?;
    text.clear();
    said.read_to_string(&mut text)?;
    let count = |what: &str| {
        let line = text.lines().find(|line| line.contains(what))?;
        line.split(' ').next()?.parse().ok()
    };
    Ok([count("packets captured").ok_or("tcpdump says nothing")?, count("dropped by kernel").unwrap_or(0)])
}

fn end(child: &mut Child, signal: Signal) -> Result<(), Box<dyn Error>> {
    kill_process(Pid::from_raw(child.id().cast_signed()).ok_or("no process")?, signal)?;
    child.wait()?;
    Ok(())
}
