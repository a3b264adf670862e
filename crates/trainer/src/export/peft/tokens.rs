//! TRAINABLE_TOKENS: the vectors as rows of the vocabulary, so that they may stand anywhere.
//!
//! PEFT replaces the rows `token_indices` of the embedding table; a prompt is then ordinary token ids.
//! `virtual_tokens.json` says which id is which virtual token. Where the head shares the table, the logits of these
//! ids change as well, so that a softmax over the whole vocabulary is another by a hair; they never are an answer.

use std::collections::BTreeMap;

use backbone::{Backbone, registry};
use burn::tensor::Tensor;
use ptuning_core::objective::ids;
use serde_json::{Map, Value, json};

use super::Files;
use crate::error::Error;
use crate::export::free_rows::{FreeRow, free_rows};
use crate::export::usage;
use crate::prompt::Prompt;

/// Name of the file with the ids.
pub const IDS: &str = "virtual_tokens.json";

/// # Errors
/// Too few rows that nothing uses.
pub fn files(prompt: &Prompt, vectors: Tensor<2>, backbone: &Backbone) -> Result<Files, Error> {
    let table = registry::embedding_table(&backbone.path)?;
    let rows = free_rows(prompt, backbone)?;
    let module = table.tensor.trim_end_matches(".weight");
    // PEFT keeps rows in the order of their ids.
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_by_key(|&index| rows[index as usize].id);
    let device = vectors.device();
    // What is looked up is multiplied, and the vectors were trained behind that.
    let values = vectors.select(0, ids(&order, &device)).div_scalar(table.scale).into_data();
    let indices: Vec<u32> = order.iter().map(|&index| rows[index as usize].id).collect();
    let config = json!({
        "init_weights": true,
        "peft_type": "TRAINABLE_TOKENS",
        "target_modules": module,
        "task_type": null,
        "token_indices": indices,
    });
    let names = prompt.template.virtual_tokens().iter().map(|token| token.name.clone());
    let listed: Map<String, Value> =
        names.zip(&rows).map(|(name, row)| (name, listed(row))).collect();
    let mapping = json!({
        "template": prompt.template.template().source(),
        "virtual_tokens": listed,
        "parts": usage::parts(prompt, backbone, &rows),
    });
    let weight = format!("base_model.model.{module}.trainable_tokens_delta");
    Ok(Files {
        weights: BTreeMap::from([(weight, values)]),
        config,
        tensors: Vec::new(),
        json: vec![(IDS, mapping)],
        ids: rows.iter().map(|row| row.id).collect(),
        usage: usage::tokens(prompt, backbone, &rows, table.tied),
    })
}

fn listed(FreeRow { id, token, why }: &FreeRow) -> Value {
    json!({ "id": id, "token": token, "why": why })
}
