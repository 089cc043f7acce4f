//! One JSON object a line, into a file or standard output.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use super::{Delivered, PublishError, Publisher};
use crate::alert::Rendered;

/// Writes lines. A reader that goes away (`| head`) is no error: what it did not want is not written.
pub struct Jsonl {
    to: String,
    out: Box<dyn Write + Send>,
    written: u64,
    closed: bool,
}

impl Jsonl {
    /// Creates the file, or empties it.
    pub fn create(path: &Path) -> Result<Self, PublishError> {
        let to = path.display().to_string();
        match File::create(path) {
            Ok(file) => Ok(Self::new(to, BufWriter::with_capacity(BUFFER, file))),
            Err(source) => Err(PublishError::Write { to, source }),
        }
    }

    /// Writes behind what is in the file already, which is made if it is not there.
    pub fn append(path: &Path) -> Result<Self, PublishError> {
        let to = path.display().to_string();
        match File::options().create(true).append(true).open(path) {
            Ok(file) => Ok(Self::new(to, BufWriter::with_capacity(BUFFER, file))),
            Err(source) => Err(PublishError::Write { to, source }),
        }
    }

    /// Writes to standard output.
    pub fn stdout() -> Self {
        Self::new("standard output".to_owned(), BufWriter::with_capacity(BUFFER, io::stdout()))
    }

    /// Writes to anything; `to` names it in errors.
    pub fn new(to: String, out: impl Write + Send + 'static) -> Self {
        Self { to, out: Box::new(out), written: 0, closed: false }
    }

    fn write(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), PublishError> {
        if self.closed {
            return Ok(());
        }
        match write(self.out.as_mut()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(source) => Err(PublishError::Write { to: self.to.clone(), source }),
        }
    }
}

impl Publisher for Jsonl {
    fn publish(&mut self, alert: &Rendered) -> Result<(), PublishError> {
        self.write(|out| {
            out.write_all(&alert.json)?;
            out.write_all(b"\n")
        })?;
        self.written += u64::from(!self.closed);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PublishError> {
        self.write(|out| out.flush())
    }

    fn finish(&mut self) -> Result<Delivered, PublishError> {
        self.flush()?;
        Ok(Delivered { records: self.written })
    }
}

/// Bytes collected before they are written.
const BUFFER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::testing::alert;

    /// Fails every write in the same way.
    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn every_alert_is_one_line_of_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut jsonl = Jsonl::create(file.path()).expect("created");
        (0..3).for_each(|number| jsonl.publish(&alert(number)).expect("published"));
        assert_eq!(jsonl.finish().expect("finished"), Delivered { records: 3 });
        let text = std::fs::read_to_string(file.path()).expect("read back");
        assert_eq!(text, "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n");
    }

    #[test]
    fn a_reader_that_went_away_ends_it_quietly() {
        let mut jsonl = Jsonl::new("standard output".to_owned(), Broken(ErrorKind::BrokenPipe));
        jsonl.publish(&alert(0)).expect("no error");
        assert_eq!(jsonl.finish().expect("no error"), Delivered { records: 0 });
    }

    #[test]
    fn any_other_failure_names_the_file() {
        let mut jsonl = Jsonl::new("alerts.jsonl".to_owned(), Broken(ErrorKind::StorageFull));
        let error = jsonl.publish(&alert(0)).expect_err("the disk is full").to_string();
        assert!(error.starts_with("alerts.jsonl: "), "{error}");
        let missing = Path::new("/nonexistent/alerts.jsonl");
        let error = Jsonl::create(missing).err().expect("no such directory").to_string();
        assert!(error.starts_with("/nonexistent/alerts.jsonl: "), "{error}");
    }
}
