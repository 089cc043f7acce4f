//! The status file: always whole, whoever reads it when.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::snapshot::Snapshot;

/// Replaces the file in one step, so that a reader sees the old one or the new one.
pub(super) fn write(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let beside = beside(path);
    let mut json = serde_json::to_vec(snapshot)?;
    json.push(b'\n');
    // Not synced: the file says how it is now, and after a loss of power that is over.
    File::create(&beside)?.write_all(&json)?;
    fs::rename(&beside, path)
}

/// Reads what [`write()`] wrote.
pub(super) fn read(path: &Path) -> io::Result<Snapshot> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Takes the file away: the sensor does not run any more.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Where the next one is written, in the same folder because only there it can be renamed in one step.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::super::testing::snapshot;
    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("status.json");
        let mut snapshot = snapshot();
        write(&path, &snapshot).expect("written");
        snapshot.traffic.packets += 1;
        write(&path, &snapshot).expect("written over");
        assert_eq!(read(&path).expect("whole"), snapshot);
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
        remove(&path).expect("removed");
        assert_eq!(read(&path).expect_err("gone").kind(), io::ErrorKind::NotFound);
    }
}
