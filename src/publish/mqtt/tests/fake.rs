//! A scripted broker: just enough MQTT 3.1.1 and 5 for one publisher.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

/// What to do with a message.
pub(super) enum Answer {
    Take,
    /// Acknowledge it, and again, and what was never sent.
    TakeAndMore,
    Refuse(u8),
    Nothing,
    HangUp,
    /// End the connection for this reason (MQTT 5).
    Disconnect(u8),
    /// From now on nothing is read or said, as if the cable was cut.
    Freeze,
}

pub(super) struct Fake {
    pub(super) port: u16,
    shared: Arc<FakeState>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct FakeState {
    taken: Mutex<BTreeSet<String>>,
    over: AtomicBool,
    connection: Mutex<Option<TcpStream>>,
}

impl Fake {
    /// Asks `judge` about every alert; other topics are always taken.
    pub(super) fn start(mut judge: impl FnMut(&str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let shared = Arc::new(FakeState::default());
        let ours = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = connection.expect("a connection");
                if ours.over.load(Ordering::SeqCst) {
                    return;
                }
                *ours.connection.lock().expect("unpoisoned") = connection.try_clone().ok();
                if serve(connection, &mut judge, &ours.taken).is_err() {
                    hang_up(&ours);
                }
            }
        });
        Self { port, shared, thread: Some(thread) }
    }

    /// The alerts that it acknowledged.
    pub(super) fn taken(&self) -> BTreeSet<String> {
        self.shared.taken.lock().expect("unpoisoned").clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        hang_up(&self.shared);
        // Wakes the thread from its wait for a connection.
        let _already_gone = TcpStream::connect(("127.0.0.1", self.port));
        self.thread.take().map(JoinHandle::join);
    }
}

fn hang_up(shared: &FakeState) {
    if let Some(connection) = shared.connection.lock().expect("unpoisoned").take() {
        let _already_gone = connection.shutdown(Shutdown::Both);
    }
}

fn serve(
    mut stream: TcpStream,
    judge: &mut dyn FnMut(&str) -> Answer,
    taken: &Mutex<BTreeSet<String>>,
) -> io::Result<()> {
    let mut version = 5;
    loop {
        let (first, body) = packet(&mut stream)?;
        match first >> 4 {
            // CONNECT: protocol name (2 + 4 bytes), then the level: 4 is MQTT 3.1.1, 5 is MQTT 5.
            1 => {
                version = body[6];
                // CONNACK: no session, success; MQTT 5 adds the length of no properties.
                stream.write_all(if version == 5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] })?;
            }
            // PUBLISH with QoS 1: topic, packet identifier, in MQTT 5 properties, payload.
            3 => {
                let topic_length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let topic = String::from_utf8_lossy(&body[2..2 + topic_length]);
                let rest = &body[2 + topic_length..];
                let (id, rest) = ([rest[0], rest[1]], &rest[2..]);
                let properties = if version == 5 { 1 + usize::from(rest[0]) } else { 0 };
                let payload = String::from_utf8_lossy(&rest[properties..]);
                let answer = if topic.ends_with("/status") { Answer::Take } else { judge(&payload) };
                match answer {
                    Answer::Take | Answer::TakeAndMore => {
                        if !topic.ends_with("/status") {
                            taken.lock().expect("unpoisoned").insert(payload.into_owned());
                        }
                        stream.write_all(&[0x40, 2, id[0], id[1]])?;
                        if let Answer::TakeAndMore = answer {
                            // The same, 0x7777, and 0, which is no packet identifier.
                            stream.write_all(&[0x40, 2, id[0], id[1], 0x40, 2, 0x77, 0x77, 0x40, 2, 0, 0])?;
                        }
                    }
                    Answer::Refuse(reason) => stream.write_all(&[0x40, 3, id[0], id[1], reason])?,
                    Answer::Nothing => {}
                    Answer::HangUp => return Err(io::ErrorKind::ConnectionAborted.into()),
                    Answer::Disconnect(reason) => {
                        stream.write_all(&[0xE0, 1, reason])?;
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                    Answer::Freeze => return Ok(()),
                }
            }
            // PINGREQ, answered by PINGRESP.
            12 => stream.write_all(&[0xD0, 0])?,
            // DISCONNECT and everything that a publisher does not send.
            _ => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

/// First byte and body of a packet. The length has seven bits in each byte, lowest first (MQTT, section 2.2.3).
pub(super) fn packet(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let first = byte[0];
    let (mut length, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7F) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((first, body))
}
