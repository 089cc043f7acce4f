//! Where results go while a run goes on. An output that fails in a replay is given up and said so; the others go on. In a
//! sensor, whose outputs [go on](Lines), it is known what keeps each of them from its work now.

use super::Problem;
use crate::capture::Block;
use crate::fault::FaultReport;
use crate::metrics::Counters;
use crate::publish::{Lines, PublishError, Publisher};
use crate::record::highlights::Highlights;
use crate::record::{Rendered, Report, merge_transactions};
use crate::store::evidence::Keeper;
use crate::store::recording::{Recorder, Stock};

/// The outputs of one run.
#[derive(Default)]
pub struct Outputs {
    /// Who is told of alerts.
    pub publishers: Vec<Box<dyn Publisher>>,
    /// Where transactions are written.
    pub transactions: Option<Lines>,
    /// Who keeps the packets around alerts.
    pub evidence: Option<Keeper>,
    /// Who keeps all packets.
    pub recording: Option<Recorder>,
    /// Alerts for the page for people.
    pub highlights: Highlights,
    /// Who hears of each block that was judged, before its alerts go out: the time of its oldest packet.
    pub judged: Option<Box<dyn FnMut(i64) + Send>>,
    /// What was written is seen by readers at the end of each block, as somebody waits for it.
    pub prompt: bool,
    /// Something was written since then, or could not be.
    unseen: bool,
    pub(super) problems: Vec<Problem>,
}

impl Outputs {
    /// Takes the packets of one block, before the alerts that were found in it.
    pub(super) fn block(&mut self, block: &Block) {
        if let (Some(judged), Some(oldest)) = (&mut self.judged, block.packets.first()) {
            judged(oldest.stamp.time);
        }
        if let Some(keeper) = &mut self.evidence {
            keeper.block(block);
        }
        if let Some(recorder) = &mut self.recording {
            recorder.block(block);
        }
    }

    /// Takes one revision of an alert.
    pub(super) fn alert(&mut self, alert: Rendered) {
        self.unseen = true;
        self.publish(|publisher| publisher.publish(&alert));
        if let Some(keeper) = &mut self.evidence {
            keeper.alert(&alert);
        }
        self.highlights.take(alert);
    }

    /// Takes the transactions of one block.
    pub(super) fn transactions(&mut self, reports: &[Report]) {
        self.unseen |= reports.iter().any(|report| !report.transactions.is_empty());
        self.write_transactions(|lines| merge_transactions(reports, |some| lines.write(some)));
    }

    /// The end of a block, when it is `clock`.
    pub(super) fn end_of_block(&mut self, clock: i64) {
        if let Some(keeper) = &mut self.evidence {
            keeper.end_of_block(clock);
            self.problems.extend(keeper.problem().map(Problem::Evidence));
        }
        if let Some(recorder) = &mut self.recording {
            recorder.end_of_block(clock);
        }
        if !self.prompt || !std::mem::take(&mut self.unseen) {
            return;
        }
        self.publish(|publisher| publisher.flush());
        self.write_transactions(Lines::flush);
        // What could not be written is tried again, whether or not something new comes.
        let tried_again = self.lines_with_faults().next().is_some();
        self.unseen = tried_again;
    }

    /// Waits until everything is written and delivered.
    pub(super) fn finish(&mut self) {
        let problems = &mut self.problems;
        if let Some(keeper) = &mut self.evidence {
            keeper.finish();
            problems.extend(keeper.problem().map(Problem::Evidence));
        }
        if let Some(recorder) = &mut self.recording {
            problems.extend(recorder.finish().err().map(Problem::Recording));
        }
        // Before a broker is waited for: a second signal ends the sensor at once.
        if let Some(lines) = &mut self.transactions {
            problems.extend(lines.finish().err().map(Problem::Publish));
        }
        for publisher in &mut self.publishers {
            problems.extend(publisher.finish().err().map(Problem::Publish));
        }
    }

    /// Adds what was counted here so far.
    pub(super) fn count(&self, counters: &mut Counters) {
        self.evidence.iter().for_each(|keeper| counters.add_evidence(&keeper.counters()));
        self.recording.iter().for_each(|recorder| counters.add_recording(recorder.counters()));
        let lost = self.publishers.iter().map(|publisher| publisher.lost());
        let lost = lost.chain(self.transactions.iter().map(Lines::lost));
        counters.losses.output_not_written += lost.sum::<u64>();
    }

    /// What keeps outputs from their work now.
    pub(super) fn faults(&self) -> Vec<FaultReport> {
        let evidence = self.evidence.iter().filter_map(Keeper::fault);
        let recording = self.recording.iter().filter_map(Recorder::fault);
        self.lines_with_faults().chain(evidence).chain(recording).collect()
    }

    /// What is recorded on the disk.
    pub(super) fn recorded(&self) -> Option<Stock> {
        self.recording.as_ref().map(|recorder| recorder.stock().clone())
    }

    fn lines_with_faults(&self) -> impl Iterator<Item = FaultReport> {
        let publishers = self.publishers.iter().filter_map(|publisher| publisher.fault());
        publishers.chain(self.transactions.iter().filter_map(Lines::fault))
    }

    /// Does something with every publisher, and gives those up that fail.
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

    /// Does something with the transactions, and gives them up when that fails.
    fn write_transactions(&mut self, what: impl FnOnce(&mut Lines) -> Result<(), PublishError>) {
        if let Some(Err(error)) = self.transactions.as_mut().map(what) {
            self.problems.push(Problem::Publish(error));
            self.transactions = None;
        }
    }
}
