//! Network interfaces into one [`Source`]: what a sensor listens to.
//!
//! ```text
//!  interface -> ring of the kernel (TPACKET_V3) -> reader == Block ==> lane \
//!  interface -> ring of the kernel (TPACKET_V3) -> reader == Block ==> lane -> merge by time -> fill
//!                                                     ^                 |
//!                                                     +== empty blocks =+
//! ```
//! Each interface has a ring that the kernel writes to and a thread that does nothing but copy packets out of it, a
//! batch at a time. The kernel hands over a part of the ring when it is full, or when
//! [`InterfaceSettings::block_timeout`] has passed: that timeout decides how late an alert is on a quiet network.
//!
//! **The timeout is fixed for as long as an interface is open.** The kernel takes it together with the ring, and libpcap
//! has no call to change it afterwards: one that adapts would have to open a second ring and tell apart what both have
//! seen. It need not adapt. When there is much to see, parts of the ring are full before their time is up. When there is
//! little, a millisecond costs a thousand wake-ups a second at most, and none in silence, for a part of the ring without
//! a packet is not handed over. Its price is paid only while nobody reads: each hand-over uses up 256 KiB, whatever is in
//! it, so that a ring of 128 MiB bridges half a second on a busy interface, and twice that with two milliseconds.
//!
//! **A loss is always counted, and the network never waits.** When the pipeline is behind, the lane fills up, then the
//! reader pauses for a moment while the ring goes on taking packets, and then it drops a whole batch and counts its
//! packets. When the ring is full, the kernel drops and counts.
//!
//! **One reader for each interface, no `PACKET_FANOUT`.** What spreads over processors here is the work on a packet, not
//! its copying, and the dealer of the pipeline spreads it by a hash that both directions of a conversation share, on the
//! innermost addresses of a tunnel, after IP fragments have been put together. A fanout of the kernel would have to do
//! all of that itself before a single reader sees the packets: its own hash is taken from the outermost addresses and
//! sends fragments elsewhere, so that what belongs together would be torn apart and met again in another order.
//!
//! **Time.** Packets carry the kernel's time in nanoseconds. Several interfaces are merged in that order, because a
//! network tap may deliver each direction on an interface of its own. When nothing arrives, a block without packets
//! carries the [clock](Block::tick) on; it never runs ahead of a packet that is still in a ring.

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

/// How to listen to one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// Its name, such as `eth1`.
    pub name: String,
    /// Bytes of each packet that are kept. More than the MTU where the interface joins segments (GRO).
    pub snap_length: u32,
    /// Bytes of the kernel's ring.
    pub ring: u32,
    /// How long the kernel may wait before it hands over what has arrived. Each hand-over uses up 256 KiB of the ring,
    /// however little is in it, so that a ring lasts for `ring / 256 KiB * block_timeout` when nobody reads it.
    pub block_timeout: Duration,
    /// Takes packets for other hosts too, which is what a SPAN port delivers.
    pub promiscuous: bool,
    /// Takes only packets that this filter accepts, in the language of pcap-filter(7).
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

/// Asks a [`Live`] source to come to its end: what was captured up to then is still delivered.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for the end.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The flag itself, for whoever sets it from a signal.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Whether the end was asked for.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Interfaces that are listened to.
pub struct Live {
    /// Opened, and not started yet.
    readers: Vec<Reader>,
    merge: InterfaceMerge,
    captures: Vec<Capture>,
    counters: Vec<Arc<InterfaceCounters>>,
    stop: Stop,
}

impl Live {
    /// Opens every interface, for which it needs the right to listen. What cannot be opened is an error before the first
    /// packet; what goes away later is waited for. What arrives from now on is in the rings.
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

    /// Starts to read, each interface on a thread of its own. Before that, there is nothing to be had of it.
    pub fn start(&mut self) -> Result<(), Error> {
        self.merge = InterfaceMerge::start(std::mem::take(&mut self.readers))?;
        Ok(())
    }

    /// The packet sockets of a source that was not started yet.
    pub fn sockets(&self) -> Vec<RawFd> {
        self.readers.iter().map(Reader::socket).collect()
    }

    /// What asks it to stop.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// What is counted of each interface while it is read, in the order of [`Source::captures`].
    pub fn counters(&self) -> &[Arc<InterfaceCounters>] {
        &self.counters
    }
}

impl Drop for Live {
    /// The readers end before what they deliver to is gone.
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
    /// An interface, of which nothing was read yet.
    fn live(settings: &InterfaceSettings) -> Self {
        let name = settings.name.clone();
        Self { name, format: "live".to_owned(), packets: 0, dropped_at_capture: 0, cut: None }
    }
}

/// A duration in nanoseconds, as packets count.
fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Interfaces of one sensor, at most: each has a ring and a thread.
const MAX_INTERFACES: usize = 64;
