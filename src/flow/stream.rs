//! What reassembly is told, what it counts, and what it says.

use lockkeeper_protocols::Stamp;

use super::{End, RecentBytes};

/// Who is given the bytes of a connection: each direction in sequence, and both in causal order, so that an answer
/// never comes before what it acknowledges. `stamp.time` and `stamp.packet` are those of the segment that carried the
/// bytes; `stamp.clock` is the moment at which they could be given, which never runs backwards.
pub trait StreamHandler {
    /// The next bytes that `from` sent, borrowed for this call.
    fn on_bytes(&mut self, from: End, bytes: &[u8], stamp: &Stamp);

    /// The next `missing` bytes that `from` sent are not in the capture; 0 when nobody can tell how many.
    fn on_gap(&mut self, from: End, missing: u32, stamp: &Stamp);

    /// What `from` sent is given up in part although it may still come, because too much waits behind it.
    fn on_limit(&mut self, from: End, stamp: &Stamp);

    /// There is another reading of what `from` sent: which one its receiver took cannot be known. The stamp is that of the
    /// segment that makes it so. What was delivered stands.
    fn on_reading(&mut self, from: End, reading: &Reading<'_>, stamp: &Stamp);
}

/// Another reading of a stretch of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// Why there is one.
    pub cause: ReadingCause,
    /// What was delivered of the stretch, as far as it is still known.
    pub delivered: [&'a [u8]; 2],
    /// How the stretch can be read as well. Empty where that is not known.
    pub other: &'a [u8],
    /// The stretch ends where the stream goes on: this reading goes on with what is delivered next.
    pub goes_on: bool,
}

/// Why a stream can be read in more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingCause {
    /// Other bytes came for a place that was filled. The origin is that of the packet that filled it.
    Differs {
        /// Origin of a [`Stamp`].
        origin: u64,
    },
    /// Bytes came for a place that was filled or given up, and what was delivered there is no longer known.
    Unverified,
    /// Bytes lie far from where the stream is, and were not followed.
    Stray,
    /// Bytes came after the end of the stream.
    AfterEnd,
    /// Some receivers take the urgent byte out of the stream, others do not (RFC 6093).
    Urgent,
}

impl ReadingCause {
    /// Whether there are two versions of the same bytes for certain.
    pub const fn is_contradiction(self) -> bool {
        matches!(self, Self::Differs { .. } | Self::AfterEnd)
    }
}

/// What is known about a segment beside its header.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Its receiver drops it, as far as its checksum tells: its bytes count only when they turn out to have been taken.
    pub is_doubtful: bool,
    /// A repeat is a copy that the capture has made if it comes so soon, nanoseconds.
    pub duplicate_window: i64,
}

/// What reassembly works with.
#[derive(Debug)]
pub struct Assembly<'a> {
    /// What it runs on.
    pub settings: &'a StreamSettings,
    /// What it counts.
    pub counters: &'a mut StreamCounters,
    /// Where it keeps what it delivers, to compare repeats with; none for a stream whose content is not judged.
    pub recent: Option<&'a mut RecentBytes>,
}

/// What reassembly runs on. Times are nanoseconds of packet time.
#[derive(Clone, Copy, Debug)]
pub struct StreamSettings {
    /// Segments of the flow after which what was acknowledged but not seen is given up. Also the wait for earlier
    /// segments when a flow is joined in the middle.
    pub reorder_packets: u32,
    /// Time after which what was acknowledged but not seen is given up. As `reorder_packets`, whichever comes first.
    pub reorder_time: i64,
    /// Time after which a hole is given up when the other direction is not in the capture, so that no acknowledgement can
    /// tell whether its receiver waits for it. Otherwise a hole stays as long as there is room for what is behind it.
    pub one_way_timeout: i64,
    /// Most payload bytes that one flow holds back, apart from one segment for each direction that lies outside the
    /// window.
    pub held_bytes: usize,
    /// Most segments that one flow holds back.
    pub held_segments: usize,
    /// How far from the expected sequence number a segment may lie before it is taken for stray, bytes.
    pub window: u32,
    /// Delivered bytes that one shard remembers, to compare them with what is sent again.
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

/// What reassembly counts. What is in order is not counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Segments that were held back until their turn came.
    pub held: u64,
    /// Segments that repeat what was delivered, as the capture has made a copy of them.
    pub duplicates: u64,
    /// Segments that brought nothing new.
    pub retransmissions: u64,
    /// Keep-alive and window probes: at most one byte just before the expected one.
    pub keep_alives: u64,
    /// Overlaps whose bytes differ from the first ones.
    pub conflicts: u64,
    /// Overlaps with bytes so old that they could not be compared.
    pub unverified_overlaps: u64,
    /// Segments whose receiver drops them, and whose bytes were not taken.
    pub dropped: u64,
    /// Segments that their receiver should have dropped, and acknowledged.
    pub taken_doubtful: u64,
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
