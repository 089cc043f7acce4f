//! Lines to a file, a pipe or standard output. No line is torn: a partly written line is completed before the next.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::PublishError;
use super::nonblocking::NonBlocking;
use crate::fault::{self, Fault, FaultReport};

/// An output of lines.
///
/// In a replay ([`create`](Self::create)), a failed write is an error. In a sensor ([`append`](Self::append)), lines are
/// buffered up to `MAX_PENDING` until they can be written; further lines are dropped and counted. If the file is moved
/// away or removed, the sensor creates it again. A pipe with a slow reader, or without one, is treated like a full disk:
/// no write blocks.
pub struct Lines {
    name: String,
    out: Out,
    /// Lines to be written. The first one may lack a beginning that is written already.
    pending: Vec<u8>,
    /// Bytes of an incomplete line at the end of the output.
    partial: usize,
    /// A sensor writes: a failed write is retried.
    live: bool,
    lost: u64,
    fault: Fault,
    /// The reader of a replay's output has closed it.
    closed: bool,
}

enum Out {
    /// `None` while it cannot be opened.
    File(PathBuf, Option<File>),
    Stream(Box<dyn Write + Send>),
}

impl Out {
    /// Writes as much as possible. Returns the bytes written, and the error that stopped it.
    fn write(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let out: &mut dyn Write = match self {
            Self::File(_, Some(file)) => file,
            Self::File(_, None) => return (0, Ok(())),
            Self::Stream(stream) => stream,
        };
        let mut written = 0;
        let result = loop {
            match bytes.get(written..).unwrap_or_default() {
                [] => break out.flush(),
                rest => match out.write(rest) {
                    Ok(0) => break Err(ErrorKind::WriteZero.into()),
                    Ok(more) => written += more,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => break Err(error),
                },
            }
        };
        (written, result)
    }
}

impl Lines {
    /// Creates the file, or truncates it.
    pub fn create(path: &Path) -> Result<Self, PublishError> {
        let file = File::create(path).map_err(|source| cannot_write(path, source))?;
        Ok(Self::new(path, Some(file), false))
    }

    /// Appends to the file, which is created if it does not exist. A full disk, or a pipe without a reader, is retried.
    pub fn append(path: &Path) -> Result<Self, PublishError> {
        let mut lines = Self::new(path, None, true);
        match lines.reopen() {
            Err(error) if fault::is_full(&error) || is_pipe(path) => lines.set_fault(&error),
            opened => opened.map_err(|source| cannot_write(path, source))?,
        }
        Ok(lines)
    }

    /// Writes to standard output. If `live`, like [`append`](Self::append): no write blocks, and a failed one is retried.
    pub fn stdout(live: bool) -> Self {
        let non_blocking = if live { NonBlocking::stdout().ok() } else { None };
        let out: Box<dyn Write + Send> = match non_blocking {
            Some(non_blocking) => Box::new(non_blocking),
            None => Box::new(io::stdout()),
        };
        Self::stream("standard output".to_owned(), out, live)
    }

    fn new(path: &Path, file: Option<File>, live: bool) -> Self {
        let mut lines = Self::stream(path.display().to_string(), Box::new(io::sink()), live);
        lines.out = Out::File(path.to_owned(), file);
        lines
    }

    pub(super) fn stream(name: String, out: Box<dyn Write + Send>, live: bool) -> Self {
        let fault = Fault::new("output.failed", name.clone());
        let (pending, out) = (Vec::with_capacity(BUFFER), Out::Stream(out));
        Self { name, out, pending, partial: 0, live, lost: 0, fault, closed: false }
    }

    /// Writes complete lines, or buffers them until the next [`flush`](Self::flush). After an error, nothing more can be
    /// written.
    pub fn write(&mut self, lines: &[u8]) -> Result<(), PublishError> {
        let unbuffered = lines.len() >= MIN_UNBUFFERED;
        if unbuffered || self.pending.len() + lines.len() > BUFFER {
            self.flush()?;
        }
        // Without a fault, `flush` has just checked that the file is still the named one.
        if unbuffered && self.pending.is_empty() && !self.closed && !self.fault.is_active() {
            return self.write_unbuffered(lines);
        }
        self.buffer(lines);
        Ok(())
    }

    /// Writes lines without copying them first. No other line may be pending.
    fn write_unbuffered(&mut self, lines: &[u8]) -> Result<(), PublishError> {
        let (written, result) = self.out.write(lines);
        self.update_partial(lines, written);
        self.pending.extend_from_slice(lines.get(written..).unwrap_or_default());
        self.handle(result)
    }

    /// Buffers lines. During a fault, they are dropped and counted once the buffer is full.
    fn buffer(&mut self, lines: &[u8]) {
        if self.pending.len() + lines.len() > MAX_PENDING && self.fault.is_active() {
            self.lost += count(lines);
        } else if !self.closed {
            self.pending.extend_from_slice(lines);
        }
    }

    /// Writes the buffered lines. After an error, nothing more can be written.
    pub fn flush(&mut self) -> Result<(), PublishError> {
        if self.closed {
            return Ok(());
        }
        let result = self.write_pending();
        self.handle(result)
    }

    /// Handles the result of a write: a sensor notes a fault, a replay fails or closes the output.
    fn handle(&mut self, result: io::Result<()>) -> Result<(), PublishError> {
        match result {
            Ok(()) => self.fault.clear(),
            Err(error) if self.live => self.set_fault(&error),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.close(),
            Err(source) => return Err(PublishError::Write { to: self.name.clone(), source }),
        }
        Ok(())
    }

    /// Notes that writing fails, and is retried.
    fn set_fault(&mut self, error: &io::Error) {
        let has_no_reader = error.raw_os_error() == Some(Errno::NXIO.raw_os_error());
        if error.kind() == ErrorKind::WouldBlock {
            self.fault.set(&"its reader takes nothing");
        } else if has_no_reader || error.kind() == ErrorKind::BrokenPipe {
            // The next reader would get the end of a line only.
            self.drop_partial_line();
            self.fault.set(&"it has no reader");
        } else {
            self.fault.set(error);
        }
    }

    /// Writes the buffered lines; drops and counts those that cannot be written.
    pub fn finish(&mut self) -> Result<(), PublishError> {
        self.flush()?;
        let Some(fault) = self.fault.report() else { return Ok(()) };
        self.lost += count(&self.pending);
        self.pending.clear();
        self.truncate_partial_line();
        Err(PublishError::Write { to: self.name.clone(), source: io::Error::other(fault.why) })
    }

    /// The current failure, while it is being retried.
    pub fn fault(&self) -> Option<FaultReport> {
        self.fault.report()
    }

    /// Lines that were dropped, because the buffer was full or the run ended.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether the reader of a replay's output has closed it, as `head` does.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    fn close(&mut self) {
        self.closed = true;
        self.pending.clear();
    }

    fn write_pending(&mut self) -> io::Result<()> {
        self.reopen()?;
        let mut pending = std::mem::take(&mut self.pending);
        let (written, result) = self.out.write(&pending);
        self.update_partial(&pending, written);
        pending.drain(..written);
        self.pending = pending;
        result
    }

    /// Updates [`partial`](Self::partial) after the first `written` bytes of these lines were written.
    fn update_partial(&mut self, lines: &[u8], written: usize) {
        let done = lines.get(..written).unwrap_or_default();
        let last = done.iter().rposition(|letter| *letter == b'\n');
        self.partial = last.map_or(self.partial + written, |last| written - last - 1);
    }

    /// Opens the file if it is not open, or if the open one was moved away or removed.
    fn reopen(&mut self) -> io::Result<()> {
        let Out::File(path, file) = &mut self.out else { return Ok(()) };
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let is_in_place = |file: &File| {
            let named = fs::metadata(&*path).map(identity).ok();
            named.is_some() && named == file.metadata().map(identity).ok()
        };
        if file.as_ref().is_some_and(|file| !self.live || is_in_place(file)) {
            return Ok(());
        }
        // Opening a pipe without a reader must not block.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let opened = File::options().create(true).append(true).custom_flags(flags).open(&*path)?;
        let ends_inside_a_line = ends_inside_a_line(path).unwrap_or(false);
        *file = Some(opened);
        // The beginning of a partly written line is in the other file.
        self.drop_partial_line();
        if ends_inside_a_line {
            // An incomplete line of an earlier run gets its end.
            self.pending.insert(0, b'\n');
        }
        Ok(())
    }

    /// Drops and counts the rest of a partly written line.
    fn drop_partial_line(&mut self) {
        if std::mem::take(&mut self.partial) > 0 {
            let end = self.pending.iter().position(|letter| *letter == b'\n').map_or(self.pending.len(), |end| end + 1);
            self.pending.drain(..end);
            self.lost += 1;
        }
    }

    /// Removes a partly written line from the end of the file.
    fn truncate_partial_line(&mut self) {
        if let Out::File(_, Some(file)) = &self.out
            && let Ok(metadata) = file.metadata()
            && self.partial > 0
        {
            // If it cannot be removed, the next run ends that line before its first one.
            let _ = file.set_len(metadata.len().saturating_sub(self.partial as u64));
            self.partial = 0;
        }
    }
}

fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Whether a file ends without a newline. An empty file does not.
fn ends_inside_a_line(path: &Path) -> io::Result<bool> {
    let metadata = fs::metadata(path)?;
    // Only a regular file has an end that can be read.
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(false);
    }
    let (mut file, mut last) = (File::open(path)?, [0]);
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn cannot_write(path: &Path, source: io::Error) -> PublishError {
    PublishError::Write { to: path.display().to_string(), source }
}

fn count(lines: &[u8]) -> u64 {
    lines.split(|letter| *letter == b'\n').filter(|line| !line.is_empty()).count() as u64
}

/// Bytes that are buffered before they are written.
const BUFFER: usize = 256 * 1024;

/// Bytes from which on lines are written without a copy into the buffer. The copies took a seventh of the time of a replay
/// that writes every transaction.
const MIN_UNBUFFERED: usize = 16 * 1024;

/// Bytes of lines that are buffered during a fault, at most.
const MAX_PENDING: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// A disk with a limited number of free bytes.
    #[derive(Clone, Default)]
    struct Disk {
        room: Arc<AtomicUsize>,
        written: Arc<AtomicUsize>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room.load(Relaxed));
            self.room.fetch_sub(taken, Relaxed);
            self.written.fetch_add(taken, Relaxed);
            if taken == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).expect("a file")
    }

    #[test]
    fn a_partly_written_line_is_completed_when_there_is_room_again() {
        let disk = Disk::default();
        disk.room.store(7, Relaxed);
        let mut lines = Lines::stream("alerts.jsonl".to_owned(), Box::new(disk.clone()), true);
        lines.write(b"{\"n\":0}\n{\"n\":1}\n").expect("retried");
        lines.flush().expect("retried");
        assert_eq!(lines.fault().map(|fault| fault.what), Some("output.failed"));
        assert_eq!((disk.written.load(Relaxed), lines.partial), (7, 7));
        disk.room.store(100, Relaxed);
        lines.flush().expect("there is room");
        assert!(lines.fault().is_none() && lines.pending.is_empty());
        assert_eq!((disk.written.load(Relaxed), lines.partial, lines.lost()), (16, 0, 0));
    }

    #[test]
    fn many_lines_are_written_after_the_pending_ones_and_the_rest_is_buffered() {
        let disk = Disk::default();
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        disk.room.store(3 + MIN_UNBUFFERED + 100, Relaxed);
        let mut lines = Lines::stream("alerts.jsonl".to_owned(), Box::new(disk.clone()), true);
        lines.write(b"{}\n").expect("it waits");
        assert_eq!(disk.written.load(Relaxed), 0);
        lines.write(&line.repeat(MIN_UNBUFFERED / line.len())).expect("there is room");
        assert_eq!((disk.written.load(Relaxed), lines.pending.len(), lines.partial), (3 + MIN_UNBUFFERED, 0, 0));
        lines.write(&line.repeat(MIN_UNBUFFERED / line.len())).expect("retried");
        assert_eq!(
            (disk.written.load(Relaxed), lines.pending.len(), lines.partial),
            (3 + MIN_UNBUFFERED + 100, MIN_UNBUFFERED - 100, 100)
        );
        lines.write(&line.repeat(MIN_UNBUFFERED / line.len())).expect("retried");
        assert_eq!(lines.pending.len(), 2 * MIN_UNBUFFERED - 100);
        disk.room.store(2 * MIN_UNBUFFERED, Relaxed);
        lines.finish().expect("there is room again");
        assert_eq!((disk.written.load(Relaxed), lines.lost()), (3 + 3 * MIN_UNBUFFERED, 0));
    }

    #[test]
    fn lines_that_exceed_the_buffer_are_counted() {
        let mut lines = Lines::stream("alerts.jsonl".to_owned(), Box::new(Disk::default()), true);
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        for _ in 0..5000 {
            lines.write(&line).expect("retried");
        }
        let waiting = MAX_PENDING / line.len();
        assert_eq!((lines.pending.len() / line.len(), lines.lost()), (waiting, 5000 - waiting as u64));
        lines.finish().expect_err("nothing was written");
        assert_eq!(lines.lost(), 5000);
    }

    #[test]
    fn a_replay_fails_at_once() {
        let mut lines = Lines::stream("alerts.jsonl".to_owned(), Box::new(Disk::default()), false);
        lines.write(b"{}\n").expect("buffered");
        let error = lines.flush().expect_err("the disk is full").to_string();
        assert!(error.starts_with("alerts.jsonl: "), "{error}");
    }

    /// A named pipe, and a reader of it that does not wait.
    fn pipe() -> (tempfile::TempDir, PathBuf, impl Fn() -> File) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("alerts.fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).expect("made");
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let place = path.clone();
        (folder, path, move || File::options().read(true).custom_flags(flags).open(&place).expect("opened"))
    }

    /// What is in a pipe now.
    fn read(mut pipe: &File) -> String {
        let mut bytes = Vec::new();
        let end = pipe.read_to_end(&mut bytes);
        assert!(end.is_ok_and(|read| read == 0) || !bytes.is_empty());
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_pipe_without_a_reader_does_not_block_and_a_later_reader_gets_the_lines() {
        let (_folder, path, reader) = pipe();
        let mut lines = Lines::append(&path).expect("retried");
        lines.write(b"1\n").expect("retried");
        lines.flush().expect("retried");
        assert_eq!(lines.fault().map(|fault| fault.why), Some("it has no reader".to_owned()));
        let first = reader();
        lines.flush().expect("there is a reader");
        assert!(lines.fault().is_none());
        assert_eq!(read(&first), "1\n");
        drop(first);
        lines.write(b"2\n").expect("retried");
        lines.flush().expect("retried");
        assert_eq!(lines.fault().map(|fault| fault.why), Some("it has no reader".to_owned()));
        let second = reader();
        lines.flush().expect("there is a reader again");
        assert_eq!((read(&second), lines.lost()), ("2\n".to_owned(), 0));
    }

    #[test]
    fn a_pipe_that_is_not_read_does_not_block_and_no_line_is_torn() {
        let (_folder, path, reader) = pipe();
        let reader = reader();
        let mut lines = Lines::append(&path).expect("there is a reader");
        let line = format!("{}\n", "x".repeat(999));
        (0..200).for_each(|_| lines.write(line.as_bytes()).expect("retried"));
        lines.flush().expect("retried");
        assert_eq!(lines.fault().map(|fault| fault.why), Some("its reader takes nothing".to_owned()));
        let mut text = String::new();
        while lines.fault().is_some() {
            text.push_str(&read(&reader));
            lines.flush().expect("retried");
        }
        text.push_str(&read(&reader));
        assert_eq!((text, lines.lost()), (line.repeat(200), 0));
    }

    #[test]
    fn a_file_that_was_moved_away_or_removed_is_created_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, moved) = (folder.path().join("alerts.jsonl"), folder.path().join("alerts.jsonl.1"));
        let mut lines = Lines::append(&path).expect("made");
        let mut write = |line: &str| {
            lines.write(line.as_bytes()).expect("taken");
            lines.flush().expect("written");
        };
        write("1\n");
        fs::rename(&path, &moved).expect("moved");
        write("2\n");
        assert_eq!((text(&moved), text(&path)), ("1\n".to_owned(), "2\n".to_owned()));
        fs::remove_file(&path).expect("removed");
        write("3\n");
        assert_eq!(text(&path), "3\n");
    }

    #[test]
    fn an_incomplete_line_of_an_earlier_run_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("alerts.jsonl");
        fs::write(&path, "{\"n\":0}\n{\"n\"").expect("written");
        let mut lines = Lines::append(&path).expect("opened");
        lines.write(b"{\"n\":1}\n").expect("taken");
        lines.finish().expect("written");
        assert_eq!(text(&path), "{\"n\":0}\n{\"n\"\n{\"n\":1}\n");
    }
}
