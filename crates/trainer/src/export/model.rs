//! The language model itself with the vectors in rows of its vocabulary that nothing uses: a Hugging Face folder
//! whose tokenizer knows the virtual tokens as `<h_0>`, `<h_1>` …, so that any engine runs the prompt as text.
//!
//! Weights are written in float32. Where the head shares the table, the logits of those rows change as well.

use std::collections::BTreeMap;
use std::path::Path;

use backbone::{Backbone, registry};
use burn::tensor::{Tensor, TensorData};
use ptuning_core::language_model::Tokenize;
use ptuning_core::template::Stretch;
use serde_json::{Value, json};

use super::card::{Card, Form};
use super::error::ExportError;
use super::free_rows::{FreeRow, free_rows};
use super::prompt_file::largest_difference;
use super::usage;
use crate::adapt::write_model;
use crate::checkpoint::read_tensors;
use crate::error::Error;
use crate::prompt::Prompt;

/// A model with virtual tokens among its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordedModel {
    /// Vocabulary id of each virtual token.
    pub ids: Vec<u32>,
    /// What its tokenizer is given, with `{field}` for an input and braces of its own doubled.
    pub text: String,
}

/// Writes the folder, reads the rows back and compares them.
///
/// # Errors
/// A prompt that rows cannot hold, too few free rows, a folder that cannot be written.
pub fn export_worded(
    folder: &Path,
    prompt: &Prompt,
    backbone: &Backbone,
    card: &Card,
) -> Result<WordedModel, Error> {
    if prompt.lm.is_some() {
        return Err(Error::LmLearned);
    }
    let vectors = prompt.vectors.as_ref().ok_or(Error::NothingToLearn)?.to_data();
    if prompt.template.template().prefix() > 0 {
        return Err(ExportError::PrefixRows.into());
    }
    let rows = free_rows(prompt, backbone)?;
    let names: Vec<String> =
        prompt.template.virtual_tokens().iter().map(|token| format!("<{}>", token.name)).collect();
    let table = registry::embedding_table(&backbone.path)?;
    let device = backbone.model.device().without_autodiff();
    let model = backbone::trainable(&backbone.path, &device)?;
    let path = folder.join("tokenizer.json");
    let tokenizer = model
        .tokenizer
        .to_json()
        .map_err(|error| Error::Tokenizer { path: path.clone(), source: Box::new(error) })?;
    let tokenizer =
        with_words(&tokenizer, &names, &rows).map_err(|source| Error::Json { path, source })?;

    let width = backbone.model.hidden_size();
    let before = model.parameters.values().get(&table.tensor).map(Tensor::to_data);
    let mut numbers: Vec<f32> = before.iter().flat_map(TensorData::iter::<f32>).collect();
    let scaled: Vec<f32> =
        vectors.iter::<f32>().map(|number| (f64::from(number) / table.scale) as f32).collect();
    for (row, vector) in rows.iter().zip(scaled.chunks(width)) {
        let at = row.id as usize * width;
        numbers[at..at + width].copy_from_slice(vector);
    }
    let count = numbers.len();
    let replaced = Tensor::from_data(TensorData::new(numbers, [count]), &device);
    let others = BTreeMap::from([(table.tensor.clone(), replaced)]);
    let tensors = model.parameters.snapshot_with(&others).into_data();
    let text = text(prompt, backbone, &names);
    let form = Form {
        library: "transformers",
        what: "within its language model",
        usage: usage::words(prompt, backbone, &rows, &text, table.tied),
    };
    let readme = card.text(prompt, backbone, &form)?;
    write_model(folder, &model, &tensors, tokenizer, readme)?;

    let weights = folder.join("model.safetensors");
    let (back, _) = read_tensors(&weights)?;
    let expected = &tensors[&table.tensor];
    let difference = largest_difference(expected, back.get(&table.tensor));
    if difference != 0.0 {
        return Err(Error::ExportDiffers { path: weights, difference });
    }
    Ok(WordedModel { ids: rows.iter().map(|row| row.id).collect(), text })
}

/// What the tokenizer is given: it opens and closes the sequence itself.
fn text(prompt: &Prompt, backbone: &Backbone, names: &[String]) -> String {
    let special = backbone.tokenizer.special();
    let stretches = prompt.template.stretches(&backbone.tokenizer);
    let part = |stretch| match stretch {
        Stretch::Text(text) => text,
        Stretch::Virtual(range) => names[range].concat(),
        Stretch::Ids(ids) => match (ids.as_slice(), special.mask) {
            ([id], Some(mask)) if *id == mask => backbone.tokenizer.token(mask).unwrap_or_default(),
            _ => String::new(),
        },
    };
    stretches.into_iter().map(part).collect()
}

/// A tokenizer.json with the rows' tokens by other names, as special tokens that text is looked through for.
fn with_words(
    tokenizer: &str,
    names: &[String],
    rows: &[FreeRow],
) -> Result<String, serde_json::Error> {
    let mut tokenizer: Value = serde_json::from_str(tokenizer)?;
    let added = tokenizer["added_tokens"].as_array().cloned().unwrap_or_default();
    let ids: Vec<u64> = rows.iter().map(|row| u64::from(row.id)).collect();
    let mut added: Vec<Value> = added
        .into_iter()
        .filter(|token| !token["id"].as_u64().is_some_and(|id| ids.contains(&id)))
        .collect();
    for (name, row) in names.iter().zip(rows) {
        if let Some(token) = &row.token {
            rename(&mut tokenizer["model"]["vocab"], token, name);
        }
        added.push(json!({
            "id": row.id,
            "content": name,
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
            "normalized": false,
            "special": true,
        }));
    }
    added.sort_by_key(|token| token["id"].as_u64());
    tokenizer["added_tokens"] = Value::Array(added);
    serde_json::to_string(&tokenizer)
}

/// Gives a token of a vocabulary, a map or a list, another name.
fn rename(vocabulary: &mut Value, token: &str, name: &str) {
    match vocabulary {
        Value::Object(words) => {
            if let Some(id) = words.shift_remove(token) {
                words.insert(name.to_owned(), id);
            }
        }
        Value::Array(pieces) => {
            if let Some(piece) = pieces.iter_mut().find(|piece| piece[0] == token) {
                piece[0] = json!(name);
            }
        }
        _ => {}
    }
}
