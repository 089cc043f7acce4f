//! Diagnostics of a file that people write: the mistake, its place, and what to write instead.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};
use serde::Serialize;

/// The severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but probably does not mean what its author intends.
    Warning,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Its severity.
    pub severity: Severity,
    /// Line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 for the file as a whole.
    pub column: usize,
    /// The offending text, as a range of bytes of the file.
    pub span: Range<usize>,
    /// The mistake.
    pub message: String,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// All mistakes of one file, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diagnostics {
    /// The file, as the user named it.
    pub file: String,
    /// The diagnostics: at most [`MAX_DIAGNOSTICS`].
    pub list: Vec<Diagnostic>,
    /// The number of diagnostics beyond them.
    pub left_out: usize,
    #[serde(skip)]
    text: String,
}

/// Most diagnostics kept of one file; the rest is counted.
pub const MAX_DIAGNOSTICS: usize = 200;

impl Diagnostics {
    /// No diagnostics, about a text.
    pub fn new(file: &str, text: &str) -> Self {
        Self { file: file.to_owned(), list: Vec::new(), left_out: 0, text: text.to_owned() }
    }

    /// One error about a file as a whole, such as one that is missing or is not text.
    pub fn about_file(file: &str, message: String, help: Option<String>) -> Self {
        let whole = Diagnostic { severity: Severity::Error, line: 0, column: 0, span: 0..0, message, help };
        Self { list: vec![whole], ..Self::new(file, "") }
    }

    /// Adds a diagnostic, and derives its line and column from its span.
    pub fn push(&mut self, severity: Severity, span: Range<usize>, message: String, help: Option<String>) {
        if self.list.len() >= MAX_DIAGNOSTICS {
            self.left_out += 1;
            return;
        }
        let span = self.within_text(span);
        let (line, column) = self.place(span.start);
        self.list.push(Diagnostic { severity, line, column, span, message, help });
    }

    /// Removes the last one if an earlier one is about its line: a syntax error often causes more of them.
    pub(crate) fn keep_first_of_line(&mut self) {
        if let Some((last, before)) = self.list.split_last()
            && before.iter().any(|one| one.line == last.line)
        {
            self.list.pop();
        }
    }

    /// Puts them in the order of the file.
    pub(crate) fn sort(&mut self) {
        self.list.sort_by(|a, b| (a.span.start, a.span.end, &a.message).cmp(&(b.span.start, b.span.end, &b.message)));
        self.list.dedup();
    }

    /// Replaces all diagnostics with this message by the first of them, which then shows their number. They must be sorted.
    pub(super) fn fold(&mut self, message: &str) {
        let times = self.list.iter().filter(|one| one.message == message).count();
        let Some(first) = self.list.iter().position(|one| one.message == message).filter(|_| times > 1) else { return };
        let mut at = 0..;
        self.list.retain(|one| at.next() <= Some(first) || one.message != message);
        if let Some(first) = self.list.get_mut(first) {
            let help = first.help.take().unwrap_or_default();
            first.help = Some(format!("{help} (it stands in {times} places)"));
        }
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|one| one.severity == Severity::Error)
    }

    /// The number of diagnostics of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|one| one.severity == severity).count()
    }

    /// Text for people: each diagnostic with its line, the offending text underlined, and what to write instead.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for one in &self.list {
            out.push_str(&self.render_one(&renderer, one));
            out.push_str("\n\n");
        }
        if self.left_out > 0 {
            out.push_str(&format!("... and {} more\n", self.left_out));
        }
        out
    }

    fn render_one(&self, renderer: &Renderer, one: &Diagnostic) -> String {
        let level = if one.severity == Severity::Error { Level::ERROR } else { Level::WARNING };
        let mut group = if one.line == 0 {
            Group::with_title(level.primary_title(format!("{}: {}", self.file, one.message)))
        } else {
            let mark = AnnotationKind::Primary.span(one.span.clone());
            let snippet = Snippet::source(self.text.as_str()).path(self.file.as_str()).annotation(mark);
            level.primary_title(one.message.as_str()).element(snippet)
        };
        if let Some(help) = &one.help {
            group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
        }
        renderer.render(&[group])
    }

    /// The span, clamped to the text and to character boundaries, so that rendering cannot fail.
    fn within_text(&self, span: Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end.max(start));
        start..end
    }

    fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = 1 + before.bytes().filter(|&byte| byte == b'\n').count();
        let column = 1 + before.get(line_start..).unwrap_or_default().chars().count();
        (line, column)
    }
}

/// Text for tools: one line `file:line:column: severity: message (help)` for each.
impl fmt::Display for Diagnostics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.list {
            let severity = if one.severity == Severity::Error { "error" } else { "warning" };
            write!(out, "{}:{}:{}: {severity}: {}", self.file, one.line, one.column, one.message)?;
            match &one.help {
                Some(help) => writeln!(out, " (help: {help})")?,
                None => writeln!(out)?,
            }
        }
        match self.left_out {
            0 => Ok(()),
            more => writeln!(out, "{}: ... and {more} more", self.file),
        }
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let mut list = Diagnostics::new("x.toml", "a = 1\n# é\nzoné = 2\n");
        list.push(Severity::Error, 11..16, "unknown".into(), None);
        assert_eq!((list.list[0].line, list.list[0].column), (3, 1));
        list.push(Severity::Error, 19..20, "two".into(), None);
        assert_eq!((list.list[1].line, list.list[1].column), (3, 8));
    }

    #[test]
    fn a_span_beyond_the_text_is_cut() {
        let mut list = Diagnostics::new("x.toml", "é");
        list.push(Severity::Error, 1..99, "odd".into(), None);
        assert_eq!(list.list[0].span, 0..2);
        assert!(list.render(false).contains("x.toml:1:1"));
    }

    #[test]
    fn beyond_the_limit_they_are_counted() {
        let mut list = Diagnostics::new("x.toml", "a");
        for _ in 0..MAX_DIAGNOSTICS + 3 {
            list.push(Severity::Warning, 0..1, "again".into(), None);
        }
        assert_eq!((list.list.len(), list.left_out, list.has_errors()), (MAX_DIAGNOSTICS, 3, false));
    }

    #[test]
    fn a_file_as_a_whole_has_no_line() {
        let list = Diagnostics::about_file("none.toml", "no such file".into(), Some("give the path".into()));
        assert_eq!(list.to_string(), "none.toml:0:0: error: no such file (help: give the path)\n");
        assert!(list.render(false).contains("none.toml: no such file"));
    }
}
