//! Man pages and shell completions are generated from the command line, complete, and part of the package.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory;
use lockkeeper::cli::Cli;
use support::require::{GROFF, missing};
use support::{lockkeeper, root};

/// A temporary folder with what `lockkeeper generate` writes.
fn generated() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for kind in ["man", "completions"] {
        let output = lockkeeper(&[&"generate", &kind, &folder.path().join(kind)]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "nothing is printed");
    }
    folder
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// File names of the pages of the program and its visible subcommands.
fn pages(command: &clap::Command, name: &str) -> Vec<String> {
    let visible = command.get_subcommands().filter(|one| !one.is_hide_set());
    let below = visible.flat_map(|one| pages(one, &format!("{name}-{}", one.get_name())));
    [format!("{name}.1")].into_iter().chain(below).collect()
}

#[test]
fn every_visible_subcommand_has_a_man_page_and_a_hidden_one_has_none() {
    let folder = generated();
    let written = names(&folder.path().join("man"));
    assert_eq!(written, pages(&Cli::command(), "lockkeeper").into_iter().collect());
    assert!(written.contains("lockkeeper-policy-check.1") && !written.contains("lockkeeper-generate.1"));
    let watch = fs::read_to_string(folder.path().join("man/lockkeeper-watch.1")).expect("a page");
    for expected in ["\\-\\-evidence\\-packets", ".SH \"EXAMPLES AND EXIT STATUS\"", "LOCKKEEPER_SENSOR"] {
        assert!(watch.contains(expected), "{expected} is missing in {watch}");
    }
}

#[test]
fn groff_accepts_every_man_page() {
    if Command::new("groff").arg("--version").output().is_err() {
        return missing(GROFF, "groff cannot be started");
    }
    let folder = generated();
    for name in names(&folder.path().join("man")) {
        let page = folder.path().join("man").join(&name);
        let output =
            Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(&page).output().expect("groff runs");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaints.is_empty(), "{name}: {complaints}");
    }
}

#[test]
fn completions_name_every_visible_subcommand_and_no_hidden_one() {
    let folder = generated();
    let completions = folder.path().join("completions");
    assert_eq!(names(&completions), ["_lockkeeper", "lockkeeper.bash", "lockkeeper.fish"].map(str::to_owned).into());
    for file in names(&completions) {
        let text = fs::read_to_string(completions.join(&file)).expect("a file");
        for word in ["replay", "watch", "protocols", "check", "evidence-packets"] {
            assert!(text.contains(word), "{file} does not complete {word}");
        }
        assert!(!text.contains("generate"), "{file} completes a hidden subcommand");
    }
}

#[test]
fn bash_completes_with_the_generated_script() {
    let folder = generated();
    let file = folder.path().join("completions/lockkeeper.bash");
    let script = format!(
        ". {file:?}\nCOMP_WORDS=(lockkeeper policy ch)\nCOMP_CWORD=2\n_lockkeeper lockkeeper ch policy\necho \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash").args(["--norc", "-c", &script]).output().expect("bash is there");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "check", "{}", String::from_utf8_lossy(&output.stderr));
}

/// Source and target of each file that the package installs from a folder.
fn assets(from: &str) -> Vec<(PathBuf, String)> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().expect("a list").clone();
    let texts = |asset: &toml::Value| Some((asset[0].as_str()?.to_owned(), asset[1].as_str()?.to_owned()));
    let all = assets.iter().filter_map(texts);
    all.filter_map(|(source, target)| Some((PathBuf::from(source.strip_prefix(from)?), target))).collect()
}

#[test]
fn the_package_installs_generated_files_where_man_and_shells_find_them() {
    let folder = generated();
    let installed = assets("target/generated/");
    for (source, _) in &installed {
        let folder = folder.path().join(source.parent().expect("a folder"));
        assert!(source.ends_with("*.1") || folder.join(source.file_name().expect("a name")).is_file(), "{source:?}");
    }
    let targets: BTreeSet<&str> = installed.iter().map(|(_, target)| target.as_str()).collect();
    let expected = [
        "usr/share/bash-completion/completions/lockkeeper",
        "usr/share/fish/vendor_completions.d/",
        "usr/share/man/man1/",
        "usr/share/zsh/vendor-completions/",
    ];
    assert_eq!(targets, expected.into());
    let script = fs::read_to_string(root().join("deploy/package")).expect("the script that builds the package");
    for kind in ["man", "completions"] {
        assert!(script.contains(&format!("generate {kind} target/generated/{kind}")), "{script}");
    }
}
