//! The files, folders and addresses that a running sensor opens, for its confinement. Anything that a running sensor is to
//! open must be added here, or to the [`Access`] of its sink; what is open before confinement (outputs, interfaces, keys,
//! passwords) need not be.

use std::env;
use std::fs;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Watch;
use crate::publish::sink::{Access, SinkSetup};
use crate::sensor::confine;

impl Watch {
    /// The needs beside these packet sockets, of the sensor and of these sinks; `None`: the sensor is not confined.
    pub fn needs(&self, sockets: Vec<RawFd>, sinks: &[Box<dyn SinkSetup>]) -> Option<confine::Settings> {
        let sinks: Vec<Access> = sinks.iter().map(|sink| sink.access()).collect();
        let resolves = sinks.iter().any(|sink| sink.resolves);
        let names_over_tcp = resolves.then_some(DNS);
        let manager = env::var_os("NOTIFY_SOCKET").unwrap_or_default();
        self.confine.then(|| confine::Settings {
            sockets,
            read: self.read(resolves).into_iter().chain(sinks.iter().flat_map(|sink| sink.read.clone())).collect(),
            write: self.written().into_iter().chain(sinks.iter().flat_map(|sink| sink.write.clone())).collect(),
            connect: sinks.iter().flat_map(|sink| sink.connect.clone()).chain(names_over_tcp).collect(),
            abstract_sockets: manager.as_bytes().starts_with(b"@"),
        })
    }

    /// Files and folders to read, folders with all their contents.
    fn read(&self, resolves: bool) -> Vec<PathBuf> {
        let mut places = vec![PathBuf::from(INTERFACES)];
        if let Some(policy) = &self.policy {
            // A changed policy may be another file of the same name, or the target of a link.
            places.push(folder(policy));
            places.extend(fs::canonicalize(policy).ok().as_deref().map(folder));
        }
        if resolves {
            places.extend(RESOLVER.iter().map(PathBuf::from));
            places.extend(fs::canonicalize(RESOLVED_BY).ok().as_deref().map(folder));
        }
        places
    }

    /// Folders in which files are created, renamed and removed.
    fn written(&self) -> Vec<PathBuf> {
        self.status_file.iter().map(|file| folder(file)).chain(self.folders_written()).collect()
    }
}

/// The folder of a file.
fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder.as_os_str().is_empty() => PathBuf::from("."),
        Some(folder) => folder.to_owned(),
        None => file.to_owned(),
    }
}

/// The state of interfaces; `/sys/class/net` consists of links to it.
const INTERFACES: &str = "/sys/devices";

/// Files that the C library reads to resolve a name: its settings, which may be replaced while the sensor runs, and libraries
/// for other resolvers.
const RESOLVER: [&str; 5] = ["/etc", "/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// Often a link to a file that a network manager rewrites.
const RESOLVED_BY: &str = "/etc/resolv.conf";

/// Port of name servers; long answers come over TCP.
const DNS: u16 = 53;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::policy::Policy;

    /// The needs of a sensor with these options.
    fn needs(more: &[&str]) -> Option<confine::Settings> {
        let typed = Cli::parse_from([&["lockkeeper", "watch", "-i", "span"], more].concat());
        let Command::Watch(typed) = typed.command else { return None };
        let asked = crate::config::watch(&typed).expect("no file").expect("sound");
        let settings = asked.pipeline(&Policy::permissive()).expect("sound");
        asked.needs(vec![7], &asked.sinks(&settings).expect("sound"))
    }

    #[test]
    fn without_policy_and_outputs_only_interfaces_are_read() {
        let expected =
            confine::Settings { sockets: vec![7], read: vec![INTERFACES.into()], ..confine::Settings::default() };
        assert_eq!(needs(&[]), Some(expected));
        assert_eq!(needs(&["--no-confine"]), None);
    }

    #[test]
    fn a_policy_is_read_from_its_folder_and_from_where_a_link_leads_to() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (there, link) = (folder.path().join("there/plant.toml"), folder.path().join("plant.toml"));
        fs::create_dir(folder.path().join("there")).and_then(|()| fs::write(&there, "")).expect("written");
        std::os::unix::fs::symlink(&there, &link).expect("linked");
        let read = needs(&["-p", link.to_str().expect("UTF-8")]).expect("confined").read;
        let real = folder.path().canonicalize().expect("it is there");
        assert_eq!(read[1..], [folder.path().to_owned(), real.join("there")]);
        assert_eq!(folder_of_a_bare_name(), Path::new("."));
    }

    fn folder_of_a_bare_name() -> PathBuf {
        folder(Path::new("plant.toml"))
    }

    #[test]
    fn only_a_broker_that_is_known_by_name_needs_a_resolver() {
        let by_address = needs(&["-m", "mqtt://[::1]:2883"]).expect("confined");
        assert_eq!((by_address.connect, by_address.read.len()), (vec![2883], 1));
        let by_name = needs(&["-m", "mqtt://soc-broker", "--status-file", "/run/l/status.json"]).expect("confined");
        assert_eq!(by_name.connect, [1883, DNS]);
        assert!(by_name.read.contains(&"/etc".into()), "{:?}", by_name.read);
        assert_eq!(by_name.write, [PathBuf::from("/run/l")]);
    }
}
