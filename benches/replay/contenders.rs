//! The compared programs, with options to read the capture without output.

use std::fs;
use std::io;
use std::path::Path;

use crate::Arguments;
use crate::capture::replay_arguments;
use crate::files::Files;
use crate::generator::{PolicyKind, Speech};
use crate::process::{Contender, installed};
use crate::report::{ONE_WORKER, TWO_WORKERS, YARDSTICK};

/// Optional programs.
pub(crate) const PEERS: [&str; 3] = ["tshark", "ndpiReader", "suricata"];

/// All installed programs.
pub(crate) fn contenders(arguments: &Arguments, files: &Files, scratch: &Path) -> io::Result<Vec<Contender>> {
    let capture = files.capture.display().to_string();
    let foreign = |name: &str, command: &[&str]| {
        let command = command.iter().map(|part| part.replace("FILE", &capture)).collect();
        Contender { name: name.to_owned(), command, statuses: &[0] }
    };
    let mut all =
        vec![foreign("cat", &["cat", "FILE"]), foreign(YARDSTICK, &["tcpdump", "-r", "FILE", "-w", "/dev/null"])];
    all.extend(ours(&arguments.binary, files));
    for peer in &arguments.peers {
        match peer.as_str() {
            // One pass, one column: the least that makes tshark decode every PDU.
            "tshark" => {
                let speech = arguments.speech;
                let fields = ["-Y", speech.protocol(), "-T", "fields", "-e", function_field(speech)];
                all.push(foreign(peer, &[&["tshark", "-n", "-r", "FILE"], &fields[..]].concat()));
            }
            "suricata" => {
                for (name, outputs) in suricata(arguments.speech) {
                    let folder = suricata_folder(scratch, name, outputs)?;
                    let rest = ["--runmode", "single", "-k", "none", "-S", "/dev/null", "-l", &folder, "-r", "FILE"];
                    let configuration = format!("{folder}/suricata.yaml");
                    all.push(foreign(name, &[&["suricata", "-c", &configuration], &rest[..]].concat()));
                }
            }
            // ndpiReader recognises protocols without decoding them, which is less work.
            _ => all.push(foreign(peer, &["ndpiReader", "-q", "-i", "FILE"])),
        }
    }
    all.retain(|one| installed(&one.command[0]) || Path::new(&one.command[0]).is_file());
    Ok(all)
}

/// The rows of Lockkeeper. Rows without the name of a policy judge by the targets of operations and permit all.
pub(crate) fn ours(binary: &Path, files: &Files) -> Vec<Contender> {
    let row = |name: &str, kind: PolicyKind, rest: &[&str]| {
        let mut command = vec![binary.display().to_string()];
        command.extend(replay_arguments(files, kind));
        command.extend(rest.iter().map(|part| (*part).to_owned()));
        Contender { name: name.to_owned(), command, statuses: &[0, 1] }
    };
    let limited = PolicyKind::Limited;
    let mut rows = vec![
        row(ONE_WORKER, limited, &["--workers", "1"]),
        row(TWO_WORKERS, limited, &["--workers", "2"]),
        row("lockkeeper, 1 worker, transactions", limited, &["--workers", "1", "--transactions", "/dev/null"]),
        row("lockkeeper, 2 workers, transactions", limited, &["--workers", "2", "--transactions", "/dev/null"]),
    ];
    let others = PolicyKind::ALL.into_iter().filter(|kind| *kind != limited);
    rows.extend(others.map(|kind| row(&format!("{ONE_WORKER}, {}", policy_text(kind)), kind, &["--workers", "1"])));
    rows
}

/// The name of a kind of policy in the table.
fn policy_text(kind: PolicyKind) -> String {
    if kind == PolicyKind::None { "no policy".to_owned() } else { format!("all {}", kind.name()) }
}

/// A field of Wireshark that requires decoding every PDU.
fn function_field(speech: Speech) -> &'static str {
    match speech {
        Speech::ModbusTcp | Speech::ModbusRtu | Speech::Mix => "modbus.func_code",
        Speech::S7comm => "s7comm.param.func",
        Speech::OpcUa | Speech::OpcUaHistorian | Speech::OpcUaPanel => "opcua.servicenodeid.numeric",
    }
}

/// The rows of Suricata: without a log, and with one if it decodes the protocol.
fn suricata(speech: Speech) -> &'static [(&'static str, &'static str)] {
    match speech {
        Speech::ModbusTcp | Speech::ModbusRtu | Speech::Mix => &SURICATA,
        Speech::S7comm | Speech::OpcUa | Speech::OpcUaHistorian | Speech::OpcUaPanel => &SURICATA[..1],
    }
}

/// Folder of Suricata's configuration and log; the distribution's configuration is not read, so that only the logs named
/// here are written.
fn suricata_folder(scratch: &Path, name: &str, outputs: &str) -> io::Result<String> {
    let folder = scratch.join(name.replace([',', ' '], ""));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("suricata.yaml"), format!("{SURICATA_YAML}{outputs}"))?;
    Ok(folder.display().to_string())
}

/// Suricata without a log, and with a record for each transaction like `lockkeeper --transactions`.
const SURICATA: [(&str, &str); 2] = [
    ("suricata, no log", "outputs: []\n"),
    (
        "suricata, modbus log",
        "outputs:\n  - eve-log:\n      enabled: yes\n      filetype: regular\n      filename: /dev/null\n      types: [modbus]\n",
    ),
];

/// Enables the decoder of Modbus, which is off by default.
const SURICATA_YAML: &str = "%YAML 1.1
---
stats:
  enabled: no
app-layer:
  protocols:
    modbus:
      enabled: yes
      detection-ports:
        dp: 502
";
