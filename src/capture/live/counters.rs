//! The counters of an interface, written by its reader and read by other threads without a lock.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};

/// The state of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum InterfaceState {
    /// Packets are captured from it.
    #[default]
    Listening = 0,
    /// It is switched off.
    Down = 1,
    /// It does not exist or cannot be opened.
    Gone = 2,
    /// Another interface has its name, and the sensor lacks the right to open it.
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

/// The live counters of one interface.
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
    /// No packet that arrived before this time is still in the ring; nanoseconds since 1970.
    pub(super) idle_at: AtomicI64,
    state: AtomicU8,
}

/// The values of [`InterfaceCounters`] at one moment: sums since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceReading {
    /// Packets read, including those of dropped batches.
    pub packets: u64,
    /// Length of these packets on the wire, bytes.
    pub bytes: u64,
    /// Packets cut by the snap length.
    pub cut: u64,
    /// Packets dropped by the kernel because the ring was full.
    pub kernel_drops: u64,
    /// Packets dropped by the interface itself.
    pub interface_drops: u64,
    /// Packets of batches dropped because the pipeline did not keep up.
    pub channel_drops: u64,
    /// Receive errors of the interface, such as damaged frames.
    pub damaged: u64,
    /// Packets read and not yet taken by the pipeline.
    pub waiting: u64,
    /// Time of the latest packet, nanoseconds since 1970; 0 for none.
    pub latest: i64,
    /// State of the interface.
    pub state: InterfaceState,
}

impl InterfaceReading {
    /// Packets that arrived and were dropped.
    pub const fn lost(&self) -> u64 {
        self.kernel_drops + self.interface_drops + self.channel_drops
    }
}

impl InterfaceCounters {
    /// The current values. Each is exact; together they may differ by one batch.
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
