//! Whole files or none: temporary name, flush, rename.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;

use burn::tensor::{DType, TensorData};
use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use super::CheckpointError;

/// How the name of a file begins that is being written.
const PREFIX: &str = ".ptune-";

/// Writes a file so that a reader sees the old one or the new one, never a part.
///
/// # Errors
/// Whatever the file system says; the old file is then untouched.
pub fn atomically(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut file =
            tempfile::Builder::new().prefix(PREFIX).suffix(".part").tempfile_in(folder)?;
        file.write_all(bytes)?;
        // Temporary files are private by default; results are as readable as any other file.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.as_file().sync_all()?;
        file.persist(path)?;
        // The rename itself is durable once the folder is.
        #[cfg(unix)]
        std::fs::File::open(folder)?.sync_all()?;
        Ok(())
    };
    write().map_err(|source| CheckpointError::Write { file: path.to_owned(), source })
}

/// Whether a file of this name is one that [`atomically`] has not finished.
pub fn is_being_written(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(PREFIX)
}

/// Writes f32 and u32 tensors and text metadata as safetensors.
///
/// # Errors
/// As [`atomically`].
pub fn write_tensors(
    path: &Path,
    tensors: &BTreeMap<String, TensorData>,
    metadata: BTreeMap<String, String>,
) -> Result<(), CheckpointError> {
    let container = |source| CheckpointError::Container { file: path.to_owned(), source };
    let mut views = Vec::with_capacity(tensors.len());
    for (name, data) in tensors {
        let dtype = match data.dtype() {
            DType::F32 => Dtype::F32,
            DType::U32 => Dtype::U32,
            other => {
                return Err(CheckpointError::DType {
                    file: path.to_owned(),
                    name: name.clone(),
                    found: format!("{other:?}"),
                });
            }
        };
        let view =
            TensorView::new(dtype, data.shape().to_vec(), data.as_bytes()).map_err(container)?;
        views.push((name.as_str(), view));
    }
    let metadata: HashMap<String, String> = metadata.into_iter().collect();
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(container)?;
    let bytes = with_sorted_metadata(bytes)
        .map_err(|source| CheckpointError::Metadata { file: path.to_owned(), source })?;
    atomically(path, &bytes)
}

/// The same file with its metadata in the order of the keys: the library's order is random, and one
/// run should give the same bytes as another.
fn with_sorted_metadata(bytes: Vec<u8>) -> Result<Vec<u8>, serde_json::Error> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return Ok(bytes) };
    let (header, tensors) = rest.split_at((u64::from_le_bytes(*length) as usize).min(rest.len()));
    let mut header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(header)?;
    if let Some(serde_json::Value::Object(metadata)) = header.get_mut("__metadata__") {
        metadata.sort_keys();
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut sorted = (header.len() as u64).to_le_bytes().to_vec();
    sorted.extend(header);
    sorted.extend(tensors);
    Ok(sorted)
}

/// Tensors and text metadata of a safetensors file.
pub type Tensors = (BTreeMap<String, TensorData>, BTreeMap<String, String>);

/// Reads what [`write_tensors`] writes.
///
/// # Errors
/// A file that is missing, cut short, or holds other types.
pub fn read_tensors(path: &Path) -> Result<Tensors, CheckpointError> {
    let bytes = std::fs::read(path)
        .map_err(|source| CheckpointError::Read { file: path.to_owned(), source })?;
    let container = |source| CheckpointError::Container { file: path.to_owned(), source };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(container)?;
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let file = SafeTensors::deserialize(&bytes).map_err(container)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let words = view.data().as_chunks::<4>().0.iter();
        let shape = view.shape().to_vec();
        let data = match view.dtype() {
            Dtype::F32 => {
                TensorData::new(words.map(|w| f32::from_le_bytes(*w)).collect::<Vec<_>>(), shape)
            }
            Dtype::U32 => {
                TensorData::new(words.map(|w| u32::from_le_bytes(*w)).collect::<Vec<_>>(), shape)
            }
            other => {
                return Err(CheckpointError::DType {
                    file: path.to_owned(),
                    name,
                    found: format!("{other:?}"),
                });
            }
        };
        tensors.insert(name, data);
    }
    Ok((tensors, metadata))
}

/// Longest header that is read, as in the safetensors library.
const LONGEST_HEADER: u64 = 100_000_000;

/// Reads the text metadata of what [`write_tensors`] writes, without its tensors.
///
/// # Errors
/// A file that is missing or cut short.
pub(super) fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>, CheckpointError> {
    let read = |source| CheckpointError::Read { file: path.to_owned(), source };
    let container = |source| CheckpointError::Container { file: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(read)?;
    let size = file.metadata().map_err(read)?.len();
    let mut length = [0; 8];
    if size < 8 {
        return Err(container(SafeTensorError::HeaderTooSmall));
    }
    file.read_exact(&mut length).map_err(read)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER || 8 + length > size {
        return Err(container(SafeTensorError::InvalidHeaderLength));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(read)?;
    let header: Metadata = serde_json::from_slice(&header)
        .map_err(|source| container(SafeTensorError::InvalidHeaderDeserialization(source)))?;
    if 8 + length + header.data_len() as u64 != size {
        return Err(container(SafeTensorError::MetadataIncompleteBuffer));
    }
    Ok(header.metadata().clone().unwrap_or_default().into_iter().collect())
}
