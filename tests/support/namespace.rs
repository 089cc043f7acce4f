//! Network namespaces for tests, isolated from the machine's network.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::thread;

use super::require::{NAMESPACES, missing};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace, removed at the end of the test.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates one; `None` if namespaces are missing and the run allows that. Names must differ within a process.
    pub(crate) fn new(name: &str) -> Option<Self> {
        static CLEANED: Once = Once::new();
        if !rustix::process::geteuid().is_root() {
            missing(NAMESPACES, "the user is not root");
            return None;
        }
        CLEANED.call_once(remove_ruins);
        let name = format!("{PREFIX}{}-{name}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.as_ref().is_ok_and(|made| made.status.success()) {
            missing(NAMESPACES, &format!("ip netns add: {made:?}"));
            return None;
        }
        Some(Self { name })
    }

    /// Its name for ip(8).
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs ip(8) in the namespace.
    pub(crate) fn ip(&self, arguments: &[&str]) -> String {
        let output = Command::new("ip").args(["-n", &self.name]).args(arguments).output().expect("ip(8) is installed");
        assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Changes a setting of the kernel for the namespace.
    pub(crate) fn set(&self, setting: &str) {
        let output = self.command(Path::new("sysctl")).args(["-qw", setting]).output();
        assert!(output.expect("sysctl(8) is installed").status.success(), "{setting}");
    }

    /// A command that runs in the namespace.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `work` on a thread in the namespace.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let place = File::open(Path::new("/run/netns").join(&self.name)).expect("the namespace");
        thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).expect("into the namespace");
                work()
            });
            thread.join().expect("the work in the namespace")
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let removed = Command::new("ip").args(["netns", "del", &self.name]).status();
        assert!(removed.is_ok_and(|status| status.success()) || thread::panicking(), "{} stays", self.name);
    }
}

/// Removes namespaces of killed tests with the processes in them.
fn remove_ruins() {
    let places = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in places.map(|place| place.file_name().to_string_lossy().into_owned()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_none_or(|owner| Path::new("/proc").join(owner.to_string()).exists()) {
            continue;
        }
        // Another test may remove the same namespace; the second attempt fails harmlessly.
        let script = "ip netns pids $0 | xargs -r kill; ip netns del $0";
        let _already_gone = Command::new("sh").args(["-c", script, &name]).output();
    }
}

/// Prefix of the names of namespaces; the process number follows.
const PREFIX: &str = "lockkeeper-";
