//! What reassembly is told, what it counts, and what it says.

use lockkeeper_protocols::Stamp;

use super::End;

/// Who is given the bytes of a connection: each direction in sequence, and both in causal order, so that an answer
/// never comes before what it acknowledges. `stamp.time` and `stamp.packet` are those of the segment that carried the
/// bytes; `stamp.clock` is the moment at which they could be given, which never runs backwards.
pub trait Receiver {
    /// The next bytes that `from` sent, borrowed for this call.
    fn bytes(&mut self, from: End, bytes: &[u8], stamp: &Stamp);

    /// The next `missing` bytes that `from` sent are not in the capture; 0 when nobody can tell how many.
    fn gap(&mut self, from: End, missing: u32, stamp: &Stamp);

    /// `from` sent other bytes for a place in its stream that was filled already. The first bytes count.
    fn conflict(&mut self, from: End, stamp: &Stamp);
}

/// What reassembly runs on. Times are nanoseconds of packet time.
#[derive(Clone, Copy, Debug)]
pub struct StreamSettings {
    /// Segments of the flow after which what was acknowledged but not seen is given up. Also the wait for earlier
    /// segments when a flow is joined in the middle.
    pub reorder_packets: u32,
    /// Time after which what was acknowledged but not seen is given up. As `reorder_packets`, whichever comes first.
    pub reorder_time: i64,
    /// Time after which a hole that nobody acknowledged is given up, when both directions are in the capture.
    pub hole_timeout: i64,
    /// The same when the other direction is not in the capture, so that no acknowledgement can be seen.
    pub one_way_timeout: i64,
    /// Most payload bytes that one flow holds back, apart from one segment for each direction that lies outside the
    /// window.
    pub held_bytes: usize,
    /// Most segments that one flow holds back.
    pub held_segments: usize,
    /// How far from the expected sequence number a segment may lie before it is taken for stray, bytes.
    pub window: u32,
    /// Seed of the payload digests that retransmissions are compared by.
    pub seed: u64,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            reorder_packets: 16,
            reorder_time: 20_000_000,
            hole_timeout: 30_000_000_000,
            one_way_timeout: 2_000_000_000,
            held_bytes: 128 * 1024,
            held_segments: 256,
            window: 1 << 20,
            seed: 0,
        }
    }
}

/// What reassembly counts. What is in order is not counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Segments that were held back until their turn came.
    pub held: u64,
    /// Segments that brought nothing new.
    pub retransmissions: u64,
    /// Keep-alive and window probes: at most one byte just before the expected one.
    pub keep_alives: u64,
    /// Overlaps whose bytes differ from the first ones.
    pub conflicts: u64,
    /// Overlaps with bytes so old that they could not be compared.
    pub unverified_overlaps: u64,
    /// Holes given up: a loss.
    pub gaps: u64,
    /// Bytes in those holes.
    pub gap_bytes: u64,
    /// Bytes given after all, although they had been counted into a gap.
    pub late_bytes: u64,
    /// Bytes that a snap length cut off: a loss.
    pub cut_bytes: u64,
    /// Segments far outside the window.
    pub outside_window: u64,
    /// Streams that were taken up again somewhere else.
    pub resynchronised: u64,
    /// Holes given up early because `held_bytes` or `held_segments` was reached: a loss.
    pub limit_reached: u64,
}

/// What a segment means for its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The connection goes on.
    Ok,
    /// Its end was seen (FIN of both ends, or RST). What arrives late is still delivered.
    Closed,
    /// The segment belongs to a new connection on the same ports and was not used: finish this flow, start a new one
    /// and give it the segment.
    Restart,
}
