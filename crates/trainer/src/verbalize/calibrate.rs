//! What label words score without an input, taken off their scores.

use burn::tensor::Tensor;
use ptuning_core::template::{BoundTemplate, Encoded, Fields};
use ptuning_core::verbalizer::LabelWords;

use super::{batches, support};
use crate::error::Error;
use crate::settings::{Calibration, VerbalizerSettings};
use crate::task::Task;

/// Gives words the prior that the settings ask for, as a template with these vectors has it.
///
/// # Errors
/// Inputs that do not go into the template.
pub fn calibrated(
    task: &Task,
    template: &BoundTemplate,
    prompt: Option<&Tensor<2>>,
    settings: &VerbalizerSettings,
    words: LabelWords,
) -> Result<LabelWords, Error> {
    let inputs = match &settings.calibration {
        Calibration::None => return Ok(words),
        Calibration::Contextual { content_free } => encode_all(task, template, content_free)?,
        Calibration::Train { calibration_examples } => {
            support(task, template, &words, *calibration_examples)?
        }
    };
    let uncalibrated = words.uncalibrated();
    let scores = batches(task, &inputs, |lm, batch| {
        uncalibrated.compared(uncalibrated.said(lm, prompt, batch))
    });
    Ok(words.calibrated(scores))
}

fn encode_all(
    task: &Task,
    template: &BoundTemplate,
    content_free: &[String],
) -> Result<Vec<Encoded>, Error> {
    let encode = |text: &String| {
        let names = template.template().fields();
        let fields: Fields =
            names.into_iter().map(|name| (name.to_owned(), text.clone())).collect();
        template.encode(&fields, &task.backbone.tokenizer).map_err(|source| Error::Encode {
            place: format!("verbalizer.content_free \"{text}\""),
            source,
        })
    };
    content_free.iter().map(encode).collect()
}
