//! Alerts as JSON lines, to a file or standard output.

use super::{Delivered, Lines, PublishError, Publisher};
use crate::fault::FaultReport;
use crate::record::Rendered;

/// Writes one JSON object a line. A reader that closes the output of a replay (`| head`) causes no error; the rest is
/// dropped.
pub struct Jsonl {
    lines: Lines,
    line: Vec<u8>,
    written: u64,
}

impl Jsonl {
    /// Writes to this output.
    pub const fn new(lines: Lines) -> Self {
        Self { lines, line: Vec::new(), written: 0 }
    }
}

impl Publisher for Jsonl {
    fn publish(&mut self, alert: &Rendered) -> Result<(), PublishError> {
        self.line.clear();
        self.line.extend_from_slice(&alert.json);
        self.line.push(b'\n');
        self.lines.write(&self.line)?;
        self.written += u64::from(!self.lines.is_closed());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PublishError> {
        self.lines.flush()
    }

    fn finish(&mut self) -> Result<Delivered, PublishError> {
        self.lines.finish()?;
        Ok(Delivered { records: self.written.saturating_sub(self.lines.lost()) })
    }

    fn fault(&self) -> Option<FaultReport> {
        self.lines.fault()
    }

    fn lost(&self) -> u64 {
        self.lines.lost()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::testing::alert;
    use std::io::{self, ErrorKind, Write};
    use std::path::Path;

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

    fn broken(name: &str, kind: ErrorKind) -> Jsonl {
        Jsonl::new(Lines::stream(name.to_owned(), Box::new(Broken(kind)), false))
    }

    #[test]
    fn every_alert_is_one_line_of_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut jsonl = Jsonl::new(Lines::create(file.path()).expect("created"));
        (0..3).for_each(|number| jsonl.publish(&alert(number)).expect("published"));
        assert_eq!(jsonl.finish().expect("finished"), Delivered { records: 3 });
        let text = std::fs::read_to_string(file.path()).expect("read back");
        assert_eq!(text, "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n");
    }

    #[test]
    fn a_reader_that_closes_the_output_causes_no_error() {
        let mut jsonl = broken("standard output", ErrorKind::BrokenPipe);
        jsonl.publish(&alert(0)).expect("no error");
        jsonl.flush().expect("no error");
        jsonl.publish(&alert(1)).expect("no error");
        assert_eq!(jsonl.finish().expect("no error"), Delivered { records: 1 });
    }

    #[test]
    fn any_other_failure_names_the_file() {
        let mut jsonl = broken("alerts.jsonl", ErrorKind::StorageFull);
        jsonl.publish(&alert(0)).expect("buffered");
        let error = jsonl.flush().expect_err("the disk is full").to_string();
        assert!(error.starts_with("alerts.jsonl: "), "{error}");
        let missing = Path::new("/nonexistent/alerts.jsonl");
        let error = Lines::create(missing).err().expect("no such directory").to_string();
        assert!(error.starts_with("/nonexistent/alerts.jsonl: "), "{error}");
    }
}
