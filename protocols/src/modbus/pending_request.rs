//! The content of a request that its answer needs.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::function;
use crate::operation::{Class, Operation, Table, Target, Values};

/// A range of a table: first address and number of elements.
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

/// The sub-requests of a file request, boxed so that every other request stays small.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileList {
    pub(super) ranges: Vec<FileRange>,
}

/// The content of a request to its unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PendingRequest {
    /// No address, or an address that is cut off.
    Whole,
    /// One range of the table that belongs to the function.
    Range(Range),
    /// A range, where the outcome is not tracked: nearly every request.
    Untracked(Range),
    /// Read/Write Multiple Registers: the write is done first (6.17).
    ReadWrite { write: Range, read: Range },
    /// A diagnostic sub-function, a MEI type or a UMAS function.
    Sub(u16),
    /// File records.
    Files(Box<FileList>),
    /// The bytes of the request have another reading as well.
    Ambiguous(Box<Self>),
    /// A write with more values than it names. Servers that use the byte count write them all: the last item is the
    /// part beyond the range.
    Exceeding(Box<Self>),
}

impl PendingRequest {
    /// Heap memory, bytes.
    pub(super) fn heap(&self) -> usize {
        match self {
            Self::Files(list) => list.ranges.capacity() * size_of::<FileRange>(),
            Self::Ambiguous(inner) | Self::Exceeding(inner) => size_of::<Self>() + inner.heap(),
            _ => 0,
        }
    }

    /// Number of operations in the request.
    pub(super) fn item_count(&self) -> u16 {
        match self {
            Self::Whole | Self::Range(_) | Self::Untracked(_) | Self::Sub(_) => 1,
            Self::ReadWrite { .. } => 2,
            // A frame holds fewer than 256 bytes of sub-requests.
            Self::Files(list) => list.ranges.len() as u16,
            Self::Ambiguous(asked) => asked.item_count(),
            Self::Exceeding(asked) => asked.item_count() + 1,
        }
    }

    /// The item beyond the range that the request names, if there is one.
    pub(super) fn excess(&self) -> Option<u16> {
        match self {
            Self::Ambiguous(asked) => asked.excess(),
            Self::Exceeding(asked) => Some(asked.item_count()),
            _ => None,
        }
    }

    /// The content to keep, given whether an outcome is tracked.
    pub(super) fn after_announcement(self, is_tracked: bool) -> Self {
        match self {
            Self::Range(range) if !is_tracked => Self::Untracked(range),
            asked => asked,
        }
    }

    /// The content without the marks for other readings and for excess values.
    pub(super) fn unwrapped(&self) -> &Self {
        match self {
            Self::Ambiguous(asked) | Self::Exceeding(asked) => asked.unwrapped(),
            _ => self,
        }
    }

    /// The operation of one item, with its values.
    #[inline]
    pub(super) fn operation<'a>(&self, unit: u8, code: u8, item: u16, values: Values<'a>) -> Operation<'a> {
        if let Self::Ambiguous(asked) = self {
            return Operation { ambiguous: true, ..asked.operation(unit, code, item, values) };
        }
        if let Self::Exceeding(asked) = self {
            let operation = asked.operation(unit, code, if item < asked.item_count() { item } else { 0 }, values);
            let target = if item < asked.item_count() { operation.target } else { Target::Unread { part: "values" } };
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

    /// The sub-function, if the request has one.
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
            Self::Range(only) | Self::Untracked(only) => range(*only),
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
