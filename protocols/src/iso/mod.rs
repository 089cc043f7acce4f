//! ISO transport over TCP: TPKT (RFC 1006) and COTP class 0 (X.224, ISO 8073), which S7comm, S7comm-plus and MMS share.
//!
//! ```text
//!  tpkt --> cotp --> reassembly --> Stack::add_frame --> one whole TSDU for the protocol above
//!  where    which    fragments      connections
//!  it ends  TPDU     of a TSDU      reported on the way
//! ```
//!
//! * `tpkt`: framing, and how well bytes prove the start of a frame; `cotp`: TPDUs, TSAPs, reasons;
//! * `connection`: connection requests and their answers, as operations; `stack`: the transport of one flow;
//! * `content`: the protocol of a TSDU; `shape`: whether bytes are a PDU of S7comm or S7comm-plus, exactly or for a lax
//!   server; `embedded`: PDUs inside of others; `probe`: identification by the opening of a flow;
//! * `other`: the registry row for content that no other row decodes: MMS, TLS, unknown protocols.

mod connection;
mod content;
mod cotp;
mod embedded;
mod other;
mod probe;
mod shape;
mod stack;
mod tpkt;

#[cfg(test)]
mod tests;

pub(crate) use self::connection::CONNECT;
pub(crate) use self::content::{CONTENTS, Content, report_foreign};
pub(crate) use self::embedded::find_embedded_pdu;
pub use self::other::OTHER;
pub(crate) use self::probe::{IsoProbe, probe_opening};
pub(crate) use self::shape::{LaxKind, is_exact, is_foreign, is_whole_plus, lax_kind, plus_sender, sender};
pub(crate) use self::stack::{Form, Stack};
pub(crate) use self::tpkt::{MAX_FRAME, MIN_FRAME, boundary, frame_len, may_start};

/// The registered port of ISO transport services (RFC 1006): a hint, never a proof.
pub(crate) const PORTS: &[u16] = &[102];
/// Offset of the user data in the frame of a DT of class 0.
pub(crate) const CONTENT: usize = 7;
