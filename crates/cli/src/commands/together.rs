//! `ptune train` with several configs, and the part of `ptune resume` that goes on with it: tasks that learn
//! together.
//!
//! The run folder has a run folder of each task in `tasks/`, which in the end holds its finished prompt.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use ptuning_core::objective::Scores;
use trainer::checkpoint::Checkpoint;
use trainer::evaluate::{self, evaluate};
use trainer::export::export_safetensors;
use trainer::run_dir::{Job, RunDir, RunInfo};
use trainer::runs::{TASKS, task_folders};
use trainer::settings::{self, Settings, SettingsError};
use trainer::task::Task;
use trainer::train_loop::TogetherLoop;

use super::open::{self, Fetching};
use super::train::{check_epochs, describe, is_interrupted, say_where};
use crate::args::{ResumeArgs, TrainArgs};
use crate::console::say;
use crate::exit::{Hinted, Outcome};
use crate::interrupt::Interrupt;
use crate::progress::{TrainProgress, scores_in_words};
use crate::{console, shell, tables};

/// A new run of several tasks.
pub fn train(args: &TrainArgs) -> anyhow::Result<Outcome> {
    let overrides = args.run.overrides.all();
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for config in &args.config {
        match settings::load(config, &overrides) {
            Ok(settings) => all.push(settings),
            Err(error) => problems.extend(error.problems),
        }
    }
    if !problems.is_empty() {
        return Err(SettingsError { problems }.into());
    }
    check(&args.config, &all)?;
    let names: Vec<&str> = all.iter().map(|settings| settings.name.as_str()).collect();
    let name = args.run.name.clone().unwrap_or_else(|| names.join("_"));
    let folder = all[0].runs.join(name);
    RunDir::check_free_at(&folder, args.run.force)?;
    for settings in &mut all {
        settings.runs = folder.join(TASKS);
    }
    let interrupt = Interrupt::install();
    let Some(tasks) = tasks(all, args.run.offline, console::is_quiet(), &interrupt)? else {
        return Ok(Outcome::Interrupted);
    };
    let mut training = TogetherLoop::new(&tasks)?;
    tasks.iter().try_for_each(evaluate::check)?;
    let Settings { device, seed, .. } = &tasks[0].settings;
    let info = RunInfo::now(Job::Together, device, *seed, &tasks[0].backbone.identity);
    let run = RunDir::create_at(folder, &overview(&tasks), &info, args.run.force)?;
    for task in &tasks {
        let info = RunInfo { job: Job::Train, ..info.clone() };
        RunDir::create(&task.settings, &info, false)?;
    }
    if !console::is_quiet() {
        say!("run folder {}", run.path().display());
    }
    go(&tasks, &mut training, &run, &interrupt, console::is_quiet())
}

/// An earlier run of several tasks, from its last checkpoint.
pub fn resume(args: &ResumeArgs, run: &RunDir) -> anyhow::Result<Outcome> {
    let overrides = args.overrides.all();
    let settings = |path: PathBuf| RunDir::open(&path)?.settings(&overrides);
    let all = task_folders(run)?.into_iter().map(settings).collect::<Result<Vec<Settings>, _>>()?;
    open::check_overrides(&overrides, &open::SETTLED)?;
    open::check_last(run)?;
    let checkpoint = Checkpoint::load(&run.last())?;
    let epochs = all.first().map_or(0, |settings| settings.train.epochs);
    check_epochs(&checkpoint.header.position, epochs, run)?;
    let interrupt = Interrupt::install();
    let Some(tasks) = tasks(all, args.offline, console::is_quiet(), &interrupt)? else {
        return Ok(Outcome::Interrupted);
    };
    let mut training = TogetherLoop::new(&tasks)?;
    training
        .restore(&checkpoint, &run.last())
        .with_context(|| format!("{}", run.last().display()))?;
    tasks.iter().try_for_each(evaluate::check)?;
    if !overrides.is_empty() {
        for task in &tasks {
            of_task(task)?.write_settings(&task.settings)?;
        }
    }
    run.rewind(training.position())?;
    if !console::is_quiet() {
        say_where(training.position(), epochs, run);
    }
    go(&tasks, &mut training, run, &interrupt, console::is_quiet())
}

/// The config of a run of several tasks: their names, the first of which says how all are trained.
fn overview(tasks: &[Task]) -> String {
    let name = |task: &Task| format!("{:?}", task.settings.name);
    let names: Vec<String> = tasks.iter().map(name).collect();
    format!(
        "# Each has its config in tasks/NAME; the first says how all are trained.\ntasks = [{}]\n",
        names.join(", ")
    )
}

fn of_task(task: &Task) -> anyhow::Result<RunDir> {
    Ok(RunDir::open(&task.settings.runs.join(&task.settings.name))?)
}

/// Tasks have names of their own and one backbone.
fn check(configs: &[PathBuf], all: &[Settings]) -> anyhow::Result<()> {
    let first = &all[0];
    for (index, (config, settings)) in configs.iter().zip(all).enumerate().skip(1) {
        let shown = |path: &Path| path.display().to_string();
        if let Some(at) = all[..index].iter().position(|other| other.name == settings.name) {
            return Err(Hinted {
                message: format!(
                    "name: {} and {} both name their task {:?}",
                    shown(&configs[at]),
                    shown(config),
                    settings.name
                ),
                hint: "tasks that learn together need names of their own".to_owned(),
            }
            .into());
        }
        let same = settings.backbone == first.backbone && settings.device == first.device;
        if !same {
            return Err(Hinted {
                message: format!(
                    "backbone: {} asks for {} on {}, {} for {} on {}",
                    shown(&configs[0]),
                    first.backbone.source,
                    first.device,
                    shown(config),
                    settings.backbone.source,
                    settings.device
                ),
                hint: "tasks that learn together share [backbone] and device".to_owned(),
            }
            .into());
        }
    }
    Ok(())
}

/// Data of all tasks on one backbone, or `None` if Ctrl-C came while it was fetched.
fn tasks(
    all: Vec<Settings>,
    offline: bool,
    quiet: bool,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Vec<Task>>> {
    let fetching = Fetching { offline, quiet, interrupt: Some(interrupt) };
    let load = || {
        let backbone = Arc::new(open::settings_backbone(&all[0], fetching)?);
        let task = |settings| Ok(Task::load(settings, backbone.clone())?);
        all.into_iter().map(task).collect()
    };
    open::unless_interrupted(load(), interrupt)
}

fn go(
    tasks: &[Task],
    training: &mut TogetherLoop<'_>,
    run: &RunDir,
    interrupt: &Interrupt,
    quiet: bool,
) -> anyhow::Result<Outcome> {
    let settings = &tasks[0].settings;
    if !quiet {
        let (all, shared) = training.virtual_tokens();
        say!("{all} virtual tokens, {shared} of them shared; trained as {} says", settings.name);
        for (task, (train, dev)) in tasks.iter().zip(training.counts()) {
            say!("{}: train {}", task.settings.name, describe(&train));
            say!("{}: dev   {}", task.settings.name, describe(&dev));
        }
    }
    let started = Instant::now();
    let mut progress = TrainProgress::new(quiet, settings.log.every);
    let end = training.run(run, &interrupt.training, &mut progress)?;
    if is_interrupted(end, training.position(), settings, run, started, quiet) {
        return Ok(Outcome::Interrupted);
    }
    training.restore(&Checkpoint::load(&run.best())?, &run.best())?;
    let mut all: Vec<(String, Vec<Scores>)> = Vec::new();
    for (task, (prompt, checkpoint)) in tasks.iter().zip(training.prompts()) {
        let own = of_task(task)?;
        checkpoint.save(&own.best())?;
        let mut evaluations = Vec::new();
        tables::line(&task.settings.name)?;
        for &split in &task.settings.eval.splits {
            let evaluation = evaluate(task, Some(&prompt), split)?;
            tables::evaluation(&evaluation)?;
            let name = split.name().to_owned();
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, scores)) => scores.extend(evaluation.prompt),
                None => all.push((name, evaluation.prompt.into_iter().collect())),
            }
            evaluations.push(evaluation);
        }
        own.write_evaluation(&evaluations)?;
        export_safetensors(&own.prompt(), &prompt, &task.backbone, &settings.backbone.source)?;
    }
    for (split, scores) in &all {
        let mean = scores_in_words(&Scores::mean(scores));
        tables::line(&format!("{split}, mean of {} tasks: {mean}", scores.len()))?;
    }
    if !quiet {
        let folder = run.path().join(TASKS).join(&settings.name);
        let folder = shell::word(&folder.to_string_lossy());
        say!("\nnext:\n  ptune inspect {folder}\n  ptune eval {folder}");
    }
    Ok(Outcome::Done)
}
