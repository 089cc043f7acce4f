//! What is made of bytes that the standard does not have, or that servers do not all read alike.
//!
//! A server executes what it reads, whatever the standard says of it. Known stacks fall into two families, which differ in
//! what follows the odd byte, so that what is behind it is another request for each:
//!
//! | | [`Reading::Expanded`] (asyncua, FreeOpcUa) | [`Reading::Plain`] (.NET, open62541, Milo, node-opcua) |
//! | --- | --- | --- |
//! | upper bits of a NodeId's first byte | a namespace URI and a server index follow, as in an ExpandedNodeId | mean nothing |
//! | a length below -1 | of a text: what was read is read again; of an array: no elements | null |
//! | types 32 to 63 of a Variant | byte strings | refused |
//! | an array of nulls, dimensions of a single value | as the bits say | refused; passed over |
//! | an ExtensionObject in XML | no body | a body with a length |
//! | an ExtensionObject of length -1 | its structure follows all the same | null, or the same |

/// How bytes are read. A type for what is known when a decoder is compiled, so that it costs nothing.
pub trait Dialect: Copy {
    /// Which one it is.
    fn reading(self) -> Reading;
}

/// The standard's own encoding. What it does not have is refused.
#[derive(Clone, Copy, Debug)]
pub struct Standard;

/// What every server reads alike. What it does not have is refused, and so is what the standard has and servers differ in.
#[derive(Clone, Copy, Debug)]
pub struct Unanimous;

/// Every way to read bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As [`Standard`].
    Standard,
    /// As [`Unanimous`].
    Unanimous,
    /// As the stacks do that read every NodeId as an ExpandedNodeId.
    Expanded,
    /// As the others do.
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
