//! Runs the commands that documents show.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Exit status and output of a command.
pub(crate) struct Printed {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Printed {
    /// Standard output and standard error as a terminal shows them, where `replay` writes no alerts to standard output.
    pub(crate) fn on_a_terminal(self, command: &str) -> String {
        if command.contains(" replay ") { self.stderr } else { self.stdout + &self.stderr }
    }
}

/// Creates a folder that contains only the captures and the rules of the repository.
pub(crate) fn plant(root: &Path) -> TempDir {
    let scratch = tempfile::tempdir().expect("a folder");
    for folder in ["pcaps", "rules"] {
        symlink(root.join(folder), scratch.path().join(folder)).expect("a link");
    }
    scratch
}

/// Saves a block that begins with a file name: `# first.toml`.
pub(crate) fn save(folder: &Path, block: &str) {
    let name = block.lines().next().and_then(|line| line.strip_prefix("# "));
    if let Some(name) = name.filter(|name| name.ends_with(".toml") && !name.contains(['/', ' '])) {
        fs::write(folder.join(name), block).expect("a file");
    }
}

/// Each command of a block with its output.
pub(crate) fn commands(block: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), Vec::new()));
        } else {
            let (_, printed) = commands.last_mut().expect("a block of console begins with its command");
            printed.push(line.trim_end().to_owned());
        }
    }
    commands
}

/// Runs `lockkeeper ...` without a shell; spaces separate the arguments.
pub(crate) fn run(folder: &Path, command: &str) -> Printed {
    let mut words = command.split_whitespace();
    assert_eq!(words.next(), Some("lockkeeper"), "only the program itself is run: {command}");
    let mut program = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    program.args(words).current_dir(folder).env("NO_COLOR", "1");
    program.env_remove("LOCKKEEPER_SITE").env_remove("LOCKKEEPER_SENSOR");
    let output = program.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Printed { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Whether the shown lines equal the printed ones; `...` matches any number of lines.
pub(crate) fn fits(shown: &[String], printed: &str) -> bool {
    let printed: Vec<&str> = printed.trim_matches('\n').lines().map(str::trim_end).collect();
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    fits_lines(&shown, &printed)
}

fn fits_lines(shown: &[&str], printed: &[&str]) -> bool {
    match shown {
        [] => printed.is_empty(),
        ["..."] => true,
        ["...", rest @ ..] => (0..=printed.len()).any(|skipped| fits_lines(rest, &printed[skipped..])),
        [line, rest @ ..] => {
            printed.split_first().is_some_and(|(first, others)| first == line && fits_lines(rest, others))
        }
    }
}

#[test]
fn dots_stand_for_lines_and_nothing_else_does() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(fits(&shown("a\n...\nd"), "\na\nb\nc\nd\n"));
    assert!(fits(&shown("a\n..."), "a\n"));
    assert!(!fits(&shown("a\n...\nc"), "a\nb\nc\nd"));
    assert!(!fits(&shown("a\nb"), "a\nc"));
    assert!(!fits(&shown("a"), "a\nb"));
}

#[test]
fn commands_are_separated_from_their_output() {
    let block = "$ lockkeeper one\nfirst\n$ lockkeeper two\n";
    assert_eq!(
        commands(block),
        [("lockkeeper one".to_owned(), vec!["first".to_owned()]), ("lockkeeper two".to_owned(), Vec::new())]
    );
}
