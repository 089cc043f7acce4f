//! Arrays: a count, then that many elements (OPC 10000-6, 5.2.5).

use core::marker::PhantomData;

use super::dialect::{Dialect, Reading, Standard};
use crate::fault::Fault;
use crate::reader::{DecodeError, Reader};

/// Something that has an encoding of its own.
pub trait Encoded<'a>: Sized {
    /// The fewest bytes that one takes: at least 1.
    const LEAST: usize;

    /// Reads one in a dialect, or steps over it and keeps where it lies.
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault>;

    /// Reads one in the standard's encoding.
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Self::decode(reader, Standard)
    }
}

/// How many elements of at least `least` bytes follow; none of a null array. A count that the bytes that are left cannot
/// hold is an error at once.
#[inline]
pub fn count(
    reader: &mut Reader<'_>,
    least: usize,
    field: &'static str,
    dialect: impl Dialect,
) -> Result<usize, Fault> {
    let count = match reader.i32_le(field)? {
        -1 => return Ok(0),
        ..-1 => return no_elements(field, dialect),
        count => count as usize,
    };
    if count > reader.left() / least {
        return Err(DecodeError::Truncated(field).into());
    }
    Ok(count)
}

/// A count below -1: no server expects elements behind it.
fn no_elements(field: &'static str, dialect: impl Dialect) -> Result<usize, Fault> {
    match dialect.reading() {
        Reading::Standard | Reading::Unanimous => Err(Fault::invalid(field)),
        Reading::Expanded | Reading::Plain => Ok(0),
    }
}

/// Visits every element in order and leaves the reader behind the last.
#[inline]
pub fn each<'a, T: Encoded<'a>>(
    reader: &mut Reader<'a>,
    field: &'static str,
    dialect: impl Dialect,
    mut visit: impl FnMut(T),
) -> Result<(), Fault> {
    for _ in 0..count(reader, T::LEAST, field, dialect)? {
        visit(T::decode(reader, dialect)?);
    }
    Ok(())
}

/// Steps over an array.
pub fn skip_array<'a, T: Encoded<'a>>(
    reader: &mut Reader<'a>,
    field: &'static str,
    dialect: impl Dialect,
) -> Result<(), Fault> {
    each(reader, field, dialect, |_: T| ())
}

/// Steps over an array and keeps how many elements it has, and where they lie.
pub fn elements<'a, T: Encoded<'a>>(
    reader: &mut Reader<'a>,
    field: &'static str,
    dialect: impl Dialect,
) -> Result<(u32, &'a [u8]), Fault> {
    let count = count(reader, T::LEAST, field, dialect)?;
    let start = reader.rest();
    for _ in 0..count {
        T::decode(reader, dialect)?;
    }
    let bytes = start.get(..start.len() - reader.left()).unwrap_or_default();
    Ok((u32::try_from(count).unwrap_or(u32::MAX), bytes))
}

/// An array whose elements are asked for one after another. After an error there are no more.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a, T> {
    reader: Reader<'a>,
    left: usize,
    element: PhantomData<T>,
}

impl<'a, T: Encoded<'a>> Array<'a, T> {
    /// An array that starts here. Where it ends is not known: it takes all that is left.
    pub fn open(reader: Reader<'a>, field: &'static str) -> Result<Self, Fault> {
        let mut reader = reader;
        let left = count(&mut reader, T::LEAST, field, Standard)?;
        Ok(Self { reader, left, element: PhantomData })
    }

    /// An array that starts here: the reader moves behind it.
    pub fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, Fault> {
        let start = *reader;
        skip_array::<T>(reader, field, Standard)?;
        Self::open(start, field)
    }

    /// An array without elements.
    pub const fn empty() -> Self {
        Self { reader: Reader::new(&[]), left: 0, element: PhantomData }
    }

    /// How many elements are left, as far as the count says.
    pub const fn left(&self) -> usize {
        self.left
    }

    /// What stands behind the elements that were asked for.
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
        // 0x7FFFFFFF strings in four bytes: eight gigabytes if it were believed
        let mut reader = Reader::new(b"\xff\xff\xff\x7f\xff\xff\xff\xff");
        let mut seen = 0;
        let result = each(&mut reader, "names", Standard, |_: Bytes<'_>| seen += 1);
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
        // two strings, the second longer than what is left
        let array = Array::<Bytes<'_>>::open(Reader::new(b"\x02\0\0\0\x01\0\0\0a\x09\0\0\0b"), "names").unwrap();
        let all: Vec<_> = array.collect();
        assert_eq!(all.len(), 2);
        assert!(all[0].is_ok() && all[1].is_err());
    }

    #[test]
    fn an_array_that_is_stepped_over_leaves_the_reader_behind_it() {
        let mut reader = Reader::new(b"\x02\0\0\0\0\0\0\0\0\0\x34\x80!");
        let array = Array::<StatusCode>::read(&mut reader, "results").unwrap();
        assert_eq!(array.flatten().collect::<Vec<_>>(), [StatusCode(0), StatusCode(0x8034_0000)]);
        assert_eq!(reader.rest(), b"!");
    }
}
