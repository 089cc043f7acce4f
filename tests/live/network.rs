//! A namespace with a hub that repeats every frame on all other ports, as a SPAN port does.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use pcap::{Active, Capture, Direction, Precision};
use serde_json::Value;

use crate::support::namespace::Namespace;
use crate::support::rewrite::Packet;

/// A namespace with a hub.
pub(crate) struct Hub {
    place: Namespace,
}

impl Hub {
    /// A hub with ports of these names; `None` if namespaces are missing and the run allows that.
    pub(crate) fn new(ports: &[&str]) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let place = Namespace::new(&MADE.fetch_add(1, Ordering::Relaxed).to_string())?;
        let hub = Self { place };
        // Without learning, the bridge sends every frame to every port; without addresses, no port sends by itself.
        hub.quiet("default");
        hub.ip(&["link", "add", "hub", "type", "bridge", "ageing_time", "0", "mcast_snooping", "0"]);
        hub.ip(&["link", "set", "hub", "up"]);
        ports.iter().for_each(|port| hub.plug(port));
        Some(hub)
    }

    /// Adds a port.
    pub(crate) fn plug(&self, port: &str) {
        self.cable(port);
        self.ip(&["link", "set", &far(port), "master", "hub"]);
    }

    /// Adds a cable with an unused other end.
    pub(crate) fn cable(&self, port: &str) {
        let far = far(port);
        self.ip(&["link", "add", "name", port, "type", "veth", "peer", "name", &far]);
        for end in [port, &far] {
            self.quiet(end);
            self.ip(&["link", "set", end, "up"]);
        }
    }

    /// Runs ip(8) in the namespace.
    pub(crate) fn ip(&self, arguments: &[&str]) -> String {
        self.place.ip(arguments)
    }

    /// A command that runs in the namespace.
    pub(crate) fn command(&self, program: &Path) -> Command {
        self.place.command(program)
    }

    /// Frames from a port towards the hub, as counted at each end of the cable.
    pub(crate) fn frames_sent_by(&self, port: &str) -> [u64; 2] {
        [self.counted(port, "tx"), self.counted(&far(port), "rx")]
    }

    /// Frames that have arrived at a port.
    pub(crate) fn frames_received_by(&self, port: &str) -> u64 {
        self.counted(port, "rx")
    }

    fn counted(&self, port: &str, way: &str) -> u64 {
        let json: Value = serde_json::from_str(&self.ip(&["-j", "-s", "link", "show", "dev", port])).expect("JSON");
        json[0]["stats64"][way]["packets"].as_u64().expect("a counter")
    }

    /// Runs something on a thread that lives in the namespace.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.place.inside(work)
    }

    /// Sends frames through a port, with pauses of at most a millisecond.
    pub(crate) fn send(&self, port: &str, packets: &[Packet]) {
        self.send_by(&[port], packets, |_| 0);
    }

    /// The same through several ports; `choose` selects the port of a frame.
    pub(crate) fn send_by(&self, ports: &[&str], packets: &[Packet], choose: impl Fn(&Packet) -> usize + Sync) {
        self.inside(|| {
            let mut sockets: Vec<_> = ports.iter().map(|port| open(port)).collect();
            let mut before = packets.first().map_or(0, |packet| packet.time);
            for packet in packets {
                let pause = packet.time.saturating_sub(before).clamp(0, LONGEST_PAUSE);
                thread::sleep(Duration::from_nanos(pause.unsigned_abs()));
                before = packet.time;
                sockets[choose(packet)].sendpacket(packet.bytes.as_slice()).expect("sent");
            }
        });
    }

    /// Records the frames that arrive at a port during `meanwhile`.
    pub(crate) fn record(&self, port: &str, to: &Path, meanwhile: impl FnOnce()) {
        let (socket, to) = (self.inside(|| open(port)), to.to_owned());
        socket.direction(Direction::In).expect("one direction");
        let mut file = socket.savefile(&to).expect("a file");
        meanwhile();
        thread::sleep(Duration::from_millis(200));
        let mut socket = socket.setnonblock().expect("not blocking");
        while socket.dispatch(None, |packet| file.write(&packet)).expect("recorded") > 0 {}
        file.flush().expect("written");
    }

    fn quiet(&self, port: &str) {
        self.place.set(&format!("net.ipv6.conf.{port}.disable_ipv6=1"));
    }
}

/// The other end of a port's cable.
pub(crate) fn far(port: &str) -> String {
    format!("{port}-far")
}

fn open(port: &str) -> Capture<Active> {
    let socket = Capture::from_device(port).expect("a device").precision(Precision::Nano);
    socket.promisc(true).buffer_size(64 << 20).timeout(10).open().expect("an open device")
}

/// Longest pause between two frames, nanoseconds.
const LONGEST_PAUSE: i64 = 1_000_000;
