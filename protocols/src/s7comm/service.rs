//! PI services (program invocations): jobs that are identified by a name, and PLC Stop, which has a name as well.

use super::function;
use crate::dissector::Function;
use crate::reader::{DecodeError, Reader};

/// A PI service in a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Service<'a> {
    /// Its name on the wire.
    pub(super) name: &'a [u8],
    /// Its parameter block.
    pub(super) arguments: &'a [u8],
    /// Bytes after its name, where none should follow.
    pub(super) rest: &'a [u8],
}

/// The blocks that a service acts on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks<'a> {
    /// Number of blocks, as stated.
    pub(super) counted: u8,
    /// Names of eight characters each.
    list: &'a [u8],
    /// The list has exactly the stated number of names.
    pub(super) is_exact: bool,
}

impl<'a> Blocks<'a> {
    /// The whole names, counted or not.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.list.chunks_exact(BLOCK_NAME)
    }

    /// The bytes after the last whole name.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.list.chunks_exact(BLOCK_NAME).remainder()
    }
}

impl<'a> Service<'a> {
    /// Reads a PI Service, after the function: seven bytes, a parameter block with its length, a name with its length.
    pub(super) fn read(parameters: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(parameters);
        reader.bytes(7, "pi_header")?;
        let length = reader.u16_be("argument_length")?;
        let arguments = reader.bytes(length.into(), "arguments")?;
        let length = reader.u8("name_length")?;
        Ok(Self { name: reader.bytes(length.into(), "name")?, arguments, rest: reader.rest() })
    }

    /// Reads a PLC Stop, after the function: five bytes, a name with its length.
    pub(super) fn read_stop(parameters: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(parameters);
        reader.bytes(5, "pi_header")?;
        let length = reader.u8("name_length")?;
        Ok(Self { name: reader.bytes(length.into(), "name")?, arguments: &[], rest: reader.rest() })
    }

    /// The function that the name and the arguments select.
    pub(super) fn function(&self) -> &'static Function {
        match (self.name, self.arguments) {
            (PROGRAM, []) => &function::WARM_START,
            (PROGRAM, [b'C', ..]) => &function::COLD_START,
            _ => position(self.name).and_then(function::service).unwrap_or(&function::UNKNOWN_SERVICE),
        }
    }

    /// The key under which it is counted: its position in [`NAMES`], from 1; 0 if unknown.
    pub(super) fn count_key(&self) -> u32 {
        position(self.name).map_or(0, |position| position as u32 + 1)
    }

    /// The blocks that it acts on: their number, a zero byte, their names. None if it is no service on blocks.
    pub(super) fn blocks(&self) -> Option<Blocks<'a>> {
        if !matches!(self.name, b"_INSE" | b"_INS2" | b"_DELE") {
            return None;
        }
        let (&[counted, zero], list) = self.arguments.split_first_chunk()?;
        let is_exact = zero == 0 && list.len() == BLOCK_NAME * usize::from(counted);
        Some(Blocks { counted, list, is_exact })
    }
}

fn position(name: &[u8]) -> Option<usize> {
    NAMES.iter().position(|known| known.as_bytes() == name)
}

const PROGRAM: &[u8] = b"P_PROGRAM";
/// Characters of the name of a block: two for the type, five digits, the file system.
const BLOCK_NAME: usize = 8;

/// Every known service, in the order of `function::SERVICES`.
pub(super) const NAMES: [&str; 66] = [
    "P_PROGRAM",
    "_INSE",
    "_INS2",
    "_DELE",
    "_MODU",
    "_GARB",
    "_N_LOGIN_",
    "_N_LOGOUT",
    "_N_NEWPWD",
    "_N_F_PROT",
    "_N_CANCEL",
    "_N_DASAVE",
    "_N_CONFIG",
    "_N_DIGIOF",
    "_N_DIGION",
    "_N_DZERO_",
    "_N_ENDEXT",
    "_N_EXTERN",
    "_N_EXTMOD",
    "_N_FINDBL",
    "_N_IBN_SS",
    "_N_NCKMOD",
    "_N_OST_OF",
    "_N_OST_ON",
    "_N_SCALE_",
    "_N_SEL_BL",
    "_N_SELECT",
    "_N_SETUFR",
    "_N_STRTLK",
    "_N_STRTUL",
    "_N_ASUP__",
    "_N_F_DELE",
    "_N_F_DELR",
    "_N_F_DMDA",
    "_N_DELVAR",
    "_N_F_COPY",
    "_N_F_RENA",
    "_N_F_XFER",
    "_N_F_OPEN",
    "_N_F_OPER",
    "_N_F_CLOS",
    "_N_F_SEEK",
    "_N_LOCKE_",
    "_N_SRTEXT",
    "_N_CHEKDM",
    "_N_CHKDNO",
    "_N_CRCEDN",
    "_N_CREACE",
    "_N_CREATO",
    "_N_CRTOCE",
    "_N_DELECE",
    "_N_DELETO",
    "_N_MMCSEM",
    "_N_SETTST",
    "_N_TMAWCO",
    "_N_TMCRTC",
    "_N_TMCRTO",
    "_N_TMFDPL",
    "_N_TMFPBP",
    "_N_TMGETT",
    "_N_TMMVTL",
    "_N_TMPCIT",
    "_N_TMPOSM",
    "_N_TMRASS",
    "_N_TRESMO",
    "_N_TSEARC",
];
