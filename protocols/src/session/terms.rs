//! On what terms a flow is decoded, whatever protocol it speaks.

use alloc::boxed::Box;

use crate::REGISTRY;
use crate::dissector::{Dissector, Limits, Protocol, Transport};
use crate::identify::Hints;

/// What decoders of the flow are opened with; [`Limits`] as small as they can be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    timeout: i64,
    pending: u32,
    pub(super) partial: u32,
    pub(super) transport: Transport,
    /// Protocols that are to be expected beside the one that is spoken.
    pub(super) hints: Hints,
}

impl Terms {
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

    /// How long an answer is waited for, nanoseconds.
    pub(super) fn timeout(&self) -> i64 {
        self.timeout
    }

    /// Other rows that the flow may turn out to speak: those of the same name first, then those that share a port with the
    /// one that is spoken, or are expected here.
    pub(super) fn others(&self, spoken: &'static Protocol) -> impl Iterator<Item = &'static Protocol> + use<> {
        let Self { transport, hints, .. } = *self;
        let others = move || {
            let rows = REGISTRY.iter().copied();
            rows.filter(move |row| !core::ptr::eq(*row, spoken) && row.transports.contains(&transport))
        };
        let is_neighbour =
            move |row: &Protocol| hints.has(row) || row.ports.iter().any(|port| spoken.ports.contains(port));
        let family = others().filter(|row| row.name == spoken.name);
        family.chain(others().filter(move |row| row.name != spoken.name && is_neighbour(row)))
    }
}
