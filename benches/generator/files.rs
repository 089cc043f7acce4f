//! A generated capture on disk, with its policies and its truth beside it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::generator::{PolicyKind, Settings, Summary, generate, policy};

/// Paths of the files of one capture.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// The capture.
    pub(crate) capture: PathBuf,
    /// The policy that permits it by the targets of operations; policies of other kinds lie beside it.
    pub(crate) policy: PathBuf,
    /// Its counts of packets, and of PDUs with the keys of `--stats`, as JSON.
    pub(crate) truth: PathBuf,
}

impl Files {
    /// The default paths, below the folder `target`.
    pub(crate) fn default_for(settings: &Settings) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("target"));
        let speech = settings.speech.to_possible_value().map(|value| value.get_name().replace('/', "-"));
        let name = format!("{}-{}p-{}f.pcap", speech.unwrap_or_default(), settings.packets, settings.flows);
        Self::beside(target.join("bench").join(name))
    }

    /// Policy and truth have the name of the capture.
    pub(crate) fn beside(capture: PathBuf) -> Self {
        Self { policy: capture.with_extension("toml"), truth: capture.with_extension("json"), capture }
    }

    /// The policy of a kind, unless that kind is none.
    pub(crate) fn policy_of(&self, kind: PolicyKind) -> Option<PathBuf> {
        match kind {
            PolicyKind::None => None,
            PolicyKind::Limited => Some(self.policy.clone()),
            PolicyKind::Observed | PolicyKind::Permitted | PolicyKind::Denied => {
                Some(self.policy.with_extension(format!("{}.toml", kind.name())))
            }
        }
    }

    /// The policies of all kinds.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (PolicyKind, PathBuf)> {
        PolicyKind::ALL.into_iter().filter_map(|kind| Some((kind, self.policy_of(kind)?)))
    }

    /// Generates all files; the truth last, so that a capture with a truth is complete.
    pub(crate) fn write(&self, settings: &Settings) -> io::Result<Value> {
        for folder in [&self.capture, &self.policy, &self.truth].into_iter().filter_map(|file| file.parent()) {
            fs::create_dir_all(folder)?;
        }
        let _ = fs::remove_file(&self.truth);
        let summary = generate(settings, File::create(&self.capture)?)?;
        for (kind, path) in self.policies() {
            fs::write(path, policy(settings, kind).unwrap_or_default())?;
        }
        let truth = truth(settings, &summary);
        fs::write(&self.truth, format!("{truth:#}\n"))?;
        Ok(truth)
    }
}

fn truth(settings: &Settings, summary: &Summary) -> Value {
    let Summary { taped, sent } = summary;
    let mut truth = json!({
        "generator": GENERATOR,
        "settings": described(settings),
        "packets": taped.packets,
        "bytes": taped.bytes,
        "lost": taped.lost,
        "reordered": taped.reordered,
        "doubled": taped.doubled,
        "fragments": taped.fragments,
        "violations": sent.iter().map(|(_, tally)| tally.violations).sum::<u64>(),
    });
    for (part, tally) in sent {
        truth[part.protocol()] = json!(tally.pdus);
    }
    truth
}

/// The settings of a capture, as the truth records them.
pub(crate) fn described(settings: &Settings) -> String {
    format!("{settings:?}")
}

/// Incremented when the same settings give other bytes than before.
pub(crate) const GENERATOR: u32 = 3;
