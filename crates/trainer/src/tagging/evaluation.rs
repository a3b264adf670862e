//! Judging a prompt by the entities that it finds in a split.

use ptuning_core::objective::Scores;
use ptuning_core::spans::{Entity, EntityScores};
use ptuning_core::template::BoundTemplate;
use ptuning_core::verbalizer::Verbalizer;
use serde::Serialize;

use super::judge::{Judge, Scored};
use super::lookup::Lookup;
use super::{AskedSpans, labels};
use crate::error::Error;
use crate::evaluate::{Evaluation, manual_template, trained};
use crate::prompt::Prompt;
use crate::settings::Split;
use crate::task::{Counts, Task};
use crate::verbalize::{own, prepared};

/// Entities of one split, found and asked for.
#[derive(Debug, Clone, Serialize)]
pub struct TaggingEvaluation {
    /// Sentences.
    pub sentences: usize,
    /// Spans asked about.
    pub spans: usize,
    /// Spans of at most `spans.longest` words that were not asked about: no entity begins or ends so.
    pub pruned: usize,
    /// Entities asked for.
    pub entities: usize,
    /// Those of them that are none of the spans asked about: too long, or pruned.
    pub out_of_reach: usize,
    /// The trained prompt; `None` when only the manual template was scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<EntityScores>,
    /// The manual template, tuning-free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual: Option<EntityScores>,
    /// The manual template without its words' prior, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncalibrated: Option<EntityScores>,
    /// The manual template with the labels' own words alone, where related ones were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_words: Option<EntityScores>,
    /// Names of train wherever they stand, with the label that each has most often there.
    pub lookup: EntityScores,
}

/// The manual template's scores.
#[derive(Default)]
struct Manual {
    verbalizer: Option<Verbalizer>,
    scored: Option<Scored>,
    uncalibrated: Option<Scored>,
    own_words: Option<Scored>,
    text: Option<String>,
}

/// Judges a prompt on a split, or the manual template alone; `None` where the task is not about entities.
///
/// # Errors
/// A sentence that does not go into the template, a template that does not bind.
pub fn evaluate(
    task: &Task,
    prompt: Option<&Prompt>,
    split: Split,
) -> Result<Option<Evaluation>, Error> {
    let Some(judge) = Judge::new(task, split)? else { return Ok(None) };
    let manual = manual_template(task, prompt.is_none())?;
    let judged = match (prompt, &manual) {
        (Some(prompt), _) => &prompt.template,
        (None, Some((template, _))) => template,
        (None, None) => return Err(Error::NothingToLearn),
    };
    let asked = judge.asked(judged)?;
    let prompted = match prompt {
        None => None,
        Some(prompt) => {
            let (lm, vectors) = (prompt.language_model(&task.backbone), prompt.vectors.as_ref());
            judge.scores(&asked, lm, vectors, [&prompt.verbalizer])?.pop()
        }
    };
    let manual = match manual {
        None => Manual::default(),
        Some((template, text)) => by_hand(task, &judge, &template, text)?,
    };
    let verbalizer = prompt.map(|prompt| &prompt.verbalizer).or(manual.verbalizer.as_ref());
    let entities = judge.entities();
    let within = |(number, entities): (usize, &&[Entity])| {
        entities.iter().filter(|one| asked.contains(number, one.span())).count()
    };
    let within: usize = entities.iter().enumerate().map(within).sum();
    let all: usize = entities.iter().map(|entities| entities.len()).sum();
    let lookup = task.sentences.as_ref().map(|all| Lookup::new(&all.train));
    let lookup = lookup.map(|lookup| {
        let asked: Vec<Vec<Entity>> = entities.iter().map(|entities| entities.to_vec()).collect();
        let found = judge.sentences.iter().map(|one| lookup.entities(one, judge.rules));
        EntityScores::new(&asked, &found.collect::<Vec<_>>())
    });
    let (prompt_entities, prompt_spans) = prompted.unzip();
    let (manual_entities, manual_spans) = manual.scored.unzip();
    let (raw_entities, raw_spans) = manual.uncalibrated.unzip();
    let (own_entities, own_spans) = manual.own_words.unzip();
    Ok(Some(Evaluation {
        split,
        counts: Counts {
            read: judge.sentences.len(),
            used: judge.sentences.len(),
            shortened: asked.shortened(),
            ..Counts::default()
        },
        candidates: verbalizer.and_then(Verbalizer::len),
        labels: verbalizer.and_then(Verbalizer::labels).map(ToString::to_string),
        trained: trained(&task.settings, prompt),
        prompt: prompt_spans,
        manual: manual_spans,
        uncalibrated: raw_spans,
        own_words: own_spans,
        ensemble: None,
        manual_template: manual.text,
        majority: always_none(&asked, within),
        majority_answer: Some(judge.rules.none.clone()),
        all: None,
        examples: Vec::new(),
        tagging: Some(TaggingEvaluation {
            sentences: judge.sentences.len(),
            spans: asked.len(),
            pruned: asked.all() - asked.len(),
            entities: all,
            out_of_reach: all - within,
            prompt: prompt_entities,
            manual: manual_entities,
            uncalibrated: raw_entities,
            own_words: own_entities,
            lookup: lookup.unwrap_or_default(),
        }),
    }))
}

fn by_hand(
    task: &Task,
    judge: &Judge<'_>,
    template: &BoundTemplate,
    text: String,
) -> Result<Manual, Error> {
    let given = task.verbalizer(template)?;
    let verbalizer = prepared(task, template, None, given.clone())?;
    let raw = verbalizer.uncalibrated();
    let own = own(task, template, None, given)?;
    let sets = [&verbalizer, &raw, own.as_ref().unwrap_or(&raw)];
    let lm = task.backbone.model.as_ref();
    let scored = judge.scores(&judge.asked(template)?, lm, None, sets)?;
    let mut scored = scored.into_iter();
    Ok(Manual {
        scored: scored.next(),
        uncalibrated: scored.next().filter(|_| verbalizer != raw),
        own_words: scored.next().filter(|_| own.is_some()),
        verbalizer: Some(verbalizer),
        text: Some(text),
    })
}

/// Scores of spans for one who takes every span for none, where `entities` of them are entities.
fn always_none(asked: &AskedSpans, entities: usize) -> Scores {
    let ranks: Vec<usize> = (0..asked.len()).map(|number| usize::from(number < entities)).collect();
    Scores { entity_f1: Some(0.0), ..Scores::new(&ranks, &vec![0.0; ranks.len()]) }
}

/// Meets everything that judging a template on a split could trip over.
///
/// # Errors
/// As [`evaluate`].
pub fn check(task: &Task, template: &BoundTemplate, split: Split) -> Result<(), Error> {
    let Some(judge) = Judge::new(task, split)? else { return Ok(()) };
    labels(&task.verbalizer(template)?, judge.rules)?;
    judge.asked(template).map(|_| ())
}
