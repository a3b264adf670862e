//! Whole answers of a masked language model: as many places as an answer has tokens, one asked at a time.
//!
//! What is asked of a place depends on the answer's other tokens ([`MaskedScoring`]); answers that differ
//! in nothing else ask the same question, which is put once.

use std::collections::HashMap;

use super::ask::{Question, with_places};
use super::{MaskedScoring, Scorer};
use crate::template::Encoded;

impl Scorer<'_> {
    /// The score of the right answer behind each input.
    pub(super) fn masked_scores(&self, contexts: &[&Encoded], right: &[usize]) -> Vec<f32> {
        let place = |(context, &answer): (usize, &usize)| {
            let places = 0..self.set.tokens()[answer].len();
            places.map(move |place| Asked { context, answer, place })
        };
        let asked: Vec<Asked> = right.iter().enumerate().flat_map(place).collect();
        let mut sums = vec![0.0; right.len()];
        for (asked, found) in asked.iter().zip(self.places(contexts, &asked)) {
            sums[asked.context] += found;
        }
        right.iter().zip(sums).map(|(&answer, sum)| self.score(answer, sum)).collect()
    }

    /// The score of each answer, −∞ for those that are provably not above `floor`.
    pub(super) fn masked(&self, context: &Encoded, floor: f32) -> Vec<f32> {
        let answers = self.set.tokens();
        let mut sums = vec![0.0; answers.len()];
        let mut alive: Vec<usize> = (0..answers.len()).collect();
        for place in 0..self.set.longest() {
            let longer = alive.iter().filter(|&&answer| answers[answer].len() > place);
            let asked: Vec<Asked> =
                longer.map(|&answer| Asked { context: 0, answer, place }).collect();
            for (asked, found) in asked.iter().zip(self.places(&[context], &asked)) {
                sums[asked.answer] += found;
            }
            alive.retain(|&answer| self.score(answer, sums[answer]) > floor);
        }
        let mut scores = vec![f32::NEG_INFINITY; answers.len()];
        for answer in alive {
            scores[answer] = self.score(answer, sums[answer]);
        }
        scores
    }

    /// The log-probability of one token of an answer each.
    fn places(&self, contexts: &[&Encoded], asked: &[Asked]) -> Vec<f32> {
        let mut known: HashMap<(usize, Places), usize> = HashMap::new();
        let mut questions: Vec<(Asked, Places, Vec<u32>)> = Vec::new();
        let mut where_found = Vec::with_capacity(asked.len());
        for one in asked {
            let tokens = &self.set.tokens()[one.answer];
            let places = self.others(tokens, one.place);
            let next = questions.len();
            let question = *known.entry((one.context, places.clone())).or_insert(next);
            if question == next {
                questions.push((*one, places, Vec::new()));
            }
            let wanted = &mut questions[question].2;
            where_found.push((question, wanted.len()));
            wanted.push(tokens[one.place]);
        }
        let question = |(one, places, wanted): (Asked, Places, Vec<u32>)| {
            let context = contexts[one.context];
            let asked = vec![(context.answer + one.place, wanted)];
            Question::new(with_places(context, &places), asked)
        };
        let questions: Vec<Question> = questions.into_iter().map(question).collect();
        let found = self.ask(&questions);
        where_found.into_iter().map(|(question, index)| found[question][index]).collect()
    }

    /// What stands at the places of an answer when one of them is asked.
    fn others(&self, tokens: &[u32], asked: usize) -> Places {
        let scoring = self.scoring.masked.unwrap_or_default();
        let stands = |place: usize| match scoring {
            MaskedScoring::PseudoLikelihood => place != asked,
            MaskedScoring::LeftToRight => place < asked,
        };
        let other = |(place, &token): (usize, &u32)| stands(place).then_some(token);
        tokens.iter().enumerate().map(other).collect()
    }
}

/// The places of an answer, filled or masked.
type Places = Vec<Option<u32>>;

/// A token of an answer, behind an input.
#[derive(Debug, Clone, Copy)]
struct Asked {
    context: usize,
    answer: usize,
    place: usize,
}
