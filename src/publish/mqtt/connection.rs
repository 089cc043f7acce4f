//! One TCP connection to a broker: packets out, events in, and signs of life. Nothing of it survives its end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::Settings;
use super::driver::now;
use super::packets::{self, Event, Manner, Terms};
use super::reason::Reason;
use super::url::{Broker, Version};
use super::window::{Offer, Record};

/// A connection on which the broker has let the client in.
pub(super) struct Connection {
    stream: TcpStream,
    version: Version,
    inbound: BytesMut,
    /// What the system has not taken yet.
    outbound: BytesMut,
    /// Size of the largest packet that the broker takes, bytes.
    largest: Option<u32>,
    keep_alive: Duration,
    /// When something was last heard of the broker.
    heard: Instant,
    /// When it was last asked whether it is there.
    pinged: Instant,
    /// Nothing can be written any more, for this reason; what the broker said before can still be read.
    broken: Option<String>,
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// In words.
    pub(super) reason: String,
    /// The broker ended it because of a packet that it was sent.
    pub(super) blame: Option<Reason>,
}

impl From<String> for Lost {
    fn from(reason: String) -> Self {
        Self { reason, blame: None }
    }
}

impl Connection {
    /// Connects, and waits until the broker lets the client in; says how many messages may be unacknowledged.
    pub(super) async fn open(settings: &Settings) -> Result<(Self, Option<u16>), Lost> {
        let stream = dial(&settings.broker, settings.connect_timeout).await?;
        // An alert is not held back until the other end's TCP has acknowledged the one before it, which may take 40 ms.
        stream.set_nodelay(true).map_err(|error| of_io(&error))?;
        let begun = now();
        let mut connection = Self {
            stream,
            version: settings.broker.version,
            inbound: BytesMut::new(),
            outbound: BytesMut::new(),
            largest: None,
            keep_alive: settings.keep_alive,
            heard: begun,
            pinged: begun,
            broken: None,
        };
        packets::connect(settings, &mut connection.outbound)?;
        loop {
            match connection.next()? {
                Some(Event::Connected(terms)) => return Ok((connection.on(terms), terms.in_flight)),
                Some(Event::Refused(reason)) => return Err(reason.into()),
                Some(other) => return Err(format!("the broker does not answer CONNECT, but says {other:?}").into()),
                None => connection.stir().await?,
            }
        }
    }

    fn on(mut self, terms: Terms) -> Self {
        self.largest = terms.largest;
        // To ask more often than the broker wants costs it little, and finds out sooner that it is gone.
        if let Some(seconds) = terms.keep_alive.filter(|seconds| *seconds > 0) {
            self.keep_alive = self.keep_alive.min(Duration::from_secs(seconds.into()));
        }
        self
    }

    /// Whether more can be sent now. A broker that reads nothing must not fill the memory.
    pub(super) fn has_room(&self) -> bool {
        self.outbound.len() < MOST_OUTBOUND
    }

    /// Sends a message under this packet identifier, without waiting.
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

    /// Tells the broker that the client leaves.
    pub(super) fn disconnect(&mut self) {
        packets::disconnect(&mut self.outbound);
    }

    /// Whether the system has taken everything that was sent.
    pub(super) fn is_flushed(&self) -> bool {
        self.outbound.is_empty()
    }

    /// What the broker said next, of what has arrived.
    pub(super) fn next(&mut self) -> Result<Option<Event>, Lost> {
        match packets::next(self.version, &mut self.inbound)? {
            Some(Event::Disconnected(reason)) => Err(Lost {
                reason: format!("the broker ends the connection: {reason}"),
                blame: reason.blames_a_packet().then_some(reason),
            }),
            event => Ok(event),
        }
    }

    /// Waits until something has arrived or was taken by the system. Can be dropped at any time: nothing is lost.
    pub(super) async fn stir(&mut self) -> Result<(), String> {
        if let Some(reason) = self.broken.take() {
            return Err(reason);
        }
        self.inbound.reserve(READ_AT_ONCE);
        let (mut read, mut write) = self.stream.split();
        let written = tokio::select! {
            arrived = read.read_buf(&mut self.inbound) => match arrived {
                Ok(0) => return Err(CLOSED.to_owned()),
                Ok(_) => {
                    self.heard = now();
                    return Ok(());
                }
                Err(error) => return Err(of_io(&error)),
            },
            written = write.write_buf(&mut self.outbound), if !self.outbound.is_empty() => written,
        };
        if let Err(error) = written {
            // The broker may have said why before it closed the connection.
            while self.stream.try_read_buf(&mut self.inbound).is_ok_and(|arrived| arrived > 0) {}
            self.broken = Some(of_io(&error));
        }
        Ok(())
    }

    /// When to look at the clock again.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.pinged.checked_add(self.keep_alive).into_iter().chain(self.lost_at()).min()
    }

    /// Asks a broker that has to be asked, and gives up one that has not been heard of.
    pub(super) fn look_at_clock(&mut self, now: Instant) -> Result<(), Lost> {
        if self.lost_at().is_some_and(|lost| lost <= now) {
            let silent = now.saturating_duration_since(self.heard).as_secs();
            return Err(format!("nothing was heard of the broker for {silent} s").into());
        }
        if now.saturating_duration_since(self.pinged) >= self.keep_alive {
            self.pinged = now;
            packets::ping(&mut self.outbound);
        }
        Ok(())
    }

    /// When the connection counts as dead: the broker is asked at least once before, and answers within half the interval.
    fn lost_at(&self) -> Option<Instant> {
        self.heard.checked_add(self.keep_alive + (self.keep_alive / 2).max(LEAST_PATIENCE))
    }
}

/// Connects to the broker, at whichever of its addresses answers.
async fn dial(broker: &Broker, within: Duration) -> Result<TcpStream, String> {
    let begun = now();
    let host = broker.host.trim_matches(['[', ']']);
    let found = lookup_host((host, broker.port)).await.map_err(|error| format!("{host}: {error}"))?;
    let addresses: Vec<SocketAddr> = found.collect();
    connect_to(&addresses, within.saturating_sub(now().saturating_duration_since(begun))).await
}

/// Connects to the first address that answers. Each has its share of the time: one that swallows packets does not keep the
/// client from the next.
pub(super) async fn connect_to(addresses: &[SocketAddr], within: Duration) -> Result<TcpStream, String> {
    let end = now() + within;
    let mut reason = "the broker's name has no address".to_owned();
    for (tried, address) in addresses.iter().enumerate() {
        let share = end.saturating_duration_since(now()) / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => reason = of_io(&error),
            Err(_) => reason = format!("no answer from {address} within {:.1} s", share.as_secs_f32()),
        }
    }
    Err(reason)
}

fn of_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: no broker listens there".to_owned(),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => CLOSED.to_owned(),
        _ => error.to_string(),
    }
}

/// Bytes that wait for a broker that does not read, beyond which nothing more is sent. One record may exceed it.
const MOST_OUTBOUND: usize = 256 * 1024;
/// Bytes for which there is room before something is read.
const READ_AT_ONCE: usize = 4096;
/// Fixed header, packet identifier and properties of a PUBLISH, generously.
const PACKET_OVERHEAD: usize = 64;
/// What a broker has at least for the answer to a ping.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
const CLOSED: &str = "the broker closed the connection";
