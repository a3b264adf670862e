//! What can be wrong with a checkpoint or an export.

use std::path::PathBuf;

use thiserror::Error;

/// What can be wrong with a checkpoint or an export.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Reading failed.
    #[error("{}: cannot be read", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Writing failed; whatever was there before is untouched.
    #[error("{}: cannot be written", file.display())]
    Write {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not safetensors, or cut short.
    #[error("{}: not a whole safetensors file", file.display())]
    Container {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: safetensors::SafeTensorError,
    },
    /// A safetensors file of something else.
    #[error("{}: expected {expected}, found another kind of safetensors file", file.display())]
    Foreign {
        /// Which file.
        file: PathBuf,
        /// What was expected.
        expected: &'static str,
    },
    /// Metadata that cannot be understood.
    #[error("{}: its metadata cannot be understood", file.display())]
    Metadata {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Another version of the layout.
    #[error("{}: expected format {expected}, found format {found}\nhint: use the version of ptune that wrote it", file.display())]
    Format {
        /// Which file.
        file: PathBuf,
        /// Understood here.
        expected: u32,
        /// Found.
        found: u32,
    },
    /// A tensor that does not fit.
    #[error(
        "parameter '{name}': expected shape {expected:?}, found {}",
        found.as_ref().map_or_else(|| "none".to_owned(), |shape| format!("{shape:?}"))
    )]
    Parameter {
        /// Its name.
        name: String,
        /// By the config.
        expected: Vec<usize>,
        /// In the file.
        found: Option<Vec<usize>>,
    },
    /// Made with another prompt encoder or template.
    #[error("{}: {what}: expected {expected} by the config, found {found}", file.display())]
    Differs {
        /// Which file.
        file: PathBuf,
        /// Template or prompt encoder.
        what: &'static str,
        /// By the config.
        expected: String,
        /// In the file.
        found: String,
    },
    /// A tensor of a type that prompts do not have.
    #[error("{}: tensor '{name}': expected F32 or U32, found {found}", file.display())]
    DType {
        /// Which file.
        file: PathBuf,
        /// Its name.
        name: String,
        /// Its type.
        found: String,
    },
    /// Trained on another backbone.
    #[error("{}: trained on {expected}, but the backbone here is {found}\nhint: {hint}", file.display())]
    Backbone {
        /// Which file.
        file: PathBuf,
        /// The backbone it belongs to.
        expected: String,
        /// The backbone that was loaded.
        found: String,
        /// What to do.
        hint: String,
    },
}
