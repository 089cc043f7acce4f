"""What the hosts of the plant do to S7 controllers: `s7_scenes.py SCENE [ARGUMENT...]`, run by ./record on a host.

Each function is one scene; its docstring says who plays it. The client is the stack of the environment that runs the
script (s7_stack.py), raw bytes (s7_wire.py) where it cannot send what the scene needs.
"""

import struct
import sys
import time

import s7_wire
from s7_stack import (AREAS, BASIC, BIT, BYTE, CHAR, COMMANDS, COUNTER, CPP, DINT, DWORD, GATE, INT, LEVEL, OP,
                      PARAMETERS, PASSWORD, PG, REAL, SLUICE, STATE, TIMER, VALVE, WORD, Area, Link, block_of)

OTHER_PORT = 1102

# ---------------------------------------------------------------- operation


def poll(host=GATE, rounds="8", pause="0.3"):
    """SCADA-1 polls a controller and turns set points within their limits."""
    link = Link(host)
    for number in range(int(rounds)):
        link.db_read(STATE, 0, 64)
        link.read_items(("DB", STATE, 64, BYTE, 11), ("M", 0, 8 * 1 + 5, BIT, 1) if CPP else ("M", 0, 0, BYTE, 3),
                        ("DB", COMMANDS, 0, WORD, 4), ("DB", COMMANDS, LEVEL, REAL, 1))
        if number % 3 == 1:
            link.write("DB", COMMANDS, number % 4, BYTE, bytes([1 << number % 8]))
            link.level((1.1, 1.25, 1.1, 1.0)[number // 3 % 4])
        if number % 3 == 2:
            link.write_items(("DB", COMMANDS, VALVE, INT, struct.pack(">h", 50 * number)),
                             ("DB", COMMANDS, 4, BYTE, bytes(3)), ("DB", COMMANDS, 8, WORD, b"\0\1\0\2"))
        time.sleep(float(pause))
    link.close()


def collect(host=SLUICE, rounds="8", pause="0.3"):
    """HIST-1 reads states over a connection of type S7 basic."""
    link = Link(host, BASIC)
    for _ in range(int(rounds)):
        link.db_read(STATE, 0, 200)
        time.sleep(float(pause))
    link.close()


def pipelined(host=GATE):
    """SCADA-1 has several jobs in flight: those of the Python client, then by hand."""
    if not CPP:
        link = Link(host)
        for _ in range(3):
            link.read_items(*[("DB", PARAMETERS, 60 * place, BYTE, 50) for place in range(18)])
        link.close()
        return
    raw = s7_wire.Client(host)
    state, level = s7_wire.item(STATE, 0, 20), s7_wire.item(COMMANDS, LEVEL, 4)
    raw.send(*[s7_wire.read(reference, state) for reference in (1, 2, 3)])     # three jobs in one segment
    raw.receive(3)
    for reference in range(10, 18):                                            # eight outstanding, a segment each
        raw.send(s7_wire.read(reference, s7_wire.item(STATE, reference, 2)))
    raw.receive(8)
    for place in range(4):                                                     # a client that never counts
        raw.send(s7_wire.read(0, s7_wire.item(STATE, place, 2)))
        raw.receive()
    raw.send(s7_wire.read(7, state), s7_wire.read(7, level, state))            # two with the same reference
    raw.receive(2)
    whole = s7_wire.read(30, state)
    for piece in (whole[:3], whole[3:6], whole[6:12], whole[12:]):             # one job in four segments
        raw.send(piece)
        time.sleep(0.03)
    raw.receive()
    two = s7_wire.read(31, state) + s7_wire.write(32, COMMANDS, 0, b"\x01")
    raw.send(two[:40])                                                         # one and a quarter
    time.sleep(0.03)
    raw.send(two[40:])
    raw.receive(2)
    raw.close()


def other_port():
    """SCADA-1 polls a controller that listens on another port, and writes what is not declared."""
    link = Link(SLUICE, port=OTHER_PORT)
    for _ in range(3):
        link.db_read(STATE, 0, 32)
        link.level(1.1)
    link.write("DB", COMMANDS, 24, BYTE, b"\x01\x02")
    link.close()


def small_pieces():
    """SCADA-1, through a proxy that cuts what it sends: reads, a permitted write, one that is not, a stop."""
    link = Link("127.0.0.1")
    link.read_items(("DB", STATE, 0, BYTE, 3), ("DB", STATE, 20, BYTE, 2))
    link.write("DB", COMMANDS, 1, BYTE, b"\x02")
    link.write("DB", COMMANDS, 24, BYTE, b"\x01\x02")
    link.plc_stop()
    link.close()


def idle_then_stop():
    """SCADA-1 keeps one connection; the capture starts in the middle of it."""
    link = Link(GATE)
    for _ in range(10):
        link.db_read(STATE, 0, 40)
        time.sleep(0.25)
    link.write("DB", COMMANDS, 24, BYTE, b"\x01\x02")
    link.plc_stop()
    time.sleep(0.2)
    link.close()


def poll_quickly(rounds="40"):
    """SCADA-1 reads and writes quickly, then writes what is not declared, and stops the controller."""
    link = Link(GATE)
    for number in range(int(rounds)):
        link.db_read(STATE, number, 30)
        link.read_items(("DB", STATE, 0, BYTE, 3), ("DB", STATE, 8, BYTE, 2))
        if number % 4 == 0:
            link.write("DB", COMMANDS, number % 8, BYTE, b"\x01")
        time.sleep(0.01)
    link.write("DB", COMMANDS, 24, BYTE, b"\x01\x02")
    link.plc_stop()
    link.close()


# ---------------------------------------------------------------- engineering


def areas(host):
    """EWS-1 reads and writes every area and type that its stack knows."""
    link = engineering_link(host)
    for area, kinds in {"I": (BIT, BYTE), "Q": (BIT, BYTE, WORD), "M": (BIT, BYTE, WORD, DWORD)}.items():
        for kind in kinds:
            start, data = (19, b"\x01") if kind == BIT else (2, bytes(range(1, 9)))
            link.read(area, 0, start, kind, 1)
            link.write(area, 0, start, kind, data)
    for kind in (BIT, BYTE, CHAR, WORD, INT, DWORD, DINT, REAL):
        start, data = (13, b"\x01") if kind == BIT else (4, bytes(range(8)))
        link.read("DB", STATE, start, kind, 1 if kind == BIT else 3)
        link.write("DB", STATE, start, kind, data)
    for area, kind in (("C", COUNTER), ("T", TIMER)):
        link.read(area, 0, 3, kind, 2)
        link.write(area, 0, 3, kind, b"\0\x11\0\x12")
    link.read("DB", PARAMETERS, 0, BYTE, 1200)                     # larger than a PDU: several jobs
    link.write("DB", PARAMETERS, 100, BYTE, bytes(range(250)) * 4)
    link.close()
    if CPP:                                                        # PDUs of half the size
        link = engineering_link(host, 240)
        link.read("DB", PARAMETERS, 0, BYTE, 500)
        link.close()


def items(host):
    """EWS-1 reads and writes several items at once; some of them are refused."""
    link = engineering_link(host)
    link.read_items(*[("DB", STATE, 12 * place, BYTE, 1 + place % 5) for place in range(20)])
    link.read_items(("DB", STATE, 0, BYTE, 3), ("M", 0, 13 if CPP else 1, BIT if CPP else BYTE, 1),
                    ("DB", STATE, 4, REAL, 2), ("DB", 99, 0, BYTE, 4), ("Q", 0, 1, BYTE, 1),
                    ("T", 0, 1, TIMER, 2), ("DB", COMMANDS, 30, BYTE, 9))
    link.write_items(("DB", COMMANDS, 0, BYTE, b"\1\2\3"), ("M", 0, 13, BIT, b"\1"), ("DB", 99, 0, BYTE, b"\1\2"),
                     ("DB", COMMANDS, LEVEL, REAL, struct.pack(">f", 1.25)), ("C", 0, 1, COUNTER, b"\0\x17"),
                     ("DB", COMMANDS, 30, BYTE, bytes(9)), ("Q", 0, 5, BYTE, b"\x80"))
    link.write_items(("DB", COMMANDS, 0, BYTE, b"\5"), ("DB", COMMANDS, VALVE, INT, b"\0\x64"))
    link.close()


def blocks(host):
    """EWS-1 lists, uploads, downloads and deletes blocks. The C++ server refuses to move any."""
    link = engineering_link(host)
    link.list_blocks()
    for kind in ("OB", "FC", "DB"):
        link.list_blocks_of_type(link.block(kind), 1000)
    link.get_block_info(link.block("DB"), PARAMETERS)
    for kind, number in (("DB", PARAMETERS), ("OB", 1), ("FC", 10), ("FB", 77)):
        link.full_upload(link.block(kind), number)
    link.upload(COMMANDS)
    link.download(block_of(0x0A, PARAMETERS, bytes(range(100)) * 10), PARAMETERS)
    if CPP:                                                        # the Python client downloads data blocks only
        link.download(block_of(0x0C, 10, bytes(range(90)) * 10), 10)
        link.download(block_of(0x08, 1, bytes(60)), 1)             # no more than one PDU
    if CPP:                                                        # what the Python client sends: see malformed()
        link.delete(link.block("FC"), 10)
    if host == SLUICE:                                             # PLC-GATE's flow names blocks, and these have none
        link.compress(1000)
        link.copy_ram_to_rom(1000)
    link.close()


def engineering(host):
    """EWS-1 identifies, sets the clock, and stops and starts the controller; the Python client forces an output."""
    link = engineering_link(host)
    link.get_cpu_info()
    link.get_order_code()
    link.get_cp_info()
    link.get_protection()
    link.read_szl_list()
    for number in (0x0011, 0x001C, 0x0131, 0x0232, 0x0424, 0x0074, 0x00A0):
        link.read_szl(number, 4 if number == 0x0232 else 0)
    link.get_plc_datetime()
    link.set_plc_system_datetime()
    link.plc_stop()
    if host == SLUICE:
        link.plc_cold_start()
        link.plc_stop()
    link.plc_hot_start()
    if not CPP:
        link.read_diagnostic_buffer()
    if not CPP and host == SLUICE:
        link.force_bit(Area(AREAS["Q"]), 0, 1, True)
        link.cancel_force(Area(AREAS["Q"]), 0, 1)
        link.read_force_table()
    link.clear_session_password()
    link.close()


def malformed():
    """EWS-1, with the Python client, which sends two jobs that are not as others lay them out; good ones between."""
    link = engineering_link(SLUICE)
    for _ in range(2):
        link.db_read(STATE, 0, 4)
        link.get_cpu_state()                                       # a Read Var without items
        link.db_read(STATE, 4, 4)
        link.delete(link.block("FC"), 10)                          # a _DELE without a length before its name
    link.db_read(STATE, 8, 4)
    link.close()


def engineering_link(host, pdu=480):
    """A connection of type PG, with the password that PLC-GATE's flow asks for."""
    link = Link(host, PG, pdu=pdu)
    link.set_session_password(PASSWORD)
    return link


# ---------------------------------------------------------------- connections


def connections(role):
    """Connections as the flows want them, then others: SCADA-1, HIST-1, EWS-1."""
    wanted = {"scada": [(GATE, OP, 2), (SLUICE, OP, 2)], "hist": [(SLUICE, BASIC, 2)],
              "ews": [(GATE, PG, 2), (SLUICE, PG, 2)]}
    others = {"scada": [(GATE, PG, 2), (GATE, OP, 3), (GATE, BASIC, 2)], "hist": [(SLUICE, OP, 2)],
              "ews": [(GATE, OP, 2)]}
    for host, kind, slot in wanted[role] + others[role]:
        link = Link(host, kind, slot)
        if role == "ews":
            link.set_session_password(PASSWORD)
        link.db_read(STATE, 0, 8)
        link.close()


# ---------------------------------------------------------------- beyond what is permitted


def violations(role):
    """Declared clients of the controllers do more than their flows permit: SCADA-1, HIST-1, EWS-1."""
    {"scada": scada_goes_too_far, "hist": historian_writes, "ews": engineer_goes_too_far}[role]()


def scada_goes_too_far():
    link = Link(GATE)
    link.read("DB", COMMANDS, LEVEL, REAL, 1)
    link.level(1.1)                                                # fine
    link.level(2.5)                                                # a step of 1.4, allowed 0.2
    link.level(9.0)                                                # above 4.2
    link.level(1.2)                                                # fine: from 1.1, the last that was permitted
    link.valve(1500)                                               # above 1000
    link.write("DB", COMMANDS, 18, BYTE, b"\x12\x34")              # half of the level
    link.write("DB", COMMANDS, 24, BYTE, b"\x01\x02")              # no point there
    link.write("DB", COMMANDS, 10, BYTE, bytes(6) + struct.pack(">fh", 1.1, 1200))    # level fine, valve above 1000
    link.db_read(99, 0, 4)                                         # no point, and no such block
    link.read("Q", 0, 0, BYTE, 4)                                  # no point in the outputs
    link.write_items(("DB", COMMANDS, 0, BYTE, b"\1"), ("DB", STATE, 0, BYTE, b"\1\2"), ("M", 0, 0, BIT, b"\1"))
    link.list_blocks()                                             # browse
    link.set_plc_system_datetime()                                 # time
    link.set_session_password(PASSWORD)                            # a password where none may be used
    link.plc_stop()                                                # control
    link.plc_hot_start()
    link.close()


def historian_writes():
    link = Link(SLUICE, BASIC)
    link.db_read(STATE, 0, 16)                                     # fine
    link.write("DB", STATE, 0, BYTE, b"\x00\x00")
    link.db_read(COMMANDS, 0, 4)                                   # not among its points
    link.close()


def engineer_goes_too_far():
    link = Link(GATE, PG)
    link.db_read(STATE, 0, 16)                                     # before any password
    link.set_session_password(PASSWORD)
    link.delete(link.block("OB"), 35)                              # not among the blocks of the flow
    link.delete(link.block("DB"), 77)                              # among them
    link.plc_stop()                                                # permitted
    link.plc_cold_start()                                          # not among the actions of the flow
    link.plc_hot_start()                                           # permitted
    link.close()


def attack():
    """JUMP-1, which no flow lets near: lists, uploads, downloads changed logic and stops PLC-SLUICE, then PLC-GATE."""
    link = Link(SLUICE, PG)
    link.get_order_code()
    link.get_cpu_info()
    link.list_blocks()
    for kind in ("OB", "FC", "DB"):
        link.list_blocks_of_type(link.block(kind), 1000)
    link.get_block_info(link.block("DB"), PARAMETERS)
    for kind, number in (("OB", 1), ("FC", 10), ("DB", PARAMETERS)):
        link.full_upload(link.block(kind), number)
    link.download(block_of(0x0C, 10, bytes(reversed(range(100))) * 9), 10)
    link.download(block_of(0x08, 1, b"\x65\x00" * 20), 1)
    link.db_write(COMMANDS, LEVEL, bytearray(struct.pack(">f", 4.9)))
    link.plc_stop()
    link.close()
    link = Link(GATE, PG)
    link.plc_stop()
    link.close()


def new_host():
    """An undeclared host identifies a controller, reads, and writes a command."""
    link = Link(GATE, PG)
    link.get_cpu_info()
    link.db_read(STATE, 0, 64)
    link.write("DB", COMMANDS, 0, BYTE, b"\x01")
    link.close()


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
