//! Points, and the places in a controller that they and inline ranges name.

use super::super::model::{Kind, Limits, Location, Number, Order, Point, Registers, S7Bytes};
use super::super::section::{Section, Span, Word};
use super::super::{values, words};
use super::{Walk, owned, span_of};
use lockkeeper_protocols::Table;

impl<'t> Walk<'t> {
    pub(super) fn points(&mut self, root: &mut Section<'t>) {
        for (name, mut section) in self.named(root, "point") {
            let point = self.point(&name, &mut section);
            section.finish();
            match point {
                Some(point) => self.declared.points.push(point),
                None => self.failed_points.push(name.text),
            }
        }
    }

    fn point(&self, name: &Word<'t>, section: &mut Section<'t>) -> Option<Point> {
        section.missing("asset", "the asset that holds it: asset = \"PLC-BRIDGE\"");
        let asset = section.text("asset").and_then(|word| self.asset_ref(&word));
        let place = self.place(name, section);
        let span = section.span_of("type");
        let written = section.parsed("type", kind);
        let kind = written.unwrap_or_else(|| natural_kind(place.as_ref()));
        let limits = self.limits(section, kind);
        let point = Point { name: name.text.to_owned(), asset: asset.unwrap_or(u16::MAX), place: place?, kind, limits };
        self.fits(&point, span, section);
        Some(point)
    }

    fn place(&self, name: &Word<'t>, section: &mut Section<'t>) -> Option<Location> {
        let modbus = section.registers().map(Location::Modbus);
        let s7 = section.s7_bytes().map(Location::S7);
        let nodes = section.nodes().map(Location::OpcUa);
        let written = ["modbus", "s7", "opcua"].into_iter().filter(|key| section.has(key)).count();
        let help = "add modbus = { unit = 1, table = \"holding_register\", addr = \"0-39\" }";
        match written {
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

    fn limits(&self, section: &mut Section<'t>, kind: Kind) -> Limits {
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
        let (low, high) = bounds(kind.number);
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

    /// A point's type must fit its table and its ranges.
    fn fits(&self, point: &Point, kind_span: Span, section: &Section<'t>) {
        let Location::Modbus(registers) = &point.place else { return };
        let bits = matches!(registers.table, Table::Coil | Table::DiscreteInput);
        let size = point.kind.number.registers();
        if bits && point.kind.number != Number::Bool {
            let message = format!("values of table {} are bits, not this type", registers.table.name());
            self.problems.error(kind_span, message, "write type = \"bool\", or leave it out");
        } else if let Some((first, last)) =
            registers.ranges.iter().find(|&&range| !length(range).is_multiple_of(u32::from(size)))
        {
            let message = format!("{first}-{last} is no whole number of values of {size} registers each");
            self.problems.error(
                kind_span,
                message,
                format!("give {size} addresses for each value, or choose another type"),
            );
        }
        let values: u32 = registers.ranges.iter().map(|&range| length(range) / u32::from(size)).sum();
        if point.limits.max_step.is_some() && values > 1 {
            let message = format!("max_step of {} needs a single value, but it covers {values}", section.what);
            self.problems.error(section.span_of("max_step"), message, "make one point for each value");
        }
    }
}

/// How many addresses a range holds.
fn length((first, last): (u16, u16)) -> u32 {
    u32::from(last.saturating_sub(first)) + 1
}

/// Without `type`: a bit in the tables of bits, else an unsigned register.
fn natural_kind(place: Option<&Location>) -> Kind {
    let bits = matches!(place, Some(Location::Modbus(Registers { table: Table::Coil | Table::DiscreteInput, .. })));
    if bits { Kind { number: Number::Bool, order: Order::Big } } else { Kind::default() }
}

/// Smallest and largest value of a type.
fn bounds(number: Number) -> (f64, f64) {
    match number {
        Number::Bool => (0.0, 1.0),
        Number::U16 => (0.0, 65_535.0),
        Number::I16 => (-32_768.0, 32_767.0),
        Number::U32 => (0.0, f64::from(u32::MAX)),
        Number::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        Number::F32 => (f64::from(f32::MIN), f64::from(f32::MAX)),
        // Beyond these no f64 is exact, and no limit is meant to be.
        Number::U64 => (0.0, 1.844_674_407_370_955_2e19),
        Number::I64 => (-9.223_372_036_854_776e18, 9.223_372_036_854_776e18),
        Number::F64 => (f64::MIN, f64::MAX),
    }
}

/// `u16`, `f32be-swapped`: a number, and the order of its bytes.
fn kind(text: &str) -> Result<Kind, (String, String)> {
    let (rest, swapped) = text.strip_suffix("-swapped").map_or((text, false), |rest| (rest, true));
    let (name, little) = match rest.strip_suffix("le") {
        Some(name) => (name, true),
        None => (rest.strip_suffix("be").unwrap_or(rest), false),
    };
    let order = match (little, swapped) {
        (false, false) => Order::Big,
        (true, false) => Order::Little,
        (false, true) => Order::BigSwapped,
        (true, true) => Order::LittleSwapped,
    };
    let number = NUMBERS.iter().find(|(word, _)| *word == name).map(|&(_, number)| number);
    match number {
        Some(Number::Bool) if rest != name => {}
        Some(number) if number.registers() > 1 || !swapped => return Ok(Kind { number, order }),
        _ => {}
    }
    let known: Vec<&str> = NUMBERS.iter().map(|&(word, _)| word).collect();
    let order_help = "values of several registers may add be, le, be-swapped or le-swapped";
    Err((format!("unknown type `{text}`"), format!("{}; {order_help}", values::suggestion(text, &known))))
}

const NUMBERS: [(&str, Number); 9] = [
    ("bool", Number::Bool),
    ("u16", Number::U16),
    ("i16", Number::I16),
    ("u32", Number::U32),
    ("i32", Number::I32),
    ("f32", Number::F32),
    ("u64", Number::U64),
    ("i64", Number::I64),
    ("f64", Number::F64),
];

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
            ranges.extend(section.parse(&Word { text: &text, span }, values::range));
        }
        if !section.has("addr") {
            ranges.push((0, u16::MAX));
        }
        section.finish();
        Some(Registers { unit, table: table?, ranges })
    }

    /// `s7 = { area, db, bytes }`.
    pub(super) fn s7_bytes(&mut self) -> Option<S7Bytes> {
        let what = format!("s7 of {}", self.what);
        let mut section = self.table("s7", what)?;
        section.missing("area", "area = \"DB\"");
        let area = section.parsed("area", |text| values::one_of(text, "an S7 area", &["DB", "M", "I", "Q", "C", "T"]));
        let db = section.small("db", 1..=65_535);
        if area == Some("DB") {
            section.missing("db", "the number of the data block: db = 10");
        }
        let bytes = section.parsed("bytes", values::range);
        section.finish();
        Some(S7Bytes { area: area?, db, bytes })
    }

    /// `opcua = { nodes }`.
    pub(super) fn nodes(&mut self) -> Option<Vec<String>> {
        let what = format!("opcua of {}", self.what);
        let mut section = self.table("opcua", what)?;
        section.missing("nodes", "nodes = [\"ns=3;s=Pump.*\"]");
        let nodes = section.texts("nodes");
        for word in &nodes {
            section.parse(word, node);
        }
        section.finish();
        Some(owned(nodes))
    }
}

/// `ns=3;s=...`, `i=2258` (OPC 10000-6, 5.3.1.10): the form only; `*` at the end stands for any ending.
fn node(text: &str) -> Result<(), (String, String)> {
    let identifier = match text.strip_prefix("ns=").and_then(|rest| rest.split_once(';')) {
        Some((namespace, identifier)) if namespace.parse::<u16>().is_ok() => identifier,
        Some(_) => "",
        None => text,
    };
    let sound = ["s=", "i=", "g=", "b="].iter().any(|kind| identifier.len() > 2 && identifier.starts_with(kind));
    if sound {
        return Ok(());
    }
    Err((
        format!("`{text}` is not a node id"),
        "write \"ns=3;s=Pump.Start\", \"ns=2;i=1001\", or \"ns=3;s=Pump.*\"".into(),
    ))
}

/// Whether a point's place can be named by a flow of this protocol.
pub(super) fn speaks(place: &Location, protocol: &str) -> bool {
    match place {
        Location::Modbus(_) => protocol == "modbus",
        Location::S7(_) => matches!(protocol, "s7comm" | "s7commplus"),
        Location::OpcUa(_) => protocol == "opcua",
    }
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
