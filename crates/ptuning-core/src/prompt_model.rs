//! A prompt in front of, around and inside the input of a frozen language model.

use burn::tensor::{Int, Tensor, TensorData};

use crate::language_model::LanguageModel;
use crate::splice::splice;
use crate::template::Encoded;

/// Logits of the vocabulary at the answer of each example.
///
/// This is the one path of training, evaluation and prediction: embed, splice, layers, and only
/// the answer rows to the head. Pass a prompt tracked by autodiff to train it; without one
/// (`None`, a discrete template) nothing is tracked.
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
    let layout = Encoded::layout(batch.iter().copied());
    let device = lm.device();
    let mut padded = vec![0i64; layout.batch() * layout.seq];
    for (row, encoded) in padded.chunks_mut(layout.seq).zip(batch) {
        for (cell, &id) in row.iter_mut().zip(&encoded.ids) {
            *cell = i64::from(id);
        }
    }
    let ids = TensorData::new(padded, [layout.batch(), layout.seq]);
    let mut embeddings = lm.embed(Tensor::<2, Int>::from_data(ids, &device));
    if let Some(prompt) = prompt {
        embeddings = splice(embeddings, prompt.clone(), batch);
    }
    lm.head(lm.encode(embeddings, &layout))
}
