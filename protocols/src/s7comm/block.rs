//! Blocks and their file names: upload, download, block lists.
//!
//! A name is `_` or `$`, two characters for the type, five digits, and the file system (`P`assive, `A`ctive, `B`oth);
//! numerical controls use paths instead.

use crate::operation::Target;
use crate::reader::{DecodeError, Reader};

/// The file name in a job of an upload or a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    /// The block, if the name is that of a block.
    pub(super) target: Target<'static>,
    /// The name as sent, with the file system; empty if the job has none.
    pub(super) name: &'a [u8],
}

/// Reads the file name in the parameters of Request download, Download block, Download ended and Start upload, after
/// the function: status, two bytes, the upload's id, then the name with its length.
pub(super) fn read_named(parameters: &[u8]) -> Result<Named<'_>, DecodeError> {
    let mut reader = Reader::new(parameters);
    reader.bytes(7, "block_control")?;
    let length = reader.u8("name_length")?;
    let name = reader.bytes(length.into(), "name")?;
    Ok(Named { target: parse_file_name(name), name })
}

/// The id of an upload, in the parameters of its jobs and answers after the function.
pub(super) fn upload_id(parameters: &[u8]) -> Option<u32> {
    parameters.get(3..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// The block that a file name denotes.
pub(super) fn parse_file_name(name: &[u8]) -> Target<'static> {
    match name {
        [b'_' | b'$', rest @ ..] => parse_block(rest),
        _ => parse_block(name),
    }
}

/// The block or block type that a text denotes: two characters for the type, then five digits or none.
pub(super) fn parse_block(text: &[u8]) -> Target<'static> {
    match *text {
        [first, second] => Target::Block { kind: kind(first, second), number: None },
        [first, second, ref rest @ ..] if rest.len() == 5 || rest.len() == 6 => {
            let number = rest.iter().take(5).try_fold(0, |number: u32, digit| {
                let digit = char::from(*digit).to_digit(10)?;
                Some(number * 10 + digit)
            });
            match number {
                Some(_) => Target::Block { kind: kind(first, second), number },
                None => Target::None,
            }
        }
        _ => Target::None,
    }
}

fn kind(first: u8, second: u8) -> &'static str {
    match [first, second] {
        [b'0', b'8'] => "OB",
        [b'0', b'9'] => "CMod",
        [b'0', b'A'] => "DB",
        [b'0', b'B'] => "SDB",
        [b'0', b'C'] => "FC",
        [b'0', b'D'] => "SFC",
        [b'0', b'E'] => "FB",
        [b'0', b'F'] => "SFB",
        _ => "other",
    }
}

/// Blocks being uploaded, by the ids that the controller assigned. A new upload replaces the oldest.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    open: [Option<(u32, Target<'static>)>; UPLOADS],
    next: usize,
}

impl Uploads {
    /// Adds an upload.
    pub(super) fn begin(&mut self, id: u32, target: Target<'static>) {
        self.end(id);
        if let Some(slot) = self.open.get_mut(self.next) {
            *slot = Some((id, target));
        }
        self.next = (self.next + 1) % UPLOADS;
    }

    /// The block that is uploaded under an id.
    pub(super) fn target(&self, id: u32) -> Target<'static> {
        self.open.iter().flatten().find(|(known, _)| *known == id).map_or(Target::None, |(_, target)| *target)
    }

    /// Removes an upload.
    pub(super) fn end(&mut self, id: u32) {
        for slot in &mut self.open {
            if slot.is_some_and(|(known, _)| known == id) {
                *slot = None;
            }
        }
    }
}

/// Simultaneous uploads that are kept for a connection.
const UPLOADS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_denotes_a_block_or_nothing() {
        assert_eq!(parse_file_name(b"_0A00042P"), Target::Block { kind: "DB", number: Some(42) });
        assert_eq!(parse_file_name(b"0800001"), Target::Block { kind: "OB", number: Some(1) });
        assert_eq!(parse_file_name(b"0B"), Target::Block { kind: "SDB", number: None });
        assert_eq!(parse_file_name(b"_ZZ00001A"), Target::Block { kind: "other", number: Some(1) });
        for odd in [&b"_0A0004xP"[..], b"", b"_", b"/_N_MPF_DIR/_N_A_MPF", b"_0A000421234567890"] {
            assert_eq!(parse_file_name(odd), Target::None, "{odd:?}");
        }
    }

    #[test]
    fn uploads_are_bounded_and_end() {
        let mut uploads = Uploads::default();
        for id in 0..10 {
            uploads.begin(id, Target::Block { kind: "DB", number: Some(id) });
        }
        assert_eq!(uploads.target(9), Target::Block { kind: "DB", number: Some(9) });
        assert_eq!(uploads.target(5), Target::None);
        uploads.end(9);
        assert_eq!(uploads.target(9), Target::None);
    }
}
