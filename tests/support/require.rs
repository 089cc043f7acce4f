//! What a test needs of the machine, and what happens where the machine lacks it.
//!
//! A developer's machine may lack a broker, root or the corpus: such a test prints a note and passes. With
//! `LOCKKEEPER_REQUIRE=1`, as `.ci/run` sets it, the test fails instead, because a test that did not run proves nothing.
//! `LOCKKEEPER_EXCUSED` lists the needs, separated by spaces, that may be missing all the same; `.ci/run` gives the reason
//! for each.

use std::path::PathBuf;

/// Something that not every machine has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// The word for it in `LOCKKEEPER_EXCUSED`.
    pub(crate) name: &'static str,
    /// What it is.
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

/// Leaves out what depends on `need`: prints a note, or fails the test where nothing may be left out.
#[track_caller]
pub(crate) fn missing(need: Need, detail: &str) {
    let read = |name| std::env::var(name).unwrap_or_default();
    let note = note(need, detail);
    assert!(may_be_missing(need, &read("LOCKKEEPER_REQUIRE"), &read("LOCKKEEPER_EXCUSED")), "{note}");
    eprintln!("SKIPPED: {note}");
}

/// The folder of the public captures, where there is one.
#[track_caller]
pub(crate) fn corpus() -> Option<PathBuf> {
    let corpus = std::env::var_os("LOCKKEEPER_CORPUS").map(PathBuf::from);
    if corpus.is_none() {
        missing(CORPUS, "LOCKKEEPER_CORPUS is not set");
    }
    corpus
}

/// What is missing and how to get it.
pub(crate) fn note(need: Need, detail: &str) -> String {
    format!("this test needs {}, which this machine lacks ({detail}): {}", need.what, need.remedy)
}

/// Whether a machine with these values of `LOCKKEEPER_REQUIRE` and `LOCKKEEPER_EXCUSED` may lack `need`.
pub(crate) fn may_be_missing(need: Need, require: &str, excused: &str) -> bool {
    require != "1" || excused.split_whitespace().any(|name| name == need.name)
}
