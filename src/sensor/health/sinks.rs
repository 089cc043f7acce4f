//! The health of every sink, as members of the snapshot.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::publish::SINKS;
use crate::publish::sink::{Sink, SinkHealth};

/// The health of each sink in use. As JSON, one member for each row of [`SINKS`], which is `null` for a sink that is not in
/// use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sinks(BTreeMap<&'static str, SinkHealth>);

impl Sinks {
    /// Replaces the health of a sink.
    pub fn insert(&mut self, sink: &'static Sink, health: SinkHealth) {
        self.0.insert(sink.name, health);
    }

    /// The health of a sink, if it is in use.
    pub fn get(&self, sink: &Sink) -> Option<&SinkHealth> {
        self.0.get(sink.name)
    }

    /// The sinks in use, in the order of their table.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Sink, &SinkHealth)> {
        SINKS.iter().filter_map(|sink| Some((*sink, self.get(sink)?)))
    }
}

impl Serialize for Sinks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(Some(SINKS.len()))?;
        for sink in SINKS {
            members.serialize_entry(sink.name, &self.get(sink))?;
        }
        members.end()
    }
}

impl<'de> Deserialize<'de> for Sinks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

/// Reads the members that belong to a sink, and skips all others.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Sinks;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the members of a snapshot")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Sinks, A::Error> {
        let mut sinks = Sinks::default();
        while let Some(name) = members.next_key::<String>()? {
            if let Some(sink) = SINKS.iter().find(|sink| sink.name == name) {
                let health = members.next_value::<Option<SinkHealth>>()?;
                health.into_iter().for_each(|health| sinks.insert(sink, health));
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(sinks)
    }
}
