//! Reading a family's config, with errors that name the file, the key and what was expected.

use std::path::Path;

use kernels::activation::Activation;
use ptuning_core::language_model::Tokenize;
use serde_json::{Map, Value, json};

use crate::error::LoadError;
use crate::source::{Source, Weights, resolve};

/// The keys of a `config.json`, or of what stands for it in a GGUF file, and what else a family may ask of
/// its files.
#[derive(Clone, Copy)]
pub struct Config<'a> {
    keys: &'a Map<String, Value>,
    file: &'a Path,
    weights: &'a dyn Weights,
    mask: Option<u32>,
}

impl<'a> Config<'a> {
    /// The config of a source.
    pub fn new(source: &'a Source) -> Self {
        Self {
            keys: &source.config,
            file: &source.config_file,
            weights: source.weights.as_ref(),
            mask: source.tokenizer.special().mask,
        }
    }

    /// Whether the weights have a tensor, where configs do not tell.
    pub fn has_tensor(&self, name: &str) -> bool {
        resolve(self.weights, name).is_some()
    }

    /// The tokenizer's id of what stands for an answer.
    pub fn mask_token(&self) -> Option<u32> {
        self.mask
    }

    /// A key that is there and not null.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.keys.get(key).filter(|value| !value.is_null())
    }

    /// A whole number, at least 1.
    pub fn size(&self, key: &'static str) -> Result<usize, LoadError> {
        self.optional_size(key)?.ok_or_else(|| LoadError::Config {
            file: self.file.to_owned(),
            key: key.to_owned(),
            expected: "a whole number",
            found: "nothing".to_owned(),
        })
    }

    /// A whole number, at least 1, if it is there and not null.
    pub fn optional_size(&self, key: &'static str) -> Result<Option<usize>, LoadError> {
        // Sizes beyond this belong to no model and would only overflow later.
        self.optional(key, "a whole number of at least 1", |value| match value.as_u64() {
            Some(n @ 1..=0xffff_ffff) => Some(n as usize),
            _ => None,
        })
    }

    /// A token's id, or `default`.
    pub fn id(&self, key: &'static str, default: usize) -> Result<usize, LoadError> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let read = self.optional(key, "a token's id", id)?;
        Ok(read.map_or(default, |id| id as usize))
    }

    /// A positive number, or `default`.
    pub fn number(&self, key: &'static str, default: f64) -> Result<f64, LoadError> {
        let positive = |value: &Value| value.as_f64().filter(|x| x.is_finite() && *x > 0.0);
        Ok(self.optional(key, "a positive number", positive)?.unwrap_or(default))
    }

    /// A switch, or `default`.
    pub fn flag(&self, key: &'static str, default: bool) -> Result<bool, LoadError> {
        Ok(self.optional(key, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    /// An activation by transformers' name, or `default`.
    pub fn activation(
        &self,
        key: &'static str,
        default: Activation,
    ) -> Result<Activation, LoadError> {
        let known = ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish"];
        self.only(key, &known.map(|name| json!(name)))?;
        Ok(match self.get(key).and_then(Value::as_str) {
            Some("gelu") => Activation::Gelu,
            Some("gelu_new" | "gelu_pytorch_tanh") => Activation::GeluTanh,
            Some("relu") => Activation::Relu,
            Some("silu" | "swish") => Activation::Silu,
            _ => default,
        })
    }

    /// Width of a head.
    ///
    /// # Errors
    /// Heads that do not divide the width.
    pub fn head_dim(&self, hidden: usize, heads: usize) -> Result<usize, LoadError> {
        if hidden.is_multiple_of(heads) {
            return Ok(hidden / heads);
        }
        Err(self.contradiction(format!("{heads} heads do not divide a width of {hidden}")))
    }

    /// Requires a key to be absent or to have one of the values that the family implements.
    pub fn only(&self, key: &'static str, allowed: &[Value]) -> Result<(), LoadError> {
        match self.get(key) {
            None => Ok(()),
            Some(value) if allowed.contains(value) => Ok(()),
            Some(value) => {
                let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
                let expected =
                    if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(" or ") };
                Err(self.unsupported(key, expected, value))
            }
        }
    }

    /// The error that says a value is not built in.
    pub fn unsupported(&self, key: &str, expected: String, found: &Value) -> LoadError {
        let (file, key) = (self.file.to_owned(), key.to_owned());
        LoadError::Unsupported { file, key, expected, found: shortened(found) }
    }

    /// The error that says sizes contradict each other.
    pub fn contradiction(&self, what: String) -> LoadError {
        LoadError::Sizes { file: self.file.to_owned(), what }
    }

    fn optional<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, LoadError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(LoadError::Config {
                file: self.file.to_owned(),
                key: key.to_owned(),
                expected,
                found: shortened(value),
            }),
        }
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
