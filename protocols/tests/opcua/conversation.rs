//! An OPC UA conversation with a decoder that logs what it announces.

use lockkeeper_protocols::opcua::OPCUA;
use lockkeeper_protocols::{Limits, Session, Side, Transport};

use Side::{Client, Server};

use crate::testing::{Log, at};
use crate::wire::{Channel, NONE, NULL, acknowledge, array, hello, request, response};

/// A conversation and its log.
pub struct Conversation {
    pub channel: Channel,
    pub session: Session,
    pub log: Log,
    pub now: i64,
}

impl Conversation {
    /// Connection and channel without encryption.
    pub fn opened() -> Self {
        let mut conversation = Self::joined(0, false);
        conversation.feed(Client, &hello("opc.tcp://plc:4840"));
        conversation.feed(Server, &acknowledge());
        for (side, opening) in conversation.channel.open(NONE, 1) {
            conversation.feed(side, &opening);
        }
        conversation.log.lines.clear();
        conversation
    }

    /// A conversation that began before the capture.
    pub fn joined(signature: usize, is_midstream: bool) -> Self {
        let session = Session::new(&OPCUA, Transport::Tcp, &Limits::default(), is_midstream);
        Self { channel: Channel::new(signature), session, log: Log::default(), now: 0 }
    }

    /// Feeds bytes of one side.
    pub fn feed(&mut self, from: Side, bytes: &[u8]) {
        self.session.feed_stream(from, bytes, &at(self.now), &mut self.log);
    }

    /// Feeds a message of one chunk.
    pub fn say(&mut self, from: Side, number: u32, body: &[u8]) {
        let chunk = self.channel.piece(from, b'F', number, body);
        self.feed(from, &chunk);
    }

    /// The lines of operations and of unseen requests, from their class on.
    pub fn announced(&self) -> Vec<String> {
        let announced = self.log.lines.iter().filter_map(|line| {
            let mut words = line.splitn(4, ' ').skip(1);
            let what = words.next().filter(|word| ["asks", "unseen"].contains(word))?;
            Some(format!("{what} {}", words.nth(1)?))
        });
        announced.collect()
    }

    /// The lines of outcomes.
    pub fn outcomes(&self) -> Vec<&str> {
        let ends = ["accepted", "refused", "no_response", "pending"];
        let is_end =
            |line: &&str| line.split(' ').nth(1).is_some_and(|word| ends.iter().any(|end| word.starts_with(end)));
        self.log.lines.iter().map(String::as_str).filter(is_end).collect()
    }
}

/// A node of a namespace with a number, four-byte form.
pub fn number(namespace: u8, id: u16) -> Vec<u8> {
    [&[1, namespace][..], &id.to_le_bytes()].concat()
}

/// A Write of the value 7 (Int32) to encoded nodes.
pub fn write_to(nodes: &[Vec<u8>]) -> Vec<u8> {
    let item = |node: &Vec<u8>| [&node[..], &13_u32.to_le_bytes(), &NULL, &[1, 6, 7, 0, 0, 0]].concat();
    request(673, 1, &array(&nodes.iter().map(item).collect::<Vec<_>>()))
}

/// RegisterNodes.
pub fn register(nodes: &[Vec<u8>]) -> Vec<u8> {
    request(560, 1, &array(nodes))
}

/// The response to [`register`].
pub fn registered(aliases: &[Vec<u8>]) -> Vec<u8> {
    response(563, 0, &array(aliases))
}
