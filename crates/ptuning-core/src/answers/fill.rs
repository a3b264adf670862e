//! A masked language model writes an answer of so many tokens by itself, one place at a time.

use burn::tensor::Tensor;

use super::ask::with_places;
use super::{AnswersError, normalised};
use crate::language_model::{LanguageModel, Tokenize};
use crate::prompt_model::states_at;
use crate::template::Encoded;

/// Which place is filled next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FillOrder {
    /// The one whose best token is the most probable (Jiang et al., "X-FACTR", 2020).
    #[default]
    Confidence,
    /// The first.
    LeftToRight,
}

/// An answer that a masked language model has filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Its places in the order in which they were filled.
    pub order: Vec<usize>,
    /// The sum of the log-probabilities with which they were, in nats.
    pub log_probability: f32,
    /// The same, or its mean over the tokens.
    pub score: f32,
}

/// Fills `places` masks at the answer, each with its best token that is not special.
///
/// # Errors
/// [`AnswersError::NoGeneration`] for a model that says one token.
pub fn fill(
    lm: &dyn LanguageModel,
    prompt: Option<&Tensor<2>>,
    context: &Encoded,
    tokenizer: &dyn Tokenize,
    places: usize,
    order: FillOrder,
    mean: bool,
) -> Result<Filled, AnswersError> {
    if lm.answers_in_one_token() {
        return Err(AnswersError::NoGeneration);
    }
    let mut tokens: Vec<Option<u32>> = vec![None; places];
    let (mut filled, mut sum) = (Vec::with_capacity(places), 0.0);
    while filled.len() < places {
        let open: Vec<usize> = (0..places).filter(|&place| tokens[place].is_none()).collect();
        let encoded = with_places(context, &tokens);
        let positions = open.iter().map(|place| (0, context.answer + place)).collect();
        let logits = lm.head(states_at(lm, prompt, &[&encoded], positions));
        let [_, vocab] = logits.dims();
        let logits: Vec<f32> = logits.into_data().iter().collect();
        let best = |row: &[f32]| best(row, |token| !tokenizer.is_special(token));
        let mut found = open.iter().zip(logits.chunks(vocab)).filter_map(|(&place, row)| {
            let (token, log_probability) = best(row)?;
            Some((place, token, log_probability))
        });
        let chosen = match order {
            FillOrder::LeftToRight => found.next(),
            // The first of equally sure ones.
            FillOrder::Confidence => found.reduce(|a, b| if b.2 > a.2 { b } else { a }),
        };
        let Some((place, token, log_probability)) = chosen else { break };
        tokens[place] = Some(token);
        filled.push(place);
        sum += log_probability;
    }
    Ok(Filled {
        tokens: tokens.into_iter().flatten().collect(),
        order: filled,
        log_probability: sum,
        score: normalised(sum, places, mean),
    })
}

/// The best token that is allowed, the first of equals, and its log-probability over all tokens.
fn best(logits: &[f32], allowed: impl Fn(u32) -> bool) -> Option<(u32, f32)> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - max).exp()).sum();
    // Only what is better than the best so far is asked about.
    let mut found: Option<(u32, f32)> = None;
    for (token, &logit) in (0u32..).zip(logits) {
        if found.is_none_or(|(_, best)| logit > best) && allowed(token) {
            found = Some((token, logit));
        }
    }
    found.map(|(token, logit)| (token, (f64::from(logit - max) - sum.ln()) as f32))
}
