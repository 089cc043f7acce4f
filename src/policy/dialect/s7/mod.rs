//! S7comm and S7comm-plus: memory, objects and blocks of Siemens S7 controllers, and their sessions.

mod explain;
mod place;
mod session;

use lockkeeper_protocols::{Area, Operation, Target};

use super::{Action, Dialect, Extent, Located, Location, NamedPlaces as AllNamedPlaces, SessionOptions, SessionState};
use super::{ValuesAt, modbus};
use crate::policy::addresses::{Addresses, Reach, length};
use crate::policy::encoding::DataType;
use crate::policy::flow_verdict::Candidate;
use crate::policy::model::Point;
use crate::policy::section::{Section, Span};
use crate::policy::{Policy, Verdict};

pub(in crate::policy) use explain::{connection_detail, password_detail};
pub use place::{Blocks, S7Object};
pub use session::{Password, S7Session};

/// The dialect of S7 controllers.
#[derive(Debug)]
pub(super) struct S7;

/// The numbers of its memory areas: those of [`Area::NAMED`] in their order, then one for all areas without a name.
pub(super) const TABLES: std::ops::Range<usize> = modbus::TABLES.end..modbus::TABLES.end + Area::NAMED.len() + 1;

impl Dialect for S7 {
    fn key(&self) -> &'static str {
        "s7"
    }

    fn protocols(&self) -> &'static [&'static str] {
        &["s7comm", "s7commplus"]
    }

    fn point_place(&self, point: &mut Section<'_>) -> Option<Location> {
        place::read(point)
    }

    fn entry_keys(&self) -> &'static [&'static str] {
        &["s7", "blocks"]
    }

    fn entry_places(&self, entry: &mut Section<'_>) -> Vec<Location> {
        place::read(entry).into_iter().chain(place::read_blocks(entry)).collect()
    }

    fn default_type(&self, extent: &Extent) -> DataType {
        let Extent::Addresses(Addresses { table, ranges, .. }) = extent else { return DataType::U16 };
        match area_of(*table) {
            Area::Timer => DataType::S5Time,
            Area::Counter => DataType::Counter,
            _ if ranges.iter().all(|&range| length(range) < 8) => DataType::Bool,
            _ => DataType::U8,
        }
    }

    fn check_point(&self, point: &Point, type_span: Span, section: &Section<'_>) -> Option<u64> {
        match &point.place.extent {
            Extent::Addresses(addresses) => {
                place::check_memory(point.encoding.data_type, addresses, type_span, section)
            }
            _ if point.limits.is_empty() => None,
            _ => {
                let message = format!("limits of {} cannot be judged: an object has no address", section.what);
                let help = "write the place as area, db and bytes, or remove the limits";
                section.problems.error(section.span.clone(), message, help);
                None
            }
        }
    }

    fn actions(&self) -> &'static [Action] {
        ACTIONS
    }

    fn read_session(&self, flow: &mut Section<'_>, options: &mut SessionOptions) -> bool {
        options.s7 = S7Session::read(flow);
        options.s7.is_some()
    }

    fn session_text(&self, options: &SessionOptions) -> String {
        options.s7.map(|s7| s7.text()).unwrap_or_default()
    }

    #[inline]
    fn reach(&self, asset: u16, target: &Target<'_>) -> Option<Reach> {
        match *target {
            Target::Memory { area, db, first, count } => {
                let last = first.saturating_add(count.saturating_sub(1));
                Some(Reach::new(asset, table_of(area), block_number(area, db), (first, last)))
            }
            // An object that stands for memory may be any part of it, so it is all of it.
            Target::Object { object, .. } => {
                let (area, db) = place::memory_of(object)?;
                Some(Reach::new(asset, table_of(area), block_number(area, db), Addresses::WHOLE))
            }
            _ => None,
        }
    }

    fn values_at<'t>(&self, asset: u16, target: &Target<'t>) -> Option<ValuesAt<'t>> {
        let reach = self.reach(asset, target)?;
        // Where in its memory an object lies cannot be known.
        let is_object = matches!(target, Target::Object { .. });
        Some(if is_object { ValuesAt::Among(reach) } else { ValuesAt::Addresses(reach) })
    }

    fn has_address(&self, target: &Target<'_>) -> bool {
        matches!(target, Target::Memory { .. } | Target::Object { .. } | Target::Block { .. })
    }

    fn is_named(&self, places: &AllNamedPlaces, server: Option<u16>, operation: &Operation<'_>) -> bool {
        let AllNamedPlaces { s7: NamedPlaces { objects, blocks }, .. } = places;
        match operation.target {
            Target::Block { kind, number } => blocks.iter().any(|blocks| blocks.hold(kind, number)),
            Target::Object { object, ref path, depth } => objects
                .iter()
                .any(|(asset, one)| (asset.is_none() || *asset == server) && one.holds(object, path, depth)),
            _ => false,
        }
    }

    fn judge_session(&self, policy: &Policy, candidates: &[Candidate], operation: &Operation<'_>) -> Option<Verdict> {
        session::judge(policy, candidates, operation)
    }

    fn learn(&self, operation: &Operation<'_>, session: &mut SessionState) {
        session.learn_password(operation);
    }
}

/// Objects and blocks that an entry of `allow` names.
#[derive(Clone, Debug)]
pub(super) struct NamedPlaces {
    /// Each with the asset that it is in, if a point names it.
    objects: Box<[(Option<u16>, S7Object)]>,
    blocks: Box<[Blocks]>,
}

impl NamedPlaces {
    pub(super) fn new(places: &[Located<'_>]) -> Self {
        let objects = places.iter().filter_map(|(asset, place)| match &place.extent {
            Extent::Object(object) => Some((*asset, object.clone())),
            _ => None,
        });
        let blocks = places.iter().filter_map(|(_, place)| match &place.extent {
            Extent::Blocks(blocks) => Some(blocks),
            _ => None,
        });
        Self { objects: objects.collect(), blocks: blocks.flatten().cloned().collect() }
    }
}

/// What `actions` may name.
const ACTIONS: &[Action] = &[
    Action { name: "breakpoint", functions: &["breakpoint", "exit_hold"] },
    Action { name: "cold-restart", functions: &["plc_cold_start"] },
    Action { name: "force", functions: &["force", "force_selection"] },
    Action { name: "invoke", functions: &["invoke"] },
    Action { name: "memory-reset", functions: &["memory_reset"] },
    Action { name: "operating-state", functions: &["set_variable", "set_multi_variables"] },
    Action { name: "start", functions: &["pi_p_program"] },
    Action { name: "stop", functions: &["plc_stop"] },
    Action { name: "test-jobs", functions: &["enable_job", "disable_job", "delete_job", "replace_job"] },
    Action { name: "warm-restart", functions: &["plc_warm_start"] },
];

/// The number of an area's table.
const fn table_of(area: Area) -> usize {
    let index = match area {
        Area::Input => 0,
        Area::Output => 1,
        Area::Flag => 2,
        Area::DataBlock => 3,
        Area::InstanceData => 4,
        Area::Local => 5,
        Area::PreviousLocal => 6,
        Area::Periphery => 7,
        Area::Counter => 8,
        Area::Timer => 9,
        Area::Other(_) => 10,
    };
    TABLES.start + index
}

/// The area of a table that a policy names: always one with a name.
fn area_of(table: usize) -> Area {
    Area::NAMED.get(table - TABLES.start).copied().unwrap_or(Area::Other(0))
}

/// What distinguishes memories of one area: the number of the data block, or the code of an area without a name.
const fn block_number(area: Area, db: u16) -> u32 {
    match area {
        Area::DataBlock | Area::InstanceData => db as u32,
        Area::Other(code) => code as u32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_protocols::REGISTRY;

    #[test]
    fn actions_are_functions_that_decoders_name() {
        let rows = REGISTRY.iter().filter(|row| S7.protocols().contains(&row.name));
        let known: Vec<&str> = rows.flat_map(|row| row.functions).map(|one| one.name).collect();
        for function in ACTIONS.iter().flat_map(|action| action.functions) {
            assert!(known.contains(function), "{function}");
        }
    }

    #[test]
    fn every_named_area_has_a_table_of_its_own() {
        for area in Area::NAMED {
            assert_eq!(area_of(table_of(area)), area);
        }
        assert_eq!(table_of(Area::Other(7)), TABLES.end - 1);
    }
}
