//! A language model as a Hugging Face folder.

use std::collections::BTreeMap;
use std::path::Path;

use backbone::Trainable;
use backbone::source::hex;
use burn::tensor::TensorData;
use ptuning_core::language_model::Tokenize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::checkpoint::{atomically, write_tensors};
use crate::error::Error;

/// What a folder's README.md tells.
#[derive(Debug, Clone)]
pub struct ModelCard {
    /// The backbone it started from, as the settings name it.
    pub start: String,
    /// Name of the text's file.
    pub text: String,
    /// Passages that it learned from.
    pub passages: usize,
    /// Optimiser steps.
    pub steps: usize,
    /// Loss on passages held out, before and after, in nats; before is not known to a resumed run.
    pub loss: (Option<f64>, f64),
    /// The command that made it.
    pub command: String,
}

/// Writes config.json, tokenizer.json, tokenizer_config.json, README.md and, last, model.safetensors.
///
/// # Errors
/// A folder that cannot be written.
pub fn export_model(folder: &Path, model: &Trainable, card: &ModelCard) -> Result<(), Error> {
    let tokenizer = model.tokenizer.to_json().map_err(|error| Error::Tokenizer {
        path: folder.join("tokenizer.json"),
        source: Box::new(error),
    })?;
    let tensors = model.parameters.snapshot().into_data();
    write_model(folder, model, &tensors, tokenizer, card.text())
}

/// As [`export_model`], with weights, a tokenizer and a card that need not be the model's own.
///
/// # Errors
/// A folder that cannot be written.
pub(crate) fn write_model(
    folder: &Path,
    model: &Trainable,
    tensors: &BTreeMap<String, TensorData>,
    tokenizer: String,
    readme: String,
) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "created"))?;
    let write = |name: &str, text: String| atomically(&folder.join(name), text.as_bytes());
    let mut config = model.config.clone();
    // What the weights are stored in, by either of transformers' names for it.
    for key in ["torch_dtype", "dtype"] {
        if config.contains_key(key) {
            config.insert(key.to_owned(), json!("float32"));
        }
    }
    write("config.json", pretty(&config))?;
    write("tokenizer.json", tokenizer)?;
    let special = model.tokenizer.special();
    let mut names = Map::new();
    names.insert("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"));
    for (role, id) in [("mask_token", special.mask), ("pad_token", special.pad)] {
        if let Some(token) = id.and_then(|id| model.tokenizer.token(id)) {
            names.insert(role.to_owned(), json!(token));
        }
    }
    write("tokenizer_config.json", pretty(&names))?;
    write("README.md", readme)?;
    // A backbone is told from others by its header, where this one has the names and shapes of the one it
    // started from: so the numbers' hash stands there too.
    let mut hash = Sha256::new();
    tensors.values().for_each(|data| hash.update(data.as_bytes()));
    let hash = hex(&hash.finalize());
    // transformers refuses a file that does not say whose layout it has.
    let metadata = [("format", "pt".to_owned()), ("weights_sha256", hash)];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    Ok(write_tensors(&folder.join("model.safetensors"), tensors, metadata)?)
}

fn pretty(object: &Map<String, Value>) -> String {
    format!("{:#}\n", Value::Object(object.clone()))
}

impl ModelCard {
    fn text(&self) -> String {
        let Self { start, text, passages, steps, loss: (before, after), command } = self;
        let before = before.map(|loss| format!("{loss:.3} → ")).unwrap_or_default();
        format!(
            "# {start}, adapted\n\n\
             The language model `{start}` after {steps} more optimiser steps on {passages} passages of \
             `{text}`, all weights in float32. Loss on passages held out: {before}{after:.3} nats.\n\n\
             Made by ptune:\n\n    {command}\n\n\
             It may be used under the licence of `{start}` and the terms of the text, whichever is \
             narrower. It has read the text: figures on facts that the text states measure memory as much \
             as anything else.\n"
        )
    }
}
