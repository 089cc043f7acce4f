//! The settings of one flow that outlive a change of its protocol.

use alloc::boxed::Box;

use crate::REGISTRY;
use crate::dissector::{Dissector, Limits, Protocol, Transport};
use crate::identify::Hints;

/// What decoders of the flow are created with: [`Limits`], in fewer bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowSettings {
    timeout: i64,
    pending: u32,
    pub(super) partial: u32,
    pub(super) transport: Transport,
    /// Protocols that are expected beside the current one.
    pub(super) hints: Hints,
}

impl FlowSettings {
    pub(super) fn new(transport: Transport, limits: &Limits) -> Self {
        let small = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        Self {
            timeout: limits.answer_timeout,
            pending: small(limits.pending),
            partial: small(limits.partial),
            transport,
            hints: Hints::default(),
        }
    }

    pub(super) fn open(&self, protocol: &Protocol) -> Box<dyn Dissector> {
        let Self { timeout: answer_timeout, pending, partial, transport, .. } = *self;
        let limits = Limits { pending: pending as usize, answer_timeout, partial: partial as usize };
        (protocol.open)(transport, &limits)
    }

    /// The rows that the flow may change to: those of the same name first, then those that share a port with the current
    /// row, or are expected here.
    pub(super) fn others(&self, current: &'static Protocol) -> impl Iterator<Item = &'static Protocol> + use<> {
        let Self { transport, hints, .. } = *self;
        let others = move || {
            let rows = REGISTRY.iter().copied();
            rows.filter(move |row| !core::ptr::eq(*row, current) && row.transports.contains(&transport))
        };
        let is_neighbour =
            move |row: &Protocol| hints.has(row) || row.ports.iter().any(|port| current.ports.contains(port));
        let family = others().filter(|row| row.name == current.name);
        family.chain(others().filter(move |row| row.name != current.name && is_neighbour(row)))
    }
}
