//! The capture of a measurement, generated once and reused as long as its settings are the same.

use std::fs;
use std::io;

use serde_json::Value;

use crate::files::{Files, GENERATOR, described};
use crate::generator::{PolicyKind, Settings};

/// Generates the capture unless it exists; returns its truth.
pub(crate) fn prepare(files: &Files, settings: &Settings) -> io::Result<Value> {
    if let Some(truth) = existing(files, settings) {
        return Ok(truth);
    }
    eprintln!("Generating {}", files.capture.display());
    files.write(settings)
}

fn existing(files: &Files, settings: &Settings) -> Option<Value> {
    let truth: Value = serde_json::from_str(&fs::read_to_string(&files.truth).ok()?).ok()?;
    let same = truth["settings"] == described(settings) && truth["generator"] == GENERATOR;
    let whole = fs::metadata(&files.capture).is_ok_and(|file| truth["bytes"] == file.len());
    (same && whole && files.policies().all(|(_, policy)| policy.exists())).then_some(truth)
}

/// The arguments that replay a capture under its policy of a kind.
pub(crate) fn replay_arguments(files: &Files, kind: PolicyKind) -> Vec<String> {
    let capture = files.capture.display().to_string();
    let mut arguments = ["replay", &capture, "--alerts", "/dev/null"].map(str::to_owned).to_vec();
    if let Some(policy) = files.policy_of(kind) {
        arguments.extend(["--policy".to_owned(), policy.display().to_string()]);
    }
    arguments
}
