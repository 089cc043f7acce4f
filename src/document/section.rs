//! A cursor over one table of the file: every key is asked for by name and type, what nobody asked for is unknown.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::diagnose::{Diagnostics, Severity};
use super::words;

pub(super) type Span = Range<usize>;
type Value<'t> = Spanned<DeValue<'t>>;

/// Collects what is wrong while the file is walked. Shared by every section, hence the cell.
pub(super) struct Problems {
    found: RefCell<Diagnostics>,
    /// Lines with syntax errors. With any, parts of the file are missing, so that nothing is said about missing parts;
    /// on these lines, nothing else is said.
    broken: Vec<usize>,
}

impl Problems {
    pub(super) fn new(found: Diagnostics) -> Self {
        let broken = found.list.iter().map(|one| one.line).collect();
        Self { found: RefCell::new(found), broken }
    }

    pub(super) fn error(&self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.found.borrow_mut().push(Severity::Error, span, message.into(), Some(help.into()));
    }

    /// Something is probably not meant: said only where the whole file could be read.
    pub(super) fn warning(&self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        if self.broken.is_empty() {
            self.found.borrow_mut().push(Severity::Warning, span, message.into(), Some(help.into()));
        }
    }

    /// Something is not there: said only where the whole file could be read.
    pub(super) fn missing(&self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        if self.broken.is_empty() {
            self.error(span, message, help);
        }
    }

    pub(super) fn into_found(self) -> Diagnostics {
        let (mut found, broken) = (self.found.into_inner(), self.broken);
        let mut number = 0..;
        found.list.retain(|one| number.next() < Some(broken.len()) || !broken.contains(&one.line));
        found.sort();
        found
    }
}

/// A text value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Word<'t> {
    pub(super) text: &'t str,
    pub(super) span: Span,
}

/// Why a text is not what it should be: message and help.
pub(super) type Complaint = (String, String);

/// One table: of a header, inline, or of an array of tables.
pub(super) struct Section<'t> {
    table: &'t DeTable<'t>,
    /// Where its name stands.
    pub(super) span: Span,
    /// What it is, for messages: `zone Z-LOCK`.
    pub(super) what: String,
    known: Vec<&'static str>,
    pub(super) problems: &'t Problems,
}

impl<'t> Section<'t> {
    pub(super) fn new(table: &'t DeTable<'t>, span: Span, what: String, problems: &'t Problems) -> Self {
        Self { table, span, what, known: Vec::new(), problems }
    }

    /// Says which keys nobody asked for.
    pub(super) fn finish(self) {
        let unknown = self.table.keys().filter(|key| !self.known.contains(&key.get_ref().as_ref()));
        for key in unknown {
            let name = key.get_ref().as_ref();
            let help = match words::nearest(name, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys are: {}", words::list(self.known.iter().copied())),
            };
            self.problems.error(key.span(), format!("unknown key `{name}` in {}", self.what), help);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'t Value<'t>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// Where a key stands; the section's name if it does not.
    pub(super) fn span_of(&self, key: &str) -> Span {
        self.table.get_key_value(key).map_or_else(|| self.span.clone(), |(key, _)| key.span())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether a key holds a list with nothing in it.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        self.table.get(key).and_then(|value| value.get_ref().as_array()).is_some_and(|items| items.is_empty())
    }

    /// Complains that a required key is missing.
    pub(super) fn missing(&self, key: &str, help: &str) {
        if !self.has(key) {
            let message = format!("{} has no `{key}`", self.what);
            self.problems.missing(self.span.clone(), message, format!("add {help}"));
        }
    }

    fn wrong_type(&self, key: &str, value: &Value<'_>, expected: &str) {
        let found = value.get_ref().type_str();
        let message = format!("`{key}` of {} must be {expected}, not {} {found}", self.what, article(found));
        let example = EXAMPLES.iter().find(|(of, _)| *of == expected).map_or("see rules/README.md", |(_, text)| text);
        self.problems.error(value.span(), message, format!("write {key} = {example}"));
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<Word<'t>> {
        let value = self.take(key)?;
        let word = as_word(value);
        if word.is_none() {
            self.wrong_type(key, value, A_TEXT);
        }
        word
    }

    /// One text or a list of texts.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<Word<'t>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        match value.get_ref() {
            DeValue::Array(items) => self.words(key, items),
            _ => as_word(value).map_or_else(
                || {
                    self.wrong_type(key, value, A_LIST);
                    Vec::new()
                },
                |word| vec![word],
            ),
        }
    }

    fn words(&self, key: &str, items: &'t DeArray<'t>) -> Vec<Word<'t>> {
        let mut words = Vec::with_capacity(items.len());
        for item in items.iter() {
            match as_word(item) {
                Some(word) => words.push(word),
                None => self.wrong_type(key, item, A_LIST),
            }
        }
        words
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(key, value, A_FLAG);
        }
        flag
    }

    /// A whole number within bounds.
    pub(super) fn integer(&mut self, key: &'static str, bounds: RangeInclusive<i64>) -> Option<i64> {
        let value = self.take(key)?;
        self.whole(key, value, &bounds)
    }

    fn whole(&self, key: &str, value: &Value<'_>, bounds: &RangeInclusive<i64>) -> Option<i64> {
        let Some(number) = as_integer(value) else {
            self.wrong_type(key, value, AN_INTEGER);
            return None;
        };
        if bounds.contains(&number) {
            return Some(number);
        }
        let message = format!("`{key}` of {} cannot be {number}", self.what);
        self.problems.error(
            value.span(),
            message,
            format!("write a number from {} to {}", bounds.start(), bounds.end()),
        );
        None
    }

    /// A list of whole numbers within bounds, each with its place.
    pub(super) fn integers(&mut self, key: &'static str, bounds: &RangeInclusive<i64>) -> Vec<(i64, Span)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, A_NUMBER_LIST);
            return Vec::new();
        };
        items.iter().filter_map(|item| Some((self.whole(key, item, bounds)?, item.span()))).collect()
    }

    pub(super) fn number(&mut self, key: &'static str) -> Option<f64> {
        let value = self.take(key)?;
        let number = as_number(value);
        if number.is_none() {
            self.wrong_type(key, value, A_NUMBER);
        }
        number
    }

    pub(super) fn numbers(&mut self, key: &'static str) -> Option<Vec<f64>> {
        let value = self.take(key)?;
        let numbers = value.get_ref().as_array().map(|items| items.iter().map(as_number).collect::<Option<Vec<_>>>());
        match numbers.flatten() {
            Some(numbers) => Some(numbers),
            None => {
                self.wrong_type(key, value, A_NUMBER_LIST);
                None
            }
        }
    }

    /// A number or a text as the text it is written as: addresses, ports, functions. Or a list of them.
    pub(super) fn tokens(&mut self, key: &'static str, expected: &'static str) -> Vec<(String, Span)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let token = |item: &Value<'_>| {
            let text = match item.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                DeValue::Integer(_) => as_integer(item).map(|number| number.to_string()),
                _ => None,
            };
            if text.is_none() {
                self.wrong_type(key, item, expected);
            }
            text.map(|text| (text, item.span()))
        };
        match value.get_ref() {
            DeValue::Array(items) => items.iter().filter_map(token).collect(),
            _ => token(value).into_iter().collect(),
        }
    }

    /// A local date.
    pub(super) fn date(&mut self, key: &'static str) -> Option<jiff::civil::Date> {
        let value = self.take(key)?;
        let date = value.get_ref().as_datetime().filter(|moment| moment.time.is_none());
        let date = date.and_then(|date| date.to_string().parse().ok());
        if date.is_none() {
            self.wrong_type(key, value, A_DATE);
        }
        date
    }

    /// A moment with its offset from UTC.
    pub(super) fn moment(&mut self, key: &'static str) -> Option<jiff::Timestamp> {
        let value = self.take(key)?;
        let moment = value.get_ref().as_datetime().and_then(|moment| moment.to_string().parse().ok());
        if moment.is_none() {
            self.wrong_type(key, value, A_MOMENT);
        }
        moment
    }

    /// A text that `parse` understands, or its complaint.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        let word = self.text(key)?;
        self.parse(&word, parse)
    }

    /// What `parse` makes of a word, or its complaint at the word's place.
    pub(super) fn parse<T>(&self, word: &Word<'_>, parse: impl FnOnce(&str) -> Result<T, Complaint>) -> Option<T> {
        parse(word.text).map_err(|(message, help)| self.problems.error(word.span.clone(), message, help)).ok()
    }

    /// A table under a key.
    pub(super) fn table(&mut self, key: &'static str, what: impl Into<String>) -> Option<Self> {
        let span = self.span_of(key);
        let value = self.take(key)?;
        self.as_section(key, value, span, what.into())
    }

    /// Every table below a table of tables: name, place of the name, section.
    pub(super) fn named_tables(&mut self, key: &'static str) -> Vec<(Word<'t>, Self)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(tables) = value.get_ref().as_table() else {
            self.wrong_type(key, value, A_TABLE);
            return Vec::new();
        };
        let mut named = Vec::with_capacity(tables.len());
        for (name, table) in tables {
            let word = Word { text: name.get_ref().as_ref(), span: name.span() };
            let what = format!("{key} {}", word.text);
            named.extend(self.as_section(key, table, name.span(), what).map(|section| (word, section)));
        }
        named.sort_by_key(|(word, _)| word.span.start);
        named
    }

    /// A list of tables under a key.
    pub(super) fn tables(&mut self, key: &'static str, what: impl Into<String>) -> Vec<Self> {
        let what = what.into();
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, A_TABLE_LIST);
            return Vec::new();
        };
        items.iter().filter_map(|item| self.as_section(key, item, item.span(), what.clone())).collect()
    }

    fn as_section(&self, key: &str, value: &'t Value<'t>, span: Span, what: String) -> Option<Self> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(key, value, A_TABLE);
        }
        Some(Self::new(table?, span, what, self.problems))
    }
}

fn as_word<'t>(value: &'t Value<'t>) -> Option<Word<'t>> {
    value.get_ref().as_str().map(|text| Word { text, span: value.span() })
}

fn as_integer(value: &Value<'_>) -> Option<i64> {
    let integer = value.get_ref().as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn as_number(value: &Value<'_>) -> Option<f64> {
    let float = value.get_ref().as_float().and_then(|float| float.as_str().parse::<f64>().ok());
    // Numbers beyond 2^53 lose their last digits; no register that can be limited holds one by intent.
    #[expect(clippy::cast_precision_loss, reason = "a limit is compared with a value read into f64 as well")]
    let number = float.or_else(|| as_integer(value).map(|whole| whole as f64))?;
    number.is_finite().then_some(number)
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'i']) { "an" } else { "a" }
}

const A_TEXT: &str = "a text";
const A_LIST: &str = "a list of texts";
const A_FLAG: &str = "true or false";
const AN_INTEGER: &str = "a whole number";
const A_NUMBER: &str = "a number";
const A_NUMBER_LIST: &str = "a list of numbers";
const A_DATE: &str = "a date";
const A_MOMENT: &str = "a date and time with its offset";
const A_TABLE: &str = "a table";
const A_TABLE_LIST: &str = "a list of tables";

/// How each type is written, for the help.
const EXAMPLES: &[(&str, &str)] = &[
    (A_TEXT, "\"...\""),
    (A_LIST, "[\"...\", \"...\"]"),
    (A_FLAG, "true"),
    (AN_INTEGER, "1"),
    (A_NUMBER, "1.5"),
    (A_NUMBER_LIST, "[1, 2]"),
    (A_DATE, "2026-11-09, without quotes"),
    (A_MOMENT, "2026-11-09T09:00:00+01:00, without quotes"),
    (A_TABLE, "{ ... }, or a [header] of its own"),
    (A_TABLE_LIST, "[{ ... }], or [[headers]] of its own"),
];
