//! How bytes are read that the standard does not define, or that servers read in different ways.
//!
//! A server executes what it reads, whatever the standard defines. Known stacks fall into two families. They differ in what
//! follows an unusual byte, so that the bytes behind it are different requests to them:
//!
//! | | [`Reading::Expanded`] (asyncua, FreeOpcUa) | [`Reading::Plain`] (.NET, open62541, Milo, node-opcua) |
//! | --- | --- | --- |
//! | upper bits of a NodeId's first byte | flags of a namespace URI and a server index, as in an ExpandedNodeId | ignored |
//! | a length below -1 | of a text: earlier bytes are read again; of an array: no elements | null |
//! | types 32 to 63 of a Variant | byte strings | refused |
//! | an array of nulls, dimensions of a scalar | read as flagged | refused; ignored |
//! | an ExtensionObject in XML | no body | a body with a length |
//! | an ExtensionObject of length -1 | its structure follows nevertheless | null, or the same |

/// How bytes are read. A type parameter, so that the choice costs nothing at run time.
pub trait Dialect: Copy {
    /// The reading that it stands for.
    fn reading(self) -> Reading;
}

/// The standard's own encoding. Anything else is refused.
#[derive(Clone, Copy, Debug)]
pub struct Standard;

/// What all servers read alike. Anything else is refused, including what the standard defines but servers read differently.
#[derive(Clone, Copy, Debug)]
pub struct Unanimous;

/// Every way to read bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As [`Standard`].
    Standard,
    /// As [`Unanimous`].
    Unanimous,
    /// As stacks that read every NodeId as an ExpandedNodeId.
    Expanded,
    /// As all other stacks.
    Plain,
}

impl Reading {
    /// The two families of servers.
    pub const OF_SERVERS: [Self; 2] = [Self::Expanded, Self::Plain];
}

impl Dialect for Standard {
    fn reading(self) -> Reading {
        Reading::Standard
    }
}

impl Dialect for Unanimous {
    fn reading(self) -> Reading {
        Reading::Unanimous
    }
}

impl Dialect for Reading {
    fn reading(self) -> Reading {
        self
    }
}
