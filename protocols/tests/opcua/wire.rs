//! Encodes OPC UA messages for tests.

use lockkeeper_protocols::Side;

pub const SEQUENCE: usize = 8;

/// A whole chunk or connection message: letters, part, size, content.
pub fn chunk(letters: &str, part: u8, content: &[u8]) -> Vec<u8> {
    let size = (8 + content.len()) as u32;
    [letters.as_bytes(), &[part], &size.to_le_bytes(), content].concat()
}

pub fn string(text: &str) -> Vec<u8> {
    [&(text.len() as i32).to_le_bytes(), text.as_bytes()].concat()
}

pub const NULL: [u8; 4] = [0xFF; 4];

pub fn hello(url: &str) -> Vec<u8> {
    let sizes: Vec<u8> = [0_u32, 65_536, 65_536, 0, 0].iter().flat_map(|size| size.to_le_bytes()).collect();
    chunk("HEL", b'F', &[sizes, string(url)].concat())
}

pub fn acknowledge() -> Vec<u8> {
    let sizes: Vec<u8> = [0_u32, 65_536, 65_536, 0, 0].iter().flat_map(|size| size.to_le_bytes()).collect();
    chunk("ACK", b'F', &sizes)
}

pub fn reverse_hello(server: &str, url: &str) -> Vec<u8> {
    chunk("RHE", b'F', &[string(server), string(url)].concat())
}

/// The encoding id of a message, four-byte form.
pub fn id(number: u16) -> Vec<u8> {
    [&[1, 0][..], &number.to_le_bytes()].concat()
}

/// A node of namespace 2 with a textual id.
pub fn node(text: &str) -> Vec<u8> {
    [&[3, 2, 0][..], &string(text)].concat()
}

/// A request of a session: its token is a number here.
pub fn request(number: u16, session: u8, content: &[u8]) -> Vec<u8> {
    // 2024-06-01, handle 7, no diagnostics, no audit entry, 10 s, no additional header
    let header = [
        &[0, session][..],
        &TIME.to_le_bytes(),
        &7_u32.to_le_bytes(),
        &[0; 4],
        &NULL,
        &10_000_u32.to_le_bytes(),
        &[0; 3],
    ];
    [id(number), header.concat(), content.to_vec()].concat()
}

/// A response; nothing follows a bad status.
pub fn response(number: u16, status: u32, content: &[u8]) -> Vec<u8> {
    let header = [&TIME.to_le_bytes()[..], &7_u32.to_le_bytes(), &status.to_le_bytes(), &[0], &NULL, &[0; 3]];
    [id(number), header.concat(), content.to_vec()].concat()
}

const TIME: i64 = 133_617_024_000_000_000;

/// An array of encoded elements.
pub fn array(elements: &[Vec<u8>]) -> Vec<u8> {
    [(elements.len() as u32).to_le_bytes().to_vec(), elements.concat()].concat()
}

/// Read of the values of these nodes.
pub fn read(nodes: &[&str]) -> Vec<u8> {
    let value = [&13_u32.to_le_bytes()[..], &NULL, &[0, 0], &NULL].concat();
    let ids: Vec<_> = nodes.iter().map(|name| [node(name), value.clone()].concat()).collect();
    request(631, 1, &[&[0; 8][..], &[2, 0, 0, 0], &array(&ids)].concat())
}

/// The response to [`read`]: Int32 values.
pub fn values(values: &[i32]) -> Vec<u8> {
    let all: Vec<_> = values.iter().map(|value| [&[1, 6][..], &value.to_le_bytes()].concat()).collect();
    response(634, 0, &[array(&all), NULL.to_vec()].concat())
}

/// Write of one byte string.
pub fn write(name: &str, value: &[u8]) -> Vec<u8> {
    let text = [&(value.len() as i32).to_le_bytes(), value].concat();
    let item = [node(name), 13_u32.to_le_bytes().to_vec(), NULL.to_vec(), vec![1, 15], text].concat();
    request(673, 1, &array(&[item]))
}

/// The response to Write, DeleteNodes and the like.
pub fn results(number: u16, statuses: &[u32]) -> Vec<u8> {
    let all: Vec<_> = statuses.iter().map(|status| status.to_le_bytes().to_vec()).collect();
    response(number, 0, &[array(&all), NULL.to_vec()].concat())
}

fn parameters(handle: u32) -> Vec<u8> {
    // sampling interval, no filter, queue of 1, discard oldest
    [&handle.to_le_bytes()[..], &[0; 8], &[0; 3], &[1, 0, 0, 0, 1]].concat()
}

/// CreateMonitoredItems: values of nodes, with the client's numbers from 100.
pub fn monitor(subscription: u32, nodes: &[&str]) -> Vec<u8> {
    let item = |(handle, name): (u32, &&str)| {
        let value = [node(name), 13_u32.to_le_bytes().to_vec(), NULL.to_vec(), vec![0, 0], NULL.to_vec()].concat();
        [value, 2_u32.to_le_bytes().to_vec(), parameters(handle)].concat()
    };
    let items: Vec<_> = (100..).zip(nodes).map(item).collect();
    request(751, 1, &[&subscription.to_le_bytes()[..], &[0; 4], &array(&items)].concat())
}

/// The response to [`monitor`]: the server's ids from 1.
pub fn monitored(count: u32) -> Vec<u8> {
    let one = |item: u32| [&[0; 4][..], &item.to_le_bytes(), &[0; 8], &[1, 0, 0, 0], &[0; 3]].concat();
    response(754, 0, &[array(&(1..=count).map(one).collect::<Vec<_>>()), NULL.to_vec()].concat())
}

/// ModifyMonitoredItems: another number for an item.
pub fn renumber(subscription: u32, item: u32, handle: u32) -> Vec<u8> {
    let one = [item.to_le_bytes().to_vec(), parameters(handle)].concat();
    request(763, 1, &[&subscription.to_le_bytes()[..], &[0; 4], &array(&[one])].concat())
}

/// The answer to it.
pub fn renumbered() -> Vec<u8> {
    let one = [&[0; 4][..], &[0; 8], &[1, 0, 0, 0], &[0; 3]].concat();
    response(766, 0, &[array(&[one]), NULL.to_vec()].concat())
}

/// The response to Publish: values (Int32) of monitored items.
pub fn published(subscription: u32, values: &[(u32, i32)]) -> Vec<u8> {
    let one = |(handle, value): &(u32, i32)| [&handle.to_le_bytes()[..], &[1, 6], &value.to_le_bytes()].concat();
    let change = [array(&values.iter().map(one).collect::<Vec<_>>()), NULL.to_vec()].concat();
    let change = [&[1, 0, 0x2B, 0x03, 1][..], &(change.len() as u32).to_le_bytes(), &change].concat();
    let content = [
        &subscription.to_le_bytes()[..],
        &NULL,
        &[0],
        &[5, 0, 0, 0],
        &TIME.to_le_bytes(),
        &array(&[change]),
        &NULL,
        &NULL,
    ];
    response(829, 0, &content.concat())
}

/// ActivateSession with a user name and a password without encryption.
pub fn activate(session: u8, user: &str, password: &str) -> Vec<u8> {
    let token = [string("p"), string(user), string(password), NULL.to_vec()].concat();
    let token = [&[1, 0, 0x44, 0x01, 1][..], &(token.len() as i32).to_le_bytes(), &token].concat();
    request(
        467,
        session,
        &[NULL.to_vec(), NULL.to_vec(), NULL.to_vec(), NULL.to_vec(), token, NULL.to_vec(), NULL.to_vec()].concat(),
    )
}

/// The answer to it.
pub fn activated() -> Vec<u8> {
    response(470, 0, &[NULL, NULL, NULL].concat())
}

/// A secure channel, which numbers its chunks and signs each with `signature` bytes of `S`.
#[derive(Clone, Debug)]
pub struct Channel {
    pub id: u32,
    pub token: u32,
    pub next: [u32; 2],
    pub signature: usize,
}

impl Channel {
    pub fn new(signature: usize) -> Self {
        Self { id: 9, token: 14, next: [1, 51], signature }
    }

    fn sequence(&mut self, from: Side) -> u32 {
        let number = self.next[from.index()];
        self.next[from.index()] = if number == u32::MAX - 1023 { 1 } else { number.wrapping_add(1) };
        number
    }

    /// OPN in both directions with a plaintext body.
    pub fn open(&mut self, policy: &str, mode: u8) -> [(Side, Vec<u8>); 2] {
        let asked = request(446, 0, &[&[0; 8][..], &[mode, 0, 0, 0], &NULL, &3_600_000_u32.to_le_bytes()].concat());
        let granted =
            [&[0; 4][..], &self.id.to_le_bytes(), &self.token.to_le_bytes(), &[0; 8], &[0x80, 0xEE, 0x36, 0], &NULL];
        let granted = response(449, 0, &granted.concat());
        let head = |channel: u32| [&channel.to_le_bytes()[..], &string(policy), &NULL, &NULL].concat();
        let ask = [head(0), self.head(Side::Client, 1), asked].concat();
        let grant = [head(self.id), self.head(Side::Server, 1), granted].concat();
        [(Side::Client, chunk("OPN", b'F', &ask)), (Side::Server, chunk("OPN", b'F', &grant))]
    }

    /// OPN in both directions, encrypted.
    pub fn open_sealed(&mut self, policy: &str) -> [(Side, Vec<u8>); 2] {
        let thumbprint = [&20_u32.to_le_bytes()[..], &[0xAB; 20]].concat();
        let certificate = [&4_u32.to_le_bytes()[..], b"cert"].concat();
        let mut message = |side: Side, channel: u32| {
            self.sequence(side);
            let head = [&channel.to_le_bytes()[..], &string(policy), &certificate, &thumbprint].concat();
            (side, chunk("OPN", b'F', &[head, noise(256, channel)].concat()))
        };
        [message(Side::Client, 0), message(Side::Server, 9)]
    }

    fn head(&mut self, from: Side, request: u32) -> Vec<u8> {
        [self.sequence(from).to_le_bytes(), request.to_le_bytes()].concat()
    }

    /// One chunk.
    pub fn piece(&mut self, from: Side, part: u8, request: u32, body: &[u8]) -> Vec<u8> {
        let security = [self.id.to_le_bytes(), self.token.to_le_bytes()].concat();
        chunk("MSG", part, &[security, self.head(from, request), body.to_vec(), vec![b'S'; self.signature]].concat())
    }

    /// A message in chunks of these sizes; the last one takes the rest.
    pub fn message(&mut self, from: Side, request: u32, body: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
        let mut rest = body;
        let mut chunks = Vec::new();
        for size in sizes {
            if *size >= rest.len() {
                break;
            }
            let (head, tail) = rest.split_at(*size);
            chunks.push(self.piece(from, b'C', request, head));
            rest = tail;
        }
        chunks.push(self.piece(from, b'F', request, rest));
        chunks
    }

    /// An encrypted message of this size.
    pub fn sealed(&self, part: u8, size: usize, seed: u32) -> Vec<u8> {
        let security = [self.id.to_le_bytes(), self.token.to_le_bytes()].concat();
        chunk("MSG", part, &[security, noise(size, seed)].concat())
    }

    pub fn close(&mut self) -> Vec<u8> {
        let security = [self.id.to_le_bytes(), self.token.to_le_bytes()].concat();
        let body = [self.head(Side::Client, 999), request(452, 0, &[])].concat();
        chunk("CLO", b'F', &[security, body, vec![b'S'; self.signature]].concat())
    }
}

/// Pseudorandom bytes.
pub fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

pub const NONE: &str = "http://opcfoundation.org/UA/SecurityPolicy#None";
pub const BASIC: &str = "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256";
pub const ECC: &str = "http://opcfoundation.org/UA/SecurityPolicy#ECC_nistP256";
