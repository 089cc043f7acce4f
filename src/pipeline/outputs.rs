//! The outputs of a run. In a replay, an output that fails is given up and reported, and the others continue. In a sensor, every
//! output [continues](Lines), and its current fault is known.

use super::Problem;
use crate::capture::Block;
use crate::fault::FaultReport;
use crate::metrics::Counters;
use crate::publish::{Lines, PublishError, Publisher};
use crate::record::highlights::Highlights;
use crate::record::{Rendered, Report, merge_transactions};
use crate::store::evidence::EvidenceCollector;
use crate::store::recording::{Recorder, RecordingStatus};

/// The outputs of one run.
#[derive(Default)]
pub struct Outputs {
    /// Publishers of alerts.
    pub publishers: Vec<Box<dyn Publisher>>,
    /// Where transactions are written.
    pub transactions: Option<Lines>,
    /// Keeps the packets around alerts.
    pub evidence: Option<EvidenceCollector>,
    /// Keeps all packets.
    pub recording: Option<Recorder>,
    /// Alerts for the summary page.
    pub highlights: Highlights,
    /// Called for each judged block, before its alerts are published, with the time of its oldest packet.
    pub judged: Option<Box<dyn FnMut(i64) + Send>>,
    /// Whether outputs are flushed at the end of each block, for readers that follow them.
    pub prompt: bool,
    /// Whether something was written since the last flush, or could not be.
    unflushed: bool,
    pub(super) problems: Vec<Problem>,
}

impl Outputs {
    /// Takes the packets of one block, before its alerts.
    pub(super) fn take_block(&mut self, block: &Block) {
        if let (Some(judged), Some(oldest)) = (&mut self.judged, block.packets.first()) {
            judged(oldest.stamp.time);
        }
        if let Some(evidence) = &mut self.evidence {
            evidence.take_block(block);
        }
        if let Some(recorder) = &mut self.recording {
            recorder.take_block(block);
        }
    }

    /// Takes one revision of an alert.
    pub(super) fn take_alert(&mut self, alert: Rendered) {
        self.unflushed = true;
        self.publish(|publisher| publisher.publish(&alert));
        if let Some(evidence) = &mut self.evidence {
            evidence.take_alert(&alert);
        }
        self.highlights.take(alert);
    }

    /// Takes the transactions of one block.
    pub(super) fn take_transactions(&mut self, reports: &[Report]) {
        self.unflushed |= reports.iter().any(|report| !report.transactions.is_empty());
        self.write_transactions(|lines| merge_transactions(reports, |some| lines.write(some)));
    }

    /// Ends a block at packet clock `clock`.
    pub(super) fn end_block(&mut self, clock: i64) {
        if let Some(evidence) = &mut self.evidence {
            evidence.end_block(clock);
            self.problems.extend(evidence.take_problem().map(Problem::Evidence));
        }
        if let Some(recorder) = &mut self.recording {
            recorder.end_block(clock);
        }
        if !self.prompt || !std::mem::take(&mut self.unflushed) {
            return;
        }
        self.publish(|publisher| publisher.flush());
        self.write_transactions(Lines::flush);
        // A failed write is retried at the end of each block, whether or not there is something new.
        let tried_again = self.lines_with_faults().next().is_some();
        self.unflushed = tried_again;
    }

    /// Writes and delivers everything that is left.
    pub(super) fn finish(&mut self) {
        let problems = &mut self.problems;
        if let Some(evidence) = &mut self.evidence {
            evidence.finish();
            problems.extend(evidence.take_problem().map(Problem::Evidence));
        }
        if let Some(recorder) = &mut self.recording {
            problems.extend(recorder.finish().err().map(Problem::Recording));
        }
        // Before the wait for a broker, during which a second signal ends the sensor at once.
        if let Some(lines) = &mut self.transactions {
            problems.extend(lines.finish().err().map(Problem::Publish));
        }
        for publisher in &mut self.publishers {
            problems.extend(publisher.finish().err().map(Problem::Publish));
        }
    }

    /// Adds the counters of the outputs.
    pub(super) fn count(&self, counters: &mut Counters) {
        self.evidence.iter().for_each(|evidence| counters.add_evidence(&evidence.counters()));
        self.recording.iter().for_each(|recorder| counters.add_recording(recorder.counters()));
        let lost = self.publishers.iter().map(|publisher| publisher.lost());
        let lost = lost.chain(self.transactions.iter().map(Lines::lost));
        counters.losses.output_not_written += lost.sum::<u64>();
    }

    /// Faults of outputs at this moment.
    pub(super) fn faults(&self) -> Vec<FaultReport> {
        let evidence = self.evidence.iter().filter_map(EvidenceCollector::fault);
        let recording = self.recording.iter().filter_map(Recorder::fault);
        self.lines_with_faults().chain(evidence).chain(recording).collect()
    }

    /// What is recorded on the disk.
    pub(super) fn recorded(&self) -> Option<RecordingStatus> {
        self.recording.as_ref().map(|recorder| recorder.status().clone())
    }

    fn lines_with_faults(&self) -> impl Iterator<Item = FaultReport> {
        let publishers = self.publishers.iter().filter_map(|publisher| publisher.fault());
        publishers.chain(self.transactions.iter().filter_map(Lines::fault))
    }

    /// Applies `what` to every publisher, and gives up those that fail.
    fn publish(&mut self, mut what: impl FnMut(&mut dyn Publisher) -> Result<(), PublishError>) {
        let problems = &mut self.problems;
        self.publishers.retain_mut(|publisher| match what(publisher.as_mut()) {
            Ok(()) => true,
            Err(error) => {
                problems.push(Problem::Publish(error));
                false
            }
        });
    }

    /// Applies `what` to the transactions, and gives them up if it fails.
    fn write_transactions(&mut self, what: impl FnOnce(&mut Lines) -> Result<(), PublishError>) {
        if let Some(Err(error)) = self.transactions.as_mut().map(what) {
            self.problems.push(Problem::Publish(error));
            self.transactions = None;
        }
    }
}
