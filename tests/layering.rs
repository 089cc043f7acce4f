//! The layers of the source: which module may use which. The tables below are their documentation; a dependency outside of
//! the tables fails.

#[path = "layering/paths.rs"]
mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use paths::{NamedPath, paths, test_modules};

/// Each module of `src/`, in the order of the data path, and the modules that it may use.
///
/// `protocols` is the crate of the decoders. Only the decoders name a single protocol; all other code uses the neutral
/// vocabulary and the registry.
const LAYERS: &[(&str, &[&str])] = &[
    // Wall-clock time: a stage with results that depend on packets may not read it.
    ("clock", &[]),
    // The fault state that outputs share.
    ("fault", &[]),
    ("capture", &["clock", "protocols"]),
    ("frame", &["capture"]),
    ("flow", &["capture", "frame", "protocols"]),
    ("keys", &["protocols"]),
    // Handwritten files: the common part of policy and configuration.
    ("document", &[]),
    ("policy", &["document", "protocols"]),
    ("record", &["policy", "protocols"]),
    ("store", &["capture", "fault", "frame", "policy", "record"]),
    ("metrics", &["capture", "frame", "flow", "keys", "policy", "record", "store", "protocols"]),
    ("publish", &["clock", "fault", "record", "metrics"]),
    ("worker", &["capture", "frame", "flow", "keys", "policy", "record", "metrics", "protocols"]),
    (
        "pipeline",
        &[
            "capture",
            "fault",
            "frame",
            "flow",
            "policy",
            "record",
            "publish",
            "store",
            "metrics",
            "worker",
            "protocols",
        ],
    ),
    ("sensor", &["clock", "capture", "fault", "policy", "record", "store", "metrics", "publish", "worker", "pipeline"]),
    ("report", &["capture", "record", "metrics", "pipeline", "policy", "protocols"]),
    // The options of the sinks come from their table.
    ("cli", &["publish"]),
    // The only module that has both the command line and the settings of every stage.
    (
        "config",
        &[
            "cli",
            "document",
            "capture",
            "frame",
            "flow",
            "keys",
            "worker",
            "policy",
            "record",
            "publish",
            "store",
            "pipeline",
            "sensor",
            "protocols",
        ],
    ),
    ("main", &["cli", "config", "sensor", "pipeline", "capture", "policy", "publish", "store", "report", "protocols"]),
];

/// Each external crate and its home: the modules that may name it, and therefore change with it.
const HOMES: &[(&str, Home)] = &[
    ("aes", Home::In(&["keys"])),
    ("anstream", Home::In(&["main"])),
    ("anstyle", Home::In(&["main", "report", "sensor"])),
    ("annotate_snippets", Home::In(&["document"])),
    ("base64", Home::In(&["policy", "record"])),
    ("bytes", Home::In(&["publish"])),
    ("cbc", Home::In(&["keys"])),
    ("clap", Home::In(&["cli", "main"])),
    ("clap_complete", Home::OneFile),
    ("clap_mangen", Home::OneFile),
    ("crossbeam_channel", Home::In(&["capture", "pipeline", "publish", "store", "sensor"])),
    ("etherparse", Home::In(&["frame"])),
    ("flate2", Home::In(&["capture"])),
    ("foldhash", Home::Anywhere),
    ("hashbrown", Home::Anywhere),
    ("hashlink", Home::In(&["record"])),
    ("hdrhistogram", Home::In(&["metrics"])),
    ("indicatif", Home::OneFile),
    ("ipnet", Home::In(&["policy"])),
    ("itoa", Home::Anywhere),
    ("jiff", Home::In(&["document", "policy", "record", "sensor", "store"])),
    ("landlock", Home::In(&["sensor"])),
    ("libc", Home::In(&["sensor"])),
    ("pcap", Home::In(&["capture"])),
    ("prometheus_client", Home::OneFile),
    ("rumqttc", Home::In(&["publish"])),
    ("rustix", Home::In(&["capture", "sensor", "publish"])),
    ("sd_notify", Home::OneFile),
    ("seccompiler", Home::In(&["sensor"])),
    ("serde", Home::Anywhere),
    ("serde_json", Home::Anywhere),
    ("sha1", Home::In(&["policy", "record"])),
    ("sha2", Home::In(&["policy", "record"])),
    ("signal_hook", Home::In(&["sensor"])),
    ("strsim", Home::In(&["document"])),
    ("thiserror", Home::Anywhere),
    ("tokio", Home::In(&["publish", "sensor"])),
    ("toml", Home::In(&["document"])),
    ("tracing", Home::Anywhere),
    ("tracing_subscriber", Home::In(&["main"])),
    ("x509_parser", Home::In(&["policy"])),
    ("zstd", Home::In(&["capture"])),
];

/// Where an external crate may be named.
#[derive(Clone, Copy)]
enum Home {
    /// In these modules only.
    In(&'static [&'static str]),
    /// In a single file of any module.
    OneFile,
    /// Anywhere: it extends the language rather than a stage.
    Anywhere,
}

/// The decoders' crate, as a path and as a row of [`LAYERS`].
const DECODERS: (&str, &str) = ("lockkeeper_protocols", "protocols");

#[test]
fn every_module_uses_only_what_the_layers_allow() {
    let files = sources("src");
    assert!(!files.is_empty(), "no source was read");
    let broken: Vec<String> = files.iter().flat_map(layer_violations).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn every_external_crate_is_named_only_in_its_home() {
    let files = sources("src");
    let mut broken: Vec<String> = files.iter().flat_map(home_violations).collect();
    broken.extend(scattered(&files));
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn every_dependency_has_a_home() {
    let homeless: Vec<String> = dependencies("Cargo.toml").into_iter().filter(|name| home(name).is_none()).collect();
    assert!(homeless.is_empty(), "Cargo.toml: give {homeless:?} a row in HOMES (tests/layering.rs)");
}

#[test]
fn the_decoders_use_neither_std_nor_other_crates() {
    let root = fs::read_to_string(repository().join("protocols/src/lib.rs")).expect("protocols/src/lib.rs is there");
    assert!(root.contains("#![no_std]"), "protocols/src/lib.rs: a decoder must not reach a clock or a file");
    assert!(
        root.contains("#![forbid(unsafe_code)]"),
        "protocols/src/lib.rs: hostile bytes and raw pointers do not meet"
    );
    let external = dependencies("protocols/Cargo.toml");
    assert!(external.is_empty(), "protocols/Cargo.toml: {external:?}: the decoders depend on nothing");
    let broken: Vec<String> = sources("protocols/src").iter().flat_map(decoder_violations).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn the_layers_have_no_circle() {
    for (module, _) in LAYERS {
        let mut reached = BTreeSet::new();
        let mut waiting = allowed(module).unwrap_or_default().to_vec();
        while let Some(next) = waiting.pop() {
            if reached.insert(next) {
                waiting.extend(allowed(next).unwrap_or_default());
            }
        }
        assert!(!reached.contains(module), "{module} may use itself by way of {reached:?}");
    }
}

#[test]
fn a_violation_is_reported_with_its_file_its_line_and_the_rule() {
    let flow =
        file("src/flow/table.rs", "//! Flows.\nuse crate::frame::Frame;\nuse crate::{policy::Policy, worker};\n");
    assert_eq!(
        layer_violations(&flow),
        [
            "src/flow/table.rs:3: `crate::policy::Policy`: flow may use capture, frame, protocols, not policy",
            "src/flow/table.rs:3: `crate::worker`: flow may use capture, frame, protocols, not worker",
        ]
    );
}

#[test]
fn a_violation_by_relative_path_or_by_the_name_of_the_crate_is_found() {
    let nested = file("src/policy/file/zone.rs", "fn f() { super::super::flow::run(); super::super::Policy::new(); }");
    let reported = layer_violations(&nested);
    assert!(reported.is_empty(), "super::super of policy/file/zone.rs is policy itself: {reported:?}");

    let above = file("src/policy/file.rs", "use super::super::flow::Flow;\nuse super::Policy;\nuse self::part::Part;");
    assert_eq!(
        layer_violations(&above),
        ["src/policy/file.rs:1: `super::super::flow::Flow`: policy may use document, protocols, not flow"]
    );

    let main = file("src/main.rs", "use lockkeeper::flow::Table;");
    assert_eq!(layer_violations(&main).len(), 1);
}

#[test]
fn a_stage_that_names_a_protocol_is_found() {
    let policy = file("src/policy/mod.rs", "use lockkeeper_protocols::{Operation, modbus::Pdu};");
    assert_eq!(
        layer_violations(&policy),
        ["src/policy/mod.rs:1: `lockkeeper_protocols::modbus::Pdu`: only the decoders name a single protocol"]
    );
}

#[test]
fn an_external_crate_away_from_home_is_found() {
    let flow = file("src/flow/mod.rs", "fn f() { let _ = etherparse::TcpSlice::from_slice(b\"\"); }");
    assert_eq!(
        home_violations(&flow),
        ["src/flow/mod.rs:1: `etherparse::TcpSlice::from_slice`: etherparse lives in frame"]
    );

    let bars = [file("src/pipeline.rs", "use indicatif::A;"), file("src/worker.rs", "use indicatif::B;")];
    assert_eq!(scattered(&bars).len(), 1);
}

#[test]
fn a_decoder_that_reaches_out_is_found() {
    let decoder =
        file("protocols/src/modbus/mod.rs", "use std::time::Instant;\nuse lockkeeper::policy;\nuse core::fmt;");
    assert_eq!(decoder_violations(&decoder).len(), 2);
}

/// One source file: its place, its first-level module, and the paths that it names.
struct Source {
    path: String,
    module: Vec<String>,
    paths: Vec<NamedPath>,
}

impl Source {
    /// `capture` for `src/capture/replay.rs`, `main` for `src/main.rs`, `None` for `src/lib.rs`, which holds only the map.
    fn layer(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }

    fn report(&self, path: &NamedPath, rule: &str) -> String {
        format!("{}:{}: `{}`: {rule}", self.path, path.line, path.names.join("::"))
    }
}

fn layer_violations(source: &Source) -> Vec<String> {
    let Some(layer) = source.layer() else { return Vec::new() };
    let Some(allowed) = allowed(layer) else {
        return vec![format!("{}: give `{layer}` a row in LAYERS (tests/layering.rs)", source.path)];
    };
    let protocols = protocol_names();
    let mut broken = Vec::new();
    for path in &source.paths {
        let Some((target, rest)) = resolve(source, path) else { continue };
        if target == DECODERS.1 && rest.first().is_some_and(|name| protocols.contains(name)) {
            broken.push(source.report(path, "only the decoders name a single protocol"));
        } else if target != layer && !allowed.contains(&target.as_str()) {
            let list = if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") };
            broken.push(source.report(path, &format!("{layer} may use {list}, not {target}")));
        }
    }
    broken
}

/// The layer that a path leads to, and the names after it; `None` for paths within the same module or into other crates.
fn resolve(source: &Source, path: &NamedPath) -> Option<(String, Vec<String>)> {
    let names = &path.names;
    let ups = names.iter().take_while(|name| *name == "super").count();
    let absolute: Vec<String> = match names.first()?.as_str() {
        "crate" | "lockkeeper" => names[1..].to_vec(),
        "super" => [&source.module[..source.module.len().checked_sub(ups)?], &names[ups..]].concat(),
        name if name == DECODERS.0 => [&[DECODERS.1.to_owned()], &names[1..]].concat(),
        _ => return None,
    };
    let (target, rest) = absolute.split_first()?;
    let known = target == DECODERS.1 || allowed(target).is_some();
    known.then(|| (target.clone(), rest.to_vec()))
}

fn home_violations(source: &Source) -> Vec<String> {
    let layer = source.layer().unwrap_or("lib");
    let strays = source.paths.iter().filter_map(|path| match home(path.names.first()?)? {
        Home::In(homes) if !homes.contains(&layer) => {
            Some(source.report(path, &format!("{} lives in {}", path.names[0], homes.join(", "))))
        }
        _ => None,
    });
    strays.collect()
}

/// Crates limited to a single file that several files name.
fn scattered(files: &[Source]) -> Vec<String> {
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in files {
        let single = source.paths.iter().filter(|path| matches!(home(&path.names[0]), Some(Home::OneFile)));
        for path in single {
            users.entry(&path.names[0]).or_default().insert(&source.path);
        }
    }
    let several = users.into_iter().filter(|(_, files)| files.len() > 1);
    several.map(|(name, files)| format!("{name} lives in one file, and is named in {files:?}")).collect()
}

fn decoder_violations(source: &Source) -> Vec<String> {
    let outside = source.paths.iter().filter_map(|path| match path.names.first()?.as_str() {
        "std" => Some(source.report(path, "the decoders are no_std: use core or alloc")),
        "lockkeeper" => Some(source.report(path, "the decoders use nothing of ours")),
        name if home(name).is_some() => Some(source.report(path, "the decoders depend on nothing")),
        _ => None,
    });
    outside.collect()
}

fn allowed(module: &str) -> Option<&'static [&'static str]> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, uses)| *uses)
}

fn home(name: &str) -> Option<Home> {
    HOMES.iter().find(|(known, _)| *known == name).map(|(_, home)| *home)
}

/// Names of the folders of `protocols/src`, one for each protocol.
fn protocol_names() -> BTreeSet<String> {
    let entries = fs::read_dir(repository().join("protocols/src")).expect("protocols/src is there");
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    folders.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The crates under `[dependencies]`, as paths name them, without `lockkeeper-protocols`.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join(manifest)).expect("the manifest is there");
    let table: toml::Table = text.parse().expect("the manifest is TOML");
    let listed = table.get("dependencies").and_then(toml::Value::as_table);
    let names = listed.into_iter().flat_map(toml::Table::keys).map(|name| name.replace('-', "_"));
    names.filter(|name| name != DECODERS.0).collect()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file below a folder in a stable order, without modules that are compiled for tests only.
fn sources(folder: &str) -> Vec<Source> {
    let texts: BTreeMap<PathBuf, String> = rust_files(&repository().join(folder)).into_iter().map(read).collect();
    let for_tests: Vec<PathBuf> = texts.iter().flat_map(|(path, text)| test_files(path, text)).collect();
    let kept = texts.iter().filter(|(path, _)| !for_tests.iter().any(|test| path.with_extension("").starts_with(test)));
    let named = kept.map(|(path, text)| (path.strip_prefix(repository()).unwrap_or(path).display().to_string(), text));
    named.map(|(path, text)| file(&path, text)).collect()
}

fn read(path: PathBuf) -> (PathBuf, String) {
    let text = fs::read_to_string(&path).expect("a source file is UTF-8");
    (path, text)
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let here = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    here.chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}

/// The modules that a file declares for tests, as paths without extension.
fn test_files(path: &Path, text: &str) -> Vec<PathBuf> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let folder = match stem {
        "mod" | "lib" | "main" => path.parent().unwrap_or(path).to_owned(),
        _ => path.with_extension(""),
    };
    test_modules(text).into_iter().map(|name| folder.join(name)).collect()
}

fn file(path: &str, text: &str) -> Source {
    let below = path.rsplit_once("src/").map_or(path, |(_, below)| below).trim_end_matches(".rs");
    let names = below.split('/').filter(|name| !matches!(*name, "mod" | "lib"));
    Source { path: path.to_owned(), module: names.map(str::to_owned).collect(), paths: paths(text) }
}
