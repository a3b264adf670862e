//! A file on its way: it grows, goes on where an earlier try stopped, and appears when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::HubError;
use crate::source::identity::hex;

/// Bytes read at once.
pub(super) const CHUNK: usize = 1 << 16;

/// The beginning of a file, with its hash.
pub(super) struct Part {
    path: PathBuf,
    file: File,
    bytes: u64,
    hash: Sha256,
    resumed: bool,
}

impl Part {
    /// Opens what an earlier try has left at `path`, or an empty part.
    pub fn open(path: &Path) -> Result<Self, HubError> {
        let failed = |error| HubError::write(path, error);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        Ok(Self { path: path.to_path_buf(), file, bytes, hash: Sha256::new(), resumed: bytes > 0 })
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether some of them came in an earlier try.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Hashes what is there already; `each` is told how far it is and may stop it.
    pub fn rehash(
        &mut self,
        mut each: impl FnMut(u64) -> Result<(), HubError>,
    ) -> Result<(), HubError> {
        let failed = |error| HubError::read(&self.path, error);
        let mut buffer = vec![0; CHUNK];
        let mut hash = Sha256::new();
        let mut bytes = 0;
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        while bytes < self.bytes {
            let read = self.file.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            bytes += read as u64;
            each(bytes)?;
        }
        (self.hash, self.bytes) = (hash, bytes);
        Ok(())
    }

    /// Begins anew.
    pub fn clear(&mut self) -> Result<(), HubError> {
        self.file.set_len(0).map_err(|error| HubError::write(&self.path, error))?;
        (self.bytes, self.resumed, self.hash) = (0, false, Sha256::new());
        Ok(())
    }

    /// Writes behind what is there.
    pub fn append(&mut self, content: &[u8]) -> Result<(), HubError> {
        let failed = |error| HubError::write(&self.path, error);
        self.file.seek(SeekFrom::Start(self.bytes)).map_err(failed)?;
        self.file.write_all(content).map_err(failed)?;
        self.hash.update(content);
        self.bytes += content.len() as u64;
        Ok(())
    }

    /// SHA-256 of what is there, 64 hexadecimal digits.
    pub fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    /// Throws it away.
    pub fn remove(self) -> Result<(), HubError> {
        fs::remove_file(&self.path).map_err(|error| HubError::write(&self.path, error))
    }

    /// Gives the whole file its name, once it is on the disk.
    pub fn finish(self, name: &Path) -> Result<(), HubError> {
        self.file.sync_all().map_err(|error| HubError::write(&self.path, error))?;
        drop(self.file);
        fs::rename(&self.path, name).map_err(|error| HubError::write(name, error))
    }
}
