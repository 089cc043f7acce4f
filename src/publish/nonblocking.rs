//! Standard output of a sensor: no write blocks, whatever its reader does.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Writes bytes that fit without blocking, and fails with [`ErrorKind::WouldBlock`] otherwise. The descriptor itself stays in
/// blocking mode, because other programs may share it.
pub(super) struct NonBlocking {
    out: File,
    /// A regular file never blocks.
    is_file: bool,
}

impl NonBlocking {
    /// The standard output of this process.
    pub(super) fn stdout() -> io::Result<Self> {
        Ok(Self::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }

    fn new(out: File) -> Self {
        let is_file = out.metadata().is_ok_and(|metadata| metadata.is_file());
        Self { out, is_file }
    }
}

impl Write for NonBlocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_file {
            return self.out.write(bytes);
        }
        let mut ends = [PollFd::new(&self.out, PollFlags::OUT)];
        if poll(&mut ends, Some(&Timespec::default()))? == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        // A writable pipe takes at least this much; an error shows in the write.
        self.out.write(bytes.get(..PIPE_BUF).unwrap_or(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Bytes that a writable pipe takes without blocking (pipe(7)).
const PIPE_BUF: usize = 4096;

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn a_pipe_that_is_not_read_does_not_block_and_takes_bytes_again_once_it_is() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let mut out = NonBlocking::new(File::from(OwnedFd::from(writer)));
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
        assert_eq!(out.write(&[b'x'; 10_000]).ok(), Some(PIPE_BUF));
        drop(reader);
        assert_eq!(out.write(b"x").map_err(|error| error.kind()), Err(ErrorKind::BrokenPipe));
    }
}
