//! What can be wrong with a prompt of another program.

use std::path::PathBuf;

use backbone::source::SourceError;
use thiserror::Error;

/// A prompt that cannot be imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Neither a folder of PEFT's nor a file that is known.
    #[error(
        "{}: expected {expected}, found {found}\n\
         hint: a folder with PEFT's adapter_config.json, a checkpoint of the published P-tuning code, or OptiPrompt's \
         prompt_vecs.npy",
        file.display()
    )]
    Unknown {
        /// The file or folder.
        file: PathBuf,
        /// What would have done.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A kind of adapter that is no prompt.
    #[error(
        "{}: peft_type: expected PROMPT_TUNING, P_TUNING, PREFIX_TUNING or TRAINABLE_TOKENS, found {found}",
        file.display()
    )]
    Kind {
        /// The config.
        file: PathBuf,
        /// Its type.
        found: String,
    },
    /// A prompt for an encoder and a decoder.
    #[error(
        "{}: num_transformer_submodules: expected 1, found {found}: vectors for an encoder and its decoder, which ptune \
         has none of",
        file.display()
    )]
    Submodules {
        /// The config.
        file: PathBuf,
        /// How many.
        found: u64,
    },
    /// Vectors without places.
    #[error(
        "{}: does not say where its vectors stand\nhint: --template \"[h:3] capital [x] [h:3] [z]\"",
        file.display()
    )]
    NoTemplate {
        /// The file or folder.
        file: PathBuf,
    },
    /// Not as many vectors as virtual tokens.
    #[error(
        "{}: {kind} with {found} vectors, but the template has {expected} virtual tokens\n\
         hint: the template has to be the one that they were trained in",
        file.display()
    )]
    Count {
        /// The file or folder.
        file: PathBuf,
        /// What it is.
        kind: String,
        /// The template's.
        expected: usize,
        /// The file's.
        found: usize,
    },
    /// Vectors of another width.
    #[error(
        "{}: {kind} with vectors of {found} numbers, but this backbone and template need {expected}\n\
         hint: --backbone has to be the one that they were trained on",
        file.display()
    )]
    Width {
        /// The file or folder.
        file: PathBuf,
        /// What it is.
        kind: String,
        /// The backbone's.
        expected: usize,
        /// The file's.
        found: usize,
    },
    /// Tensors that cannot be read.
    #[error(transparent)]
    Tensors(#[from] SourceError),
}
