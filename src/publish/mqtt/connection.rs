//! One TCP connection to a broker: packets out, events in, and the keep-alive. No state outlives the connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::driver::now;
use super::packets::{self, Event, Manner, Terms};
use super::reason::Reason;
use super::settings::Settings;
use super::url::{Broker, Version};
use super::window::{Offer, Record};

/// A connection on which the broker has accepted the client.
pub(super) struct Connection {
    stream: TcpStream,
    version: Version,
    inbound: BytesMut,
    /// Bytes that the socket has not taken yet.
    outbound: BytesMut,
    /// Size of the largest packet that the broker accepts, bytes.
    largest: Option<u32>,
    keep_alive: Duration,
    /// When bytes last arrived.
    received_at: Instant,
    /// When the last ping was sent.
    pinged_at: Instant,
    /// Why the socket no longer takes bytes. Packets that arrived before can still be read.
    write_error: Option<String>,
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// For people.
    pub(super) reason: String,
    /// The broker ended the connection because of a packet that the client sent.
    pub(super) blame: Option<Reason>,
}

impl From<String> for Lost {
    fn from(reason: String) -> Self {
        Self { reason, blame: None }
    }
}

impl Connection {
    /// Connects, and waits until the broker accepts the client. Returns the broker's Receive Maximum, too.
    pub(super) async fn open(settings: &Settings) -> Result<(Self, Option<u16>), Lost> {
        let stream = dial(&settings.broker, settings.connect_timeout).await?;
        // Nagle's algorithm would hold back an alert until the peer's TCP has acknowledged the one before, up to 40 ms.
        stream.set_nodelay(true).map_err(|error| io_reason(&error))?;
        let begun = now();
        let mut connection = Self {
            stream,
            version: settings.broker.version,
            inbound: BytesMut::new(),
            outbound: BytesMut::new(),
            largest: None,
            keep_alive: settings.keep_alive,
            received_at: begun,
            pinged_at: begun,
            write_error: None,
        };
        packets::connect(settings, &mut connection.outbound)?;
        loop {
            match connection.next_event()? {
                Some(Event::Connected(terms)) => return Ok((connection.with_terms(terms), terms.receive_maximum)),
                Some(Event::Refused(reason)) => return Err(reason.into()),
                Some(other) => return Err(format!("the broker does not answer CONNECT, but says {other:?}").into()),
                None => connection.transfer().await?,
            }
        }
    }

    fn with_terms(mut self, terms: Terms) -> Self {
        self.largest = terms.largest;
        // A shorter interval than the broker asks for costs it little, and detects its loss sooner.
        if let Some(seconds) = terms.keep_alive.filter(|seconds| *seconds > 0) {
            self.keep_alive = self.keep_alive.min(Duration::from_secs(seconds.into()));
        }
        self
    }

    /// Whether another message may be queued. A broker that reads nothing must not fill the memory.
    pub(super) fn has_room(&self) -> bool {
        self.outbound.len() < MAX_OUTBOUND
    }

    /// Queues a message with this packet identifier, without waiting.
    pub(super) fn publish(&mut self, record: &Record, manner: Manner, id: u16) -> Offer {
        let size = record.topic.len() + record.payload.len() + PACKET_OVERHEAD;
        if let Some(largest) = self.largest.filter(|largest| size > *largest as usize) {
            return Offer::Impossible(format!("a record of {size} bytes exceeds the broker's limit of {largest}"));
        }
        if !self.has_room() {
            return Offer::Full;
        }
        match packets::publish(self.version, record, manner, id, &mut self.outbound) {
            Ok(()) => Offer::Taken,
            Err(reason) => Offer::Impossible(reason),
        }
    }

    /// Queues a DISCONNECT.
    pub(super) fn disconnect(&mut self) {
        packets::disconnect(&mut self.outbound);
    }

    /// Whether the socket has taken everything that was queued.
    pub(super) fn is_flushed(&self) -> bool {
        self.outbound.is_empty()
    }

    /// The next packet that has arrived; `None` if it is not complete yet.
    pub(super) fn next_event(&mut self) -> Result<Option<Event>, Lost> {
        match packets::next(self.version, &mut self.inbound)? {
            Some(Event::Disconnected(reason)) => Err(Lost {
                reason: format!("the broker ends the connection: {reason}"),
                blame: reason.blames_a_packet().then_some(reason),
            }),
            event => Ok(event),
        }
    }

    /// Waits until bytes have arrived or the socket has taken bytes. Cancel-safe: nothing is lost if it is dropped.
    pub(super) async fn transfer(&mut self) -> Result<(), String> {
        if let Some(reason) = self.write_error.take() {
            return Err(reason);
        }
        self.inbound.reserve(READ_SIZE);
        let (mut read, mut write) = self.stream.split();
        let written = tokio::select! {
            arrived = read.read_buf(&mut self.inbound) => match arrived {
                Ok(0) => return Err(CLOSED.to_owned()),
                Ok(_) => {
                    self.received_at = now();
                    return Ok(());
                }
                Err(error) => return Err(io_reason(&error)),
            },
            written = write.write_buf(&mut self.outbound), if !self.outbound.is_empty() => written,
        };
        if let Err(error) = written {
            // The broker may have sent a DISCONNECT with a reason before it closed the connection.
            while self.stream.try_read_buf(&mut self.inbound).is_ok_and(|arrived| arrived > 0) {}
            self.write_error = Some(io_reason(&error));
        }
        Ok(())
    }

    /// When the next timer is due.
    pub(super) fn timer_at(&self) -> Option<Instant> {
        self.pinged_at.checked_add(self.keep_alive).into_iter().chain(self.lost_at()).min()
    }

    /// Pings the broker if a ping is due. An error if the broker has been silent for too long.
    pub(super) fn handle_timers(&mut self, now: Instant) -> Result<(), Lost> {
        if self.lost_at().is_some_and(|lost| lost <= now) {
            let silent = now.saturating_duration_since(self.received_at).as_secs();
            return Err(format!("nothing was heard of the broker for {silent} s").into());
        }
        if now.saturating_duration_since(self.pinged_at) >= self.keep_alive {
            self.pinged_at = now;
            packets::ping(&mut self.outbound);
        }
        Ok(())
    }

    /// When a silent connection counts as lost: at least one ping was sent before, and had half the interval for an answer.
    fn lost_at(&self) -> Option<Instant> {
        self.received_at.checked_add(self.keep_alive + (self.keep_alive / 2).max(MIN_PING_TIMEOUT))
    }
}

/// Connects to the broker, at the first of its addresses that answers.
async fn dial(broker: &Broker, within: Duration) -> Result<TcpStream, String> {
    let begun = now();
    let host = broker.host.trim_matches(['[', ']']);
    let found = lookup_host((host, broker.port)).await.map_err(|error| format!("{host}: {error}"))?;
    let addresses: Vec<SocketAddr> = found.collect();
    connect_to(&addresses, within.saturating_sub(now().saturating_duration_since(begun))).await
}

/// Connects to the first address that answers. Each address gets an equal share of the remaining time, so that one that
/// swallows packets does not use up all of it.
pub(super) async fn connect_to(addresses: &[SocketAddr], within: Duration) -> Result<TcpStream, String> {
    let end = now() + within;
    let mut reason = "the broker's name has no address".to_owned();
    for (tried, address) in addresses.iter().enumerate() {
        let share = end.saturating_duration_since(now()) / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => reason = io_reason(&error),
            Err(_) => reason = format!("no answer from {address} within {:.1} s", share.as_secs_f32()),
        }
    }
    Err(reason)
}

/// The reason in an I/O error, for people.
fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: no broker listens there".to_owned(),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => CLOSED.to_owned(),
        _ => error.to_string(),
    }
}

/// Bytes queued for the socket, beyond which no further message is queued. A single record may exceed it.
const MAX_OUTBOUND: usize = 256 * 1024;
/// Bytes of buffer space for one read.
const READ_SIZE: usize = 4096;
/// Upper bound on the bytes of a PUBLISH beside topic and payload: fixed header, packet identifier, properties.
const PACKET_OVERHEAD: usize = 64;
/// The shortest time that a broker has for the answer to a ping.
const MIN_PING_TIMEOUT: Duration = Duration::from_secs(1);
const CLOSED: &str = "the broker closed the connection";
