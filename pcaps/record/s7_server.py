"""S7 controllers of the plant: `s7_server.py ADDRESS [PORT]`, on the stack of the environment that runs it.

The C++ server is as it comes. To the Python one is added what it lacks for a story: program blocks (OB 1, FC 10), which
it keeps in data blocks with numbers from 60000, so that logic can be listed, uploaded and downloaded. All PDUs are its
own.
"""

import ctypes
import itertools
import struct
import sys
import time

from s7_stack import COMMANDS, CPP, LEVEL, PARAMETERS, STATE
from snap7.server import Server

if CPP:
    from snap7 import types as names
else:
    from snap7.type import SrvArea

DATA_BLOCKS = {STATE: 256, COMMANDS: 32, PARAMETERS: 1200}
MANY = range(1001, 1251)                                        # of the C++ server: a list of several PDUs
OTHERS = {"PE": 64, "PA": 64, "MK": 256, "CT": 64, "TM": 64}
LOGIC = {(b"8", 1): 60001, (b"C", 10): 60010}                    # OB 1 and FC 10: type as on the wire, number
LOGIC_SIZE = 1000


def contents(name, number, size):
    """What is in memory at the start: the set point of the level is 1.0, what else can be written is 0."""
    data = bytearray(size)
    if (name, number) == ("DB", COMMANDS):
        struct.pack_into(">f", data, LEVEL, 1.0)
    elif name == "DB":
        data[:] = bytes((number + 7 * place) & 0xFF for place in range(size))
    return data


def memory():
    """What both servers hold: area, number, contents."""
    yield from (("DB", number, contents("DB", number, size)) for number, size in DATA_BLOCKS.items())
    yield from ((name, 0, contents(name, 0, size)) for name, size in OTHERS.items())


def serve_cpp(address, port):
    server, kept = Server(log=False), []
    small = (("DB", number, bytearray(4)) for number in MANY)
    for name, number, data in itertools.chain(memory(), small):
        kept.append((ctypes.c_uint8 * len(data)).from_buffer(data))
        server.register_area(names.server_areas[name], number, kept[-1])
    server.start_to(address, port)
    while True:
        time.sleep(1)


if not CPP:

    class Controller(Server):
        """The Python server with program blocks."""

        def _handle_start_upload(self, request, client_address):
            return super()._handle_start_upload(stored(request, 11), client_address)

        def _handle_request_download(self, request, client_address):
            return super()._handle_request_download(stored(request, 11), client_address)

        @staticmethod
        def _build_download_service_request(context, function):
            for (kind, number), place in LOGIC.items():
                if context["block_num"] == place:
                    named = dict(context, block_type=kind[0], block_num=number)
                    answer = Server._build_download_service_request(named, function)
                    context["sequence"] = named["sequence"]
                    return answer
            return Server._build_download_service_request(context, function)

        def _handle_list_all_blocks(self, request, userdata_params, client_address):
            counts = {b"8": 1, b"E": 0, b"C": 1, b"A": len(DATA_BLOCKS), b"B": 0, b"D": 0, b"F": 0}
            data = b"".join(b"0" + kind + struct.pack(">H", count) for kind, count in counts.items())
            return self._build_userdata_success_response(request, userdata_params, data)

        def _handle_list_blocks_of_type(self, request, userdata_params, client_address):
            kind = request["data"]["data"][1:2]
            numbers = DATA_BLOCKS if kind == b"A" else [number for code, number in LOGIC if code == kind]
            data = b"".join(struct.pack(">HBB", number, 0x22, 5) for number in numbers)
            return self._build_userdata_success_response(request, userdata_params, data)


def stored(request, at):
    """The request with a program block renamed to the data block that holds it."""
    params = bytearray(request["raw_parameters"])
    named = (bytes(params[at : at + 1]), int(params[at + 1 : at + 6]))
    if named in LOGIC:
        params[at : at + 6] = b"A%05d" % LOGIC[named]
    return dict(request, raw_parameters=bytes(params))


def serve_python(address, port):
    server = Controller(log=False)
    server.host = address
    for name, number, data in memory():
        server.register_area(SrvArea[name], number, data)
    for place in LOGIC.values():
        server.register_area(SrvArea.DB, place, contents("DB", place, LOGIC_SIZE))
    server.start(port)
    while True:
        time.sleep(1)


if __name__ == "__main__":
    serve = serve_cpp if CPP else serve_python
    serve(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 102)
