//! Answers to new inputs.

use burn::tensor::Tensor;
use ptuning_core::language_model::Tokenize;
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::template::{BoundTemplate, Encoded, Fields};
use ptuning_core::verbalizer::{Label, LabelWord, LabelWords, Verbalizer};
use serde::Serialize;

use backbone::Backbone;

use crate::error::Error;
use crate::prompt::Prompt;

/// One possible answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The word, without the space in front.
    pub word: String,
    /// Its vocabulary id, or that of its first token.
    pub id: u32,
    /// Softmax over the candidates.
    pub probability: f32,
}

/// A label and how probable it is among all labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelProbability {
    /// Its name.
    pub label: String,
    /// Softmax over the labels.
    pub probability: f32,
}

/// The best answers to one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The input's fields.
    pub input: Fields,
    /// The template with the input in it.
    pub filled: String,
    /// The best answers, best first; where answers are labels, the words that stand for them, none of label
    /// vectors.
    pub answers: Vec<Answer>,
    /// The labels, best first, where answers are labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelProbability>,
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
    let encoded = encode_inputs(backbone, &prompt.template, inputs)?;
    let mut predictions = Vec::with_capacity(inputs.len());
    let template = prompt.template.template();
    for (inputs, encoded) in inputs.chunks(batch_size.max(1)).zip(encoded.chunks(batch_size.max(1)))
    {
        let encoded: Vec<&Encoded> = encoded.iter().collect();
        let (lm, vectors) = (prompt.language_model(backbone), prompt.vectors.as_ref());
        let said = prompt.verbalizer.said(lm, vectors, &encoded);
        let found = match &prompt.verbalizer {
            Verbalizer::Words(words) => {
                let top = rows(said).into_iter().map(|row| words.top(&row, k));
                top.map(|top| (answers(backbone, top), Vec::new())).collect()
            }
            Verbalizer::Labels(labels) => label_answers(labels, said, k),
        };
        for (input, (answers, labels)) in inputs.iter().zip(found) {
            let filled = template.filled(input);
            predictions.push(Prediction { input: input.clone(), filled, answers, labels });
        }
    }
    Ok(predictions)
}

/// Encodes inputs as a template has them.
///
/// # Errors
/// The first input that does not go into it.
pub(crate) fn encode_inputs(
    backbone: &Backbone,
    template: &BoundTemplate,
    inputs: &[Fields],
) -> Result<Vec<Encoded>, Error> {
    let encode = |fields: &Fields| {
        template.encode(fields, &backbone.tokenizer).map_err(|source| {
            let words: Vec<&str> = fields.values().map(String::as_str).collect();
            Error::Encode { place: format!("input \"{}\"", words.join("\", \"")), source }
        })
    };
    inputs.iter().map(encode).collect()
}

fn answers(backbone: &Backbone, top: Vec<(u32, f32)>) -> Vec<Answer> {
    let answer = |(id, probability): (u32, f32)| Answer {
        word: backbone.tokenizer.decode(&[id]).trim().to_owned(),
        id,
        probability,
    };
    top.into_iter().map(answer).collect()
}

/// For each row, the `k` best words of labels, and all labels.
fn label_answers(
    labels: &LabelWords,
    said: Tensor<2>,
    k: usize,
) -> Vec<(Vec<Answer>, Vec<LabelProbability>)> {
    if labels.is_soft() {
        let found = |scores: Vec<f32>| (Vec::new(), label_probabilities(labels, scores));
        return rows(labels.compared(said)).into_iter().map(found).collect();
    }
    let words = labels.compared(said);
    let scores = rows(labels.aggregated(words.clone()));
    let row = |(words, scores): (Vec<f32>, Vec<f32>)| {
        let word = |(word, score): (&LabelWord, f32)| Answer {
            word: word.text.clone(),
            id: word.id,
            probability: score.exp(),
        };
        let mut answers: Vec<Answer> = labels.words().zip(words).map(word).collect();
        answers.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        answers.truncate(k);
        (answers, label_probabilities(labels, scores))
    };
    rows(words).into_iter().zip(scores).map(row).collect()
}

/// Labels, best first.
fn label_probabilities(labels: &LabelWords, scores: Vec<f32>) -> Vec<LabelProbability> {
    let label = |(label, score): (&Label, f32)| LabelProbability {
        label: label.name.clone(),
        probability: score.exp(),
    };
    let mut found: Vec<LabelProbability> = labels.labels().iter().zip(scores).map(label).collect();
    found.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    found
}

fn rows(tensor: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, width] = tensor.dims();
    let values: Vec<f32> = tensor.into_data().iter().collect();
    values.chunks(width).map(<[f32]>::to_vec).collect()
}

/// Logits of the whole vocabulary at the answer of each encoded input, one row each.
pub fn logits(backbone: &Backbone, prompt: &Prompt, batch: &[&Encoded]) -> Vec<Vec<f32>> {
    rows(answer_logits(prompt.language_model(backbone), prompt.vectors.as_ref(), batch))
}
