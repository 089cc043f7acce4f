//! A virtual cable in a separate network namespace.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The cable; its ends are [`Cable::NEAR`] and [`Cable::FAR`]. Removed when it is dropped.
pub(crate) struct Cable {
    name: String,
}

impl Cable {
    /// The sender's interface.
    pub(crate) const NEAR: &'static str = "near";
    /// The sensor's interface.
    pub(crate) const FAR: &'static str = "far";

    /// Lays a cable.
    pub(crate) fn lay() -> io::Result<Self> {
        remove_ruins()?;
        let name = format!("{PREFIX}{}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let cable = Self { name };
        // Interfaces without addresses send nothing by themselves.
        let quiet = "net.ipv6.conf.default.disable_ipv6=1";
        run(&mut cable.command("sysctl", &["-qw", quiet]))?;
        cable.ip(&["link", "add", "name", Self::NEAR, "type", "veth", "peer", "name", Self::FAR])?;
        cable.ip(&["link", "set", Self::NEAR, "up"])?;
        cable.ip(&["link", "set", Self::FAR, "up"])?;
        Ok(cable)
    }

    /// Enables the loopback of the namespace.
    pub(crate) fn loopback(&self) -> io::Result<()> {
        self.ip(&["link", "set", "lo", "up"])
    }

    /// A command that runs in the namespace.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).args(arguments);
        command
    }

    /// Moves this thread into the namespace permanently.
    pub(crate) fn enter(&self) -> io::Result<()> {
        let place = File::open(Path::new("/run/netns").join(&self.name))?;
        Ok(move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    fn ip(&self, arguments: &[&str]) -> io::Result<()> {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments))
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("ip").args(["netns", "del", &self.name])) {
            eprintln!("the namespace {} stays: {error}", self.name);
        }
    }
}

/// Removes namespaces of killed benchmarks with the processes in them.
fn remove_ruins() -> io::Result<()> {
    let Ok(places) = fs::read_dir("/run/netns") else { return Ok(()) };
    for place in places {
        let name = place?.file_name().to_string_lossy().into_owned();
        let Some(owner) = name.strip_prefix(PREFIX) else { continue };
        if Path::new("/proc").join(owner).exists() {
            continue;
        }
        let left = Command::new("ip").args(["netns", "pids", &name]).output()?;
        for pid in String::from_utf8_lossy(&left.stdout).lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
            let _already_gone = kill_process(pid, Signal::TERM);
        }
        run(Command::new("ip").args(["netns", "del", &name]))?;
    }
    Ok(())
}

/// Prefix of the names of namespaces; the process number follows.
const PREFIX: &str = "lockkeeper-bench-";

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{command:?}: {said} (network namespaces need root)")))
}
