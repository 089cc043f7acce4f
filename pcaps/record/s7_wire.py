"""S7 bytes by hand, for what the clients do not send: several jobs in flight, jobs cut anywhere, equal references."""

import socket
import struct


def tpkt(payload):
    return struct.pack(">BBH", 3, 0, len(payload) + 4) + payload


def job(reference, parameters, data=b""):
    """A job in one data TPDU in one TPKT."""
    head = struct.pack(">BBHHHH", 0x32, 1, 0, reference, len(parameters), len(data))
    return tpkt(b"\x02\xf0\x80" + head + parameters + data)


def item(db, start, count):
    """Bytes of a data block."""
    return struct.pack(">BBBBHHB", 0x12, 10, 0x10, 2, count, db, 0x84) + (8 * start).to_bytes(3, "big")


def read(reference, *items):
    return job(reference, bytes([4, len(items)]) + b"".join(items))


def write(reference, db, start, data):
    return job(reference, bytes([5, 1]) + item(db, start, len(data)), struct.pack(">BBH", 0, 4, 8 * len(data)) + data)


class Client:
    """A raw connection of type OP to slot 2 that sends any bytes."""

    def __init__(self, host, port=102):
        self.sock = socket.create_connection((host, port), timeout=1)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send(tpkt(b"\x11\xe0\x00\x00\x00\x01\x00\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x02\x02"))
        self.receive()
        self.send(job(0, struct.pack(">BBHHH", 0xF0, 0, 8, 8, 480)))
        self.receive()

    def send(self, *parts):
        self.sock.sendall(b"".join(parts))

    def receive(self, count=1):
        """So many whole TPKTs."""
        for _ in range(count):
            head = self.sock.recv(4, socket.MSG_WAITALL)
            self.sock.recv(struct.unpack(">H", head[2:])[0] - 4, socket.MSG_WAITALL)

    def close(self):
        self.sock.close()
