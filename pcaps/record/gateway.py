"""A Modbus/TCP to serial gateway: `gateway.py ADDRESS SERIAL_PORT`.

The gateway itself is ours; the devices behind it are pymodbus RTU servers that it reaches over a TCP connection in
its own namespace, one at a time, as a serial line would be. Each line has its own queue, so that the answer of a
slow line is overtaken by that of a quick one:

    unit 1, 2   the line of SERIAL_PORT, answers at once
    unit 7      the same line through a slow radio: 0.3 s later
    unit 9      no device answers, and the gateway does not answer either
    unit 11     no device answers, and the gateway answers after 0.5 s: exception 0B, target failed to respond
    others      no such line: exception 0A, path unavailable
"""

import asyncio
import struct
import sys

from wire import adu, crc16

SLOW_UNIT, SILENT_UNIT, DEAD_UNIT = 7, 9, 11


class Line:
    """A serial line: one request at a time."""

    def __init__(self, port, delay):
        self.port, self.delay, self.lock = port, delay, asyncio.Lock()

    async def ask(self, unit, pdu):
        async with self.lock:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            frame = bytes([unit]) + pdu
            writer.write(frame + crc16(frame))
            answer = await reader.read(256)
            writer.close()
            await asyncio.sleep(self.delay)
            return answer[1:-2]


class Gateway:
    def __init__(self, port):
        quick = Line(port, 0.0)
        self.lines = {1: quick, 2: quick, SLOW_UNIT: Line(port, 0.3)}

    async def client(self, reader, writer):
        pending = set()
        try:
            while True:
                tid, _, size, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                pdu = await reader.readexactly(size - 1)
                task = asyncio.create_task(self.answer(writer, tid, unit, pdu))
                pending.add(task)
                task.add_done_callback(pending.discard)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def answer(self, writer, tid, unit, pdu):
        if unit == SILENT_UNIT:
            return
        if unit == DEAD_UNIT:
            await asyncio.sleep(0.5)
            reply = bytes([pdu[0] | 0x80, 0x0B])
        elif unit in self.lines:
            reply = await self.lines[unit].ask(unit, pdu)
        else:
            reply = bytes([pdu[0] | 0x80, 0x0A])
        if not writer.is_closing():
            writer.write(adu(tid, unit, reply))


async def main(address, port):
    server = await asyncio.start_server(Gateway(port).client, address, 502)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
