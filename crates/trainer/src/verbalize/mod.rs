//! From what the settings say of labels to the words that stand for them: found, if they are to be found,
//! and calibrated.

mod automatic;
mod calibrate;
mod knowledge;
mod knowledgeable;

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use ptuning_core::language_model::LanguageModel;
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::template::{BoundTemplate, Encoded};
use ptuning_core::verbalizer::{LabelWords, Verbalizer};

pub use knowledge::KnowledgeError;

use crate::error::Error;
use crate::settings::{Split, VerbalizerKind};
use crate::task::Task;

/// A verbalizer as a template with these vectors has it: its words found in the way that the settings
/// say, and with the prior that they ask for.
///
/// # Errors
/// Inputs that do not go into the template, a source of knowledge that cannot be read, a label without a
/// word.
pub fn prepared(
    task: &Task,
    template: &BoundTemplate,
    prompt: Option<&Tensor<2>>,
    verbalizer: Verbalizer,
) -> Result<Verbalizer, Error> {
    let (Verbalizer::Labels(own), Some(settings)) = (&verbalizer, &task.settings.verbalizer) else {
        return Ok(verbalizer);
    };
    let own = own.clone();
    let words = match &settings.kind {
        VerbalizerKind::Words => own,
        VerbalizerKind::Soft => {
            let lm = task.backbone.model.as_ref();
            return Ok(Verbalizer::Labels(own.soft(lm)));
        }
        VerbalizerKind::Automatic { words, frequent } => {
            automatic::chosen(task, template, prompt, settings, own, (*words, *frequent))?
        }
        VerbalizerKind::Knowledgeable { knowledge, words, cutoff } => {
            let limits = (knowledge, *words, *cutoff);
            knowledgeable::expanded(task, template, prompt, settings, own, limits)?
        }
    };
    Ok(Verbalizer::Labels(calibrate::calibrated(task, template, prompt, settings, words)?))
}

/// The labels' own words with the prior that the settings ask for, where [`prepared`] looks for others
/// beside them.
///
/// # Errors
/// Inputs that do not go into the template.
pub fn own(
    task: &Task,
    template: &BoundTemplate,
    prompt: Option<&Tensor<2>>,
    verbalizer: Verbalizer,
) -> Result<Option<Verbalizer>, Error> {
    match (verbalizer, &task.settings.verbalizer) {
        (Verbalizer::Labels(words), Some(settings))
            if matches!(settings.kind, VerbalizerKind::Knowledgeable { .. }) =>
        {
            let words = calibrate::calibrated(task, template, prompt, settings, words)?;
            Ok(Some(Verbalizer::Labels(words)))
        }
        _ => Ok(None),
    }
}

/// The first `count` inputs of train, their labels unseen.
fn support(
    task: &Task,
    template: &BoundTemplate,
    labels: &LabelWords,
    count: usize,
) -> Result<Vec<Encoded>, Error> {
    let (items, _) = task.encode(Split::Train, template, &Verbalizer::Labels(labels.clone()))?;
    Ok(items.into_iter().take(count).map(|item| item.encoded).collect())
}

/// What `of` makes of inputs, batch by batch, `[inputs, …]`.
fn batches(
    task: &Task,
    inputs: &[Encoded],
    of: impl Fn(&dyn LanguageModel, &[&Encoded]) -> Tensor<2>,
) -> Tensor<2> {
    let lm = task.backbone.model.as_ref();
    let batch = |encoded: &[Encoded]| of(lm, &encoded.iter().collect::<Vec<_>>());
    Tensor::cat(inputs.chunks(task.settings.eval.batch_size).map(batch).collect(), 0)
}

/// Probability of each word in the whole vocabulary on each input, `[inputs][words]`.
fn vocabulary_probabilities(
    task: &Task,
    prompt: Option<&Tensor<2>>,
    inputs: &[Encoded],
    words: &LabelWords,
) -> Vec<Vec<f32>> {
    let ids: Vec<u32> = words.words().map(|word| word.id).collect();
    let ids = ptuning_core::objective::ids(&ids, &task.backbone.model.device());
    let probabilities = batches(task, inputs, |lm, batch| {
        log_softmax(answer_logits(lm, prompt, batch), 1).select(1, ids.clone()).exp()
    });
    let [_, count] = probabilities.dims();
    let all: Vec<f32> = probabilities.into_data().iter().collect();
    all.chunks(count.max(1)).map(<[f32]>::to_vec).collect()
}
