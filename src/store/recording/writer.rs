//! The thread that writes recordings.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use jiff::Timestamp;

use super::{Chunk, Interface, Settings, Stock};
use crate::capture::live::InterfaceReading;
use crate::capture::pcapng::write::{self, Statistics};
use crate::fault::{self, Fault, FaultReport};
use crate::store::rotating_dir::{Limits, RotatingDir};

/// What has become of the recording.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    pub(super) fault: Option<FaultReport>,
    pub(super) stock: Stock,
}

/// Writes chunks into files.
pub(super) struct Writer {
    dir: RotatingDir,
    file_bytes: u64,
    interfaces: Vec<Interface>,
    /// What every file begins with: the section, and the interfaces that are known by now.
    head: Vec<u8>,
    /// The capture of each of those interfaces.
    captures: Vec<u16>,
    /// What was counted of each capture up to the end of the last file.
    counted: Vec<InterfaceReading>,
    file: Option<OpenFile>,
    fault: Fault,
    empty: Sender<Chunk>,
    news: Sender<News>,
    /// Hung up when nothing follows.
    ended: Receiver<()>,
}

/// The file that is being written.
struct OpenFile {
    name: String,
    file: File,
    /// Bytes that are whole blocks.
    bytes: u64,
    span: (i64, i64),
    /// Packets by interface.
    packets: Vec<u64>,
}

impl Writer {
    /// Looks at the folder; see [`super::Recorder::prepare`].
    pub(super) fn new(
        settings: Settings,
        empty: Sender<Chunk>,
        news: Sender<News>,
        ended: Receiver<()>,
    ) -> io::Result<Self> {
        let Settings { folder, bytes, file_bytes, interfaces } = settings;
        let mut fault = Fault::new("recording.failed", format!("recording {}", folder.display()));
        let mut dir = RotatingDir::new(folder, Limits { files: usize::MAX, bytes, is_ours });
        match dir.begin() {
            Err(full) if fault::is_full(&full) => fault.set(&full),
            begun => begun?,
        }
        let mut head = Vec::new();
        write::section(&mut head);
        let (captures, file, counted) = (Vec::new(), None, vec![InterfaceReading::default(); interfaces.len()]);
        Ok(Self { dir, file_bytes, interfaces, head, captures, counted, file, fault, empty, news, ended })
    }

    /// Writes until nothing follows; returns how many packets could not be written.
    pub(super) fn run(mut self, full: &Receiver<Chunk>) -> u64 {
        let mut lost = 0;
        self.tell();
        for chunk in full {
            self.describe(&chunk);
            while !self.record(&chunk) {
                if let Err(RecvTimeoutError::Disconnected) = self.ended.recv_timeout(TRIED_EVERY) {
                    lost += if self.record(&chunk) { 0 } else { chunk.packets() };
                    break;
                }
            }
            // Whoever fills chunks has gone away only at the end.
            let _ = self.empty.try_send(chunk);
        }
        self.close();
        self.tell();
        lost
    }

    /// Takes over the interfaces that are new in a chunk.
    fn describe(&mut self, chunk: &Chunk) {
        for (capture, link) in &chunk.new {
            let known = self.interfaces.get(usize::from(*capture));
            let (length, name) = known.map_or((0, None), |known| (known.snap_length, Some(known.name.as_str())));
            let start = self.head.len();
            write::interface(&mut self.head, *link, length, name);
            self.captures.push(*capture);
            let described = self.head.get(start..).unwrap_or_default();
            // A file that does not take it ends here: the next one has it in its head.
            if self.file.as_mut().is_some_and(|open| open.append(described).is_err()) {
                self.close();
            }
        }
    }

    /// Writes a chunk. `false`: not now.
    fn record(&mut self, chunk: &Chunk) -> bool {
        let written = self.append(chunk);
        match &written {
            Ok(()) => self.fault.clear(),
            Err(error) => {
                self.close();
                self.fault.set(error);
            }
        }
        self.tell();
        written.is_ok()
    }

    fn append(&mut self, chunk: &Chunk) -> io::Result<()> {
        let size = (chunk.bytes.len() + self.captures.len() * STATISTICS_BYTES) as u64;
        let limit = self.file_bytes;
        if self.file.as_ref().is_some_and(|open| open.bytes + size > limit || open.is_gone()) {
            self.close();
        }
        if self.file.is_none() {
            self.file = Some(self.begin(chunk.span.0)?);
        }
        let Some(open) = &mut self.file else { return Ok(()) };
        open.append(&chunk.bytes)?;
        open.span = (open.span.0.min(chunk.span.0), open.span.1.max(chunk.span.1));
        open.packets.resize(open.packets.len().max(chunk.packets.len()), 0);
        open.packets.iter_mut().zip(&chunk.packets).for_each(|(sum, more)| *sum += more);
        Ok(())
    }

    /// Begins a file whose first packet is from this time.
    fn begin(&mut self, time: i64) -> io::Result<OpenFile> {
        self.create(time).or_else(|_| {
            // The folder may have gone away, or somebody may have put another in its place.
            self.dir.begin()?;
            self.create(time)
        })
    }

    fn create(&mut self, time: i64) -> io::Result<OpenFile> {
        self.dir.make_room(self.file_bytes)?;
        let name = self.name_for(time);
        let part = self.dir.part(&name);
        let file = File::options().create_new(true).append(true).open(&part)?;
        let mut open = OpenFile { name, file, bytes: 0, span: (time, time), packets: Vec::new() };
        // Whoever sees it sees a capture.
        let begun = open.append(&self.head).and_then(|()| fs::rename(&part, self.dir.path(&open.name)));
        if let Err(error) = begun {
            // What cannot be removed either is found when stock is taken.
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        Ok(open)
    }

    /// A name that no file has. Where there is one of this time, because a clock was set back, it is of the next moment.
    fn name_for(&self, time: i64) -> String {
        let mut names = (time..time.saturating_add(SAME_NAMES)).map(name);
        names.find(|name| !self.dir.path(name).exists()).unwrap_or_else(|| name(time))
    }

    /// Ends the file with what was lost since the one before ended.
    fn close(&mut self) {
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
        // Without them, the file is whole all the same.
        let _ = open.append(&statistics);
        if !open.is_gone() {
            self.dir.add(open.name, open.bytes);
        }
    }

    fn tell(&self) {
        let open = self.file.as_ref();
        let oldest = self.dir.oldest().or(open.map(|open| open.name.as_str())).map(str::to_owned);
        let files = (self.dir.files() + usize::from(open.is_some())) as u64;
        let bytes = self.dir.bytes() + open.map_or(0, |open| open.bytes);
        let news = News { fault: self.fault.report(), stock: Stock { files, bytes, oldest } };
        // Whoever does not hear it now hears the next.
        let _ = self.news.try_send(news);
    }
}

impl OpenFile {
    /// Writes whole blocks; what the disk took only half of is cut off again.
    fn append(&mut self, blocks: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(blocks);
        match written {
            Ok(()) => self.bytes += blocks.len() as u64,
            // Where it cannot be cut off, a reader says that the last packet is not complete.
            Err(_) => drop(self.file.set_len(self.bytes)),
        }
        written
    }

    /// Whether somebody removed it, so that nobody will ever read what is written.
    fn is_gone(&self) -> bool {
        self.file.metadata().is_ok_and(|about| about.nlink() == 0)
    }
}

/// What an interface went through between two looks at it.
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

/// The name of a file whose first packet is from this time: in the order of time, and without what some file systems refuse.
fn name(time: i64) -> String {
    let time = Timestamp::from_nanosecond(time.into()).unwrap_or_default();
    format!("{NAME}{}{ENDING}", time.strftime("%Y%m%dT%H%M%S%.9fZ"))
}

fn is_ours(name: &str) -> bool {
    let time = name.strip_prefix(NAME).and_then(|rest| rest.strip_suffix(ENDING));
    time.is_some_and(|time| {
        let is_like = |(letter, like): (u8, u8)| if like == b'0' { letter.is_ascii_digit() } else { letter == like };
        time.len() == LIKE.len() && time.bytes().zip(LIKE.bytes()).all(is_like)
    })
}

const NAME: &str = "recording-";
const ENDING: &str = ".pcapng";
const LIKE: &str = "00000000T000000.000000000Z";

/// Files of the same time that can be told apart.
const SAME_NAMES: i64 = 1000;

/// Room for the statistics of one interface.
const STATISTICS_BYTES: usize = 128;

/// How long a disk that takes nothing is left alone.
const TRIED_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_their_first_packet_and_known_by_that() {
        let time = 1_795_000_000_123_456_789;
        assert_eq!(name(time), "recording-20261118T110640.123456789Z.pcapng");
        assert!(is_ours(&name(time)) && is_ours(&name(0)) && name(time) < name(time + 1));
        for other in
            ["recording-.pcapng", "recording-20261118.pcapng", "day.pcapng", "recording-20261118T110640.123456789Z"]
        {
            assert!(!is_ours(other), "{other}");
        }
    }
}
