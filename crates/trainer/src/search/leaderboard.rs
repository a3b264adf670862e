//! What a search has found, best first.

use std::cmp::Ordering;
use std::collections::HashMap;

use ptuning_core::objective::Scores;
use serde::{Deserialize, Serialize};

use super::journal::{On, Record};
use crate::error::Error;
use crate::run_dir::RunDir;

/// The file of the run folder.
pub(crate) const FILE: &str = "leaderboard.json";

/// What a run folder's search has found; `None` if it has not come so far.
///
/// # Errors
/// A file that was changed into something else.
pub fn leaderboard_of(run: &RunDir) -> Result<Option<Leaderboard>, Error> {
    run.read_json(FILE)
}

/// A candidate with its scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its template.
    pub template: String,
    /// Whether it is the prompt that was there before.
    pub manual: bool,
    /// Epochs that it was trained for, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Scores on dev: means over the seeds, where it was trained.
    pub dev: Scores,
    /// Scores on test, of the winner and of the manual prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Scores>,
}

/// All candidates that could be scored, best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leaderboard {
    /// The method.
    pub method: String,
    /// Evaluations that it took.
    pub evaluations: usize,
    /// The candidates.
    pub entries: Vec<Entry>,
}

impl Leaderboard {
    /// What the records of a journal come to.
    pub(super) fn of(method: &str, evaluations: usize, records: &[Record], manual: &str) -> Self {
        let mut trials: HashMap<&str, (usize, Vec<Scores>)> = HashMap::new();
        let mut order: Vec<&str> = Vec::new();
        for record in records {
            let Record::Scored { template, on, scores, .. } = record else { continue };
            let epochs = match on {
                On::Batch(_) => continue,
                On::Dev => 0,
                On::Trial { epochs, .. } => *epochs,
            };
            let (most, of) = trials.entry(template).or_insert_with(|| {
                order.push(template);
                (epochs, Vec::new())
            });
            if epochs > *most {
                (*most, *of) = (epochs, Vec::new());
            }
            if epochs == *most {
                of.push(*scores);
            }
        }
        let entry = |template: &str| {
            let (epochs, scores) = trials.get(template)?;
            let dev = mean(scores);
            let epochs = (*epochs > 0).then_some(*epochs);
            let manual = template == manual;
            Some(Entry { template: template.to_owned(), manual, epochs, dev, test: None })
        };
        let mut entries: Vec<Entry> = order.into_iter().filter_map(entry).collect();
        // What was trained longer stands above what was dropped before, the manual prompt among the former.
        let longest = entries.iter().filter_map(|entry| entry.epochs).max();
        let epochs = |entry: &Entry| entry.epochs.or(longest);
        entries.sort_by(|a, b| epochs(b).cmp(&epochs(a)).then(better(&a.dev, &b.dev)));
        Self { method: method.to_owned(), evaluations, entries }
    }

    /// The best that the search has found, whether or not the manual prompt is better.
    pub fn winner(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| !entry.manual)
    }

    /// The prompt that was there before.
    pub fn manual(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.manual)
    }
}

/// Better scores come first: by P@1, by MRR, by less loss.
pub(super) fn better(a: &Scores, b: &Scores) -> Ordering {
    (b.precision_at_1.total_cmp(&a.precision_at_1))
        .then(b.mrr.total_cmp(&a.mrr))
        .then(a.loss.total_cmp(&b.loss))
}

/// The mean of several scores of the same examples.
pub(super) fn mean(scores: &[Scores]) -> Scores {
    let examples = scores.first().map_or(0, |scores| scores.examples);
    Scores { examples, filtered: None, ..Scores::mean(scores) }
}
