//! Objects and arrays that close what they open.

use std::fmt;

use super::{display, number, number_or_null, string, string_or_null, time, word, words};

/// Appends an object with the members that `members` appends.
pub(in crate::record) fn object(out: &mut Vec<u8>, members: impl FnOnce(&mut Object<'_>)) {
    let mut object = Object { out, separator: b'{' };
    members(&mut object);
    let Object { out, separator } = object;
    out.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
}

/// Members of an object, each with a comma in front: for [`Object::written`].
pub(in crate::record) fn members(members: impl FnOnce(&mut Object<'_>)) -> Box<[u8]> {
    let mut out = Vec::new();
    members(&mut Object { out: &mut out, separator: b',' });
    out.into()
}

/// Appends an array, one element for each item; returns how many there were.
pub(in crate::record) fn array<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) -> usize {
    let mut count = 0;
    out.push(b'[');
    for item in items {
        if count > 0 {
            out.push(b',');
        }
        write(out, item);
        count += 1;
    }
    out.push(b']');
    count
}

/// An object that is being written. Names need no escaping: they are the product's own.
pub(in crate::record) struct Object<'a> {
    out: &'a mut Vec<u8>,
    /// Stands before the next member: the opening brace before the first one, a comma before the others.
    separator: u8,
}

impl Object<'_> {
    /// Appends a member whose value `write` appends.
    pub(in crate::record) fn value(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(&[self.separator, b'"']);
        self.separator = b',';
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        write(self.out);
    }

    /// Appends a member that is an object.
    pub(in crate::record) fn object(&mut self, name: &str, members: impl FnOnce(&mut Object<'_>)) {
        self.value(name, |out| object(out, members));
    }

    /// Appends a text, escaped.
    pub(in crate::record) fn string(&mut self, name: &str, text: &str) {
        self.value(name, |out| string(out, text));
    }

    /// Appends a text, escaped, or `null`.
    pub(in crate::record) fn string_or_null(&mut self, name: &str, text: Option<&str>) {
        self.value(name, |out| string_or_null(out, text));
    }

    /// Appends a word that needs no escaping.
    pub(in crate::record) fn word(&mut self, name: &str, text: &str) {
        self.value(name, |out| word(out, text));
    }

    /// Appends words that need no escaping as an array.
    pub(in crate::record) fn words(&mut self, name: &str, list: &[&str]) {
        self.value(name, |out| words(out, list));
    }

    /// Appends a text as `text` displays, escaped.
    pub(in crate::record) fn display(&mut self, name: &str, text: impl fmt::Display) {
        self.value(name, |out| display(out, text));
    }

    /// Appends an integer.
    pub(in crate::record) fn number(&mut self, name: &str, value: impl itoa::Integer) {
        self.value(name, |out| number(out, value));
    }

    /// Appends an integer, or `null`.
    pub(in crate::record) fn number_or_null(&mut self, name: &str, value: Option<impl itoa::Integer>) {
        self.value(name, |out| number_or_null(out, value));
    }

    /// Appends a time, given in nanoseconds since 1970.
    pub(in crate::record) fn time(&mut self, name: &str, nanoseconds: i64) {
        self.value(name, |out| time(out, nanoseconds));
    }

    /// Appends `true` or `false`.
    pub(in crate::record) fn boolean(&mut self, name: &str, value: bool) {
        self.value(name, |out| out.extend_from_slice(if value { b"true" } else { b"false" }));
    }

    /// Appends `null`.
    pub(in crate::record) fn null(&mut self, name: &str) {
        self.value(name, |out| out.extend_from_slice(b"null"));
    }

    /// Appends [`members`] that were written before. They are not the first ones of the object.
    pub(in crate::record) fn written(&mut self, members: &[u8]) {
        debug_assert_eq!(self.separator, b',', "the object has a member already");
        self.out.extend_from_slice(members);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(members: impl FnOnce(&mut Object<'_>)) -> String {
        let mut out = Vec::new();
        object(&mut out, members);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn objects_in_objects_are_closed_and_members_are_separated() {
        let inner = |object: &mut Object<'_>| {
            object.string("text", "\"");
            object.null("nothing");
        };
        let outer = |object: &mut Object<'_>| {
            object.object("empty", |_| {});
            object.object("inner", inner);
            object.written(&members(inner));
            object.boolean("last", true);
        };
        let expected = concat!(
            r#"{"empty":{},"inner":{"text":"\"","nothing":null},"#,
            r#""text":"\"","nothing":null,"last":true}"#
        );
        assert_eq!(written(outer), expected);
        assert_eq!(written(|_| {}), "{}");
    }

    #[test]
    fn an_array_has_a_comma_between_two_elements_and_is_counted() {
        let shown = |items: &[u8]| {
            let mut out = Vec::new();
            let count = array(&mut out, items, |out, item| number(out, *item));
            (String::from_utf8(out).expect("digits"), count)
        };
        assert_eq!(shown(&[]), ("[]".to_owned(), 0));
        assert_eq!(shown(&[1]), ("[1]".to_owned(), 1));
        assert_eq!(shown(&[1, 2, 3]), ("[1,2,3]".to_owned(), 3));
    }
}
