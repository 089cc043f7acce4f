//! A test that cannot run fails if `LOCKKEEPER_REQUIRE=1` is set.

mod support;

use std::path::{Path, PathBuf};

use support::require::{LANDLOCK, MOSQUITTO, VLAN, may_be_missing, note};
use support::root;

#[test]
fn a_test_with_a_missing_need_is_skipped_unless_everything_is_required() {
    assert!(may_be_missing(MOSQUITTO, "", ""));
    assert!(may_be_missing(MOSQUITTO, "0", ""));
    assert!(!may_be_missing(MOSQUITTO, "1", ""));
}

#[test]
fn an_excuse_covers_only_the_needs_that_it_names() {
    assert!(may_be_missing(VLAN, "1", " landlock vlan"));
    assert!(may_be_missing(LANDLOCK, "1", " landlock vlan"));
    assert!(!may_be_missing(MOSQUITTO, "1", " landlock vlan"));
    assert!(!may_be_missing(VLAN, "1", "vlans"));
}

#[test]
fn the_note_names_the_missing_need_and_its_remedy() {
    let note = note(MOSQUITTO, "mosquitto cannot be started");
    for part in ["the MQTT broker mosquitto", "mosquitto cannot be started", ".ci/setup mosquitto"] {
        assert!(note.contains(part), "{note}");
    }
}

/// Every skipped test goes through `support::require`; otherwise it would pass in CI without having run.
#[test]
fn no_test_skips_itself_without_a_need() {
    let helper = root().join("tests/support/require.rs");
    let files: Vec<PathBuf> = ["src", "tests", "protocols/src", "protocols/tests"]
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
        .filter(|path| *path != helper && !path.ends_with(file!()))
        .collect();
    assert!(files.len() > 100, "the sources are missing");
    for path in files {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        for way in ["return eprintln!", "LOCKKEEPER_CORPUS\")", "eprintln!(\"SKIPPED", "\"skipped:", "LEFT OUT"] {
            assert!(!text.contains(way), "{}: `{way}`: use tests/support/require.rs", path.display());
        }
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("readable").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let sources = files.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    sources.chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}
