"""Two controllers that send to each other unasked (BSEND, BRECV): `s7_partner.py active|passive MINE PEER [COUNT]`.

Partners of the C++ snap7. Its Python wrapper has no way to say what to send, so the library is called directly.
"""

import ctypes
import sys
import time

from snap7.partner import Partner

TSAP = {"active": (0x1002, 0x2002), "passive": (0x2002, 0x1002)}
LINKED = 3
R_ID = 0x10
BODY = bytes(range(256)) * 3                                    # more than one PDU


def main(role, mine, peer, count="0"):
    partner = Partner(active=role == "active")
    partner.start_to(mine, peer, *TSAP[role])
    deadline = time.monotonic() + 5
    while role == "active" and partner.get_status().value != LINKED and time.monotonic() < deadline:
        time.sleep(0.05)
    for number in range(int(count)):
        body = bytes([number]) * 20 if number % 2 == 0 else BODY
        print("BSEND", partner._library.Par_BSend(partner._pointer, ctypes.c_uint32(R_ID), body, len(body)))
        time.sleep(0.1)
    if role == "passive":
        time.sleep(60)
    partner.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
