//! The thread that writes the recording.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use jiff::Timestamp;

use super::{Chunk, Interface, RecordingStatus, Settings};
use crate::capture::live::InterfaceReading;
use crate::capture::pcapng::write::{self, Statistics};
use crate::fault::{self, Fault, FaultReport};
use crate::store::rotating_dir::{Limits, RotatingDir};

/// The state of the recording, as the thread reports it.
#[derive(Clone, Debug, Default)]
pub(super) struct Update {
    pub(super) fault: Option<FaultReport>,
    pub(super) status: RecordingStatus,
}

/// Writes chunks into files.
pub(super) struct Writer {
    dir: RotatingDir,
    file_bytes: u64,
    interfaces: Vec<Interface>,
    /// The beginning of every file: the section, and the interfaces described so far.
    head: Vec<u8>,
    /// The capture of each of those interfaces.
    captures: Vec<u16>,
    /// The counters of each capture at the end of the previous file.
    counted: Vec<InterfaceReading>,
    file: Option<OpenFile>,
    fault: Fault,
    empty: Sender<Chunk>,
    updates: Sender<Update>,
    /// Closed when no further chunk comes.
    ended: Receiver<()>,
}

/// The file that is being written.
struct OpenFile {
    name: String,
    file: File,
    /// Bytes of its complete blocks.
    bytes: u64,
    span: (i64, i64),
    /// Packets by interface.
    packets: Vec<u64>,
}

impl Writer {
    /// Opens the folder; see [`super::Recorder::prepare`].
    pub(super) fn new(
        settings: Settings,
        empty: Sender<Chunk>,
        updates: Sender<Update>,
        ended: Receiver<()>,
    ) -> io::Result<Self> {
        let Settings { folder, bytes, file_bytes, interfaces } = settings;
        let mut fault = Fault::new("recording.failed", format!("recording {}", folder.display()));
        let mut dir = RotatingDir::new(folder, Limits { files: usize::MAX, bytes, is_ours });
        match dir.open() {
            Err(full) if fault::is_full(&full) => fault.set(&full),
            opened => opened?,
        }
        let mut head = Vec::new();
        write::section(&mut head);
        let (captures, file, counted) = (Vec::new(), None, vec![InterfaceReading::default(); interfaces.len()]);
        Ok(Self { dir, file_bytes, interfaces, head, captures, counted, file, fault, empty, updates, ended })
    }

    /// Writes chunks until no further one comes. Returns the number of packets that could not be written.
    pub(super) fn run(mut self, full: &Receiver<Chunk>) -> u64 {
        let mut lost = 0;
        self.send_update();
        for chunk in full {
            self.describe_interfaces(&chunk);
            while !self.write(&chunk) {
                if let Err(RecvTimeoutError::Disconnected) = self.ended.recv_timeout(RETRY_INTERVAL) {
                    lost += if self.write(&chunk) { 0 } else { chunk.packet_count() };
                    break;
                }
            }
            // Fails only at the end, when the recorder is gone.
            let _ = self.empty.try_send(chunk);
        }
        self.close_file();
        self.send_update();
        lost
    }

    /// Describes the new interfaces of a chunk, in this file and in all later ones.
    fn describe_interfaces(&mut self, chunk: &Chunk) {
        for (capture, link) in &chunk.new_interfaces {
            let known = self.interfaces.get(usize::from(*capture));
            let (length, name) = known.map_or((0, None), |known| (known.snap_length, Some(known.name.as_str())));
            let start = self.head.len();
            write::interface(&mut self.head, *link, length, name);
            self.captures.push(*capture);
            let described = self.head.get(start..).unwrap_or_default();
            // If this file cannot be written, the next one has the description in its head.
            if self.file.as_mut().is_some_and(|open| open.append(described).is_err()) {
                self.close_file();
            }
        }
    }

    /// Writes a chunk. `false`: it has to be written again later.
    fn write(&mut self, chunk: &Chunk) -> bool {
        let written = self.append(chunk);
        match &written {
            Ok(()) => self.fault.clear(),
            Err(error) => {
                self.close_file();
                self.fault.set(error);
            }
        }
        self.send_update();
        written.is_ok()
    }

    fn append(&mut self, chunk: &Chunk) -> io::Result<()> {
        let size = (chunk.bytes.len() + self.captures.len() * STATISTICS_BYTES) as u64;
        let limit = self.file_bytes;
        if self.file.as_ref().is_some_and(|open| open.bytes + size > limit || open.is_removed()) {
            self.close_file();
        }
        if self.file.is_none() {
            self.file = Some(self.open_file(chunk.span.0)?);
        }
        let Some(open) = &mut self.file else { return Ok(()) };
        open.append(&chunk.bytes)?;
        open.span = (open.span.0.min(chunk.span.0), open.span.1.max(chunk.span.1));
        open.packets.resize(open.packets.len().max(chunk.packets.len()), 0);
        open.packets.iter_mut().zip(&chunk.packets).for_each(|(sum, more)| *sum += more);
        Ok(())
    }

    /// Creates a file whose first packet has this time. Opens the folder again if that fails.
    fn open_file(&mut self, time: i64) -> io::Result<OpenFile> {
        self.create_file(time).or_else(|_| {
            // The folder may have been removed or replaced.
            self.dir.open()?;
            self.create_file(time)
        })
    }

    fn create_file(&mut self, time: i64) -> io::Result<OpenFile> {
        self.dir.make_room(self.file_bytes)?;
        let name = self.unused_name(time);
        let part = self.dir.part_path(&name);
        let file = File::options().create_new(true).append(true).open(&part)?;
        let mut open = OpenFile { name, file, bytes: 0, span: (time, time), packets: Vec::new() };
        // The file is visible once it is a valid capture.
        let created = open.append(&self.head).and_then(|()| fs::rename(&part, self.dir.path(&open.name)));
        if let Err(error) = created {
            // If it cannot be removed either, the next scan removes it.
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        Ok(open)
    }

    /// A name that no file has. If there is a file of this time, because a clock was set back, the next nanosecond is used.
    fn unused_name(&self, time: i64) -> String {
        let mut names = (time..time.saturating_add(MAX_SAME_TIME)).map(file_name);
        names.find(|name| !self.dir.path(name).exists()).unwrap_or_else(|| file_name(time))
    }

    /// Closes the file, with the statistics since the previous one was closed at its end.
    fn close_file(&mut self) {
        let Some(mut open) = self.file.take() else { return };
        let mut statistics = Vec::new();
        for (number, capture) in (0..).zip(&self.captures) {
            let is_latest = self.captures.iter().rposition(|other| other == capture) == Some(number as usize);
            let index = usize::from(*capture);
            if let (true, Some(interface), Some(before)) =
                (is_latest, self.interfaces.get(index), self.counted.get_mut(index))
            {
                let after = interface.counters.read();
                let written = open.packets.get(number as usize).copied().unwrap_or_default();
                write::statistics(&mut statistics, number, &since(before, &after, open.span, written));
                *before = after;
            }
        }
        // The file is valid without them.
        let _ = open.append(&statistics);
        if !open.is_removed() {
            self.dir.add(open.name, open.bytes);
        }
    }

    fn send_update(&self) {
        let open = self.file.as_ref();
        let oldest = self.dir.oldest().or(open.map(|open| open.name.as_str())).map(str::to_owned);
        let files = (self.dir.files() + usize::from(open.is_some())) as u64;
        let bytes = self.dir.bytes() + open.map_or(0, |open| open.bytes);
        let update = Update { fault: self.fault.report(), status: RecordingStatus { files, bytes, oldest } };
        // If the channel is full, a later update replaces this one.
        let _ = self.updates.try_send(update);
    }
}

impl OpenFile {
    /// Appends complete blocks. If that fails, a partly written block is removed.
    fn append(&mut self, blocks: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(blocks);
        match written {
            Ok(()) => self.bytes += blocks.len() as u64,
            // If it cannot be removed, readers report an incomplete packet at the end.
            Err(_) => drop(self.file.set_len(self.bytes)),
        }
        written
    }

    /// Whether another program has removed the file, so that it can never be read.
    fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }
}

/// The statistics of an interface between two readings of its counters.
fn since(before: &InterfaceReading, after: &InterfaceReading, span: (i64, i64), written: u64) -> Statistics {
    let kernel = after.kernel_drops.saturating_sub(before.kernel_drops);
    let channel = after.channel_drops.saturating_sub(before.channel_drops);
    let interface = after.interface_drops.saturating_sub(before.interface_drops);
    Statistics {
        span,
        received: after.packets.saturating_sub(before.packets) + kernel + interface,
        dropped_by_interface: interface,
        dropped_behind: kernel + channel,
        written,
    }
}

/// The name of a file whose first packet has this time. Names sort by time, and are valid on every file system.
fn file_name(time: i64) -> String {
    let time = Timestamp::from_nanosecond(time.into()).unwrap_or_default();
    format!("{PREFIX}{}{SUFFIX}", time.strftime("%Y%m%dT%H%M%S%.9fZ"))
}

/// Whether a file of this name is part of a recording.
fn is_ours(name: &str) -> bool {
    let time = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    time.is_some_and(|time| {
        let matches = |(letter, shape): (u8, u8)| if shape == b'0' { letter.is_ascii_digit() } else { letter == shape };
        time.len() == TIME_SHAPE.len() && time.bytes().zip(TIME_SHAPE.bytes()).all(matches)
    })
}

const PREFIX: &str = "recording-";
const SUFFIX: &str = ".pcapng";
/// The time in a name; `0` stands for any digit.
const TIME_SHAPE: &str = "00000000T000000.000000000Z";

/// Files whose first packets have the same time, at most.
const MAX_SAME_TIME: i64 = 1000;

/// Upper bound on the bytes of the statistics of one interface.
const STATISTICS_BYTES: usize = 128;

/// The pause before a failed write is retried.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_and_recognised_by_the_time_of_their_first_packet() {
        let time = 1_795_000_000_123_456_789;
        assert_eq!(file_name(time), "recording-20261118T110640.123456789Z.pcapng");
        assert!(is_ours(&file_name(time)) && is_ours(&file_name(0)) && file_name(time) < file_name(time + 1));
        for other in
            ["recording-.pcapng", "recording-20261118.pcapng", "day.pcapng", "recording-20261118T110640.123456789Z"]
        {
            assert!(!is_ours(other), "{other}");
        }
    }
}
