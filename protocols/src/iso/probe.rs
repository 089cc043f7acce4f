//! The opening of a flow: what its first TSDU holds, whatever the cut into TPDUs and segments.

use super::content::Content;
use super::cotp::{self, CC, CR, DT, END, Tpdu};
use super::shape::{self, Loose};
use super::tpkt::{self, HEADER};
use crate::dissector::{FrameLen, Side};

/// What the first bytes of one side show.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IsoProbe {
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
        /// A field of the headers is wrong: servers may read it all the same.
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

    /// Whether the header of a PDU of S7comm-plus agrees with the length of its TSDU, as far as that is known: the trailer
    /// is there or not.
    pub(crate) fn fits_plus(&self) -> bool {
        match (self.bytes(), self.total) {
            (&[_, 1..=3, high, low, ..], Some(total)) => {
                let whole = PLUS_HEADER + usize::from(u16::from_be_bytes([high, low]));
                total == whole || total == whole + PLUS_HEADER
            }
            _ => true,
        }
    }

    /// Whether what is there is enough to judge by.
    fn is_telling(&self) -> bool {
        self.used >= ENOUGH || self.total.is_some_and(|total| total > 0 && self.used >= total)
    }
}

/// Walks over connection set-up and unknown content to the first TSDU that is known.
pub(crate) fn open(bytes: &[u8]) -> IsoProbe {
    let mut walk = Walk { head: Head::EMPTY, sender: None, is_odd: false, is_other: false };
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = match tpkt::frame_len(rest) {
            FrameLen::Bytes(length) => length,
            FrameLen::Unknown => break,
            FrameLen::Invalid(_) => return IsoProbe::No,
        };
        match walk.frame(rest.get(..length).unwrap_or(rest), length) {
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

/// What was seen of an opening so far.
struct Walk {
    head: Head,
    sender: Option<Side>,
    is_odd: bool,
    is_other: bool,
}

/// What a frame of an opening calls for.
enum Step {
    Next,
    /// More of it has to come.
    More,
    End(IsoProbe),
}

impl Walk {
    /// One frame of `length` bytes, as far as it is there.
    fn frame(&mut self, frame: &[u8], length: usize) -> Step {
        let is_whole = frame.len() == length;
        let &[version, reserved, _, _, indicator, code, ..] = frame else { return Step::More };
        self.is_odd |= version != tpkt::VERSION || reserved != 0;
        match code & 0xF0 {
            DT => self.data(frame, length),
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

    /// A DT, as far as it is there.
    fn data(&mut self, frame: &[u8], length: usize) -> Step {
        let Some((&[.., indicator, _, number], data)) = frame.split_first_chunk::<DATA_HEADER>() else {
            return Step::More;
        };
        let end = number & END != 0;
        if indicator != 2 {
            return if frame.len() == length { self.odd_data(frame, end) } else { Step::More };
        }
        self.is_odd |= number & !END != 0;
        self.head.add(data, length - DATA_HEADER, end);
        let step = if self.head.is_telling() { self.tell() } else { Step::Next };
        if end {
            self.head = Head::EMPTY;
        }
        step
    }

    /// A DT whose header states another length than that of class 0: one of its readings has to be a whole PDU.
    fn odd_data(&mut self, frame: &[u8], end: bool) -> Step {
        let Ok(Tpdu::Data { data, fixed, .. }) = cotp::parse(frame) else { return Step::End(IsoProbe::No) };
        let reading = [data, fixed].into_iter().find(|reading| end && shape::loose(reading, reading.len()).is_some());
        let Some(reading) = reading.filter(|_| self.head.announced == 0) else { return Step::End(IsoProbe::No) };
        self.is_odd = true;
        self.head.add(reading, reading.len(), true);
        self.tell()
    }

    /// What the TSDU is whose beginning is there. A first byte that another protocol has, too, does not hide a job.
    fn tell(&mut self) -> Step {
        let Self { head, sender, .. } = *self;
        let loose = || head.total.and_then(|total| shape::loose(head.bytes(), total));
        let content = Content::of(head.bytes());
        let is_other = match content {
            Content::S7comm => false,
            Content::S7commPlus => !head.fits_plus() && loose().is_some(),
            Content::Other => loose().is_some(),
            Content::Tls | Content::Mms | Content::Session => {
                matches!(loose(), Some(Loose::Job | Loose::Userdata))
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

/// Bytes of a TSDU that are kept to judge it by.
const HEAD: usize = 32;
/// Bytes of a TSDU that tell what it is.
const ENOUGH: usize = 24;
/// Bytes of the header, and of the trailer, of a PDU of S7comm-plus.
const PLUS_HEADER: usize = 4;
/// TPKT, length indicator, code, number.
const DATA_HEADER: usize = HEADER + 3;
