//! A folder bounded in number of files and bytes.
//!
//! Only files with a name of ours are counted and deleted; other files in the folder are left alone.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// The bounds of a folder.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Number of files, at most.
    pub files: usize,
    /// Bytes of all files together, at most.
    pub bytes: u64,
    /// Whether a file with this name is ours.
    pub is_ours: fn(&str) -> bool,
}

/// A folder of files, oldest first, of which the oldest are deleted to make room.
#[derive(Debug)]
pub struct RotatingDir {
    folder: PathBuf,
    limits: Limits,
    files: VecDeque<StoredFile>,
    bytes: u64,
    removed: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct StoredFile {
    name: String,
    bytes: u64,
}

impl RotatingDir {
    /// A folder that is not [open](Self::open) yet: no file in it counts.
    pub const fn new(folder: PathBuf, limits: Limits) -> Self {
        Self { folder, limits, files: VecDeque::new(), bytes: 0, removed: 0 }
    }

    /// Opens the folder, again if it was removed: creates it if it does not exist, counts the files in it, and checks that
    /// it can be written to.
    pub fn open(&mut self) -> io::Result<()> {
        let writable = self.check_writable();
        // The files count on a full disk too: deleting them makes room.
        self.scan()?;
        writable
    }

    /// Checks that a file with content can be written. The folder is created if it does not exist.
    pub fn check_writable(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let trial = self.folder.join(TRIAL);
        let written = fs::write(&trial, [0; TRIAL_BYTES]);
        // The file does no harm if it cannot be removed.
        let _ = fs::remove_file(&trial);
        written
    }

    /// Counts the files, and removes incomplete ones.
    fn scan(&mut self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let complete = name.strip_prefix('.').and_then(|name| name.strip_suffix(PART));
            if complete.is_some_and(self.limits.is_ours) {
                fs::remove_file(entry.path())?;
            } else if (self.limits.is_ours)(&name) {
                let metadata = entry.metadata()?;
                found.push((metadata.modified()?, StoredFile { name, bytes: metadata.len() }));
            }
        }
        found.sort_by(|(time, file), (other, another)| time.cmp(other).then_with(|| file.name.cmp(&another.name)));
        self.bytes = found.iter().map(|(_, file)| file.bytes).sum();
        self.files = found.into_iter().map(|(_, file)| file).collect();
        Ok(())
    }

    /// Whether there is room for one more file of this size.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.files.len() < self.limits.files && self.bytes.saturating_add(bytes) <= self.limits.bytes
    }

    /// Deletes the oldest files until there is room for one more of this size. `false`: it is larger than the bound.
    pub fn make_room(&mut self, bytes: u64) -> io::Result<bool> {
        while !self.has_room(bytes) {
            let Some(oldest) = self.files.front() else { return Ok(false) };
            match fs::remove_file(self.folder.join(&oldest.name)) {
                Ok(()) => self.removed += 1,
                // Another program has deleted it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            self.bytes = self.bytes.saturating_sub(oldest.bytes);
            self.files.pop_front();
        }
        Ok(true)
    }

    /// Writes a file. A reader sees either all of it or no file.
    pub fn write(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let part = self.part_path(name);
        if let Err(error) = fs::write(&part, content).and_then(|()| fs::rename(&part, self.path(name))) {
            // If it cannot be removed either, the next file of this name replaces it, or the next scan removes it.
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        self.add(name.to_owned(), content.len() as u64);
        Ok(())
    }

    /// Counts a file that was written to the folder as the newest.
    pub fn add(&mut self, name: String, bytes: u64) {
        if let Some(index) = self.files.iter().rposition(|file| file.name == name)
            && let Some(replaced) = self.files.remove(index)
        {
            self.bytes = self.bytes.saturating_sub(replaced.bytes);
        }
        self.bytes += bytes;
        self.files.push_back(StoredFile { name, bytes });
    }

    /// The path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The path of a file until it is complete: hidden, and removed by the next scan.
    pub fn part_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!(".{name}{PART}"))
    }

    /// Number of files.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Bytes of all files.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The name of the oldest file.
    pub fn oldest(&self) -> Option<&str> {
        self.files.front().map(|file| file.name.as_str())
    }

    /// Number of files deleted to make room.
    pub const fn removed(&self) -> u64 {
        self.removed
    }
}

/// The file that checks whether the folder can be written to. It has content, because a full disk accepts empty files.
const TRIAL: &str = ".lockkeeper";
const TRIAL_BYTES: usize = 4096;

/// The ending of an incomplete file's name.
const PART: &str = ".part";

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn rotating_dir(folder: &Path, files: usize, bytes: u64) -> RotatingDir {
        let is_ours = |name: &str| name.ends_with(".pcapng");
        let mut rotating_dir = RotatingDir::new(folder.to_owned(), Limits { files, bytes, is_ours });
        rotating_dir.open().expect("a folder");
        rotating_dir
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    fn write(rotating_dir: &mut RotatingDir, name: &str, bytes: usize) {
        assert!(rotating_dir.make_room(bytes as u64).expect("a sound folder"), "{name} has no room");
        rotating_dir.write(name, &vec![1; bytes]).expect("written");
    }

    #[test]
    fn the_oldest_files_are_deleted_by_number_and_by_size() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut rotating_dir = rotating_dir(folder.path(), 3, 100);
        for name in ["d.pcapng", "c.pcapng", "b.pcapng", "a.pcapng"] {
            write(&mut rotating_dir, name, 10);
        }
        assert_eq!(names(folder.path()), ["a.pcapng", "b.pcapng", "c.pcapng"]);
        write(&mut rotating_dir, "e.pcapng", 85);
        assert_eq!(names(folder.path()), ["a.pcapng", "e.pcapng"]);
        assert_eq!((rotating_dir.bytes(), rotating_dir.removed()), (95, 3));
        assert!(!rotating_dir.make_room(101).expect("a sound folder"), "larger than the bound");
    }

    #[test]
    fn the_files_of_an_earlier_run_count_and_those_of_others_stay() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut before = rotating_dir(folder.path(), 10, 100);
        for (age, name) in [(3, "z.pcapng"), (2, "b.pcapng"), (1, "a.pcapng")] {
            write(&mut before, name, 10);
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 - age);
            fs::File::options()
                .write(true)
                .open(before.path(name))
                .and_then(|file| file.set_modified(time))
                .expect("set");
        }
        fs::write(folder.path().join("notes.txt"), [0; 500]).expect("written");
        fs::write(folder.path().join(".half.pcapng.part"), [0; 500]).expect("written");
        let mut after = rotating_dir(folder.path(), 3, 100);
        assert_eq!((after.files(), after.bytes(), after.oldest()), (3, 30, Some("z.pcapng")));
        write(&mut after, "c.pcapng", 10);
        assert_eq!(names(folder.path()), ["a.pcapng", "b.pcapng", "c.pcapng", "notes.txt"]);
    }

    #[test]
    fn a_file_that_is_written_again_counts_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut rotating_dir = rotating_dir(folder.path(), 10, 100);
        write(&mut rotating_dir, "a.pcapng", 10);
        write(&mut rotating_dir, "a.pcapng", 20);
        assert_eq!((rotating_dir.files(), rotating_dir.bytes()), (1, 20));
    }

    #[test]
    fn a_folder_that_was_removed_is_created_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deeper");
        let mut rotating_dir = rotating_dir(&path, 10, 100);
        fs::remove_dir_all(&path).expect("removed");
        assert!(rotating_dir.write("a.pcapng", &[1]).is_err());
        rotating_dir.open().expect("made again");
        rotating_dir.write("a.pcapng", &[1]).expect("written");
    }
}
