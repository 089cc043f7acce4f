//! The protocol of a TSDU, by its first bytes: several protocols share port 102.

use crate::dissector::{Function, Outcome, RequestRef};
use crate::operation::{Class, Operation, Target, Values};

use super::shape;
use super::stack::Stack;
use crate::context::Context;

/// The protocols above the ISO transport that are distinguished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Content {
    /// S7 communication of the S7-300, the S7-400 and compatible controllers.
    S7comm,
    /// S7 communication of the S7-1200 and S7-1500.
    S7commPlus,
    /// TLS records.
    Tls,
    /// An association of MMS (ISO 9506; IEC 61850, TASE.2): the session's CONNECT names its abstract syntax.
    Mms,
    /// An ISO session (X.225) of another protocol, or one whose CONNECT was not seen.
    Session,
    /// None of these.
    Other,
}

impl Content {
    /// Every content, in the order of its numbers.
    pub(crate) const ALL: [Self; 6] =
        [Self::S7comm, Self::S7commPlus, Self::Tls, Self::Mms, Self::Session, Self::Other];

    /// The content of a TSDU, by its first bytes.
    pub(crate) fn of(tsdu: &[u8]) -> Self {
        match tsdu {
            [0x32, 1..=3 | 7, ..] => Self::S7comm,
            [0x72, 1..=3 | 0xFE | 0xFF, ..] => Self::S7commPlus,
            // TLS record: type, version 3.x.
            [0x14..=0x18, 3, 0..=4, ..] => Self::Tls,
            [CONNECT_SPDU | ACCEPT_SPDU, _, rest @ ..] if has_mms(rest) => Self::Mms,
            [
                CONNECT_SPDU | ACCEPT_SPDU | REFUSE_SPDU | FINISH_SPDU | DISCONNECT_SPDU | ABORT_SPDU,
                1..=0xFF,
                _,
                ..,
            ] => Self::Session,
            // GIVE TOKENS and DATA TRANSFER, then presentation data (X.226).
            [1, 0, 1, 0, 0x60..=0x61, ..] => Self::Session,
            _ => Self::Other,
        }
    }

    /// The function that reports this content.
    pub(crate) const fn function(self) -> Function {
        let (name, class) = match self {
            Self::S7comm => ("s7comm", Class::Unknown),
            Self::S7commPlus => ("s7comm_plus", Class::Unknown),
            Self::Tls => ("tls", Class::Opaque),
            Self::Mms => ("mms", Class::Unknown),
            Self::Session => ("iso_session", Class::Unknown),
            Self::Other => ("other", Class::Unknown),
        };
        Function { name, code: self as u32, class }
    }
}

/// The functions that report a content, in the order of [`Content::ALL`].
pub(crate) const CONTENTS: [Function; 6] = [
    Content::S7comm.function(),
    Content::S7commPlus.function(),
    Content::Tls.function(),
    Content::Mms.function(),
    Content::Session.function(),
    Content::Other.function(),
];

/// Reports content that the protocol of the flow does not decode, once in a connection; requests that change the controller
/// are reported each time.
pub(crate) fn report_foreign(tsdu: &[u8], stack: &mut Stack, context: &mut Context<'_>) {
    let content = Content::of(tsdu);
    let change = shape::requested_class(tsdu).filter(|class| class.changes());
    if !stack.mark_reported(content) && change.is_none() {
        return;
    }
    let Function { name, code, class } = content.function();
    let (class, target, outcome) = match change {
        Some(class) => (class, Target::Unread { part: "content" }, Outcome::Pending),
        None => (class, Target::None, Outcome::Accepted),
    };
    let operation = Operation { class, function: name, code, ambiguous: false, target, values: Values::None };
    let at = RequestRef { request: stack.assign_number(), item: 0 };
    let Context { stamp, ref mut sink, .. } = *context;
    sink.operation(at, &operation, stamp);
    sink.outcome(at, &operation, outcome, stamp, stamp);
}

/// Whether the user data of a session CONNECT or ACCEPT name an abstract syntax of MMS (object identifier 1.0.9506).
fn has_mms(bytes: &[u8]) -> bool {
    bytes.windows(MMS_ARC.len()).take(SEARCHED).any(|window| window == MMS_ARC)
}

const MMS_ARC: [u8; 3] = [0x28, 0xCA, 0x22];
/// Number of positions in a session CONNECT that are searched for its abstract syntax.
const SEARCHED: usize = 512;
/// SPDU identifiers (X.225, 8.3).
const CONNECT_SPDU: u8 = 13;
const ACCEPT_SPDU: u8 = 14;
const REFUSE_SPDU: u8 = 12;
const FINISH_SPDU: u8 = 9;
const DISCONNECT_SPDU: u8 = 10;
const ABORT_SPDU: u8 = 25;
