//! What came of a suite: the scores of every cell, and the tables made of them.

use std::fmt::Write as _;

use ptuning_core::objective::Scores;
use serde::{Deserialize, Serialize};

use super::folder::{Plan, PlannedCell, State, SuiteDir};
use super::tables::{Table, tables};
use crate::error::Error;
use crate::run_dir::EVALUATION;
use crate::settings::Split;

/// Scores of one split of a cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// Which split.
    pub split: Split,
    /// What the cell is about: the trained prompt, or a discrete one.
    pub scores: Scores,
    /// The manual prompt.
    pub manual: Option<Scores>,
    /// The majority of train.
    pub majority: Scores,
    /// The same with answers of any number of tokens.
    pub all: Option<Scores>,
    /// The manual prompt with answers of any number of tokens.
    pub all_manual: Option<Scores>,
    /// The majority with answers of any number of tokens.
    pub all_majority: Option<Scores>,
}

/// What came of a cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellResult {
    /// The cell.
    #[serde(flatten)]
    pub cell: PlannedCell,
    /// Its scores on each split; none where it is not done.
    pub standings: Vec<Standing>,
    /// Why it could not be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl CellResult {
    /// Its scores on a split.
    pub fn on(&self, split: Split) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.split == split)
    }
}

/// What came of a suite.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Results {
    /// Its name.
    pub name: String,
    /// The split that the tables are about.
    pub split: Split,
    /// A table for each score.
    pub tables: Vec<Table>,
    /// Every cell.
    pub cells: Vec<CellResult>,
}

/// What of `evaluation.json` is needed here.
#[derive(Deserialize)]
struct Saved {
    split: Split,
    prompt: Option<Scores>,
    manual: Option<Scores>,
    majority: Scores,
    all_answers: Option<SavedAll>,
}

#[derive(Deserialize)]
struct SavedAll {
    prompt: Option<Scores>,
    manual: Option<Scores>,
    majority: Scores,
}

impl From<Saved> for Standing {
    fn from(saved: Saved) -> Self {
        let Saved { split, prompt, manual, majority, all_answers } = saved;
        let (all, all_manual, all_majority) = match all_answers {
            Some(SavedAll { prompt, manual, majority }) => {
                (prompt.or(manual), manual, Some(majority))
            }
            None => (None, None, None),
        };
        let scores = prompt.or(manual).unwrap_or_default();
        Self { split, scores, manual, majority, all, all_manual, all_majority }
    }
}

impl Results {
    /// Gathers what is done.
    ///
    /// # Errors
    /// A folder that cannot be read, or files in it that ptune did not write.
    pub fn gather(dir: &SuiteDir) -> Result<Self, Error> {
        let plan: Plan = dir.plan()?;
        let result = |cell: &PlannedCell| -> Result<CellResult, Error> {
            let (standings, failure) = match dir.state(&cell.id) {
                State::Done => (standings(dir, &cell.id)?, None),
                State::Failed(why) => (Vec::new(), Some(why)),
                State::New | State::Begun => (Vec::new(), None),
            };
            Ok(CellResult { cell: cell.clone(), standings, failure })
        };
        let cells: Vec<CellResult> = plan.cells.iter().map(result).collect::<Result<_, _>>()?;
        let tables = tables(&plan, &cells);
        Ok(Self { name: plan.name, split: plan.split, tables, cells })
    }

    /// How many cells are done, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        let done = self.cells.iter().filter(|cell| !cell.standings.is_empty()).count();
        (done, self.cells.len())
    }

    /// Writes `results.json`, `results.csv` and `results.md`.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write(&self, dir: &SuiteDir) -> Result<(), Error> {
        dir.write_json("results.json", self)?;
        dir.write_text("results.csv", &self.csv())?;
        dir.write_text("results.md", &self.markdown())
    }

    /// The tables as Markdown.
    pub fn markdown(&self) -> String {
        let (done, of) = self.progress();
        let mut text = format!("# {}, {}\n\n{done} of {of} cells are done.", self.name, self.split);
        let failed = self.cells.iter().filter(|cell| cell.failure.is_some()).count();
        if failed > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, " {failed} could not be run.");
        }
        text += "\n";
        for table in &self.tables {
            let _ = write!(text, "\n{table}");
        }
        text
    }

    /// A line for each split of each cell.
    fn csv(&self) -> String {
        let mut text = String::from(
            "cell,task,kind,template,encoder,seed,split,examples,p1,p10,mrr,loss,macro_f1,entity_f1,filtered_p1,\
             filtered_mrr,all_examples,all_p1,all_mrr,manual_p1,manual_mrr,majority_p1\n",
        );
        for CellResult { cell, standings, .. } in &self.cells {
            let (kind, template, encoder, seed) = cell.kind.columns();
            for standing in standings {
                let Standing { split, scores, manual, majority, all, .. } = standing;
                let some = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
                let filtered = scores.filtered;
                let fields = [
                    cell.id.clone(),
                    cell.task.clone(),
                    kind.to_owned(),
                    template.to_owned(),
                    encoder.to_owned(),
                    seed.map(|seed| seed.to_string()).unwrap_or_default(),
                    split.to_string(),
                    scores.examples.to_string(),
                    scores.precision_at_1.to_string(),
                    scores.precision_at_10.to_string(),
                    scores.mrr.to_string(),
                    scores.loss.to_string(),
                    some(scores.macro_f1),
                    some(scores.entity_f1),
                    some(filtered.map(|filtered| filtered.precision_at_1)),
                    some(filtered.map(|filtered| filtered.mrr)),
                    all.map(|all| all.examples.to_string()).unwrap_or_default(),
                    some(all.map(|all| all.precision_at_1)),
                    some(all.map(|all| all.mrr)),
                    some(manual.map(|manual| manual.precision_at_1)),
                    some(manual.map(|manual| manual.mrr)),
                    majority.precision_at_1.to_string(),
                ];
                let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
                text += &fields.join(",");
                text.push('\n');
            }
        }
        text
    }
}

/// A field of a CSV file (RFC 4180).
fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\n']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

fn standings(dir: &SuiteDir, id: &str) -> Result<Vec<Standing>, Error> {
    let path = dir.cell(id).join(EVALUATION);
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
    let saved: Vec<Saved> =
        serde_json::from_str(&text).map_err(|source| Error::Json { path, source })?;
    Ok(saved.into_iter().map(Standing::from).collect())
}
