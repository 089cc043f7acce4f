//! A [`Source`] of capture files, by paths and folders.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::input::STANDARD_INPUT;
use super::merge::Merge;
use super::reader::{Reader, io_error, not_a_capture};
use super::{Block, Capture, Error, Source};

/// Settings of a [`Replay`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplaySettings {
    /// Bytes read into one [`Block`], preferably a multiple of 4 KiB that fits in the second-level cache of a core beside the
    /// flows. The rest of a record from the block before, at most 512 KiB, comes in addition; a block grows as far as one
    /// record needs.
    pub block_size: usize,
    /// Bytes read at once from each of several captures. A capture is open only while its packets are due, so captures that
    /// follow each other in time need one such buffer, and captures that overlap one each.
    pub merge_size: usize,
}

impl Default for ReplaySettings {
    fn default() -> Self {
        Self { block_size: 64 * 1024, merge_size: 64 * 1024 }
    }
}

/// Reads captures from start to end.
///
/// One capture is read directly into the block, without a copy. Several are merged by time.
///
/// Memory is bounded for hostile captures: one block of [`ReplaySettings::block_size`] and 512 KiB, the same again for
/// packets, 64 KiB of compressed bytes and, for zstd, a window of at most 128 MiB. Captures that overlap in time need this
/// much each, with [`ReplaySettings::merge_size`] as the block.
pub struct Replay {
    stage: Stage,
    captures: Vec<Capture>,
    skipped: Vec<String>,
    block_size: usize,
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

enum Stage {
    Single(Box<Reader>),
    Merged(Merge),
}

/// Opens captures: files, folders, and `-` for standard input.
///
/// A folder stands for its files that are captures by their content, in order of name. Other files are skipped and listed by
/// [`Replay::skipped`]; subfolders are ignored.
///
/// # Errors
///
/// Every path is opened once, so that an unreadable one is an error before the first packet.
pub fn open(paths: &[PathBuf], settings: &ReplaySettings) -> Result<Replay, Error> {
    let settings = settings.bounded();
    let read = Arc::default();
    let mut scan = PathScan { found: Vec::new(), skipped: Vec::new(), read: &read };
    for path in paths {
        scan.add_path(path)?;
    }
    let PathScan { found, skipped, .. } = scan;
    if found.len() > MAX_CAPTURES {
        return Err(Error::TooMany { found: found.len(), limit: MAX_CAPTURES });
    }
    let mut captures: Vec<Capture> = found.iter().map(Found::capture).collect();
    let total = found.iter().map(|found| found.size).sum();
    let stage = combine(found, &mut captures, settings.merge_size, &read)?;
    Ok(Replay { stage, captures, skipped, block_size: settings.block_size, read, total })
}

impl Replay {
    /// Files of folders that were skipped because they are no captures, each with its description.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
}

impl Source for Replay {
    fn fill(&mut self, block: &mut Block) -> Result<bool, Error> {
        let size = self.block_size;
        Ok(match (&mut self.stage, self.captures.as_mut_slice()) {
            (Stage::Single(reader), [capture]) => reader.fill(block, size, capture),
            (Stage::Single(_), _) => false,
            (Stage::Merged(merge), captures) => merge.fill(block, size, captures),
        })
    }

    fn captures(&self) -> &[Capture] {
        &self.captures
    }

    fn progress(&self) -> (u64, Option<u64>) {
        (self.read.load(Ordering::Relaxed), self.total)
    }
}

impl ReplaySettings {
    /// Limits the sizes so that offsets within a block fit in [`super::Packet::offset`].
    fn bounded(&self) -> Self {
        let bounded = |size: usize| size.clamp(1, MAX_BLOCK_SIZE);
        Self { block_size: bounded(self.block_size), merge_size: bounded(self.merge_size) }
    }
}

/// Opens paths one after the other.
struct PathScan<'a> {
    found: Vec<Found>,
    skipped: Vec<String>,
    read: &'a Arc<AtomicU64>,
}

/// A path that is a capture.
struct Found {
    path: PathBuf,
    /// Size of a regular file, bytes; `None` for a pipe, which cannot be reopened.
    size: Option<u64>,
    /// Its reader, if it stays open: the first capture and every pipe.
    reader: Option<Box<Reader>>,
    format: String,
}

impl PathScan<'_> {
    /// Adds a file, a folder or standard input.
    fn add_path(&mut self, path: &Path) -> Result<(), Error> {
        if path.as_os_str() == STANDARD_INPUT {
            return self.add_capture(path, None);
        }
        let metadata = fs::metadata(path).map_err(|source| io_error(path, source))?;
        if metadata.is_dir() {
            return self.add_folder(path);
        }
        self.add_capture(path, metadata.is_file().then_some(metadata.len()))
    }

    /// Adds the captures of a folder, of which there must be at least one.
    fn add_folder(&mut self, folder: &Path) -> Result<(), Error> {
        let (found, skipped) = (self.found.len(), self.skipped.len());
        for (path, size) in files_of(folder).map_err(|source| io_error(folder, source))? {
            match self.add_capture(&path, Some(size)) {
                Err(error @ Error::NotACapture { .. }) => self.skipped.push(error.to_string()),
                other => other?,
            }
        }
        if self.found.len() == found {
            let others = self.skipped.len() - skipped;
            let found =
                format!("it is a folder of {others} files, none of them a capture; name the folder that holds them");
            return Err(not_a_capture(folder, found));
        }
        Ok(())
    }

    /// Opens a file to detect its format, and closes it until its packets are due, so that hundreds are not open at once. The
    /// first one stays open, because usually it is the only one.
    fn add_capture(&mut self, path: &Path, size: Option<u64>) -> Result<(), Error> {
        let index = u16::try_from(self.found.len()).unwrap_or(u16::MAX);
        let reader = Reader::open(path, index, self.read)?;
        let format = reader.format();
        let kept = (size.is_none() || self.found.is_empty()).then(|| Box::new(reader));
        self.found.push(Found { path: path.to_owned(), size, reader: kept, format });
        Ok(())
    }
}

impl Found {
    fn capture(&self) -> Capture {
        let name = self.path.display().to_string();
        Capture { name, format: self.format.clone(), packets: 0, dropped_at_capture: 0, cut: None }
    }
}

/// Reads one capture directly, and merges several.
fn combine(
    mut found: Vec<Found>,
    captures: &mut [Capture],
    size: usize,
    read: &Arc<AtomicU64>,
) -> Result<Stage, Error> {
    if let [only] = found.as_mut_slice()
        && let Some(reader) = only.reader.take()
    {
        return Ok(Stage::Single(reader));
    }
    let mut merge = Merge::new(size, read);
    let mut done = 0;
    for (index, (found, capture)) in (0..).zip(found.into_iter().zip(captures)) {
        let reader = match found.reader {
            Some(reader) => reader,
            None => Box::new(Reader::open(&found.path, index, read)?),
        };
        let again = found.size.map(|_| found.path);
        if !merge.add(index, reader, again, capture) {
            done += found.size.unwrap_or_default();
        }
    }
    // The start of each capture is read again when its packets are due.
    read.store(done, Ordering::Relaxed);
    Ok(Stage::Merged(merge))
}

/// Regular files of a folder with their sizes, by name.
fn files_of(folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = fs::metadata(&path)?;
        if metadata.is_file() {
            files.push((path, metadata.len()));
        }
    }
    files.sort();
    Ok(files)
}

/// [`super::Origin::capture`] has 16 bits.
const MAX_CAPTURES: usize = 1 << 16;

/// Largest block that can be asked for, bytes.
const MAX_BLOCK_SIZE: usize = 64 * 1024 * 1024;
