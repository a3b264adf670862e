//! The cells of a suite: every combination of its axes, each with settings of its own.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::document::{self, Entry, Node};
use super::error::{Problem, SettingsError};
use super::reader::Reader;
use super::sections::Split;
use super::suite::{Axes, Axis, axes, discrete, fill, seed_node};
use super::{Settings, read, resolve, texts};

/// Many runs that differ in few things.
#[derive(Debug, Clone, PartialEq)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The split that its tables are about.
    pub split: Split,
    /// Names of its tasks, in order.
    pub tasks: Vec<String>,
    /// Names of its templates and encoders, in order: the variants that are compared.
    pub variants: Vec<(String, String)>,
    /// Seeds of each variant.
    pub seeds: Vec<u64>,
    /// What is to be run.
    pub cells: Vec<Cell>,
}

/// One run of a suite.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Its name, which its folder has too.
    pub id: String,
    /// Name of its task.
    pub task: String,
    /// What it is.
    pub kind: CellKind,
    /// Its settings.
    pub settings: Settings,
}

/// What a cell is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum CellKind {
    /// A prompt that is trained.
    Trained {
        /// Name of its template.
        template: String,
        /// Name of its encoder.
        encoder: String,
        /// Its seed.
        seed: u64,
    },
    /// The same on random weights: what the examples teach without a language model.
    RandomWeights {
        /// Name of its template.
        template: String,
        /// Name of its encoder.
        encoder: String,
        /// Its seed.
        seed: u64,
    },
    /// A prompt of plain words, asked as it is.
    Discrete {
        /// The prompt.
        prompt: String,
    },
}

impl CellKind {
    /// Its kind, template or prompt, encoder and seed, as columns of a table.
    pub fn columns(&self) -> (&'static str, &str, &str, Option<u64>) {
        match self {
            Self::Trained { template, encoder, seed } => {
                ("trained", template, encoder, Some(*seed))
            }
            Self::RandomWeights { template, encoder, seed } => {
                ("random-weights", template, encoder, Some(*seed))
            }
            Self::Discrete { prompt } => ("discrete", prompt, "", None),
        }
    }
}

/// Reads a suite with `KEY=VALUE` overrides, which go over the settings of every cell.
///
/// # Errors
///
/// [`SettingsError`] with every problem of the suite and of its cells.
pub fn load_suite(path: &Path, overrides: &[String]) -> Result<Suite, SettingsError> {
    let text = read(path)?;
    let root = document::parse(&text, path).map_err(|problems| SettingsError { problems })?;
    let mut reader = Reader::new(&root, path, true);
    let axes = axes(&mut reader);
    let mut problems = reader.finish().0;
    let mut cells = Vec::new();
    if let (Some(base), true) = (&axes.base, problems.is_empty()) {
        let text = read(base)?;
        let base_root =
            document::parse(&text, base).map_err(|problems| SettingsError { problems })?;
        let maker = Maker { axes: &axes, base, root: &base_root, overrides, suite: path };
        cells = maker.cells(&mut problems);
    }
    if !problems.is_empty() {
        return Err(SettingsError { problems: once(problems) });
    }
    let names = |axes: &[Axis<'_>]| axes.iter().map(|axis| axis.name.clone()).collect::<Vec<_>>();
    let encoders = names(&axes.encoders);
    let pairs = |template: String| {
        let pair = move |encoder: &String| (template.clone(), encoder.clone());
        encoders.iter().map(pair).collect::<Vec<_>>()
    };
    Ok(Suite {
        folder: axes.suites.join(&axes.name),
        name: axes.name,
        split: axes.split,
        tasks: names(&axes.tasks),
        variants: names(&axes.templates).into_iter().flat_map(pairs).collect(),
        seeds: axes.seeds,
        cells,
    })
}

/// The same problem of many cells is one.
fn once(problems: Vec<Problem>) -> Vec<Problem> {
    let mut seen: Vec<String> = Vec::new();
    let new = |problem: &Problem| {
        let text = problem.to_string();
        let new = !seen.contains(&text);
        seen.extend(new.then_some(text));
        new
    };
    problems.into_iter().filter(new).collect()
}

struct Maker<'a> {
    axes: &'a Axes<'a>,
    base: &'a Path,
    root: &'a [Entry],
    overrides: &'a [String],
    suite: &'a Path,
}

impl Maker<'_> {
    /// Task by task, the controls of each behind its runs.
    fn cells(&self, problems: &mut Vec<Problem>) -> Vec<Cell> {
        let mut cells = Vec::new();
        for task in &self.axes.tasks {
            for &seed in &self.axes.seeds {
                for template in &self.axes.templates {
                    for encoder in &self.axes.encoders {
                        let cell = self.trained(task, template, encoder, seed, false, problems);
                        cells.extend(cell);
                    }
                }
            }
            if let (true, [template, ..], [encoder, ..], [seed, ..]) = (
                self.axes.random_weights,
                self.axes.templates.as_slice(),
                self.axes.encoders.as_slice(),
                self.axes.seeds.as_slice(),
            ) {
                cells.extend(self.trained(task, template, encoder, *seed, true, problems));
            }
            for (number, prompt) in discrete(task).into_iter().enumerate() {
                cells.extend(self.discrete(task, number, prompt, problems));
            }
        }
        cells
    }

    fn trained(
        &self,
        task: &Axis<'_>,
        template: &Axis<'_>,
        encoder: &Axis<'_>,
        seed: u64,
        random: bool,
        problems: &mut Vec<Problem>,
    ) -> Option<Cell> {
        let mut root = self.over(&[task.set(), template.set(), encoder.set()]);
        if let Some(text) = template.node("text") {
            match fill(text, task) {
                Ok(text) => document::put(&mut root, &["template", "text"], text),
                Err(problem) => {
                    problems.push(*problem);
                    return None;
                }
            }
        }
        document::put(&mut root, &["seed"], seed_node(seed, self.suite));
        let (template, encoder) = (template.name.clone(), encoder.name.clone());
        let id = format!("{}.{template}.{encoder}.{seed}", task.name);
        let (id, kind) = match random {
            true => {
                let truth = Node::truth(self.suite);
                document::put(&mut root, &["backbone", "random_weights"], truth);
                (format!("{id}.random"), CellKind::RandomWeights { template, encoder, seed })
            }
            false => (id, CellKind::Trained { template, encoder, seed }),
        };
        self.cell(id, task, kind, root, problems)
    }

    fn discrete(
        &self,
        task: &Axis<'_>,
        number: usize,
        prompt: &Node,
        problems: &mut Vec<Problem>,
    ) -> Option<Cell> {
        let mut root = self.over(&[task.set()]);
        document::put(&mut root, &["template", "text"], prompt.clone());
        let id = format!("{}.discrete.{}", task.name, number + 1);
        let prompt = prompt.string().unwrap_or_default().to_owned();
        self.cell(id, task, CellKind::Discrete { prompt }, root, problems)
    }

    /// The base with layers over it, the later over the earlier.
    fn over(&self, layers: &[&[Entry]]) -> Vec<Entry> {
        let mut root = self.root.to_vec();
        for layer in self.axes.set.iter().chain(layers) {
            document::overlay(&mut root, layer);
        }
        root
    }

    fn cell(
        &self,
        id: String,
        task: &Axis<'_>,
        kind: CellKind,
        mut root: Vec<Entry>,
        problems: &mut Vec<Problem>,
    ) -> Option<Cell> {
        for argument in self.overrides {
            document::apply_override(&mut root, argument, problems);
        }
        let mut reader = Reader::new(&root, self.base, true);
        let mut settings = resolve::settings(&mut reader);
        texts::check(&mut reader, &settings);
        let found = reader.finish().0;
        let fine = found.is_empty();
        problems.extend(found);
        settings.name.clone_from(&id);
        settings.runs = self.axes.suites.join(&self.axes.name).join(super::CELLS);
        // Dev chooses between discrete prompts, and the table is about its split.
        for split in [Split::Dev, self.axes.split] {
            let there = split == Split::Dev || settings.data.test.is_some();
            if there && !settings.eval.splits.contains(&split) {
                settings.eval.splits.push(split);
            }
        }
        fine.then(|| Cell { id, task: task.name.clone(), kind, settings })
    }
}
