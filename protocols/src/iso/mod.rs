//! ISO transport over TCP: TPKT (RFC 1006) and COTP class 0 (X.224, ISO 8073), which S7comm, S7comm-plus and MMS share.
//!
//! ```text
//!  tpkt --> cotp --> reassembly --> Stack::add_frame --> one whole TSDU for the protocol above
//!  where    which    fragments      connections
//!  it ends  TPDU     of a TSDU      reported on the way
//! ```
//!
//! * `tpkt`: framing, and how well bytes prove where a frame begins;
//! * `cotp`: TPDUs, TSAPs, reasons;
//! * `connection`: connection requests and their answers, as operations; `stack`: all of that for one flow;
//! * `content`: what a TSDU holds, by its first bytes; `shape`: what is exactly a PDU of S7comm or S7comm-plus, and what
//!   servers take for one; `hidden`: PDUs inside of others; `probe`: the same for the opening of a flow;
//! * `other`: the registry row for what no other row decodes: MMS, TLS, the unknown.

mod connection;
mod content;
mod cotp;
mod hidden;
mod other;
mod probe;
mod shape;
mod stack;
mod tpkt;

#[cfg(test)]
mod tests;

pub(crate) use self::connection::CONNECT;
pub(crate) use self::content::{CONTENTS, Content, foreign};
pub(crate) use self::hidden::hidden;
pub use self::other::OTHER;
pub(crate) use self::probe::{IsoProbe, open};
pub(crate) use self::shape::{Loose, is_exact, is_foreign, is_whole_plus, loose, plus_sender, sender};
pub(crate) use self::stack::{Form, Stack};
pub(crate) use self::tpkt::{MAX_FRAME, MIN_FRAME, boundary, frame_len, may_start};

/// The registered port of ISO transport services (RFC 1006): a hint, never a proof.
pub(crate) const PORTS: &[u16] = &[102];
/// Where the user data of a usual DT begin in its frame.
pub(crate) const CONTENT: usize = 7;
