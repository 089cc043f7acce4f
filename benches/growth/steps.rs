//! The dimensions and their steps.

use std::fmt;

use clap::ValueEnum;

use crate::generator::{PolicySize, Settings};

/// A growing dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dimension {
    /// Packets, in 200 flows.
    Packets,
    /// Flows that are open at once.
    Flows,
    /// Flows that the policy declares.
    PolicyFlows,
    /// Points with limits that the policy declares.
    PolicyPoints,
    /// Worker threads.
    Workers,
    /// Requests that the policy does not permit, per million.
    Violations,
}

impl fmt::Display for Dimension {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value();
        formatter.pad(name.as_ref().map_or("", |value| value.get_name()))
    }
}

/// One step.
pub(crate) struct Step {
    pub(crate) dimension: Dimension,
    /// The size of its dimension.
    pub(crate) value: u64,
    pub(crate) settings: Settings,
    pub(crate) workers: u16,
}

/// All steps, dimension by dimension. All other sizes are small, with one worker.
pub(crate) fn steps() -> Vec<Step> {
    let usual = Settings { packets: 1_000_000, ..Settings::default() };
    let step = |dimension, value, settings| Step { dimension, value, settings, workers: 1 };
    let mut steps = Vec::new();
    for packets in [100_000, 300_000, 1_000_000, 3_000_000, 10_000_000] {
        steps.push(step(Dimension::Packets, packets, Settings { packets, ..usual.clone() }));
    }
    for flows in [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000] {
        // Opening and closing a flow takes six packets.
        let packets = usual.packets.max(8 * u64::from(flows));
        steps.push(step(Dimension::Flows, flows.into(), Settings { packets, flows, ..usual.clone() }));
    }
    for size in [0, 1, 10, 100, 1_000, 10_000] {
        // Rules are looked up once for each flow, so there are many short flows.
        let policy = PolicySize { flows: size, ..PolicySize::default() };
        let settings = Settings { packets: 200_000, flows: 10_000, policy, ..usual.clone() };
        steps.push(step(Dimension::PolicyFlows, size.into(), settings));
    }
    for size in [0, 1, 10, 100, 1_000, 10_000] {
        let policy = PolicySize { points: size, ..PolicySize::default() };
        steps.push(step(Dimension::PolicyPoints, size.into(), Settings { policy, ..usual.clone() }));
    }
    for workers in 1..=8 {
        let settings = Settings { packets: 2_000_000, ..usual.clone() };
        steps.push(Step { dimension: Dimension::Workers, value: workers.into(), settings, workers });
    }
    for violations in [0, 1_000, 10_000, 100_000, 500_000, 1_000_000] {
        let settings = Settings { packets: 500_000, violations, ..usual.clone() };
        steps.push(step(Dimension::Violations, violations.into(), settings));
    }
    steps
}
