//! The key log format that OPC UA stacks write and Wireshark reads (its preference `opcua.keylog_file`), with a line for each
//! part of a key:
//!
//! ```text
//! client_iv_CHANNEL_TOKEN: HEX       client_key_CHANNEL_TOKEN: HEX       client_siglen_CHANNEL_TOKEN: BYTES
//! ```
//!
//! and the same with `server`. Empty lines and lines that start with `#` are ignored.

use std::fmt;

use super::KeyName;
use super::cipher::{BLOCK, Key};

/// The keys of a log, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyLog {
    pub(super) keys: Vec<(KeyName, Key)>,
}

/// An invalid line of a key log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongLine {
    /// Line number, from 1.
    pub number: usize,
    /// What is wrong with it, as text that never includes the key.
    pub reason: String,
}

impl fmt::Display for WrongLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.number, self.reason)
    }
}

impl KeyLog {
    /// Parses a whole log.
    pub fn parse(text: &[u8]) -> Result<Self, WrongLine> {
        let mut log = Self::default();
        let mut partial: Vec<Partial> = Vec::new();
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let wrong = |reason: String| WrongLine { number, reason };
            let line = std::str::from_utf8(line).map_err(|_| wrong("not text".to_owned()))?.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, part) = parse_line(line).map_err(wrong)?;
            let known = partial.iter().position(|one| one.name == name);
            let index = known.unwrap_or_else(|| {
                partial.push(Partial { name, line: number, key: None, vector: None, signature: None });
                partial.len() - 1
            });
            if let Some(one) = partial.get_mut(index) {
                one.set(part).map_err(wrong)?;
                if let Some(key) = one.complete() {
                    log.keys.push((name, key));
                    partial.swap_remove(index);
                }
            }
            if partial.len() > MAX_PARTIAL {
                return Err(wrong(format!("more than {MAX_PARTIAL} keys are begun and none of them is whole")));
            }
        }
        match partial.iter().min_by_key(|one| one.line) {
            Some(one) => Err(WrongLine { number: one.line, reason: one.missing_parts() }),
            None => Ok(log),
        }
    }
}

/// A key of which not all lines were parsed.
struct Partial {
    name: KeyName,
    line: usize,
    key: Option<Vec<u8>>,
    vector: Option<[u8; BLOCK]>,
    signature: Option<usize>,
}

/// The content of one line.
enum Part {
    Key(Vec<u8>),
    Vector([u8; BLOCK]),
    Signature(usize),
}

impl Partial {
    /// Adds a part, which must not be there yet.
    fn set(&mut self, part: Part) -> Result<(), String> {
        let again = match part {
            Part::Key(key) => self.key.replace(key).is_some(),
            Part::Vector(vector) => self.vector.replace(vector).is_some(),
            Part::Signature(length) => self.signature.replace(length).is_some(),
        };
        if again { Err("the same line again, before the key is whole".to_owned()) } else { Ok(()) }
    }

    fn complete(&self) -> Option<Key> {
        Some(Key { key: self.key.clone()?, vector: self.vector?, signature: self.signature? })
    }

    /// Describes the parts that are missing.
    fn missing_parts(&self) -> String {
        let KeyName { channel, token, is_client } = self.name;
        let side = if is_client { "client" } else { "server" };
        let parts = [(KEY, self.key.is_none()), (VECTOR, self.vector.is_none()), (LENGTH, self.signature.is_none())];
        let missing = parts.into_iter().filter(|(_, missing)| *missing);
        let missing: Vec<_> = missing.map(|(part, _)| format!("{side}_{part}_{channel}_{token}")).collect();
        format!("this key has no {}", missing.join(" and no "))
    }
}

/// Parses one line, such as `client_key_7_1: 00FF...`.
fn parse_line(line: &str) -> Result<(KeyName, Part), String> {
    let (name, value) = line.split_once(':').ok_or("a line without a colon; expected NAME: VALUE")?;
    let unknown = || format!("`{}` is no name of a key; expected such as client_iv_CHANNEL_TOKEN", shortened(name));
    let mut words = name.trim().split('_');
    let is_client = match words.next() {
        Some("client") => true,
        Some("server") => false,
        _ => return Err(unknown()),
    };
    let part = words.next().ok_or_else(unknown)?;
    let mut number = || words.next()?.parse::<u32>().ok();
    let (Some(channel), Some(token)) = (number(), number()) else { return Err(unknown()) };
    if words.next().is_some() {
        return Err(unknown());
    }
    let part = match part {
        KEY => Part::Key(parse_key(value)?),
        VECTOR => Part::Vector(parse_vector(value)?),
        LENGTH => Part::Signature(parse_signature_length(value)?),
        _ => return Err(unknown()),
    };
    Ok((KeyName { channel, token, is_client }, part))
}

fn parse_key(value: &str) -> Result<Vec<u8>, String> {
    let key = parse_hex(value)?;
    match key.len() {
        16 | 32 => Ok(key),
        other => Err(format!("a key of {other} bytes; those of AES have 16 or 32")),
    }
}

fn parse_vector(value: &str) -> Result<[u8; BLOCK], String> {
    let bytes = parse_hex(value)?;
    bytes
        .as_slice()
        .try_into()
        .map_err(|_| format!("an initialization vector of {} bytes; it has {BLOCK}", bytes.len()))
}

fn parse_signature_length(value: &str) -> Result<usize, String> {
    let length = value.trim().parse().ok().filter(|length| (1..=MAX_SIGNATURE).contains(length));
    length.ok_or_else(|| format!("the length of a signature is a number from 1 to {MAX_SIGNATURE}"))
}

fn parse_hex(value: &str) -> Result<Vec<u8>, String> {
    let wrong = || "not a whole number of bytes in hexadecimal".to_owned();
    let (pairs, rest) = value.trim().as_bytes().as_chunks::<2>();
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some((digit(high)? << 4 | digit(low)?) as u8)).collect();
    bytes.filter(|_| rest.is_empty()).ok_or_else(wrong)
}

/// The start of a name, for a message.
fn shortened(name: &str) -> String {
    name.chars().take(40).collect()
}

const KEY: &str = "key";
const VECTOR: &str = "iv";
const LENGTH: &str = "siglen";
/// Length of the longest signature, bytes.
const MAX_SIGNATURE: usize = 64;
/// Most incomplete keys at a time: the lines of a key need not be adjacent.
const MAX_PARTIAL: usize = 256;
