"""Makes a second capture from a recorded one: `rewrite.py lossy|vlan|qinq|prp|erspan IN.pcap OUT.pcap`, and
`rewrite.py secrets IN.pcap OUT.pcapng KEYS`, which puts the keys of OPC UA channels into the file.

For what this plant cannot produce (it has no VLAN switch, no redundant network, no remote SPAN), and for loss that
is the same every time. Reads and writes classic little-endian pcap with Ethernet frames. The bytes inside the
wrappings are those that were recorded.
"""

import random
import struct
import sys

SEED = 62443
LOSS, DUPLICATE, REORDER = 0.06, 0.05, 0.06


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    packets, at = [], 24
    while at < len(data):
        seconds, fraction, size, original = struct.unpack_from("<IIII", data, at)
        packets.append(((seconds, fraction), data[at + 16 : at + 16 + size]))
        at += 16 + size
    return data[:24], packets


def write(path, head, packets):
    with open(path, "wb") as file:
        file.write(head)
        for (seconds, fraction), frame in packets:
            file.write(struct.pack("<IIII", seconds, fraction, len(frame), len(frame)) + frame)


def lossy(packets):
    """Drops, repeats and swaps packets, as a mirror port that is too busy does. Prints what it did."""
    dice, result = random.Random(SEED), []
    lost = repeated = swapped = 0
    for number, (time, frame) in enumerate(packets):
        # The handshake and the last ten packets stay, so that roles and the final write do not depend on the dice.
        roll = 1.0 if number < 8 or number > len(packets) - 10 else dice.random()
        if roll < LOSS:
            lost += 1
        elif roll < LOSS + DUPLICATE:
            result += [(time, frame)] * 2
            repeated += 1
        elif roll < LOSS + DUPLICATE + REORDER and result:
            earlier_time, earlier = result[-1]
            result[-1:] = [(earlier_time, frame), (time, earlier)]
            swapped += 1
        else:
            result.append((time, frame))
    print(f"lossy: {lost} packets dropped, {repeated} repeated, {swapped} swapped with the one before")
    return result


def tag(frame, tpid, vlan):
    return frame[:12] + struct.pack(">HH", tpid, vlan) + frame[12:]


def vlan(packets):
    """IEEE 802.1Q: VLAN 110."""
    return [(time, tag(frame, 0x8100, 110)) for time, frame in packets]


def qinq(packets):
    """IEEE 802.1ad: VLAN 110 inside service VLAN 200."""
    return [(time, tag(tag(frame, 0x8100, 110), 0x88A8, 200)) for time, frame in packets]


def prp(packets):
    """IEC 62439-3 PRP: each frame once from LAN A and, 40 microseconds later, once from LAN B."""
    result, sequence = [], {}
    for (seconds, fraction), frame in packets:
        source = frame[6:12]
        sequence[source] = number = sequence.get(source, 0) + 1
        padded = frame.ljust(54, b"\0")
        for lan, delay in ((0xA, 0), (0xB, 40)):
            trailer = struct.pack(">HHH", number, lan << 12 | len(padded) - 14 + 6, 0x88FB)
            later = fraction + delay
            result.append(((seconds + later // 1_000_000, later % 1_000_000), padded + trailer))
    return sorted(result, key=lambda packet: packet[0])


def erspan(packets):
    """ERSPAN type II from a switch 10.20.0.2 to a sensor 10.20.0.9: Ethernet, IPv4, GRE with sequence numbers."""
    outer = bytes.fromhex("005056200009" "001b1b200002" "0800")
    result = []
    for number, (time, frame) in enumerate(packets):
        gre = struct.pack(">HHI", 0x1000, 0x88BE, number)
        header = struct.pack(">HHI", 0x1000 | 110, 7, 3)       # version 1, VLAN 110; session 7; port index 3
        payload = gre + header + frame
        result.append((time, outer + ipv4(number, 47, payload)))
    return result


def ipv4(number, protocol, payload):
    fields = [0x45, 0, 20 + len(payload), number & 0xFFFF, 0, 64, protocol]
    ends = bytes([10, 20, 0, 2, 10, 20, 0, 9])
    head = struct.pack(">BBHHHBBH", *fields, 0) + ends
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">BBHHHBBH", *fields, ~total & 0xFFFF) + ends + payload


def block(kind, body):
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


def secrets(source, target, keys):
    """pcapng with a block of decryption secrets (type 0x55414B4C, "UAKL") before the first packet."""
    _, packets = read(source)
    with open(keys, "rb") as file:
        log = file.read()
    blocks = [
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
        block(1, struct.pack("<HHI", 1, 0, 0)),                 # Ethernet, microseconds
        block(10, struct.pack("<II", 0x55414B4C, len(log)) + log),
    ]
    for (seconds, fraction), frame in packets:
        time = seconds * 1_000_000 + fraction
        head = struct.pack("<5I", 0, time >> 32, time & 0xFFFFFFFF, len(frame), len(frame))
        blocks.append(block(6, head + frame))
    with open(target, "wb") as file:
        file.write(b"".join(blocks))


if __name__ == "__main__":
    _, how, source, target, *keys = sys.argv
    if how == "secrets":
        secrets(source, target, *keys)
    else:
        head, packets = read(source)
        write(target, head, globals()[how](packets))
