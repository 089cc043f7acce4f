//! Lines into a file or to standard output. No line is torn: what the disk took only half of is finished before the next.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::PublishError;
use super::unhurried::Unhurried;
use crate::fault::{self, Fault, FaultReport};

/// Where lines are written.
///
/// One that is made [anew](Self::create) belongs to a run that has an end: what cannot be written is an error.
/// One that [goes on](Self::append) belongs to a sensor: lines wait, up to a bound, until they can be
/// written, and the rest is counted. When its file is moved away or removed, it begins another of the same name. A pipe whose
/// reader is slow, or not there, is like a disk that is full: nothing waits for it.
pub struct Lines {
    name: String,
    out: Out,
    /// Lines that are not written yet, the first of them perhaps from its middle on.
    waiting: Vec<u8>,
    /// Bytes at the end of what was written that are the beginning of a line.
    begun: usize,
    /// What cannot be written now is tried again.
    goes_on: bool,
    left_out: u64,
    fault: Fault,
    /// The reader of a run that has an end does not want more.
    closed: bool,
}

enum Out {
    /// None while it cannot be made.
    File(PathBuf, Option<File>),
    Stream(Box<dyn Write + Send>),
}

impl Out {
    /// Writes as much as it takes: how many bytes, and what kept it from more.
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
    /// Makes the file, or empties it.
    pub fn create(path: &Path) -> Result<Self, PublishError> {
        let file = File::create(path).map_err(|source| cannot_write(path, source))?;
        Ok(Self::new(path, Some(file), false))
    }

    /// Writes behind what is in the file already, which is made if it is not there. A disk that is full is tried again, and
    /// so is a pipe that has no reader yet.
    pub fn append(path: &Path) -> Result<Self, PublishError> {
        let mut lines = Self::new(path, None, true);
        match lines.reopen() {
            Err(error) if fault::is_full(&error) || is_pipe(path) => lines.is_kept_back(&error),
            opened => opened.map_err(|source| cannot_write(path, source))?,
        }
        Ok(lines)
    }

    /// Writes to standard output. A sensor [`goes_on`](Self::append) when it cannot.
    pub fn stdout(goes_on: bool) -> Self {
        let unhurried = if goes_on { Unhurried::stdout().ok() } else { None };
        let out: Box<dyn Write + Send> = match unhurried {
            Some(unhurried) => Box::new(unhurried),
            None => Box::new(io::stdout()),
        };
        Self::stream("standard output".to_owned(), out, goes_on)
    }

    fn new(path: &Path, file: Option<File>, goes_on: bool) -> Self {
        let mut lines = Self::stream(path.display().to_string(), Box::new(io::sink()), goes_on);
        lines.out = Out::File(path.to_owned(), file);
        lines
    }

    pub(super) fn stream(name: String, out: Box<dyn Write + Send>, goes_on: bool) -> Self {
        let fault = Fault::new("output.failed", name.clone());
        let (waiting, out) = (Vec::with_capacity(BUFFER), Out::Stream(out));
        Self { name, out, waiting, begun: 0, goes_on, left_out: 0, fault, closed: false }
    }

    /// Takes whole lines. An error means that nothing more can be written.
    pub fn take(&mut self, lines: &[u8]) -> Result<(), PublishError> {
        let many = lines.len() >= MANY;
        if many || self.waiting.len() + lines.len() > BUFFER {
            self.flush()?;
        }
        // Without trouble, the file is the right one: it was just looked at.
        if many && self.waiting.is_empty() && !self.closed && !self.fault.is_active() {
            return self.pass_on(lines);
        }
        self.keep(lines);
        Ok(())
    }

    /// Writes lines that need not wait for others, without copying them first.
    fn pass_on(&mut self, lines: &[u8]) -> Result<(), PublishError> {
        let (written, result) = self.out.write(lines);
        self.note(lines, written);
        self.waiting.extend_from_slice(lines.get(written..).unwrap_or_default());
        self.judge(result)
    }

    /// Keeps lines until they are written, as far as there is room.
    fn keep(&mut self, lines: &[u8]) {
        if self.waiting.len() + lines.len() > MOST_WAITING && self.fault.is_active() {
            self.left_out += count(lines);
        } else if !self.closed {
            self.waiting.extend_from_slice(lines);
        }
    }

    /// Lets readers see what was written so far. An error means that nothing more can be written.
    pub fn flush(&mut self) -> Result<(), PublishError> {
        if self.closed {
            return Ok(());
        }
        let result = self.drain();
        self.judge(result)
    }

    /// What it means that lines were written, or were not.
    fn judge(&mut self, result: io::Result<()>) -> Result<(), PublishError> {
        match result {
            Ok(()) => self.fault.clear(),
            Err(error) if self.goes_on => self.is_kept_back(&error),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.close(),
            Err(source) => return Err(PublishError::Write { to: self.name.clone(), source }),
        }
        Ok(())
    }

    /// Lines cannot be written now, and are tried again.
    fn is_kept_back(&mut self, error: &io::Error) {
        let has_no_reader = error.raw_os_error() == Some(Errno::NXIO.raw_os_error());
        if error.kind() == ErrorKind::WouldBlock {
            self.fault.set(&"its reader takes nothing");
        } else if has_no_reader || error.kind() == ErrorKind::BrokenPipe {
            // The next reader would get the end of a line.
            self.leave_out_begun();
            self.fault.set(&"it has no reader");
        } else {
            self.fault.set(error);
        }
    }

    /// Writes what can be written; the rest never will be.
    pub fn finish(&mut self) -> Result<(), PublishError> {
        self.flush()?;
        let Some(told) = self.fault.report() else { return Ok(()) };
        self.left_out += count(&self.waiting);
        self.waiting.clear();
        self.cut_off();
        Err(PublishError::Write { to: self.name.clone(), source: io::Error::other(told.why) })
    }

    /// What keeps lines from being written now.
    pub fn fault(&self) -> Option<FaultReport> {
        self.fault.report()
    }

    /// Lines that were not written, because too many waited or the end came.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The reader of a run that has an end does not want more: standard output was closed.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
    }

    fn drain(&mut self) -> io::Result<()> {
        self.reopen()?;
        let mut waiting = std::mem::take(&mut self.waiting);
        let (written, result) = self.out.write(&waiting);
        self.note(&waiting, written);
        waiting.drain(..written);
        self.waiting = waiting;
        result
    }

    /// Remembers how far into a line the first `written` bytes go.
    fn note(&mut self, lines: &[u8], written: usize) {
        let done = lines.get(..written).unwrap_or_default();
        let last = done.iter().rposition(|letter| *letter == b'\n');
        self.begun = last.map_or(self.begun + written, |last| written - last - 1);
    }

    /// Opens the file where there is none, or where the one that is written was moved away or removed.
    fn reopen(&mut self) -> io::Result<()> {
        let Out::File(path, file) = &mut self.out else { return Ok(()) };
        let which = |about: fs::Metadata| (about.dev(), about.ino());
        let is_there = |file: &File| {
            let named = fs::metadata(&*path).map(which).ok();
            named.is_some() && named == file.metadata().map(which).ok()
        };
        if file.as_ref().is_some_and(|file| !self.goes_on || is_there(file)) {
            return Ok(());
        }
        // Only a pipe can be waited for, and is not.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let opened = File::options().create(true).append(true).custom_flags(flags).open(&*path)?;
        let ends_inside_a_line = ends_inside_a_line(path).unwrap_or(false);
        *file = Some(opened);
        // The beginning of the line is in the other file.
        self.leave_out_begun();
        if ends_inside_a_line {
            // A line that an earlier run did not finish stays alone.
            self.waiting.insert(0, b'\n');
        }
        Ok(())
    }

    /// Leaves out what waits of a line that has begun elsewhere.
    fn leave_out_begun(&mut self) {
        if std::mem::take(&mut self.begun) > 0 {
            let end = self.waiting.iter().position(|letter| *letter == b'\n').map_or(self.waiting.len(), |end| end + 1);
            self.waiting.drain(..end);
            self.left_out += 1;
        }
    }

    /// Takes the beginning of a line away whose end will never come.
    fn cut_off(&mut self) {
        if let Out::File(_, Some(file)) = &self.out
            && let Ok(about) = file.metadata()
            && self.begun > 0
        {
            // Where it cannot be taken away, the next run begins a new line behind it.
            let _ = file.set_len(about.len().saturating_sub(self.begun as u64));
            self.begun = 0;
        }
    }
}

fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.file_type().is_fifo())
}

/// Whether a file that is not empty ends with something else than the end of a line.
fn ends_inside_a_line(path: &Path) -> io::Result<bool> {
    let about = fs::metadata(path)?;
    // What has no end, such as a pipe, is not read from.
    if !about.is_file() || about.len() == 0 {
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

/// Bytes collected before they are written.
const BUFFER: usize = 256 * 1024;

/// Bytes that are worth a call of the system of their own. To copy them first took a seventh of all that a record of every
/// transaction costs.
const MANY: usize = 16 * 1024;

/// Bytes of lines that wait for a disk that takes nothing, at most.
const MOST_WAITING: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// A disk with room for so many bytes.
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
    fn a_line_that_the_disk_took_half_of_is_finished_when_there_is_room_again() {
        let disk = Disk::default();
        disk.room.store(7, Relaxed);
        let mut lines = Lines::stream("alerts.jsonl".to_owned(), Box::new(disk.clone()), true);
        lines.take(b"{\"n\":0}\n{\"n\":1}\n").expect("it goes on");
        lines.flush().expect("it goes on");
        assert_eq!(lines.fault().map(|told| told.what), Some("output.failed"));
        assert_eq!((disk.written.load(Relaxed), lines.begun), (7, 7));
        disk.room.store(100, Relaxed);
        lines.flush().expect("there is room");
        assert!(lines.fault().is_none() && lines.waiting.is_empty());
        assert_eq!((disk.written.load(Relaxed), lines.begun, lines.left_out()), (16, 0, 0));
    }

    #[test]
    fn many_lines_go_out_behind_those_that_wait_and_what_the_disk_does_not_take_waits() {
        let disk = Disk::default();
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        disk.room.store(3 + MANY + 100, Relaxed);
        let mut lines = Lines::stream("alerts.jsonl".to_owned(), Box::new(disk.clone()), true);
        lines.take(b"{}\n").expect("it waits");
        assert_eq!(disk.written.load(Relaxed), 0);
        lines.take(&line.repeat(MANY / line.len())).expect("there is room");
        assert_eq!((disk.written.load(Relaxed), lines.waiting.len(), lines.begun), (3 + MANY, 0, 0));
        lines.take(&line.repeat(MANY / line.len())).expect("it goes on");
        assert_eq!((disk.written.load(Relaxed), lines.waiting.len(), lines.begun), (3 + MANY + 100, MANY - 100, 100));
        lines.take(&line.repeat(MANY / line.len())).expect("it goes on");
        assert_eq!(lines.waiting.len(), 2 * MANY - 100);
        disk.room.store(2 * MANY, Relaxed);
        lines.finish().expect("there is room again");
        assert_eq!((disk.written.load(Relaxed), lines.left_out()), (3 + 3 * MANY, 0));
    }

    #[test]
    fn lines_that_too_many_wait_before_are_counted() {
        let mut lines = Lines::stream("alerts.jsonl".to_owned(), Box::new(Disk::default()), true);
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        for _ in 0..5000 {
            lines.take(&line).expect("it goes on");
        }
        let waiting = MOST_WAITING / line.len();
        assert_eq!((lines.waiting.len() / line.len(), lines.left_out()), (waiting, 5000 - waiting as u64));
        lines.finish().expect_err("nothing was written");
        assert_eq!(lines.left_out(), 5000);
    }

    #[test]
    fn a_run_with_an_end_is_told_at_once() {
        let mut lines = Lines::stream("alerts.jsonl".to_owned(), Box::new(Disk::default()), false);
        lines.take(b"{}\n").expect("buffered");
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
    fn a_pipe_without_a_reader_keeps_nobody_waiting_and_gives_the_lines_to_the_one_that_comes() {
        let (_folder, path, reader) = pipe();
        let mut lines = Lines::append(&path).expect("it is waited for");
        lines.take(b"1\n").expect("it goes on");
        lines.flush().expect("it goes on");
        assert_eq!(lines.fault().map(|told| told.why), Some("it has no reader".to_owned()));
        let first = reader();
        lines.flush().expect("there is a reader");
        assert!(lines.fault().is_none());
        assert_eq!(read(&first), "1\n");
        drop(first);
        lines.take(b"2\n").expect("it goes on");
        lines.flush().expect("it goes on");
        assert_eq!(lines.fault().map(|told| told.why), Some("it has no reader".to_owned()));
        let second = reader();
        lines.flush().expect("there is a reader again");
        assert_eq!((read(&second), lines.left_out()), ("2\n".to_owned(), 0));
    }

    #[test]
    fn a_pipe_that_is_not_read_keeps_nobody_waiting_and_no_line_is_torn() {
        let (_folder, path, reader) = pipe();
        let reader = reader();
        let mut lines = Lines::append(&path).expect("there is a reader");
        let line = format!("{}\n", "x".repeat(999));
        (0..200).for_each(|_| lines.take(line.as_bytes()).expect("it goes on"));
        lines.flush().expect("it goes on");
        assert_eq!(lines.fault().map(|told| told.why), Some("its reader takes nothing".to_owned()));
        let mut text = String::new();
        while lines.fault().is_some() {
            text.push_str(&read(&reader));
            lines.flush().expect("it goes on");
        }
        text.push_str(&read(&reader));
        assert_eq!((text, lines.left_out()), (line.repeat(200), 0));
    }

    #[test]
    fn a_file_that_was_moved_away_or_removed_is_begun_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, moved) = (folder.path().join("alerts.jsonl"), folder.path().join("alerts.jsonl.1"));
        let mut lines = Lines::append(&path).expect("made");
        let mut write = |line: &str| {
            lines.take(line.as_bytes()).expect("taken");
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
    fn a_line_that_an_earlier_run_did_not_finish_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("alerts.jsonl");
        fs::write(&path, "{\"n\":0}\n{\"n\"").expect("written");
        let mut lines = Lines::append(&path).expect("opened");
        lines.take(b"{\"n\":1}\n").expect("taken");
        lines.finish().expect("written");
        assert_eq!(text(&path), "{\"n\":0}\n{\"n\"\n{\"n\":1}\n");
    }
}
