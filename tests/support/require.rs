//! What tests need of the machine, and how they are skipped without it.
//!
//! On a machine without a broker, root or the corpus, a test that needs one prints a note and passes. With
//! `LOCKKEEPER_REQUIRE=1`, which `.ci/run` sets, it fails instead, because a skipped test proves nothing.
//! `LOCKKEEPER_EXCUSED` lists needs, separated by spaces, that may be missing nevertheless; `.ci/run` gives the reasons.

use std::path::PathBuf;

/// A capability or program that some machines lack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// Its name in `LOCKKEEPER_EXCUSED`.
    pub(crate) name: &'static str,
    /// Description, after "this test needs".
    pub(crate) what: &'static str,
    /// How to get it.
    pub(crate) remedy: &'static str,
}

pub(crate) const BACKLOG: Need = Need {
    name: "backlog",
    what: "a system that leaves a connection unanswered when the backlog of the listener is full",
    remedy: "run the tests on Linux",
};

pub(crate) const CORPUS: Need = Need {
    name: "corpus",
    what: "the corpus of public captures",
    remedy: "set LOCKKEEPER_CORPUS to the folder that holds them and their truth.jsonl",
};

pub(crate) const GROFF: Need =
    Need { name: "groff", what: "groff, which formats man pages", remedy: "install it: .ci/setup groff" };

pub(crate) const LANDLOCK: Need = Need {
    name: "landlock",
    what: "a kernel whose Landlock covers files, TCP and signals",
    remedy: "run the tests on Linux 6.12 or later with Landlock among its security modules",
};

pub(crate) const MOSQUITTO: Need = Need {
    name: "mosquitto",
    what: "the MQTT broker mosquitto",
    remedy: "install it: .ci/setup mosquitto mosquitto_pub mosquitto_sub",
};

pub(crate) const MOUNT: Need = Need {
    name: "mount",
    what: "the right to mount a tmpfs",
    remedy: "run the tests as root, in a container with CAP_SYS_ADMIN",
};

pub(crate) const NAMESPACES: Need = Need {
    name: "namespaces",
    what: "network namespaces",
    remedy: "run the tests as root, with CAP_SYS_ADMIN, and install ip(8): .ci/setup ip",
};

pub(crate) const STACK: Need = Need {
    name: "stack",
    what: "a protocol stack of the plant",
    remedy: "let the test reach the registries of Debian, PyPI and npm; standard error holds their answer",
};

pub(crate) const SYSTEMD: Need =
    Need { name: "systemd", what: "systemd-analyze", remedy: "install it: .ci/setup systemd-analyze" };

pub(crate) const UNCONFIGURED: Need = Need {
    name: "unconfigured",
    what: "a machine without an installed configuration",
    remedy: "run the tests on a machine that runs no sensor",
};

pub(crate) const VLAN: Need =
    Need { name: "vlan", what: "a kernel with VLAN interfaces", remedy: "load its module: modprobe 8021q" };

/// Reports that a test is skipped because `need` is missing; panics if `LOCKKEEPER_REQUIRE` forbids that.
#[track_caller]
pub(crate) fn missing(need: Need, detail: &str) {
    let read = |name| std::env::var(name).unwrap_or_default();
    let note = note(need, detail);
    assert!(may_be_missing(need, &read("LOCKKEEPER_REQUIRE"), &read("LOCKKEEPER_EXCUSED")), "{note}");
    eprintln!("SKIPPED: {note}");
}

/// The folder of the public captures; `None` if it is missing and the run allows that.
#[track_caller]
pub(crate) fn corpus() -> Option<PathBuf> {
    let corpus = std::env::var_os("LOCKKEEPER_CORPUS").map(PathBuf::from);
    if corpus.is_none() {
        missing(CORPUS, "LOCKKEEPER_CORPUS is not set");
    }
    corpus
}

/// Requires broker and clients of mosquitto, two packages in Debian; `None` if one is missing and the run allows that.
#[track_caller]
pub(crate) fn mosquitto() -> Option<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    let is_installed = |program: &str| folders.iter().any(|folder| folder.join(program).exists());
    for program in ["mosquitto", "mosquitto_pub", "mosquitto_sub"] {
        if !is_installed(program) {
            missing(MOSQUITTO, &format!("{program} is not installed"));
            return None;
        }
    }
    Some(())
}

/// The message that names the missing need and its remedy.
pub(crate) fn note(need: Need, detail: &str) -> String {
    format!("this test needs {}, which this machine lacks ({detail}): {}", need.what, need.remedy)
}

/// Whether `need` may be missing, given the values of `LOCKKEEPER_REQUIRE` and `LOCKKEEPER_EXCUSED`.
pub(crate) fn may_be_missing(need: Need, require: &str, excused: &str) -> bool {
    require != "1" || excused.split_whitespace().any(|name| name == need.name)
}
