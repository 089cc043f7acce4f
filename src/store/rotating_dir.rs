//! A folder with files of our own, so many and so large and no more.
//!
//! What somebody else put there is neither counted nor touched: our files are known by their names.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// What may be on a shelf.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Files.
    pub files: usize,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Which files are ours, by their names.
    pub is_ours: fn(&str) -> bool,
}

/// A folder of files, from the oldest to the newest.
#[derive(Debug)]
pub struct RotatingDir {
    folder: PathBuf,
    limits: Limits,
    kept: VecDeque<Kept>,
    bytes: u64,
    removed: u64,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    name: String,
    bytes: u64,
}

impl RotatingDir {
    /// A folder of which nothing is known yet, and in which nothing counts.
    pub const fn new(folder: PathBuf, limits: Limits) -> Self {
        Self { folder, limits, kept: VecDeque::new(), bytes: 0, removed: 0 }
    }

    /// Begins in a folder that may have been used before, or may have gone away since: makes it where it is not there,
    /// counts what is in it, and tries whether it can be written to.
    pub fn begin(&mut self) -> io::Result<()> {
        let tried = self.try_it();
        // What is there can make room, whether or not the disk takes anything now.
        self.take_stock()?;
        tried
    }

    /// Whether a file with something in it can be made in the folder, which is made if it is not there.
    pub fn try_it(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let trial = self.folder.join(TRIAL);
        let written = fs::write(&trial, [0; TRIAL_BYTES]);
        // What cannot be removed is in the way of nobody.
        let _ = fs::remove_file(&trial);
        written
    }

    /// Counts what is there, the oldest first. What is only half of a file is removed.
    fn take_stock(&mut self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let whole = name.strip_prefix('.').and_then(|name| name.strip_suffix(PART));
            if whole.is_some_and(self.limits.is_ours) {
                fs::remove_file(entry.path())?;
            } else if (self.limits.is_ours)(&name) {
                let about = entry.metadata()?;
                found.push((about.modified()?, Kept { name, bytes: about.len() }));
            }
        }
        found.sort_by(|(time, kept), (other, another)| time.cmp(other).then_with(|| kept.name.cmp(&another.name)));
        self.bytes = found.iter().map(|(_, kept)| kept.bytes).sum();
        self.kept = found.into_iter().map(|(_, kept)| kept).collect();
        Ok(())
    }

    /// Whether one more file of this size has room.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.kept.len() < self.limits.files && self.bytes.saturating_add(bytes) <= self.limits.bytes
    }

    /// Removes the oldest files until one more of this size has room. `false`: it never will.
    pub fn make_room(&mut self, bytes: u64) -> io::Result<bool> {
        while !self.has_room(bytes) {
            let Some(oldest) = self.kept.front() else { return Ok(false) };
            match fs::remove_file(self.folder.join(&oldest.name)) {
                Ok(()) => self.removed += 1,
                // Somebody else was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            self.bytes = self.bytes.saturating_sub(oldest.bytes);
            self.kept.pop_front();
        }
        Ok(true)
    }

    /// Stores a file. A reader sees all of it or nothing.
    pub fn put(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let part = self.part(name);
        if let Err(error) = fs::write(&part, content).and_then(|()| fs::rename(&part, self.path(name))) {
            // A half that cannot be removed either is overwritten by the next of this name, or found when stock is taken.
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        self.add(name.to_owned(), content.len() as u64);
        Ok(())
    }

    /// Counts a file that was written here as the newest.
    pub fn add(&mut self, name: String, bytes: u64) {
        if let Some(index) = self.kept.iter().rposition(|kept| kept.name == name)
            && let Some(replaced) = self.kept.remove(index)
        {
            self.bytes = self.bytes.saturating_sub(replaced.bytes);
        }
        self.bytes += bytes;
        self.kept.push_back(Kept { name, bytes });
    }

    /// Where a file of this name is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where it is called so until a reader may see it: hidden, and removed when stock is taken.
    pub fn part(&self, name: &str) -> PathBuf {
        self.folder.join(format!(".{name}{PART}"))
    }

    /// Files on it.
    pub fn files(&self) -> usize {
        self.kept.len()
    }

    /// Bytes of them.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The oldest of them.
    pub fn oldest(&self) -> Option<&str> {
        self.kept.front().map(|kept| kept.name.as_str())
    }

    /// Files that were removed to make room for newer ones.
    pub const fn removed(&self) -> u64 {
        self.removed
    }
}

/// The file that shows whether the folder can be written to. Something is in it: a full disk still takes empty ones.
const TRIAL: &str = ".lockkeeper";
const TRIAL_BYTES: usize = 4096;

/// What the name of a file ends with until all of it is written.
const PART: &str = ".part";

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn rotating_dir(folder: &Path, files: usize, bytes: u64) -> RotatingDir {
        let is_ours = |name: &str| name.ends_with(".pcapng");
        let mut rotating_dir = RotatingDir::new(folder.to_owned(), Limits { files, bytes, is_ours });
        rotating_dir.begin().expect("a folder");
        rotating_dir
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    fn put(rotating_dir: &mut RotatingDir, name: &str, bytes: usize) {
        assert!(rotating_dir.make_room(bytes as u64).expect("a sound folder"), "{name} has no room");
        rotating_dir.put(name, &vec![1; bytes]).expect("stored");
    }

    #[test]
    fn the_oldest_make_room_for_the_newest_by_number_and_by_size() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut rotating_dir = rotating_dir(folder.path(), 3, 100);
        for name in ["d.pcapng", "c.pcapng", "b.pcapng", "a.pcapng"] {
            put(&mut rotating_dir, name, 10);
        }
        assert_eq!(names(folder.path()), ["a.pcapng", "b.pcapng", "c.pcapng"]);
        put(&mut rotating_dir, "e.pcapng", 85);
        assert_eq!(names(folder.path()), ["a.pcapng", "e.pcapng"]);
        assert_eq!((rotating_dir.bytes(), rotating_dir.removed()), (95, 3));
        assert!(!rotating_dir.make_room(101).expect("a sound folder"), "more than all that there may be");
    }

    #[test]
    fn what_an_earlier_run_left_counts_and_what_others_put_there_stays() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut before = rotating_dir(folder.path(), 10, 100);
        for (age, name) in [(3, "z.pcapng"), (2, "b.pcapng"), (1, "a.pcapng")] {
            put(&mut before, name, 10);
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
        put(&mut after, "c.pcapng", 10);
        assert_eq!(names(folder.path()), ["a.pcapng", "b.pcapng", "c.pcapng", "notes.txt"]);
    }

    #[test]
    fn a_file_that_is_stored_again_counts_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut rotating_dir = rotating_dir(folder.path(), 10, 100);
        put(&mut rotating_dir, "a.pcapng", 10);
        put(&mut rotating_dir, "a.pcapng", 20);
        assert_eq!((rotating_dir.files(), rotating_dir.bytes()), (1, 20));
    }

    #[test]
    fn a_folder_that_has_gone_away_is_made_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deeper");
        let mut rotating_dir = rotating_dir(&path, 10, 100);
        fs::remove_dir_all(&path).expect("removed");
        assert!(rotating_dir.put("a.pcapng", &[1]).is_err());
        rotating_dir.begin().expect("made again");
        rotating_dir.put("a.pcapng", &[1]).expect("stored");
    }
}
