//! Points: named places in a device, with the type and the limits of their values.

use super::super::dialect::{DIALECTS, Location};
use super::super::encoding::{Encoding, WordOrder, bounds, encoding};
use super::super::model::{Limits, Point};
use super::super::section::{Section, Span, Word};
use super::{Walk, span_of};
use crate::document::suggest::list;

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
        // Without a type the place implies one. Without either, limits are not checked against a type.
        let is_known = written.is_some() || (!section.has("type") && place.is_some());
        let encoding = written.unwrap_or_else(|| {
            let natural = place.as_ref().map(|place| place.dialect.default_type(&place.extent));
            Encoding { data_type: natural.unwrap_or_default(), order: WordOrder::Big }
        });
        let limits = self.limits(section, if is_known { bounds(encoding.data_type) } else { (f64::MIN, f64::MAX) });
        let point =
            Point { name: name.text.to_owned(), asset: asset.unwrap_or(u16::MAX), place: place?, encoding, limits };
        if is_known {
            self.check_type(&point, span, section);
        }
        Some(point)
    }

    fn place(&self, name: &Word<'t>, section: &mut Section<'t>) -> Option<Location> {
        let places: Vec<Option<Location>> = DIALECTS.iter().map(|dialect| dialect.point_place(section)).collect();
        let keys: Vec<&'static str> = DIALECTS.iter().map(|dialect| dialect.key()).collect();
        let known: Vec<&'static str> = keys.iter().copied().chain(OTHER_KEYS).collect();
        let is_misspelt = section.misspelt(&known).into_iter().any(|meant| keys.contains(&meant));
        let help = "add modbus = { unit = 1, table = \"holding_register\", addr = \"0-39\" }";
        match keys.iter().filter(|key| section.has(key)).count() {
            0 if is_misspelt => {}
            0 => self.problems.missing(span_of(name), format!("{} has no place", section.what), help),
            1 => {}
            _ => {
                let message = format!("{} is in several places", section.what);
                let help = format!("a point has one of {}: make several points", list(keys.iter().copied()));
                self.problems.error(span_of(name), message, help);
            }
        }
        places.into_iter().flatten().next()
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

    /// Reports a type that does not fit the place, and a largest step for several values.
    fn check_type(&self, point: &Point, type_span: Span, section: &Section<'_>) {
        let values = point.place.dialect.check_point(point, type_span, section);
        if let Some(values) = values.filter(|&values| values > 1 && point.limits.max_step.is_some()) {
            let message = format!("max_step of {} needs a single value, but it covers {values}", section.what);
            self.problems.error(section.span_of("max_step"), message, "make one point for each value");
        }
    }
}

/// The keys of a point other than those of its place.
const OTHER_KEYS: [&str; 6] = ["asset", "type", "min", "max", "values", "max_step"];
