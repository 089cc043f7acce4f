//! Standard output of a sensor: whatever its reader does, nothing waits for it.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Writes what can be written at once, and is [`ErrorKind::WouldBlock`] otherwise. The open file is shared with other
/// programs, perhaps, and cannot be made non-blocking for them.
pub(super) struct Unhurried {
    out: File,
    /// A file takes everything, or says why not.
    is_file: bool,
}

impl Unhurried {
    /// The standard output of this process.
    pub(super) fn stdout() -> io::Result<Self> {
        Ok(Self::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }

    fn new(out: File) -> Self {
        let is_file = out.metadata().is_ok_and(|about| about.is_file());
        Self { out, is_file }
    }
}

impl Write for Unhurried {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_file {
            return self.out.write(bytes);
        }
        let mut ends = [PollFd::new(&self.out, PollFlags::OUT)];
        if poll(&mut ends, Some(&Timespec::default()))? == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        // What is writable takes this much, or has an error that writing tells.
        self.out.write(bytes.get(..AT_ONCE).unwrap_or(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// `PIPE_BUF`: bytes that a pipe with any room at all takes at once (pipe(7)).
const AT_ONCE: usize = 4096;

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_pipe_that_is_not_read_is_not_waited_for_and_goes_on_when_it_is() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let mut out = Unhurried::new(File::from(OwnedFd::from(writer)));
        let mut written = 0;
        let full = loop {
            match out.write(&[b'x'; 10_000]) {
                Ok(more) => written += more,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        let mut read = vec![0; written];
        reader.read_exact(&mut read).expect("all that was written");
        assert_eq!(out.write(&[b'x'; 10_000]).ok(), Some(AT_ONCE));
        drop(reader);
        assert_eq!(out.write(b"x").map_err(|error| error.kind()), Err(ErrorKind::BrokenPipe));
    }
}
