//! The opening of a flow: what its first TSDU holds, whatever the cut into TPDUs and segments.

use super::content::Content;
use super::cotp::{self, CC, CR, DT, END, Tpdu};
use super::tpkt::{self, HEADER};
use crate::dissector::{FrameLen, Side};

/// What the first bytes of one side show.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Opening {
    /// Not an ISO transport.
    No,
    /// Too few bytes to tell.
    More,
    /// A connection is set up, and nothing that is known was sent over it yet.
    Connected {
        /// Who sent it, if that shows.
        sender: Option<Side>,
    },
    /// Something was sent.
    Carries {
        /// What it is; never [`Content::Other`].
        content: Content,
        /// Who sent it, if a connection request or its answer lies before it.
        sender: Option<Side>,
        /// Its first bytes.
        head: Head,
    },
}

/// The first bytes of a TSDU, joined from its TPDUs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    bytes: [u8; HEAD],
    used: usize,
    /// Bytes of the whole TSDU, once its end was announced.
    pub(crate) total: Option<usize>,
    /// Bytes announced so far.
    announced: usize,
}

impl Head {
    const EMPTY: Self = Self { bytes: [0; HEAD], used: 0, total: None, announced: 0 };

    /// As many of the TSDU's first bytes as are there and are kept.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Adds a TPDU of which `data` is there and `length` was announced.
    fn add(&mut self, data: &[u8], length: usize, end: bool) {
        let room = self.bytes.get_mut(self.used..).unwrap_or_default();
        let taken = room.iter_mut().zip(data).map(|(slot, byte)| *slot = *byte).count();
        self.used += taken;
        self.announced += length;
        if end {
            self.total = Some(self.announced);
        }
    }

    /// Whether what is there is enough to judge by.
    fn is_telling(&self) -> bool {
        self.used >= ENOUGH || self.total.is_some_and(|total| total > 0 && self.used >= total)
    }
}

/// Walks over connection set-up and unknown content to the first TSDU that is known.
pub(crate) fn open(bytes: &[u8]) -> Opening {
    let (mut rest, mut head, mut sender) = (bytes, Head::EMPTY, None);
    let mut is_other = false;
    loop {
        let length = match tpkt::frame_len(rest) {
            FrameLen::Bytes(length) => length,
            FrameLen::Unknown => break,
            FrameLen::Invalid(_) => return Opening::No,
        };
        let frame = rest.get(..length).unwrap_or(rest);
        let is_whole = frame.len() == length;
        let &[_, reserved, _, _, indicator, code, ..] = frame else { break };
        if reserved != 0 || indicator < 2 || !cotp::is_known(code) {
            return Opening::No;
        }
        match code & 0xF0 {
            DT => {
                let Some((&[.., number], data)) = frame.split_first_chunk::<DATA_HEADER>() else { break };
                if indicator != 2 || number & !END != 0 {
                    return Opening::No;
                }
                let end = number & END != 0;
                head.add(data, length - DATA_HEADER, end);
                if head.is_telling() {
                    match Content::of(head.bytes()) {
                        Content::Other => is_other = true,
                        content => return Opening::Carries { content, sender, head },
                    }
                }
                if end {
                    head = Head::EMPTY;
                }
            }
            CR | CC if is_whole => match cotp::parse(frame) {
                Ok(Tpdu::Connect(connect)) if connect.fault.is_none() => {
                    sender = Some(if connect.confirms { Side::Server } else { Side::Client });
                }
                _ => return Opening::No,
            },
            _ if is_whole && cotp::parse(frame).is_err() => return Opening::No,
            _ => {}
        }
        rest = rest.get(length..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
    }
    if sender.is_some() || is_other { Opening::Connected { sender } } else { Opening::More }
}

/// Bytes of a TSDU that are kept to judge it by.
const HEAD: usize = 32;
/// Bytes of a TSDU that tell what it is.
const ENOUGH: usize = 24;
/// TPKT, length indicator, code, number.
const DATA_HEADER: usize = HEADER + 3;
