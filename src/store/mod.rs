//! Packets on disk: those around alerts, and all of the last days, each in a folder that is bounded.

pub mod evidence;
pub mod recording;
pub mod rotating_dir;
