//! What is counted of an interface: written by its reader, read by whoever reports it, without a lock.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};

/// Whether an interface can be listened to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum InterfaceState {
    /// It is listened to.
    #[default]
    Listening = 0,
    /// It is there, and switched off or without a link.
    Down = 1,
    /// It has gone away, or cannot be opened.
    Gone = 2,
    /// Another one has its name now, which cannot be opened without the right to listen.
    Replaced = 3,
}

impl InterfaceState {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listening => "listening",
            Self::Down => "down",
            Self::Gone => "gone",
            Self::Replaced => "replaced",
        }
    }

    const fn of(number: u8) -> Self {
        match number {
            0 => Self::Listening,
            1 => Self::Down,
            2 => Self::Gone,
            _ => Self::Replaced,
        }
    }
}

/// The counters of one interface while it is read.
#[derive(Debug, Default)]
pub struct InterfaceCounters {
    pub(super) packets: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) cut: AtomicU64,
    pub(super) kernel_drops: AtomicU64,
    pub(super) interface_drops: AtomicU64,
    pub(super) channel_drops: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) waiting: AtomicU64,
    pub(super) latest: AtomicI64,
    /// Nothing that arrived before this time is still in the ring.
    pub(super) idle_at: AtomicI64,
    state: AtomicU8,
}

/// What they are at one moment: sums since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceReading {
    /// Packets that were read, those of dropped batches included.
    pub packets: u64,
    /// Bytes of them on the wire.
    pub bytes: u64,
    /// Packets that the snap length cut.
    pub cut: u64,
    /// Packets that the kernel dropped because the ring was full.
    pub kernel_drops: u64,
    /// Packets that the interface itself dropped.
    pub interface_drops: u64,
    /// Packets of batches that were dropped because the pipeline was behind.
    pub channel_drops: u64,
    /// Frames that arrived damaged, as the interface says.
    pub damaged: u64,
    /// Packets that were read and wait for the pipeline.
    pub waiting: u64,
    /// Time of the latest packet, nanoseconds since 1970; 0 for none.
    pub latest: i64,
    /// Whether it can be listened to.
    pub state: InterfaceState,
}

impl InterfaceReading {
    /// Packets that arrived and were not looked at.
    pub const fn lost(&self) -> u64 {
        self.kernel_drops + self.interface_drops + self.channel_drops
    }
}

impl InterfaceCounters {
    /// What they are now. Each number is right by itself; together they may be a batch apart.
    pub fn read(&self) -> InterfaceReading {
        InterfaceReading {
            packets: self.packets.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            cut: self.cut.load(Relaxed),
            kernel_drops: self.kernel_drops.load(Relaxed),
            interface_drops: self.interface_drops.load(Relaxed),
            channel_drops: self.channel_drops.load(Relaxed),
            damaged: self.damaged.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            latest: self.latest.load(Relaxed),
            state: InterfaceState::of(self.state.load(Relaxed)),
        }
    }

    pub(super) fn set_state(&self, state: InterfaceState) {
        self.state.store(state as u8, Relaxed);
    }
}
