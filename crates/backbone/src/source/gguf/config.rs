//! Metadata to the keys of Hugging Face's `config.json`.

use serde_json::{Map, Number, Value as Json, json};

use super::architecture::{ARCHITECTURES, Architecture, Fixed, Heads};
use super::header::Header;
use super::value::Value;
use crate::source::error::{nearest, nearest_hint};

/// Why a well-formed GGUF does not describe a usable model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchitectureError {
    /// An architecture that is not built in.
    #[error(
        "general.architecture: unknown {found:?}; known: {}{}", known(),
        nearest_hint(nearest(found, ARCHITECTURES.iter().map(|known| known.name)))
    )]
    Unknown {
        /// What the file says.
        found: String,
    },
    /// A metadata key that a model cannot do without.
    #[error("metadata has no {key}")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A metadata value of another type, or beyond what makes sense.
    #[error("metadata key {key}: expected {expected}")]
    WrongType {
        /// The key.
        key: String,
        /// What belongs there.
        expected: &'static str,
    },
}

fn known() -> String {
    ARCHITECTURES.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
}

/// Numbers of heads, which say how rows are interleaved.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadCounts {
    query: usize,
    key_value: usize,
}

impl HeadCounts {
    pub(super) fn of(self, heads: Heads) -> usize {
        match heads {
            Heads::Query => self.query,
            Heads::KeyValue => self.key_value,
        }
    }
}

/// The file's architecture.
pub(super) fn architecture(
    header: &Header<'_>,
) -> Result<&'static Architecture, ArchitectureError> {
    let key = "general.architecture";
    let found = header
        .metadata
        .get(key)
        .ok_or_else(|| ArchitectureError::MissingKey { key: key.to_owned() })?
        .as_str()
        .ok_or_else(|| ArchitectureError::WrongType {
            key: key.to_owned(),
            expected: "a string",
        })?;
    ARCHITECTURES
        .iter()
        .find(|architecture| architecture.name == found)
        .ok_or_else(|| ArchitectureError::Unknown { found: found.to_owned() })
}

/// The configuration, under `config.json`'s keys.
///
/// Keys that llama.cpp leaves out where they have their default are filled in: key-value heads (as
/// many as query heads), the width of a head (hidden size over heads), the rotary base (10000), the
/// size of the vocabulary (the number of tokens). A head is tied where there is no `output.weight`.
pub(super) fn config(
    header: &Header<'_>,
    architecture: &Architecture,
) -> Result<Map<String, Json>, ArchitectureError> {
    let metadata = &header.metadata;
    let has_tensor = |name: &str| header.tensors.iter().any(|tensor| tensor.name == name);
    let get = |suffix: &str| {
        let key = format!("{}.{suffix}", architecture.name);
        metadata.get(&key).map(|value| (key, value))
    };
    let size = |suffix: &str| match get(suffix) {
        None => Ok(None),
        Some((key, value)) => value
            .as_u64()
            .map(Some)
            .ok_or(ArchitectureError::WrongType { key, expected: "a whole number" }),
    };

    let mut config = Map::new();
    config.insert("model_type".to_owned(), json!(architecture.model_type));
    for &(suffix, name) in architecture.settings {
        let Some((key, value)) = get(suffix) else { continue };
        let value = number(value)
            .ok_or(ArchitectureError::WrongType { key, expected: "a finite number" })?;
        config.insert(name.to_owned(), value);
    }
    for &(name, value) in architecture.fixed {
        let value = match value {
            Fixed::Text(text) => json!(text),
            Fixed::Bool(flag) => json!(flag),
        };
        config.insert(name.to_owned(), value);
    }

    let heads = required(&config, architecture, "num_attention_heads", "attention.head_count")?;
    let hidden = required(&config, architecture, "hidden_size", "embedding_length")?;
    let head_dim = match size("attention.key_length")? {
        Some(length) => length,
        None => size("rope.dimension_count")?.unwrap_or(hidden / heads),
    };
    config.entry("num_key_value_heads").or_insert(json!(heads));
    config.insert("head_dim".to_owned(), json!(head_dim));
    config.entry("rope_theta").or_insert(json!(10_000.0));
    if let Some(tokens) = metadata.get("tokenizer.ggml.tokens").and_then(Value::as_texts) {
        config.entry("vocab_size").or_insert(json!(tokens.len()));
    }
    config.insert("attention_bias".to_owned(), json!(has_tensor("blk.0.attn_q.bias")));
    config.insert("tie_word_embeddings".to_owned(), json!(!has_tensor("output.weight")));
    for (key, name) in [
        ("tokenizer.ggml.bos_token_id", "bos_token_id"),
        ("tokenizer.ggml.eos_token_id", "eos_token_id"),
        ("tokenizer.ggml.unknown_token_id", "unk_token_id"),
        ("tokenizer.ggml.padding_token_id", "pad_token_id"),
    ] {
        if let Some(id) = metadata.get(key).and_then(Value::as_u64) {
            config.insert(name.to_owned(), json!(id));
        }
    }
    if let Some(scaling) = rope_scaling(&get, has_tensor("rope_freqs.weight")) {
        config.insert("rope_scaling".to_owned(), scaling);
    }
    if let Some(rotary) = size("rope.dimension_count")?.filter(|&rotary| rotary != head_dim) {
        config.insert("partial_rotary_factor".to_owned(), json!(rotary as f64 / head_dim as f64));
    }
    Ok(config)
}

/// Numbers of heads of a configuration that [`config`] made.
pub(super) fn heads(config: &Map<String, Json>) -> HeadCounts {
    let count = |key: &str| {
        let number = config.get(key).and_then(Json::as_u64).unwrap_or(1);
        usize::try_from(number).unwrap_or(1).max(1)
    };
    HeadCounts { query: count("num_attention_heads"), key_value: count("num_key_value_heads") }
}

/// A number of the configuration that is at least 1.
fn required(
    config: &Map<String, Json>,
    architecture: &Architecture,
    name: &str,
    suffix: &str,
) -> Result<u64, ArchitectureError> {
    let key = || format!("{}.{suffix}", architecture.name);
    match config.get(name) {
        None => Err(ArchitectureError::MissingKey { key: key() }),
        Some(value) => value.as_u64().filter(|&number| number > 0).ok_or_else(|| {
            ArchitectureError::WrongType { key: key(), expected: "a whole number of at least 1" }
        }),
    }
}

/// A metadata number as a JSON one; `None` for what JSON cannot hold or is no number.
fn number(value: &Value<'_>) -> Option<Json> {
    match *value {
        Value::Unsigned(number) => Some(json!(number)),
        Value::Signed(number) => Some(json!(number)),
        Value::Float(number) => Number::from_f64(number).map(Json::Number),
        _ => None,
    }
}

/// How positions are stretched, or `None` where they are not.
///
/// Llama 3's scaling is stored as ready-made factors in a tensor, without the settings they came
/// from; it is named, so that a family that does not know it refuses instead of computing wrongly.
fn rope_scaling<'m>(
    get: &impl Fn(&str) -> Option<(String, &'m Value<'m>)>,
    has_factors: bool,
) -> Option<Json> {
    let text = |suffix: &str| get(suffix).and_then(|(_, value)| value.as_str());
    let float = |suffix: &str| get(suffix).and_then(|(_, value)| value.as_f64());
    if has_factors {
        return Some(json!({ "rope_type": "llama3" }));
    }
    // Before `rope.scaling.*` there was one key, for linear scaling.
    let factor = float("rope.scaling.factor").or_else(|| float("rope.scale_linear"));
    match (text("rope.scaling.type"), factor) {
        (Some("none"), _) | (None, None) => None,
        (None, Some(1.0)) => None,
        (kind, factor) => Some(json!({ "rope_type": kind.unwrap_or("linear"), "factor": factor })),
    }
}
