//! How much a score depends on the wording: many prompts of one relation, judged on the same examples
//! (Jiang et al. 2020; Liu et al. 2021, section 10).

use std::path::{Path, PathBuf};

use ptuning_core::language_model::Objective;
use ptuning_core::objective::Scores;
use ptuning_core::template::{SegmentKind, Template};
use serde::Serialize;

use crate::data;
use crate::error::Error;
use crate::progress::{Event, Observer};
use crate::prompt::Prompt;
use crate::search::{SearchError, is_of_the_candidate, judge, judge_prompt, manual, sample};
use crate::settings::Split;
use crate::task::Task;

/// Key of a row that holds a prompt, as LPAQA's lists have it.
const KEY: &str = "template";

/// A wording with its scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wording {
    /// Line of the list, from 1; `None` for what is not of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The template.
    pub template: String,
    /// Its scores.
    pub scores: Scores,
}

/// A wording that cannot be scored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Skipped {
    /// Line of the list, from 1.
    pub line: usize,
    /// The template.
    pub template: String,
    /// Why.
    pub why: String,
}

/// P@1 of all wordings of the list, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The worst.
    pub min: f64,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The best.
    pub max: f64,
    /// From the worst to the best.
    pub spread: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation, of the wordings as they are.
    pub std: f64,
}

impl Spread {
    /// Sums up; all zero for none.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else {
            return Self { min: 0.0, median: 0.0, max: 0.0, spread: 0.0, mean: 0.0, std: 0.0 };
        };
        let count = sorted.len() as f64;
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        let mean = sorted.iter().sum::<f64>() / count;
        let std = (sorted.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        Self { min, median: (low + high) / 2.0, max, spread: max - min, mean, std }
    }
}

/// All wordings of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sensitivity {
    /// The split that judges.
    pub split: Split,
    /// Its examples.
    pub examples: usize,
    /// What the wordings' P@1 come to.
    pub p1: Spread,
    /// The wordings, best first.
    pub prompts: Vec<Wording>,
    /// The config's manual prompt.
    pub manual: Wording,
    /// A trained prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuned: Option<Wording>,
    /// Those that cannot be scored.
    pub skipped: Vec<Skipped>,
}

/// Scores every prompt of a list, on `examples` examples of a split drawn by the seed, or on all.
///
/// The examples are those that the manual prompt can be asked about.
///
/// # Errors
/// A list that cannot be read or holds something else, or nothing for this model.
pub fn sensitivity(
    task: &Task,
    list: &Path,
    split: Split,
    examples: Option<usize>,
    tuned: Option<&Prompt>,
    observer: &mut dyn Observer,
) -> Result<Sensitivity, Error> {
    let causal = task.backbone.model.objective() == Objective::Causal;
    let templates = read(list, causal)?;
    let (bound, manual) = manual(task)?;
    let (judged, _) = task.encode(split, &bound, &task.verbalizer(&bound)?)?;
    let judged = sample(judged, task.settings.seed, examples.unwrap_or(usize::MAX));
    let scores = judge(task, &manual, split, &judged)?;
    let manual = Wording { line: None, template: manual, scores };
    let (mut prompts, mut skipped) = (Vec::new(), Vec::new());
    let of = templates.len();
    for (done, (line, template)) in templates.into_iter().enumerate() {
        match judge(task, &template, split, &judged) {
            Ok(scores) => {
                let (template, done, of) = (template, done + 1, Some(of));
                observer.on(&Event::Candidate { template: &template, scores: &scores, done, of });
                prompts.push(Wording { line: Some(line), template, scores });
            }
            Err(error) if is_of_the_candidate(&error) => {
                // The hint is of no use here.
                let why = error.to_string();
                let why = why.lines().next().unwrap_or_default().to_owned();
                skipped.push(Skipped { line, template, why });
            }
            Err(error) => return Err(error),
        }
    }
    if let ([], [first, ..]) = (prompts.as_slice(), skipped.as_slice()) {
        let (file, line, why) = (list.to_owned(), first.line, first.why.clone());
        return Err(SearchError::NoPrompts { file, found: skipped.len(), line, why }.into());
    }
    prompts.sort_by(|a, b| {
        let key = |wording: &Wording| (wording.scores.precision_at_1, wording.scores.mrr);
        let ((a1, a2), (b1, b2)) = (key(a), key(b));
        b1.total_cmp(&a1).then(b2.total_cmp(&a2))
    });
    let tuned = match tuned {
        None => None,
        Some(prompt) => {
            let template = prompt.template.template().source().to_owned();
            let scores = judge_prompt(task, prompt, split, &judged)?;
            Some(Wording { line: None, template, scores })
        }
    };
    let p1: Vec<f64> = prompts.iter().map(|wording| wording.scores.precision_at_1).collect();
    let p1 = Spread::of(&p1);
    Ok(Sensitivity { split, examples: judged.len(), p1, prompts, manual, tuned, skipped })
}

/// The templates of a list, each once: a line each, or rows with the key `template`. LAMA's signs `[X]` and
/// `[Y]` are read as `[x]` and `[z]`; for a causal model a full stop behind the answer is dropped.
fn read(list: &Path, causal: bool) -> Result<Vec<(usize, String)>, Error> {
    let rows = match data::has_rows(list) {
        true => data::column(list, KEY)?,
        false => data::lines::read(list)?,
    };
    let mut found: Vec<(usize, String)> = Vec::new();
    for (line, text) in rows {
        let text = text.replace("[X]", "[x]").replace("[Y]", "[z]");
        let template = Template::parse(&text).map_err(|source| SearchError::Prompt {
            file: PathBuf::from(list),
            line,
            source: Box::new(source),
        })?;
        let text = if causal { without_stop(&template) } else { text };
        if !found.iter().any(|(_, known)| *known == text) {
            found.push((line, text));
        }
    }
    Ok(found)
}

/// A template without the punctuation that ends it behind its answer.
fn without_stop(template: &Template) -> String {
    let segments = template.segments();
    let ends = |kind: &SegmentKind| matches!(kind, SegmentKind::Literal(text) if !text.contains(char::is_alphanumeric));
    match segments {
        [rest @ .., answer, last] if answer.kind == SegmentKind::Answer && ends(&last.kind) => {
            rest.iter().chain([answer]).map(|segment| segment.kind.to_string()).collect()
        }
        _ => template.source().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_of_the_list() {
        let spread = Spread::of(&[0.5, 0.1, 0.4, 0.2]);
        assert_eq!((spread.min, spread.max, spread.spread), (0.1, 0.5, 0.4));
        assert!((spread.median - 0.3).abs() < 1e-12 && (spread.mean - 0.3).abs() < 1e-12);
        assert!((spread.std - 0.025_f64.sqrt()).abs() < 1e-12, "{}", spread.std);
        assert_eq!(Spread::of(&[0.7, 0.1, 0.3]).median, 0.3);
        assert_eq!(Spread::of(&[]).max, 0.0);
    }

    #[test]
    fn punctuation_behind_the_answer_goes() {
        let of = |text| without_stop(&Template::parse(text).unwrap());
        assert_eq!(of("The capital of [x] is [z] ."), "The capital of [x] is [z]");
        assert_eq!(of("[x]'s capital, [z]"), "[x]'s capital, [z]");
        assert_eq!(of("[z] is in [x] ."), "[z] is in [x] .");
        assert_eq!(of("[x] is [z] city"), "[x] is [z] city");
    }
}
