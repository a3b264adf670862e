//! What keeps a prompt from being written in another program's format.

use thiserror::Error;

use super::PeftType;

/// An export that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExportError {
    /// PEFT's kind of adapter and the template do not go together.
    #[error("--peft-type {kind}: {what}\nhint: {hint}")]
    PeftType {
        /// The kind.
        kind: PeftType,
        /// What is missing.
        what: &'static str,
        /// A way out.
        hint: &'static str,
    },
    /// A language model of two halves.
    #[error(
        "PEFT gives a prompt to the encoder and to the decoder alike, which is not how this one was trained\n\
         hint: --format safetensors holds it as it was trained"
    )]
    EncoderDecoder,
    /// Keys and values where a row of the vocabulary is asked for.
    #[error(
        "a [prefix:…] is keys and values of every layer, which no word's row can hold\n\
         hint: --format safetensors, or --format peft"
    )]
    PrefixRows,
    /// Nowhere to put virtual tokens.
    #[error(
        "the template's {expected} virtual tokens need rows of the vocabulary that nothing uses, and this backbone \
         has {found}\n\
         hint: fewer virtual tokens, or --format safetensors, which needs no rows"
    )]
    TooFewRows {
        /// Virtual tokens.
        expected: usize,
        /// Free rows.
        found: usize,
    },
}
