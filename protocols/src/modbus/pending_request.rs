//! What a request asked, as small as it can be kept until its answer.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::function;
use crate::operation::{Class, Operation, Table, Target, Values};

/// A range of a table, or the records of a file: where it begins and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) address: u16,
    pub(super) count: u16,
}

/// One sub-request of Read or Write File Record (6.14, 6.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileRange {
    pub(super) file: u16,
    pub(super) record: u16,
    pub(super) count: u16,
}

/// The sub-requests of one file request, apart from [`PendingRequest`] so that every other request stays small.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileList {
    pub(super) ranges: Vec<FileRange>,
}

/// What a request asked of its unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PendingRequest {
    /// Something that has no address, or whose address was cut off.
    Whole,
    /// One range of the table that belongs to the function.
    Range(Range),
    /// The same, and nobody waits for its outcome: nearly every request.
    Passed(Range),
    /// Read/Write Multiple Registers: the write is done first (6.17).
    ReadWrite { write: Range, read: Range },
    /// A diagnostic sub-function, a MEI type or a UMAS function.
    Sub(u16),
    /// File records.
    Files(Box<FileList>),
    /// The same bytes can be read in another way as well.
    Ambiguous(Box<Self>),
    /// A write of several values that brings more of them than it names. Servers that go by the byte count write them all: the
    /// last item is what they write beyond the range.
    Exceeding(Box<Self>),
}

impl PendingRequest {
    /// Bytes of memory beside its own that it takes.
    pub(super) fn heap(&self) -> usize {
        match self {
            Self::Files(list) => list.ranges.capacity() * size_of::<FileRange>(),
            Self::Ambiguous(inner) | Self::Exceeding(inner) => size_of::<Self>() + inner.heap(),
            _ => 0,
        }
    }

    /// How many operations the request consists of.
    pub(super) fn items(&self) -> u16 {
        match self {
            Self::Whole | Self::Range(_) | Self::Passed(_) | Self::Sub(_) => 1,
            Self::ReadWrite { .. } => 2,
            // A frame holds fewer than 256 bytes of sub-requests.
            Self::Files(list) => list.ranges.len() as u16,
            Self::Ambiguous(asked) => asked.items(),
            Self::Exceeding(asked) => asked.items() + 1,
        }
    }

    /// The item that is beyond what the request names, if there is one.
    pub(super) fn excess(&self) -> Option<u16> {
        match self {
            Self::Ambiguous(asked) => asked.excess(),
            Self::Exceeding(asked) => Some(asked.items()),
            _ => None,
        }
    }

    /// After its operations were announced: whether somebody waits for an outcome.
    pub(super) fn announced(self, is_awaited: bool) -> Self {
        match self {
            Self::Range(range) if !is_awaited => Self::Passed(range),
            asked => asked,
        }
    }

    /// What was asked, whether or not it can be read in another way, and without what is beyond it.
    pub(super) fn plainly(&self) -> &Self {
        match self {
            Self::Ambiguous(asked) | Self::Exceeding(asked) => asked.plainly(),
            _ => self,
        }
    }

    /// One of the operations, with the values that travel with it.
    #[inline]
    pub(super) fn operation<'a>(&self, unit: u8, code: u8, item: u16, values: Values<'a>) -> Operation<'a> {
        if let Self::Ambiguous(asked) = self {
            return Operation { ambiguous: true, ..asked.operation(unit, code, item, values) };
        }
        if let Self::Exceeding(asked) = self {
            let operation = asked.operation(unit, code, if item < asked.items() { item } else { 0 }, values);
            let target = if item < asked.items() { operation.target } else { Target::Unread { part: "values" } };
            return Operation { target, ..operation };
        }
        let function = function::find(code, self.sub());
        let class = match self {
            Self::ReadWrite { .. } if item == READ_ITEM => Class::Read,
            _ => function.class,
        };
        let target = self.target(unit, code, item);
        Operation {
            class,
            function: function.name,
            code: u32::from(code & !function::EXCEPTION),
            ambiguous: false,
            target,
            values,
        }
    }

    /// The sub-function, where the function code has one and it was there.
    fn sub(&self) -> Option<u16> {
        match *self {
            Self::Sub(number) => Some(number),
            _ => None,
        }
    }

    fn target(&self, unit: u8, code: u8, item: u16) -> Target<'static> {
        let range = |Range { address, count }: Range| Target::Table { unit, table: table(code), address, count };
        match self {
            Self::Whole => Target::Unit { unit },
            Self::Range(only) | Self::Passed(only) => range(*only),
            Self::ReadWrite { read, .. } if item == READ_ITEM => range(*read),
            Self::ReadWrite { write, .. } => range(*write),
            Self::Sub(number) => Target::Sub { unit, kind: function::sub_kind(code), number: *number },
            Self::Files(list) => match list.ranges.get(usize::from(item)) {
                Some(&FileRange { file, record, count }) => Target::File { unit, file, record, count },
                None => Target::Unit { unit },
            },
            Self::Ambiguous(asked) | Self::Exceeding(asked) => asked.target(unit, code, item),
        }
    }
}

/// The operation of a request that reads one range.
#[inline]
pub(super) fn read_of(unit: u8, code: u8, Range { address, count }: Range) -> Operation<'static> {
    let function = function::find(code, None).name;
    let target = Target::Table { unit, table: table(code), address, count };
    Operation { class: Class::Read, function, code: code.into(), ambiguous: false, target, values: Values::None }
}

/// The item of Read/Write Multiple Registers that reads; item 0 writes.
pub(super) const READ_ITEM: u16 = 1;

/// The table that a function with a range acts on (4.3).
const fn table(code: u8) -> Table {
    match code {
        function::READ_COILS | function::WRITE_SINGLE_COIL | function::WRITE_MULTIPLE_COILS => Table::Coil,
        function::READ_DISCRETE_INPUTS => Table::DiscreteInput,
        function::READ_INPUT_REGISTERS => Table::InputRegister,
        _ => Table::HoldingRegister,
    }
}
