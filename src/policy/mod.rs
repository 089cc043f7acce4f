//! Zones, conduits, flows and points as declared, and the verdict on traffic that they give.
//!
//! ```text
//!  rules/*.toml -> section -> file -> model -> compile -> Policy
//!  (text)          (cursor)   (walk)  (kept)   (fast)     flow_verdict: once a flow (membership, judge)
//!                     |         |                         judge: once an operation  (judge, limits)
//!                  diagnose: every mistake, its place,    message: for an alert     (explain)
//!                  and what to write instead
//! ```
//!
//! What depends on a single protocol is in `dialect`, and nowhere else. The language is described in `rules/README.md`, by example in `rules/full-example.toml`.

mod addresses;
pub mod certificate;
mod check;
mod classes;
mod compile;
mod condition;
mod dialect;
mod encoding;
mod ends;
mod explain;
mod file;
mod flow_verdict;
mod identity;
mod judge;
mod limits;
mod membership;
pub mod model;
pub mod rules;
mod services;
#[cfg(test)]
mod tests;
mod tuple;
mod values;
mod verdict;
mod wholesale;

use std::path::Path;

use sha2::{Digest, Sha256};

pub use crate::document::{Diagnostic, Diagnostics, MAX_DIAGNOSTICS, Severity};
pub use check::{Outcome as CheckOutcome, check};
pub use classes::Classes;
pub use condition::{Condition, Conditions, Moment};
pub use dialect::{FactVerdict, Secured, SessionState};
pub use flow_verdict::FlowVerdict;
pub use identity::{Identity, VlanFit, is_routable};
pub use membership::{BROADCAST, is_group};
pub use rules::Rule;
pub use services::{PortRange, ServicePort, is_service_port};
pub use tuple::{Carrier, FlowTuple, Host, Place};
pub use values::Rate;
pub use verdict::{Denial, LastValues, Limit, Reason, Verdict};

use crate::document::{diagnose, section};
use compile::Compiled;
use model::Declared;

/// A policy, resolved and compiled: every reference in it is valid. The default observes everything, and permits and denies
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `[policy] id`; the file's name without its ending where none is given.
    pub id: String,
    /// `[policy] version`; empty where none is given.
    pub version: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
    declared: Declared,
    compiled: Compiled,
    warnings: Diagnostics,
}

impl Policy {
    /// Reads a policy from a file.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        let name = path.display().to_string();
        let about = |message: String, help: &str| Diagnostics::about_file(&name, message, Some(help.to_owned()));
        let bytes = std::fs::read(path).map_err(|error| {
            about(format!("cannot be read: {error}"), "give the path of a policy, such as rules/full-example.toml")
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|_| about("is not a policy: it is not text".into(), "a policy is a TOML file in UTF-8"))?;
        Self::parse(&name, &text)
    }

    /// Reads a policy from text; messages show `name` as the name of the file. Reports all mistakes at once.
    pub fn parse(name: &str, text: &str) -> Result<Self, Diagnostics> {
        if text.len() > file::MAX_BYTES {
            let message = format!("is longer than {} bytes", file::MAX_BYTES);
            return Err(Diagnostics::about_file(name, message, Some("split the policy".to_owned())));
        }
        let (declared, found) = file::read(name, text);
        if found.has_errors() {
            return Err(found);
        }
        let stem = Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Ok(Self {
            id: declared.header.text("id").map(str::to_owned).or(stem).unwrap_or_default(),
            version: declared.header.text("version").unwrap_or_default().to_owned(),
            sha256: Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect(),
            compiled: Compiled::new(&declared),
            declared,
            warnings: found,
        })
    }

    /// No policy: everything is observed, nothing is denied.
    pub fn permissive() -> Self {
        Self::default()
    }

    /// Warnings: what is probably not meant as it is written.
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// Everything that the policy declares, including what is not judged yet.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// Whether this is a policy to judge by: `false` for [`Policy::permissive`].
    pub fn judges(&self) -> bool {
        !self.sha256.is_empty()
    }

    /// The decoded protocols that flows of any hosts declare on a port.
    pub fn protocols_at(&self, port: ServicePort) -> impl Iterator<Item = &'static str> {
        self.compiled.declared_ports.at(port)
    }

    /// The name of a zone in the file, such as `Z-LOCK`; `unknown` for none.
    pub fn zone_name(&self, zone: Option<u16>) -> &str {
        zone.and_then(|zone| self.declared.zones.get(usize::from(zone))).map_or("unknown", |zone| &zone.name)
    }

    /// The name of an asset, such as `PLC-BRIDGE`.
    pub fn asset_name(&self, asset: u16) -> &str {
        self.declared.assets.get(usize::from(asset)).map_or("", |asset| &asset.name)
    }

    /// The name of a conduit, such as `C-SCADA-LOCK`.
    pub fn conduit_name(&self, conduit: u16) -> &str {
        self.declared.conduits.get(usize::from(conduit)).map_or("", |conduit| &conduit.name)
    }

    /// The index of the conduit with this name.
    pub fn conduit_named(&self, name: &str) -> Option<u16> {
        let index = self.declared.conduits.iter().position(|conduit| conduit.name == name)?;
        u16::try_from(index).ok()
    }

    /// The id of a flow, such as `F-101`.
    pub fn flow_id(&self, flow: u16) -> &str {
        self.flow(flow).map_or("", |flow| &flow.id)
    }
}
