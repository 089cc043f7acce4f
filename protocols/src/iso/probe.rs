//! Identification by the opening of a flow: the content of its first TSDU, however that is cut into TPDUs and segments.

use super::content::Content;
use super::cotp::{self, CC, CR, DT, END, Tpdu};
use super::shape::{self, LaxKind};
use super::tpkt::{self, HEADER};
use crate::dissector::{FrameLen, Side};

/// What the first bytes of one side are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IsoProbe {
    /// Not an ISO transport.
    No,
    /// More bytes are needed.
    More,
    /// A connection is set up; no known content follows yet.
    Connected {
        /// The end that sent the bytes, if they contain a connection request or its answer.
        sender: Option<Side>,
    },
    /// Known content.
    Carries {
        /// The content; never [`Content::Other`].
        content: Content,
        /// The end that sent the bytes, if they contain a connection request or its answer.
        sender: Option<Side>,
        /// The first bytes of the TSDU.
        head: Head,
        /// A field of the headers is wrong, which servers may ignore.
        is_odd: bool,
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

    /// The first bytes of the TSDU, as far as they have arrived, at most [`HEAD`].
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Adds a TPDU of `length` bytes of user data, of which `data` has arrived.
    fn add(&mut self, data: &[u8], length: usize, end: bool) {
        let free = self.bytes.get_mut(self.used..).unwrap_or_default();
        self.used += free.iter_mut().zip(data).map(|(slot, byte)| *slot = *byte).count();
        self.announced += length;
        if end {
            self.total = Some(self.announced);
        }
    }

    /// Whether the header of a PDU of S7comm-plus agrees with the length of its TSDU, with or without a trailer, or that
    /// length is not known yet.
    pub(crate) fn fits_plus(&self) -> bool {
        match (self.bytes(), self.total) {
            (&[_, 1..=3, high, low, ..], Some(total)) => {
                let whole = PLUS_HEADER + usize::from(u16::from_be_bytes([high, low]));
                total == whole || total == whole + PLUS_HEADER
            }
            _ => true,
        }
    }

    /// Whether enough has arrived to determine the content.
    fn is_conclusive(&self) -> bool {
        self.used >= ENOUGH || self.total.is_some_and(|total| total > 0 && self.used >= total)
    }
}

/// Skips connection set-up and unknown content, up to the first TSDU of known content.
pub(crate) fn probe_opening(bytes: &[u8]) -> IsoProbe {
    let mut walk = Walk { head: Head::EMPTY, sender: None, is_odd: false, is_other: false };
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = match tpkt::frame_len(rest) {
            FrameLen::Bytes(length) => length,
            FrameLen::Unknown => break,
            FrameLen::Invalid(_) => return IsoProbe::No,
        };
        match walk.add_frame(rest.get(..length).unwrap_or(rest), length) {
            Step::Next => {}
            Step::More => break,
            Step::End(probe) => return probe,
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    match walk {
        Walk { sender, is_other, .. } if sender.is_some() || is_other => IsoProbe::Connected { sender },
        _ => IsoProbe::More,
    }
}

/// The state of [`probe_opening`].
struct Walk {
    head: Head,
    sender: Option<Side>,
    is_odd: bool,
    is_other: bool,
}

/// How [`probe_opening`] continues after a frame.
enum Step {
    Next,
    /// More bytes of the frame are needed.
    More,
    End(IsoProbe),
}

impl Walk {
    /// Adds a frame of `length` bytes, as far as it has arrived.
    fn add_frame(&mut self, frame: &[u8], length: usize) -> Step {
        let is_whole = frame.len() == length;
        let &[version, reserved, _, _, indicator, code, ..] = frame else { return Step::More };
        self.is_odd |= version != tpkt::VERSION || reserved != 0;
        match code & 0xF0 {
            DT => self.add_data(frame, length),
            _ if indicator < 2 || !cotp::is_known(code) => Step::End(IsoProbe::No),
            CR | CC if is_whole => match cotp::parse(frame) {
                Ok(Tpdu::Connect(connect)) if connect.fault.is_none() => {
                    self.sender = Some(if connect.confirms { Side::Server } else { Side::Client });
                    Step::Next
                }
                _ => Step::End(IsoProbe::No),
            },
            _ if is_whole && cotp::parse(frame).is_err() => Step::End(IsoProbe::No),
            _ => Step::Next,
        }
    }

    /// Adds a DT, as far as it has arrived.
    fn add_data(&mut self, frame: &[u8], length: usize) -> Step {
        let Some((&[.., indicator, _, number], data)) = frame.split_first_chunk::<DATA_HEADER>() else {
            return Step::More;
        };
        let end = number & END != 0;
        if indicator != 2 {
            return if frame.len() == length { self.add_odd_data(frame, end) } else { Step::More };
        }
        self.is_odd |= number & !END != 0;
        self.head.add(data, length - DATA_HEADER, end);
        let step = if self.head.is_conclusive() { self.conclude() } else { Step::Next };
        if end {
            self.head = Head::EMPTY;
        }
        step
    }

    /// Adds a DT whose header states another length than that of class 0: one of its readings has to be a whole PDU.
    fn add_odd_data(&mut self, frame: &[u8], end: bool) -> Step {
        let Ok(Tpdu::Data { data, fixed, .. }) = cotp::parse(frame) else { return Step::End(IsoProbe::No) };
        let reading =
            [data, fixed].into_iter().find(|reading| end && shape::lax_kind(reading, reading.len()).is_some());
        let Some(reading) = reading.filter(|_| self.head.announced == 0) else { return Step::End(IsoProbe::No) };
        self.is_odd = true;
        self.head.add(reading, reading.len(), true);
        self.conclude()
    }

    /// Determines the content of the current TSDU. A job is recognised even if its first byte is that of another protocol.
    fn conclude(&mut self) -> Step {
        let Self { head, sender, .. } = *self;
        let lax_kind = || head.total.and_then(|total| shape::lax_kind(head.bytes(), total));
        let content = Content::of(head.bytes());
        let is_other = match content {
            Content::S7comm => false,
            Content::S7commPlus => !head.fits_plus() && lax_kind().is_some(),
            Content::Other => lax_kind().is_some(),
            Content::Tls | Content::Mms | Content::Session => {
                matches!(lax_kind(), Some(LaxKind::Job | LaxKind::Userdata))
            }
        };
        let (content, is_odd) = if is_other { (Content::S7comm, true) } else { (content, self.is_odd) };
        if content == Content::Other {
            self.is_other = true;
            return Step::Next;
        }
        Step::End(IsoProbe::Carries { content, sender, head, is_odd })
    }
}

/// Number of first bytes that are kept of a TSDU.
const HEAD: usize = 32;
/// Number of first bytes that determine the content.
const ENOUGH: usize = 24;
/// Bytes of the header, and of the trailer, of a PDU of S7comm-plus.
const PLUS_HEADER: usize = 4;
/// TPKT, length indicator, code, number.
const DATA_HEADER: usize = HEADER + 3;
