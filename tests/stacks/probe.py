"""Asks a server of the plant for what it holds: `probe.py modbus|s7comm|opcua ADDRESS`, with the stack of the environment that
runs it.

For each line on standard input there is one on standard output: `state` is answered with all that a client may change, as
text, `reset` puts back what was there at the start.
"""

import logging
import sys

logging.disable(logging.CRITICAL)


class Modbus:
    """Holding registers 0 to 39 and coils 0 to 15 of unit 1."""

    def __init__(self, address):
        from pymodbus.client import ModbusTcpClient

        self.client = ModbusTcpClient(address, port=502, timeout=5)
        assert self.client.connect()

    def state(self):
        registers = self.client.read_holding_registers(0, count=40, device_id=1).registers
        coils = self.client.read_coils(0, count=16, device_id=1).bits
        return registers, coils

    def put_back(self, state):
        registers, coils = state
        self.client.write_registers(0, registers, device_id=1)
        self.client.write_coils(0, coils, device_id=1)


class S7:
    """The data block of commands, and whether the controller runs. A new connection each time: a controller may have few."""

    COMMANDS, SIZE = 20, 32

    def __init__(self, address):
        self.address = address

    def connected(self):
        import snap7.client

        client = snap7.client.Client()
        client.connect(self.address, 0, 2)
        return client

    def state(self):
        client = self.connected()
        state = bytes(client.db_read(self.COMMANDS, 0, self.SIZE)).hex(), str(client.get_cpu_state())
        client.disconnect()
        return state

    def put_back(self, state):
        client = self.connected()
        if str(client.get_cpu_state()) != state[1]:
            client.plc_hot_start()
        client.db_write(self.COMMANDS, 0, bytearray.fromhex(state[0]))
        client.disconnect()


class OpcUa:
    """What may be written on the weir."""

    NAMES = ("Setpoint", "Command", "Label")

    def __init__(self, address):
        from asyncua.sync import Client

        self.client = Client(f"opc.tcp://{address}:4840")
        self.client.connect()
        self.nodes = [self.client.get_node(f"ns=2;s=Weir.{name}") for name in self.NAMES]

    def state(self):
        return [node.read_data_value().Value for node in self.nodes]

    def put_back(self, state):
        for node, value in zip(self.nodes, state):
            node.write_value(value)


def main(protocol, address):
    probe = {"modbus": Modbus, "s7comm": S7, "opcua": OpcUa}[protocol](address)
    start = probe.state()
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "reset":
            probe.put_back(start)
        print(probe.state(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
