//! What the language says about Siemens S7 controllers: places, blocks, actions, sessions.

use lockkeeper_protocols::{Area, Class, OBJECT_DEPTH};

use super::super::model::{Blocks, DeclaredProtocol, Password, S7Memory, S7Object, S7Place, S7Session};
use super::super::section::{Section, Word};
use super::super::values;
use super::super::words::{self, Action, Classes};
use super::Walk;
use super::points::is_s7;

impl Section<'_> {
    /// `s7 = { area, db, bytes, bits }`, `s7 = { area, numbers }` or `s7 = { object, path }`.
    pub(super) fn s7_place(&mut self) -> Option<S7Place> {
        let what = format!("s7 of {}", self.what);
        let mut section = self.table("s7", what)?;
        let place = match section.has("object") {
            true => section.s7_object().map(S7Place::Object),
            false => section.s7_memory().map(S7Place::Memory),
        };
        section.finish();
        place
    }

    fn s7_object(&mut self) -> Option<S7Object> {
        let object = self.small("object", 1..=i64::from(u32::MAX));
        let path = self.integers("path", &(0..=i64::from(u32::MAX)));
        if let Some((_, span)) = path.get(OBJECT_DEPTH) {
            let message = format!("`path` of {} has more than {OBJECT_DEPTH} ids", self.what);
            self.problems.error(span.clone(), message, "name fewer: everything below them is meant as well");
        }
        let path = path.into_iter().filter_map(|(id, _)| u32::try_from(id).ok()).collect();
        Some(S7Object { object: object?, path })
    }

    fn s7_memory(&mut self) -> Option<S7Memory> {
        self.missing("area", "area = \"DB\" and db = 10, or object = 0x8A0E000A for symbolic access");
        let names = Area::NAMED.map(Area::name);
        let area = self.parsed("area", |text| values::one_of(text, "an S7 area", &names));
        let area = area.and_then(Area::from_name);
        let in_blocks = matches!(area, Some(Area::DataBlock | Area::InstanceData));
        let db = self.small("db", 1..=65_535);
        let (bytes, bits, numbers) = (self.ranges("bytes"), self.ranges("bits"), self.ranges("numbers"));
        let area = area?;
        if in_blocks {
            self.missing("db", "the number of the data block: db = 10");
        }
        let no = |key, is_right: bool, help: &str| {
            if self.has(key) && !is_right {
                let message = format!("`{key}` does not apply to area {}", area.name());
                self.problems.error(self.span_of(key), message, help);
            }
        };
        no("db", in_blocks, "remove `db`, or write area = \"DB\"");
        no("bytes", !area.is_numbered(), "timers and counters have numbers: write numbers = \"0-15\"");
        no("bits", !area.is_numbered(), "timers and counters have numbers: write numbers = \"0-15\"");
        no("numbers", area.is_numbered(), "only timers and counters have numbers: write bytes = \"0-15\"");
        let ranges = if area.is_numbered() { numbers } else { self.of_bits(bytes, &bits) };
        let ranges = if ranges.is_empty() { vec![S7Memory::WHOLE] } else { ranges };
        Some(S7Memory { area, db: db.unwrap_or(0), ranges })
    }

    fn ranges(&mut self, key: &'static str) -> Vec<(u32, u32)> {
        let mut ranges = Vec::new();
        for (text, span) in self.tokens(key, "a number, a range such as \"0-15\", or a list of them") {
            let range = self.parse(&Word { text: &text, span }, values::range);
            ranges.extend(range.map(|(first, last)| (u32::from(first), u32::from(last))));
        }
        ranges
    }

    /// Bytes as bits, or bits of one byte.
    fn of_bits(&self, bytes: Vec<(u32, u32)>, bits: &[(u32, u32)]) -> Vec<(u32, u32)> {
        if !self.has("bits") {
            return bytes.into_iter().map(|(first, last)| (first * 8, last * 8 + 7)).collect();
        }
        let byte = match *bytes {
            [(first, last)] if first == last => first,
            _ => {
                let message = format!("`bits` of {} needs a single byte", self.what);
                self.problems.error(self.span_of("bits"), message, "write bytes = 3, bits = 2 for bit 3.2");
                return Vec::new();
            }
        };
        if bits.iter().any(|&(_, last)| last > 7) {
            let message = format!("`bits` of {} go beyond a byte", self.what);
            self.problems.error(self.span_of("bits"), message, "write bits from 0 to 7, or name whole bytes");
            return Vec::new();
        }
        bits.iter().map(|&(first, last)| (byte * 8 + first, byte * 8 + last)).collect()
    }

    /// `blocks = ["OB1", "FC*"]`.
    pub(super) fn blocks(&mut self) -> Vec<Blocks> {
        self.texts("blocks").iter().filter_map(|word| self.parse(word, blocks)).collect()
    }

    /// `actions = ["stop"]`.
    pub(super) fn actions(&mut self) -> Vec<&'static Action> {
        self.texts("actions").iter().filter_map(|word| self.parse(word, action)).collect()
    }

    /// `s7` of a flow.
    pub(super) fn s7_session(&mut self, protocol: &DeclaredProtocol) -> Option<S7Session> {
        let span = self.span_of("s7");
        let what = format!("s7 of {}", self.what);
        let mut section = self.table("s7", what)?;
        if !matches!(protocol, DeclaredProtocol::Named(name) if is_s7(name)) && *protocol != DeclaredProtocol::Any {
            let message = format!("`s7` does not apply to protocol {}", protocol.name());
            section.problems.error(span, message, "remove `s7`, or write protocol = \"s7comm\"");
        }
        let session = S7Session {
            connection: section.word_of("connection", "a connection type", &["PG", "OP", "BASIC", "other"]),
            rack: section.small("rack", 0..=7),
            slot: section.small("slot", 0..=31),
            password: section.parsed("password", password),
        };
        section.finish();
        Some(session)
    }
}

impl<'t> Walk<'t> {
    /// Actions say which control operations; with other classes it would not be clear what they restrict.
    pub(super) fn actions_are_control(&self, entry: &Section<'t>, classes: Classes) {
        if entry.has("actions") && !classes.is_empty() && classes != Classes::only(Class::Control) {
            let message = format!("`actions` of {} need op = \"control\", and no other", entry.what);
            self.problems.error(
                entry.span_of("actions"),
                message,
                "make an entry of its own: { op = \"control\", actions = [...] }",
            );
        }
    }
}

/// `OB1`, `DB10-20`, `FC*`, `*`.
fn blocks(text: &str) -> Result<Blocks, (String, String)> {
    let split = text.find(|letter: char| letter.is_ascii_digit() || letter == '*').unwrap_or(text.len());
    let (word, rest) = text.split_at(split);
    let kind = Blocks::KINDS.into_iter().find(|kind| *kind == word);
    let numbers = match rest {
        "*" => Some(None),
        _ => values::range(rest).ok().map(|(first, last)| Some((u32::from(first), u32::from(last)))),
    };
    match (kind, numbers) {
        (None, Some(None)) if word.is_empty() => Ok(Blocks { kind: None, numbers: None }),
        (Some(kind), Some(numbers)) => Ok(Blocks { kind: Some(kind), numbers }),
        (Some(kind), None) => {
            Err((format!("`{text}` names no block"), format!("write \"{kind}1\", \"{kind}10-20\" or \"{kind}*\"")))
        }
        (None, _) => {
            let kinds = words::list(Blocks::KINDS);
            Err((
                format!("`{text}` names no block"),
                format!("write a kind and a number, such as \"OB1\"; kinds are: {kinds}"),
            ))
        }
    }
}

fn action(text: &str) -> Result<&'static Action, (String, String)> {
    let names: Vec<&str> = words::ACTIONS.iter().map(|action| action.name).collect();
    values::one_of(text, "a control action", &names)?;
    words::ACTIONS.iter().find(|action| action.name == text).ok_or_else(|| (text.to_owned(), String::new()))
}

fn password(text: &str) -> Result<Password, (String, String)> {
    let names = Password::ALL.map(Password::name);
    let name = values::one_of(text, "a rule for passwords", &names)?;
    Ok(Password::ALL.into_iter().find(|password| password.name() == name).unwrap_or(Password::Optional))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_kind_and_a_number_a_range_or_a_star() {
        assert_eq!(blocks("OB1"), Ok(Blocks { kind: Some("OB"), numbers: Some((1, 1)) }));
        assert_eq!(blocks("DB10-20"), Ok(Blocks { kind: Some("DB"), numbers: Some((10, 20)) }));
        assert_eq!(blocks("FC*"), Ok(Blocks { kind: Some("FC"), numbers: None }));
        assert_eq!(blocks("*"), Ok(Blocks { kind: None, numbers: None }));
        for wrong in ["OB", "XB1", "OB1*", "1", "", "OB20-10", "OB99999"] {
            assert!(blocks(wrong).is_err(), "{wrong}");
        }
    }
}
