//! Attempts to hide a write from a sensor (T. Ptacek, T. Newsham, "Insertion, Evasion, and Denial of Service", 1998, and
//! later ones): in each, the server executes the `real` request. Most have an honest twin: the same packets for a request
//! that is sent once, or twice alike.

use super::wire::{ACK, FIN, Line, PSH_ACK, RST, SECOND, SYN, Segment, Tag};

/// The requests of an attack.
pub(crate) struct Requests<'a> {
    /// The request that the server executes.
    pub real: &'a [u8],
    /// The decoy for the sensor; equal to `real` in an honest twin.
    pub decoy: &'a [u8],
    /// Whether this is an honest twin, without packets that a correct host would not send.
    pub is_honest: bool,
}

/// A way to send the requests.
pub(crate) struct Attack {
    pub name: &'static str,
    /// Whether a correct host may send such packets.
    pub has_twin: bool,
    pub send: fn(&mut Line, &Requests<'_>),
}

/// A property of a decoy that makes the server discard it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lie {
    TcpChecksum,
    IpChecksum,
    /// Its TTL ends before the server.
    Ttl,
    NoAck,
}

pub(crate) const LIES: [Lie; 4] = [Lie::TcpChecksum, Lie::IpChecksum, Lie::Ttl, Lie::NoAck];

impl Requests<'_> {
    /// A segment that the server discards.
    pub(crate) fn lie(&self, segment: Segment, lie: Lie) -> Segment {
        if self.is_honest {
            return segment;
        }
        match lie {
            Lie::TcpChecksum => Segment { bad_tcp: true, ..segment },
            Lie::IpChecksum => Segment { bad_ip: true, ..segment },
            Lie::Ttl => Segment { ttl: 1, ..segment },
            Lie::NoAck => Segment { flags: segment.flags & !ACK, acknowledgement: 0, ..segment },
        }
    }
}

/// The real request as it should be sent.
fn honestly(line: &mut Line, requests: &Requests<'_>) {
    line.say(true, requests.real);
}

/// The part of a stream from offset `at` on.
fn part(line: &mut Line, at: usize, bytes: &[u8]) -> Segment {
    let segment = line.segment(true, bytes);
    Segment { sequence: segment.sequence + at as u32, ..segment }
}

/// Sends the request cut at these places.
fn cut(line: &mut Line, bytes: &[u8], places: &[usize]) {
    let mut start = 0;
    for &end in places.iter().chain([&bytes.len()]) {
        let segment = part(line, start, &bytes[start..end]);
        line.send(&segment);
        start = end;
    }
    line.went_on(true, bytes.len());
}

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "a decoy, then the real one with the same IP identification",
        has_twin: true,
        send: |line, requests| {
            let real = line.segment(true, requests.real);
            let decoy = requests.lie(Segment { bytes: requests.decoy.to_vec(), ..real.clone() }, Lie::Ttl);
            line.send(&decoy);
            line.send(&real);
            line.went_on(true, requests.real.len());
        },
    },
    Attack {
        name: "the real one, then a decoy",
        has_twin: true,
        send: |line, requests| {
            let decoy = line.segment(true, requests.decoy);
            honestly(line, requests);
            let decoy = requests.lie(decoy, Lie::Ttl);
            line.send(&decoy);
        },
    },
    Attack {
        name: "a decoy, and the real one byte by byte",
        has_twin: true,
        send: |line, requests| {
            let decoy = line.segment(true, requests.decoy);
            let decoy = requests.lie(decoy, Lie::Ttl);
            line.send(&decoy);
            cut(line, requests.real, &(1..requests.real.len()).collect::<Vec<_>>());
        },
    },
    Attack {
        name: "the second half first, as a decoy and as it is, then the first half",
        has_twin: true,
        send: |line, requests| {
            let half = requests.real.len() / 2;
            let decoy = part(line, half, &requests.decoy[half..]);
            let decoy = requests.lie(decoy, Lie::Ttl);
            let real = part(line, half, &requests.real[half..]);
            line.send(&decoy);
            line.send(&real);
            let first = part(line, 0, &requests.real[..half]);
            line.send(&first);
            line.went_on(true, requests.real.len());
        },
    },
    Attack {
        name: "the real second half first, then a decoy of all",
        has_twin: true,
        send: |line, requests| {
            let half = requests.real.len() / 2;
            let real = part(line, half, &requests.real[half..]);
            line.send(&real);
            let decoy = line.segment(true, requests.decoy);
            let decoy = requests.lie(decoy, Lie::Ttl);
            line.send(&decoy);
            let first = part(line, 0, &requests.real[..half]);
            line.send(&first);
            line.went_on(true, requests.real.len());
        },
    },
    Attack {
        name: "two decoys and the real one in between",
        has_twin: true,
        send: |line, requests| {
            for bytes in [requests.decoy, requests.real, requests.decoy] {
                let segment = line.segment(true, bytes);
                let is_real = bytes == requests.real;
                let segment = if is_real { segment } else { requests.lie(segment, Lie::Ttl) };
                line.send(&segment);
            }
            line.went_on(true, requests.real.len());
        },
    },
    Attack {
        name: "two segments far ahead, the real one, two more far ahead",
        has_twin: false,
        send: |line, requests| {
            let far = 4 << 20;
            let mut place = far;
            for _ in 0..2 {
                let decoy = part(line, place, requests.decoy);
                let decoy = requests.lie(decoy, Lie::Ttl);
                line.send(&decoy);
                place += requests.decoy.len();
            }
            honestly(line, requests);
            for _ in 0..2 {
                let decoy = part(line, place, requests.decoy);
                let decoy = requests.lie(decoy, Lie::Ttl);
                line.send(&decoy);
                place += requests.decoy.len();
            }
        },
    },
    Attack {
        name: "twenty segments far ahead, then the real one",
        has_twin: false,
        send: |line, requests| {
            for number in 0..20 {
                let decoy = part(line, (4 << 20) + number * requests.decoy.len(), requests.decoy);
                let decoy = requests.lie(decoy, Lie::Ttl);
                line.send(&decoy);
            }
            honestly(line, requests);
        },
    },
    Attack {
        name: "an acknowledgement that the server never sent, a decoy behind the hole, then the real one",
        has_twin: false,
        send: |line, requests| {
            let length = requests.real.len() as u32;
            let forged = line.segment(false, b"");
            line.send(&Segment { acknowledgement: forged.acknowledgement + length, ttl: 1, ..forged });
            line.time += SECOND;
            let decoy = part(line, requests.real.len(), requests.decoy);
            let decoy = requests.lie(decoy, Lie::Ttl);
            line.send(&decoy);
            honestly(line, requests);
        },
    },
    Attack {
        name: "a reset that the server ignores, then the real one",
        has_twin: false,
        send: |line, requests| {
            let reset = line.segment(true, b"");
            line.send(&Segment { flags: RST, acknowledgement: 0, sequence: reset.sequence + 1_000, ..reset });
            honestly(line, requests);
        },
    },
    Attack {
        name: "a reset that does not get there, a long pause, then the real one",
        has_twin: false,
        send: |line, requests| {
            let reset = line.segment(true, b"");
            line.send(&Segment { flags: RST, acknowledgement: 0, ttl: 1, ..reset });
            line.time += 15 * SECOND;
            honestly(line, requests);
        },
    },
    Attack {
        name: "a reset and a new handshake that do not get there, then the real one",
        has_twin: false,
        send: |line, requests| {
            let segment = line.segment(true, b"");
            line.send(&Segment { flags: RST, acknowledgement: 0, ttl: 1, ..segment.clone() });
            line.send(&Segment { flags: SYN, acknowledgement: 0, sequence: 0x7000_0000, ttl: 1, ..segment });
            honestly(line, requests);
        },
    },
    Attack {
        name: "an end that does not get there, then the real one",
        has_twin: false,
        send: |line, requests| {
            let end = line.segment(true, b"");
            line.send(&Segment { flags: FIN | ACK, ttl: 1, ..end });
            honestly(line, requests);
        },
    },
    Attack {
        name: "an end behind a decoy, neither of which gets there, then the real one",
        has_twin: false,
        send: |line, requests| {
            let end = line.segment(true, requests.decoy);
            line.send(&Segment { flags: FIN | PSH_ACK, ttl: 1, ..end });
            honestly(line, requests);
        },
    },
    Attack {
        name: "a handshake in the middle that does not get there",
        has_twin: false,
        send: |line, requests| {
            let segment = line.segment(true, b"");
            line.send(&Segment { flags: SYN, acknowledgement: 0, sequence: 0x7000_0000, ttl: 1, ..segment });
            let forged = line.segment(false, b"");
            line.send(&Segment { flags: SYN | ACK, acknowledgement: 0x7000_0001, sequence: 0x1000, ttl: 1, ..forged });
            honestly(line, requests);
        },
    },
    Attack {
        name: "overlapping fragments, the decoy first",
        has_twin: true,
        send: |line, requests| fragmented(line, requests, [true, false]),
    },
    Attack {
        name: "overlapping fragments, the decoy last",
        has_twin: true,
        send: |line, requests| fragmented(line, requests, [false, true]),
    },
    Attack {
        name: "a decoy of the second fragment, which completes the datagram before the real one comes",
        has_twin: false,
        send: |line, requests| {
            let real = line.segment(true, requests.real);
            let [first, second] = line.fragments(&real, 4);
            let [_, decoy] = line.fragments(&Segment { bytes: requests.decoy.to_vec(), ttl: 1, ..real.clone() }, 4);
            line.frame(&real, 0x0800, &first);
            line.frame(&real, 0x0800, &decoy);
            line.time += 10 * SECOND;
            line.frame(&real, 0x0800, &second);
            line.went_on(true, requests.real.len());
        },
    },
    Attack {
        name: "an HSR tag with the number of another frame",
        has_twin: false,
        send: |line, requests| {
            let decoy = part(line, 0, b"");
            line.send(&Segment { tag: Some(Tag::Hsr(0, 77)), ..decoy });
            let real = line.segment(true, requests.real);
            line.send(&Segment { tag: Some(Tag::Hsr(1, 77)), ..real });
            line.went_on(true, requests.real.len());
        },
    },
    Attack {
        name: "a PRP trailer with the number of another frame",
        has_twin: false,
        send: |line, requests| {
            let decoy = part(line, 0, b"");
            line.send(&Segment { tag: Some(Tag::Prp(0xA, 77)), ..decoy });
            let real = line.segment(true, requests.real);
            line.send(&Segment { tag: Some(Tag::Prp(0xB, 77)), ..real });
            line.went_on(true, requests.real.len());
        },
    },
    Attack {
        name: "both frames of a redundant network, one of which is a decoy",
        has_twin: true,
        send: |line, requests| {
            let real = line.segment(true, requests.real);
            let decoy = Segment { bytes: requests.decoy.to_vec(), tag: Some(Tag::Prp(0xA, 9)), ..real };
            let decoy = requests.lie(decoy, Lie::Ttl);
            line.send(&decoy);
            line.send(&Segment { tag: Some(Tag::Prp(0xB, 9)), ..real });
            line.went_on(true, requests.real.len());
        },
    },
    Attack {
        name: "an urgent byte in the middle, which the server takes out",
        has_twin: false,
        send: |line, requests| {
            let half = requests.real.len() / 2;
            let bytes = [&requests.real[..half], &[0xAA], &requests.real[half..]].concat();
            let segment = line.segment(true, &bytes);
            line.send(&Segment { urgent: half as u16 + 1, ..segment });
            line.went_on(true, bytes.len());
        },
    },
    Attack {
        name: "an urgent byte that is announced before its segment",
        has_twin: false,
        send: |line, requests| {
            let half = requests.real.len() / 2;
            let announcement = line.segment(true, b"");
            line.send(&Segment { urgent: half as u16 + 1, ..announcement });
            let bytes = [&requests.real[..half], &[0xAA], &requests.real[half..]].concat();
            line.say(true, &bytes);
        },
    },
    Attack {
        name: "a FIN inside of the request, before it",
        has_twin: false,
        send: |line, requests| {
            let fin = part(line, requests.real.len() / 2, b"");
            line.send(&Segment { flags: FIN | ACK, ttl: 1, ..fin });
            honestly(line, requests);
        },
    },
    Attack {
        name: "a decoy up to the first byte that differs, a forged acknowledgement, and that byte as it is",
        has_twin: false,
        send: |line, requests| {
            let differs = requests.real.iter().zip(requests.decoy).position(|(real, decoy)| real != decoy);
            let place = differs.unwrap_or_default();
            let decoy = part(line, 0, &requests.decoy[..=place]);
            line.send(&Segment { ttl: 1, ..decoy });
            let acknowledgement = line.segment(false, b"");
            let acknowledged = line.next[0] + place as u32 + 1;
            line.send(&Segment { acknowledgement: acknowledged, ttl: 1, ..acknowledgement });
            cut(line, requests.real, &[place, place + 1]);
        },
    },
    Attack {
        name: "half of the request, and half a minute later the rest",
        has_twin: true,
        send: |line, requests| {
            let half = requests.real.len() / 2;
            line.say(true, &requests.real[..half]);
            line.acknowledge(false);
            line.time += 36 * SECOND;
            line.say(true, &requests.real[half..]);
        },
    },
    Attack {
        name: "the second half, and half a minute later the first",
        has_twin: true,
        send: |line, requests| {
            let half = requests.real.len() / 2;
            let second = part(line, half, &requests.real[half..]);
            line.send(&second);
            line.time += 36 * SECOND;
            let first = part(line, 0, &requests.real[..half]);
            line.send(&first);
            line.went_on(true, requests.real.len());
        },
    },
    Attack {
        name: "the request on another VLAN than everything else",
        has_twin: true,
        send: |line, requests| {
            let real = line.segment(true, requests.real);
            line.send(&Segment { tag: Some(Tag::Vlan(77)), ..real });
            line.went_on(true, requests.real.len());
        },
    },
];

/// Both versions of the second fragment, then the first fragment, which completes the datagram.
fn fragmented(line: &mut Line, requests: &Requests<'_>, order: [bool; 2]) {
    let real = line.segment(true, requests.real);
    let [first, second] = line.fragments(&real, 4);
    let [_, decoy] = line.fragments(&Segment { bytes: requests.decoy.to_vec(), ..real.clone() }, 4);
    for is_decoy in order {
        line.frame(&real, 0x0800, if is_decoy { &decoy } else { &second });
    }
    line.frame(&real, 0x0800, &first);
    line.went_on(true, requests.real.len());
}
