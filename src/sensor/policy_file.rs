//! Reloading the policy file while the sensor runs.
//!
//! A thread of its own watches the file, so that neither a file system that hangs nor a policy that takes long to compile
//! delays the pipeline or the supervisor.

use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rustix::fs::OFlags;

use crate::policy::{Policy, Severity};

/// A policy file and the thread that watches it.
pub(super) struct PolicyWatch {
    path: PathBuf,
    requests: Sender<()>,
    changes: Receiver<Reload>,
}

impl PolicyWatch {
    /// Checks a file once a second; `policy` was just read from it.
    pub(super) fn start(path: &Path, policy: &Policy) -> io::Result<Self> {
        let mut file = PolicyFile::new(path, policy);
        let ((requests, requested), (sender, changes)) = (bounded(1), bounded(1));
        let watch = move || {
            loop {
                let requested = match requested.recv_timeout(CHECK_INTERVAL) {
                    Ok(()) => true,
                    Err(RecvTimeoutError::Timeout) => false,
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                if let Some(reload) = file.check(requested)
                    && sender.send(reload).is_err()
                {
                    break;
                }
            }
        };
        // Not joined: it may be blocked by the file system when the sensor ends.
        thread::Builder::new().name("policy".to_owned()).spawn(watch)?;
        Ok(Self { path: path.to_owned(), requests, changes })
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Asks to read the file at once, whether or not it has changed.
    pub(super) fn request(&self) {
        // Fails only while an earlier request is pending.
        let _ = self.requests.try_send(());
    }

    /// Takes the latest change, without waiting.
    pub(super) fn take_change(&self) -> Option<Reload> {
        self.changes.try_recv().ok()
    }
}

/// Whether a path can be read again: not if it names an open file of this process, such as the shell passes for `<(...)`.
pub(super) fn is_rereadable(path: &Path) -> bool {
    !["/dev/fd", "/dev/stdin", "/proc"].iter().any(|place| path.starts_with(place))
}

/// A change of the file.
#[derive(Debug)]
pub(super) enum Reload {
    /// It holds another policy.
    Changed(Arc<Policy>),
    /// After a rejected change, it holds the policy in force again.
    Restored,
    /// It was rejected.
    Rejected(RejectionReason),
}

/// Why a policy was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RejectionReason {
    /// It has errors.
    Mistakes {
        /// Number of errors.
        errors: u64,
        /// The first error, with its place.
        first: String,
    },
    /// It cannot be read, for this reason.
    Unreadable(String),
}

/// A policy file, with its state at the latest check.
struct PolicyFile {
    path: PathBuf,
    /// Its stamp when it was last read; `None` before that, because it may have changed between the start of the sensor and
    /// the first check.
    read: Option<Option<Stamp>>,
    /// Its stamp at the latest check: a file that is still being written changes between checks.
    seen: Option<Stamp>,
    /// The hash of the policy in force.
    in_force: String,
    /// Why it was rejected when it was last read.
    rejected: Option<RejectionReason>,
}

/// The identity and version of a file: device, inode, size, time of modification and time of status change.
type Stamp = (u64, u64, u64, [i64; 2], [i64; 2]);

impl PolicyFile {
    fn new(path: &Path, policy: &Policy) -> Self {
        Self { path: path.to_owned(), read: None, seen: stamp(path), in_force: policy.sha256.clone(), rejected: None }
    }

    /// Reads the file if it has changed and no longer changes, or if that is `requested`. A file that could not be read is
    /// retried at each check.
    fn check(&mut self, requested: bool) -> Option<Reload> {
        let now = stamp(&self.path);
        let settled = now == std::mem::replace(&mut self.seen, now);
        let failed = matches!(self.rejected, Some(RejectionReason::Unreadable(_)));
        if !requested && (!settled || self.read == Some(now) && !failed) {
            return None;
        }
        self.read = Some(now);
        match self.read_policy() {
            Ok(policy) if policy.sha256 == self.in_force => self.rejected.take().map(|_| Reload::Restored),
            Ok(policy) => {
                (self.in_force, self.rejected) = (policy.sha256.clone(), None);
                Some(Reload::Changed(Arc::new(policy)))
            }
            Err(rejected) => {
                let is_known = self.rejected.as_ref() == Some(&rejected);
                self.rejected = Some(rejected.clone());
                (requested || !is_known || !failed).then_some(Reload::Rejected(rejected))
            }
        }
    }

    fn read_policy(&self) -> Result<Policy, RejectionReason> {
        let name = self.path.display().to_string();
        let text = read_text(&self.path).map_err(|reason| RejectionReason::Unreadable(format!("{name}: {reason}")))?;
        Policy::parse(&name, &text).map_err(|found| {
            let first = found.to_string().lines().next().unwrap_or_default().to_owned();
            RejectionReason::Mistakes { errors: found.count(Severity::Error) as u64, first }
        })
    }
}

/// The text of a regular file. Anything else is an error, and never blocks. The error is a reason for people.
fn read_text(path: &Path) -> Result<String, String> {
    let wrong = |error: io::Error| error.to_string();
    // Checked first, because opening a device may have effects.
    check_file(&fs::metadata(path).map_err(wrong)?)?;
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(wrong)?;
    check_file(&file.metadata().map_err(wrong)?)?;
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|_| "it is not text".to_owned())
}

/// Checks type and size of a file before it is read.
fn check_file(metadata: &Metadata) -> Result<(), String> {
    match special_type(metadata.file_type()) {
        Some(special) => Err(format!("it is {special}, and no file")),
        None if metadata.len() > MAX_SIZE => Err(too_large()),
        None => Ok(()),
    }
}

/// The type of anything but a regular file, for people.
fn special_type(of: FileType) -> Option<&'static str> {
    match of {
        of if of.is_file() => None,
        of if of.is_dir() => Some("a directory"),
        of if of.is_fifo() => Some("a pipe"),
        of if of.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

fn too_large() -> String {
    format!("it is larger than {} MiB", MAX_SIZE >> 20)
}

/// The stamp of a file; `None` if it cannot be inspected.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    let modified = [metadata.mtime(), metadata.mtime_nsec()];
    let changed = [metadata.ctime(), metadata.ctime_nsec()];
    Some((metadata.dev(), metadata.ino(), metadata.len(), modified, changed))
}

/// Bytes of a policy file, at most: hundreds of times the size of a large plant's policy.
const MAX_SIZE: u64 = 16 << 20;

/// The time between two checks of the file.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

    use super::*;

    const POLICY: &str = "schema = \"lockkeeper-policy/1\"\npolicy = { id = \"P\", version = \"1\" }\nzone.a.networks = [\"10.0.0.0/24\"]\n";

    /// A policy in a folder of its own, which was just read.
    fn watched() -> (tempfile::TempDir, PathBuf, PolicyFile) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("plant.toml");
        fs::write(&path, POLICY).expect("written");
        let mut file = PolicyFile::new(&path, &Policy::load(&path).expect("sound"));
        assert!(file.check(false).is_none(), "it holds the policy in force");
        (folder, path, file)
    }

    /// Checks a changed file twice: it is read when it no longer changes.
    fn check_twice(file: &mut PolicyFile) -> Option<Reload> {
        assert!(file.check(false).is_none(), "it has just changed");
        file.check(false)
    }

    #[test]
    fn a_file_that_is_still_written_is_read_when_it_no_longer_changes() {
        let (_folder, path, mut file) = watched();
        assert!(file.check(false).is_none());
        fs::write(&path, POLICY.replace("version = \"1\"", "version = \"22\"")).expect("written");
        let changed = check_twice(&mut file);
        assert!(matches!(&changed, Some(Reload::Changed(policy)) if policy.version == "22"), "{changed:?}");
        assert!(file.check(false).is_none(), "it is read once");
    }

    #[test]
    fn a_request_does_not_wait_and_the_same_policy_is_no_change() {
        let (_folder, path, mut file) = watched();
        assert!(file.check(true).is_none());
        fs::write(&path, POLICY.replace("\"P\"", "\"Q\"")).expect("written");
        assert!(matches!(file.check(true), Some(Reload::Changed(_))));
    }

    #[test]
    fn mistakes_are_counted_and_the_first_is_reported_with_its_place_until_they_are_undone() {
        let (_folder, path, mut file) = watched();
        fs::write(&path, format!("{POLICY}zoen.b = 1\nzone.c.networsk = []\n")).expect("written");
        let rejected = check_twice(&mut file);
        let is_reported = |errors: u64, first: &str| errors >= 2 && first.contains(":4:1: error: ");
        assert!(
            matches!(&rejected, Some(Reload::Rejected(RejectionReason::Mistakes { errors, first })) if is_reported(*errors, first)),
            "{rejected:?}"
        );
        assert!(file.check(false).is_none(), "it is reported once");
        assert!(matches!(file.check(true), Some(Reload::Rejected(_))), "and on request");
        fs::write(&path, POLICY).expect("written");
        assert!(matches!(check_twice(&mut file), Some(Reload::Restored)));
        assert!(file.check(true).is_none(), "that is reported once, too");
    }

    /// Puts something else in the place of a policy, and the policy back; returns why it was not taken.
    fn in_its_place(put: impl FnOnce(&Path), take_away: impl FnOnce(&Path)) -> String {
        let (_folder, path, mut file) = watched();
        fs::remove_file(&path).expect("removed");
        put(&path);
        let reason = match check_twice(&mut file) {
            Some(Reload::Rejected(RejectionReason::Unreadable(reason))) => reason,
            other => format!("{other:?}"),
        };
        assert!(file.check(false).is_none(), "{reason}: it is reported once");
        take_away(&path);
        fs::write(&path, POLICY).expect("written");
        assert!(matches!(check_twice(&mut file), Some(Reload::Restored)), "{reason}");
        reason.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&reason).to_owned()
    }

    #[test]
    fn anything_but_a_policy_file_is_reported_and_never_blocks() {
        let remove = |path: &Path| fs::remove_file(path).expect("removed");
        assert!(in_its_place(|_| {}, |_| {}).starts_with("No such file or directory"));
        let make_folder = |path: &Path| fs::create_dir(path).expect("made");
        let remove_folder = |path: &Path| fs::remove_dir(path).expect("removed");
        assert_eq!(in_its_place(make_folder, remove_folder), "it is a directory, and no file");
        let make_pipe = |path: &Path| {
            rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).expect("made");
        };
        assert_eq!(in_its_place(make_pipe, remove), "it is a pipe, and no file");
        let make_socket = |path: &Path| drop(std::os::unix::net::UnixListener::bind(path).expect("bound"));
        assert_eq!(in_its_place(make_socket, remove), "it is a socket, and no file");
        assert_eq!(
            in_its_place(|path| symlink("/dev/zero", path).expect("linked"), remove),
            "it is a device, and no file"
        );
        let dangling = in_its_place(|path| symlink("/nonexistent/plant.toml", path).expect("linked"), remove);
        assert!(dangling.starts_with("No such file or directory"), "{dangling}");
        let looped = in_its_place(|path| symlink("plant.toml", path).expect("linked"), remove);
        assert!(looped.starts_with("Too many levels of symbolic links"), "{looped}");
        let make_huge = |path: &Path| File::create(path).and_then(|file| file.set_len(1 << 40)).expect("made");
        assert_eq!(in_its_place(make_huge, remove), "it is larger than 16 MiB");
        assert_eq!(in_its_place(|path| fs::write(path, b"\xFF\xFE").expect("written"), |_| {}), "it is not text");
    }

    /// While it lives, the permissions of a file bind this thread even if it runs as root.
    struct ReadsWhatOthersRead(CapabilitySets);

    impl ReadsWhatOthersRead {
        fn begin() -> Self {
            let before = capabilities(None).expect("readable");
            let effective = before.effective - CapabilitySet::DAC_OVERRIDE - CapabilitySet::DAC_READ_SEARCH;
            set_capabilities(None, CapabilitySets { effective, ..before }).expect("given up");
            Self(before)
        }
    }

    impl Drop for ReadsWhatOthersRead {
        fn drop(&mut self) {
            set_capabilities(None, self.0).expect("taken back");
        }
    }

    #[test]
    fn an_unreadable_file_is_reported_until_it_can_be_read() {
        let (_folder, path, mut file) = watched();
        let _as_others = ReadsWhatOthersRead::begin();
        let allow = |mode| fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("changed");
        allow(0o000);
        assert!(
            matches!(check_twice(&mut file), Some(Reload::Rejected(RejectionReason::Unreadable(reason))) if reason.contains("denied"))
        );
        allow(0o600);
        assert!(matches!(check_twice(&mut file), Some(Reload::Restored)));
    }

    #[test]
    fn a_file_that_is_replaced_by_another_of_the_same_size_and_time_is_read() {
        let (folder, path, mut file) = watched();
        let (other, time) =
            (folder.path().join("other"), fs::metadata(&path).and_then(|old| old.modified()).expect("a time"));
        fs::write(&other, POLICY.replace("\"P\"", "\"Q\"")).expect("written");
        File::options().write(true).open(&other).and_then(|file| file.set_modified(time)).expect("changed");
        fs::rename(&other, &path).expect("renamed");
        assert!(matches!(check_twice(&mut file), Some(Reload::Changed(_))));
    }

    #[test]
    fn a_file_passed_by_a_shell_is_not_read_again() {
        let again = |path| is_rereadable(Path::new(path));
        assert!(!again("/dev/fd/63") && !again("/proc/self/fd/63") && !again("/dev/stdin"));
        assert!(again("/dev/shm/plant.toml") && again("plant.toml"));
    }

    #[test]
    fn a_policy_that_has_changed_before_the_first_check_is_read() {
        let (_folder, path, _) = watched();
        let policy = Policy::load(&path).expect("sound");
        fs::write(&path, POLICY.replace("\"P\"", "\"Q\"")).expect("written");
        assert!(matches!(PolicyFile::new(&path, &policy).check(false), Some(Reload::Changed(_))));
    }

    #[test]
    fn a_watch_handles_a_request_soon_and_does_not_delay_the_end() {
        let (_folder, path, _) = watched();
        let watch = PolicyWatch::start(&path, &Policy::load(&path).expect("sound")).expect("started");
        fs::write(&path, POLICY.replace("\"P\"", "\"Q\"")).expect("written");
        watch.request();
        let change = watch.changes.recv_timeout(Duration::from_secs(20));
        assert!(matches!(change, Ok(Reload::Changed(_))), "{change:?}");
    }
}
