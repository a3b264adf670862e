//! A prompt in front of, around and inside the input of a frozen language model.

use burn::tensor::Tensor;

use crate::language_model::LanguageModel;
use crate::splice::splice;
use crate::template::{Encoded, Row};

/// Final hidden states at the answer of each example.
///
/// This is the one path of training, evaluation and prediction: embed, splice, layers, and only
/// the answer rows go on to the head. Pass a prompt tracked by autodiff to train it; without one
/// (`None`, a discrete template) nothing is tracked.
///
/// # Shapes
/// - `prompt`: `[prompt, hidden]`
/// - `batch`: `rows` encoded examples
/// - returns: `[rows, hidden]`
pub fn answer_states(
    lm: &dyn LanguageModel,
    prompt: Option<&Tensor<2>>,
    batch: &[&Encoded],
) -> Tensor<2> {
    let (layout, rows) = Encoded::layout(batch, lm.shares_prefix());
    let mut embeddings = lm.embed(&token_ids(&rows));
    if let Some(prompt) = prompt {
        embeddings = splice(embeddings, prompt.clone(), &rows);
    }
    lm.encode(embeddings, &layout)
}

/// Logits of the vocabulary at the answer of each example: the head on [`answer_states`].
///
/// # Shapes
/// - `prompt`: `[prompt, hidden]`
/// - `batch`: `rows` encoded examples
/// - returns: `[rows, vocab]`
pub fn answer_logits(
    lm: &dyn LanguageModel,
    prompt: Option<&Tensor<2>>,
    batch: &[&Encoded],
) -> Tensor<2> {
    lm.head(answer_states(lm, prompt, batch))
}

/// Vocabulary ids of rows; a virtual token's is 0, and its embedding is replaced.
fn token_ids(rows: &[Row]) -> Vec<u32> {
    let id = |row: &Row| match row {
        Row::Token(id) => *id,
        Row::Virtual(_) => 0,
    };
    rows.iter().map(id).collect()
}
