//! The status file. A reader always sees a complete one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::snapshot::Snapshot;

/// Replaces the file in one step, so that a reader sees either the old or the new one.
pub(super) fn write(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let beside = beside(path);
    let mut json = serde_json::to_vec(snapshot)?;
    json.push(b'\n');
    // Not synced: after a power failure, the old status would be wrong anyway.
    File::create(&beside)?.write_all(&json)?;
    fs::rename(&beside, path)
}

/// Reads what [`write()`] wrote.
pub(super) fn read(path: &Path) -> io::Result<Snapshot> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Removes the file when the sensor stops.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// The path of the next file, in the same folder, because a rename replaces a file only within one file system.
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
    fn a_written_snapshot_is_read_again_and_no_other_file_remains() {
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
