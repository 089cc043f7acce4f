//! Item specifications in every known syntax.
//!
//! Each begins with 0x12, the length of the rest, and a syntax; one of odd length is followed by a fill byte. (The
//! fields of the syntaxes other than S7ANY are known from observation.)

use crate::operation::{Area, OBJECT_DEPTH, Target};
use crate::reader::{DecodeError, Reader};

/// The number of bytes that are read from or written to a target, if it is known.
pub(super) fn byte_count(target: &Target<'_>) -> Option<usize> {
    match *target {
        Target::Memory { area, count, .. } if area.is_numbered() => Some(2 * count as usize),
        Target::Memory { count, .. } => Some(count.div_ceil(8) as usize),
        _ => None,
    }
}

/// Reads one item specification and visits its targets, with their number of bytes in the answer if it names several.
pub(super) fn read(
    reader: &mut Reader<'_>,
    visit: &mut dyn FnMut(Target<'static>, Option<u8>),
) -> Result<(), DecodeError> {
    match read_memory(reader) {
        Some(target) => visit(target, None),
        None => read_other(reader, visit)?,
    }
    Ok(())
}

/// Reads an item of syntax S7ANY, a range of memory, if the next one is; otherwise reads nothing.
pub(super) fn read_memory(reader: &mut Reader<'_>) -> Option<Target<'static>> {
    let mut ahead = *reader;
    let item = ahead.array::<ITEM>("item").ok()?;
    let [SPECIFICATION, S7ANY_LENGTH, S7ANY, size, count_high, count_low, db_high, db_low, area, address @ ..] = item
    else {
        return None;
    };
    *reader = ahead;
    let count = u16::from_be_bytes([count_high, count_low]);
    let db = u16::from_be_bytes([db_high, db_low]);
    Some(memory_range(size, count, db, area, address))
}

/// Reads an item by its stated length.
fn read_other(reader: &mut Reader<'_>, visit: &mut dyn FnMut(Target<'static>, Option<u8>)) -> Result<(), DecodeError> {
    let (syntax, body) = read_stated(reader)?;
    visit_syntax(syntax, body, visit)
}

/// Reads one item of a known syntax other than S7ANY, by its stated length. None, with nothing read, if the next one is
/// not; an error if it is truncated, after visiting the targets up to there.
pub(super) fn read_known(
    reader: &mut Reader<'_>,
    visit: &mut dyn FnMut(Target<'static>, Option<u8>),
) -> Option<Result<(), DecodeError>> {
    let mut ahead = *reader;
    let (syntax, body) = read_stated(&mut ahead).ok().filter(|(syntax, _)| is_known(*syntax))?;
    *reader = ahead;
    Some(visit_syntax(syntax, body, visit))
}

/// Reads twelve bytes as an item of syntax S7ANY, whatever their first three bytes are: snap7 1.4.2 and python-snap7
/// 3.3.0 never inspect those. None if they name no known area.
pub(super) fn read_as_s7any(reader: &mut Reader<'_>) -> Option<Target<'static>> {
    let mut ahead = *reader;
    let [_, _, _, size, count_high, count_low, db_high, db_low, area, address @ ..] =
        ahead.array::<ITEM>("item").ok()?;
    if matches!(area_of(area), Area::Other(_)) {
        return None;
    }
    *reader = ahead;
    let (count, db) = (u16::from_be_bytes([count_high, count_low]), u16::from_be_bytes([db_high, db_low]));
    Some(memory_range(size, count, db, area, address))
}

/// The target of an item in another syntax, if it may be meant as S7ANY as well. snap7 1.4.2 accepts it if size, area
/// and address agree and its bytes fit a PDU; python-snap7 3.3.0 `writes` with any size, even to no bytes. (Symbolic
/// items always have FF in place of the size; what WinCC reads by DBREAD may agree by accident.)
pub(super) fn also_s7any(mut reader: Reader<'_>, writes: bool) -> Option<Target<'static>> {
    let &[_, _, syntax, size, high, low, _, _, area, _, _, bits] = reader.rest().first_chunk::<ITEM>()?;
    let target = read_as_s7any(&mut reader)?;
    let (count, bytes) = (u16::from_be_bytes([high, low]), byte_count(&target)?);
    let agrees = match (size, area) {
        (0x1C, 0x1C) | (0x1D, 0x1D) => true,
        (1, 0x81..=0x84) => count == 1,
        (2..=8, 0x81..=0x84) => bits % 8 == 0,
        _ => false,
    };
    let is_usual = !writes && syntax == DBREAD;
    let is_read = agrees && bytes > 0 && bytes <= LONGEST_PDU && !is_usual;
    let is_written = writes && matches!(area, 0x81..=0x84) && (syntax, size) != (SYMBOLIC, 0xFF);
    (is_read || is_written).then_some(target)
}

/// Reads syntax and body of an item by its stated length.
fn read_stated<'a>(reader: &mut Reader<'a>) -> Result<(u8, Reader<'a>), DecodeError> {
    let [specification, length] = reader.array("item")?;
    let body = reader.bytes(length.into(), "item")?;
    if length % 2 == 1 && reader.left() > 0 {
        reader.bytes(1, "fill_byte")?;
    }
    if specification != SPECIFICATION {
        return Err(DecodeError::Invalid("item_specification"));
    }
    let mut body = Reader::new(body);
    Ok((body.u8("item_syntax")?, body))
}

/// Visits the targets in the body of an item.
fn visit_syntax(
    syntax: u8,
    mut reader: Reader<'_>,
    visit: &mut dyn FnMut(Target<'static>, Option<u8>),
) -> Result<(), DecodeError> {
    let target = match syntax {
        DBREAD => return visit_db_areas(&mut reader, visit),
        SYMBOLIC => read_symbolic(&mut reader)?,
        NCK | NCK_METRIC | NCK_INCH => read_nck(&mut reader)?,
        DRIVE => {
            reader.bytes(5, "drive_item")?;
            let (number, index) = (reader.u16_be("parameter_number")?, reader.u16_be("parameter_index")?);
            Target::Item { kind: "drive_parameter", number: number.into(), index: index.into() }
        }
        PBC => {
            reader.u8("pbc_item")?;
            Target::Item { kind: "r_id", number: u32::from_be_bytes(reader.array("r_id")?), index: 0 }
        }
        ALARM_LOCK | ALARM_INDICATION | ALARM_ACK | ALARM_QUERY | NOTIFY_INDICATION => {
            reader.u8("alarm_values")?;
            Target::Item { kind: "alarm", number: u32::from_be_bytes(reader.array("event_id")?), index: 0 }
        }
        _ => Target::Item { kind: "syntax", number: syntax.into(), index: 0 },
    };
    visit(target, None);
    Ok(())
}

/// Whether it is a known syntax other than S7ANY.
const fn is_known(syntax: u8) -> bool {
    matches!(
        syntax,
        DBREAD
            | SYMBOLIC
            | NCK
            | NCK_METRIC
            | NCK_INCH
            | DRIVE
            | PBC
            | ALARM_LOCK
            | ALARM_INDICATION
            | ALARM_ACK
            | ALARM_QUERY
            | NOTIFY_INDICATION
    )
}

/// A range of memory, by a bit address of 24 bits or by the number of a timer or counter.
fn memory_range(size: u8, count: u16, db: u16, area: u8, [first, second, third]: [u8; 3]) -> Target<'static> {
    let first = u32::from_be_bytes([0, first, second, third]);
    let area = area_of(area);
    let each = if area.is_numbered() { 1 } else { element_bits(size).into() };
    let db = if matches!(area, Area::DataBlock | Area::InstanceData) { db } else { 0 };
    Target::Memory { area, db, first, count: u32::from(count) * each }
}

/// Visits the areas of a DBREAD: ranges of data blocks, each with its bytes, its block and its first byte.
fn visit_db_areas(
    reader: &mut Reader<'_>,
    visit: &mut dyn FnMut(Target<'static>, Option<u8>),
) -> Result<(), DecodeError> {
    for _ in 0..reader.u8("areas")? {
        let bytes = reader.u8("bytes")?;
        let (db, start) = (reader.u16_be("db")?, reader.u16_be("start")?);
        let (first, count) = (u32::from(start) * 8, u32::from(bytes) * 8);
        visit(Target::Memory { area: Area::DataBlock, db, first, count }, Some(bytes));
    }
    Ok(())
}

/// Reads a symbolic access to an S7-1200 or S7-1500: a root area, a checksum of the symbol, the ids of its path.
fn read_symbolic(reader: &mut Reader<'_>) -> Result<Target<'static>, DecodeError> {
    reader.u8("reserved")?;
    let object = u32::from_be_bytes(reader.array("root_area")?);
    reader.bytes(4, "symbol_checksum")?;
    let (mut path, mut depth) = ([0; OBJECT_DEPTH], 0);
    for slot in &mut path {
        let Ok(id) = reader.array("id") else { break };
        *slot = u32::from_be_bytes(id) & LOCAL_ID;
        depth += 1;
    }
    Ok(Target::Object { object, path, depth })
}

/// Reads a variable of a numerical control: area and unit, column, line, module. The line becomes the index; the number
/// joins area and unit (upper 8 bits), module and column.
fn read_nck(reader: &mut Reader<'_>) -> Result<Target<'static>, DecodeError> {
    let area_unit = reader.u8("area_unit")?;
    let [column_high, column_low] = reader.array("column")?;
    let line = reader.u16_be("line")?;
    let module = reader.u8("module")?;
    let number = u32::from_be_bytes([area_unit, module, column_high, column_low]);
    Ok(Target::Item { kind: "nck", number, index: line.into() })
}

/// Bits of one element.
const fn element_bits(size: u8) -> u8 {
    match size {
        0x01 => 1,
        0x02 | 0x03 => 8,
        0x04 | 0x05 | 0x09 | 0x0C | 0x1C | 0x1D => 16,
        0x06 | 0x07 | 0x08 | 0x0A | 0x0B | 0x1E..=0x20 => 32,
        0x0F => 64,
        // An octet string, and any other size.
        _ => 8,
    }
}

const fn area_of(code: u8) -> Area {
    match code {
        0x80 => Area::Periphery,
        0x81 => Area::Input,
        0x82 => Area::Output,
        0x83 => Area::Flag,
        0x84 => Area::DataBlock,
        0x85 => Area::InstanceData,
        0x86 => Area::Local,
        0x87 => Area::PreviousLocal,
        0x1C | 0x1E => Area::Counter,
        0x1D | 0x1F => Area::Timer,
        _ => Area::Other(code),
    }
}

/// First byte of an item specification.
const SPECIFICATION: u8 = 0x12;
/// Any range of memory, by its address.
const S7ANY: u8 = 0x10;
/// Bytes of it behind its length.
const S7ANY_LENGTH: u8 = 10;
/// Bytes of it in all.
pub(super) const ITEM: usize = 12;
/// Bytes of the longest PDU that controllers negotiate.
const LONGEST_PDU: usize = 960;
const PBC: u8 = 0x13;
const ALARM_LOCK: u8 = 0x15;
const ALARM_INDICATION: u8 = 0x16;
const ALARM_ACK: u8 = 0x19;
const ALARM_QUERY: u8 = 0x1A;
const NOTIFY_INDICATION: u8 = 0x1C;
const NCK: u8 = 0x82;
const NCK_METRIC: u8 = 0x83;
const NCK_INCH: u8 = 0x84;
const DRIVE: u8 = 0xA2;
const DBREAD: u8 = 0xB0;
const SYMBOLIC: u8 = 0xB2;
/// The upper four bits of an id are flags.
const LOCAL_ID: u32 = 0x0FFF_FFFF;
