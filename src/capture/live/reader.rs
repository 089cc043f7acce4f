//! The reader thread of one interface: copies packets from the kernel's ring into blocks, and counts losses.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use lockkeeper_protocols::Stamp;
use pcap::{Active, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{CapabilitySet, capabilities};

use super::{InterfaceCounters, InterfaceSettings, InterfaceState, Stop, nanoseconds};
use crate::capture::{Block, Error, LinkType, Origin, Packet};
use crate::clock::now;

/// Reads one interface.
pub(super) struct Reader {
    index: u16,
    settings: InterfaceSettings,
    counters: Arc<InterfaceCounters>,
    stop: Stop,
    /// How long to wait for packets.
    poll_timeout: Duration,
    capture: pcap::Capture<Active>,
    link: LinkType,
    /// Index (`ifindex`) of the opened interface. A new interface of the same name has another one.
    interface_index: Option<u32>,
    /// Number of the latest packet.
    number: u64,
    /// The counts of libpcap and the kernel at the last update.
    last_counts: LastCounts,
    counted_at: i64,
}

/// Counts of libpcap and the kernel, which restart when an interface is reopened.
#[derive(Clone, Copy, Default)]
struct LastCounts {
    kernel: u32,
    interface: u32,
    damaged: Option<u64>,
}

/// The reader's ends of its queue.
pub(super) struct QueueEnds {
    /// Blocks with at least one packet.
    pub(super) full: Sender<Block>,
    /// Used blocks, to be filled again.
    pub(super) empty: Receiver<Block>,
}

impl Reader {
    /// Opens an interface. With `alone`, no other reader depends on frequent updates of its idle time.
    pub(super) fn open(index: u16, settings: &InterfaceSettings, alone: bool, stop: &Stop) -> Result<Self, Error> {
        let (capture, link) = open(settings)?;
        let counters = InterfaceCounters::default();
        counters.idle_at.store(now(), Release);
        Ok(Self {
            index,
            settings: settings.clone(),
            counters: Arc::new(counters),
            stop: stop.clone(),
            poll_timeout: if alone { LONG_POLL } else { settings.block_timeout.max(SHORT_POLL) },
            capture,
            link,
            interface_index: interface_index(&settings.name),
            number: 0,
            last_counts: LastCounts { damaged: receive_errors(&settings.name), ..LastCounts::default() },
            counted_at: now(),
        })
    }

    /// The counters that it updates.
    pub(super) fn counters(&self) -> Arc<InterfaceCounters> {
        Arc::clone(&self.counters)
    }

    /// Name of the interface.
    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// File descriptor of its packet socket.
    pub(super) fn socket(&self) -> RawFd {
        self.capture.as_fd().as_raw_fd()
    }

    /// Most time that a packet stays in the ring before it is read, nanoseconds.
    pub(super) fn window(&self) -> i64 {
        nanoseconds(self.settings.block_timeout + TIMER_SLACK)
    }

    /// Reads until it is asked to stop. Waits for an interface that disappears. The ring is read even if the request to
    /// stop came first.
    pub(super) fn run(mut self, ends: &QueueEnds) {
        let mut block = Block::default();
        loop {
            self.counters.set_state(InterfaceState::Listening);
            let lost = self.listen(&mut block, ends);
            self.update_counters();
            let Err(error) = lost else { break };
            tracing::warn!("{}: {error}; waiting for it to come back", self.settings.name);
            self.wait_for_interface();
            if self.stop.is_stopped() {
                break;
            }
        }
    }

    /// Hands over packets as they arrive. Returns `Ok` after a request to stop, once all packets that arrived before it are
    /// handed over.
    fn listen(&mut self, block: &mut Block, ends: &QueueEnds) -> Result<(), pcap::Error> {
        let mut full = false;
        let mut asked = None;
        loop {
            if !full {
                wait_for_packets(&self.capture, self.poll_timeout);
            }
            let time = now();
            if self.stop.is_stopped() {
                asked.get_or_insert(time);
            }
            let taken = self.read_batch(block)?;
            full = taken == BATCH;
            if taken > 0 {
                self.hand_over(block, ends);
            }
            if !full {
                self.counters.idle_at.store(time, Release);
            }
            if time.saturating_sub(self.counted_at) > COUNT_INTERVAL {
                self.counted_at = time;
                self.update_counters();
                self.update_link_state();
            }
            if asked.is_some_and(|asked| self.has_all_until(asked, time, full)) {
                return Ok(());
            }
        }
    }

    /// Whether all packets that arrived before the time `asked` were read. The kernel hands them over within its timeout;
    /// reading takes as long as there is more in the ring.
    fn has_all_until(&self, asked: i64, now: i64, is_more: bool) -> bool {
        let latest = self.counters.latest.load(Relaxed);
        now > asked.saturating_add(self.window()) && (!is_more || latest > asked)
    }

    /// Fills a block with the packets of the ring, at most [`BATCH`]; returns their number.
    fn read_batch(&mut self, block: &mut Block) -> Result<usize, pcap::Error> {
        block.clear();
        let (mut used, mut bytes, mut cut) = (0, 0, 0);
        let (number, link, index) = (&mut self.number, self.link, self.index);
        let taken = self.capture.dispatch(Some(BATCH), |packet| {
            *number += 1;
            let header = packet.header;
            let captured = packet.data.len();
            block.reserve(used + captured);
            if let Some(place) = block.bytes.get_mut(used..used + captured) {
                place.copy_from_slice(packet.data);
            }
            bytes += u64::from(header.len);
            cut += u64::from(header.caplen < header.len);
            block.packets.push(Packet {
                stamp: Stamp {
                    // With nanosecond precision, the field for microseconds holds nanoseconds.
                    time: header.ts.tv_sec.saturating_mul(SECOND).saturating_add(header.ts.tv_usec),
                    clock: i64::MIN,
                    packet: 0,
                    origin: Origin { capture: index, number: *number }.word(),
                },
                link,
                offset: used as u32,
                captured: captured as u32,
                original: header.len,
            });
            used += captured;
        })?;
        self.counters.packets.fetch_add(block.packets.len() as u64, Relaxed);
        self.counters.bytes.fetch_add(bytes, Relaxed);
        self.counters.cut.fetch_add(cut, Relaxed);
        if let Some(last) = block.packets.last() {
            self.counters.latest.store(last.stamp.time, Relaxed);
        }
        Ok(taken)
    }

    /// Hands over a block in exchange for an empty one. If the pipeline does not accept it within [`PATIENCE`], drops the
    /// batch; meanwhile the ring takes new packets.
    fn hand_over(&mut self, block: &mut Block, ends: &QueueEnds) {
        let packets = block.packets.len() as u64;
        let next = ends.empty.try_recv().unwrap_or_default();
        let batch = std::mem::replace(block, next);
        self.counters.waiting.fetch_add(packets, Relaxed);
        if let Err(refused) = ends.full.send_timeout(batch, PATIENCE) {
            self.counters.waiting.fetch_sub(packets, Relaxed);
            self.counters.channel_drops.fetch_add(packets, Relaxed);
            *block = refused.into_inner();
        }
    }

    /// Updates the counters from those of libpcap and the kernel.
    fn update_counters(&mut self) {
        if let Ok(stat) = self.capture.stats() {
            let (kernel, interface) = (stat.dropped, stat.if_dropped);
            self.counters.kernel_drops.fetch_add(u64::from(kernel.wrapping_sub(self.last_counts.kernel)), Relaxed);
            // The count of the interface may restart at 0.
            let more = interface.checked_sub(self.last_counts.interface).unwrap_or(interface);
            self.counters.interface_drops.fetch_add(u64::from(more), Relaxed);
            (self.last_counts.kernel, self.last_counts.interface) = (kernel, interface);
        }
        if let (Some(before), Some(after)) = (self.last_counts.damaged, receive_errors(&self.settings.name)) {
            self.counters.damaged.fetch_add(after.saturating_sub(before), Relaxed);
            self.last_counts.damaged = Some(after);
        }
    }

    /// Updates the state by whether the interface is switched on.
    fn update_link_state(&self) {
        let state = if is_up(&self.settings.name) { InterfaceState::Listening } else { InterfaceState::Down };
        self.counters.set_state(state);
    }

    /// Waits until the interface is usable again or a stop is requested.
    fn wait_for_interface(&mut self) {
        while !self.stop.is_stopped() && !self.try_resume() {
            self.counters.idle_at.store(now(), Release);
            thread::sleep(RETRY_INTERVAL);
        }
    }

    /// Tries to resume reading; returns whether it succeeded. A socket belongs to an interface, not to a name: an interface
    /// that was switched off and on still works with the old socket, without any right. A new one must be opened.
    fn try_resume(&mut self) -> bool {
        let name = &self.settings.name;
        let (found, is_up) = (interface_index(name), is_up(name));
        let state = match found {
            None => InterfaceState::Gone,
            _ if found == self.interface_index && is_up => return true,
            _ if found == self.interface_index => InterfaceState::Down,
            Some(_) if !is_up => InterfaceState::Gone,
            Some(_) if !may_listen() => InterfaceState::Replaced,
            Some(_) => match open(&self.settings) {
                Ok((capture, link)) => {
                    self.last_counts = LastCounts { damaged: receive_errors(name), ..LastCounts::default() };
                    (self.capture, self.link, self.interface_index) = (capture, link, found);
                    return true;
                }
                Err(_) => InterfaceState::Gone,
            },
        };
        self.counters.set_state(state);
        false
    }
}

/// Opens an interface; returns its capture handle and link type.
fn open(settings: &InterfaceSettings) -> Result<(pcap::Capture<Active>, LinkType), Error> {
    let failed = |source: pcap::Error| {
        let reason = reason(&source);
        let help = help(&settings.name, &reason);
        Error::Interface { name: settings.name.clone(), reason, help }
    };
    let milliseconds = settings.block_timeout.as_millis().clamp(1, 1000) as i32;
    // No immediate mode: with it, libpcap uses TPACKET_V2, with a system call and a slot for each packet.
    let inactive = pcap::Capture::from_device(settings.name.as_str())
        .map_err(failed)?
        .promisc(settings.promiscuous)
        .snaplen(i32::try_from(settings.snap_length).unwrap_or(i32::MAX))
        .buffer_size(i32::try_from(settings.ring).unwrap_or(i32::MAX))
        .timeout(milliseconds)
        .precision(Precision::Nano);
    let mut capture = inactive.open().map_err(failed)?;
    if let Some(filter) = &settings.filter {
        capture.filter(filter, true).map_err(|source| Error::Filter {
            name: settings.name.clone(),
            filter: filter.clone(),
            reason: reason(&source),
        })?;
    }
    let link = LinkType::from_linktype(u16::try_from(capture.get_datalink().0).unwrap_or(u16::MAX));
    Ok((capture.setnonblock().map_err(failed)?, link))
}

/// The text of a libpcap error, without the name of its type.
fn reason(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Advice for an interface that cannot be opened.
fn help(name: &str, reason: &str) -> String {
    let lower = reason.to_lowercase();
    if lower.contains("permi") || lower.contains("cap_net_raw") {
        "run it as root, or give the program the right to listen: setcap cap_net_raw+ep \"$(command -v lockkeeper)\""
            .into()
    } else if lower.contains("no such device") {
        "`lockkeeper interfaces` lists those that there are".into()
    } else if lower.contains("not up") {
        format!("switch it on: ip link set dev {name} up")
    } else if lower.contains("memory") {
        "the ring does not fit into memory: make it smaller (--ring, or `ring` in the configuration)".into()
    } else {
        "`lockkeeper interfaces` says what is wrong with it".into()
    }
}

/// Waits until packets are in the ring or the socket has an error, which the next read returns.
fn wait_for_packets(capture: &pcap::Capture<Active>, longest: Duration) {
    let mut sockets = [PollFd::new(capture, PollFlags::IN)];
    let longest = Timespec::try_from(longest).ok();
    // An interrupted call is not an error: the next read shows whether there are packets.
    if let Ok(1) = poll(&mut sockets, longest.as_ref())
        && sockets.iter().any(|socket| socket.revents().contains(PollFlags::ERR))
    {
        // A switched-off interface has an error until it is on again; this avoids a busy loop.
        thread::sleep(SHORT_POLL);
    }
}

/// The index of an interface, if it exists.
fn interface_index(name: &str) -> Option<u32> {
    fs::read_to_string(sysfs_path(name).join("ifindex")).ok()?.trim().parse().ok()
}

/// Whether this thread may open packet sockets.
fn may_listen() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_RAW))
}

/// Whether an interface is switched on.
fn is_up(name: &str) -> bool {
    let flags = fs::read_to_string(sysfs_path(name).join("flags")).unwrap_or_default();
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16);
    // An interface without flags (the pseudo-interface `any`) counts as up.
    flags.map_or(true, |flags| flags & IFF_UP != 0)
}

/// The number of receive errors of an interface.
fn receive_errors(name: &str) -> Option<u64> {
    fs::read_to_string(sysfs_path(name).join("statistics/rx_errors")).ok()?.trim().parse().ok()
}

/// The sysfs folder of an interface.
pub(super) fn sysfs_path(name: &str) -> PathBuf {
    Path::new("/sys/class/net").join(name)
}

/// `IFF_UP` of netdevice(7).
const IFF_UP: u32 = 1;

/// Most packets of one batch.
const BATCH: usize = 512;

/// How long a single reader waits for packets.
const LONG_POLL: Duration = Duration::from_millis(100);

/// Least time that a reader waits for packets if others depend on its idle time.
const SHORT_POLL: Duration = Duration::from_millis(2);

/// Most delay of a kernel timer.
const TIMER_SLACK: Duration = Duration::from_millis(10);

/// How long a reader waits for the pipeline before it drops a batch.
const PATIENCE: Duration = Duration::from_millis(10);

/// Interval for checking whether a lost interface is back.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// Interval for updating the counters of the kernel, nanoseconds.
const COUNT_INTERVAL: i64 = SECOND / 2;

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;
