//! The paths that a Rust source file names, found in its text: `crate::policy::Verdict`, each with its line.
//!
//! This reads the text and not the syntax tree, so that the test needs no parser of its own: comments, literals and test
//! code are taken out, then every path that starts with a name is followed, `use` groups included.

/// A path in a source file, such as `["crate", "policy", "Verdict"]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// Line of its first name, from 1.
    pub(crate) line: usize,
    /// Its names in order.
    pub(crate) names: Vec<String>,
}

/// Every path of two or more names in `source`, and every name that is imported on its own, outside of test code.
pub(crate) fn paths(source: &str) -> Vec<NamedPath> {
    let tokens = without_tests(&tokens(&without_comments_and_literals(source)));
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = match tokens[at].text.as_str() {
            "use" => tree(&tokens, at + 1, &[], &mut found),
            text if is_name(text) && !follows_a_path(&tokens, at) => plain_path(&tokens, at, &mut found),
            _ => at + 1,
        };
    }
    found
}

/// The modules that `source` declares for tests only: `#[cfg(test)] mod testing;`.
pub(crate) fn test_modules(source: &str) -> Vec<String> {
    let tokens = tokens(&without_comments_and_literals(source));
    let marks = (0..tokens.len()).filter(|at| is_test_mark(&tokens[*at..]));
    let items = marks.map(|at| &tokens[at + TEST_MARK.len()..end_of_item(&tokens, at + TEST_MARK.len())]);
    let named = items.filter_map(|item| match item {
        [.., word, name, end] if word.text == "mod" && end.text == ";" => Some(name.text.clone()),
        _ => None,
    });
    named.collect()
}

#[derive(Clone, Debug)]
struct Token {
    line: usize,
    text: String,
}

/// The same text with comments, strings and characters blanked out: every newline stays where it was.
fn without_comments_and_literals(source: &str) -> String {
    let mut rest = source;
    let mut clean = String::with_capacity(source.len());
    while let Some(first) = rest.chars().next() {
        let skipped = comment_length(rest).or_else(|| literal_length(rest, clean.chars().last()));
        let length = skipped.unwrap_or(first.len_utf8());
        let (head, tail) = rest.split_at(length);
        match skipped {
            Some(_) => clean.extend(head.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => clean.push(first),
        }
        rest = tail;
    }
    clean
}

fn comment_length(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let step = match text.get(at..at + 2) {
            Some("/*") => (depth += 1, 2).1,
            Some("*/") => (depth -= 1, 2).1,
            _ => text[at..].chars().next().map_or(1, char::len_utf8),
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    Some(at)
}

/// Length of the string or character that starts here; a lifetime is neither.
fn literal_length(text: &str, before: Option<char>) -> Option<usize> {
    let starts_a_token = before.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    let raw = text.trim_start_matches(['b', 'c']).strip_prefix('r');
    if let Some(raw) = raw.filter(|_| starts_a_token) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = text.len() - raw.len() + hashes + 1;
            return Some(text[body..].find(&end).map_or(text.len(), |found| body + found + end.len()));
        }
    }
    match text.chars().next()? {
        '"' => Some(quoted_length(text, '"')),
        '\'' if is_character(text) => Some(quoted_length(text, '\'')),
        _ => None,
    }
}

fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        while !rest.is_empty() {
            let name = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let length = match name {
                0 if rest.starts_with("::") => 2,
                0 => rest.chars().next().map_or(1, char::len_utf8),
                length => length,
            };
            found.push(Token { line: index + 1, text: rest[..length].to_owned() });
            rest = rest[length..].trim_start();
        }
    }
    found
}

/// Takes out every item under `#[cfg(test)]`: tests may use what they like.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if is_test_mark(&tokens[at..]) {
            at = end_of_item(tokens, at + TEST_MARK.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

const TEST_MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

fn is_test_mark(tokens: &[Token]) -> bool {
    tokens.iter().map(|token| token.text.as_str()).take(TEST_MARK.len()).eq(TEST_MARK)
}

/// The position after the `;` or the closing brace that ends the item at `at`.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < tokens.len() {
        let text = tokens[at].text.as_str();
        at += 1;
        match text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(text, "}" | ";") {
            break;
        }
    }
    at
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn follows_a_path(tokens: &[Token], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| matches!(tokens[before].text.as_str(), "::" | "."))
}

/// A path in code: `crate::policy::judge(..)`. One name alone is no path.
fn plain_path(tokens: &[Token], start: usize, found: &mut Vec<NamedPath>) -> usize {
    let mut names = vec![tokens[start].text.clone()];
    let mut at = start + 1;
    while let [colons, name, ..] = &tokens[at..]
        && colons.text == "::"
        && is_name(&name.text)
    {
        names.push(name.text.clone());
        at += 2;
    }
    if names.len() > 1 {
        found.push(NamedPath { line: tokens[start].line, names });
    }
    at
}

/// A `use` tree with what stands before it: `crate::{alert::Alert, policy}` is two paths.
fn tree(tokens: &[Token], mut at: usize, before: &[String], found: &mut Vec<NamedPath>) -> usize {
    let mut names = before.to_vec();
    let line = tokens.get(at).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "{" => return group(tokens, at + 1, &names, found),
            "::" => at += 1,
            "as" => at += 2,
            "*" => at += 1,
            text if is_name(text) => {
                names.push(text.to_owned());
                at += 1;
            }
            _ => break,
        }
    }
    if !names.is_empty() {
        found.push(NamedPath { line, names }); // `use<'a>` in a return type names nothing
    }
    at
}

fn group(tokens: &[Token], mut at: usize, before: &[String], found: &mut Vec<NamedPath>) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "}" => return at + 1,
            "," => at += 1,
            text if is_name(text) || text == "{" || text == "*" => at = tree(tokens, at, before, found),
            _ => return at + 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(source: &str) -> Vec<(usize, String)> {
        paths(source).into_iter().map(|path| (path.line, path.names.join("::"))).collect()
    }

    #[test]
    fn a_use_group_is_one_path_for_each_leaf() {
        let source = "use crate::{\n    alert::{Alert, Order as O},\n    policy,\n};\nuse etherparse;";
        let expected = ["crate::alert::Alert", "crate::alert::Order", "crate::policy", "etherparse"];
        let found = named(source);
        assert_eq!(found.iter().map(|(_, path)| path.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 2, 3, 5]);
    }

    #[test]
    fn a_path_in_code_is_found_with_its_line() {
        let source = "fn f() -> impl Iterator<Item = u8> + use<> {\n    crate::flow::run(1);\n}";
        assert_eq!(named(source), [(2, "crate::flow::run".to_owned())]);
    }

    #[test]
    fn comments_strings_and_characters_name_nothing() {
        let source = r####"
            //! crate::a::b
            /* crate::c::d /* crate::e::f */ crate::g::h */
            const A: &str = "crate::i::j \" crate::k::l";
            const B: &str = r#"crate::m::n " crate::o::p"#;
            const C: char = '"'; const D: &'static str = "'";
            fn f<'a>(x: &'a str) -> &'a str { crate::q::r(x) }
        "####;
        assert_eq!(named(source), [(7, "crate::q::r".to_owned())]);
    }

    #[test]
    fn test_code_names_nothing_and_what_follows_it_does() {
        let source =
            "#[cfg(test)]\nmod tests {\n    use crate::a::b;\n}\n#[cfg(test)]\nuse crate::c::d;\nuse crate::e::f;";
        assert_eq!(named(source), [(7, "crate::e::f".to_owned())]);
    }

    #[test]
    fn modules_for_tests_are_found_and_others_are_not() {
        let source = "mod a;\n#[cfg(test)]\npub(crate) mod b;\n#[cfg(test)]\nmod c { fn f() {} }\nmod d;";
        assert_eq!(test_modules(source), ["b"]);
    }
}
