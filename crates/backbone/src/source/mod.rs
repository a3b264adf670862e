//! Where a backbone comes from: a Hugging Face folder or a GGUF file, seen alike.
//!
//! [`open`] answers with a [`Source`]: a configuration under `config.json`'s keys, weights under
//! Hugging Face's names in PyTorch's layout, and a tokenizer. A family is written once, against
//! those; what GGUF calls things and how llama.cpp orders rows ends in [`gguf`].
//!
//! Opening is cheap: files are memory-mapped, headers are checked, and no weight is touched before
//! [`Weights::read_f32`] asks for it.

mod blocks;
mod dequantise;
mod dtype;
mod error;
pub mod fetch;
pub mod gguf;
mod hf_dir;
mod hf_tokenizer;
mod identity;
mod mapped;
pub mod model_card;
mod names;
mod pytorch;
pub(crate) mod redrawn;
mod rounded;
mod safetensors;

use std::path::{Path, PathBuf};

use kernels::frozen::Values;
use serde_json::{Map, Value};

pub use dtype::Dtype;
pub use error::SourceError;
pub(crate) use error::{nearest, nearest_hint};
pub use hf_tokenizer::TokenizerKind;
pub(crate) use hf_tokenizer::check_charsmaps;
pub use identity::{Identity, hex};
pub(crate) use names::resolve;
pub(crate) use rounded::{Rounded, round};

use crate::tokenizer::Tokenizer;

/// A backbone's files, opened and checked, with no weight read yet.
pub struct Source {
    /// The keys of Hugging Face's `config.json`, also when the file was a GGUF.
    pub config: Map<String, Value>,
    /// The file that the configuration was read from, for errors.
    pub config_file: PathBuf,
    /// The weights, by Hugging Face's names.
    pub weights: Box<dyn Weights>,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// What tells this backbone from every other.
    pub identity: Identity,
}

/// Named tensors of a backbone, read one at a time.
///
/// Names are Hugging Face's (`model.layers.0.self_attn.q_proj.weight`), shapes and layouts are
/// PyTorch's: row-major, a linear layer's weight is `[out, in]`.
pub trait Weights: Send + Sync {
    /// Names of all tensors, in the order of the file.
    fn names(&self) -> Vec<String>;

    /// Shape of a tensor, or `None` where there is no such tensor.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// How a tensor is stored, or `None` where there is no such tensor or its type is not one that
    /// can be read.
    fn dtype(&self, name: &str) -> Option<Dtype>;

    /// Writes a tensor as f32 into `out`, on all cores.
    ///
    /// # Errors
    /// [`SourceError::MissingTensor`] with the nearest name, [`SourceError::WrongLength`] where
    /// `out` is not as long as the tensor, [`SourceError::UnsupportedDtype`].
    fn read_f32(&self, name: &str, out: &mut [f32]) -> Result<(), SourceError>;

    /// Reads a matrix as it is stored, in PyTorch's layout.
    ///
    /// # Errors
    /// [`SourceError::MissingTensor`] with the nearest name, [`SourceError::UnsupportedDtype`].
    fn read_values(&self, name: &str) -> Result<Values, SourceError>;

    /// The file, or the folder of the files, that errors name.
    fn path(&self) -> &Path;

    /// Reads a tensor into a new vector.
    ///
    /// # Errors
    /// As [`read_f32`](Self::read_f32).
    fn read_vec(&self, name: &str) -> Result<Vec<f32>, SourceError> {
        let shape = self.shape(name).ok_or_else(|| self.missing(name))?;
        let mut values = vec![0.0; shape.iter().product()];
        self.read_f32(name, &mut values)?;
        Ok(values)
    }

    /// The error that says a tensor is missing, with the nearest name there is.
    fn missing(&self, name: &str) -> SourceError {
        SourceError::missing_tensor(self.path(), name, &self.names())
    }
}

/// Opens a backbone: a folder with `config.json`, `model.safetensors` (or its shards and their
/// index, or `pytorch_model.bin`) and `tokenizer.json` (or the files of an older tokenizer), a `.gguf`
/// file, or a folder that holds exactly one `.gguf` file.
///
/// # Errors
/// Every [`SourceError`] names the file; those about a header name the byte as well.
pub fn open(path: &Path) -> Result<Source, SourceError> {
    let metadata = std::fs::metadata(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => SourceError::NotFound { path: path.to_path_buf() },
        _ => SourceError::Read { path: path.to_path_buf(), source },
    })?;
    if !metadata.is_dir() {
        return if has_extension(path, "gguf") || gguf::has_magic(path) {
            gguf::open(path)
        } else {
            Err(SourceError::NotABackbone { path: path.to_path_buf() })
        };
    }
    if path.join("config.json").is_file() {
        return hf_dir::open(path);
    }
    match gguf_files(path)?.as_slice() {
        [only] => gguf::open(only),
        [] => Err(SourceError::MissingFile { folder: path.to_path_buf(), file: "config.json" }),
        [first, second, ..] => Err(SourceError::SeveralGguf {
            folder: path.to_path_buf(),
            first: first.clone(),
            second: second.clone(),
        }),
    }
}

/// The tensors of one file that need not be a backbone's, safetensors or PyTorch's.
///
/// # Errors
/// As [`open`].
pub fn tensors(file: &Path) -> Result<Box<dyn Weights>, SourceError> {
    if !file.is_file() {
        return Err(SourceError::NotFound { path: file.to_path_buf() });
    }
    Ok(if has_extension(file, "safetensors") {
        Box::new(safetensors::SafetensorsWeights::open(file)?)
    } else {
        Box::new(pytorch::PytorchWeights::open(file, &[file.to_path_buf()])?)
    })
}

/// The tokenizer of a backbone alone; a folder with a `config.json` needs no weights for it.
///
/// # Errors
/// As [`open`].
pub fn tokenizer(path: &Path) -> Result<Tokenizer, SourceError> {
    if path.join("config.json").is_file() {
        hf_dir::tokenizer(path)
    } else {
        Ok(open(path)?.tokenizer)
    }
}

/// The `.gguf` files of a folder, sorted by name.
fn gguf_files(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let failed = |source| SourceError::Read { path: folder.to_path_buf(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if has_extension(&path, "gguf") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}
