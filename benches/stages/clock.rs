//! Times stages and collects the results.

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value, json};

use crate::machine::{machine, median};

/// Times stages and collects the results.
pub(crate) struct Clock {
    rounds: usize,
    only: Vec<String>,
    rows: Vec<Row>,
}

/// One stage.
struct Row {
    name: String,
    /// The unit of the work, such as `packet`.
    unit: &'static str,
    /// Units in one round.
    count: usize,
    /// Nanoseconds for one unit, round by round.
    rounds: Vec<f64>,
}

impl Clock {
    /// `only`: stages whose names begin with one of these; all of them if there are none.
    pub(crate) fn new(rounds: usize, only: Vec<String>) -> Self {
        Self { rounds, only, rows: Vec::new() }
    }

    /// Whether any selected stage has a name with this beginning.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only) || only.starts_with(name))
    }

    /// Times `work`, which processes `count` units. `prepare` creates its input for each round; neither that nor dropping the
    /// input is timed. The first round only warms up.
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    pub(crate) fn time<S, R>(
        &mut self,
        name: &str,
        unit: &'static str,
        count: usize,
        mut prepare: impl FnMut() -> S,
        mut work: impl FnMut(&mut S) -> R,
    ) {
        if !self.wants(name) {
            return;
        }
        let mut rounds = Vec::with_capacity(self.rounds + 1);
        for _ in 0..=self.rounds {
            let mut state = prepare();
            let start = Instant::now();
            black_box(work(&mut state));
            rounds.push(start.elapsed().as_nanos() as f64 / count as f64);
        }
        rounds.remove(0);
        self.rows.push(Row { name: name.to_owned(), unit, count, rounds });
    }

    /// The table, one row a stage.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![format!("{:<44} {:>10} {:>10}  each", "stage", "median ns", "least ns")];
        lines.extend(
            self.rows
                .iter()
                .map(|row| format!("{:<44} {:>10.1} {:>10.1}  {}", row.name, row.median(), row.least(), row.unit)),
        );
        lines.join("\n")
    }

    /// The same as one JSON object.
    pub(crate) fn line(&self) -> Value {
        let results = self.rows.iter().map(|row| {
            json!({
                "stage": row.name,
                "each": row.unit,
                "count": row.count,
                "rounds": row.rounds.len(),
                "ns": row.median(),
                "ns_min": row.least(),
            })
        });
        json!({
            "schema": "lockkeeper/bench-stages/1",
            "machine": machine(),
            "results": results.collect::<Vec<_>>(),
        })
    }
}

impl Row {
    fn median(&self) -> f64 {
        median(self.rounds.iter().copied())
    }

    fn least(&self) -> f64 {
        self.rounds.iter().copied().fold(f64::INFINITY, f64::min)
    }
}
