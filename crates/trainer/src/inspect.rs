//! What a prompt has become: its template as encoded, and the words its vectors resemble.

use burn::tensor::Tensor;
use ptuning_core::language_model::Tokenize;
use ptuning_core::template::{Fields, Part};
use serde::Serialize;

use backbone::Backbone;

use crate::error::Error;
use crate::prompt::Prompt;

/// One position of an encoded example.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Position {
    /// Place in the sequence, from 0.
    pub position: usize,
    /// What stands there: `virtual`, `anchor`, `input`, `mask` or `special`.
    pub role: &'static str,
    /// Vocabulary id; `None` for a virtual token.
    pub id: Option<u32>,
    /// The token as the vocabulary stores it, or the virtual token's name.
    pub token: String,
    /// The field, for an input.
    pub field: Option<String>,
    /// Whether this position's row predicts the answer.
    pub predicts: bool,
}

/// A word and how near it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Near {
    /// The token as the vocabulary stores it.
    pub token: String,
    /// Its vocabulary id.
    pub id: u32,
    /// Cosine of the angle, or dot product.
    pub value: f32,
}

/// What one learned vector resembles.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VirtualTokenReport {
    /// `h_0`, `h_1` …
    pub name: String,
    /// Euclidean length.
    pub norm: f32,
    /// The nearest words by cosine, nearest first.
    pub cosine: Vec<Near>,
    /// The words with the largest dot product, largest first.
    pub dot: Vec<Near>,
}

/// The template as encoded for one example.
///
/// # Errors
/// An example that does not go into the template.
pub fn encoding(
    backbone: &Backbone,
    prompt: &Prompt,
    fields: &Fields,
) -> Result<Vec<Position>, Error> {
    let tokenizer = &backbone.tokenizer;
    let encoded = prompt
        .template
        .encode(fields, tokenizer)
        .map_err(|source| Error::Encode { place: "the example".to_owned(), source })?;
    let mask = tokenizer.special().mask;
    let describe = |(position, &id): (usize, &u32)| {
        let slot = encoded.slots.iter().find(|slot| slot.position == position);
        let span = encoded.text.iter().find(|span| span.positions.contains(&position));
        let predicts = position == encoded.answer;
        let (role, field) = match (slot, span.map(|span| &span.part)) {
            (Some(_), _) => ("virtual", None),
            (None, Some(Part::Anchor)) => ("anchor", None),
            (None, Some(Part::Input(field))) => ("input", Some(field.clone())),
            (None, None) if predicts && Some(id) == mask => ("mask", None),
            (None, None) => ("special", None),
        };
        let token = match slot {
            Some(slot) => prompt.template.virtual_tokens()[slot.virtual_token].name.clone(),
            None => tokenizer.token(id).unwrap_or_else(|| format!("<{id}>")),
        };
        Position { position, role, id: slot.is_none().then_some(id), token, field, predicts }
    };
    Ok(encoded.ids.iter().enumerate().map(describe).collect())
}

/// The `k` words nearest to each learned vector; none to a prefix, whose keys and values are no words'.
pub fn nearest_words(backbone: &Backbone, prompt: &Prompt, k: usize) -> Vec<VirtualTokenReport> {
    let vectors = prompt.vectors.as_ref().filter(|_| prompt.template.template().prefix() == 0);
    let Some(vectors) = vectors else {
        return Vec::new();
    };
    let table = backbone.model.word_embeddings();
    let length = |x: Tensor<2>| x.square().sum_dim(1).sqrt().clamp_min(1e-12);
    let norms: Vec<f32> = length(vectors.clone()).into_data().iter().collect();
    let dot = vectors.clone().matmul(table.clone().transpose());
    let cosine = dot.clone() / length(vectors.clone()) / length(table).transpose();
    let [_, vocab] = dot.dims();
    let best = |scores: Tensor<2>| -> Vec<Vec<Near>> {
        let values: Vec<f32> = scores.into_data().iter().collect();
        values.chunks(vocab).map(|row| top(backbone, row, k)).collect()
    };
    let reports = prompt.template.virtual_tokens().iter().zip(norms);
    let words = best(cosine).into_iter().zip(best(dot));
    reports
        .zip(words)
        .map(|((token, norm), (cosine, dot))| VirtualTokenReport {
            name: token.name.clone(),
            norm,
            cosine,
            dot,
        })
        .collect()
}

fn top(backbone: &Backbone, row: &[f32], k: usize) -> Vec<Near> {
    let mut scores: Vec<(u32, f32)> = (0u32..).zip(row.iter().copied()).collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let near = |(id, value): (u32, f32)| Near {
        token: backbone.tokenizer.token(id).unwrap_or_else(|| format!("<{id}>")),
        id,
        value,
    };
    scores.into_iter().take(k).map(near).collect()
}
