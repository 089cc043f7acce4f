//! BuildInfo, alone or in ServerStatus (OPC 10000-5, 12.4 and 12.10).

use crate::fault::Fault;
use crate::opcua::binary::{Bytes, Encoded, ExtensionObject};
use crate::operation::{Kind, Values};
use crate::reader::Reader;

/// Product, manufacturer and version of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildInfo<'a> {
    /// URI of the product.
    pub product_uri: &'a [u8],
    /// Manufacturer.
    pub manufacturer: &'a [u8],
    /// Product name.
    pub product: &'a [u8],
    /// Software version.
    pub version: &'a [u8],
    /// Build number.
    pub build: &'a [u8],
    /// State of the server by its number, if the value includes it: see [`state_name`].
    pub state: Option<u32>,
}

impl<'a> BuildInfo<'a> {
    /// Reads the value of a node; `None` if it has neither of the two types.
    pub fn of(values: Values<'a>) -> Option<Self> {
        let Values::Typed { kind: Kind::Structure, count: 1, bytes } = values else { return None };
        let structure = ExtensionObject::read(&mut Reader::new(bytes)).ok()?;
        match structure.standard_body()? {
            (BUILD_INFO, mut body) => Self::read(&mut body, None).ok(),
            (SERVER_STATUS, mut body) => {
                body.bytes(16, "server_times").ok()?; // start, now
                let state = body.u32_le("server_state").ok()?;
                Self::read(&mut body, Some(state)).ok()
            }
            _ => None,
        }
    }

    /// Reads a BuildInfo. `state`: the state of the server, if known.
    fn read(reader: &mut Reader<'a>, state: Option<u32>) -> Result<Self, Fault> {
        let mut text = |field| Bytes::read_as(reader, field).map(Bytes::or_empty);
        Ok(Self {
            product_uri: text("product_uri")?,
            manufacturer: text("manufacturer_name")?,
            product: text("product_name")?,
            version: text("software_version")?,
            build: text("build_number")?,
            state,
        })
    }
}

/// The standard's name of a server's state (ServerState), in snake_case.
pub fn state_name(state: u32) -> Option<&'static str> {
    STATES.get(usize::try_from(state).ok()?).copied()
}

const STATES: [&str; 8] =
    ["running", "failed", "no_configuration", "suspended", "shutdown", "test", "communication_fault", "unknown"];

// Encodings of the two types.
const BUILD_INFO: u32 = 340;
const SERVER_STATUS: u32 = 864;
