//! Everything that can be wrong with a task before it is trained, told at once instead of the first of it, and
//! one batch to see that the rest holds. Nothing is written.

use ptuning_core::verbalizer::{LabelWords, Verbalizer};
use serde::Serialize;

use crate::data::load_file;
use crate::error::Error;
use crate::evaluate::{self, manual_template};
use crate::outcome::outcome;
use crate::settings::{CandidateSource, Settings, Split, Strategy, VerbalizerKind};
use crate::tagging::Sentences;
use crate::task::Task;
use crate::train_loop::{TrainLoop, check_template};

/// One batch that was computed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tried {
    /// Its examples.
    pub examples: usize,
    /// Mean loss of its answers, in nats.
    pub loss: f64,
    /// Whether it went backward as well.
    pub trained: bool,
}

/// What is wrong with the data of some settings: the first problem of each file.
pub fn data_problems(settings: &Settings) -> Vec<Error> {
    let mut problems = Vec::new();
    for split in Split::ALL {
        let Some(file) = settings.data.file(split) else { continue };
        problems.extend(match &settings.spans {
            Some(spans) => Sentences::read(settings, spans, split).err(),
            None => load_file(file, &settings.data).err().map(Error::from),
        });
    }
    for source in &settings.data.candidates {
        if let CandidateSource::File(path) = source {
            problems.extend(crate::data::words(path).err().map(Error::from));
        }
    }
    problems
}

/// What is wrong with a task on its backbone: templates, label words, examples; empty if it can be trained and
/// judged.
pub fn problems(task: &Task) -> Vec<Error> {
    let mut problems = Vec::new();
    let settings = &task.settings;
    let strategy = settings.train.strategy;
    match task.bind("template.text", &settings.template.text) {
        Err(error) => problems.push(error),
        Ok(template) => {
            let words = label_words(task, &template);
            let has_words = words.is_empty();
            problems.extend(words);
            let learns = settings.verbalizer.as_ref().is_some_and(|settings| settings.learns());
            if strategy != Some(Strategy::TuningFree) {
                problems.extend(check_template(strategy, template.prompt_len(), learns).err());
            }
            let verbalizer = if has_words { task.verbalizer(&template).ok() } else { None };
            if let Some(verbalizer) = verbalizer {
                problems.extend(examples(task, &template, &verbalizer));
            }
        }
    }
    let words = [("eval.manual", &settings.eval.manual)];
    let ensemble = settings.eval.ensemble.iter().map(|text| ("eval.ensemble", text));
    let words = words.into_iter().filter_map(|(key, text)| Some((key, text.as_ref()?)));
    for (setting, text) in words.chain(ensemble) {
        match task.bind(setting, text) {
            Ok(template) if template.prompt_len() > 0 => {
                problems.push(Error::UntrainedVirtualTokens { setting });
            }
            Ok(_) => {}
            Err(error) => problems.push(error),
        }
    }
    problems
}

/// The words of labels that cannot be used, each.
fn label_words(task: &Task, template: &ptuning_core::template::BoundTemplate) -> Vec<Error> {
    let Some(settings) = &task.settings.verbalizer else { return Vec::new() };
    let tokenizer = &task.backbone.tokenizer;
    let trains = task.settings.train.strategy != Some(Strategy::TuningFree);
    let single = task.backbone.model.answers_in_one_token()
        || trains && settings.kind != VerbalizerKind::Soft;
    let weighted = settings.weighted();
    let each = weighted.iter().flat_map(|(label, words)| {
        words.iter().map(move |word| [(label.clone(), vec![word.clone()])])
    });
    let problem = |one: [(String, Vec<(String, f32)>); 1]| {
        let bound = LabelWords::bind(&one, settings.aggregate, template, tokenizer);
        let checked = bound.and_then(|labels| match single {
            true => labels.check_single(tokenizer),
            false => Ok(()),
        });
        checked.err().map(Error::from)
    };
    each.filter_map(problem).collect()
}

/// The first example of each split that cannot be used.
fn examples(
    task: &Task,
    template: &ptuning_core::template::BoundTemplate,
    verbalizer: &Verbalizer,
) -> Vec<Error> {
    let asked =
        |split: &Split| *split != Split::Test || task.settings.eval.splits.contains(&Split::Test);
    let encode = |split| task.encode(split, template, verbalizer).err();
    Split::ALL.into_iter().filter(asked).filter_map(encode).collect()
}

/// Computes one batch of a task without problems: forward and backward, or forward alone where nothing learns.
///
/// # Errors
/// What only shows when everything comes together.
pub fn try_batch(task: &Task) -> Result<Tried, Error> {
    if task.settings.train.strategy == Some(Strategy::TuningFree) {
        return judge_batch(task);
    }
    let mut training = TrainLoop::new(task)?;
    evaluate::check(task)?;
    training.try_step()
}

/// Judges the first examples of dev by the manual template.
fn judge_batch(task: &Task) -> Result<Tried, Error> {
    let missing = Error::UntrainedVirtualTokens { setting: "template.text" };
    let (template, _) = manual_template(task, true)?.ok_or(missing)?;
    let verbalizer = task.verbalizer(&template)?;
    let (mut items, _) = task.encode(Split::Dev, &template, &verbalizer)?;
    items.truncate(task.settings.eval.batch_size);
    let judged = outcome(task.backbone.model.as_ref(), None, &items, &verbalizer, items.len());
    Ok(Tried { examples: items.len(), loss: judged.scores().loss, trained: false })
}
