//! Reports other readings of a stretch of a stream: with the bytes of a different retransmission, or without an urgent byte.

use lockkeeper_protocols::Stamp;

use super::End;
use super::held::Piece;
use super::pass::Pass;
use super::sequence::distance;
use super::stream::{Reading, ReadingCause, StreamHandler};
use super::tcp::TcpFlow;

impl TcpFlow {
    /// Reports the reading in which the already delivered bytes of `piece` replace the delivered ones.
    pub(super) fn report_overlap<R: StreamHandler>(
        &self,
        from: End,
        piece: &Piece<'_>,
        cause: ReadingCause,
        pass: &mut Pass<'_, R>,
    ) {
        let half = &self.halves[from.index()];
        let Some(recent) = pass.recent.as_deref() else { return };
        let end = half.data_end();
        let old = u32::try_from(distance(end, piece.sequence)).unwrap_or(0).min(piece.length) as usize;
        let beyond = piece.data_end().wrapping_add(AROUND);
        let last = if distance(end, beyond) > 0 { beyond } else { end };
        let stretch = recent.stretch(half.recent, piece.sequence.wrapping_sub(AROUND), last);
        let at = AROUND as usize;
        let bytes = piece.bytes.get(..old).unwrap_or(piece.bytes);
        let is_cut = bytes.len() < old;
        let behind = if is_cut { &[] } else { stretch.starting_at(at + old) };
        let other = [stretch.before(at), bytes, behind].concat();
        let delivered = stretch.around(at, at + old);
        let goes_on = !is_cut && at + old + behind.len() == stretch.len() && last == end;
        let stamp = Stamp { clock: pass.stamp.clock.max(piece.stamp.clock), ..piece.stamp };
        pass.out.on_reading(from, &Reading { cause, delivered, other: &other, goes_on }, &stamp);
    }

    /// Reports the reading without the urgent byte at `sequence`.
    pub(super) fn report_urgent<R: StreamHandler>(
        &self,
        from: End,
        sequence: u32,
        stamp: &Stamp,
        pass: &mut Pass<'_, R>,
    ) {
        let half = &self.halves[from.index()];
        let Some(recent) = pass.recent.as_deref() else { return };
        let (end, at) = (half.data_end(), AROUND as usize);
        let stretch = recent.stretch(half.recent, sequence.wrapping_sub(AROUND), end);
        let behind = stretch.starting_at(at + 1);
        let other = [stretch.before(at), behind].concat();
        let goes_on = at + 1 + behind.len() == stretch.len();
        let delivered = stretch.around(at, at + 1);
        let stamp = Stamp { clock: pass.stamp.clock.max(stamp.clock), ..*stamp };
        pass.out.on_reading(from, &Reading { cause: ReadingCause::Urgent, delivered, other: &other, goes_on }, &stamp);
    }
}

/// Bytes of the stream before and after the differing ones that a reading includes: more than the longest frame of Modbus and
/// S7, and than any header of OPC UA.
const AROUND: u32 = 4096;
