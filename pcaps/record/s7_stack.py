"""One interface to both S7 stacks: the C++ snap7 of python-snap7 1.x, and the Python one of 3.x.

Both call themselves `snap7`; the virtual environment in which a script runs decides which it is (`CPP`). What their
interfaces have in common is used as it is (`client`); what they call differently has one name here.
"""

import contextlib
import ctypes
import importlib.util
import logging
import struct

import snap7.client

logging.disable(logging.CRITICAL)
CPP = importlib.util.find_spec("snap7.types") is not None
if CPP:
    from snap7.types import Areas as Area
    from snap7.types import S7DataItem
else:
    from snap7.type import Area, Block, WordLen

GATE, SLUICE = "10.20.10.11", "10.20.10.14"
PG, OP, BASIC = 1, 2, 3
PASSWORD = "lock12"
PDU_REQUEST = 10                                                # parameter of the C++ client
STATE, COMMANDS, PARAMETERS = 10, 20, 100                       # data blocks
LEVEL, VALVE = 16, 20                                           # REAL and INT in COMMANDS
BIT, BYTE, CHAR, WORD, INT, DWORD, DINT, REAL, COUNTER, TIMER = 1, 2, 3, 4, 5, 6, 7, 8, 0x1C, 0x1D
AREAS = {"I": 0x81, "Q": 0x82, "M": 0x83, "DB": 0x84, "C": 0x1C, "T": 0x1D}
BYTES = {BIT: 1, BYTE: 1, CHAR: 1, WORD: 2, INT: 2, DWORD: 4, DINT: 4, REAL: 4, COUNTER: 2, TIMER: 2}


class Link:
    """A connection to a controller. What it refuses, or answers so that the client gives up, is only noted."""

    def __init__(self, host, kind=OP, slot=2, rack=0, port=102, pdu=480):
        self.client = snap7.client.Client()
        if CPP:
            self.client.set_param(PDU_REQUEST, pdu)
        self.client.set_connection_type(kind)
        self.where = (host, rack, slot, port)
        self.client.connect(*self.where)

    def __getattr__(self, name):
        """Any function of the client."""
        return lambda *arguments: self.attempt(getattr(self.client, name), *arguments)

    def attempt(self, function, *arguments):
        try:
            return function(*arguments)
        except Exception as refusal:                            # the two stacks have no kind of error in common
            print(f"{function.__name__}: {refusal}")
            if not self.client.get_connected():
                self.client.connect(*self.where)
            return None

    def close(self):
        with contextlib.suppress(Exception):
            self.client.disconnect()

    def read(self, area, db, start, kind, count):
        """One Read Var of elements; `start` in bytes, of bits in bits, of timers and counters their number."""
        if CPP:
            buffer = (ctypes.c_uint8 * (BYTES[kind] * count))()
            self.client._lib.Cli_ReadArea(self.client._s7_client, AREAS[area], db, start, count, kind, buffer)
            return bytes(buffer)
        return self.attempt(self.client.read_area, Area(AREAS[area]), db, start, count, WordLen(kind))

    def write(self, area, db, start, kind, data):
        """One Write Var of elements."""
        if CPP:
            buffer = (ctypes.c_uint8 * len(data))(*data)
            count = len(data) // BYTES[kind]
            self.client._lib.Cli_WriteArea(self.client._s7_client, AREAS[area], db, start, count, kind, buffer)
        else:
            self.attempt(self.client.write_area, Area(AREAS[area]), db, start, bytearray(data), WordLen(kind))

    def read_items(self, *items):
        """One Read Var of several items: (area, db, start, kind, count) each. 3.x reads bytes and joins neighbours."""
        if CPP:
            array = (S7DataItem * len(items))(*[data_item(*item[:4], item[4], None) for item in items])
            self.attempt(self.client.read_multi_vars, array)
        else:
            keys = ("area", "db_number", "start", "size")
            asked = [(Area(AREAS[area]), db, start, BYTES[kind] * count) for area, db, start, kind, count in items]
            self.attempt(self.client.read_multi_vars, [dict(zip(keys, item)) for item in asked])

    def write_items(self, *items):
        """One Write Var of several items: (area, db, start, kind, data) each. 3.x sends one Write Var for each."""
        if CPP:
            self.attempt(self.client.write_multi_vars, [data_item(*item[:4], None, item[4]) for item in items])
        else:
            for area, db, start, kind, data in items:
                self.write(area, db, start, kind, data)

    def block(self, name):
        """How the client wants a kind of block."""
        return name if CPP else Block[name]

    def level(self, metres):
        """Writes the set point of the level."""
        self.write("DB", COMMANDS, LEVEL, REAL, struct.pack(">f", metres))

    def valve(self, opening):
        """Writes the set point of the valve."""
        self.write("DB", COMMANDS, VALVE, INT, struct.pack(">h", opening))


def data_item(area, db, start, kind, count, data):
    """An item for the C++ library. The buffer is kept with it, so that it lives as long."""
    count = count or len(data) // BYTES[kind]
    buffer = (ctypes.c_uint8 * (BYTES[kind] * count))(*(data or b""))
    pointer = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_uint8))
    item = S7DataItem(Area=AREAS[area], WordLen=kind, DBNumber=db, Start=start, Amount=count, pData=pointer)
    item.buffer = buffer
    return item


def block_of(kind, number, body):
    """A block as it is downloaded: header of 36 bytes, body, footer of 36 bytes."""
    header = bytearray(36)
    size = len(body) + 2 * len(header)
    struct.pack_into(">HBBBBHI", header, 0, 0x7070, 1, 1, 5, kind, number, size)
    struct.pack_into(">H", header, 34, len(body))
    return header + bytearray(body) + bytearray(36)
