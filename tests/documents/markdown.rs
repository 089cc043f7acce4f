//! The part of Markdown that the documents use: headings, links, code spans and code blocks.

use std::fs;
use std::path::PathBuf;

/// A document and its lines of prose.
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    prose: Vec<String>,
    blocks: Vec<(String, String)>,
}

impl Document {
    pub(crate) fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).expect("a document");
        let (mut prose, mut blocks) = (Vec::new(), Vec::new());
        let mut open: Option<(String, String)> = None;
        for line in text.lines() {
            match (line.trim_start().strip_prefix("```"), open.take()) {
                (Some(language), None) => open = Some((language.trim().to_owned(), String::new())),
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some((language, code))) => open = Some((language, format!("{code}{line}\n"))),
                (None, None) => prose.push(line.to_owned()),
            }
        }
        assert!(open.is_none(), "{}: a block of code does not end", path.display());
        Self { path, text, prose, blocks }
    }

    /// The text of each heading.
    pub(crate) fn headings(&self) -> Vec<String> {
        let heading = |line: &String| {
            let text = line.trim_start_matches('#');
            let level = line.len() - text.len();
            (1..=6).contains(&level).then(|| text.strip_prefix(' ')).flatten().map(|text| text.trim().to_owned())
        };
        self.prose.iter().filter_map(heading).collect()
    }

    /// Targets of inline links and pictures, and of `src=""` and `href=""`.
    pub(crate) fn links(&self) -> Vec<String> {
        // A link may span two lines; text in a code span is not a link.
        let text = without_code(&self.prose.join("\n"));
        let mut links = Vec::new();
        for (begin, end) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            for rest in text.split(begin).skip(1) {
                let link = rest.split(end).next().unwrap_or_default();
                links.push(link.split_whitespace().next().unwrap_or_default().to_owned());
            }
        }
        links
    }

    /// The contents of code spans.
    pub(crate) fn code_spans(&self) -> impl Iterator<Item = &str> {
        self.prose.iter().flat_map(|line| line.split('`').skip(1).step_by(2))
    }

    /// The code blocks of a language.
    pub(crate) fn blocks(&self, language: &'static str) -> impl Iterator<Item = String> {
        self.all_blocks().into_iter().filter(move |(of, _)| of == language).map(|(_, code)| code)
    }

    /// Each code block with its language, in order.
    pub(crate) fn all_blocks(&self) -> Vec<(String, String)> {
        self.blocks.clone()
    }
}

fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The anchor that GitHub derives from a heading: lower case, spaces as hyphens, no other punctuation. Numbers behind equal
/// anchors are not needed, as headings are unique.
pub(crate) fn slug(heading: &str) -> String {
    let text = match heading.split_once("](") {
        Some((before, after)) => {
            format!("{}{}", before.replacen('[', "", 1), after.split_once(')').map_or("", |it| it.1))
        }
        None => heading.to_owned(),
    };
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    text.to_lowercase().chars().filter(kept).map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn anchors_are_made_as_github_makes_them() {
    assert_eq!(slug("What it gives up"), "what-it-gives-up");
    assert_eq!(slug("The `rules/plant.toml` file, in short"), "the-rulesplanttoml-file-in-short");
    assert_eq!(slug("SPAN & TAP"), "span--tap");
    assert_eq!(slug("[0.1.0](https://example.org) first"), "010-first");
}

#[test]
fn links_are_found_in_prose_and_not_in_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.md");
    let text =
        "# One\n[a](b.md#c) `[x](y)` <img src=\"d.svg\">\n```sh\n[no](no)\n# no\n```\n## Two\n[broken\nline](e.md)\n";
    fs::write(&path, text).expect("a file");
    let document = Document::read(path);
    assert_eq!(document.links(), ["b.md#c", "e.md", "d.svg"]);
    assert_eq!(document.headings(), ["One", "Two"]);
    assert_eq!(document.code_spans().collect::<Vec<_>>(), ["[x](y)"]);
    assert_eq!(document.blocks("sh").collect::<Vec<_>>(), ["[no](no)\n# no\n"]);
}
