//! Asking a language model for the probabilities of tokens at places of a sequence.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use crate::language_model::LanguageModel;
use crate::prompt_model::states_at;
use crate::template::{Encoded, Slot, TextSpan};

/// A sequence, and what is asked about it.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// The sequence; its `answer` is the first position that is asked.
    encoded: Encoded,
    /// Positions whose rows answer, ascending, each with the tokens asked for; never empty.
    asked: Vec<(usize, Vec<u32>)>,
}

impl Question {
    pub fn new(mut encoded: Encoded, asked: Vec<(usize, Vec<u32>)>) -> Self {
        encoded.answer = asked.first().map_or(encoded.answer, |(position, _)| *position);
        Self { encoded, asked }
    }
}

/// Log-probabilities of all tokens asked for, question by question, in the order asked.
pub(super) fn log_probabilities(
    lm: &dyn LanguageModel,
    prompt: Option<&Tensor<2>>,
    questions: &[Question],
    batch_size: usize,
) -> Vec<Vec<f32>> {
    let batches = questions.chunks(batch_size.max(1));
    batches.flat_map(|batch| log_probabilities_of_batch(lm, prompt, batch)).collect()
}

fn log_probabilities_of_batch(
    lm: &dyn LanguageModel,
    prompt: Option<&Tensor<2>>,
    batch: &[Question],
) -> Vec<Vec<f32>> {
    let encoded: Vec<&Encoded> = batch.iter().map(|question| &question.encoded).collect();
    let places = batch.iter().enumerate().flat_map(|(example, question)| {
        question.asked.iter().map(move |(position, _)| (example, *position))
    });
    let logits = lm.head(states_at(lm, prompt, &encoded, places.collect()));
    let [_, vocab] = logits.dims();
    // One number for each token asked for, so that no row of a vocabulary leaves the device.
    let rows = batch.iter().flat_map(|question| &question.asked).enumerate();
    let cells = rows.flat_map(|(row, (_, tokens))| {
        tokens.iter().map(move |&token| (row * vocab + token as usize) as i64)
    });
    let cells: Vec<i64> = cells.collect();
    let count = cells.len();
    let cells = Tensor::<1, Int>::from_data(TensorData::new(cells, [count]), &logits.device());
    let found = log_softmax(logits, 1).flatten::<1>(0, 1).select(0, cells).into_data();
    let mut found = found.iter::<f32>();
    let of = |question: &Question| {
        let count = question.asked.iter().map(|(_, tokens)| tokens.len()).sum();
        found.by_ref().take(count).collect()
    };
    batch.iter().map(of).collect()
}

/// A causal model's input with the first tokens of an answer behind it. The row at
/// `context.answer + i` says what comes behind `i` of them.
pub(super) fn continued(context: &Encoded, tokens: &[u32]) -> Encoded {
    let mut encoded = context.clone();
    encoded.ids.truncate(context.answer + 1);
    encoded.ids.extend(tokens);
    encoded
}

/// A masked model's input with an answer of several places, some of them filled and the others masked.
/// Place `i` stands at `context.answer + i`.
pub(super) fn with_places(context: &Encoded, places: &[Option<u32>]) -> Encoded {
    let (answer, more) = (context.answer, places.len().saturating_sub(1));
    let mask = context.ids[answer];
    let moved = |position: usize| if position > answer { position + more } else { position };
    let places = places.iter().map(|place| place.unwrap_or(mask));
    let mut ids = context.ids[..answer].to_vec();
    ids.extend(places);
    ids.extend(&context.ids[answer + 1..]);
    let slot = |slot: &Slot| Slot { position: moved(slot.position), ..*slot };
    let span = |span: &TextSpan| TextSpan {
        part: span.part.clone(),
        positions: moved(span.positions.start)..moved(span.positions.end - 1) + 1,
    };
    Encoded {
        ids,
        slots: context.slots.iter().map(slot).collect(),
        text: context.text.iter().map(span).collect(),
        answer,
        prefix: context.prefix,
        shortened: context.shortened.clone(),
    }
}
