"""OPC UA connections by hand (OPC 10000-6): messages that no stack sends."""

import contextlib
import socket
import struct
import time

from opcua_names import PORT, url

NONE = b"http://opcfoundation.org/UA/SecurityPolicy#None"
NULL = struct.pack("<i", -1)
GET_ENDPOINTS, OPEN_CHANNEL, CLOSE_CHANNEL = 428, 446, 452


def string(text):
    return struct.pack("<i", len(text)) + text


def message(kind, body, chunk=b"F"):
    return kind + chunk + struct.pack("<I", 8 + len(body)) + body


def hello(address, buffer=65535):
    return message(b"HEL", struct.pack("<5I", 0, buffer, buffer, 0, 0) + string(url(address).encode()))


def request(service, body):
    """A service request without session: type id, request header, body."""
    header = b"\0\0" + struct.pack("<qIIi", 0, 1, 0, -1) + struct.pack("<I", 5000) + b"\0\0\0"
    return struct.pack("<BBH", 1, 0, service) + header + body


class Client:
    """A connection with a channel of policy None."""

    def __init__(self, address, buffer=65535):
        self.address, self.channel, self.token, self.number = address, 0, 0, 0
        self.sock = socket.create_connection((address, PORT), timeout=3)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(hello(address, buffer))

    def receive(self):
        """One message, or nothing if the server closes first."""
        with contextlib.suppress(OSError):
            head = self.sock.recv(8, socket.MSG_WAITALL)
            if len(head) == 8:
                return head + self.sock.recv(struct.unpack("<I", head[4:])[0] - 8, socket.MSG_WAITALL)
        return b""

    def open(self):
        self.receive()
        body = struct.pack("<III", 0, 0, 1) + NULL + struct.pack("<I", 3_600_000)
        self.number += 1
        security = struct.pack("<I", 0) + string(NONE) + NULL + NULL
        sequence = struct.pack("<II", self.number, self.number)
        self.sock.sendall(message(b"OPN", security + sequence + request(OPEN_CHANNEL, body)))
        answer = self.receive()
        # Behind the headers: type id 4, time 8, handle 4, result 4, diagnostics 1, strings 4, header 3, version 4.
        at = 8 + 4 + 4 + len(NONE) + 4 + 4 + 8 + 4 + 8 + 4 + 4 + 1 + 4 + 3 + 4
        self.channel, self.token = struct.unpack_from("<II", answer, at)
        return self

    def chunk(self, part, request_id, final=b"F", kind=b"MSG"):
        self.number += 1
        head = struct.pack("<IIII", self.channel, self.token, self.number, request_id)
        return message(kind, head + part, final)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.close()
        time.sleep(0.05)


def endpoints(address):
    return request(GET_ENDPOINTS, string(url(address).encode()) + NULL + NULL)


def errors(address):
    """What a server answers with ERR, or by closing: each on a connection of its own."""
    for wrong in (
        message(b"HEL", struct.pack("<5I", 0, 8192, 8192, 0, 0) + string(b"opc.tcp://" + b"x" * 5000)),
        message(b"MSG", struct.pack("<IIII", 77, 1, 1, 1) + endpoints(address)),
        b"XYZF" + struct.pack("<I", 12) + b"\0\0\0\0",
    ):
        sock = socket.create_connection((address, PORT), timeout=1)
        sock.sendall(wrong)
        with contextlib.suppress(OSError):
            sock.recv(4096)
        sock.close()
        time.sleep(0.05)
    unknown = Client(address).open()
    unknown.channel += 1000                                     # a channel that the server never gave
    unknown.sock.sendall(unknown.chunk(endpoints(address), 2))
    unknown.receive()
    unknown.close()


def aborted(address):
    """A request in chunks that its client aborts, then the whole of it in three."""
    client = Client(address).open()
    whole = endpoints(address)
    abort = struct.pack("<I", 0x80020000) + string(b"changed my mind")
    client.sock.sendall(client.chunk(whole[:20], 2, b"C") + client.chunk(abort, 2, b"A"))
    pieces = (whole[:20], whole[20:40], whole[40:])
    client.sock.sendall(b"".join(client.chunk(piece, 3, final) for piece, final in zip(pieces, (b"C", b"C", b"F"))))
    client.receive()
    client.sock.sendall(client.chunk(request(CLOSE_CHANNEL, b""), 4, kind=b"CLO"))
    client.close()
