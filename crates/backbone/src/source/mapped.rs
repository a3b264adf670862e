//! Files as memory: the one place of this crate that needs `unsafe` to read one.

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::SourceError;

/// A file mapped into memory, read-only.
///
/// The bytes are those of the file for as long as nobody shortens it: a file truncated while it is
/// mapped ends the process with SIGBUS on access, which no check beforehand can rule out. Backbones
/// are put in place whole and by renaming (see [`super::fetch`]), which leaves an existing map as it
/// was.
pub(crate) struct Mapped {
    path: PathBuf,
    map: Mmap,
}

impl Mapped {
    /// Maps a file.
    ///
    /// # Errors
    /// [`SourceError::Read`], or [`SourceError::NotAFile`] for a folder or a device.
    pub(crate) fn open(path: &Path) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Read { path: path.to_path_buf(), source };
        let file = File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(SourceError::NotAFile { path: path.to_path_buf() });
        }
        // SAFETY: the map is private to this type, read-only, and handed out as `&[u8]`, for which
        // every bit pattern is valid. That another process may write to the file meanwhile is the
        // risk every memory-mapped reader accepts; it can change numbers, not memory safety of
        // lengths, which are taken from the map itself.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Ok(Self { path: path.to_path_buf(), map })
    }

    /// The file's path, as given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}
