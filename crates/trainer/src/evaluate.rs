//! Scoring a prompt: ranks of the right answers among the candidates.

use std::collections::HashMap;

use burn::tensor::Tensor;
use ptuning_core::language_model::LanguageModel;
use ptuning_core::objective::{Scores, cross_entropy, ids, ranks};
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::template::{Encoded, Row};
use ptuning_core::verbalizer::OpenVocabulary;
use serde::Serialize;

use crate::error::Error;
use crate::prompt::Prompt;
use crate::settings::Split;
use crate::task::{Counts, Item, Majority, Task};

/// Ranks (from 0) and losses of items, in their order.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// How many candidates score strictly higher than the right answer.
    pub ranks: Vec<usize>,
    /// Cross-entropy over the whole vocabulary, in nats.
    pub losses: Vec<f32>,
}

impl Outcome {
    /// Summed up.
    pub fn scores(&self) -> Scores {
        Scores::new(&self.ranks, &self.losses)
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
    verbalizer: &OpenVocabulary,
    batch_size: usize,
) -> Outcome {
    let candidates = verbalizer.tensor(&lm.device());
    let inputs = distinct_inputs(items);
    let mut outcome = Outcome { ranks: vec![0; items.len()], losses: vec![0.0; items.len()] };
    for batch in inputs.chunks(batch_size.max(1)) {
        let encoded: Vec<&Encoded> = batch.iter().map(|same| &items[same[0]].encoded).collect();
        let logits = answer_logits(lm, prompt, &encoded);
        // One row for each item: an input that several items ask is repeated here, not computed.
        let rows = (0u32..).zip(batch).flat_map(|(row, same)| same.iter().map(move |_| row));
        let logits = match batch.iter().all(|same| same.len() == 1) {
            true => logits,
            false => logits.select(0, ids(&rows.collect::<Vec<_>>(), &lm.device())),
        };
        let indices = batch.concat();
        let answers: Vec<u32> = indices.iter().map(|&index| items[index].answer).collect();
        let losses = cross_entropy(logits.clone(), &answers).into_data();
        let found = ranks(logits, &answers, candidates.as_ref());
        for ((index, rank), loss) in indices.into_iter().zip(found).zip(losses.iter::<f32>()) {
            outcome.ranks[index] = rank;
            outcome.losses[index] = loss;
        }
    }
    outcome
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

/// A prompt's scores on one split, beside its controls on the same examples and candidates.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// Which split.
    pub split: Split,
    /// Examples used and dropped.
    pub counts: Counts,
    /// Candidates ranked; `None` for the whole vocabulary.
    pub candidates: Option<usize>,
    /// The trained prompt; `None` when only the manual template was scored.
    pub prompt: Option<Scores>,
    /// The manual template, tuning-free.
    pub manual: Option<Scores>,
    /// The manual template's text.
    pub manual_template: Option<String>,
    /// The majority of the train split; its loss is not defined and reported as 0.
    pub majority: Scores,
    /// What the majority answers.
    pub majority_answer: Option<String>,
}

/// Judges a prompt on a split, or the manual template alone.
///
/// # Errors
/// A split without usable examples, a template that does not bind.
pub fn evaluate(task: &Task, prompt: Option<&Prompt>, split: Split) -> Result<Evaluation, Error> {
    let settings = &task.settings;
    let lm = task.backbone.model.as_ref();
    let batch_size = settings.eval.batch_size;
    let manual = manual_template(task, prompt.is_none())?;
    // Which examples count is decided once, by the template that is judged.
    let judged = match (prompt, &manual) {
        (Some(prompt), _) => &prompt.template,
        (None, Some((template, _))) => template,
        (None, None) => return Err(Error::NothingToLearn),
    };
    let verbalizer = task.verbalizer(judged);
    let (items, counts) = task.encode(split, judged, &verbalizer)?;
    let (train, _) = task.encode(Split::Train, judged, &verbalizer)?;
    let majority = Majority::new(&train);
    let majority_ranks: Vec<usize> = items.iter().map(|item| majority.rank(item.answer)).collect();

    let scores = prompt.map(|prompt| {
        outcome(lm, prompt.vectors.as_ref(), &items, &verbalizer, batch_size).scores()
    });
    let (manual_scores, manual_template) = match manual {
        None => (None, None),
        Some((template, text)) => {
            let items = same_examples(task, split, &template, &items)?;
            let verbalizer = task.verbalizer(&template);
            (Some(outcome(lm, None, &items, &verbalizer, batch_size).scores()), Some(text))
        }
    };
    Ok(Evaluation {
        split,
        counts,
        candidates: verbalizer.len(),
        prompt: scores,
        manual: manual_scores,
        manual_template,
        majority: Scores::new(&majority_ranks, &vec![0.0; majority_ranks.len()]),
        majority_answer: majority.answer(&task.backbone.tokenizer),
    })
}

/// Meets everything that judging the trained prompt could trip over, before it is trained.
///
/// # Errors
/// As [`evaluate`], for each of `eval.splits`.
pub fn check(task: &Task) -> Result<(), Error> {
    let template = task.bind("template.text", &task.settings.template.text)?;
    let verbalizer = task.verbalizer(&template);
    let manual = manual_template(task, false)?;
    for &split in &task.settings.eval.splits {
        let (items, _) = task.encode(split, &template, &verbalizer)?;
        if let Some((manual, _)) = &manual {
            same_examples(task, split, manual, &items)?;
        }
    }
    Ok(())
}

/// The manual template to compare with; when it is all there is to score, the config's own template
/// if that is plain words, else `eval.manual`.
fn manual_template(
    task: &Task,
    alone: bool,
) -> Result<Option<(ptuning_core::template::BoundTemplate, String)>, Error> {
    let settings = &task.settings;
    if alone {
        let own = task.bind("template.text", &settings.template.text)?;
        if own.prompt_len() == 0 {
            return Ok(Some((own, settings.template.text.clone())));
        }
        if settings.eval.manual.is_none() {
            return Err(Error::UntrainedVirtualTokens { setting: "template.text" });
        }
    }
    let Some(text) = &settings.eval.manual else {
        return Ok(None);
    };
    let template = task.bind("eval.manual", text)?;
    if template.prompt_len() > 0 {
        return Err(Error::UntrainedVirtualTokens { setting: "eval.manual" });
    }
    Ok(Some((template, text.clone())))
}

/// The same examples in another template. An answer that is several tokens there is left out of
/// both only if the judged template dropped it too, so counts stay comparable.
fn same_examples(
    task: &Task,
    split: Split,
    template: &ptuning_core::template::BoundTemplate,
    judged: &[Item],
) -> Result<Vec<Item>, Error> {
    let verbalizer = OpenVocabulary::whole();
    let (items, _) = task.encode(split, template, &verbalizer)?;
    let kept =
        |item: &Item| judged.binary_search_by_key(&item.index, |judged| judged.index).is_ok();
    Ok(items.into_iter().filter(kept).collect())
}
