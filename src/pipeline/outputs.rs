//! Where results go while a run goes on. An output that fails is given up and said so; the others go on.

use std::io::{self, Write};

use super::Problem;
use crate::alert::{Rendered, Report, merge_transactions};
use crate::capture::Block;
use crate::evidence::Keeper;
use crate::highlights::Highlights;
use crate::publish::Publisher;

/// The outputs of one run.
#[derive(Default)]
pub struct Outputs {
    /// Who is told of alerts.
    pub publishers: Vec<Box<dyn Publisher>>,
    /// Where transactions are written, with its name for error messages.
    pub transactions: Option<(String, Box<dyn Write + Send>)>,
    /// Who keeps the packets around alerts.
    pub evidence: Option<Keeper>,
    /// Alerts for the page for people.
    pub highlights: Highlights,
    /// What was written is seen by readers at the end of each block, as somebody waits for it.
    pub prompt: bool,
    /// Something was written since then.
    unseen: bool,
    pub(super) problems: Vec<Problem>,
}

impl Outputs {
    /// Takes the packets of one block, before the alerts that were found in it.
    pub(super) fn block(&mut self, block: &Block) {
        if let Some(keeper) = &mut self.evidence {
            keeper.block(block);
        }
    }

    /// Takes one revision of an alert.
    pub(super) fn alert(&mut self, alert: Rendered) {
        let problems = &mut self.problems;
        self.unseen = true;
        self.publishers.retain_mut(|publisher| match publisher.publish(&alert) {
            Ok(()) => true,
            Err(error) => {
                problems.push(Problem::Publish(error));
                false
            }
        });
        if let Some(keeper) = &mut self.evidence {
            keeper.alert(&alert);
        }
        self.highlights.take(alert);
    }

    /// Takes the transactions of one block.
    pub(super) fn transactions(&mut self, reports: &[Report]) {
        self.unseen |= reports.iter().any(|report| !report.transactions.is_empty());
        if let Some((name, out)) = &mut self.transactions
            && let Err(source) = merge_transactions(reports, out)
        {
            self.problems.push(Problem::transactions(name, source));
            self.transactions = None;
        }
    }

    /// The end of a block, when it is `clock`.
    pub(super) fn end_of_block(&mut self, clock: i64) {
        if let Some(keeper) = &mut self.evidence {
            keeper.end_of_block(clock);
            self.problems.extend(keeper.problem().map(Problem::Evidence));
        }
        if !self.prompt || !std::mem::take(&mut self.unseen) {
            return;
        }
        let problems = &mut self.problems;
        self.publishers.retain_mut(|publisher| match publisher.flush() {
            Ok(()) => true,
            Err(error) => {
                problems.push(Problem::Publish(error));
                false
            }
        });
        if let Some((name, out)) = &mut self.transactions
            && let Err(source) = out.flush()
        {
            self.problems.push(Problem::transactions(name, source));
            self.transactions = None;
        }
    }

    /// Waits until everything is written and delivered.
    pub(super) fn finish(&mut self) {
        if let Some(keeper) = &mut self.evidence {
            keeper.finish();
            self.problems.extend(keeper.problem().map(Problem::Evidence));
        }
        for mut publisher in self.publishers.drain(..) {
            if let Err(error) = publisher.finish() {
                self.problems.push(Problem::Publish(error));
            }
        }
        if let Some((name, mut out)) = self.transactions.take()
            && let Err(source) = out.flush()
        {
            self.problems.push(Problem::transactions(&name, source));
        }
    }
}

impl Problem {
    fn transactions(path: &str, source: io::Error) -> Self {
        Self::Transactions { path: path.to_owned(), source }
    }
}
