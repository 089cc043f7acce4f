//! Packets on disk: those around alerts, and a recording of the last days, each in a folder of bounded size.

pub mod evidence;
pub mod recording;
pub mod rotating_dir;
