//! Why a hub's model cannot be fetched or found.

use std::io;
use std::path::{Path, PathBuf};

use hf_hub::api::sync::ApiError;

use super::name::PREFIX;
use crate::source::SourceError;
use crate::source::error::nearest_hint;

/// Why a hub's model cannot be fetched or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A source that names no model of a hub.
    #[error(
        "{given:?} names no model of a hub: {problem}\n  hint: write {PREFIX}ORGANISATION/MODEL, and \
         @REVISION or /FILE.gguf behind it where it takes them"
    )]
    Name {
        /// The source as it was given.
        given: String,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// No environment variable says where the cache may be.
    #[error(
        "cannot tell where the Hugging Face cache is: none of HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME \
         and HOME is set\n  hint: set HF_HOME to a folder"
    )]
    NoCache,

    /// The hub's address is none.
    #[error(
        "HF_ENDPOINT is {found:?}, which is no address of a hub\n  hint: write it as in \
         https://huggingface.co, or leave it unset"
    )]
    Endpoint {
        /// The variable's value.
        found: String,
    },

    /// The token holds what no header can.
    #[error(
        "the token of the hub holds blanks or characters that no token has\n  hint: look at HF_TOKEN, \
         or at the file `token` in the folder HF_HOME"
    )]
    Token,

    /// hf-hub's client cannot be made.
    #[error("cannot make a client for the hub")]
    Client {
        /// Why.
        source: Box<ApiError>,
    },

    /// The hub may not be asked.
    #[error(
        "{model} is not in {}: {lacks}; and HF_HUB_OFFLINE forbids to download it\n  hint: run `ptune \
         fetch {model}` where there is a network, without HF_HUB_OFFLINE", cache.display()
    )]
    Offline {
        /// The model.
        model: String,
        /// The cache.
        cache: PathBuf,
        /// What is missing.
        lacks: String,
    },

    /// The hub cannot be reached.
    #[error(
        "cannot reach {address}\n  hint: check the network, HTTPS_PROXY, and HF_ENDPOINT if a mirror is \
         set there"
    )]
    NoNetwork {
        /// The address.
        address: String,
        /// What went wrong.
        source: Box<ureq::Error>,
    },

    /// The hub does not give this model to this person.
    #[error(
        "the hub refuses {model} ({status}){}\n  hint: {}", said(message),
        refusal_hint(*gated, *with_token, page)
    )]
    Refused {
        /// The model.
        model: String,
        /// The HTTP status.
        status: u16,
        /// What the hub said.
        message: String,
        /// Whether the model's licence has to be accepted.
        gated: bool,
        /// Whether a token was sent.
        with_token: bool,
        /// The model's page.
        page: String,
    },

    /// The hub does not have it.
    #[error("the hub has no {what} {name}{}\n  hint: look at {page}", said(message))]
    NotFound {
        /// Repository, revision or file.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What the hub said.
        message: String,
        /// The page to look at.
        page: String,
    },

    /// The hub answers with another failure.
    #[error("{address} answers with status {status}{}\n  hint: {}", said(message), status_hint(*status))]
    Status {
        /// The address.
        address: String,
        /// The HTTP status.
        status: u16,
        /// What the hub said.
        message: String,
    },

    /// The answer is not what a hub answers.
    #[error(
        "{address} does not answer as a hub does: expected {expected}, found {found}\n  hint: nothing \
         of it was used; look at HF_ENDPOINT, or try again later"
    )]
    Answer {
        /// The address.
        address: String,
        /// What a hub sends.
        expected: &'static str,
        /// What came.
        found: String,
    },

    /// The repository has no weights that can be read.
    #[error(
        "{model} has no weights that ptune reads; there are {files}\n  hint: it reads model.safetensors \
         or pytorch_model.bin, whole or in shards, and .gguf"
    )]
    NoWeights {
        /// The model.
        model: String,
        /// What there is.
        files: String,
    },

    /// The repository lacks a file that its weights need.
    #[error("{model} has weights but no {file}; there are {files}\n  hint: {hint}")]
    NoFile {
        /// The model.
        model: String,
        /// What is missing.
        file: &'static str,
        /// What there is.
        files: String,
        /// What to do.
        hint: &'static str,
    },

    /// The repository has several GGUF files.
    #[error("{model} has several GGUF files: {files}\n  hint: name one, as in {example}")]
    SeveralGguf {
        /// The model.
        model: String,
        /// The files.
        files: String,
        /// The source of one of them.
        example: String,
    },

    /// The repository does not have the GGUF that is asked for.
    #[error("{repository} has no {file}; its GGUF files are {files}{}", nearest_hint(nearest.as_deref()))]
    NoGguf {
        /// The repository.
        repository: String,
        /// The file.
        file: String,
        /// The GGUF files there are.
        files: String,
        /// The most similar of them.
        nearest: Option<String>,
    },

    /// The index of the weights names a file that the repository does not have.
    #[error("{index} of {model} names {shard:?}, which the repository does not have")]
    MissingShard {
        /// The model.
        model: String,
        /// The index.
        index: &'static str,
        /// The shard.
        shard: String,
    },

    /// The index of the weights cannot be read.
    #[error("cannot read the index of {model}")]
    Index {
        /// The model.
        model: String,
        /// Why.
        source: Box<SourceError>,
    },

    /// A file is larger or smaller than the hub says.
    #[error(
        "{file}: expected {expected} bytes, found {found}\n  hint: try again; nothing of it was used"
    )]
    WrongSize {
        /// The file.
        file: String,
        /// Bytes by the hub's listing.
        expected: u64,
        /// Bytes that came, or were announced.
        found: u64,
    },

    /// A file is not the one that the hub promised.
    #[error(
        "{file} has the wrong hash\n  expected SHA-256 {expected}\n  found    SHA-256 {found}\n  hint: {}",
        hash_hint(*resumed)
    )]
    WrongHash {
        /// The file.
        file: String,
        /// The hash by the hub.
        expected: String,
        /// The hash of what came.
        found: String,
        /// Whether a part of it came earlier.
        resumed: bool,
    },

    /// The connection broke off.
    #[error(
        "the connection broke off at {bytes} of {total} bytes of {file}\n  hint: run it again; it goes on \
         from there"
    )]
    Cut {
        /// The file.
        file: String,
        /// Bytes that are here.
        bytes: u64,
        /// Bytes of the whole file.
        total: u64,
        /// What went wrong, unless the server just ended.
        source: Option<io::Error>,
    },

    /// A branch's file in the cache names no commit.
    #[error(
        "{} should hold a commit and holds {found:?}\n  hint: remove it and run `ptune fetch {model}`",
        path.display()
    )]
    Reference {
        /// The model.
        model: String,
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
    },

    /// The disk is full.
    #[error(
        "the disk is full: {} could not be written\n  hint: free some space, or set HF_HOME to a folder on \
         another disk", path.display()
    )]
    DiskFull {
        /// Where it was being written.
        path: PathBuf,
    },

    /// Reading in the cache failed.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// Writing in the cache failed, for another reason than a full disk.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The fetch was cancelled.
    #[error("fetching was interrupted; what has come is kept for the next time")]
    Interrupted,
}

impl HubError {
    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Write { path, source },
        }
    }

    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_path_buf(), source }
    }

    pub(super) fn answer(address: &str, expected: &'static str, found: &str) -> Self {
        let (address, found) = (address.to_owned(), shortened(found));
        Self::Answer { address, expected, found }
    }
}

/// A server's words, for a line of a terminal: no control characters, and not for ever.
pub(super) fn shortened(text: &str) -> String {
    let mut plain: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    if plain.len() < text.len() {
        plain.push('…');
    }
    format!("{plain:?}")
}

/// File names in a line, the first dozen of them.
pub(super) fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let mut shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| name.chars().filter(|c| !c.is_control()).take(80).collect())
        .collect();
    if names.len() > SHOWN {
        shown.push(format!("and {} more", names.len() - SHOWN));
    }
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!("\n  hub: {message}") }
}

fn refusal_hint(gated: bool, with_token: bool, page: &str) -> String {
    match (gated, with_token) {
        (true, true) => format!("accept the model's licence on {page}, as the token's owner"),
        (true, false) => {
            format!("accept the model's licence on {page}, and set HF_TOKEN to a token of yours")
        }
        (false, true) => format!("look whether {page} exists and whether the token may read it"),
        (false, false) => {
            format!("look whether {page} exists; for a private or gated model set HF_TOKEN")
        }
    }
}

fn status_hint(status: u16) -> &'static str {
    match status {
        429 => "too much was asked for; wait a little, or set HF_TOKEN",
        500.. => "the hub has trouble; try again later",
        _ => "look at HF_ENDPOINT, or try again later",
    }
}

fn hash_hint(resumed: bool) -> &'static str {
    if resumed {
        "the part kept from an earlier try did not fit and was removed; run it again to fetch it whole"
    } else {
        "the download is damaged or was replaced; nothing was kept, try again"
    }
}
