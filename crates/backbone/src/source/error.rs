//! What can be wrong with a backbone's files.

use std::io;
use std::path::{Path, PathBuf};

use super::Dtype;
use super::gguf::{ArchitectureError, GgufError};
use crate::tokenizer::TokenizerError;

/// Why a backbone cannot be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Nothing lies at the path.
    #[error("no such file or folder: {}", path.display())]
    NotFound {
        /// The path asked for.
        path: PathBuf,
    },

    /// A path that should be a file is not.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path asked for.
        path: PathBuf,
    },

    /// A file that is neither a GGUF nor in a folder of a model.
    #[error(
        "{} is not a backbone\n  hint: name a .gguf file, or a folder with config.json, \
         model.safetensors and tokenizer.json", path.display()
    )]
    NotABackbone {
        /// The path asked for.
        path: PathBuf,
    },

    /// A folder lacks a file it needs.
    #[error(
        "{} has no {file}\n  hint: a model folder holds config.json, model.safetensors and \
         tokenizer.json, or exactly one .gguf file", folder.display()
    )]
    MissingFile {
        /// The model's folder.
        folder: PathBuf,
        /// The file it lacks.
        file: &'static str,
    },

    /// A folder holds more than one GGUF.
    #[error(
        "{} holds several .gguf files: {} and {}\n  hint: name the one to use",
        folder.display(),
        first.file_name().unwrap_or_default().display(),
        second.file_name().unwrap_or_default().display()
    )]
    SeveralGguf {
        /// The folder.
        folder: PathBuf,
        /// The first, in the order of names.
        first: PathBuf,
        /// The second.
        second: PathBuf,
    },

    /// The operating system refused.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },

    /// A JSON file does not parse.
    #[error("{} is not valid JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line and column.
        source: serde_json::Error,
    },

    /// A key of a JSON file is missing or of another type.
    #[error("{}: {key} should be {expected}", path.display())]
    JsonKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What belongs there.
        expected: &'static str,
    },

    /// The index of a sharded model names a file outside the model's folder.
    #[error(
        "{}: shard {shard:?} is not a plain file name beside the index", path.display()
    )]
    ShardName {
        /// The index.
        path: PathBuf,
        /// The name it gives.
        shard: String,
    },

    /// The index of a sharded model names a shard that is not there.
    #[error("{} names {shard:?}, which is not beside it", path.display())]
    MissingShard {
        /// The index.
        path: PathBuf,
        /// The file's name.
        shard: String,
    },

    /// One tensor in two files of a model.
    #[error("tensor {name} is in {} and in {}", first.display(), second.display())]
    DuplicateTensor {
        /// The tensor.
        name: String,
        /// The file read first.
        first: PathBuf,
        /// The file read second.
        second: PathBuf,
    },

    /// A safetensors header is damaged.
    #[error("{} is not a valid safetensors file", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ::safetensors::SafeTensorError,
    },

    /// A text file in another encoding.
    #[error("{} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },

    /// A PyTorch checkpoint is damaged, or holds what no state dict does.
    #[error("{} is not a PyTorch checkpoint of tensors", path.display())]
    Pytorch {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<pytorch_reader::PytorchError>,
    },

    /// A GGUF header is damaged.
    #[error("{} is not a valid GGUF file", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong, and at which byte.
        source: GgufError,
    },

    /// A GGUF's metadata does not describe a model that can be used.
    #[error("cannot use {}", path.display())]
    Architecture {
        /// The file.
        path: PathBuf,
        /// What is missing or not supported.
        source: ArchitectureError,
    },

    /// The tokenizer cannot be built.
    #[error("cannot build the tokenizer of {}", path.display())]
    Tokenizer {
        /// The file that describes it.
        path: PathBuf,
        /// Why.
        source: TokenizerError,
    },

    /// A folder's tokenizer is for a class that is not built in.
    #[error(
        "{}: tokenizer_class {found:?} without a tokenizer.json; known: {known}{}\n  hint: in \
         transformers, AutoTokenizer.from_pretrained(…).save_pretrained(…) writes tokenizer.json, \
         which describes any tokenizer", folder.display(), nearest_hint(nearest.as_deref())
    )]
    TokenizerClass {
        /// The model's folder.
        folder: PathBuf,
        /// The class.
        found: String,
        /// Classes that are built in.
        known: String,
        /// The most similar of them.
        nearest: Option<String>,
    },

    /// Nothing says what a folder's vocabulary is for.
    #[error(
        "{}: no tokenizer.json, and neither tokenizer_class nor model_type {family:?} says what its \
         vocabulary is for\n  hint: name transformers' class as tokenizer_class in \
         tokenizer_config.json, or write tokenizer.json with save_pretrained", folder.display()
    )]
    TokenizerUnknown {
        /// The model's folder.
        folder: PathBuf,
        /// Its `model_type`.
        family: String,
    },

    /// A folder has another tokenizer's files than its class is read from.
    #[error(
        "{}: {class} is read from {expected}; found {found}\n  hint: name the class that the files \
         are for as tokenizer_class in tokenizer_config.json, or write tokenizer.json with \
         save_pretrained", folder.display()
    )]
    TokenizerFiles {
        /// The model's folder.
        folder: PathBuf,
        /// transformers' class.
        class: &'static str,
        /// Its files.
        expected: &'static str,
        /// Files of tokenizers that are there.
        found: String,
    },

    /// There is no tensor of that name.
    #[error("{} has no tensor {name}{}", path.display(), nearest_hint(nearest.as_deref()))]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// The most similar name there is.
        nearest: Option<String>,
    },

    /// A buffer does not fit the tensor.
    #[error(
        "{}: tensor {name} has {expected} elements, the buffer for it has {found}", path.display()
    )]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Elements of the tensor.
        expected: usize,
        /// Elements of the buffer.
        found: usize,
    },

    /// A tensor's storage type cannot be read.
    #[error("{}: tensor {name} is stored as {dtype}, which cannot be read; supported are {}",
        path.display(), supported_dtypes())]
    UnsupportedDtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The type's name.
        dtype: String,
    },
}

impl SourceError {
    /// Refuses a buffer that is not as long as its tensor.
    pub(crate) fn check_length(
        path: &Path,
        name: &str,
        expected: usize,
        found: usize,
    ) -> Result<(), Self> {
        if expected == found {
            return Ok(());
        }
        Err(Self::WrongLength { path: path.to_path_buf(), name: name.to_owned(), expected, found })
    }

    /// The error for a tensor that is not among `names`.
    pub(crate) fn missing_tensor(path: &Path, name: &str, names: &[String]) -> Self {
        SourceError::MissingTensor {
            path: path.to_path_buf(),
            name: name.to_owned(),
            nearest: nearest(name, names.iter().map(String::as_str)).map(str::to_owned),
        }
    }
}

/// The candidate most like `name`, if any is like it at all.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|&(similarity, _)| similarity >= 0.5)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// The line that suggests a name, or nothing.
pub(crate) fn nearest_hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("\n  hint: did you mean {name}?"))
}

/// Names of all storage types that can be read.
pub(crate) fn supported_dtypes() -> String {
    Dtype::ALL.map(Dtype::name).join(", ")
}
