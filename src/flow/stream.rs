//! Input, output, settings and counters of TCP reassembly.

use lockkeeper_protocols::Stamp;

use super::{End, RecentBytes};

/// Receives the bytes of a connection: each direction in sequence, and both in causal order, so that an answer never comes
/// before the bytes that it acknowledges. `stamp.time` and `stamp.packet` are those of the segment that carried the bytes;
/// `stamp.clock` is the packet clock at delivery and never runs backwards.
pub trait StreamHandler {
    /// The next bytes that `from` sent, borrowed for this call.
    fn on_bytes(&mut self, from: End, bytes: &[u8], stamp: &Stamp);

    /// The next `missing` bytes that `from` sent are not in the capture; 0 if their number is unknown.
    fn on_gap(&mut self, from: End, missing: u32, stamp: &Stamp);

    /// Bytes that `from` sent are given up although they may still arrive, because too much is held behind them.
    fn on_limit(&mut self, from: End, stamp: &Stamp);

    /// There is another reading of what `from` sent, and the capture does not show which one its receiver accepted. The stamp
    /// is that of the segment that causes it. Delivered bytes stand.
    fn on_reading(&mut self, from: End, reading: &Reading<'_>, stamp: &Stamp);
}

/// Another reading of a range of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// Why there is one.
    pub cause: ReadingCause,
    /// The delivered bytes of the range, as far as they are still known.
    pub delivered: [&'a [u8]; 2],
    /// The bytes of this reading; empty if unknown.
    pub other: &'a [u8],
    /// The range ends at the end of the delivered bytes, so this reading continues with the next delivery.
    pub goes_on: bool,
}

/// Why a stream can be read in more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingCause {
    /// A retransmission differs from the delivered bytes.
    Differs {
        /// Origin ([`Stamp::origin`]) of the packet with the delivered bytes.
        origin: u64,
    },
    /// A retransmission cannot be compared, because the delivered bytes are no longer known.
    Unverified,
    /// Bytes far outside the window were not followed.
    Stray,
    /// Bytes follow the end of the stream.
    AfterEnd,
    /// Some receivers remove the urgent byte from the stream, others do not (RFC 6093).
    Urgent,
}

/// Properties of a segment that are not in its TCP header.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Its checksum is wrong, so its receiver should drop it: its bytes count only if they turn out to have been accepted.
    pub is_doubtful: bool,
    /// A repeated segment within this time is a duplicate made by the capture, not a retransmission; nanoseconds.
    pub duplicate_window: i64,
}

/// The environment of reassembly.
#[derive(Debug)]
pub struct Assembly<'a> {
    /// Settings.
    pub settings: &'a StreamSettings,
    /// Counters.
    pub counters: &'a mut StreamCounters,
    /// Stores delivered bytes to compare retransmissions with; none for a stream whose content is not judged.
    pub recent: Option<&'a mut RecentBytes>,
}

/// Settings of reassembly. Times are nanoseconds of packet time.
#[derive(Clone, Copy, Debug)]
pub struct StreamSettings {
    /// Segments of the flow after which acknowledged bytes that were not captured are given up. Also limits the wait for
    /// earlier segments of a flow that is joined midstream.
    pub reorder_packets: u32,
    /// Time after which acknowledged bytes that were not captured are given up, if `reorder_packets` is not reached before.
    pub reorder_time: i64,
    /// Time after which a hole is given up if the other direction is not in the capture, so that no acknowledgement shows
    /// whether the hole is in the stream. Otherwise a hole stays until a limit of held segments is reached.
    pub one_way_timeout: i64,
    /// Most payload bytes held for one flow, apart from one stray segment for each direction.
    pub held_bytes: usize,
    /// Most segments held for one flow.
    pub held_segments: usize,
    /// Largest distance of a segment from the expected sequence number, bytes; beyond it, the segment is stray.
    pub window: u32,
    /// Delivered bytes stored for one shard, to compare retransmissions with.
    pub recent_bytes: usize,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            reorder_packets: 16,
            reorder_time: 20_000_000,
            one_way_timeout: 2_000_000_000,
            held_bytes: 128 * 1024,
            held_segments: 256,
            window: 1 << 20,
            recent_bytes: 16 * 1024,
        }
    }
}

/// What reassembly counts. Segments in order are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Segments held before they were delivered.
    pub held: u64,
    /// Segments without new bytes that are duplicates made by the capture.
    pub duplicates: u64,
    /// Other segments without new bytes.
    pub retransmissions: u64,
    /// Keep-alives and window probes: at most one byte just before the expected one.
    pub keep_alives: u64,
    /// Overlaps whose bytes differ from the first ones.
    pub conflicts: u64,
    /// Overlaps with bytes that are no longer known, so that they could not be compared.
    pub unverified_overlaps: u64,
    /// Doubtful segments whose bytes their receiver did not accept.
    pub dropped: u64,
    /// Doubtful segments whose bytes their receiver acknowledged.
    pub taken_doubtful: u64,
    /// Holes given up: a loss.
    pub gaps: u64,
    /// Bytes in those holes.
    pub gap_bytes: u64,
    /// Bytes of those holes that were delivered after all.
    pub late_bytes: u64,
    /// Bytes that a snap length cut off: a loss.
    pub cut_bytes: u64,
    /// Segments far outside the window.
    pub outside_window: u64,
    /// Streams that were resumed at another sequence number.
    pub resynchronised: u64,
    /// Holes given up early because `held_bytes` or `held_segments` was exceeded: a loss.
    pub limit_reached: u64,
}

/// The state of a connection after a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The connection is open.
    Ok,
    /// The connection has ended (FIN of both ends, or RST). Late segments are still delivered.
    Closed,
    /// The segment belongs to a new connection on the same ports and was not used: the caller finishes this flow and passes
    /// the segment to a new one.
    Restart,
}
