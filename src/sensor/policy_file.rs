//! A policy that may change while the sensor runs.
//!
//! The file is looked at on a thread of its own, which nothing waits for: a file system that hangs, or a policy that takes
//! long to compile, holds up neither the pipeline nor the keeper.

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

/// The file that a policy is read from, and the thread that looks at it.
pub(super) struct PolicyWatch {
    path: PathBuf,
    requests: Sender<()>,
    news: Receiver<Reload>,
}

impl PolicyWatch {
    /// Looks at a file once a second; `policy` was just read from it.
    pub(super) fn start(path: &Path, policy: &Policy) -> io::Result<Self> {
        let mut file = PolicyFile::new(path, policy);
        let ((requests, asked), (news, found)) = (bounded(1), bounded(1));
        let watch = move || {
            loop {
                let asked = match asked.recv_timeout(LOOKED_AT_EVERY) {
                    Ok(()) => true,
                    Err(RecvTimeoutError::Timeout) => false,
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                if let Some(reload) = file.look(asked)
                    && news.send(reload).is_err()
                {
                    break;
                }
            }
        };
        // Not joined: it may hang in the file system when the sensor ends.
        thread::Builder::new().name("policy".to_owned()).spawn(watch)?;
        Ok(Self { path: path.to_owned(), requests, news: found })
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads the file at once, whether or not it has changed. While a request waits, another one says nothing new.
    pub(super) fn request(&self) {
        let _waits = self.requests.try_send(());
    }

    /// What was found since, without waiting.
    pub(super) fn news(&self) -> Option<Reload> {
        self.news.try_recv().ok()
    }
}

/// Whether a path leads to the same text again: that of an open file of this process, such as the shell makes for `<(...)`,
/// does not.
pub(super) fn can_be_read_again(path: &Path) -> bool {
    !["/dev/fd", "/dev/stdin", "/proc"].iter().any(|place| path.starts_with(place))
}

/// What has come of looking at the file.
#[derive(Debug)]
pub(super) enum Reload {
    /// Another policy.
    Changed(Arc<Policy>),
    /// After something that was rejected, the file says again what is in force.
    Restored,
    /// A policy that cannot be used.
    Rejected(Rejected),
}

/// Why a policy was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    /// It has mistakes.
    Mistakes {
        /// How many.
        errors: u64,
        /// The first of them, with its place.
        first: String,
    },
    /// It cannot be read, for this reason.
    Unreadable(String),
}

/// What a file looked like, and what was told of it.
struct PolicyFile {
    path: PathBuf,
    /// What it looked like when it was read last; none before that. It may have changed between the start of the sensor and
    /// the first look.
    read: Option<Option<Stamp>>,
    /// What it looked like the last time: a file that is still being written changes from look to look.
    seen: Option<Stamp>,
    /// Which text is in force.
    in_force: String,
    /// What was wrong with the file when it was read last.
    rejected: Option<Rejected>,
}

/// What changes when a file does: device, number, size, and the times of its content and of everything about it. None: it
/// cannot be looked at.
type Stamp = (u64, u64, u64, [i64; 2], [i64; 2]);

impl PolicyFile {
    fn new(path: &Path, policy: &Policy) -> Self {
        Self { path: path.to_owned(), read: None, seen: stamp(path), in_force: policy.sha256.clone(), rejected: None }
    }

    /// Reads the file again if it has changed since, and no longer changes; or if that is `asked` for. A file that could not
    /// be read is tried again each time.
    fn look(&mut self, asked: bool) -> Option<Reload> {
        let now = stamp(&self.path);
        let settled = now == std::mem::replace(&mut self.seen, now);
        let failed = matches!(self.rejected, Some(Rejected::Unreadable(_)));
        if !asked && (!settled || self.read == Some(now) && !failed) {
            return None;
        }
        self.read = Some(now);
        match self.policy() {
            Ok(policy) if policy.sha256 == self.in_force => self.rejected.take().map(|_| Reload::Restored),
            Ok(policy) => {
                (self.in_force, self.rejected) = (policy.sha256.clone(), None);
                Some(Reload::Changed(Arc::new(policy)))
            }
            Err(rejected) => {
                let is_known = self.rejected.as_ref() == Some(&rejected);
                self.rejected = Some(rejected.clone());
                (asked || !is_known || !failed).then_some(Reload::Rejected(rejected))
            }
        }
    }

    fn policy(&self) -> Result<Policy, Rejected> {
        let name = self.path.display().to_string();
        let text = read(&self.path).map_err(|reason| Rejected::Unreadable(format!("{name}: {reason}")))?;
        Policy::parse(&name, &text).map_err(|found| {
            let first = found.to_string().lines().next().unwrap_or_default().to_owned();
            Rejected::Mistakes { errors: found.count(Severity::Error) as u64, first }
        })
    }
}

/// The text of a file. Whatever lies there instead of one is an error, and none of it is waited for.
fn read(path: &Path) -> Result<String, String> {
    let wrong = |error: io::Error| error.to_string();
    // Looked at first: to open a device may do something.
    is_a_policy(&fs::metadata(path).map_err(wrong)?)?;
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(wrong)?;
    is_a_policy(&file.metadata().map_err(wrong)?)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > LARGEST {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|_| "it is not text".to_owned())
}

/// Whether it can be a policy, before it is read.
fn is_a_policy(about: &Metadata) -> Result<(), String> {
    match kind(about.file_type()) {
        Some(kind) => Err(format!("it is {kind}, and no file")),
        None if about.len() > LARGEST => Err(too_large()),
        None => Ok(()),
    }
}

/// What something is that is no file.
fn kind(of: FileType) -> Option<&'static str> {
    match of {
        of if of.is_file() => None,
        of if of.is_dir() => Some("a directory"),
        of if of.is_fifo() => Some("a pipe"),
        of if of.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

fn too_large() -> String {
    format!("it is larger than {} MiB", LARGEST >> 20)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let about = fs::metadata(path).ok()?;
    let (modified, changed) = ([about.mtime(), about.mtime_nsec()], [about.ctime(), about.ctime_nsec()]);
    Some((about.dev(), about.ino(), about.len(), modified, changed))
}

/// Bytes of a policy, at most: hundreds of times those of a large plant.
const LARGEST: u64 = 16 << 20;

/// How often the file is looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

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
        assert!(file.look(false).is_none(), "it says what is in force");
        (folder, path, file)
    }

    /// Two looks at a file that has changed: it is read when it no longer changes.
    fn look(file: &mut PolicyFile) -> Option<Reload> {
        assert!(file.look(false).is_none(), "it has just changed");
        file.look(false)
    }

    #[test]
    fn a_file_that_is_still_written_is_read_when_it_no_longer_changes() {
        let (_folder, path, mut file) = watched();
        assert!(file.look(false).is_none());
        fs::write(&path, POLICY.replace("version = \"1\"", "version = \"22\"")).expect("written");
        let changed = look(&mut file);
        assert!(matches!(&changed, Some(Reload::Changed(policy)) if policy.version == "22"), "{changed:?}");
        assert!(file.look(false).is_none(), "it is read once");
    }

    #[test]
    fn a_request_does_not_wait_and_the_same_policy_is_no_change() {
        let (_folder, path, mut file) = watched();
        assert!(file.look(true).is_none());
        fs::write(&path, POLICY.replace("\"P\"", "\"Q\"")).expect("written");
        assert!(matches!(file.look(true), Some(Reload::Changed(_))));
    }

    #[test]
    fn mistakes_are_counted_and_the_first_is_told_with_its_place_until_they_are_taken_back() {
        let (_folder, path, mut file) = watched();
        fs::write(&path, format!("{POLICY}zoen.b = 1\nzone.c.networsk = []\n")).expect("written");
        let rejected = look(&mut file);
        let is_told = |errors: u64, first: &str| errors >= 2 && first.contains(":4:1: error: ");
        assert!(
            matches!(&rejected, Some(Reload::Rejected(Rejected::Mistakes { errors, first })) if is_told(*errors, first)),
            "{rejected:?}"
        );
        assert!(file.look(false).is_none(), "it is told once");
        assert!(matches!(file.look(true), Some(Reload::Rejected(_))), "and to whoever asks");
        fs::write(&path, POLICY).expect("written");
        assert!(matches!(look(&mut file), Some(Reload::Restored)));
        assert!(file.look(true).is_none(), "that is told once, too");
    }

    /// Puts something else in the place of a policy, and the policy back; returns why it was not taken.
    fn in_its_place(put: impl FnOnce(&Path), take_away: impl FnOnce(&Path)) -> String {
        let (_folder, path, mut file) = watched();
        fs::remove_file(&path).expect("removed");
        put(&path);
        let reason = match look(&mut file) {
            Some(Reload::Rejected(Rejected::Unreadable(reason))) => reason,
            other => format!("{other:?}"),
        };
        assert!(file.look(false).is_none(), "{reason}: it is told once");
        take_away(&path);
        fs::write(&path, POLICY).expect("written");
        assert!(matches!(look(&mut file), Some(Reload::Restored)), "{reason}");
        reason.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&reason).to_owned()
    }

    #[test]
    fn whatever_lies_there_instead_of_a_policy_is_told_and_not_waited_for() {
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
    fn a_file_that_may_not_be_read_is_told_until_it_may() {
        let (_folder, path, mut file) = watched();
        let _as_others = ReadsWhatOthersRead::begin();
        let allow = |mode| fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("changed");
        allow(0o000);
        assert!(
            matches!(look(&mut file), Some(Reload::Rejected(Rejected::Unreadable(reason))) if reason.contains("denied"))
        );
        allow(0o600);
        assert!(matches!(look(&mut file), Some(Reload::Restored)));
    }

    #[test]
    fn a_file_that_is_replaced_by_another_of_the_same_size_and_time_is_read() {
        let (folder, path, mut file) = watched();
        let (other, time) =
            (folder.path().join("other"), fs::metadata(&path).and_then(|old| old.modified()).expect("a time"));
        fs::write(&other, POLICY.replace("\"P\"", "\"Q\"")).expect("written");
        File::options().write(true).open(&other).and_then(|file| file.set_modified(time)).expect("changed");
        fs::rename(&other, &path).expect("renamed");
        assert!(matches!(look(&mut file), Some(Reload::Changed(_))));
    }

    #[test]
    fn what_a_shell_hands_over_is_not_looked_at_again() {
        let again = |path| can_be_read_again(Path::new(path));
        assert!(!again("/dev/fd/63") && !again("/proc/self/fd/63") && !again("/dev/stdin"));
        assert!(again("/dev/shm/plant.toml") && again("plant.toml"));
    }

    #[test]
    fn a_policy_that_has_changed_before_the_first_look_is_read() {
        let (_folder, path, _) = watched();
        let policy = Policy::load(&path).expect("sound");
        fs::write(&path, POLICY.replace("\"P\"", "\"Q\"")).expect("written");
        assert!(matches!(PolicyFile::new(&path, &policy).look(false), Some(Reload::Changed(_))));
    }

    #[test]
    fn a_watch_answers_a_request_soon_and_the_end_does_not_wait_for_it() {
        let (_folder, path, _) = watched();
        let watch = PolicyWatch::start(&path, &Policy::load(&path).expect("sound")).expect("started");
        fs::write(&path, POLICY.replace("\"P\"", "\"Q\"")).expect("written");
        watch.request();
        let news = watch.news.recv_timeout(Duration::from_secs(20));
        assert!(matches!(news, Ok(Reload::Changed(_))), "{news:?}");
    }
}
