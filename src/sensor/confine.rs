//! Confinement: the rights that a sensor drops once everything that it needs is open.
//!
//! An attacker who exploits a decoder bug with hostile packets gains a process that can read packets, but cannot send any.
//! Three barriers, each of which holds without the others:
//!
//! * `rights`: every capability is dropped and cannot be regained. No further packet socket can be opened.
//! * `files` (Landlock): only files that the configuration names and that a resolver reads can be opened; TCP connections
//!   are limited to the ports of the sinks; other processes cannot be signalled.
//! * `calls` (seccomp): nothing can be sent through the open packet sockets, nor through duplicates of them; no program and no
//!   process can be started.
//!
//! Each applies to the calling thread and to the threads that it starts, so that they are set up before there is a second
//! thread. What the kernel does not support is left out, logged once, and shown in the sensor's status.

mod calls;
mod files;
mod rights;

use std::os::fd::RawFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The rights that a sensor keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Packet sockets, which are only read.
    pub sockets: Vec<RawFd>,
    /// Files to read, and folders with everything in them. Those that do not exist are left out.
    pub read: Vec<PathBuf>,
    /// Folders in which files are written, renamed and removed, and folders created. Those that do not exist are left out.
    pub write: Vec<PathBuf>,
    /// TCP ports that it connects to.
    pub connect: Vec<u16>,
    /// It connects to an abstract Unix socket of another process.
    pub abstract_sockets: bool,
}

/// The result of the confinement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// How far the sensor is confined.
    pub level: Level,
    /// What is missing, and other remarks for people.
    pub notes: Vec<String>,
}

/// How far a sensor is confined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Not at all: it is switched off, or this system supports none of it.
    #[default]
    Off,
    /// Some of the barriers are missing.
    Partial,
    /// All barriers are set up.
    Full,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 3] = [Self::Off, Self::Partial, Self::Full];

    /// The name, as in the status file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Partial => "partial",
            Self::Full => "full",
        }
    }
}

/// Drops every right but those that are needed. To be called while there is only one thread.
pub fn confine(needed: &Settings) -> Confinement {
    // The system call filter comes last, because it would refuse the others.
    let barriers = [rights::drop_all(), files::restrict_to(needed), calls::refuse(&needed.sockets)];
    let count = barriers.len();
    let mut notes: Vec<String> = barriers.into_iter().filter_map(Result::err).collect();
    let level = match notes.len() {
        0 => Level::Full,
        missing if missing < count => Level::Partial,
        _ => Level::Off,
    };
    notes.extend(rights::note_for_root());
    notes.iter().for_each(|note| tracing::warn!("{note}"));
    Confinement { level, notes }
}

impl Confinement {
    /// The level and its notes, on one line.
    pub fn line(&self) -> String {
        let Self { level, notes } = self;
        if notes.is_empty() { level.name().to_owned() } else { format!("{}: {}", level.name(), notes.join("; ")) }
    }
}
