//! Identifies files that are no captures, with advice on what to do about them.

use std::path::Path;

/// What to do about a file.
#[derive(Clone, Copy)]
enum Advice {
    /// It holds no packets.
    GiveCapture,
    /// It holds packets in a format that Wireshark's tools convert.
    Convert,
    /// It may contain a capture; unpack it with this command.
    Unpack(&'static str),
}

/// A file format recognised by bytes at a fixed offset.
struct Signature {
    offset: usize,
    magic: &'static [u8],
    name: &'static str,
    advice: Advice,
}

/// Describes a file by its first bytes or, if these do not identify it, by its extension, and gives advice.
pub(super) fn describe(head: &[u8], path: &Path) -> String {
    if head.is_empty() {
        return "it is empty".to_owned();
    }
    if let Some(known) = SIGNATURES.iter().find(|signature| signature.matches(head)) {
        return format!("it is {}{}", known.name, known.advice.text());
    }
    if let Some(text) = as_text(head) {
        return describe_text(text);
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("etl") => {
            "it may be a Windows event trace (.etl); convert it with: etl2pcapng IN.etl OUT.pcapng".to_owned()
        }
        Some("erf") => format!("it may be an Endace ERF capture{}", Advice::Convert.text()),
        _ => format!("it begins with the bytes {}, which no capture format does{GIVE_CAPTURE}", hex(head)),
    }
}

impl Signature {
    fn matches(&self, head: &[u8]) -> bool {
        head.get(self.offset..).is_some_and(|rest| rest.starts_with(self.magic))
    }
}

impl Advice {
    /// The advice as the end of a message.
    fn text(self) -> String {
        match self {
            Self::GiveCapture => GIVE_CAPTURE.to_owned(),
            Self::Convert => "; convert it with: editcap -F pcapng IN OUT.pcapng".to_owned(),
            Self::Unpack(command) => format!("; unpack it first: {command}"),
        }
    }
}

/// The head as text, if it is text; a character that is cut at its end is left out.
fn as_text(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?,
        Err(_) => return None,
    };
    let printable = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{c}');
    (!text.is_empty() && text.chars().all(printable)).then_some(text)
}

/// Describes a text file by its first characters.
fn describe_text(text: &str) -> String {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let lower = start.get(..64.min(start.len())).unwrap_or(start).to_ascii_lowercase();
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        return format!("it is an HTML page, perhaps of a download that needs a login{GIVE_CAPTURE}");
    }
    if start.starts_with('<') {
        return format!("it is XML text{GIVE_CAPTURE}");
    }
    if start.starts_with("version https://git-lfs.github.com/") {
        return "it is a Git LFS pointer; fetch the file itself with: git lfs pull".to_owned();
    }
    if is_toml(start) {
        return "it is TOML text; a policy is given with --policy FILE".to_owned();
    }
    if start.starts_with(['{', '[']) {
        return format!("it is JSON text{GIVE_CAPTURE}");
    }
    "it is text; what tcpdump or tshark print cannot be read back, record packets with: tcpdump -w OUT.pcap".to_owned()
}

/// Whether the first line, comments excluded, is a `[table]` or a `key = value`.
fn is_toml(text: &str) -> bool {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    let word = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "-_.\" ".contains(c));
    let table = line.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name.trim_matches('['));
    let key = line.split_once('=').map(|(name, _)| name.trim());
    table.is_some_and(|name| word(name) && !name.starts_with(|c: char| c.is_numeric() || c == '"'))
        || key.is_some_and(word)
}

/// The first eight bytes in hexadecimal.
fn hex(head: &[u8]) -> String {
    let bytes: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

const GIVE_CAPTURE: &str = "; give a pcap or pcapng file, plain or packed with gzip or zstd";

const fn other(offset: usize, magic: &'static [u8], name: &'static str) -> Signature {
    Signature { offset, magic, name, advice: Advice::GiveCapture }
}

const fn capture(magic: &'static [u8], name: &'static str) -> Signature {
    Signature { offset: 0, magic, name, advice: Advice::Convert }
}

const fn packed(offset: usize, magic: &'static [u8], name: &'static str, command: &'static str) -> Signature {
    Signature { offset, magic, name, advice: Advice::Unpack(command) }
}

/// Formats that are mistaken for captures, or found in the same folder.
const SIGNATURES: &[Signature] = &[
    capture(b"snoop\0\0\0", "a Solaris snoop capture"),
    capture(b"btsnoop\0", "a Bluetooth btsnoop capture"),
    capture(b"RTSS", "a Microsoft Network Monitor 1 capture"),
    capture(b"GMBU", "a Microsoft Network Monitor 2 capture"),
    capture(b"TRSNIFF data    \x1a", "a Sniffer capture"),
    capture(b"XCP\0", "a NetXRay or Windows Sniffer capture"),
    capture(b"iptrace 1.0", "an AIX iptrace capture"),
    capture(b"iptrace 2.0", "an AIX iptrace capture"),
    capture(b"\x05VNF", "a Visual Networks capture"),
    capture(b"\xaa\xaa\xaa\xaa", "a 5Views capture"),
    capture(b"\x00\x00\x02\x00\x12\x05\x00\x10", "a Tektronix K12 capture"),
    capture(b"\x7fver", "a WildPackets OmniPeek capture"),
    other(0, b"\xff\xd8\xff", "a JPEG image"),
    other(0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    other(0, b"GIF8", "a GIF image"),
    other(8, b"WEBP", "a WebP image"),
    other(0, b"%PDF", "a PDF document"),
    other(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a Microsoft Office document"),
    other(0, b"SQLite format 3\0", "an SQLite database"),
    other(0, b"\x7fELF", "an ELF program"),
    other(0, b"MZ", "a Windows program"),
    packed(0, b"PK\x03\x04", "a ZIP archive", "unzip FILE"),
    packed(0, b"Rar!\x1a\x07", "a RAR archive", "unrar x FILE"),
    packed(0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "7z x FILE"),
    packed(0, b"\xfd7zXZ\0", "packed with xz", "xz -dk FILE"),
    packed(0, b"BZh", "packed with bzip2", "bzip2 -dk FILE"),
    packed(0, b"\x04\x22\x4d\x18", "packed with lz4", "lz4 -dk FILE"),
    packed(257, b"ustar", "a tar archive", "tar -xf FILE"),
    packed(0, b"\x1f\x8b", "packed with gzip twice, or damaged", "gzip -dk FILE"),
    packed(0, b"\x28\xb5\x2f\xfd", "packed with zstd twice", "zstd -dk FILE"),
];
