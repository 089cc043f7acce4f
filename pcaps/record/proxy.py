"""Passes a connection on in small pieces: `proxy.py HOW SIZE LISTEN-ADDRESS TO-ADDRESS [PORT]`, port 102 without.

It sits on the host of the client or of the server and joins the real stack (over loopback, which no tap sees) to the
network. HOW `segments` puts every SIZE bytes into a TCP segment of their own. `fragments` puts every SIZE bytes of a
TSDU into a COTP data TPDU of their own, as ISO 8073 (class 0) allows: only the last one carries the end mark. HOW
`stream` is `segments` for what is not in TPKTs. Only what leaves for the network is cut; what comes back is passed on as
it is.
"""

import contextlib
import socket
import struct
import sys
import threading
import time

DATA, END = 0xF0, 0x80
PAUSE = 0.0004                                                  # so that the kernel does not join what is sent


def packets(sock):
    """The TPKTs that arrive (RFC 1006)."""
    while len(head := sock.recv(4, socket.MSG_WAITALL)) == 4:
        yield head + sock.recv(struct.unpack(">H", head[2:])[0] - 4, socket.MSG_WAITALL)


def reads(sock):
    """What arrives, as it arrives."""
    while data := sock.recv(4096):
        yield data


def segments(packet, size):
    return chunks(packet, size)


def fragments(packet, size):
    """A data TPDU as many small ones, several of them in a segment; any other packet as it is."""
    if packet[5] != DATA:
        return [packet]
    parts = chunks(packet[7:], size)
    ends = [0] * (len(parts) - 1) + [END]
    whole = [struct.pack(">BBHBBB", 3, 0, 7 + len(part), 2, DATA, end) + part for end, part in zip(ends, parts)]
    return [b"".join(some) for some in chunks(whole, 5)]


def chunks(whole, size):
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def cut(source, target, parts, how):
    with contextlib.suppress(OSError):
        for packet in parts(source):
            for piece in how(packet):
                target.sendall(piece)
                time.sleep(PAUSE)
        target.shutdown(socket.SHUT_WR)


def copy(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def passed_on(near, address, how, server_side):
    far = socket.create_connection(address)
    for sock in (near, far):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    inward, outward = ((near, far), (far, near)) if server_side else ((far, near), (near, far))
    threading.Thread(target=cut, args=(*outward, *how), daemon=True).start()
    threading.Thread(target=copy, args=inward, daemon=True).start()


def main(how, size, listen, address, port=102):
    parts, pieces = {"segments": (packets, segments), "fragments": (packets, fragments), "stream": (reads, chunks)}[how]
    listener = socket.create_server((listen, int(port)))
    while True:
        near, _ = listener.accept()
        cutting = (parts, lambda packet: pieces(packet, int(size)))
        passed_on(near, (address, int(port)), cutting, not listen.startswith("127."))


if __name__ == "__main__":
    main(*sys.argv[1:])
