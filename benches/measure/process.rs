//! Runs whole processes and measures their time and memory.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One program of the comparison.
pub(crate) struct Contender {
    /// Its name in the table.
    pub(crate) name: String,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// Expected exit statuses.
    pub(crate) statuses: &'static [i32],
}

/// Times of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Processor seconds of all its threads, in user and kernel.
    pub(crate) cpu: f64,
}

/// The folder for the output of the runs.
pub(crate) struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// Uses this folder for output; creates it if needed.
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Runs once. The shell's `time` asks the kernel, which counts processor time in microseconds; it prints milliseconds.
    pub(crate) fn run(&self, contender: &Contender) -> io::Result<Sample> {
        let times = self.folder.join("times");
        let script = r#"TIMEFORMAT='%R %U %S'; out=$1; shift; { time "$@" >/dev/null 2>"$out.stderr"; } 2>"$out""#;
        let mut shell = Command::new("bash");
        shell.args(["-c", script, "bash"]).arg(&times).args(&contender.command);
        self.finish(contender, shell)?;
        parse_times(&fs::read_to_string(times)?).ok_or_else(|| io::Error::other("the shell's `time` printed nothing"))
    }

    /// Peak memory of one more run, KiB; `None` if GNU time is not installed.
    pub(crate) fn peak_memory(&self, contender: &Contender) -> io::Result<Option<u64>> {
        const GNU_TIME: &str = "/usr/bin/time";
        if !Path::new(GNU_TIME).exists() {
            return Ok(None);
        }
        let peak = self.folder.join("times");
        let mut time = Command::new(GNU_TIME);
        time.args(["-q", "-f", "%M", "-o"]).arg(&peak).args(&contender.command);
        time.stdout(Stdio::null()).stderr(File::create(self.stderr())?);
        self.finish(contender, time)?;
        Ok(fs::read_to_string(peak)?.trim().parse().ok())
    }

    fn finish(&self, contender: &Contender, mut command: Command) -> io::Result<()> {
        let status = command.stdin(Stdio::null()).status()?;
        if status.code().is_some_and(|code| contender.statuses.contains(&code)) {
            return Ok(());
        }
        let said = fs::read_to_string(self.stderr()).unwrap_or_default();
        Err(io::Error::other(format!("{} ended with {status}:\n{said}", contender.name)))
    }

    fn stderr(&self) -> PathBuf {
        self.folder.join("times.stderr")
    }
}

fn parse_times(text: &str) -> Option<Sample> {
    let mut seconds = text.lines().last()?.split(' ').map(|number| number.parse::<f64>().ok());
    let (wall, user, system) = (seconds.next()??, seconds.next()??, seconds.next()??);
    Some(Sample { wall, cpu: user + system })
}

/// Whether a program can be started.
pub(crate) fn installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}
