//! A cursor over one table of a file: the reader asks for each key by name and type, and every other key is an error.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::diagnose::{Diagnostics, Severity};
use super::suggest::{self, nearest, one_of};

pub(crate) type Span = Range<usize>;
type Value<'t> = Spanned<DeValue<'t>>;

/// Collects diagnostics while a file is read. All sections share it, hence the cells.
pub(crate) struct Problems {
    found: RefCell<Diagnostics>,
    /// Lines with syntax errors. Nothing else is reported on these lines; if there are any, parts of the file are missing, and
    /// nothing is reported as missing.
    broken: Vec<usize>,
    errors: Cell<usize>,
    /// Warnings that are reported only for a file without errors.
    advice: RefCell<Vec<(Span, String, String)>>,
    /// Messages that are reported once, at their first place.
    once: RefCell<BTreeSet<String>>,
    /// Declarations that could not be read, by kind and name; without a name, all of a kind.
    failed: RefCell<BTreeSet<(&'static str, Option<String>)>>,
}

impl Problems {
    pub(crate) fn new(found: Diagnostics) -> Self {
        Self {
            broken: found.list.iter().map(|one| one.line).collect(),
            errors: Cell::new(found.list.len()),
            found: RefCell::new(found),
            advice: RefCell::default(),
            once: RefCell::default(),
            failed: RefCell::default(),
        }
    }

    pub(crate) fn error(&self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.errors.set(self.errors.get() + 1);
        self.found.borrow_mut().push(Severity::Error, span, message.into(), Some(help.into()));
    }

    /// Warns of something that is probably not meant. Not reported for a file with syntax errors.
    pub(crate) fn warning(&self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        if self.broken.is_empty() {
            self.found.borrow_mut().push(Severity::Warning, span, message.into(), Some(help.into()));
        }
    }

    /// Warns of something that is probably not meant, provided that the rest of the file is. Not reported for a file with
    /// errors.
    pub(crate) fn advise(&self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.advice.borrow_mut().push((span, message.into(), help.into()));
    }

    /// Reports a missing part. Not reported for a file with syntax errors.
    pub(crate) fn missing(&self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        if self.broken.is_empty() {
            self.error(span, message, help);
        }
    }

    /// Reports an undeclared name, once, at its first use.
    pub(crate) fn unknown(&self, span: Span, message: String, help: String) {
        self.once.borrow_mut().insert(message.clone());
        self.missing(span, message, help);
    }

    /// The number of errors so far: unchanged if what was read in between has none.
    pub(crate) fn errors(&self) -> usize {
        self.errors.get()
    }

    /// Marks a declaration that could not be read, so that uses of its name are not reported.
    pub(crate) fn fail(&self, kind: &'static str, name: Option<&str>) {
        self.failed.borrow_mut().insert((kind, name.map(str::to_owned)));
    }

    /// Whether a declaration of this kind and name could not be read.
    pub(crate) fn has_failed(&self, kind: &str, name: &str) -> bool {
        let failed = self.failed.borrow();
        failed.iter().any(|(of, which)| *of == kind && which.as_deref().is_none_or(|which| which == name))
    }

    pub(crate) fn into_found(self) -> Diagnostics {
        let (mut found, broken) = (self.found.into_inner(), self.broken);
        let mut number = 0..;
        found.list.retain(|one| number.next() < Some(broken.len()) || !broken.contains(&one.line));
        if self.errors.get() == 0 {
            for (span, message, help) in self.advice.into_inner() {
                found.push(Severity::Warning, span, message, Some(help));
            }
        }
        found.sort();
        self.once.into_inner().iter().for_each(|message| found.fold(message));
        found
    }
}

/// A text value with its span.
#[derive(Clone, Debug)]
pub(crate) struct Word<'t> {
    pub(crate) text: &'t str,
    pub(crate) span: Span,
}

/// Why a text is not valid: message and help.
pub(crate) type Complaint = (String, String);

/// One table: of a header, inline, or of an array of tables.
pub(crate) struct Section<'t> {
    table: &'t DeTable<'t>,
    /// The span of its name.
    pub(crate) span: Span,
    /// Its description in messages: `zone Z-LOCK`.
    pub(crate) what: String,
    /// Its name in headers: `zone.Z-LOCK`; empty for the whole file.
    path: String,
    known: Vec<&'static str>,
    /// Required keys that are missing, each with an example.
    absent: Vec<(&'static str, String)>,
    pub(crate) problems: &'t Problems,
}

impl<'t> Section<'t> {
    /// The whole file.
    pub(crate) fn root(table: &'t DeTable<'t>, what: &str, problems: &'t Problems) -> Self {
        Self {
            table,
            span: 0..0,
            what: what.to_owned(),
            path: String::new(),
            known: Vec::new(),
            absent: Vec::new(),
            problems,
        }
    }

    /// Reports unknown keys and missing required keys, except those of which an unknown key is probably a misspelling.
    pub(crate) fn finish(self) {
        let mut meant = Vec::new();
        for key in self.table.keys().filter(|key| !self.known.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref().as_ref();
            let near = nearest(name, self.known.iter().copied());
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys are: {}", suggest::list(self.known.iter().copied())),
            };
            self.problems.error(key.span(), format!("unknown key `{name}` in {}", self.what), help);
            meant.extend(near);
        }
        for (key, help) in self.absent.iter().filter(|(key, _)| !meant.contains(key)) {
            let message = format!("{} has no `{key}`", self.what);
            self.problems.missing(self.span.clone(), message, format!("add {help}"));
        }
    }

    /// Its keys, in the order of the file.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Word<'t>> + use<'t> {
        let mut keys: Vec<_> = self.table.keys().map(|key| Word { text: key.get_ref(), span: key.span() }).collect();
        keys.sort_by_key(|key| key.span.start);
        keys.into_iter()
    }

    /// The name in a header of a table below a key.
    fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Accepts a key without reading its value.
    pub(crate) fn ignore(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// The last named table below a key whose header stands before this offset.
    pub(crate) fn named_before(&self, key: &str, offset: usize) -> Option<String> {
        let tables = self.table.get(key)?.get_ref().as_table()?;
        let before = tables.keys().filter(|name| name.span().start < offset);
        before.max_by_key(|name| name.span().start).map(|name| join("", name.get_ref()))
    }

    fn take(&mut self, key: &'static str) -> Option<&'t Value<'t>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// The span of a key, or of the section's name if the key is missing.
    pub(crate) fn span_of(&self, key: &str) -> Span {
        self.table.get_key_value(key).map_or_else(|| self.span.clone(), |(key, _)| key.span())
    }

    /// The span of the name of a table below a key.
    pub(crate) fn span_below(&self, key: &str, name: &str) -> Span {
        let tables = self.table.get(key).and_then(|value| value.get_ref().as_table());
        let found = tables.and_then(|tables| tables.get_key_value(name));
        found.map_or_else(|| self.span_of(key), |(name, _)| name.span())
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether the value of a key is this text, or a list with it.
    pub(crate) fn holds(&self, key: &str, text: &str) -> bool {
        let Some(value) = self.table.get(key).map(Spanned::get_ref) else { return false };
        let is_it = |value: &DeValue<'_>| value.as_str() == Some(text);
        is_it(value) || value.as_array().is_some_and(|items| items.iter().any(|item| is_it(item.get_ref())))
    }

    /// Whether the value of a key is an empty list.
    pub(crate) fn is_empty_list(&self, key: &str) -> bool {
        self.table.get(key).and_then(|value| value.get_ref().as_array()).is_some_and(|items| items.is_empty())
    }

    /// Requires a key; `help` is an example.
    pub(crate) fn missing(&mut self, key: &'static str, help: &str) {
        if !self.has(key) {
            self.absent.push((key, help.to_owned()));
        }
    }

    /// The known keys of which unknown keys are probably misspellings.
    pub(crate) fn misspelt<'k>(&self, known: &'k [&'static str]) -> Vec<&'k str> {
        let unknown = self.keys().filter(|key| !known.contains(&key.text));
        unknown.filter_map(|key| nearest(key.text, known.iter().copied())).collect()
    }

    fn wrong_type(&self, key: &str, value: &Value<'_>, expected: &str) {
        let found = value.get_ref().type_str();
        let message = format!("`{key}` of {} must be {expected}, not {} {found}", self.what, article(found));
        let example = EXAMPLES.iter().find(|(of, _)| *of == expected).map_or("see rules/README.md", |(_, text)| text);
        self.problems.error(value.span(), message, format!("write {key} = {example}"));
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<Word<'t>> {
        let value = self.take(key)?;
        let word = as_word(value);
        if word.is_none() {
            self.wrong_type(key, value, A_TEXT);
        }
        word
    }

    /// Reads a text or a list of texts.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<Word<'t>> {
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

    /// The strings of a list; reports every item of another type.
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

    /// Reads one of the `known` words; `what` describes them, with an article.
    pub(crate) fn one_of(&mut self, key: &'static str, what: &str, known: &[&'static str]) -> Option<&'static str> {
        self.parsed(key, |text| one_of(text, what, known))
    }

    /// Reads a boolean.
    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(key, value, A_FLAG);
        }
        flag
    }

    /// Reads an integer within bounds.
    pub(crate) fn integer(&mut self, key: &'static str, bounds: RangeInclusive<i64>) -> Option<i64> {
        let value = self.take(key)?;
        self.bounded_integer(key, value, &bounds)
    }

    /// Reads an integer within bounds that fit its type.
    pub(crate) fn integer_in<T: TryFrom<i64>>(&mut self, key: &'static str, bounds: RangeInclusive<i64>) -> Option<T> {
        self.integer(key, bounds).and_then(|number| T::try_from(number).ok())
    }

    fn bounded_integer(&self, key: &str, value: &Value<'_>, bounds: &RangeInclusive<i64>) -> Option<i64> {
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

    /// Reads a list of integers within bounds, each with its span.
    pub(crate) fn integers(&mut self, key: &'static str, bounds: &RangeInclusive<i64>) -> Vec<(i64, Span)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, A_NUMBER_LIST);
            return Vec::new();
        };
        items.iter().filter_map(|item| Some((self.bounded_integer(key, item, bounds)?, item.span()))).collect()
    }

    pub(crate) fn number(&mut self, key: &'static str) -> Option<f64> {
        let value = self.take(key)?;
        let number = as_number(value);
        if number.is_none() {
            self.wrong_type(key, value, A_NUMBER);
        }
        number
    }

    pub(crate) fn numbers(&mut self, key: &'static str) -> Option<Vec<f64>> {
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

    /// Reads numbers or texts, one or a list, each as text with its span: addresses, ports, functions.
    pub(crate) fn tokens(&mut self, key: &'static str, expected: &'static str) -> Vec<(String, Span)> {
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

    /// Reads a local date.
    pub(crate) fn date(&mut self, key: &'static str) -> Option<jiff::civil::Date> {
        let value = self.take(key)?;
        let date = value.get_ref().as_datetime().filter(|moment| moment.time.is_none());
        let date = date.and_then(|date| date.to_string().parse().ok());
        if date.is_none() {
            self.wrong_type(key, value, A_DATE);
        }
        date
    }

    /// Reads a time with its offset from UTC.
    pub(crate) fn moment(&mut self, key: &'static str) -> Option<jiff::Timestamp> {
        let value = self.take(key)?;
        let moment = value.get_ref().as_datetime().and_then(|moment| moment.to_string().parse().ok());
        if moment.is_none() {
            self.wrong_type(key, value, A_MOMENT);
        }
        moment
    }

    /// Reads a text with `parse`, and reports its complaint.
    pub(crate) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        let word = self.text(key)?;
        self.parse(&word, parse)
    }

    /// Parses a word, and reports the complaint at the word's span.
    pub(crate) fn parse<T>(&self, word: &Word<'_>, parse: impl FnOnce(&str) -> Result<T, Complaint>) -> Option<T> {
        parse(word.text).map_err(|(message, help)| self.problems.error(word.span.clone(), message, help)).ok()
    }

    /// Reads a table under a key.
    pub(crate) fn table(&mut self, key: &'static str, what: impl Into<String>) -> Option<Self> {
        let span = self.span_of(key);
        let value = self.take(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, value, A_TABLE);
            return None;
        };
        Some(self.below(table, span, what.into(), self.path_of(key)))
    }

    /// Reads the tables of a table of tables, each with its name.
    pub(crate) fn named_tables(&mut self, key: &'static str) -> Vec<(Word<'t>, Self)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(tables) = value.get_ref().as_table() else {
            let message = format!("`{key}` of {} needs a name for each of its tables", self.what);
            self.problems.error(value.span(), message, format!("write [{}.NAME]", self.path_of(key)));
            self.problems.fail(key, None);
            return Vec::new();
        };
        let mut named: Vec<_> = tables.iter().filter_map(|(name, value)| self.named_table(key, name, value)).collect();
        named.sort_by_key(|(word, _)| word.span.start);
        named
    }

    fn named_table(
        &self,
        key: &'static str,
        name: &'t Spanned<DeString<'t>>,
        value: &'t Value<'t>,
    ) -> Option<(Word<'t>, Self)> {
        let word = Word { text: name.get_ref().as_ref(), span: name.span() };
        let what = format!("{key} {}", word.text);
        let path = join(&self.path_of(key), word.text);
        let list = || value.get_ref().as_array()?.iter().next()?.get_ref().as_table();
        let table = value.get_ref().as_table().or_else(|| {
            let help = format!("write [{path}], with one bracket on each side");
            let found = value.get_ref().type_str();
            let message = format!("{what} must be a table, not {} {found}", article(found));
            self.problems.error(name.span(), message, help);
            list()
        });
        if table.is_none() {
            self.problems.fail(key, Some(word.text));
        }
        let section = self.below(table?, name.span(), what, path);
        Some((word, section))
    }

    /// Reads a list of tables under a key. A single table, as `[header]` declares it, is reported, and read nevertheless.
    pub(crate) fn tables(&mut self, key: &'static str, what: impl Into<String>) -> Vec<Self> {
        let what = what.into();
        let span = self.span_of(key);
        let Some(value) = self.take(key) else { return Vec::new() };
        let path = self.path_of(key);
        if let Some(table) = value.get_ref().as_table() {
            let message = format!("`{key}` of {} must be a list of tables, not a table", self.what);
            let help = format!("write [[{path}]], with two brackets on each side, or {key} = [{{ ... }}]");
            self.problems.error(span.clone(), message, help);
            if table.values().all(|value| value.get_ref().as_table().is_some()) {
                // `[header.NAME]` declares tables with names, which are not read as one of the list.
                self.problems.fail(key, None);
                return Vec::new();
            }
            return vec![self.below(table, span, what, path)];
        }
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, A_TABLE_LIST);
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(items.len());
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(table) => sections.push(self.below(table, item.span(), what.clone(), path.clone())),
                None => self.wrong_type(key, item, A_TABLE),
            }
        }
        sections
    }

    fn below(&self, table: &'t DeTable<'t>, span: Span, what: String, path: String) -> Self {
        Self { table, span, what, path, known: Vec::new(), absent: Vec::new(), problems: self.problems }
    }
}

/// A name in a header with a key below it, quoted where TOML requires it.
fn join(path: &str, key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let key = if is_bare { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
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
    // Numbers beyond 2^53 lose their last digits, which no limit depends on.
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

/// An example of each type, for the help.
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
