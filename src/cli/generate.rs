//! Man pages and shell completions, generated from the command line that is parsed, so that they cannot differ from it.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Cli;

/// Writes a man page for the program and one for each subcommand: `lockkeeper.1`, `lockkeeper-replay.1`, ...
pub fn write_man_pages(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    write_man_page(program, folder)
}

/// Writes the completions under the file names that the shells expect: `lockkeeper.bash`, `_lockkeeper`,
/// `lockkeeper.fish`.
pub fn write_completions(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let program = Cli::command();
    // clap_complete completes hidden subcommands as well: leave them out here.
    let visible = program.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut program = Command::new(PROGRAM).version(env!("CARGO_PKG_VERSION")).subcommands(visible);
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut program, PROGRAM, folder)?;
    }
    Ok(())
}

fn write_man_page(command: Command, folder: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        write_man_page(subcommand.clone(), folder)?;
    }
    let page = Man::new(command).source(concat!("Lockkeeper ", env!("CARGO_PKG_VERSION"))).manual("Lockkeeper");
    let mut text = Vec::new();
    page.render(&mut text)?;
    // What clap prints below the options has no heading of its own; clap_mangen calls it EXTRA.
    let text = String::from_utf8_lossy(&text).replace(".SH EXTRA\n", ".SH \"EXAMPLES AND EXIT STATUS\"\n");
    fs::write(folder.join(page.get_filename()), text)
}

/// The file name of the program, which the shells complete.
const PROGRAM: &str = "lockkeeper";
