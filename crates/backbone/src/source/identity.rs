//! What tells one backbone from another.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Identity of a backbone, kept in checkpoints and exports so that a prompt refuses another model.
///
/// The hash covers the configuration and the weights' header (names, types, shapes, offsets, and
/// for a GGUF its metadata with the tokenizer's vocabulary), which takes milliseconds; the weights
/// themselves are not read. Two fine-tunings of one model stored in the same format and layout can
/// therefore share a hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The family, as `model_type` names it (`llama`).
    pub family: String,
    /// Name of the file or folder, without its path; for people to read, not to compare.
    pub file: PathBuf,
    /// SHA-256 of configuration and header, 64 hexadecimal digits.
    pub sha256: String,
}

impl Identity {
    /// Whether both are the same backbone, wherever their files lie.
    pub fn is_same(&self, other: &Identity) -> bool {
        self.sha256 == other.sha256
    }
}

/// SHA-256 over parts; each part's length goes in before it, so that no two splits of the same
/// bytes agree.
pub(crate) fn sha256_of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
