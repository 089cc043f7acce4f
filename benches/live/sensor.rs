//! The measured sensor.

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
    status: PathBuf,
}

impl Sensor {
    /// Starts it at the far end of a cable and waits until it captures.
    pub(crate) fn start(
        cable: &Cable,
        binary: &Path,
        policy: &Path,
        more: &[&str],
        alerts: Stdio,
    ) -> Result<Self, Box<dyn Error>> {
        let place = |what| std::env::temp_dir().join(format!("lockkeeper-bench-{}-{what}.json", std::process::id()));
        let (stats, status) = (place("stats"), place("status"));
        let mut command = cable.command(&binary.display().to_string(), &["watch", "-i", Cable::FAR, "-a", "-", "-p"]);
        command.arg(policy).arg("--stats").arg(&stats).arg("--status-file").arg(&status);
        let mut child = command.args(more).stdout(alerts).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(child.stderr.take().ok_or("no standard error")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        if !line.starts_with("Listening") {
            said.read_to_string(&mut line)?;
            return Err(line.into());
        }
        // Its final message repeats its counts.
        std::thread::spawn(move || io::copy(&mut said, &mut io::sink()));
        Ok(Self { child, stats, status })
    }

    /// Waits for the next status, which the sensor writes every second.
    pub(crate) fn status(&self) -> Result<Value, Box<dyn Error>> {
        std::thread::sleep(std::time::Duration::from_secs(3));
        Ok(serde_json::from_str(&fs::read_to_string(&self.status)?)?)
    }

    /// Processor time used so far in user and kernel mode, seconds.
    pub(crate) fn processor(&self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // Behind the name, which may contain any character: state is field 1, user and kernel time are 12 and 13.
        let ticks = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Some(ticks.sum::<Result<f64, _>>().ok()? / TICKS)
    }

    /// Resident memory, KiB.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Stops it; returns its final counts.
    pub(crate) fn stop(mut self) -> Result<Value, Box<dyn Error>> {
        end(&mut self.child, Signal::TERM)?;
        Ok(serde_json::from_str(&fs::read_to_string(&self.stats)?)?)
    }

    /// The sum of all loss counters, packets.
    pub(crate) fn lost(counted: &Value) -> u64 {
        let names = ["dropped_by_kernel", "dropped_by_interface", "dropped_by_channel"];
        names.iter().filter_map(|name| counted["losses"][name].as_u64()).sum()
    }
}

impl Drop for Sensor {
    /// Ends the sensor however the measurement ends.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _already_gone = self.child.kill();
            let _already_gone = self.child.wait();
        }
        let _not_written = fs::remove_file(&self.stats);
        let _not_there = fs::remove_file(&self.status);
    }
}

/// Ticks of a second in /proc, the same on every Linux.
const TICKS: f64 = 100.0;

/// Packets that tcpdump captured and that the kernel dropped during `send`.
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
