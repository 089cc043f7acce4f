//! Arrays: a count, then that many elements (OPC 10000-6, 5.2.5).

use core::marker::PhantomData;

use super::dialect::{Dialect, Reading, Standard};
use crate::fault::Fault;
use crate::reader::{DecodeError, Reader};

/// A type with an encoding of its own.
pub trait Encoded<'a>: Sized {
    /// Its shortest encoding, bytes: at least 1.
    const MIN_SIZE: usize;

    /// Decodes a value in a dialect. Values that hold others are skipped, and keep where they lie.
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault>;

    /// Decodes a value in the standard's encoding.
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Self::decode(reader, Standard)
    }
}

/// Reads the number of elements of an array, each of at least `min_size` bytes; 0 for a null array. Fails at once if the
/// remaining bytes cannot hold them.
#[inline]
pub fn read_count(
    reader: &mut Reader<'_>,
    min_size: usize,
    field: &'static str,
    dialect: impl Dialect,
) -> Result<usize, Fault> {
    let count = match reader.i32_le(field)? {
        -1 => return Ok(0),
        ..-1 => return no_elements(field, dialect),
        count => count as usize,
    };
    if count > reader.left() / min_size {
        return Err(DecodeError::Truncated(field).into());
    }
    Ok(count)
}

/// The number of elements for a count below -1: servers read it as 0.
fn no_elements(field: &'static str, dialect: impl Dialect) -> Result<usize, Fault> {
    match dialect.reading() {
        Reading::Standard | Reading::Unanimous => Err(Fault::invalid(field)),
        Reading::Expanded | Reading::Plain => Ok(0),
    }
}

/// Visits every element in order, and leaves the reader behind the last.
#[inline]
pub fn visit_each<'a, T: Encoded<'a>>(
    reader: &mut Reader<'a>,
    field: &'static str,
    dialect: impl Dialect,
    mut visit: impl FnMut(T),
) -> Result<(), Fault> {
    for _ in 0..read_count(reader, T::MIN_SIZE, field, dialect)? {
        visit(T::decode(reader, dialect)?);
    }
    Ok(())
}

/// Skips an array.
pub fn skip_array<'a, T: Encoded<'a>>(
    reader: &mut Reader<'a>,
    field: &'static str,
    dialect: impl Dialect,
) -> Result<(), Fault> {
    visit_each(reader, field, dialect, |_: T| ())
}

/// Skips an array. Returns the number of its elements and their bytes.
pub fn read_elements<'a, T: Encoded<'a>>(
    reader: &mut Reader<'a>,
    field: &'static str,
    dialect: impl Dialect,
) -> Result<(u32, &'a [u8]), Fault> {
    let count = read_count(reader, T::MIN_SIZE, field, dialect)?;
    let start = reader.rest();
    for _ in 0..count {
        T::decode(reader, dialect)?;
    }
    let bytes = start.get(..start.len() - reader.left()).unwrap_or_default();
    Ok((u32::try_from(count).unwrap_or(u32::MAX), bytes))
}

/// An array whose elements are decoded one by one. An error ends it.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a, T> {
    reader: Reader<'a>,
    left: usize,
    element: PhantomData<T>,
}

impl<'a, T: Encoded<'a>> Array<'a, T> {
    /// The array that begins here. Its end is unknown, so that it holds the whole rest of the reader.
    pub fn open(reader: Reader<'a>, field: &'static str) -> Result<Self, Fault> {
        let mut reader = reader;
        let left = read_count(&mut reader, T::MIN_SIZE, field, Standard)?;
        Ok(Self { reader, left, element: PhantomData })
    }

    /// The array that begins here. The reader moves behind it.
    pub fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, Fault> {
        let start = *reader;
        skip_array::<T>(reader, field, Standard)?;
        Self::open(start, field)
    }

    /// An empty array.
    pub const fn empty() -> Self {
        Self { reader: Reader::new(&[]), left: 0, element: PhantomData }
    }

    /// The number of elements left, by the count.
    pub const fn left(&self) -> usize {
        self.left
    }

    /// The reader, behind the elements that were decoded.
    pub const fn reader(&self) -> Reader<'a> {
        self.reader
    }
}

impl<'a, T: Encoded<'a>> Iterator for Array<'a, T> {
    type Item = Result<T, Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let element = T::read(&mut self.reader);
        if element.is_err() {
            self.left = 0;
        }
        Some(element)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::super::{Bytes, StatusCode};
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_count_that_the_bytes_cannot_hold_is_refused_before_any_element() {
        // 0x7FFFFFFF strings in four bytes: they would take 8 GB
        let mut reader = Reader::new(b"\xff\xff\xff\x7f\xff\xff\xff\xff");
        let mut seen = 0;
        let result = visit_each(&mut reader, "names", Standard, |_: Bytes<'_>| seen += 1);
        assert_eq!((result, seen), (Err(DecodeError::Truncated("names").into()), 0));
    }

    #[test]
    fn null_and_empty_arrays_have_no_elements_and_other_negative_counts_are_invalid() {
        let read = |bytes: &'static [u8]| Array::<u32>::open(Reader::new(bytes), "ids").map(|array| array.left());
        assert_eq!(read(b"\xff\xff\xff\xff"), Ok(0));
        assert_eq!(read(b"\x00\x00\x00\x00"), Ok(0));
        assert_eq!(read(b"\xf0\xff\xff\xff"), Err(Fault::invalid("ids")));
    }

    #[test]
    fn after_an_error_an_array_has_no_more_elements() {
        // two strings, the second longer than the remaining bytes
        let array = Array::<Bytes<'_>>::open(Reader::new(b"\x02\0\0\0\x01\0\0\0a\x09\0\0\0b"), "names").unwrap();
        let all: Vec<_> = array.collect();
        assert_eq!(all.len(), 2);
        assert!(all[0].is_ok() && all[1].is_err());
    }

    #[test]
    fn a_skipped_array_leaves_the_reader_behind_it() {
        let mut reader = Reader::new(b"\x02\0\0\0\0\0\0\0\0\0\x34\x80!");
        let array = Array::<StatusCode>::read(&mut reader, "results").unwrap();
        assert_eq!(array.flatten().collect::<Vec<_>>(), [StatusCode(0), StatusCode(0x8034_0000)]);
        assert_eq!(reader.rest(), b"!");
    }
}
