//! Modbus: registers and bits of a unit.

use lockkeeper_protocols::{Table, Target};

use super::{Dialect, Extent, Location};
use crate::document::suggest::list;
use crate::policy::addresses::{AddressUnit, Addresses, Reach, length, range_text};
use crate::policy::encoding::DataType;
use crate::policy::model::Point;
use crate::policy::section::{Section, Span, Word};
use crate::policy::values;

/// The dialect of Modbus.
#[derive(Debug)]
pub(super) struct Modbus;

/// The numbers of its tables, in the order of [`Table::ALL`].
pub(super) const TABLES: std::ops::Range<usize> = 0..Table::ALL.len();

impl Dialect for Modbus {
    fn key(&self) -> &'static str {
        "modbus"
    }

    fn protocols(&self) -> &'static [&'static str] {
        &["modbus"]
    }

    fn point_place(&self, point: &mut Section<'_>) -> Option<Location> {
        let what = format!("modbus of {}", point.what);
        let mut section = point.table("modbus", what)?;
        section.missing("table", "table = \"holding_register\"");
        let names = Table::ALL.map(Table::name);
        let table = section.parsed("table", |text| {
            values::one_of(text, "a Modbus table", &names)
                .map(|name| Table::from_name(name).unwrap_or(Table::HoldingRegister))
        });
        let unit = section.integer_in::<u8>("unit", 0..=255);
        let ranges = ranges(&mut section, table);
        section.finish();
        let table = table?;
        let texts: Vec<String> = ranges.iter().map(|&range| range_text(range)).collect();
        let text = format!("{} {}", table.name(), list(texts.iter().map(String::as_str)));
        let number = unit.map(u32::from);
        let extent =
            Extent::Addresses(Addresses { table: table as usize, number, ranges, unit: AddressUnit::Register });
        Some(Location { dialect: &Self, text, extent })
    }

    fn entry_keys(&self) -> &'static [&'static str] {
        &["modbus"]
    }

    fn default_type(&self, extent: &Extent) -> DataType {
        if table_of(extent).is_some_and(is_bits) { DataType::Bool } else { DataType::U16 }
    }

    fn check_point(&self, point: &Point, type_span: Span, section: &Section<'_>) -> Option<u64> {
        let (Extent::Addresses(Addresses { ranges, .. }), Some(table)) =
            (&point.place.extent, table_of(&point.place.extent))
        else {
            return None;
        };
        let Some(size) = point.encoding.data_type.registers() else {
            let message = "values of registers are not of this type, which only S7 memory holds";
            section.problems.error(type_span, message, "choose u16, i16, u32, i32, f32, u64, i64, f64 or bool");
            return None;
        };
        if is_bits(table) && point.encoding.data_type != DataType::Bool {
            let message = format!("values of table {} are bits, not this type", table.name());
            section.problems.error(type_span, message, "write type = \"bool\", or leave it out");
        } else if let Some((first, last)) = ranges.iter().find(|&&range| !length(range).is_multiple_of(size.into())) {
            let message = format!("{first}-{last} is no whole number of values of {size} registers each");
            let help = format!("give {size} addresses for each value, or choose another type");
            section.problems.error(type_span, message, help);
        }
        Some(ranges.iter().map(|&range| length(range) / u64::from(size)).sum())
    }

    #[inline]
    fn reach(&self, asset: u16, target: &Target<'_>) -> Option<Reach> {
        let Target::Table { unit, table, address, count } = *target else { return None };
        let (first, count) = (u32::from(address), u32::from(count));
        Some(Reach::new(asset, table as usize, unit.into(), (first, first + count.saturating_sub(1))))
    }

    fn has_address(&self, target: &Target<'_>) -> bool {
        matches!(target, Target::Table { .. } | Target::File { .. })
    }
}

/// `addr` of a place: every address where it is not written.
fn ranges(section: &mut Section<'_>, table: Option<Table>) -> Vec<(u32, u32)> {
    let mut ranges = Vec::new();
    for (text, span) in section.tokens("addr", "an address, a range such as \"0-39\", or a list of them") {
        let range = section.parse(&Word { text: &text, span: span.clone() }, values::range);
        if let Some((table, range)) = table.zip(range) {
            warn_of_manual_notation(section, table, range, span);
        }
        ranges.extend(range.map(|(first, last)| (u32::from(first), u32::from(last))));
    }
    if !section.has("addr") {
        ranges.push((0, u32::from(u16::MAX)));
    }
    ranges
}

/// Manuals number registers from 1, behind a digit for the table: 40041 is the 41st holding register.
fn warn_of_manual_notation(section: &Section<'_>, table: Table, (first, last): (u16, u16), span: Span) {
    let base = match table {
        Table::Coil => return,
        Table::DiscreteInput => 10_001,
        Table::InputRegister => 30_001,
        Table::HoldingRegister => 40_001,
    };
    if first < base || last > base + 9_998 {
        return;
    }
    let (meant, written) = if first == last {
        ((first - base).to_string(), first.to_string())
    } else {
        (format!("\"{}-{}\"", first - base, last - base), format!("{first}-{last}"))
    };
    let message = format!("{written} looks like the notation of manuals, but addresses are those on the wire, from 0");
    let help = format!("write addr = {meant} if the manual calls this {} {written}", table.name());
    section.problems.warning(span, message, help);
}

fn table_of(extent: &Extent) -> Option<Table> {
    let Extent::Addresses(addresses) = extent else { return None };
    Table::ALL.get(addresses.table).copied()
}

/// Whether a table holds bits, not registers.
const fn is_bits(table: Table) -> bool {
    matches!(table, Table::Coil | Table::DiscreteInput)
}
