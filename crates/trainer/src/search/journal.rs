//! What a search has seen, one JSON object a line, written as it comes.

use std::collections::HashMap;
use std::path::Path;

use ptuning_core::objective::Scores;
use serde::{Deserialize, Serialize};

use crate::checkpoint::atomically;
use crate::error::Error;
use crate::run_dir::RunDir;

/// The file of the run folder.
const FILE: &str = "search.jsonl";

/// What a candidate was scored on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// Dev.
    Dev,
    /// A batch of train, by the step that drew it.
    Batch(usize),
    /// Dev, after training.
    Trial {
        /// Epochs.
        epochs: usize,
        /// Seed.
        seed: u64,
    },
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Record {
    /// A candidate's scores.
    Scored {
        /// Its template.
        template: String,
        /// What judged it.
        on: On,
        /// How well it did.
        scores: Scores,
        /// How long that took.
        seconds: f64,
    },
    /// A candidate that cannot be scored.
    Unusable {
        /// Its template.
        template: String,
        /// What would have judged it.
        on: On,
        /// Why it cannot be used.
        why: String,
    },
    /// What a step of the method proposed, where that is not a matter of a moment.
    Proposed {
        /// The step.
        step: String,
        /// Templates or words.
        proposals: Vec<String>,
    },
}

/// The journal, in memory and in its file.
pub struct Journal {
    run: RunDir,
    records: Vec<Record>,
    scored: HashMap<(String, On), Option<Scores>>,
    proposed: HashMap<String, Vec<String>>,
}

impl Journal {
    /// Reads what there is of a run folder's journal.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else.
    pub fn open(run: &RunDir) -> Result<Self, Error> {
        let path = run.path().join(FILE);
        let mut journal = Self {
            run: run.clone(),
            records: Vec::new(),
            scored: HashMap::new(),
            proposed: HashMap::new(),
        };
        for record in read(&path)? {
            journal.take(record);
        }
        Ok(journal)
    }

    /// All lines, in the order in which they were written.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Evaluations so far.
    pub fn evaluations(&self) -> usize {
        self.scored.values().flatten().count()
    }

    /// Seconds that they took.
    pub fn seconds(&self) -> f64 {
        let seconds = |record: &Record| match record {
            Record::Scored { seconds, .. } => *seconds,
            _ => 0.0,
        };
        self.records.iter().map(seconds).sum()
    }

    /// What is known of a candidate: nothing, that it cannot be used, or its scores.
    pub fn scores(&self, template: &str, on: On) -> Option<Option<Scores>> {
        self.scored.get(&(template.to_owned(), on)).copied()
    }

    /// What a step proposed, if it has.
    pub fn proposals(&self, step: &str) -> Option<&[String]> {
        self.proposed.get(step).map(Vec::as_slice)
    }

    /// Writes a line.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn add(&mut self, record: Record) -> Result<(), Error> {
        let path = self.run.path().join(FILE);
        let line = serde_json::to_string(&record).map_err(|source| Error::Json { path, source })?;
        self.run.append_line(FILE, &line)?;
        self.take(record);
        Ok(())
    }

    fn take(&mut self, record: Record) {
        match &record {
            Record::Scored { template, on, scores, .. } => {
                self.scored.insert((template.clone(), *on), Some(*scores));
            }
            Record::Unusable { template, on, .. } => {
                self.scored.insert((template.clone(), *on), None);
            }
            Record::Proposed { step, proposals } => {
                self.proposed.insert(step.clone(), proposals.clone());
            }
        }
        self.records.push(record);
    }
}

/// The lines of a journal. A last one that the end of the process cut short is taken out of the file.
fn read(path: &Path) -> Result<Vec<Record>, Error> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
    let mut records = Vec::new();
    let mut whole = 0;
    for line in text.split_inclusive('\n') {
        match serde_json::from_str(line) {
            Ok(record) if line.ends_with('\n') => records.push(record),
            Err(source) if line.ends_with('\n') => {
                return Err(Error::Json { path: path.to_owned(), source });
            }
            _ => break,
        }
        whole += line.len();
    }
    if whole < text.len() {
        atomically(path, &text.as_bytes()[..whole])?;
    }
    Ok(records)
}
