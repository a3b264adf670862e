//! A causal language model goes on by itself: the likeliest answer step by step, or several side by side.

use burn::tensor::Tensor;

use super::ask::continued;
use super::{AnswersError, normalised};
use crate::language_model::{LanguageModel, Tokenize};
use crate::prompt_model::answer_logits;
use crate::template::Encoded;
use crate::verbalizer::OpenVocabulary;

/// How answers are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beams {
    /// How many are kept at every step, at least 1; one is greedy search.
    pub beams: usize,
    /// Tokens after which an answer breaks off, at least 1.
    pub max_tokens: usize,
    /// Whether answers are compared by the mean of their log-probabilities, in place of the sum.
    pub normalised: bool,
}

/// An answer that a language model has written.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// Its tokens, without the one that ends it.
    pub tokens: Vec<u32>,
    /// The sum of their log-probabilities and, if it ended, of its end's, in nats.
    pub log_probability: f32,
    /// The same, or its mean over these tokens and the end.
    pub score: f32,
    /// Whether it came to an end by itself.
    pub ended: bool,
}

/// Answers behind an input, best first, as many as there are beams or fewer.
///
/// Beam search as in transformers: of the best `2 · beams` continuations of a step, those that end an
/// answer are kept aside if they are among the first `beams`, the others go on. It stops when nothing
/// that goes on can become better than what is kept. A special token or one with a line break ends an
/// answer.
///
/// # Errors
/// [`AnswersError::NoGeneration`] for a model that says one token.
pub fn generate(
    lm: &dyn LanguageModel,
    prompt: Option<&Tensor<2>>,
    context: &Encoded,
    tokenizer: &dyn Tokenize,
    options: Beams,
) -> Result<Vec<Generated>, AnswersError> {
    if lm.answers_in_one_token() {
        return Err(AnswersError::NoGeneration);
    }
    let Beams { beams, max_tokens, normalised: mean } = options;
    let ends =
        |token: u32| tokenizer.is_special(token) || tokenizer.decode(&[token]).contains('\n');
    let mut open = vec![(Vec::new(), 0.0f32)];
    let mut kept: Vec<Generated> = Vec::new();
    let best_first = |a: &Generated, b: &Generated| b.score.total_cmp(&a.score);
    for _ in 0..max_tokens {
        let mut steps = steps(lm, prompt, context, &open, 2 * beams);
        steps.sort_by(|a, b| b.2.total_cmp(&a.2));
        steps.truncate(2 * beams);
        let mut next = Vec::with_capacity(beams);
        for (rank, (beam, token, sum)) in steps.into_iter().enumerate() {
            let mut tokens: Vec<u32> = open[beam].0.clone();
            if !ends(token) {
                tokens.push(token);
                next.push((tokens, sum));
            } else if rank < beams {
                let score = normalised(sum, tokens.len() + 1, mean);
                kept.push(Generated { tokens, log_probability: sum, score, ended: true });
            }
        }
        next.truncate(beams);
        open = next;
        kept.sort_by(best_first);
        kept.truncate(beams);
        // A sum only falls; its mean is highest over as many tokens as there may be.
        let best = open.first().map(|(_, sum)| normalised(*sum, max_tokens, mean));
        let full = kept.len() == beams;
        let settled = kept.last().zip(best).is_some_and(|(kept, best)| kept.score >= best);
        // Greedy search ends where its best token ends the answer.
        if open.is_empty() || full && (settled || beams == 1) {
            open.clear();
            break;
        }
    }
    let broken_off = open.into_iter().map(|(tokens, sum)| {
        let score = normalised(sum, tokens.len(), mean);
        Generated { tokens, log_probability: sum, score, ended: false }
    });
    kept.extend(broken_off);
    kept.sort_by(best_first);
    kept.truncate(beams);
    Ok(kept)
}

/// The best `count` tokens behind each beam: the beam, the token, and the sum with it.
fn steps(
    lm: &dyn LanguageModel,
    prompt: Option<&Tensor<2>>,
    context: &Encoded,
    open: &[(Vec<u32>, f32)],
    count: usize,
) -> Vec<(usize, u32, f32)> {
    let behind = |(tokens, _): &(Vec<u32>, f32)| {
        let encoded = continued(context, tokens);
        Encoded { answer: encoded.ids.len() - 1, ..encoded }
    };
    let encoded: Vec<Encoded> = open.iter().map(behind).collect();
    let logits = answer_logits(lm, prompt, &encoded.iter().collect::<Vec<_>>());
    let [_, vocab] = logits.dims();
    let logits: Vec<f32> = logits.into_data().iter().collect();
    let words = OpenVocabulary::whole();
    let of_beam = |(beam, row): (usize, &[f32])| {
        let sum = open[beam].1;
        let top = words.top(row, count).into_iter();
        top.map(move |(token, probability)| (beam, token, sum + probability.ln()))
    };
    logits.chunks(vocab).enumerate().flat_map(of_beam).collect()
}
