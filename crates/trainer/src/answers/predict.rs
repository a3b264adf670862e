//! Answers of several tokens to new inputs: ranked among given ones, or written by the model.

use std::collections::HashSet;

use backbone::Backbone;
use ptuning_core::answers::{
    AnswerSet, Beams, FillOrder, Filled, Generated, Scorer, Scoring, fill, generate, with_room,
};
use ptuning_core::language_model::{Objective, Tokenize};
use ptuning_core::template::{Encoded, Fields};
use serde::Serialize;

use super::with_room_for;
use crate::error::Error;
use crate::predict::encode_inputs;
use crate::prompt::Prompt;

/// A given answer and its score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankedAnswer {
    /// As given.
    pub answer: String,
    /// Its tokens.
    pub tokens: Vec<String>,
    /// The sum of their log-probabilities, or the mean, in nats.
    pub score: f32,
    /// Softmax of the scores of all given answers.
    pub probability: f32,
}

/// Given answers to one input, best first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking {
    /// The input's fields.
    pub input: Fields,
    /// The template with the input in it.
    pub filled: String,
    /// The best of the answers.
    pub answers: Vec<RankedAnswer>,
}

/// Ranks `words` behind each input and keeps the best `k`.
///
/// # Errors
/// An input that does not go into the template with the longest word, or words that the language model
/// cannot be asked for.
pub fn rank_answers(
    backbone: &Backbone,
    prompt: &Prompt,
    inputs: &[Fields],
    words: &[String],
    scoring: Scoring,
    k: usize,
) -> Result<Vec<Ranking>, Error> {
    let (lm, tokenizer) = (prompt.language_model(backbone), &backbone.tokenizer);
    let words = words.iter().map(String::as_str);
    let place = "--answers";
    let set = AnswerSet::new(words, &prompt.template, tokenizer).map_err(Error::answers(place))?;
    let template = with_room_for(&set, &prompt.template, lm, backbone, place)?;
    scoring.check(lm).map_err(Error::answers("--scoring"))?;
    let scorer = Scorer::new(lm, prompt.vectors.as_ref(), &set, scoring);
    let contexts = encode_inputs(backbone, &template, inputs)?;
    let ranking = |(input, context): (&Fields, &Encoded)| {
        let scores = scorer.scores(context);
        let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = scores.iter().map(|score| f64::from(score - max).exp()).sum();
        let mut best: Vec<usize> = (0..scores.len()).collect();
        best.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let answer = |number: usize| RankedAnswer {
            answer: set.texts()[number].clone(),
            tokens: token_texts(&set.tokens()[number], tokenizer),
            score: scores[number],
            probability: (f64::from(scores[number] - max).exp() / sum) as f32,
        };
        Ranking {
            input: input.clone(),
            filled: template.template().filled(input),
            answers: best.into_iter().take(k).map(answer).collect(),
        }
    };
    Ok(inputs.iter().zip(&contexts).map(ranking).collect())
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Answers kept side by side, for a causal model.
    pub beams: usize,
    /// Most tokens of an answer.
    pub max_tokens: usize,
    /// Whether answers are compared by the mean over their tokens.
    pub normalised: bool,
    /// Which mask is filled next, for a masked model.
    pub order: FillOrder,
}

/// An answer that the model has written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WrittenAnswer {
    /// Without blanks around it.
    pub answer: String,
    /// Its tokens.
    pub tokens: Vec<String>,
    /// The sum of log-probabilities of the tokens and, where it came to one, of its end, or the mean.
    pub score: f32,
    /// Whether it came to its end before it broke off, for a causal model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<bool>,
    /// Its places in the order in which they were filled, for a masked model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<usize>>,
}

/// Answers written for one input, best first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Written {
    /// The input's fields.
    pub input: Fields,
    /// The template with the input in it.
    pub filled: String,
    /// The answers: one for each beam, or for each number of masks.
    pub answers: Vec<WrittenAnswer>,
}

/// Has the language model write answers: a causal one by beam search, a masked one with one mask, two,
/// and so on.
///
/// # Errors
/// An input that does not go into the template with `max_tokens` behind it, or an encoder–decoder.
pub fn write_answers(
    backbone: &Backbone,
    prompt: &Prompt,
    inputs: &[Fields],
    generation: Generation,
) -> Result<Vec<Written>, Error> {
    let (lm, tokenizer) = (prompt.language_model(backbone), &backbone.tokenizer);
    let Generation { beams, max_tokens, normalised, order } = generation;
    let template = with_room(&prompt.template, tokenizer, lm.max_positions(), max_tokens)
        .map_err(Error::answers("--max-tokens"))?;
    let contexts = encode_inputs(backbone, &template, inputs)?;
    let vectors = prompt.vectors.as_ref();
    let causal = |context: &Encoded| -> Result<Vec<WrittenAnswer>, Error> {
        let options = Beams { beams, max_tokens, normalised };
        let mut found = generate(lm, vectors, context, tokenizer, options)
            .map_err(Error::answers("--generate"))?;
        // One answer may end in several ways: the likeliest of them, which stands first, is shown.
        let mut seen = HashSet::new();
        found.retain(|found| seen.insert(found.tokens.clone()));
        Ok(found.into_iter().map(|found| WrittenAnswer::generated(found, tokenizer)).collect())
    };
    let masked = |context: &Encoded| -> Result<Vec<WrittenAnswer>, Error> {
        let mut answers = Vec::with_capacity(max_tokens);
        for places in 1..=max_tokens {
            let found = fill(lm, vectors, context, tokenizer, places, order, normalised)
                .map_err(Error::answers("--generate"))?;
            answers.push(WrittenAnswer::filled(found, tokenizer));
        }
        answers.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(answers)
    };
    let written = |(input, context): (&Fields, &Encoded)| {
        Ok(Written {
            input: input.clone(),
            filled: template.template().filled(input),
            answers: match lm.objective() {
                Objective::Causal => causal(context)?,
                Objective::Masked => masked(context)?,
            },
        })
    };
    inputs.iter().zip(&contexts).map(written).collect()
}

impl WrittenAnswer {
    fn generated(found: Generated, tokenizer: &dyn Tokenize) -> Self {
        let (answer, tokens) = texts(&found.tokens, tokenizer);
        Self { answer, tokens, score: found.score, ended: Some(found.ended), order: None }
    }

    fn filled(found: Filled, tokenizer: &dyn Tokenize) -> Self {
        let (answer, tokens) = texts(&found.tokens, tokenizer);
        Self { answer, tokens, score: found.score, ended: None, order: Some(found.order) }
    }
}

fn texts(tokens: &[u32], tokenizer: &dyn Tokenize) -> (String, Vec<String>) {
    (tokenizer.decode(tokens).trim().to_owned(), token_texts(tokens, tokenizer))
}

/// Vocabulary entries as they are stored.
fn token_texts(tokens: &[u32], tokenizer: &dyn Tokenize) -> Vec<String> {
    let text = |&id: &u32| tokenizer.token(id).unwrap_or_else(|| id.to_string());
    tokens.iter().map(text).collect()
}
