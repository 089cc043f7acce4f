//! The documents are true: links resolve, policies load, and shown output is what the program prints.

#[path = "documents/markdown.rs"]
mod markdown;
#[path = "documents/shell.rs"]
mod shell;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use markdown::Document;
use serde_json::Value;

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file of the repository outside of `target` and hidden folders.
fn documents() -> Vec<Document> {
    let mut paths = Vec::new();
    collect(root(), &mut paths);
    paths.sort();
    assert!(paths.len() >= 8, "documents are missing: {paths:?}");
    paths.into_iter().map(Document::read).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            collect(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
}

fn document(name: &str) -> Document {
    Document::read(root().join(name))
}

#[test]
fn the_readme_stays_short() {
    let lines = document("README.md").text.lines().count();
    assert!(lines <= 250, "README.md has {lines} lines: move some of it beside what it describes");
}

#[test]
fn every_link_resolves_to_a_file_and_a_heading_of_the_repository() {
    let documents = documents();
    let mut broken = Vec::new();
    for document in &documents {
        for link in document.links() {
            if let Err(why) = follow(document, &link, &documents) {
                broken.push(format!("{}: [{link}]: {why}", document.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

/// Resolves a link within the repository; links to other sites are not checked.
fn follow(from: &Document, link: &str, documents: &[Document]) -> Result<(), String> {
    if ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
        return Ok(());
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let folder = from.path.parent().expect("a document lies in a folder");
    let target = if path.is_empty() { from.path.clone() } else { folder.join(path) };
    let target = target.canonicalize().map_err(|error| error.to_string())?;
    if !target.starts_with(root().canonicalize().expect("the repository")) {
        return Err("leads out of the repository".to_owned());
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let is_target = |one: &&Document| one.path.canonicalize().is_ok_and(|path| path == target);
    let document = documents.iter().find(is_target).ok_or("has an anchor and is no document")?;
    let slugs = document.headings().iter().map(|heading| markdown::slug(heading)).collect::<Vec<_>>();
    if slugs.iter().any(|slug| slug == anchor) { Ok(()) } else { Err(format!("no heading for it among {slugs:?}")) }
}

#[test]
fn headings_are_unique_within_a_document() {
    let mut repeated = Vec::new();
    for document in documents() {
        let mut seen = BTreeSet::new();
        let again = document.headings().into_iter().filter(|heading| !seen.insert(markdown::slug(heading)));
        repeated.extend(again.map(|heading| format!("{}: {heading}", document.path.display())));
    }
    assert!(repeated.is_empty(), "headings that stand twice in a document:\n{}", repeated.join("\n"));
}

#[test]
fn named_paths_exist() {
    let mut missing = Vec::new();
    for document in documents().iter().filter(|one| !one.path.ends_with("CHANGELOG.md")) {
        let folder = document.path.parent().expect("a document lies in a folder");
        for path in document.code_spans().filter(|span| is_path(span)) {
            if ![root(), folder].iter().any(|base| base.join(path).exists()) {
                missing.push(format!("{}: `{path}`", document.path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "no such file:\n{}", missing.join("\n"));
}

/// Whether a code span is a path below a folder of the repository rather than a pattern.
fn is_path(span: &str) -> bool {
    const FOLDERS: [&str; 7] = ["src/", "protocols/", "rules/", "pcaps/", "benches/", "tests/", "deploy/"];
    FOLDERS.iter().any(|folder| span.starts_with(folder))
        && span.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-".contains(letter))
}

#[test]
fn every_complete_policy_that_is_shown_loads() {
    let mut checked = 0;
    for document in documents() {
        for block in document.blocks("toml").filter(|block| block.contains("schema = \"lockkeeper-policy/1\"")) {
            let scratch = tempfile::tempdir().expect("a folder");
            fs::write(scratch.path().join("shown.toml"), &block).expect("a file");
            let checked_policy = shell::run(scratch.path(), "lockkeeper policy check shown.toml");
            let printed = format!("{}{}", checked_policy.stdout, checked_policy.stderr);
            assert_eq!(checked_policy.status, Some(0), "{}:\n{printed}\n{block}", document.path.display());
            checked += 1;
        }
    }
    assert!(checked >= 3, "{checked} policies are shown");
}

#[test]
fn the_configuration_that_is_shown_has_only_known_keys() {
    let complete = fs::read_to_string(root().join("deploy/lockkeeper.toml")).expect("it ships");
    let known: BTreeSet<String> = keys(&complete).collect();
    let shown: Vec<String> =
        document("deploy/README.md").blocks("toml").flat_map(|block| keys(&block).collect::<Vec<_>>()).collect();
    let unknown: Vec<_> = shown.iter().filter(|key| !known.contains(*key)).collect();
    assert!(shown.len() >= 30 && unknown.is_empty(), "{} keys are shown, unknown: {unknown:?}", shown.len());
}

/// The keys of a configuration with their sections, including those that are commented out.
fn keys(configuration: &str) -> impl Iterator<Item = String> {
    let mut section = String::new();
    configuration.lines().filter_map(move |line| {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if line.starts_with('[') {
            section = line.split_once(']').map_or(line, |(name, _)| name).trim_start_matches('[').to_owned();
            return None;
        }
        let (key, _) = line.split_once('=')?;
        let is_key = key.trim().chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        is_key.then(|| format!("{section}.{}", key.trim()))
    })
}

/// A `console` block holds commands (`$ lockkeeper ...`) with their output; `...` stands for omitted lines. A policy shown
/// earlier that begins with a file name (`# first.toml`) is saved under that name before the commands run.
#[test]
fn shown_output_is_what_the_program_prints() {
    let mut compared = 0;
    for document in documents() {
        let scratch = shell::plant(root());
        for (language, block) in document.all_blocks() {
            match language.as_str() {
                "toml" => shell::save(scratch.path(), &block),
                "console" => {
                    for (command, expected) in shell::commands(&block) {
                        let printed = shell::run(scratch.path(), &command).on_a_terminal(&command);
                        let place = document.path.display();
                        assert!(shell::fits(&expected, &printed), "{place}: {command} prints\n{printed}");
                        compared += 1;
                    }
                }
                _ => {}
            }
        }
    }
    assert!(compared >= 5, "{compared} commands are shown");
}

#[test]
fn the_alert_in_the_readme_is_raised_by_the_demonstration() {
    let readme = document("README.md");
    let shown: Vec<Value> =
        readme.blocks("json").map(|block| serde_json::from_str(&block).expect("the README shows JSON")).collect();
    assert_eq!(shown.len(), 1, "the README explains one alert");
    let shown = &shown[0];
    let command = "lockkeeper replay pcaps/day.pcapng --policy rules/plant.toml --quiet --alerts -";
    let alerts = shell::run(root(), command).stdout;
    let mut alerts = alerts.lines().map(|line| serde_json::from_str::<Value>(line).expect("alerts are JSON"));
    let is_same = |alert: &Value| ["evidence", "revision", "rule"].iter().all(|member| alert[member] == shown[member]);
    assert_eq!(alerts.find(is_same).as_ref(), Some(shown), "left: what the demonstration writes");
}

#[test]
fn every_member_of_the_alert_is_explained() {
    let readme = document("README.md");
    let block = readme.blocks("json").next().expect("an alert");
    let members: serde_json::Map<String, Value> = serde_json::from_str(&block).expect("an alert is an object");
    let spans: BTreeSet<&str> = readme.code_spans().collect();
    let missing: Vec<_> = members.keys().filter(|member| !spans.contains(member.as_str())).collect();
    assert!(missing.is_empty(), "the README does not explain {missing:?}");
}

/// `.ci/run` searches all comments and documents; this shows that the search finds something.
#[test]
fn a_banned_phrase_is_found_across_lines_and_outside_of_code() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let hits = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("written");
        let output = Command::new(root().join(".ci/prose")).arg(folder.path().join(name)).output().expect("Python 3");
        (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8").lines().count())
    };
    assert_eq!(hits("a.rs", "/// The client is\n/// told.\nfn somebody() {}\n"), (Some(1), 1));
    assert_eq!(hits("a.md", "Whoever reads.\n\n```text\nNobody.\n```\n"), (Some(1), 1));
    assert_eq!(hits("a.py", "\"\"\"Nobody\nanswers.\"\"\"\nnobody = 1  # nobody\n"), (Some(1), 2));
    assert_eq!(hits("b.md", "The client receives `nobody`.\n"), (Some(0), 0));
}
