//! A [`Source`] of network interfaces.
//!
//! ```text
//!  interface -> ring of the kernel (TPACKET_V3) -> reader == Block ==> queue \
//!  interface -> ring of the kernel (TPACKET_V3) -> reader == Block ==> queue -> merge by time -> fill
//!                                                     ^                  |
//!                                                     +== empty blocks ==+
//! ```
//! The kernel writes the packets of each interface to a ring, and one thread copies them out of it in batches. The kernel
//! hands over a part of the ring when it is full or when [`InterfaceSettings::block_timeout`] has passed: this timeout
//! determines the latency of alerts on a quiet network.
//!
//! **The timeout is fixed while an interface is open.** The kernel takes it together with the ring, and libpcap cannot
//! change it later; an adaptive timeout would need a second ring and a way to merge both. It is not needed. Under load,
//! parts of the ring are full before the timeout. On a quiet network, a timeout of one millisecond costs at most a
//! thousand wake-ups a second, and none without packets, because an empty part is not handed over. The timeout matters
//! only while the reader is stalled: each hand-over uses 256 KiB whatever its content, so that a ring of 128 MiB bridges
//! half a second on a busy interface, and twice that with two milliseconds.
//!
//! **Every loss is counted, and the network is never slowed down.** If the pipeline does not keep up, the queue fills up;
//! the reader pauses briefly while the ring still takes packets, then drops a whole batch and counts its packets. If the
//! ring is full, the kernel drops packets and counts them.
//!
//! **One reader for each interface, no `PACKET_FANOUT`.** The work on packets is spread over processors, not their
//! copying. The dealer of the pipeline spreads it by a hash of the innermost addresses, equal in both directions, after IP
//! fragments are reassembled. The hash of a kernel fanout uses the outermost addresses and separates fragments, so that
//! packets of one conversation would reach different readers, and lose their order.
//!
//! **Time.** Packets have kernel timestamps in nanoseconds. Several interfaces are merged by these, because a network tap
//! may deliver each direction on an interface of its own. When no packets arrive, a block without packets advances the
//! [clock](Block::tick), but never beyond a packet that may still be in a ring.

mod counters;
mod device;
mod interface_merge;
mod reader;

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Block, Capture, Drops, Error, Source};
pub use counters::{InterfaceCounters, InterfaceReading, InterfaceState};
pub use device::{Device, devices};
use interface_merge::InterfaceMerge;
use reader::Reader;

/// Settings of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// Its name, such as `eth1`.
    pub name: String,
    /// Bytes of each packet that are captured. More than the MTU if the interface merges segments (GRO).
    pub snap_length: u32,
    /// Size of the kernel's ring, bytes.
    pub ring: u32,
    /// Most time before the kernel hands over packets. Each hand-over uses 256 KiB of the ring, so that a stalled reader loses
    /// packets after `ring / 256 KiB * block_timeout` at the earliest.
    pub block_timeout: Duration,
    /// Captures packets for other hosts too, which a SPAN port delivers.
    pub promiscuous: bool,
    /// Captures only packets that this filter accepts, in the language of pcap-filter(7).
    pub filter: Option<String>,
}

impl InterfaceSettings {
    /// The defaults for an interface.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            snap_length: 65_535,
            ring: 128 * 1024 * 1024,
            block_timeout: Duration::from_millis(1),
            promiscuous: true,
            filter: None,
        }
    }
}

/// Asks a [`Live`] source to stop. Packets captured before are still delivered.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks the source to stop.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The flag itself, for signal handlers.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Whether the source was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A source of live interfaces.
pub struct Live {
    /// Readers that were not started yet.
    readers: Vec<Reader>,
    merge: InterfaceMerge,
    captures: Vec<Capture>,
    counters: Vec<Arc<InterfaceCounters>>,
    stop: Stop,
}

impl Live {
    /// Opens every interface, which needs `CAP_NET_RAW`. Packets are in the rings from now on. If an interface disappears
    /// later, the capture waits for its return.
    ///
    /// # Errors
    ///
    /// Fails if an interface cannot be opened.
    pub fn open(interfaces: &[InterfaceSettings]) -> Result<Self, Error> {
        if interfaces.len() > MAX_INTERFACES {
            return Err(Error::TooManyInterfaces { found: interfaces.len(), limit: MAX_INTERFACES });
        }
        let stop = Stop::default();
        let alone = interfaces.len() == 1;
        let readers: Result<Vec<_>, _> =
            (0..).zip(interfaces).map(|(index, settings)| Reader::open(index, settings, alone, &stop)).collect();
        let readers = readers?;
        let counters: Vec<_> = readers.iter().map(Reader::counters).collect();
        let captures = interfaces.iter().map(Capture::live).collect();
        Ok(Self { readers, merge: InterfaceMerge::default(), captures, counters, stop })
    }

    /// Starts a reader thread for each interface. Without it, the source delivers nothing.
    pub fn start(&mut self) -> Result<(), Error> {
        self.merge = InterfaceMerge::start(std::mem::take(&mut self.readers))?;
        Ok(())
    }

    /// The packet sockets, before the source is started.
    pub fn sockets(&self) -> Vec<RawFd> {
        self.readers.iter().map(Reader::socket).collect()
    }

    /// A handle to stop it.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// The live counters of each interface, in the order of [`Source::captures`].
    pub fn counters(&self) -> &[Arc<InterfaceCounters>] {
        &self.counters
    }
}

impl Drop for Live {
    /// Stops the readers before their queues are dropped.
    fn drop(&mut self) {
        self.stop.stop();
    }
}

impl Source for Live {
    fn fill(&mut self, block: &mut Block) -> Result<bool, Error> {
        let more = self.merge.fill(block);
        if more {
            return Ok(true);
        }
        let mut ended = Ok(false);
        for (capture, counters) in self.captures.iter_mut().zip(&self.counters) {
            let InterfaceReading { packets, state, .. } = counters.read();
            capture.packets = packets;
            if state == InterfaceState::Replaced {
                ended = Err(Error::Replaced { name: capture.name.clone() });
            }
        }
        ended
    }

    fn is_ready(&self) -> bool {
        self.merge.is_ready()
    }

    fn captures(&self) -> &[Capture] {
        &self.captures
    }

    fn progress(&self) -> (u64, Option<u64>) {
        (self.counters.iter().map(|counters| counters.read().bytes).sum(), None)
    }

    fn drops(&self) -> Drops {
        let mut drops = Drops::default();
        for InterfaceReading { kernel_drops, interface_drops, channel_drops, .. } in
            self.counters.iter().map(|one| one.read())
        {
            drops.kernel += kernel_drops;
            drops.interface += interface_drops;
            drops.channel += channel_drops;
        }
        drops
    }
}

impl Capture {
    /// An interface without packets.
    fn live(settings: &InterfaceSettings) -> Self {
        let name = settings.name.clone();
        Self { name, format: "live".to_owned(), packets: 0, dropped_at_capture: 0, cut: None }
    }
}

/// A duration in nanoseconds.
fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Most interfaces of one sensor: each has a ring and a thread.
const MAX_INTERFACES: usize = 64;
