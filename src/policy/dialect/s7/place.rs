//! Places in an S7 controller: ranges of memory, objects, blocks.

use lockkeeper_protocols::{Area, OBJECT_DEPTH};

use super::super::{Extent, Location};
use super::{S7, area_of, block_number, table_of};
use crate::document::suggest::list;
use crate::policy::addresses::{AddressUnit, Addresses, length};
use crate::policy::encoding::DataType;
use crate::policy::section::{Complaint, Section, Span, Word};
use crate::policy::values;

/// An object of an S7-1200 or S7-1500 and all that lies below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S7Object {
    /// Its id, such as 0x8A0E_0001 for data block 1.
    pub object: u32,
    /// The first ids below it; empty for all. At most [`OBJECT_DEPTH`].
    pub path: Vec<u32>,
}

impl S7Object {
    /// Whether an access lies in it.
    pub fn holds(&self, object: u32, path: &[u32; OBJECT_DEPTH], depth: u8) -> bool {
        let used = path.get(..usize::from(depth)).unwrap_or(path);
        self.object == object && used.starts_with(&self.path)
    }

    /// `object 0x8a0e0001.2550`.
    fn text(&self) -> String {
        let path: String = self.path.iter().map(|id| format!(".{id}")).collect();
        format!("object {:#x}{path}", self.object)
    }
}

/// The memory that an object id stands for, with the number of the data block. Ids of data blocks carry the block's number
/// in their lower half; those of the areas are fixed in every controller.
pub(super) const fn memory_of(object: u32) -> Option<(Area, u16)> {
    match (object >> 16, object as u16) {
        (0x8A0E, db) => Some((Area::DataBlock, db)),
        (0, 80) => Some((Area::Input, 0)),
        (0, 81) => Some((Area::Output, 0)),
        (0, 82) => Some((Area::Flag, 0)),
        (0, 83) => Some((Area::Counter, 0)),
        (0, 84) => Some((Area::Timer, 0)),
        _ => None,
    }
}

/// One entry of `blocks`: `OB1`, `DB10-20`, `FC*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// The kind; every kind where none is named.
    pub kind: Option<&'static str>,
    /// First and last number; every number, and none, where none is named.
    pub numbers: Option<(u32, u32)>,
}

impl Blocks {
    /// The kinds of blocks.
    pub const KINDS: [&'static str; 8] = ["OB", "DB", "SDB", "FC", "SFC", "FB", "SFB", "CMod"];

    /// Whether a block, or all blocks of a kind, is among these.
    pub fn hold(&self, kind: &str, number: Option<u32>) -> bool {
        let numbers = |(first, last)| number.is_some_and(|number| (first..=last).contains(&number));
        self.kind.is_none_or(|own| own == kind) && self.numbers.is_none_or(numbers)
    }

    /// As the policy writes it.
    pub fn text(&self) -> String {
        let kind = self.kind.unwrap_or_default();
        match self.numbers {
            None => format!("{kind}*"),
            Some((first, last)) if first == last => format!("{kind}{first}"),
            Some((first, last)) => format!("{kind}{first}-{last}"),
        }
    }
}

/// Reads `s7 = { area, db, bytes, bits }`, `s7 = { area, numbers }` or `s7 = { object, path }`.
pub(super) fn read(parent: &mut Section<'_>) -> Option<Location> {
    let what = format!("s7 of {}", parent.what);
    let mut section = parent.table("s7", what)?;
    let place = if section.has("object") { read_object(&mut section) } else { read_memory(&mut section) };
    section.finish();
    let (text, extent) = place?;
    Some(Location { dialect: &S7, text, extent })
}

/// Reads `blocks = ["OB1", "FC*"]`.
pub(super) fn read_blocks(entry: &mut Section<'_>) -> Option<Location> {
    let words = entry.texts("blocks");
    let blocks: Vec<Blocks> = words.iter().filter_map(|word| entry.parse(word, blocks)).collect();
    let texts: Vec<String> = blocks.iter().map(Blocks::text).collect();
    let text = list(texts.iter().map(String::as_str));
    (!blocks.is_empty()).then_some(Location { dialect: &S7, text, extent: Extent::Blocks(blocks) })
}

fn read_object(section: &mut Section<'_>) -> Option<(String, Extent)> {
    let object = section.integer_in("object", 1..=i64::from(u32::MAX));
    let path = section.integers("path", &(0..=i64::from(u32::MAX)));
    if let Some((_, span)) = path.get(OBJECT_DEPTH) {
        let message = format!("`path` of {} has more than {OBJECT_DEPTH} ids", section.what);
        section.problems.error(span.clone(), message, "name fewer: everything below them is meant as well");
    }
    let path = path.into_iter().filter_map(|(id, _)| u32::try_from(id).ok()).collect();
    let object = S7Object { object: object?, path };
    Some((object.text(), Extent::Object(object)))
}

fn read_memory(section: &mut Section<'_>) -> Option<(String, Extent)> {
    section.missing("area", "area = \"DB\" and db = 10, or object = 0x8A0E000A for symbolic access");
    let names = Area::NAMED.map(Area::name);
    let area = section.parsed("area", |text| values::one_of(text, "an S7 area", &names));
    let area = area.and_then(Area::from_name);
    let in_blocks = matches!(area, Some(Area::DataBlock | Area::InstanceData));
    let db = section.integer_in("db", 1..=65_535);
    let (bytes, bits, numbers) = (ranges(section, "bytes"), ranges(section, "bits"), ranges(section, "numbers"));
    let area = area?;
    if in_blocks {
        section.missing("db", "the number of the data block: db = 10");
    }
    let no = |key, is_right: bool, help: &str| {
        if section.has(key) && !is_right {
            let message = format!("`{key}` does not apply to area {}", area.name());
            section.problems.error(section.span_of(key), message, help);
        }
    };
    no("db", in_blocks, "remove `db`, or write area = \"DB\"");
    no("bytes", !area.is_numbered(), "timers and counters have numbers: write numbers = \"0-15\"");
    no("bits", !area.is_numbered(), "timers and counters have numbers: write numbers = \"0-15\"");
    no("numbers", area.is_numbered(), "only timers and counters have numbers: write bytes = \"0-15\"");
    let ranges = if area.is_numbered() { numbers } else { bit_ranges(section, bytes, &bits) };
    let ranges = if ranges.is_empty() { vec![Addresses::WHOLE] } else { ranges };
    let unit = if area.is_numbered() { AddressUnit::Element } else { AddressUnit::Bit };
    let db = db.unwrap_or(0);
    let text = memory_text(area, db, &ranges);
    let number = Some(block_number(area, db));
    Some((text, Extent::Addresses(Addresses { table: table_of(area), number, ranges, unit })))
}

fn ranges(section: &mut Section<'_>, key: &'static str) -> Vec<(u32, u32)> {
    let mut ranges = Vec::new();
    for (text, span) in section.tokens(key, "a number, a range such as \"0-15\", or a list of them") {
        let range = section.parse(&Word { text: &text, span }, values::range);
        ranges.extend(range.map(|(first, last)| (u32::from(first), u32::from(last))));
    }
    ranges
}

/// Ranges of bits for ranges of bytes, or for bits of one byte.
fn bit_ranges(section: &Section<'_>, bytes: Vec<(u32, u32)>, bits: &[(u32, u32)]) -> Vec<(u32, u32)> {
    if !section.has("bits") {
        return bytes.into_iter().map(|(first, last)| (first * 8, last * 8 + 7)).collect();
    }
    let byte = match *bytes {
        [(first, last)] if first == last => first,
        _ => {
            let message = format!("`bits` of {} needs a single byte", section.what);
            section.problems.error(section.span_of("bits"), message, "write bytes = 3, bits = 2 for bit 3.2");
            return Vec::new();
        }
    };
    if bits.iter().any(|&(_, last)| last > 7) {
        let message = format!("`bits` of {} go beyond a byte", section.what);
        section.problems.error(section.span_of("bits"), message, "write bits from 0 to 7, or name whole bytes");
        return Vec::new();
    }
    bits.iter().map(|&(first, last)| (byte * 8 + first, byte * 8 + last)).collect()
}

/// Parses `OB1`, `DB10-20`, `FC*`, `*`.
fn blocks(text: &str) -> Result<Blocks, Complaint> {
    let split = text.find(|letter: char| letter.is_ascii_digit() || letter == '*').unwrap_or(text.len());
    let (word, rest) = text.split_at(split);
    let kind = Blocks::KINDS.into_iter().find(|kind| *kind == word);
    let numbers = match rest {
        "*" => Some(None),
        _ => values::range(rest).ok().map(|(first, last)| Some((u32::from(first), u32::from(last)))),
    };
    let complain = |help: String| Err((format!("`{text}` names no block"), help));
    match (kind, numbers) {
        (None, Some(None)) if word.is_empty() => Ok(Blocks { kind: None, numbers: None }),
        (Some(kind), Some(numbers)) => Ok(Blocks { kind: Some(kind), numbers }),
        (Some(kind), None) => complain(format!("write \"{kind}1\", \"{kind}10-20\" or \"{kind}*\"")),
        (None, _) => {
            complain(format!("write a kind and a number, such as \"OB1\"; kinds are: {}", list(Blocks::KINDS)))
        }
    }
}

/// As engineers write it: `DB20 byte 16-19`, `M byte 3 bit 2`, `T 5`.
fn memory_text(area: Area, db: u16, ranges: &[(u32, u32)]) -> String {
    let name = if db > 0 { format!("{}{db}", area.name()) } else { area.name().to_owned() };
    let ranges: Vec<String> = ranges.iter().filter_map(|&range| bits_text(range, area.is_numbered())).collect();
    if ranges.is_empty() { name } else { format!("{name} {}", list(ranges.iter().map(String::as_str))) }
}

/// A range of an area; `None` for all of it.
fn bits_text((first, last): (u32, u32), is_numbered: bool) -> Option<String> {
    use crate::policy::addresses::range_text as text;
    match (first, last) {
        Addresses::WHOLE => None,
        _ if is_numbered => Some(text((first, last))),
        _ if first % 8 == 0 && last % 8 == 7 => Some(format!("byte {}", text((first / 8, last / 8)))),
        _ => Some(format!("byte {} bit {}", first / 8, text((first % 8, last % 8)))),
    }
}

/// How many values a range of memory holds, with the complaint where it holds no values of this type.
pub(super) fn check_memory(
    data_type: DataType,
    Addresses { table, ranges, .. }: &Addresses,
    type_span: Span,
    section: &Section<'_>,
) -> Option<u64> {
    let area = area_of(*table);
    let addresses = || ranges.iter().map(|&range| length(range)).sum();
    if area.is_numbered() {
        if data_type.size() != Some(2) {
            let message = format!("values of area {} take 16 bits, not those of this type", area.name());
            section.problems.error(type_span, message, "write type = \"s5time\", \"counter\" or \"u16\"");
        }
        return Some(addresses());
    }
    if data_type == DataType::Bool {
        return Some(addresses());
    }
    let is_whole = ranges.contains(&Addresses::WHOLE);
    let Some(size) = data_type.size().filter(|_| !is_whole) else {
        // One string in each range.
        return Some(ranges.len() as u64);
    };
    let bits = u64::from(size) * 8;
    if let Some((first, last)) = ranges.iter().find(|&&range| !length(range).is_multiple_of(bits)) {
        let message = match length((*first, *last)) {
            0..8 => "bits are not of this type".to_owned(),
            _ => format!("{}-{} is no whole number of values of {size} bytes each", first / 8, last / 8),
        };
        let help = format!("give {size} bytes for each value, or choose another type");
        section.problems.error(type_span, message, help);
    }
    Some(ranges.iter().map(|&range| length(range) / bits).sum())
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

    #[test]
    fn a_pattern_holds_its_kind_and_numbers() {
        let any = Blocks { kind: Some("FC"), numbers: None };
        assert!(
            any.hold("FC", Some(7)) && any.hold("FC", None) && !any.hold("FB", Some(7)) && !any.hold("SFC", Some(7))
        );
        let some = Blocks { kind: Some("DB"), numbers: Some((10, 20)) };
        assert!(some.hold("DB", Some(20)) && !some.hold("DB", Some(21)) && !some.hold("DB", None));
        assert_eq!([any.text(), some.text()], ["FC*", "DB10-20"]);
    }

    #[test]
    fn an_object_holds_what_lies_below_it() {
        let own = S7Object { object: 0x8A0E_0001, path: vec![2550, 9] };
        assert!(own.holds(0x8A0E_0001, &[2550, 9, 4, 0], 3));
        assert!(!own.holds(0x8A0E_0001, &[2550, 0, 0, 0], 1) && !own.holds(0x8A0E_0002, &[2550, 9, 0, 0], 2));
        assert_eq!(memory_of(0x8A0E_0014), Some((Area::DataBlock, 20)));
        assert_eq!(memory_of(0x1234_0050), None);
    }
}
