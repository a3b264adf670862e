//! `ptune suite`: many runs from one file, told in one table.

use std::sync::Arc;

use backbone::Backbone;
use trainer::progress::Observer;
use trainer::settings::{self, BackboneSettings, Cell, Settings, Split, Suite};
use trainer::suite::{
    AnyError, CellEvent, Employer, Results, Shard, State, SuiteDir, Table, WorkEnd, merge, work,
};

use super::open::{self, Fetching};
use super::suite_workers::{self, Crew, Told};
use crate::args::{Format, MergeArgs, SuiteArgs, SuiteCommand};
use crate::console::say;
use crate::exit::{Hinted, Outcome};
use crate::interrupt::Interrupt;
use crate::progress::{TrainProgress, scores_in_words};
use crate::threshold::{Threshold, thresholds};
use crate::{console, tables};

/// Runs a suite, a part of it, or joins parts.
pub fn run(args: &SuiteArgs) -> anyhow::Result<Outcome> {
    if let Some(SuiteCommand::Merge(args)) = &args.merge {
        return join(args);
    }
    // clap has asked for it.
    let Some(file) = &args.file else { return Ok(Outcome::Done) };
    let thresholds = thresholds(&args.fail_under, &["p1", "mrr", "f1"])?;
    let shard = args.shard.as_deref().map_or(Ok(Shard { part: 1, of: 1 }), shard)?;
    let suite = settings::load_suite(file, &args.overrides.all())?;
    if args.list {
        list(&suite, shard)?;
        return Ok(Outcome::Done);
    }
    let dir = SuiteDir::create(&suite, args.force)?;
    let interrupt = Interrupt::install();
    if args.worker {
        suite_workers::heed_stdin(&interrupt);
        let mut desk = Desk::new(args, &suite, &interrupt, Teller::Lines);
        let end = work(&suite.cells, &dir, shard, &mut desk, &interrupt.training)?;
        return Ok(outcome(&end));
    }
    let own = || suite.cells.iter().enumerate().filter(|(place, _)| shard.holds(*place));
    own().try_for_each(|(_, cell)| dir.forget_failure(&cell.id))?;
    let pending = own().filter(|(_, cell)| dir.state(&cell.id) != State::Done).count();
    if !console::is_quiet() {
        let (all, folder) = (own().count(), dir.path().display());
        say!("suite {}: {pending} of {all} cells to run, in {folder}", suite.name);
    }
    let crew = Crew::of(args.jobs, pending);
    let teller = if console::is_quiet() { Teller::Nothing } else { Teller::Words };
    let end = match crew.is_alone() {
        true => {
            let mut desk = Desk::new(args, &suite, &interrupt, teller);
            work(&suite.cells, &dir, shard, &mut desk, &interrupt.training)?
        }
        false => {
            let numbers = Numbers::new(&suite);
            let tell = |told: &Told| {
                if !console::is_quiet() {
                    tell(told, &numbers)
                }
            };
            crew.work(&dir, &interrupt.training, tell)?
        }
    };
    let results = Results::gather(&dir)?;
    results.write(&dir)?;
    if end == WorkEnd::Interrupted {
        say!("saved; the same command goes on");
        return Ok(Outcome::Interrupted);
    }
    show(&results, args.format)?;
    report_left(&results, &suite, &dir, shard, console::is_quiet())?;
    Ok(judge(&results, &thresholds))
}

fn outcome(end: &WorkEnd) -> Outcome {
    match end {
        WorkEnd::Done => Outcome::Done,
        WorkEnd::Interrupted => Outcome::Interrupted,
    }
}

fn show(results: &Results, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Table => tables::text(&results.markdown())?,
        Format::Json => tables::json(results)?,
    }
    Ok(())
}

fn join(args: &MergeArgs) -> anyhow::Result<Outcome> {
    let parts: Vec<&std::path::Path> = args.parts.iter().map(|part| part.as_path()).collect();
    let (dir, new) = merge(&parts, &args.out)?;
    let results = Results::gather(&dir)?;
    results.write(&dir)?;
    let (done, of) = results.progress();
    say!("{new} cells joined in {}; {done} of {of} are there", dir.path().display());
    show(&results, args.format)?;
    Ok(Outcome::Done)
}

/// `1/2`: the first of two parts.
fn shard(text: &str) -> anyhow::Result<Shard> {
    let numbers = text.split_once('/').and_then(|(part, of)| {
        let (part, of): (usize, usize) = (part.trim().parse().ok()?, of.trim().parse().ok()?);
        (part >= 1 && part <= of).then_some(Shard { part, of })
    });
    numbers.ok_or_else(|| {
        Hinted {
            message: format!("--shard {text}: expected I/N with I from 1 to N"),
            hint: "--shard 1/2 on one machine and --shard 2/2 on another".to_owned(),
        }
        .into()
    })
}

/// The cells and how far they are.
fn list(suite: &Suite, shard: Shard) -> anyhow::Result<()> {
    let dir = SuiteDir::open(&suite.folder).ok();
    let mut text = String::new();
    for (place, cell) in suite.cells.iter().enumerate().filter(|(place, _)| shard.holds(*place)) {
        let state = match dir.as_ref().map_or(State::New, |dir| dir.state(&cell.id)) {
            State::New => "new".to_owned(),
            State::Begun => "begun".to_owned(),
            State::Done => "done".to_owned(),
            State::Failed(why) => format!("failed: {}", why.lines().next().unwrap_or_default()),
        };
        text += &format!("{:>4}  {:<40} {state}\n", place + 1, cell.id);
    }
    Ok(tables::text(&text)?)
}

/// Says what is not done, and refuses to call it well where a cell could not be run.
fn report_left(
    results: &Results,
    suite: &Suite,
    dir: &SuiteDir,
    shard: Shard,
    quiet: bool,
) -> anyhow::Result<()> {
    let own: Vec<&Cell> = suite
        .cells
        .iter()
        .enumerate()
        .filter(|(place, _)| shard.holds(*place))
        .map(|(_, cell)| cell)
        .collect();
    let left = own.iter().filter(|cell| matches!(dir.state(&cell.id), State::New | State::Begun));
    let left = left.count();
    if left > 0 && !quiet {
        say!("{left} cells are not done: other workers are at work on them");
    }
    // What keeps many cells from being run is told once.
    let mut causes: Vec<(&String, Vec<&str>)> = Vec::new();
    let failed =
        results.cells.iter().filter(|result| own.iter().any(|cell| cell.id == result.cell.id));
    for (id, why) in failed.filter_map(|result| Some((&result.cell.id, result.failure.as_ref()?))) {
        match causes.iter_mut().find(|(known, _)| *known == why) {
            Some((_, cells)) => cells.push(id),
            None => causes.push((why, vec![id])),
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    let count: usize = causes.iter().map(|(_, cells)| cells.len()).sum();
    let told =
        causes.iter().map(|(why, cells)| format!("{}\n  {}", cells.join(", "), indented(why)));
    Err(Hinted {
        message: format!(
            "{count} of {} cells could not be run\n{}",
            own.len(),
            told.collect::<Vec<_>>().join("\n")
        ),
        hint: "the same command tries them again, and no others".to_owned(),
    }
    .into())
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n  ")
}

/// Whether every variant's mean over tasks is high enough.
fn judge(results: &Results, thresholds: &[Threshold]) -> Outcome {
    let mut judged = Outcome::Done;
    for threshold in thresholds {
        let titles: &[&str] = match threshold.name.as_str() {
            "p1" => &["P@1", "accuracy"],
            "f1" => &["entity F1", "macro F1"],
            _ => &["MRR"],
        };
        let table = results.tables.iter().find(|table| titles.contains(&table.score.as_str()));
        for (variant, mean) in table.map(variants).unwrap_or_default() {
            let percent = 100.0 * threshold.least;
            match mean {
                Some(mean) if mean >= percent => {}
                Some(mean) => {
                    say!("{variant}: {} is {mean:.1}, below {percent}", threshold.name);
                    judged = Outcome::BelowThreshold;
                }
                None => {
                    say!("{variant}: {} is not known before all tasks are done", threshold.name);
                    judged = Outcome::BelowThreshold;
                }
            }
        }
        if table.is_none() {
            say!("{}: no cell has such a score", threshold.name);
            judged = Outcome::BelowThreshold;
        }
    }
    judged
}

/// The trained variants of a table with their means over tasks, in percent.
fn variants(table: &Table) -> Vec<(&String, Option<f64>)> {
    let control = ["majority", "manual", "best discrete", "random weights"];
    let figures = table.mean_over_tasks.figures.iter().map(|figure| figure.map(|f| f.mean));
    let columns = table.columns.iter().zip(figures);
    columns.filter(|(title, _)| !control.contains(&title.as_str())).collect()
}

/// How a worker's events are told.
enum Teller {
    Nothing,
    Words,
    Lines,
}

/// Places of cells, for people.
struct Numbers<'a> {
    cells: &'a [Cell],
}

impl<'a> Numbers<'a> {
    fn new(suite: &'a Suite) -> Self {
        Self { cells: &suite.cells }
    }

    fn of(&self, id: &str) -> String {
        let place = self.cells.iter().position(|cell| cell.id == id).map_or(0, |place| place + 1);
        format!("cell {place}/{} {id}", self.cells.len())
    }
}

/// One line for each event.
fn tell(told: &Told, numbers: &Numbers<'_>) {
    match told {
        Told::Begun { cell } => say!("{}", numbers.of(cell)),
        Told::Done { cell, scores } => say!("{}: {scores}", numbers.of(cell)),
        Told::Failed { cell, why } => say!("{}: failed: {why}", numbers.of(cell)),
        Told::Lost { cell, how } => {
            let cell = cell.as_deref().map(|cell| format!(" on {}", numbers.of(cell)));
            say!("a worker ended{}: {how}", cell.unwrap_or_default());
        }
    }
}

/// Where a worker in this process gets what it needs.
struct Desk<'a> {
    args: &'a SuiteArgs,
    interrupt: &'a Interrupt,
    numbers: Numbers<'a>,
    split: Split,
    teller: Teller,
    /// The backbone of the last cell, and what it was loaded for.
    last: Option<(String, BackboneSettings, Arc<Backbone>)>,
}

impl<'a> Desk<'a> {
    fn new(
        args: &'a SuiteArgs,
        suite: &'a Suite,
        interrupt: &'a Interrupt,
        teller: Teller,
    ) -> Self {
        let (numbers, split) = (Numbers::new(suite), suite.split);
        Self { args, interrupt, numbers, split, teller, last: None }
    }
}

impl Employer for Desk<'_> {
    fn backbone(&mut self, settings: &Settings) -> Result<Arc<Backbone>, AnyError> {
        let wanted = (&settings.device, &settings.backbone);
        if let Some((device, backbone, loaded)) = &self.last
            && (device, backbone) == wanted
        {
            return Ok(loaded.clone());
        }
        // One at a time: the old one goes before the new one comes.
        self.last = None;
        let quiet = !matches!(self.teller, Teller::Words);
        let fetching =
            Fetching { offline: self.args.offline, quiet, interrupt: Some(self.interrupt) };
        let loaded = Arc::new(open::settings_backbone(settings, fetching)?);
        self.last = Some((settings.device.clone(), settings.backbone.clone(), Arc::clone(&loaded)));
        Ok(loaded)
    }

    fn on(&mut self, event: &CellEvent<'_>) {
        let told = match event {
            CellEvent::Begun(cell) => Told::Begun { cell: cell.id.clone() },
            CellEvent::Done(cell, evaluations) => {
                let split = self.split;
                let judged = evaluations.iter().find(|evaluation| evaluation.split == split);
                let scores = judged.and_then(|judged| judged.prompt.or(judged.manual));
                let scores = scores.as_ref().map(scores_in_words).unwrap_or_default();
                Told::Done { cell: cell.id.clone(), scores: format!("{split} {scores}") }
            }
            CellEvent::Failed(cell, why) => {
                Told::Failed { cell: cell.id.clone(), why: (*why).to_owned() }
            }
        };
        match self.teller {
            Teller::Nothing => {}
            Teller::Words => tell(&told, &self.numbers),
            Teller::Lines => suite_workers::say(&told),
        }
    }

    fn observer(&mut self, cell: &Cell) -> Box<dyn Observer> {
        let quiet = !matches!(self.teller, Teller::Words);
        Box::new(TrainProgress::new(quiet, cell.settings.log.every))
    }
}
