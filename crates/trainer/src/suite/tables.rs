//! Tables of a suite: tasks down, controls and variants across, a table for each score.

use std::fmt;

use ptuning_core::objective::Scores;
use serde::Serialize;

use super::folder::Plan;
use super::results::{CellResult, Standing};
use crate::settings::{CellKind, Split};

/// A mean over seeds, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of a sample (by n − 1); `None` for one seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
    /// Seeds.
    pub seeds: usize,
}

impl Figure {
    /// Of one number for each seed, 0 to 1.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        if values.is_empty() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| 100.0 * (squares / (count - 1.0)).sqrt());
        Some(Self { mean: 100.0 * mean, deviation, seeds: values.len() })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.deviation {
            Some(deviation) => write!(f, "{:.1} ± {deviation:.1}", self.mean),
            None => write!(f, "{:.1}", self.mean),
        }
    }
}

/// A line of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The task, or how tasks were averaged.
    pub name: String,
    /// Examples that were judged.
    pub examples: usize,
    /// A figure for each column that has one.
    pub figures: Vec<Option<Figure>>,
}

/// One score of all tasks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// Which score, in percent.
    pub score: String,
    /// Titles of the columns.
    pub columns: Vec<String>,
    /// A line for each task.
    pub tasks: Vec<Row>,
    /// The average in which each task counts once.
    pub mean_over_tasks: Row,
    /// The average in which each example counts once.
    pub mean_over_examples: Row,
}

/// What a table is about.
#[derive(Clone, Copy)]
struct Score {
    title: &'static str,
    /// Of the scores of one split, by the protocol of single tokens and by that of all answers.
    of: fn(&Scores, Option<&Scores>) -> Option<f64>,
    /// Whether a cell calls for the table.
    asked: fn(&Scores, Option<&Scores>) -> bool,
    /// Whether it is about answers of any number of tokens.
    all: bool,
}

const SCORES: [Score; 7] = [
    Score {
        title: "entity F1",
        of: |scores, _| scores.entity_f1,
        asked: |scores, _| scores.entity_f1.is_some(),
        all: false,
    },
    Score {
        title: "accuracy",
        of: |scores, _| Some(scores.precision_at_1),
        asked: |scores, _| is_of_labels(scores),
        all: false,
    },
    Score {
        title: "macro F1",
        of: |scores, _| scores.macro_f1,
        asked: |scores, _| is_of_labels(scores),
        all: false,
    },
    Score {
        title: "P@1",
        of: |scores, _| Some(scores.precision_at_1),
        asked: |scores, _| is_of_words(scores),
        all: false,
    },
    Score {
        title: "MRR",
        of: |scores, _| Some(scores.mrr),
        asked: |scores, _| is_of_words(scores),
        all: false,
    },
    Score {
        title: "P@1, other right answers removed",
        // Where no input has several right answers, there is none to remove.
        of: |scores, _| {
            Some(scores.filtered.map_or(scores.precision_at_1, |filtered| filtered.precision_at_1))
        },
        asked: |scores, _| scores.filtered.is_some(),
        all: false,
    },
    Score {
        title: "P@1, all answers",
        of: |_, all| Some(all?.precision_at_1),
        asked: |_, all| all.is_some(),
        all: true,
    },
];

fn is_of_labels(scores: &Scores) -> bool {
    scores.macro_f1.is_some() && scores.entity_f1.is_none()
}

fn is_of_words(scores: &Scores) -> bool {
    scores.macro_f1.is_none() && scores.entity_f1.is_none()
}

/// One number of a column: its seed, its value, and the examples that it is of.
type Value = (u64, f64, usize);

/// The tables of a plan's cells: one for each score that some cell calls for.
pub(super) fn tables(plan: &Plan, cells: &[CellResult]) -> Vec<Table> {
    let done = || cells.iter().filter_map(|cell| cell.on(plan.split));
    let there = |score: &&Score| {
        done().any(|standing| (score.asked)(&standing.scores, standing.all.as_ref()))
    };
    SCORES.iter().filter(there).map(|score| table(plan, cells, *score)).collect()
}

fn table(plan: &Plan, cells: &[CellResult], score: Score) -> Table {
    let tasks: Vec<TaskCells<'_>> =
        plan.tasks.iter().map(|task| TaskCells { task, plan, cells, score }).collect();
    // values[task][column][seed]
    let values: Vec<Vec<Vec<Value>>> = tasks.iter().map(TaskCells::columns).collect();
    let titles = titles(plan);
    let there: Vec<bool> = (0..titles.len())
        .map(|column| values.iter().any(|columns| !columns[column].is_empty()))
        .collect();
    let kept = |figures: Vec<Option<Figure>>| {
        figures.into_iter().zip(&there).filter(|(_, there)| **there).map(|(f, _)| f).collect()
    };
    let rows = tasks.iter().zip(&values).map(|(task, columns)| Row {
        name: task.task.clone(),
        examples: task.examples(),
        figures: kept(columns.iter().map(|seeds| figure(seeds)).collect()),
    });
    let rows: Vec<Row> = rows.collect();
    let examples = rows.iter().map(|row| row.examples).sum();
    let average = |name: &str, by_examples: bool| Row {
        name: name.to_owned(),
        examples,
        figures: kept((0..titles.len()).map(|c| over_tasks(&values, c, by_examples)).collect()),
    };
    Table {
        score: score.title.to_owned(),
        mean_over_tasks: average("mean over tasks", false),
        mean_over_examples: average("mean over examples", true),
        tasks: rows,
        columns: titles.iter().zip(&there).filter(|(_, t)| **t).map(|(t, _)| t.clone()).collect(),
    }
}

fn titles(plan: &Plan) -> Vec<String> {
    let alone = plan.variants.len() == 1;
    let controls = ["majority", "manual", "best discrete", "random weights"].map(str::to_owned);
    let variant = |(template, encoder): &(String, String)| match alone {
        true => "P-tuned".to_owned(),
        false => format!("{template}, {encoder}"),
    };
    controls.into_iter().chain(plan.variants.iter().map(variant)).collect()
}

/// The cells of one task.
struct TaskCells<'a> {
    task: &'a String,
    plan: &'a Plan,
    cells: &'a [CellResult],
    score: Score,
}

impl TaskCells<'_> {
    fn own(&self) -> impl Iterator<Item = &CellResult> {
        self.cells.iter().filter(|cell| cell.cell.task == *self.task)
    }

    fn trained(&self) -> impl Iterator<Item = (&CellResult, &Standing)> {
        self.own()
            .filter(|cell| matches!(cell.cell.kind, CellKind::Trained { .. }))
            .filter_map(|cell| Some((cell, cell.on(self.plan.split)?)))
    }

    fn examples(&self) -> usize {
        let standing = self.own().find_map(|cell| cell.on(self.plan.split));
        standing.map_or(0, |standing| self.judged(standing))
    }

    fn judged(&self, standing: &Standing) -> usize {
        match (self.score.all, &standing.all) {
            (true, Some(all)) => all.examples,
            _ => standing.scores.examples,
        }
    }

    /// What each column holds, in the order of [`titles`].
    fn columns(&self) -> Vec<Vec<Value>> {
        let first = self.own().find_map(|cell| cell.on(self.plan.split));
        let control = |scores: Option<Scores>, all: Option<Scores>| {
            let value = (self.score.of)(&scores?, all.as_ref())?;
            Some((0, value, first.map_or(0, |standing| self.judged(standing))))
        };
        let (manual, all_manual) = first.map_or((None, None), |s| (s.manual, s.all_manual));
        let majority = first.map(|standing| standing.majority);
        let all_majority = first.and_then(|standing| standing.all_majority);
        let mut columns = vec![
            control(majority, all_majority).into_iter().collect(),
            control(manual, all_manual).into_iter().collect(),
            self.best_discrete().into_iter().collect(),
            self.own().filter_map(|cell| self.random(cell)).collect(),
        ];
        for variant in &self.plan.variants {
            let values = self.trained().filter_map(|(cell, standing)| {
                let CellKind::Trained { template, encoder, seed } = &cell.cell.kind else {
                    return None;
                };
                let own = (template, encoder) == (&variant.0, &variant.1);
                own.then(|| self.value(standing, *seed)).flatten()
            });
            columns.push(values.collect());
        }
        columns
    }

    fn value(&self, standing: &Standing, seed: u64) -> Option<Value> {
        let value = (self.score.of)(&standing.scores, standing.all.as_ref())?;
        Some((seed, value, self.judged(standing)))
    }

    fn random(&self, cell: &CellResult) -> Option<Value> {
        let CellKind::RandomWeights { seed, .. } = cell.cell.kind else { return None };
        self.value(cell.on(self.plan.split)?, seed)
    }

    /// The discrete prompt that is best on dev.
    fn best_discrete(&self) -> Option<Value> {
        let discrete =
            self.own().filter(|cell| matches!(cell.cell.kind, CellKind::Discrete { .. }));
        let judged = discrete.filter_map(|cell| Some((cell.on(Split::Dev)?, cell)));
        let best =
            judged.reduce(|best, other| match other.0.scores.is_better_than(&best.0.scores) {
                true => other,
                false => best,
            });
        self.value(best?.1.on(self.plan.split)?, 0)
    }
}

fn figure(seeds: &[Value]) -> Option<Figure> {
    Figure::of(&seeds.iter().map(|(_, value, _)| *value).collect::<Vec<_>>())
}

/// A column's average over tasks, seed by seed; only where every task has it.
fn over_tasks(values: &[Vec<Vec<Value>>], column: usize, by_examples: bool) -> Option<Figure> {
    let first = &values.first()?[column];
    let of_seed = |seed: u64| -> Option<f64> {
        let (mut sum, mut weights) = (0.0, 0.0);
        for task in values {
            let (_, value, examples) = task[column].iter().find(|(own, ..)| *own == seed)?;
            let weight = if by_examples { *examples as f64 } else { 1.0 };
            sum += weight * value;
            weights += weight;
        }
        Some(sum / weights)
    };
    let seeds: Vec<f64> = first.iter().filter_map(|(seed, ..)| of_seed(*seed)).collect();
    Figure::of(&seeds)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![
            ["task".to_owned(), "examples".to_owned()]
                .into_iter()
                .chain(self.columns.iter().cloned())
                .collect::<Vec<String>>(),
        ];
        let averages = [&self.mean_over_tasks, &self.mean_over_examples];
        let averages = averages.into_iter().take(if self.tasks.len() > 1 { 2 } else { 0 });
        for row in self.tasks.iter().chain(averages) {
            let mut line = vec![row.name.clone(), row.examples.to_string()];
            line.extend(row.figures.iter().map(|f| f.map_or("-".to_owned(), |f| f.to_string())));
            lines.push(line);
        }
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
        writeln!(f, "{} in percent\n", self.score)?;
        for (number, line) in lines.iter().enumerate() {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                // Names to the left, numbers to the right.
                match column {
                    0 => write!(f, "| {cell:<width$} ")?,
                    _ => write!(f, "| {cell:>width$} ")?,
                }
            }
            writeln!(f, "|")?;
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width + 1);
                    match column {
                        0 => write!(f, "|-{dashes}")?,
                        _ => write!(f, "|{dashes}:")?,
                    }
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}
