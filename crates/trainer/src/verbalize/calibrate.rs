//! What label words score without an input, taken off their scores.

use burn::tensor::Tensor;
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::template::{BoundTemplate, Encoded, Fields};
use ptuning_core::verbalizer::{LabelWords, Verbalizer};

use crate::error::Error;
use crate::settings::{Calibration, Split};
use crate::task::Task;

/// Gives a verbalizer the prior that the settings ask for, as a template with these vectors has it.
///
/// # Errors
/// Inputs that do not go into the template.
pub fn calibrated(
    task: &Task,
    template: &BoundTemplate,
    prompt: Option<&Tensor<2>>,
    verbalizer: Verbalizer,
) -> Result<Verbalizer, Error> {
    let (Verbalizer::Labels(words), Some(settings)) = (&verbalizer, &task.settings.verbalizer)
    else {
        return Ok(verbalizer);
    };
    let inputs = match &settings.calibration {
        Calibration::None => return Ok(verbalizer),
        Calibration::Contextual { content_free } => encode_all(task, template, content_free)?,
        Calibration::Train { calibration_examples } => {
            let (items, _) = task.encode(Split::Train, template, &verbalizer)?;
            let few = items.into_iter().take(*calibration_examples);
            few.map(|item| item.encoded).collect()
        }
    };
    let scores = word_scores(task, prompt, &inputs, &words.uncalibrated());
    Ok(Verbalizer::Labels(words.clone().calibrated(scores)))
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

/// `[inputs, words]`
fn word_scores(
    task: &Task,
    prompt: Option<&Tensor<2>>,
    inputs: &[Encoded],
    words: &LabelWords,
) -> Tensor<2> {
    let lm = task.backbone.model.as_ref();
    let batch = |encoded: &[Encoded]| {
        let encoded: Vec<&Encoded> = encoded.iter().collect();
        words.word_scores(answer_logits(lm, prompt, &encoded))
    };
    Tensor::cat(inputs.chunks(task.settings.eval.batch_size).map(batch).collect(), 0)
}
