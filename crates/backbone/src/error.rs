//! Why a backbone could not be loaded.

use std::path::PathBuf;

use thiserror::Error;

use crate::source::SourceError;
use crate::tensor_report::TensorReport;

/// Why a backbone could not be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The files themselves.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A family that is not built in.
    #[error(
        "{}: unknown model_type '{found}'; known: {known}{}",
        file.display(),
        hint(nearest.as_deref())
    )]
    UnknownFamily {
        /// Where it was read.
        file: PathBuf,
        /// What the config says.
        found: String,
        /// What there is.
        known: String,
        /// The most similar known family.
        nearest: Option<String>,
    },
    /// A value of the config that makes no sense.
    #[error("{}: config key '{key}': expected {expected}, found {found}", file.display())]
    Config {
        /// Where it was read.
        file: PathBuf,
        /// The key.
        key: String,
        /// What should stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A variant of the family that is not built in.
    #[error(
        "{}: this build supports config key '{key}' only as {expected}, found {found}",
        file.display()
    )]
    Unsupported {
        /// Where it was read.
        file: PathBuf,
        /// The key.
        key: String,
        /// Values that are supported.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// An encoder–decoder that was to be trained.
    #[error(
        "an encoder–decoder ({family}) can be prompted, not trained itself\nhint: a masked or a causal \
         language model can"
    )]
    EncoderDecoder {
        /// Its family.
        family: String,
    },
    /// Numbers that a device cannot compute with.
    #[error("backbone.dtype = \"{found}\": {reason}")]
    Precision {
        /// The type of number.
        found: &'static str,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// Sizes that contradict each other.
    #[error("{}: {what}", file.display())]
    Sizes {
        /// Where they were read.
        file: PathBuf,
        /// The contradiction.
        what: String,
    },
    /// Tensors that are missing or of another shape, all of them.
    #[error("{0}")]
    Tensors(Box<TensorReport>),
    /// Files without a head that predicts words: nothing stands in for it.
    #[error(
        "{}: no {kind} head ({head}…): {saved}; a prompt needs {needed}\n\
         hint: save the folder from {needed}, or use a checkpoint that was trained with this head",
        file.display()
    )]
    NoHead {
        /// Where it was looked for.
        file: PathBuf,
        /// Which head.
        kind: &'static str,
        /// What the names of its tensors begin with.
        head: String,
        /// What the files were saved from.
        saved: String,
        /// What they should have been saved from.
        needed: String,
    },
    /// A tensor that the family needs.
    #[error("{}: no tensor '{name}'{}", file.display(), hint(nearest.as_deref()))]
    MissingTensor {
        /// Where it was looked for.
        file: PathBuf,
        /// Its name.
        name: String,
        /// The most similar name in the file.
        nearest: Option<String>,
    },
    /// A tensor of another shape than the config says.
    #[error("{}: tensor '{name}': expected shape {expected:?} by the config, found {found:?}", file.display())]
    Shape {
        /// Where it was read.
        file: PathBuf,
        /// Its name.
        name: String,
        /// By the config.
        expected: Vec<usize>,
        /// In the file.
        found: Vec<usize>,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("\nhint: the nearest is '{name}'")).unwrap_or_default()
}
