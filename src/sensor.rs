//! The life of a sensor: listens, judges and tells until it is asked to stop, and then delivers what it has.

use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::capture::Live;
use crate::capture::live::Stop;
use crate::pipeline::{self, Outputs, Replayed, Settings};
use crate::policy::Policy;

/// Runs until SIGINT or SIGTERM. What was captured until then is judged and delivered.
pub fn run(mut live: Live, policy: &Arc<Policy>, settings: &Settings, outputs: &mut Outputs) -> io::Result<Replayed> {
    stop_on_signals(&live.stop())?;
    outputs.prompt = true;
    Ok(pipeline::replay(&mut live, policy, settings, outputs, &mut |_, _, _| {}))
}

/// The first signal asks for an orderly end, the second one ends at once.
fn stop_on_signals(stop: &Stop) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, KILLED, stop.flag())?;
        flag::register(signal, stop.flag())?;
    }
    Ok(())
}

/// Exit status of a program that was ended by force.
const KILLED: i32 = 2;
