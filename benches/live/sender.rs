//! Sends frames on the cable in batches, at a given rate or at full speed.

use std::error::Error;
use std::io::IoSlice;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use lockkeeper::capture::{self, Block, ReplaySettings, Source};
use pcap::{Active, Capture};
use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};

use crate::cable::Cable;

/// Frames in one buffer.
#[derive(Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Frames {
    /// Reads the frames of a capture.
    pub(crate) fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let mut source = capture::open(&[path.to_owned()], &ReplaySettings::default())?;
        let (mut block, mut frames) = (Block::default(), Self::default());
        while source.fill(&mut block)? {
            block.packets.iter().for_each(|packet| frames.push(block.bytes_of(packet)));
        }
        Ok(frames)
    }

    /// Adds a frame.
    pub(crate) fn push(&mut self, frame: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(frame);
        self.places.push(start..self.bytes.len());
    }

    /// Number of frames.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

/// A packet socket at the near end of the cable.
pub(crate) struct Sender {
    socket: Capture<Active>,
}

impl Sender {
    /// Opens the near end of a cable, and moves this thread into its namespace.
    pub(crate) fn open(cable: &Cable) -> Result<Self, Box<dyn Error>> {
        cable.enter()?;
        let mut socket = Capture::from_device(Cable::NEAR)?.snaplen(64).buffer_size(1 << 18).timeout(1000).open()?;
        // A filter that no packet matches: the socket receives nothing.
        socket.filter("less 1", true)?;
        Ok(Self { socket })
    }

    /// Sends some frames, `rate` a second (0: full speed); returns the duration.
    pub(crate) fn send(&self, frames: &Frames, range: Range<usize>, rate: u64) -> Result<Duration, Errno> {
        let begun = Instant::now();
        let mut sent = 0;
        let places = frames.places.get(range).unwrap_or_default();
        while let Some(rest) = places.get(sent..).filter(|rest| !rest.is_empty()) {
            let due = if rate == 0 { usize::MAX } else { (begun.elapsed().as_secs_f64() * rate as f64) as usize + 1 };
            if due <= sent {
                std::thread::sleep(Duration::from_micros(200));
                continue;
            }
            sent += self.some(frames, &rest[..rest.len().min(due - sent).min(AT_ONCE)])?;
        }
        Ok(begun.elapsed())
    }

    /// Passes frames to the kernel; returns the number that it accepted.
    fn some(&self, frames: &Frames, places: &[Range<usize>]) -> Result<usize, Errno> {
        let slices: Vec<[IoSlice<'_>; 1]> =
            places.iter().map(|place| [IoSlice::new(&frames.bytes[place.clone()])]).collect();
        let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
            places.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let mut messages: Vec<MMsgHdr<'_>> =
            slices.iter().zip(&mut controls).map(|(slice, control)| MMsgHdr::new(slice, control)).collect();
        match sendmmsg(&self.socket, &mut messages, SendFlags::empty()) {
            // The queue of the interface is full for a moment.
            Err(Errno::NOBUFS | Errno::AGAIN) => Ok(0),
            other => other,
        }
    }
}

/// Frames of one call.
const AT_ONCE: usize = 64;
