//! Entities against entities, as seqeval judges them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Span;

/// A stretch of words and what it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// The first word, from 0.
    pub start: usize,
    /// The word behind the last one.
    pub end: usize,
    /// Its label.
    pub label: String,
}

impl Entity {
    /// Its words.
    pub fn span(&self) -> Span {
        Span { start: self.start, end: self.end }
    }
}

/// Precision, recall and their harmonic mean, 0 to 1; 0 where there is nothing to divide by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Prf {
    /// Share of the entities found that are right.
    pub precision: f64,
    /// Share of the entities asked for that were found.
    pub recall: f64,
    /// F1.
    pub f1: f64,
}

impl Prf {
    /// From how many entities were right, found and asked for.
    fn new(right: usize, found: usize, asked: usize) -> Self {
        let share = |of: usize| if of == 0 { 0.0 } else { right as f64 / of as f64 };
        let f1 = if found + asked == 0 { 0.0 } else { 2.0 * right as f64 / (found + asked) as f64 };
        Self { precision: share(found), recall: share(asked), f1 }
    }

    fn mean<'a>(of: impl Iterator<Item = &'a Self>) -> Self {
        let all: Vec<&Self> = of.collect();
        let mean = |value: fn(&Self) -> f64| match all.len() {
            0 => 0.0,
            count => all.iter().map(|one| value(one)).sum::<f64>() / count as f64,
        };
        Self {
            precision: mean(|one| one.precision),
            recall: mean(|one| one.recall),
            f1: mean(|one| one.f1),
        }
    }
}

/// Scores of one label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelScores {
    /// Its name.
    pub label: String,
    /// Its scores.
    #[serde(flatten)]
    pub scores: Prf,
    /// Entities of it that were asked for.
    pub asked: usize,
    /// Entities of it that were found, right or not.
    pub found: usize,
}

/// How entities that were found agree with those asked for: one is right if both its ends and its label agree.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct EntityScores {
    /// Over all entities together: CoNLL's figure.
    pub micro: Prf,
    /// Mean over the labels below.
    #[serde(rename = "macro")]
    pub macro_: Prf,
    /// Each label that was asked for or found, by name.
    pub labels: Vec<LabelScores>,
}

impl EntityScores {
    /// Compares entities, sentence by sentence.
    ///
    /// # Shapes
    /// - `asked`, `found`: of as many sentences
    pub fn new(asked: &[Vec<Entity>], found: &[Vec<Entity>]) -> Self {
        let (asked, found) = (distinct(asked), distinct(found));
        let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
        for one in &asked {
            let [right, _, asked] = counts.entry(&one.1.label).or_default();
            *asked += 1;
            *right += usize::from(found.contains(one));
        }
        for one in &found {
            counts.entry(&one.1.label).or_default()[1] += 1;
        }
        let labels: Vec<LabelScores> = counts
            .iter()
            .map(|(&label, &[right, found, asked])| LabelScores {
                label: label.to_owned(),
                scores: Prf::new(right, found, asked),
                asked,
                found,
            })
            .collect();
        let sum = |place: usize| counts.values().map(|count| count[place]).sum();
        Self {
            micro: Prf::new(sum(0), sum(1), sum(2)),
            macro_: Prf::mean(labels.iter().map(|label| &label.scores)),
            labels,
        }
    }
}

/// Entities with the numbers of their sentences, each once.
fn distinct(sentences: &[Vec<Entity>]) -> BTreeSet<(usize, &Entity)> {
    let numbered = sentences.iter().enumerate();
    numbered.flat_map(|(number, entities)| entities.iter().map(move |one| (number, one))).collect()
}
