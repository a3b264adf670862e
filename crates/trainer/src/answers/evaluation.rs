//! Every example of a split, its answer scored whole among all answers.

use burn::tensor::Tensor;
use ptuning_core::answers::{AnswerSet, MaskedScoring, Scorer, Scoring};
use ptuning_core::language_model::{LanguageModel, Objective};
use ptuning_core::objective::Scores;
use ptuning_core::template::{BoundTemplate, Encoded};
use serde::Serialize;

use super::with_room_for;
use crate::error::Error;
use crate::prompt::Prompt;
use crate::settings::{EvalAnswers, Split};
use crate::task::{Counts, Item, Majority, Task};

/// Scores where answers may be of any number of tokens; a loss is minus the score of the whole answer.
#[derive(Debug, Clone, Serialize)]
pub struct WholeEvaluation {
    /// Examples used and dropped.
    pub counts: Counts,
    /// Answers ranked.
    pub candidates: usize,
    /// How tokens were asked for.
    pub scoring: MaskedScoring,
    /// Whether answers were compared by the mean over their tokens.
    pub length_normalisation: bool,
    /// The trained prompt; `None` when only the manual template was scored.
    pub prompt: Option<Scores>,
    /// The manual template, tuning-free.
    pub manual: Option<Scores>,
    /// The majority of the train split; its loss is not defined and reported as 0.
    pub majority: Scores,
    /// What the majority answers.
    pub majority_answer: Option<String>,
}

/// Judges a prompt, the manual template, or both beside each other; `None` where the settings ask for
/// answers of one token alone.
///
/// # Errors
/// A template that has no room for the longest answer, or a language model that cannot be asked for it.
pub fn evaluate(
    task: &Task,
    prompt: Option<&Prompt>,
    manual: Option<&BoundTemplate>,
    split: Split,
) -> Result<Option<WholeEvaluation>, Error> {
    let Some(scoring) = scoring(task)? else { return Ok(None) };
    let frozen = task.backbone.model.as_ref();
    // Which examples count is decided by the template that is judged.
    let Some(judged) = prompt.map(|prompt| &prompt.template).or(manual) else { return Ok(None) };
    let (set, template) = ready(task, judged, frozen)?;
    let (items, counts) = task.encode_whole(split, &template, &set)?;
    let (train, _) = task.encode_whole(Split::Train, &template, &set)?;
    let majority = Majority::new(&train);
    let ranks: Vec<usize> = items.iter().map(|item| majority.rank(item.answer)).collect();
    let prompted = prompt.map(|prompt| {
        let lm = prompt.language_model(&task.backbone);
        scores(lm, prompt.vectors.as_ref(), &set, &items, scoring)
    });
    let manual = manual.map(|manual| -> Result<Scores, Error> {
        let (set, template) = ready(task, manual, frozen)?;
        let (items, _) = task.encode_whole(split, &template, &set)?;
        Ok(scores(frozen, None, &set, &items, scoring))
    });
    Ok(Some(WholeEvaluation {
        counts,
        candidates: set.len(),
        scoring: match frozen.objective() {
            Objective::Causal => MaskedScoring::LeftToRight,
            Objective::Masked => scoring.masked.unwrap_or_default(),
        },
        length_normalisation: scoring.normalised,
        prompt: prompted,
        manual: manual.transpose()?,
        majority: Scores::new(&ranks, &vec![0.0; ranks.len()]),
        majority_answer: majority
            .most_frequent()
            .map(|number| set.texts()[number as usize].clone()),
    }))
}

/// Meets everything that judging a template could trip over.
///
/// # Errors
/// As [`evaluate`].
pub fn check(task: &Task, template: &BoundTemplate, split: Split) -> Result<(), Error> {
    if scoring(task)?.is_none() {
        return Ok(());
    }
    let lm = task.backbone.model.as_ref();
    let (set, template) = ready(task, template, lm)?;
    task.encode_whole(split, &template, &set)?;
    Ok(())
}

/// What the settings say about scoring, if answers of several tokens count.
fn scoring(task: &Task) -> Result<Option<Scoring>, Error> {
    let EvalAnswers::All { scoring, length_normalisation } = task.settings.eval.answers else {
        return Ok(None);
    };
    let batch_size = task.settings.eval.batch_size;
    let scoring = Scoring { masked: scoring, normalised: length_normalisation, batch_size };
    let lm = task.backbone.model.as_ref();
    scoring.check(lm).map_err(Error::answers("eval.scoring"))?;
    Ok(Some(scoring))
}

fn ready(
    task: &Task,
    template: &BoundTemplate,
    lm: &dyn LanguageModel,
) -> Result<(AnswerSet, BoundTemplate), Error> {
    let set = task.answer_set(template)?;
    let template = with_room_for(&set, template, lm, &task.backbone, "eval.answers")?;
    Ok((set, template))
}

fn scores(
    lm: &dyn LanguageModel,
    prompt: Option<&Tensor<2>>,
    set: &AnswerSet,
    items: &[Item],
    scoring: Scoring,
) -> Scores {
    let contexts: Vec<&Encoded> = items.iter().map(|item| &item.encoded).collect();
    let right: Vec<usize> = items.iter().map(|item| item.answer as usize).collect();
    let found = Scorer::new(lm, prompt, set, scoring).ranks(&contexts, &right);
    let ranks: Vec<usize> = found.iter().map(|found| found.rank).collect();
    let losses: Vec<f32> = found.iter().map(|found| -found.score).collect();
    Scores::new(&ranks, &losses)
}
