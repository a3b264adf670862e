//! Label words from a source of knowledge: looked up, bound, and refined on inputs of train.

use burn::tensor::Tensor;
use ptuning_core::template::BoundTemplate;
use ptuning_core::verbalizer::{LabelWords, single_token};

use super::knowledge::related;
use super::{support, vocabulary_probabilities};
use crate::error::Error;
use crate::settings::{Knowledge, VerbalizerSettings};
use crate::task::Task;

/// Words that are looked at, for one that may stay.
const LOOKED_AT: usize = 8;

/// A label's own words and those related to it that the language model knows how to use.
///
/// # Errors
/// A source of knowledge that cannot be read.
pub fn expanded(
    task: &Task,
    template: &BoundTemplate,
    prompt: Option<&Tensor<2>>,
    settings: &VerbalizerSettings,
    own: LabelWords,
    (knowledge, words, cutoff): (&Knowledge, usize, f64),
) -> Result<LabelWords, Error> {
    let tokenizer = &task.backbone.tokenizer;
    // Its words' probabilities in the whole vocabulary are what words are refined by.
    own.check_single(tokenizer)?;
    let mut labels = settings.weighted();
    let counts: Vec<usize> = labels.iter().map(|(_, words)| words.len()).collect();
    let found = related(knowledge, &settings.labels, usize::MAX)?;
    for ((_, own), found) in labels.iter_mut().zip(found) {
        let one_token =
            found.into_iter().filter(|word| single_token(word, template, tokenizer).is_some());
        own.extend(one_token.take(LOOKED_AT * words).map(|word| (word, 1.0)));
    }
    let all = LabelWords::bind(&labels, settings.aggregate, template, tokenizer)?;
    let inputs = support(task, template, &own, settings.support())?;
    let probabilities = vocabulary_probabilities(task, prompt, &inputs, &all);
    Ok(all.refined(&probabilities, &counts, cutoff, words))
}
