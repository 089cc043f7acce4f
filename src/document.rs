//! TOML files that people write, policies and configurations: a cursor over their tables, and diagnostics that show each
//! mistake with its place and what to write instead.

pub mod diagnose;
pub(crate) mod section;
pub(crate) mod suggest;

pub use diagnose::{Diagnostic, Diagnostics, MAX_DIAGNOSTICS, Severity};

use toml::Spanned;
use toml::de::DeTable;

use section::{Problems, Section};

/// Reads a document with `walk`. The result is valid only if the diagnostics have no errors. `what` is the word for the
/// document in messages.
pub(crate) fn read<T>(
    (name, text): (&str, &str),
    what: &str,
    walk: impl for<'t> FnOnce(&mut Section<'t>, &'t Problems) -> T,
) -> (T, Diagnostics) {
    let mut found = Diagnostics::new(name, text);
    let document = parse(text, &mut found);
    let problems = Problems::new(found);
    let mut root = Section::root(document.get_ref(), what, &problems);
    let read = walk(&mut root, &problems);
    root.finish();
    (read, problems.into_found())
}

/// The tables of a text, as far as it is TOML. Adds the syntax errors to `found`.
fn parse<'t>(text: &'t str, found: &mut Diagnostics) -> Spanned<DeTable<'t>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or_default();
        let help = repeated_header(text, error.message(), span.start);
        found.push(Severity::Error, span, format!("not TOML: {}", error.message()), help);
        found.keep_first_of_line();
    }
    document
}

/// The help for a second `[header]` of one name, which probably should be one of a list.
fn repeated_header(text: &str, message: &str, at: usize) -> Option<String> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(start..)?.lines().next()?.trim();
    let name = line.strip_prefix('[')?.split_once(']')?.0;
    let is_repeated = message.contains("duplicate") && !name.starts_with('[');
    is_repeated.then(|| format!("write [[{name}]], with two brackets on each side, if there may be several of them"))
}
