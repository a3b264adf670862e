//! A prompt in front of, around and inside the input of a frozen language model.

use burn::tensor::Tensor;

use crate::language_model::{Inputs, LanguageModel, Layout};
use crate::splice::splice;
use crate::template::{Encoded, Row};

/// Final hidden states at the answer of each example.
///
/// This is the one path of training, evaluation and prediction: embed, splice, layers, and only
/// the answer rows go on to the head. Pass a prompt tracked by autodiff to train it; without one
/// (`None`, a discrete template) nothing is tracked.
///
/// # Shapes
/// - `prompt`: `[prompt, hidden]`, or `[prefix, prefix_width]` for templates with a prefix
/// - `batch`: `rows` encoded examples
/// - returns: `[rows, hidden]`
pub fn answer_states(
    lm: &dyn LanguageModel,
    prompt: Option<&Tensor<2>>,
    batch: &[&Encoded],
) -> Tensor<2> {
    let answers = batch.iter().enumerate().map(|(example, encoded)| (example, encoded.answer));
    states_at(lm, prompt, batch, answers.collect())
}

/// Final hidden states at several places of each example, as (example, position) in ascending order,
/// none of them in front of the example's `answer`.
///
/// # Shapes
/// - `prompt`: `[prompt, hidden]`
/// - `places`: `rows` of them
/// - returns: `[rows, hidden]`
pub fn states_at(
    lm: &dyn LanguageModel,
    prompt: Option<&Tensor<2>>,
    batch: &[&Encoded],
    places: Vec<(usize, usize)>,
) -> Tensor<2> {
    let (inputs, layout) = spliced(lm, prompt, batch);
    lm.encode(inputs, &Layout { answers: places, ..layout })
}

/// What `loss` says of [`answer_states`], by [`LanguageModel::loss_through`]: losses, `[rows]`, and the
/// objective, `[1]`, to call `backward` on for the gradient of the prompt.
///
/// # Shapes
/// - `prompt`: `[prompt, hidden]`, tracked by autodiff
/// - `batch`: `rows` encoded examples
pub fn answer_loss(
    lm: &dyn LanguageModel,
    prompt: &Tensor<2>,
    batch: &[&Encoded],
    loss: &mut dyn FnMut(Tensor<2>) -> (Tensor<1>, Tensor<1>),
) -> (Tensor<1>, Tensor<1>) {
    let (inputs, layout) = spliced(lm, Some(prompt), batch);
    lm.loss_through(inputs, &layout, loss)
}

/// A batch's embeddings with the prompt's vectors among them, or in front of them in every layer.
fn spliced(
    lm: &dyn LanguageModel,
    prompt: Option<&Tensor<2>>,
    batch: &[&Encoded],
) -> (Inputs, Layout) {
    let (layout, rows) = Encoded::layout(batch, lm.shares_prefix());
    let embeddings = lm.embed(&token_ids(&rows));
    let inputs = match prompt {
        Some(prompt) if layout.prefix > 0 => {
            let tracked = prompt.is_autodiff();
            let embeddings = if tracked { embeddings.autodiff() } else { embeddings };
            Inputs { embeddings, prefix: Some(prompt.clone()) }
        }
        Some(prompt) => splice(embeddings, prompt.clone(), &rows).into(),
        None => embeddings.into(),
    };
    (inputs, layout)
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
