"""Controllers of the plant on pymodbus: `servers.py tcp|udp|rtu ADDRESS PORT`.

The stack is pymodbus as it comes, with one addition: after Force Listen Only Mode (FC 8 sub-function 4) it really
stops answering until Restart Communications Option (FC 8 sub-function 1), as section 6.8 of the Modbus Application
Protocol V1.1b3 asks. pymodbus sets a flag and continues.
"""

import asyncio
import logging
import sys

from pymodbus import FramerType, ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer, ModbusUdpServer
from pymodbus.simulator import DataType, SimData, SimDevice

IDENTITY = ModbusDeviceIdentification(
    info_name={
        "VendorName": "Schneider Electric",
        "ProductCode": "BMXP342020",
        "MajorMinorRevision": "3.60",
        "VendorUrl": "http://example.org/",
        "ProductName": "Modicon M340",
        "ModelName": "Bascule bridge 1",
        "UserApplicationName": "BRIDGE",
    }
)


class ListenOnly:
    """Mutes a server between FC 8/4 and FC 8/1. Works on Modbus/TCP bytes."""

    def __init__(self):
        self.muted = False

    def __call__(self, sending, data):
        if not sending and data[7:10] == b"\x08\x00\x04":
            self.muted = True
        if sending:
            return b"" if self.muted else data
        if data[7:10] == b"\x08\x00\x01":
            # The restart itself is not answered (6.8, sub-function 01), so the mute ends just after it.
            asyncio.get_running_loop().call_later(0.1, self.unmute)
        return data

    def unmute(self):
        self.muted = False


def device(unit):
    """The tables of the bascule bridge: 64 coils, 64 inputs, 200 holding and 32 input registers."""
    holding = [1000 + address for address in range(40)] + [100, 0] + [0] * 158
    return SimDevice(
        unit,
        simdata=(
            [SimData(0, values=[bit % 3 == 0 for bit in range(64)], datatype=DataType.BITS)],
            [SimData(0, values=[bit % 5 == 0 for bit in range(64)], datatype=DataType.BITS)],
            [SimData(0, values=holding, datatype=DataType.REGISTERS)],
            [SimData(0, values=[200 + 3 * address for address in range(32)], datatype=DataType.REGISTERS)],
        ),
    )


async def main(kind, address, port, units):
    logging.disable(logging.CRITICAL)
    devices = [device(unit) for unit in units]
    if kind == "udp":
        server = ModbusUdpServer(devices, address=(address, port), identity=IDENTITY)
    elif kind == "rtu":
        server = ModbusTcpServer(devices, address=(address, port), framer=FramerType.RTU, ignore_missing_devices=True)
    else:
        server = ModbusTcpServer(devices, address=(address, port), identity=IDENTITY, trace_packet=ListenOnly())
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), [int(unit) for unit in sys.argv[4:] or ["1"]]))
