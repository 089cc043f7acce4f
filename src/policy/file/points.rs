//! Points, and the places in a controller that they and inline ranges name.

use super::super::encoding::{bounds, encoding};
use super::super::model::{DataType, Encoding, Limits, Location, Point, Registers, S7Memory, S7Place, WordOrder};
use super::super::section::{Section, Span, Word};
use super::super::{values, words};
use super::{Walk, span_of};
use lockkeeper_protocols::{Area, Table};

impl<'t> Walk<'t> {
    pub(super) fn points(&mut self, root: &mut Section<'t>) {
        for (name, mut section) in self.named(root, "point") {
            let point = self.point(&name, &mut section);
            section.finish();
            match point {
                Some(point) => self.declared.points.push(point),
                None => self.problems.fail("point", Some(name.text)),
            }
        }
    }

    fn point(&self, name: &Word<'t>, section: &mut Section<'t>) -> Option<Point> {
        section.missing("asset", "the asset that holds it: asset = \"PLC-BRIDGE\"");
        let asset = section.text("asset").and_then(|word| self.asset_ref(&word));
        let place = self.place(name, section);
        let span = section.span_of("type");
        let written = section.parsed("type", encoding);
        // Without a type, the place decides what values there can be; of neither, nothing can be said.
        let is_known = written.is_some() || (!section.has("type") && place.is_some());
        let encoding = written.unwrap_or_else(|| natural_encoding(place.as_ref()));
        let limits = self.limits(section, if is_known { bounds(encoding.data_type) } else { (f64::MIN, f64::MAX) });
        let point =
            Point { name: name.text.to_owned(), asset: asset.unwrap_or(u16::MAX), place: place?, encoding, limits };
        if is_known {
            self.fits(&point, span, section);
        }
        Some(point)
    }

    fn place(&self, name: &Word<'t>, section: &mut Section<'t>) -> Option<Location> {
        let modbus = section.registers().map(Location::Modbus);
        let s7 = section.s7_place().map(Location::S7);
        let nodes = section.nodes().map(Location::OpcUa);
        let misspelt = section.misspelt(&POINT_KEYS).into_iter().any(|meant| PLACES.contains(&meant));
        let written = PLACES.into_iter().filter(|key| section.has(key)).count();
        let help = "add modbus = { unit = 1, table = \"holding_register\", addr = \"0-39\" }";
        match written {
            0 if misspelt => {}
            0 => self.problems.missing(span_of(name), format!("{} says nowhere where it is", section.what), help),
            1 => {}
            _ => {
                let message = format!("{} is in several places", section.what);
                self.problems.error(
                    span_of(name),
                    message,
                    "a point has one of modbus, s7 and opcua: make several points",
                );
            }
        }
        modbus.or(s7).or(nodes)
    }

    fn limits(&self, section: &mut Section<'t>, (low, high): (f64, f64)) -> Limits {
        let limits = Limits {
            min: section.number("min"),
            max: section.number("max"),
            values: section.numbers("values").unwrap_or_default(),
            max_step: section.number("max_step"),
        };
        let problems = self.problems;
        if let (Some(min), Some(max)) = (limits.min, limits.max)
            && min > max
        {
            let message = format!("min {min} of {} is above its max {max}", section.what);
            problems.error(section.span_of("min"), message, format!("write min = {max} and max = {min}"));
        }
        if limits.max_step.is_some_and(|step| step <= 0.0) {
            let message = format!("max_step of {} permits no change", section.what);
            problems.error(section.span_of("max_step"), message, "write a number above zero");
        }
        for (key, value) in [("min", limits.min), ("max", limits.max)] {
            if value.is_some_and(|value| value < low || value > high) {
                let message = format!("{key} of {} is beyond what its type can hold ({low} to {high})", section.what);
                problems.error(section.span_of(key), message, "correct the limit, or choose another type");
            }
        }
        if let Some(value) = limits.values.iter().find(|&&value| value < low || value > high) {
            let message =
                format!("{value} in values of {} is beyond what its type can hold ({low} to {high})", section.what);
            problems.error(section.span_of("values"), message, "correct the value, or choose another type");
        }
        limits
    }

    /// A point's type must fit its place and its ranges.
    fn fits(&self, point: &Point, type_span: Span, section: &Section<'t>) {
        let values = match &point.place {
            Location::Modbus(registers) => self.fits_registers(point.encoding.data_type, registers, type_span),
            Location::S7(S7Place::Memory(memory)) => self.fits_memory(point.encoding.data_type, memory, type_span),
            Location::S7(S7Place::Object(_)) if !point.limits.is_empty() => {
                let message = format!("limits of {} cannot be judged: an object has no address", section.what);
                self.problems.error(
                    section.span.clone(),
                    message,
                    "write the place as area, db and bytes, or remove the limits",
                );
                return;
            }
            Location::OpcUa(nodes) => return self.fits_nodes(point, nodes, type_span, section),
            Location::S7(S7Place::Object(_)) => return,
        };
        if point.limits.max_step.is_some() && values > 1 {
            let message = format!("max_step of {} needs a single value, but it covers {values}", section.what);
            self.problems.error(section.span_of("max_step"), message, "make one point for each value");
        }
    }

    /// How many values there are; 0 where their type does not fit.
    fn fits_registers(&self, data_type: DataType, registers: &Registers, type_span: Span) -> u64 {
        let bits = matches!(registers.table, Table::Coil | Table::DiscreteInput);
        let Some(size) = data_type.registers() else {
            let message = "values of registers are not of this type, which only S7 memory holds";
            self.problems.error(type_span, message, "choose u16, i16, u32, i32, f32, u64, i64, f64 or bool");
            return 0;
        };
        let ranges: Vec<(u32, u32)> =
            registers.ranges.iter().map(|&(first, last)| (first.into(), last.into())).collect();
        if bits && data_type != DataType::Bool {
            let message = format!("values of table {} are bits, not this type", registers.table.name());
            self.problems.error(type_span, message, "write type = \"bool\", or leave it out");
        } else if let Some((first, last)) = ranges.iter().find(|&&range| !length(range).is_multiple_of(size.into())) {
            let message = format!("{first}-{last} is no whole number of values of {size} registers each");
            self.problems.error(
                type_span,
                message,
                format!("give {size} addresses for each value, or choose another type"),
            );
        }
        ranges.iter().map(|&range| length(range) / u64::from(size)).sum()
    }

    fn fits_memory(&self, data_type: DataType, memory: &S7Memory, type_span: Span) -> u64 {
        if memory.area.is_numbered() {
            if data_type.size() != Some(2) {
                let message = format!("values of area {} take 16 bits, not those of this type", memory.area.name());
                self.problems.error(type_span, message, "write type = \"s5time\", \"counter\" or \"u16\"");
            }
            return memory.ranges.iter().map(|&range| length(range)).sum();
        }
        let whole = memory.ranges.contains(&S7Memory::WHOLE);
        let (Some(size), false) = (data_type.size(), whole || data_type == DataType::Bool) else {
            // One string in each range; bits fit everywhere.
            let bits = memory.ranges.iter().map(|&range| length(range)).sum();
            return if data_type == DataType::Bool { bits } else { memory.ranges.len() as u64 };
        };
        let bits = u64::from(size) * 8;
        if let Some((first, last)) = memory.ranges.iter().find(|&&range| !length(range).is_multiple_of(bits)) {
            let message = match length((*first, *last)) {
                0..8 => "bits are not of this type".to_owned(),
                _ => format!("{}-{} is no whole number of values of {size} bytes each", first / 8, last / 8),
            };
            self.problems.error(
                type_span,
                message,
                format!("give {size} bytes for each value, or choose another type"),
            );
        }
        memory.ranges.iter().map(|&range| length(range) / bits).sum()
    }
}

/// How a point says where it is.
const PLACES: [&str; 3] = ["modbus", "s7", "opcua"];

/// The keys of a point.
const POINT_KEYS: [&str; 9] = ["asset", "modbus", "s7", "opcua", "type", "min", "max", "values", "max_step"];

/// How many addresses a range holds.
fn length((first, last): (u32, u32)) -> u64 {
    u64::from(last.saturating_sub(first)) + 1
}

/// Without `type`: whatever a node has, a bit where bits are named, what timers and counters hold, a byte of S7 memory, else an unsigned
/// register.
fn natural_encoding(place: Option<&Location>) -> Encoding {
    let data_type = match place {
        Some(Location::Modbus(Registers { table: Table::Coil | Table::DiscreteInput, .. })) => DataType::Bool,
        Some(Location::S7(S7Place::Memory(memory))) => match memory.area {
            Area::Timer => DataType::S5Time,
            Area::Counter => DataType::Counter,
            _ if memory.ranges.iter().all(|&range| length(range) < 8) => DataType::Bool,
            _ => DataType::U8,
        },
        // Values of nodes say of what type they are: without a type, whatever is a number.
        Some(Location::OpcUa(_)) => DataType::F64,
        _ => DataType::default(),
    };
    Encoding { data_type, order: WordOrder::Big }
}

impl Section<'_> {
    /// `modbus = { unit, table, addr }`.
    pub(super) fn registers(&mut self) -> Option<Registers> {
        let what = format!("modbus of {}", self.what);
        let mut section = self.table("modbus", what)?;
        section.missing("table", "table = \"holding_register\"");
        let names = Table::ALL.map(Table::name);
        let table = section.parsed("table", |text| {
            values::one_of(text, "a Modbus table", &names)
                .map(|name| Table::from_name(name).unwrap_or(Table::HoldingRegister))
        });
        let unit = section.small("unit", 0..=255);
        let mut ranges = Vec::new();
        for (text, span) in section.tokens("addr", "an address, a range such as \"0-39\", or a list of them") {
            let range = section.parse(&Word { text: &text, span: span.clone() }, values::range);
            if let Some((table, range)) = table.zip(range) {
                section.warn_of_manual_notation(table, range, span);
            }
            ranges.extend(range);
        }
        if !section.has("addr") {
            ranges.push((0, u16::MAX));
        }
        section.finish();
        Some(Registers { unit, table: table?, ranges })
    }
}

impl Section<'_> {
    /// Manuals number registers from 1 and put a digit for the table before them: 40041 is the 41st holding register.
    fn warn_of_manual_notation(&self, table: Table, (first, last): (u16, u16), span: Span) {
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
        let message =
            format!("{written} looks like the notation of manuals, but addresses are those on the wire, from 0");
        let help = format!("write addr = {meant} if the manual calls this {} {written}", table.name());
        self.problems.warning(span, message, help);
    }
}

/// Whether a point's place can be named by a flow of this protocol.
pub(super) fn speaks(place: &Location, protocol: &str) -> bool {
    match place {
        Location::Modbus(_) => protocol == "modbus",
        Location::S7(_) => is_s7(protocol),
        Location::OpcUa(_) => protocol == "opcua",
    }
}

/// Whether a protocol is one of Siemens S7 controllers.
pub(super) fn is_s7(protocol: &str) -> bool {
    matches!(protocol, "s7comm" | "s7commplus")
}

/// The word of the language for a kind of place.
pub(super) fn place_word(place: &Location) -> &'static str {
    match place {
        Location::Modbus(_) => "modbus",
        Location::S7(_) => "s7",
        Location::OpcUa(_) => "opcua",
    }
}

/// Functions of a protocol as far as it lists them, nearest first for a help text.
pub(super) fn function_help(name: &str, protocols: &[&str]) -> String {
    let known: Vec<&str> =
        protocols.iter().flat_map(|of| words::functions_of(of).map(|function| function.name)).collect();
    values::suggestion(name, &known)
}
