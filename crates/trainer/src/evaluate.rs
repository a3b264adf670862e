//! Scoring a prompt: ranks of the right answers among the candidates.

use ptuning_core::objective::Scores;
use ptuning_core::verbalizer::{OpenVocabulary, Verbalizer};
use serde::Serialize;

use crate::answers::{self, WholeEvaluation};
use crate::ensemble::Ensemble;
use crate::error::Error;
use crate::judged::{self, Judged, verdicts};
use crate::outcome::{outcome, outcomes};
use crate::prompt::Prompt;
use crate::settings::{EvalAnswers, Settings, Split, Strategy};
use crate::tagging::{self, TaggingEvaluation};
use crate::task::{Counts, Item, Majority, Task};
use crate::verbalize::{own, prepared};

/// A prompt's scores on one split, beside its controls on the same examples and candidates.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// Which split.
    pub split: Split,
    /// Examples used and dropped; sentences, where spans are asked about.
    pub counts: Counts,
    /// Candidates ranked, words or labels; `None` for the whole vocabulary.
    pub candidates: Option<usize>,
    /// The labels and their words, where answers are labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// What was trained, in short: `P-tuned`, `LM tuned`, `prompt+LM`, `labels tuned`.
    #[serde(skip)]
    pub trained: &'static str,
    /// The trained prompt; `None` when only the manual template was scored.
    pub prompt: Option<Scores>,
    /// The manual template, tuning-free.
    pub manual: Option<Scores>,
    /// The manual template without its words' prior, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncalibrated: Option<Scores>,
    /// The manual template with the labels' own words alone, where related ones were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_words: Option<Scores>,
    /// The manual template's text.
    pub manual_template: Option<String>,
    /// Several templates asked together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ensemble: Option<Ensemble>,
    /// The majority of the train split; its loss is not defined and reported as 0.
    pub majority: Scores,
    /// What the majority answers.
    pub majority_answer: Option<String>,
    /// The same with answers of any number of tokens, where the settings ask for it.
    #[serde(rename = "all_answers", skip_serializing_if = "Option::is_none")]
    pub all: Option<WholeEvaluation>,
    /// Each example by itself; none where spans are asked about.
    #[serde(skip)]
    pub examples: Vec<Judged>,
    /// Entities, where spans are asked about; the scores above are then those of all spans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tagging: Option<TaggingEvaluation>,
}

/// Judges a prompt on a split, or the manual template alone.
///
/// # Errors
/// A split without usable examples, a template that does not bind.
pub fn evaluate(task: &Task, prompt: Option<&Prompt>, split: Split) -> Result<Evaluation, Error> {
    if let Some(evaluation) = tagging::evaluate(task, prompt, split)? {
        return Ok(evaluation);
    }
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
    let verbalizer = match prompt {
        // What a prompt learned with is what it is judged with.
        Some(prompt) if task.settings.verbalizer.is_some() => prompt.verbalizer.clone(),
        _ => task.verbalizer(judged)?,
    };
    let (items, counts) = examples(task, split, judged, &verbalizer)?;
    let (train, _) = examples(task, Split::Train, judged, &verbalizer)?;
    let majority = Majority::new(&train);
    let majority_ranks: Vec<usize> = items.iter().map(|item| majority.rank(item.answer)).collect();

    let found = prompt.map(|prompt| {
        let lm = prompt.language_model(&task.backbone);
        outcome(lm, prompt.vectors.as_ref(), &items, &verbalizer, batch_size)
    });
    let said = found.as_ref().map(|found| verdicts(task, &items, found, &verbalizer));
    let words = manual.as_ref().map(|(template, _)| template);
    let all = answers::evaluate(task, prompt, words, split)?;
    let mut labels = verbalizer.labels().map(ToString::to_string);
    let (mut manual_scores, mut uncalibrated) = (None, None);
    let (mut own_words, mut manual_template, mut manual_said) = (None, None, None);
    if let Some((template, text)) = manual {
        let items = same_examples(task, split, &template, &items)?;
        let given = task.verbalizer(&template)?;
        let verbalizer = prepared(task, &template, None, given.clone())?;
        let raw = verbalizer.uncalibrated();
        let own = own(task, &template, None, given)?;
        let own = own.as_ref();
        let [scores, plain, others] =
            outcomes(lm, None, &items, [&verbalizer, &raw, own.unwrap_or(&raw)], batch_size);
        manual_scores = Some(scores.scores());
        manual_said = Some(verdicts(task, &items, &scores, &verbalizer));
        uncalibrated = (verbalizer != raw).then(|| plain.scores());
        own_words = own.map(|_| others.scores());
        manual_template = Some(text);
        if prompt.is_none() {
            labels = verbalizer.labels().map(ToString::to_string);
        }
    }
    Ok(Evaluation {
        split,
        counts,
        candidates: verbalizer.len(),
        trained: trained(settings, prompt),
        labels,
        prompt: found.map(|found| found.scores()),
        manual: manual_scores,
        uncalibrated,
        own_words,
        ensemble: None,
        manual_template,
        majority: Scores::new(&majority_ranks, &vec![0.0; majority_ranks.len()]),
        majority_answer: majority.answer(&verbalizer, &task.backbone.tokenizer),
        all,
        examples: judged::examples(task, split, &items, &majority_ranks, said, manual_said),
        tagging: None,
    })
}

/// What the settings have let learn, in short.
pub(crate) fn trained(settings: &Settings, prompt: Option<&Prompt>) -> &'static str {
    match settings.train.strategy {
        Some(Strategy::FixedPrompt) => "LM tuned",
        Some(Strategy::PromptAndLm) => "prompt+LM",
        _ if prompt.is_some_and(|prompt| prompt.vectors.is_none()) => "labels tuned",
        _ => "P-tuned",
    }
}

/// Meets everything that judging the trained prompt could trip over, before it is trained.
///
/// # Errors
/// As [`evaluate`], for each of `eval.splits`.
pub fn check(task: &Task) -> Result<(), Error> {
    let template = task.bind("template.text", &task.settings.template.text)?;
    let verbalizer = task.verbalizer(&template)?;
    let manual = manual_template(task, false)?;
    for &split in &task.settings.eval.splits {
        let (items, _) = examples(task, split, &template, &verbalizer)?;
        answers::check(task, &template, split)?;
        tagging::check(task, &template, split)?;
        if let Some((manual, _)) = &manual {
            task.verbalizer(manual)?;
            same_examples(task, split, manual, &items)?;
            answers::check(task, manual, split)?;
            tagging::check(task, manual, split)?;
        }
    }
    Ok(())
}

/// The examples whose answers are judged as tokens. That there are none is no mistake where whole answers
/// are judged too.
fn examples(
    task: &Task,
    split: Split,
    template: &ptuning_core::template::BoundTemplate,
    verbalizer: &Verbalizer,
) -> Result<(Vec<Item>, Counts), Error> {
    match task.settings.eval.answers {
        EvalAnswers::SingleToken => task.encode(split, template, verbalizer),
        EvalAnswers::All { .. } => task.encode_some(split, template, verbalizer),
    }
}

/// The manual template to compare with; when it is all there is to score, the config's own template
/// if that is plain words, else `eval.manual`.
pub(crate) fn manual_template(
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
pub(crate) fn same_examples(
    task: &Task,
    split: Split,
    template: &ptuning_core::template::BoundTemplate,
    judged: &[Item],
) -> Result<Vec<Item>, Error> {
    let verbalizer = match task.verbalizer(template)? {
        Verbalizer::Words(_) => Verbalizer::Words(OpenVocabulary::whole()),
        labels => labels,
    };
    let (items, _) = examples(task, split, template, &verbalizer)?;
    let kept =
        |item: &Item| judged.binary_search_by_key(&item.index, |judged| judged.index).is_ok();
    Ok(items.into_iter().filter(kept).collect())
}
