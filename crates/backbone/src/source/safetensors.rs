//! Tensors of safetensors files.
//!
//! The `safetensors` crate checks a header: its length against the file, every offset against the
//! next, every size against shape and type.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ::safetensors::SafeTensors;
use ::safetensors::tensor::{Dtype as Stored, Metadata, TensorInfo};

use kernels::frozen::Values;

use super::mapped::Mapped;
use super::{Dtype, SourceError, Weights, dequantise};

/// Bytes before the header: its length.
const LENGTH_BYTES: usize = 8;

/// The weights of one model, in one file or several.
pub(super) struct SafetensorsWeights {
    path: PathBuf,
    shards: Vec<Shard>,
    names: Vec<String>,
    shard_of: HashMap<String, usize>,
}

struct Shard {
    file: Mapped,
    data_start: usize,
    metadata: Metadata,
}

/// A tensor's bytes and how to read them.
struct StoredTensor<'a> {
    path: &'a Path,
    dtype: Dtype,
    elements: usize,
    row_len: usize,
    bytes: &'a [u8],
}

impl Shard {
    fn open(path: &Path) -> Result<Self, SourceError> {
        let file = Mapped::open(path)?;
        let (header, metadata) = SafeTensors::read_metadata(&file)
            .map_err(|source| SourceError::Safetensors { path: path.to_path_buf(), source })?;
        Ok(Self { data_start: LENGTH_BYTES + header, metadata, file })
    }
}

impl SafetensorsWeights {
    /// Opens a model in one file.
    pub(super) fn open(path: &Path) -> Result<Self, SourceError> {
        Self::open_shards(path, &[path.to_path_buf()])
    }

    /// Opens a model in several files; errors about the whole name `path`.
    pub(super) fn open_shards(path: &Path, files: &[PathBuf]) -> Result<Self, SourceError> {
        let shards = files.iter().map(|file| Shard::open(file)).collect::<Result<Vec<_>, _>>()?;
        let (mut names, mut shard_of) = (Vec::new(), HashMap::new());
        for (index, shard) in shards.iter().enumerate() {
            for name in shard.metadata.offset_keys() {
                if let Some(first) = shard_of.insert(name.clone(), index) {
                    return Err(SourceError::DuplicateTensor {
                        name,
                        first: shards[first].file.path().to_path_buf(),
                        second: shard.file.path().to_path_buf(),
                    });
                }
                names.push(name);
            }
        }
        Ok(Self { path: path.to_path_buf(), shards, names, shard_of })
    }

    /// The headers' bytes, file by file.
    pub(super) fn headers(&self) -> impl Iterator<Item = &[u8]> {
        self.shards.iter().map(|shard| &shard.file[..shard.data_start])
    }

    fn get(&self, name: &str) -> Option<(&Shard, &TensorInfo)> {
        let shard = &self.shards[*self.shard_of.get(name)?];
        Some((shard, shard.metadata.info(name)?))
    }

    fn stored(&self, name: &str) -> Result<StoredTensor<'_>, SourceError> {
        let (shard, info) = self.get(name).ok_or_else(|| self.missing(name))?;
        let dtype = readable(info.dtype).ok_or_else(|| SourceError::UnsupportedDtype {
            path: shard.file.path().to_path_buf(),
            name: name.to_owned(),
            dtype: format!("{:?}", info.dtype),
        })?;
        let (start, end) = info.data_offsets;
        Ok(StoredTensor {
            path: shard.file.path(),
            dtype,
            elements: info.shape.iter().product(),
            // These types have no blocks, so rows may be cut anywhere; a scalar is one of one.
            row_len: info.shape.last().copied().unwrap_or(1),
            bytes: &shard.file[shard.data_start + start..shard.data_start + end],
        })
    }
}

impl Weights for SafetensorsWeights {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.get(name).map(|(_, info)| info.shape.clone())
    }

    fn dtype(&self, name: &str) -> Option<Dtype> {
        self.get(name).and_then(|(_, info)| readable(info.dtype))
    }

    fn read_f32(&self, name: &str, out: &mut [f32]) -> Result<(), SourceError> {
        let stored = self.stored(name)?;
        SourceError::check_length(stored.path, name, stored.elements, out.len())?;
        dequantise::rows(stored.dtype, stored.bytes, stored.row_len, out, |row| row);
        Ok(())
    }

    fn read_values(&self, name: &str) -> Result<Values, SourceError> {
        let stored = self.stored(name)?;
        Ok(dequantise::values(stored.dtype, stored.bytes, stored.row_len, |row| row))
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

fn readable(dtype: Stored) -> Option<Dtype> {
    match dtype {
        Stored::F32 => Some(Dtype::F32),
        Stored::F16 => Some(Dtype::F16),
        Stored::BF16 => Some(Dtype::BF16),
        _ => None,
    }
}
