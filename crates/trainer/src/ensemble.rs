//! Several templates asked together: each by itself, and what they say as one.

use burn::tensor::activation::log_softmax;
use ptuning_core::ensemble::{Combine, learned, votes, weighted};
use ptuning_core::objective::{Scores, ids};
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::template::{BoundTemplate, Encoded};
use ptuning_core::verbalizer::{OpenVocabulary, Verbalizer, single_token};
use serde::Serialize;

use crate::data::Candidates;
use crate::error::Error;
use crate::settings::Split;
use crate::task::{Item, Task};
use crate::verbalize::prepared;

/// A template of an ensemble.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Member {
    /// As written.
    pub template: String,
    /// Its scores alone.
    pub scores: Scores,
    /// What it weighs, where weights were learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// What an ensemble comes to on a split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ensemble {
    /// Which split.
    pub split: Split,
    /// How opinions became one.
    pub combine: Combine,
    /// Examples used: those whose answer every template can give.
    pub examples: usize,
    /// Answers that they choose from.
    pub answers: usize,
    /// Each template.
    pub members: Vec<Member>,
    /// All of them together; its loss is not defined for a vote and reported as 0.
    pub scores: Scores,
}

/// One template's view of a split.
struct View {
    /// Number of each example's answer.
    asked: Vec<usize>,
    /// Log-probabilities, `[example][answer]`.
    opinions: Vec<Vec<f32>>,
}

/// Asks the templates of the settings about a split.
///
/// # Errors
/// Templates that do not bind or have virtual tokens, answers that are the whole vocabulary, no example
/// that every template can answer.
pub fn ensemble(
    task: &Task,
    templates: &[String],
    combine: Combine,
    split: Split,
) -> Result<Ensemble, Error> {
    let bound: Vec<BoundTemplate> = templates
        .iter()
        .map(|text| match task.bind("eval.ensemble", text)? {
            template if template.prompt_len() == 0 => Ok(template),
            _ => Err(Error::UntrainedVirtualTokens { setting: "eval.ensemble" }),
        })
        .collect::<Result<_, _>>()?;
    let words = answers(task, &bound)?;
    // Every template can give every answer, so all of them see the same examples.
    let look = |split: Split, limit: usize| -> Result<Vec<View>, Error> {
        let bound = bound.iter().enumerate();
        bound.map(|template| view(task, template, &words, split, limit)).collect()
    };
    let views = look(split, usize::MAX)?;
    let asked = views[0].asked.clone();
    let opinions: Vec<Vec<Vec<f32>>> = views.into_iter().map(|view| view.opinions).collect();
    let weights = match combine {
        Combine::Learned => {
            let train = look(Split::Train, LEARNED_FROM)?;
            let answers = train[0].asked.clone();
            let opinions: Vec<_> = train.into_iter().map(|view| view.opinions).collect();
            Some(learned(&opinions, &answers))
        }
        Combine::Mean | Combine::Majority => None,
    };
    let scores = match (combine, &weights) {
        (Combine::Majority, _) => scores(&votes(&opinions), &asked, words.labels, false),
        (_, Some(weights)) => scores(&weighted(&opinions, weights), &asked, words.labels, true),
        (_, None) => {
            let even = vec![1.0 / opinions.len() as f64; opinions.len()];
            scores(&weighted(&opinions, &even), &asked, words.labels, true)
        }
    };
    let member = |(number, (template, opinion)): (usize, (&String, &Vec<Vec<f32>>))| Member {
        template: template.clone(),
        scores: self::scores(opinion, &asked, words.labels, true),
        weight: weights.as_ref().map(|weights| weights[number]),
    };
    Ok(Ensemble {
        split,
        combine,
        examples: asked.len(),
        answers: words.count,
        members: templates.iter().zip(&opinions).enumerate().map(member).collect(),
        scores,
    })
}

/// Examples of train that weights are learned from.
const LEARNED_FROM: usize = 200;

/// What may be answered, numbered alike for every template.
struct Answers {
    /// Vocabulary ids of the words for each template; none where answers are labels.
    ids: Vec<Vec<u32>>,
    count: usize,
    labels: bool,
}

/// Words that are one token in every template, or labels.
fn answers(task: &Task, templates: &[BoundTemplate]) -> Result<Answers, Error> {
    if let Some(settings) = &task.settings.verbalizer {
        return Ok(Answers { ids: Vec::new(), count: settings.labels.len(), labels: true });
    }
    let Candidates::Words(words) = task.candidates() else {
        return Err(Error::EnsembleOfVocabulary);
    };
    let tokenizer = &task.backbone.tokenizer;
    let in_all = words.iter().filter_map(|word| {
        let ids = templates.iter().map(|template| single_token(word, template, tokenizer));
        ids.collect::<Option<Vec<u32>>>()
    });
    let mut rows: Vec<Vec<u32>> = in_all.collect();
    // Words that differ in case or spaces alone may be one token.
    rows.sort();
    rows.dedup();
    let ids = (0..templates.len()).map(|at| rows.iter().map(|row| row[at]).collect()).collect();
    Ok(Answers { ids, count: rows.len(), labels: false })
}

/// Template `number` on a split, or on its first `limit` examples.
fn view(
    task: &Task,
    (number, template): (usize, &BoundTemplate),
    words: &Answers,
    split: Split,
    limit: usize,
) -> Result<View, Error> {
    let (lm, device) = (task.backbone.model.as_ref(), task.backbone.model.device());
    let column = words.ids.get(number).cloned().unwrap_or_default();
    let verbalizer = match words.labels {
        true => prepared(task, template, None, task.verbalizer(template)?)?,
        false => Verbalizer::Words(OpenVocabulary::candidates(column.iter().copied())),
    };
    let (mut items, _) = task.encode(split, template, &verbalizer)?;
    items.truncate(limit);
    let of = |batch: &[&Encoded]| match &verbalizer {
        Verbalizer::Labels(labels) => {
            labels.aggregated(labels.compared(labels.said(lm, None, batch)))
        }
        Verbalizer::Words(_) => {
            log_softmax(answer_logits(lm, None, batch).select(1, ids(&column, &device)), 1)
        }
    };
    let mut opinions = Vec::with_capacity(items.len());
    for batch in items.chunks(task.settings.eval.batch_size) {
        let encoded: Vec<&Encoded> = batch.iter().map(|item| &item.encoded).collect();
        let scores: Vec<f32> = of(&encoded).into_data().iter().collect();
        opinions.extend(scores.chunks(words.count).map(<[f32]>::to_vec));
    }
    let number = |item: &Item| match words.labels {
        true => item.answer as usize,
        // Only words of the column were encoded.
        false => column.iter().position(|&id| id == item.answer).unwrap_or_default(),
    };
    Ok(View { asked: items.iter().map(number).collect(), opinions })
}

fn scores(opinions: &[Vec<f32>], asked: &[usize], labels: bool, with_loss: bool) -> Scores {
    let rank = |(scores, &right): (&Vec<f32>, &usize)| {
        scores.iter().filter(|&&score| score > scores[right]).count()
    };
    let ranks: Vec<usize> = opinions.iter().zip(asked).map(rank).collect();
    let loss = |(scores, &right): (&Vec<f32>, &usize)| if with_loss { -scores[right] } else { 0.0 };
    let losses: Vec<f32> = opinions.iter().zip(asked).map(loss).collect();
    let all = Scores::new(&ranks, &losses);
    if !labels {
        return all;
    }
    let best = |scores: &Vec<f32>| {
        let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        best.map_or(0, |(answer, _)| answer as u32)
    };
    let predicted: Vec<u32> = opinions.iter().map(best).collect();
    let asked: Vec<u32> = asked.iter().map(|&answer| answer as u32).collect();
    all.with_macro_f1(&asked, &predicted, opinions.first().map_or(0, Vec::len))
}
