"""Modbus bytes by hand, for what the libraries refuse to send: pipelining, constant ids, scans, broken PDUs."""

import socket
import struct
import time


def adu(tid, unit, pdu):
    """One Modbus/TCP ADU: MBAP header and PDU."""
    return struct.pack(">HHHB", tid, 0, len(pdu) + 1, unit) + pdu


def request(function, *words):
    """A PDU of a function code and 16-bit words."""
    return struct.pack(f">B{len(words)}H", function, *words)


def crc16(data):
    """CRC of Modbus over serial line, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return struct.pack("<H", crc)


class Client:
    """A raw Modbus/TCP connection that sends any bytes."""

    def __init__(self, host, port=502, timeout=1.0):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(timeout)
        self.sock.connect((host, port))
        self.tid = 0

    def send(self, data):
        self.sock.sendall(data)

    def receive(self):
        """One whole ADU, or nothing when the server stays silent or hangs up."""
        head = self._exactly(7)
        return head and head + (self._exactly(struct.unpack(">H", head[4:6])[0] - 1) or b"")

    def ask(self, pdu, unit=1, tid=None):
        """Sends one PDU and waits for its answer; returns the PDU of the answer."""
        if tid is None:
            self.tid = tid = (self.tid + 1) & 0xFFFF
        self.send(adu(tid, unit, pdu))
        answer = self.receive()
        return answer[7:] if answer else None

    def close(self):
        time.sleep(0.05)
        self.sock.close()

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self.sock.recv(size - len(data))
            except (TimeoutError, ConnectionError):
                return None
            if not more:
                return None
            data += more
        return data
