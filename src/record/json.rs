//! JSON written straight into a byte buffer: no tree, no allocation of its own.

mod object;

use std::fmt;
use std::io::Write;

use lockkeeper_protocols::{Node, NodeId};

use crate::policy::Host;

pub(super) use object::{Object, write_array, write_object, written_members};

/// Appends a string with its quotes, escaped as RFC 8259, section 7, asks.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_content(out, text);
    out.push(b'"');
}

/// Appends the content of a string, without quotes.
fn write_content(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(needs_escape) {
        text.bytes().for_each(|byte| write_escaped(out, byte));
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Bytes of a multi-byte UTF-8 sequence are all above 0x7F and pass unchanged.
fn write_escaped(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0..0x20 => {
            out.extend_from_slice(b"\\u00");
            write_hex_byte(out, byte);
        }
        _ => out.push(byte),
    }
}

/// Appends a string, or `null`.
pub(super) fn write_string_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => write_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends bytes as a string; those that are not UTF-8 are replaced.
pub(super) fn write_lossy(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        write_content(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
    out.push(b'"');
}

/// Appends a node as a string, as it displays. A numeric id, as most nodes have, does without the formatter and its 600
/// instructions.
pub(super) fn write_node(out: &mut Vec<u8>, node: Node<'_>) {
    let NodeId::Numeric(id) = node.id else { return write_display(out, node) };
    out.push(b'"');
    if node.namespace != 0 {
        out.extend_from_slice(b"ns=");
        write_number(out, node.namespace);
        out.push(b';');
    }
    out.extend_from_slice(b"i=");
    write_number(out, id);
    out.push(b'"');
}

/// Appends the shortest digits that identify a number at its own precision; NaN and infinities as a string.
pub(super) fn write_float(out: &mut Vec<u8>, value: impl fmt::Debug, as_f64: f64) {
    // Writing to a vector cannot fail.
    let _ = if as_f64.is_finite() { write!(out, "{value:?}") } else { write!(out, "\"{value:?}\"") };
}

/// Appends an integer.
pub(super) fn write_number(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends an integer, or `null`.
pub(super) fn write_number_or_null(out: &mut Vec<u8>, value: Option<impl itoa::Integer>) {
    match value {
        Some(value) => write_number(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends numbers as an array.
pub(super) fn write_numbers(out: &mut Vec<u8>, values: impl Iterator<Item = u16>) {
    out.push(b'[');
    let before = out.len();
    values.for_each(|value| write_number_and_comma(out, value));
    if out.len() > before {
        out.pop();
    }
    out.push(b']');
}

/// Appends a number of at most five digits and a comma: always eight bytes, of which the surplus is cut. Copying a variable
/// number of bytes would call a function for each register of a read (15 % of a transaction).
fn write_number_and_comma(out: &mut Vec<u8>, value: u16) {
    let digit = |unit: u16| u64::from(value / unit % 10);
    let digits = digit(10_000) | digit(1_000) << 8 | digit(100) << 16 | digit(10) << 24 | digit(1) << 32;
    let zeros = (digits.trailing_zeros() / 8).min(4);
    let text = digits + u64::from_le_bytes(*b"00000,\0\0");
    out.extend_from_slice(&(text >> (8 * zeros)).to_le_bytes());
    out.truncate(out.len() - 2 - zeros as usize);
}

/// Appends words that need no escaping as an array of strings.
pub(super) fn write_words(out: &mut Vec<u8>, words: &[&str]) {
    write_array(out, words, |out, text| write_word(out, text));
}

/// Appends a word that needs no escaping, with its quotes.
pub(super) fn write_word(out: &mut Vec<u8>, word: &str) {
    out.push(b'"');
    out.extend_from_slice(word.as_bytes());
    out.push(b'"');
}

/// Appends bytes as a string of lower-case hexadecimal digits.
pub(super) fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    bytes.iter().for_each(|byte| write_hex_byte(out, *byte));
    out.push(b'"');
}

fn write_hex_byte(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 0xF)]);
}

/// Appends the addresses of a host: members `ip`, `port`, `mac` and `vlan` of an endpoint.
pub(super) fn add_addresses(object: &mut Object<'_>, host: &Host, port: Option<u16>) {
    match host.ip {
        Some(ip) => object.add_display("ip", ip),
        None => object.add_null("ip"),
    }
    object.add_number_or_null("port", port);
    match host.mac {
        Some(mac) => object.add_display("mac", Mac(mac)),
        None => object.add_null("mac"),
    }
    object.add_number_or_null("vlan", host.vlan);
}

/// Appends a string as `value` displays, escaped: it may contain what a client sent.
pub(super) fn write_display(out: &mut Vec<u8>, value: impl fmt::Display) {
    out.push(b'"');
    let written = fmt::write(&mut Escaping(out), format_args!("{value}"));
    debug_assert!(written.is_ok(), "a Vec takes whatever is written to it");
    out.push(b'"');
}

/// Appends to a buffer, and escapes.
struct Escaping<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_content(self.0, text);
        Ok(())
    }
}

/// A hardware address as `00:1b:1b:12:34:56`.
pub(super) struct Mac(pub(super) [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// Appends a time as RFC 3339 in UTC with nine digits. Every `i64` of nanoseconds lies in the years 1677 to 2262.
pub(super) fn write_time(out: &mut Vec<u8>, nanoseconds: i64) {
    let mut text = *b"\"0000-00-00T00:00:00.000000000Z\"";
    let seconds = nanoseconds.div_euclid(NANOSECONDS);
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_OF_DAY));
    let of_day = seconds.rem_euclid(SECONDS_OF_DAY);
    let [first, second, third, fourth, fifth] = pairs_of(nanoseconds.rem_euclid(NANOSECONDS) as u32);
    text[1..3].copy_from_slice(&pair(year as u32 / 100));
    text[3..5].copy_from_slice(&pair(year as u32 % 100));
    text[6..8].copy_from_slice(&pair(month as u32));
    text[9..11].copy_from_slice(&pair(day as u32));
    text[12..14].copy_from_slice(&pair(of_day as u32 / 3600));
    text[15..17].copy_from_slice(&pair(of_day as u32 / 60 % 60));
    text[18..20].copy_from_slice(&pair(of_day as u32 % 60));
    text[21] = first[1];
    text[22..24].copy_from_slice(&second);
    text[24..26].copy_from_slice(&third);
    text[26..28].copy_from_slice(&fourth);
    text[28..30].copy_from_slice(&fifth);
    out.extend_from_slice(&text);
}

/// Ten digits in pairs: each pair depends on one division, not on all those before it.
const fn pairs_of(value: u32) -> [[u8; 2]; 5] {
    [
        pair(value / 100_000_000),
        pair(value / 1_000_000 % 100),
        pair(value / 10_000 % 100),
        pair(value / 100 % 100),
        pair(value % 100),
    ]
}

/// Two digits.
const fn pair(value: u32) -> [u8; 2] {
    [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]
}

/// Year, month and day of a number of days since 1970-01-01. Counts in years that begin in March, so that the leap day
/// is the last one, and in eras of 400 years, after which the Gregorian calendar repeats.
const fn civil(days: i64) -> (i64, i64, i64) {
    let since_march_0000 = days + 719_468;
    let era = since_march_0000.div_euclid(DAYS_OF_ERA);
    let of_era = since_march_0000.rem_euclid(DAYS_OF_ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let january_or_february = month >= 10;
    let calendar_month = if january_or_february { month - 9 } else { month + 3 };
    (era * 400 + year_of_era + january_or_february as i64, calendar_month, day)
}

const NANOSECONDS: i64 = 1_000_000_000;
const SECONDS_OF_DAY: i64 = 86_400;
const DAYS_OF_ERA: i64 = 146_097;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn the_time_of_the_design_is_written_as_there() {
        assert_eq!(written(|out| write_time(out, 1_767_323_045_123_456_789)), "\"2026-01-02T03:04:05.123456789Z\"");
    }

    #[test]
    fn the_extremes_of_an_i64_are_still_times() {
        assert_eq!(written(|out| write_time(out, i64::MIN)), "\"1677-09-21T00:12:43.145224192Z\"");
        assert_eq!(written(|out| write_time(out, i64::MAX)), "\"2262-04-11T23:47:16.854775807Z\"");
    }

    #[test]
    fn addresses_are_lower_case_and_null_where_unknown() {
        let host = Host { ip: None, mac: Some([0, 0x1B, 0x1B, 0xFF, 0, 9]), vlan: Some(30) };
        let expected = r#"{"ip":null,"port":null,"mac":"00:1b:1b:ff:00:09","vlan":30}"#;
        assert_eq!(written(|out| write_object(out, |object| add_addresses(object, &host, None))), expected);
    }

    #[test]
    fn numbers_have_as_many_digits_as_they_need() {
        assert_eq!(written(|out| write_numbers(out, [].into_iter())), "[]");
        let all = [0, 9, 10, 99, 100, 1000, 9999, 10_000, 65_535];
        assert_eq!(written(|out| write_numbers(out, all.into_iter())), "[0,9,10,99,100,1000,9999,10000,65535]");
    }

    proptest! {
        #[test]
        fn every_string_survives_a_json_parser(text in any::<String>()) {
            let json = written(|out| write_string(out, &text));
            prop_assert_eq!(serde_json::from_str::<String>(&json).expect("valid JSON"), text);
        }

        #[test]
        fn every_node_is_as_it_displays_whatever_it_is_called(
            namespace in any::<u16>(), number in any::<u32>(), bytes in any::<Vec<u8>>(), guid in any::<[u8; 16]>(),
        ) {
            let ids = [NodeId::Numeric(number), NodeId::Text(&bytes), NodeId::Opaque(&bytes), NodeId::Guid(guid)];
            for one in ids.into_iter().flat_map(|id| [Node { namespace, id }, Node { namespace: 0, id }]) {
                let json = written(|out| write_node(out, one));
                prop_assert_eq!(serde_json::from_str::<String>(&json).expect("valid JSON"), one.to_string());
            }
        }

        #[test]
        fn every_time_is_what_an_independent_calendar_says(nanoseconds in any::<i64>()) {
            let other = jiff::Timestamp::from_nanosecond(nanoseconds.into()).expect("in range");
            prop_assert_eq!(written(|out| write_time(out, nanoseconds)), format!("\"{other:.9}\""));
        }
    }
}
