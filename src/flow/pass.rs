//! The context of one call into reassembly.

use lockkeeper_protocols::Stamp;

use super::held::Piece;
use super::stream::{Reading, ReadingCause};
use super::{Assembly, End, RecentBytes, StreamCounters, StreamHandler, StreamSettings};

/// The context of one call into reassembly.
pub(super) struct Pass<'a, R> {
    pub(super) settings: &'a StreamSettings,
    pub(super) counters: &'a mut StreamCounters,
    pub(super) recent: Option<&'a mut RecentBytes>,
    /// [`Arrival::duplicate_window`](super::Arrival) of the current segment.
    pub(super) duplicate_window: i64,
    pub(super) out: &'a mut R,
    /// Stamp of the current segment or deadline; its clock is the time of delivery.
    pub(super) stamp: Stamp,
}

impl<'a, R> Pass<'a, R> {
    pub(super) fn new(assembly: Assembly<'a>, duplicate_window: i64, stamp: Stamp, out: &'a mut R) -> Self {
        let Assembly { settings, counters, recent } = assembly;
        Self { settings, counters, recent, duplicate_window, out, stamp }
    }
}

impl<R: StreamHandler> Pass<'_, R> {
    /// Counts and reports a hole that is given up.
    pub(super) fn gap(&mut self, from: End, missing: u32, stamp: &Stamp) {
        self.counters.gaps += 1;
        self.counters.gap_bytes += u64::from(missing);
        self.out.on_gap(from, missing, stamp);
    }

    /// Reports bytes that belong to no known part of the stream.
    pub(super) fn report_outside(&mut self, from: End, piece: &Piece<'_>, cause: ReadingCause) {
        if self.recent.is_some() {
            let stamp = Stamp { clock: self.stamp.clock.max(piece.stamp.clock), ..piece.stamp };
            let other = if cause == ReadingCause::Stray { piece.bytes } else { &[] };
            self.out.on_reading(from, &Reading { cause, delivered: [&[], &[]], other, goes_on: false }, &stamp);
        }
    }
}
