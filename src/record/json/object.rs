//! Objects and arrays that close what they open.

use std::fmt;

use super::{
    write_display, write_number, write_number_or_null, write_string, write_string_or_null, write_time, write_word,
    write_words,
};

/// Appends an object with the members that `members` appends.
pub(in crate::record) fn write_object(out: &mut Vec<u8>, members: impl FnOnce(&mut Object<'_>)) {
    let mut object = Object { out, separator: b'{' };
    members(&mut object);
    let Object { out, separator } = object;
    out.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
}

/// Members of an object, each with a comma in front: for [`Object::add_written`].
pub(in crate::record) fn written_members(members: impl FnOnce(&mut Object<'_>)) -> Box<[u8]> {
    let mut out = Vec::new();
    members(&mut Object { out: &mut out, separator: b',' });
    out.into()
}

/// Appends an array, one element for each item; returns how many there were.
pub(in crate::record) fn write_array<T>(
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
    pub(in crate::record) fn add_value(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(&[self.separator, b'"']);
        self.separator = b',';
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        write(self.out);
    }

    /// Appends a member that is an object.
    pub(in crate::record) fn add_object(&mut self, name: &str, members: impl FnOnce(&mut Object<'_>)) {
        self.add_value(name, |out| write_object(out, members));
    }

    /// Appends a text, escaped.
    pub(in crate::record) fn add_string(&mut self, name: &str, text: &str) {
        self.add_value(name, |out| write_string(out, text));
    }

    /// Appends a text, escaped, or `null`.
    pub(in crate::record) fn add_string_or_null(&mut self, name: &str, text: Option<&str>) {
        self.add_value(name, |out| write_string_or_null(out, text));
    }

    /// Appends a word that needs no escaping.
    pub(in crate::record) fn add_word(&mut self, name: &str, text: &str) {
        self.add_value(name, |out| write_word(out, text));
    }

    /// Appends words that need no escaping as an array.
    pub(in crate::record) fn add_words(&mut self, name: &str, list: &[&str]) {
        self.add_value(name, |out| write_words(out, list));
    }

    /// Appends a text as `text` displays, escaped.
    pub(in crate::record) fn add_display(&mut self, name: &str, text: impl fmt::Display) {
        self.add_value(name, |out| write_display(out, text));
    }

    /// Appends an integer.
    pub(in crate::record) fn add_number(&mut self, name: &str, value: impl itoa::Integer) {
        self.add_value(name, |out| write_number(out, value));
    }

    /// Appends an integer, or `null`.
    pub(in crate::record) fn add_number_or_null(&mut self, name: &str, value: Option<impl itoa::Integer>) {
        self.add_value(name, |out| write_number_or_null(out, value));
    }

    /// Appends a time, given in nanoseconds since 1970.
    pub(in crate::record) fn add_time(&mut self, name: &str, nanoseconds: i64) {
        self.add_value(name, |out| write_time(out, nanoseconds));
    }

    /// Appends `true` or `false`.
    pub(in crate::record) fn add_boolean(&mut self, name: &str, value: bool) {
        self.add_value(name, |out| out.extend_from_slice(if value { b"true" } else { b"false" }));
    }

    /// Appends `null`.
    pub(in crate::record) fn add_null(&mut self, name: &str) {
        self.add_value(name, |out| out.extend_from_slice(b"null"));
    }

    /// Appends [`written_members`]. They are not the first ones of the object.
    pub(in crate::record) fn add_written(&mut self, members: &[u8]) {
        debug_assert_eq!(self.separator, b',', "the object has a member already");
        self.out.extend_from_slice(members);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(members: impl FnOnce(&mut Object<'_>)) -> String {
        let mut out = Vec::new();
        write_object(&mut out, members);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn objects_in_objects_are_closed_and_members_are_separated() {
        let inner = |object: &mut Object<'_>| {
            object.add_string("text", "\"");
            object.add_null("nothing");
        };
        let outer = |object: &mut Object<'_>| {
            object.add_object("empty", |_| {});
            object.add_object("inner", inner);
            object.add_written(&written_members(inner));
            object.add_boolean("last", true);
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
            let count = write_array(&mut out, items, |out, item| write_number(out, *item));
            (String::from_utf8(out).expect("digits"), count)
        };
        assert_eq!(shown(&[]), ("[]".to_owned(), 0));
        assert_eq!(shown(&[1]), ("[1]".to_owned(), 1));
        assert_eq!(shown(&[1, 2, 3]), ("[1,2,3]".to_owned(), 3));
    }
}
