//! What a prompt gives the answers of items: ranks, losses, and what it would have said.

use std::collections::HashMap;

use burn::tensor::{Int, Tensor};
use ptuning_core::language_model::LanguageModel;
use ptuning_core::objective::{Scores, cross_entropy, higher_rivals, ids, ranks_among};
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::template::{Encoded, Row};
use ptuning_core::verbalizer::{LabelWords, Verbalizer};

use crate::task::Item;

/// Ranks (from 0) and losses of items, in their order.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// How many candidates score strictly higher than the right answer.
    pub ranks: Vec<usize>,
    /// Cross-entropy over the whole vocabulary, or over the labels, in nats.
    pub losses: Vec<f32>,
    /// What scores highest among the candidates: a vocabulary id, or the number of a label.
    pub best: Vec<u32>,
    /// The ranks without an input's other right answers; `None` where no input has several.
    pub filtered: Option<Vec<usize>>,
    /// The answers asked for, where they are labels, and how many labels there are.
    labels: Option<(Vec<u32>, usize)>,
}

impl Outcome {
    /// Summed up.
    pub fn scores(&self) -> Scores {
        let scores = Scores::new(&self.ranks, &self.losses);
        let scores = match &self.filtered {
            Some(ranks) => scores.with_filtered(ranks),
            None => scores,
        };
        match &self.labels {
            Some((asked, labels)) => scores.with_macro_f1(asked, &self.best, *labels),
            None => scores,
        }
    }
}

/// Scores items with a prompt (`[prompt, hidden]`, without autodiff) or, for a discrete template,
/// without one.
///
/// Batches gather items of similar length, which changes no score.
pub fn outcome(
    lm: &dyn LanguageModel,
    prompt: Option<&Tensor<2>>,
    items: &[Item],
    verbalizer: &Verbalizer,
    batch_size: usize,
) -> Outcome {
    let [outcome] = outcomes(lm, prompt, items, [verbalizer], batch_size);
    outcome
}

/// As [`outcome`], by several verbalizers that number answers alike.
pub fn outcomes<const N: usize>(
    lm: &dyn LanguageModel,
    prompt: Option<&Tensor<2>>,
    items: &[Item],
    verbalizers: [&Verbalizer; N],
    batch_size: usize,
) -> [Outcome; N] {
    let mut judges = verbalizers.map(|verbalizer| Judge::new(verbalizer, items, lm));
    let inputs = distinct_inputs(items);
    for batch in inputs.chunks(batch_size.max(1)) {
        let encoded: Vec<&Encoded> = batch.iter().map(|same| &items[same[0]].encoded).collect();
        // One row for each item: an input that several items ask is repeated here, not computed.
        let rows = (0u32..).zip(batch).flat_map(|(row, same)| same.iter().map(move |_| row));
        let rows: Vec<u32> = rows.collect();
        let each = |said: Tensor<2>| match batch.iter().all(|same| same.len() == 1) {
            true => said,
            false => said.select(0, ids(&rows, &lm.device())),
        };
        let indices = batch.concat();
        // What the model says is asked for once: its logits, or the words of several tokens.
        let mut logits: Option<Tensor<2>> = None;
        let mut whole: Option<(LabelWords, Tensor<2>)> = None;
        for judge in &mut judges {
            let said = match judge.verbalizer.labels().filter(|labels| !labels.reads_logits()) {
                None => judge.verbalizer.of_logits(
                    logits.get_or_insert_with(|| each(answer_logits(lm, prompt, &encoded))).clone(),
                ),
                Some(labels) => {
                    let words = labels.uncalibrated();
                    match &whole {
                        Some((known, said)) if *known == words => said.clone(),
                        _ => {
                            let said = each(labels.said(lm, prompt, &encoded));
                            whole = Some((words, said.clone()));
                            said
                        }
                    }
                }
            };
            judge.see(items, &indices, said);
        }
    }
    judges.map(|judge| judge.outcome)
}

/// One verbalizer's view of what the language model says.
struct Judge<'a> {
    verbalizer: &'a Verbalizer,
    candidates: Option<(Vec<u32>, Tensor<1, Int>)>,
    /// Other right answers of each item, as far as they are candidates.
    rivals: Vec<Vec<u32>>,
    outcome: Outcome,
}

impl<'a> Judge<'a> {
    fn new(verbalizer: &'a Verbalizer, items: &[Item], lm: &dyn LanguageModel) -> Self {
        let labels = verbalizer.labels().map(|labels| {
            let asked: Vec<u32> = items.iter().map(|item| item.answer).collect();
            (asked, labels.labels().len())
        });
        let candidates = verbalizer.candidates().map(|all| {
            let tensor = ids(&all, &lm.device());
            (all, tensor)
        });
        let candidate = |&&rival: &&u32| match verbalizer {
            Verbalizer::Words(words) => words.contains(rival),
            Verbalizer::Labels(_) => false,
        };
        let rivals = |item: &Item| item.rivals.iter().filter(candidate).copied().collect();
        let rivals: Vec<Vec<u32>> = items.iter().map(rivals).collect();
        let filtered = rivals.iter().any(|rivals| !rivals.is_empty()).then(|| vec![0; items.len()]);
        let (ranks, losses, best) =
            (vec![0; items.len()], vec![0.0; items.len()], vec![0; items.len()]);
        let outcome = Outcome { ranks, losses, best, filtered, labels };
        Self { verbalizer, candidates, rivals, outcome }
    }

    /// Notes what the language model has said, one row for each of `indices`.
    fn see(&mut self, items: &[Item], indices: &[usize], said: Tensor<2>) {
        let answers: Vec<u32> = indices.iter().map(|&index| items[index].answer).collect();
        let scores = match self.verbalizer {
            Verbalizer::Words(_) => said,
            Verbalizer::Labels(labels) => labels.aggregated(labels.compared(said)),
        };
        let among = match &self.candidates {
            Some((_, candidates)) => scores.clone().select(1, candidates.clone()),
            None => scores.clone(),
        };
        let best = among.clone().argmax(1).into_data();
        let losses = cross_entropy(scores.clone(), &answers).into_data();
        let found = ranks_among(scores.clone(), &answers, among);
        let rows = indices.iter().zip(found).zip(best.iter::<i64>()).zip(losses.iter::<f32>());
        for (((&index, rank), best), loss) in rows {
            self.outcome.ranks[index] = rank;
            self.outcome.losses[index] = loss;
            self.outcome.best[index] = match &self.candidates {
                Some((all, _)) => all[best as usize],
                None => best as u32,
            };
        }
        if let Some(filtered) = &mut self.outcome.filtered {
            let rivals: Vec<&[u32]> = indices.iter().map(|&i| self.rivals[i].as_slice()).collect();
            for (&index, higher) in indices.iter().zip(higher_rivals(scores, &answers, &rivals)) {
                filtered[index] = self.outcome.ranks[index] - higher;
            }
        }
    }
}

/// Indices of the items that ask the same input, for each distinct input; inputs of similar length
/// stand together.
fn distinct_inputs(items: &[Item]) -> Vec<Vec<usize>> {
    let mut place: HashMap<Vec<Row>, usize> = HashMap::new();
    let mut inputs: Vec<Vec<usize>> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let next = inputs.len();
        let at = *place.entry(item.encoded.rows().collect()).or_insert(next);
        if at == next {
            inputs.push(Vec::new());
        }
        inputs[at].push(index);
    }
    inputs.sort_by_key(|same| items[same[0]].encoded.ids.len());
    inputs
}
