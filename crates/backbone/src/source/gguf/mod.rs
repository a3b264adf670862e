//! GGUF, the file format of llama.cpp: everything a model needs in one file.
//!
//! A file is a header (metadata, then names, types, shapes and offsets of tensors), padding, and
//! the tensors' bytes. The format is laid down in ggml's `docs/gguf.md`; versions 2 and 3 are read,
//! little-endian.
//!
//! | file | does |
//! |---|---|
//! | `cursor` | bounded reads that know their byte offset |
//! | `value` | metadata values, borrowed from the file |
//! | `header` | the whole header, checked against the file's size |
//! | `architecture` | what llama.cpp calls things → what Hugging Face calls them, one entry a family |
//! | `config` | metadata → the keys of `config.json` |
//! | `vocabulary` | metadata → a tokenizer |
//! | `weights` | tensors, rows put back in Hugging Face's order |

mod architecture;
mod config;
mod cursor;
mod header;
mod value;
mod vocabulary;
mod weights;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use config::ArchitectureError;
pub use cursor::{GgufError, GgufProblem};
pub use header::{Header, TensorInfo};
pub use value::{Array, Metadata, Value};
pub(super) use vocabulary::{QWEN2, joins, pre_tokenizer};
pub use vocabulary::{Splitting, splitting};

use super::identity::sha256_of_parts;
use super::mapped::Mapped;
use super::{Identity, Source, SourceError};

/// The four bytes every GGUF starts with.
const MAGIC: [u8; 4] = *b"GGUF";

/// Opens a GGUF file.
///
/// # Errors
/// [`SourceError::Gguf`] with the byte where the header goes wrong, [`SourceError::Architecture`]
/// for a model that llama.cpp knows and this crate does not, [`SourceError::Tokenizer`].
pub fn open(path: &Path) -> Result<Source, SourceError> {
    let file = Mapped::open(path)?;
    let header = Header::parse(&file)
        .map_err(|source| SourceError::Gguf { path: path.to_path_buf(), source })?;
    let unusable = |source| SourceError::Architecture { path: path.to_path_buf(), source };
    let architecture = config::architecture(&header).map_err(unusable)?;
    let config = config::config(&header, architecture).map_err(unusable)?;
    let tokenizer = vocabulary::tokenizer(&header.metadata)
        .map_err(|source| SourceError::Tokenizer { path: path.to_path_buf(), source })?;
    let identity = Identity {
        family: architecture.model_type.to_owned(),
        file: path.file_name().unwrap_or(path.as_os_str()).into(),
        sha256: sha256_of_parts([&file[..header.data_start]]),
    };
    let tensors = header.tensors;
    let heads = config::heads(&config);
    let weights = weights::GgufWeights::new(file, tensors, architecture, heads)?;
    let config_file = path.to_path_buf();
    Ok(Source { config, config_file, weights: Box::new(weights), tokenizer, identity })
}

/// Whether a file starts as a GGUF does; `false` where it cannot be read.
pub(super) fn has_magic(path: &Path) -> bool {
    let mut start = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == MAGIC
}
