"""Traffic that is not Modbus: `others.py serve ADDRESS CERTIFICATE KEY` and `others.py ask ADDRESS`.

HTTP and TLS are Python's own stacks, SSH is asyncssh. NTP is one hand-made question and answer (RFC 5905 mode 3
and 4) from a small server, because a real daemon would want to set the clock of the machine.
"""

import asyncio
import http.server
import socket
import ssl
import struct
import sys
import threading
import urllib.request

import asyncssh

NTP_EPOCH = 2_208_988_800


def serve_http(address, port, context=None):
    server = http.server.ThreadingHTTPServer((address, port), Page)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


class Page(http.server.BaseHTTPRequestHandler):
    server_version, sys_version = "station", ""

    def do_GET(self):
        body = b"<html><title>Bridge 1</title>open</html>\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Clock(asyncio.DatagramProtocol):
    """Answers an NTP client with a stratum 1 server's packet."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        now = data[40:48]
        self.transport.sendto(struct.pack(">BBbbII4s", 0x24, 1, 6, -20, 0, 16, b"GPS\0") + now * 4, peer)


async def serve(address, certificate, key):
    serve_http(address, 80)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    serve_http(address, 443, context)
    await asyncssh.create_server(Guest, address, 22, server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")])
    await asyncio.get_running_loop().create_datagram_endpoint(Clock, local_addr=(address, 123))
    await asyncio.Event().wait()


class Guest(asyncssh.SSHServer):
    """Refuses every login; the capture needs only the attempt."""

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return False


async def ask(address):
    urllib.request.urlopen(f"http://{address}/", timeout=2).read()
    trusting = ssl._create_unverified_context()
    urllib.request.urlopen(f"https://{address}/", timeout=2, context=trusting).read()
    try:
        await asyncssh.connect(address, username="engineer", password="guess", known_hosts=None, client_keys=None)
    except asyncssh.Error:
        pass
    clock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    clock.settimeout(1)
    clock.sendto(struct.pack(">B39xII", 0x23, NTP_EPOCH, 0), (address, 123))
    clock.recv(128)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[2:]) if sys.argv[1] == "serve" else ask(sys.argv[2]))
