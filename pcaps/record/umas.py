"""A controller with a part of UMAS (Modbus FC 90): `umas.py ADDRESS`.

No open stack supports UMAS, so both sides are ours, after public descriptions of the protocol: a request is
FC 0x5A, session key, function; an answer is FC 0x5A, the same key, 0xFE (done) or 0xFD (refused) and data.
"""

import socketserver
import struct
import sys

from wire import adu

DONE, REFUSED = 0xFE, 0xFD
SESSION_KEY = 0x21
ANSWERS = {
    0x01: b"\x00\x00\xfd\x03",                                       # initialise: largest PDU 1021
    0x02: b"\x06\x30\x01\x10" + b"\x00\x36\x00\x00" + b"\x0aBMXP342020",  # read id
    0x03: b"\x00\x00\x01\x02" + b"BRIDGE\x00",                       # read project information
    0x04: b"\x02\x01\x00\x01\x00\x00",                               # read PLC status
    0x10: bytes([SESSION_KEY]),                                      # take reservation: the key from here on
    0x11: b"",                                                       # release reservation
    0x12: b"",                                                       # keep alive
    0x20: b"\x01\x08\x00" + bytes(range(8)),                         # read memory block
    0x22: b"\x64\x00",                                               # read variables
    0x23: b"",                                                       # write variables
    0x40: b"",                                                       # start PLC
    0x41: b"",                                                       # stop PLC
    0x58: b"\x00",                                                   # check PLC
}


class Controller(socketserver.BaseRequestHandler):
    def handle(self):
        while len(head := self.request.recv(7, 0x100)) == 7:         # 0x100: MSG_WAITALL
            tid, _, size, unit = struct.unpack(">HHHB", head)
            pdu = self.request.recv(size - 1, 0x100)
            if len(pdu) < 3 or pdu[0] != 0x5A:
                reply = bytes([pdu[0] | 0x80, 1])
            elif pdu[2] in ANSWERS:
                reply = bytes([0x5A, pdu[1], DONE]) + ANSWERS[pdu[2]]
            else:
                reply = bytes([0x5A, pdu[1], REFUSED, 0x81, 0x80])
            self.request.sendall(adu(tid, unit, reply))


if __name__ == "__main__":
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer((sys.argv[1], 502), Controller).serve_forever()
