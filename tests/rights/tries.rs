//! The attempts of a process that has confined itself like a sensor. It runs as a separate process, in a namespace with an
//! interface `span`.

use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use lockkeeper::sensor::confine::{Confinement, Level, Settings, confine};
use rustix::net::sockopt::set_socket_broadcast;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, ipproto,
    recvmsg, send, sendmsg, socket, socketpair,
};
use rustix::pipe::{SpliceFlags, pipe, splice, tee};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The test that runs the attempts.
pub(crate) const NAME: &str = "tries::all_of_it";

/// The environment variable with the folder in which it may create folders.
pub(crate) const FOLDER: &str = "LOCKKEEPER_TRIES";

/// The result of each attempt: 0 for success, else errno.
pub(crate) const EXPECTED: &[(&str, i32)] = &[
    (LANDLOCK, 0),
    ("send before", 0),
    ("send", EPERM),
    ("send on another thread", EPERM),
    ("write", EPERM),
    ("writev", EPERM),
    ("pwrite", EPERM),
    ("splice", EPERM),
    ("tee", EPERM),
    ("sendfile", EPERM),
    ("sendmsg", EPERM),
    ("recvmsg", EPERM),
    ("dup", EPERM),
    ("dup2", EPERM),
    ("dup2 onto it", EPERM),
    ("dup3", EPERM),
    ("fcntl", EPERM),
    ("setsockopt", EPERM),
    ("close", 0),
    ("send after it was closed", EPERM),
    ("packet socket", EPERM),
    ("raw socket", EPERM),
    ("pair of sockets", EPERM),
    ("exec", EPERM),
    ("spawn", EPERM),
    ("namespace", EPERM),
    ("signal to another process", EPERM),
    ("read elsewhere", EACCES),
    ("write elsewhere", EACCES),
    ("write what may be read", EACCES),
    ("connect elsewhere", EACCES),
    ("listen", EACCES),
    ("read", 0),
    ("write, rename, read and remove", 0),
    ("state of an interface", 0),
    ("connect", 0),
    ("ask over UDP", 0),
    ("thread", 0),
];

/// Whether the kernel supports all of Landlock that the sensor uses; otherwise more attempts succeed than expected.
pub(crate) const LANDLOCK: &str = "to close files, TCP and signals to others";

/// Attempts that only Landlock refuses.
pub(crate) fn is_refused_by_landlock(what: &str, number: i32) -> bool {
    number == EACCES || what == "signal to another process" || what == LANDLOCK
}

const EPERM: i32 = 1;
const EACCES: i32 = 13;

#[test]
#[ignore = "confines its process for good: another test runs it as a process of its own"]
fn all_of_it() {
    let folder = std::env::var_os(FOLDER).expect("the parent process sets the folder");
    let [readable, writable] = ["readable", "writable"].map(|name| Path::new(&folder).join(name));
    fs::create_dir(&readable).and_then(|()| fs::create_dir(&writable)).expect("made");
    fs::write(readable.join("policy"), "policy").expect("written");
    let capture = pcap::Capture::from_device("span").and_then(|span| span.open()).expect("root may");
    let other = socket(AddressFamily::PACKET, SocketType::RAW, None).expect("root may");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let open = Open {
        own_file: File::open(readable.join("policy")).expect("written").into(),
        namespace: File::open("/proc/self/ns/net").expect("this one").into(),
        pipe: pipe().expect("a pipe"),
        unix: socket(AddressFamily::UNIX, SocketType::DGRAM, None).expect("a socket"),
    };
    let port = listener.local_addr().expect("bound").port();
    tell("send before", send(&capture, FRAME, SendFlags::empty()));
    let needed = Settings {
        sockets: vec![capture.as_fd().as_raw_fd(), other.as_raw_fd()],
        read: vec![readable.clone(), "/sys/devices".into(), "/nonexistent".into()],
        write: vec![writable.clone()],
        connect: vec![port],
        abstract_sockets: false,
    };
    let Confinement { level, notes } = confine(&needed);
    tell(LANDLOCK, if level == Level::Full { Ok(()) } else { Err(io::Error::other("a kernel without it")) });
    assert!(notes.iter().all(|note| note.contains("root") || note.contains("Landlock")), "{notes:?}");

    through(capture.as_fd(), &open);
    numbers(capture.as_fd(), other, open);
    others();
    files(&readable, &writable);
    network(port);
}

/// Descriptors that were open before the confinement.
struct Open {
    own_file: OwnedFd,
    namespace: OwnedFd,
    pipe: (OwnedFd, OwnedFd),
    unix: OwnedFd,
}

fn tell<T>(what: &str, came: Result<T, impl Into<io::Error>>) {
    let number = match came.map_err(Into::into) {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(-1),
    };
    println!("\ntried {what}: {number}");
}

/// Sending, in every way.
fn through(socket: BorrowedFd<'_>, open: &Open) {
    tell("send", send(socket, FRAME, SendFlags::empty()));
    let there = || send(socket, FRAME, SendFlags::empty());
    tell("send on another thread", std::thread::scope(|scope| scope.spawn(there).join().expect("no panic")));
    tell("write", rustix::io::write(socket, FRAME));
    tell("writev", rustix::io::writev(socket, &[IoSlice::new(FRAME)]));
    tell("pwrite", rustix::io::pwrite(socket, FRAME, 0));
    let (out, into) = &open.pipe;
    tell("splice", splice(out, None, socket, None, FRAME.len(), SpliceFlags::empty()));
    tell("tee", tee(out, into, FRAME.len(), SpliceFlags::empty()));
    tell("sendfile", rustix::fs::sendfile(socket, &open.own_file, None, 6));
    let mut nothing = SendAncillaryBuffer::default();
    tell("sendmsg", sendmsg(socket, &[IoSlice::new(FRAME)], &mut nothing, SendFlags::empty()));
    tell("setsockopt", set_socket_broadcast(socket, true));
}

/// The packet socket duplicated, or replaced by another file.
fn numbers(socket: BorrowedFd<'_>, mut other: OwnedFd, mut open: Open) {
    tell("dup", rustix::io::dup(socket));
    tell("dup2", rustix::io::dup2(socket, &mut open.own_file));
    tell("dup3", rustix::io::dup3(socket, &mut open.own_file, rustix::io::DupFlags::CLOEXEC));
    tell("dup2 onto it", rustix::io::dup2(&open.own_file, &mut other));
    tell("fcntl", socket.try_clone_to_owned());
    let mut nothing = RecvAncillaryBuffer::default();
    let mut byte = [0];
    let place = &mut [IoSliceMut::new(&mut byte)];
    tell("recvmsg", recvmsg(&open.unix, place, &mut nothing, RecvFlags::DONTWAIT));
    tell("namespace", move_into_link_name_space(open.namespace.as_fd(), Some(LinkNameSpaceType::Network)));
    // The library reports that it is closed; /proc shows that seccomp has kept it open.
    let number = other.as_raw_fd();
    drop(other);
    tell("close", fs::metadata(format!("/proc/self/fd/{number}")));
    tell("send after it was closed", send(socket, FRAME, SendFlags::empty()));
}

/// Other sockets, other programs, other processes.
fn others() {
    tell("packet socket", socket(AddressFamily::PACKET, SocketType::RAW, None));
    tell("raw socket", socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)));
    tell("pair of sockets", socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None));
    tell::<()>("exec", Err(Command::new("/bin/true").exec()));
    tell("spawn", Command::new("/bin/true").spawn());
    let parent = rustix::process::getppid().expect("somebody started it");
    tell("signal to another process", rustix::process::test_kill_process(parent));
    tell("thread", std::thread::Builder::new().spawn(|| ()).map(|thread| thread.join().expect("no panic")));
}

fn files(readable: &Path, writable: &Path) {
    tell("read elsewhere", File::open("/etc/passwd"));
    tell("write elsewhere", fs::write("/tmp/lockkeeper-was-here", "x"));
    tell("write what may be read", fs::write(readable.join("policy"), "x"));
    tell("read", fs::read(readable.join("policy")));
    let [new, status] = ["status.new", "status"].map(|name| writable.join(name));
    let in_turn = fs::write(&new, "x").and_then(|()| fs::rename(&new, &status)).and_then(|()| fs::read(&status));
    tell("write, rename, read and remove", in_turn.and_then(|_| fs::remove_file(&status)));
    tell("state of an interface", fs::read("/sys/class/net/span/flags"));
}

fn network(port: u16) {
    tell("connect", TcpStream::connect(("127.0.0.1", port)));
    tell("connect elsewhere", TcpStream::connect(("127.0.0.1", port ^ 1)));
    tell("listen", TcpListener::bind("127.0.0.1:0"));
    let asked = UdpSocket::bind("127.0.0.1:0").and_then(|asking| asking.send_to(b"?", ("127.0.0.1", 53)));
    tell("ask over UDP", asked);
}

/// A broadcast of an experimental protocol.
const FRAME: &[u8] =
    b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x88\xb5lockkeeper tries to send a frame of its own.......";
