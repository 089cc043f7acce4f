//! What a sensor gives up as soon as everything that it needs is open.
//!
//! Whoever sends it hostile packets and finds a mistake in it shall not get more out of it than a program that can read
//! packets: it must not be able to send one. Three walls, each of which holds without the others:
//!
//! * `rights`: no capability is left, and none can be had again. No other packet socket can be opened.
//! * `files` (Landlock): of all files, those that the configuration names and those that a resolver reads; TCP
//!   connections to the broker only; no signals to others.
//! * `calls` (seccomp): nothing can be sent through the packet sockets that are open, under no other number either; no
//!   program and no process can be started.
//!
//! All of them belong to a thread, and are passed on to the threads that it starts: this happens before there is a second
//! one. What a kernel does not know is left out, said once, and shown in the sensor's status.

mod calls;
mod files;
mod rights;

use std::os::fd::RawFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a sensor still needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Packet sockets: what they deliver is read, nothing is sent.
    pub sockets: Vec<RawFd>,
    /// Files, and folders with all that is in them, that are read. What is not there now is left out.
    pub read: Vec<PathBuf>,
    /// Folders in which files are written, renamed and removed, and folders made. What is not there now is left out.
    pub write: Vec<PathBuf>,
    /// TCP ports that it connects to.
    pub connect: Vec<u16>,
    /// It speaks to somebody outside over an abstract Unix socket.
    pub abstract_sockets: bool,
}

/// How far a sensor is confined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// In a word.
    pub level: Level,
    /// What is missing, and what else somebody should know about it.
    pub notes: Vec<String>,
}

/// How far a sensor is confined, in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Not at all: nobody asked for it, or nothing of it can be had here.
    #[default]
    Off,
    /// As far as this system can.
    Partial,
    /// In every way.
    Full,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Partial, Self::Full];

    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Partial => "partial",
            Self::Full => "full",
        }
    }
}

/// Gives everything up but what is still needed. To be called by the only thread that there is.
pub fn confine(needed: &Settings) -> Confinement {
    // The filter of calls comes last: it would stand in the way of the others.
    let walls = [rights::give_up(), files::close(needed), calls::refuse(&needed.sockets)];
    let count = walls.len();
    let mut notes: Vec<String> = walls.into_iter().filter_map(Result::err).collect();
    let level = match notes.len() {
        0 => Level::Full,
        missing if missing < count => Level::Partial,
        _ => Level::Off,
    };
    notes.extend(rights::as_root());
    notes.iter().for_each(|note| tracing::warn!("{note}"));
    Confinement { level, notes }
}

impl Confinement {
    /// The level and its notes, on one line for people.
    pub fn line(&self) -> String {
        let Self { level, notes } = self;
        if notes.is_empty() { level.name().to_owned() } else { format!("{}: {}", level.name(), notes.join("; ")) }
    }
}
