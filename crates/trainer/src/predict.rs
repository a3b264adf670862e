//! Answers to new inputs.

use burn::tensor::Tensor;
use ptuning_core::language_model::Tokenize;
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::template::{Encoded, Fields};
use serde::Serialize;

use backbone::Backbone;

use crate::error::Error;
use crate::prompt::Prompt;

/// One possible answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The word, without the space in front.
    pub word: String,
    /// Its vocabulary id.
    pub id: u32,
    /// Softmax over the candidates.
    pub probability: f32,
}

/// The best answers to one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The input's fields.
    pub input: Fields,
    /// The best answers, best first.
    pub answers: Vec<Answer>,
}

/// Answers inputs, a batch at a time.
///
/// # Errors
/// An input that does not go into the template.
pub fn predict(
    backbone: &Backbone,
    prompt: &Prompt,
    inputs: &[Fields],
    k: usize,
    batch_size: usize,
) -> Result<Vec<Prediction>, Error> {
    let encode = |fields: &Fields| {
        prompt.template.encode(fields, &backbone.tokenizer).map_err(|source| {
            let words: Vec<&str> = fields.values().map(String::as_str).collect();
            Error::Encode { place: format!("input \"{}\"", words.join("\", \"")), source }
        })
    };
    let encoded = inputs.iter().map(encode).collect::<Result<Vec<Encoded>, Error>>()?;
    let mut predictions = Vec::with_capacity(inputs.len());
    for (inputs, encoded) in inputs.chunks(batch_size.max(1)).zip(encoded.chunks(batch_size.max(1)))
    {
        let logits = logits(backbone, prompt, &encoded.iter().collect::<Vec<_>>());
        for (input, row) in inputs.iter().zip(&logits) {
            let top = prompt.verbalizer.top(row, k);
            let answer = |(id, probability): (u32, f32)| Answer {
                word: backbone.tokenizer.decode(&[id]).trim().to_owned(),
                id,
                probability,
            };
            predictions.push(Prediction {
                input: input.clone(),
                answers: top.into_iter().map(answer).collect(),
            });
        }
    }
    Ok(predictions)
}

/// Logits of the whole vocabulary at the answer of each encoded input, one row each.
pub fn logits(backbone: &Backbone, prompt: &Prompt, batch: &[&Encoded]) -> Vec<Vec<f32>> {
    let vectors: Option<&Tensor<2>> = prompt.vectors.as_ref();
    let logits = answer_logits(backbone.model.as_ref(), vectors, batch);
    let [_, vocab] = logits.dims();
    let values: Vec<f32> = logits.into_data().iter().collect();
    values.chunks(vocab).map(<[f32]>::to_vec).collect()
}
