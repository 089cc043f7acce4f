//! Further keys of flows: the two directions of a flow may have different VLANs or tunnels.

use std::collections::HashMap;

use super::FlowKey;

/// Further keys of flows, each with the slot of its flow. The index of the table holds the number of an alias with [`ALIAS`]
/// set.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    rows: Vec<Alias>,
    /// Unused numbers.
    free: Vec<u32>,
    /// Numbers of the aliases of each slot that has some.
    of_slot: HashMap<u32, Vec<u32>>,
}

#[derive(Clone, Copy, Debug)]
struct Alias {
    key: FlowKey,
    slot: u32,
}

impl Aliases {
    /// Whether no flow has an alias, which is nearly always so.
    pub(super) fn is_empty(&self) -> bool {
        self.of_slot.is_empty()
    }

    /// Adds a key for the flow in a slot and returns its number; `None` if the flow has the maximum.
    pub(super) fn add(&mut self, key: FlowKey, slot: u32) -> Option<u32> {
        let own = self.of_slot.entry(slot).or_default();
        if own.len() >= MOST {
            return None;
        }
        let alias = Alias { key, slot };
        let number = match self.free.pop() {
            Some(number) => {
                self.rows[number as usize] = alias;
                number
            }
            None => {
                self.rows.push(alias);
                (self.rows.len() - 1) as u32
            }
        };
        own.push(number);
        Some(number)
    }

    /// Removes the aliases of a slot; returns their numbers and keys.
    pub(super) fn remove_all(&mut self, slot: u32) -> Vec<(u32, FlowKey)> {
        let own = self.of_slot.remove(&slot).unwrap_or_default();
        self.free.extend(&own);
        own.into_iter().map(|number| (number, self.rows[number as usize].key)).collect()
    }

    /// The key of an alias.
    pub(super) fn key(&self, number: u32) -> Option<&FlowKey> {
        self.rows.get(number as usize).map(|alias| &alias.key)
    }

    /// The slot of the flow of an alias.
    pub(super) fn slot(&self, number: u32) -> Option<u32> {
        self.rows.get(number as usize).map(|alias| alias.slot)
    }
}

/// Flag that distinguishes the number of an alias from that of a slot.
pub(super) const ALIAS: u32 = 1 << 31;
/// Most aliases of one flow.
const MOST: usize = 8;
