//! `ptune train` and `ptune resume`.

use std::time::Instant;

use anyhow::Context;
use trainer::checkpoint::{Checkpoint, Position};
use trainer::data::{Example, Sentence};
use trainer::evaluate::{self, evaluate};
use trainer::export::export_safetensors;
use trainer::prompt::Prompt;
use trainer::run_dir::{Job, RunDir, RunInfo};
use trainer::settings::{self, Settings};
use trainer::task::{Counts, Task};
use trainer::train_loop::{End, TrainLoop};

use super::open::{self, Fetching};
use super::{adapt, search, together};
use crate::args::{ResumeArgs, TrainArgs};
use crate::console::say;
use crate::exit::{Hinted, Outcome};
use crate::interrupt::Interrupt;
use crate::progress::TrainProgress;
use crate::{console, shell, tables};

/// A new run.
pub fn train(args: &TrainArgs) -> anyhow::Result<Outcome> {
    let [config] = args.config.as_slice() else {
        return together::train(args);
    };
    let settings = settings::load(config, &args.run.overrides())?;
    RunDir::check_free(&settings, args.run.force)?;
    let interrupt = Interrupt::install();
    let Some(task) = open_task(settings, args.run.offline, console::is_quiet(), &interrupt)? else {
        return Ok(Outcome::Interrupted);
    };
    let mut training = TrainLoop::new(&task)?;
    evaluate::check(&task)?;
    let settings = &task.settings;
    let info = RunInfo::now(Job::Train, &settings.device, settings.seed, &task.backbone.identity);
    // Everything that can be wrong has been looked at: only now the folder is made.
    let run = RunDir::create(&task.settings, &info, args.run.force)?;
    if !console::is_quiet() {
        say!("run folder {}", run.path().display());
    }
    go(&task, &mut training, &run, &interrupt, console::is_quiet())
}

/// An earlier run, from its last checkpoint.
pub fn resume(args: &ResumeArgs) -> anyhow::Result<Outcome> {
    let run = RunDir::open(&args.run)?;
    let job = run.info()?.job;
    if job == Job::Search {
        return search::resume(args, &run);
    }
    search::check_no_limits(&args.limits, &run)?;
    if job == Job::Adapt {
        return adapt::resume(args, &run);
    }
    if job == Job::Together {
        return together::resume(args, &run);
    }
    let overrides = args.overrides.all();
    let settings = run.settings(&overrides)?;
    open::check_overrides(&overrides, &open::SETTLED)?;
    open::check_last(&run)?;
    let checkpoint = Checkpoint::load(&run.last())?;
    check_epochs(&checkpoint.header.position, settings.train.epochs, &run)?;
    let interrupt = Interrupt::install();
    let Some(task) = open_task(settings, args.offline, console::is_quiet(), &interrupt)? else {
        return Ok(Outcome::Interrupted);
    };
    let mut training = TrainLoop::new(&task)?;
    training
        .restore(&checkpoint, &run.last())
        .with_context(|| format!("{}", run.last().display()))?;
    evaluate::check(&task)?;
    if !overrides.is_empty() {
        run.write_settings(&task.settings)?;
    }
    run.rewind(training.position())?;
    if !console::is_quiet() {
        say_where(training.position(), task.settings.train.epochs, &run);
    }
    go(&task, &mut training, &run, &interrupt, console::is_quiet())
}

/// Says where a run goes on.
pub fn say_where(position: &Position, epochs: usize, run: &RunDir) {
    let Position { step, epoch, stopped, .. } = position;
    let folder = run.path().display();
    if *stopped || *epoch >= epochs {
        say!("{folder}: training has come to its end after {epoch} epochs");
    } else {
        say!("{folder}: going on after step {step} (epoch {})", epoch + 1);
    }
}

/// Says how to go on with a run that was interrupted.
pub fn say_how_to_go_on(position: &Position, run: &RunDir) {
    let folder = shell::word(&run.path().to_string_lossy());
    say!("saved after step {}; go on with:\n  ptune resume {folder}", position.step);
}

/// Refuses fewer epochs than the run has begun: what was learned cannot be taken back.
pub fn check_epochs(position: &Position, epochs: usize, run: &RunDir) -> anyhow::Result<()> {
    let begun = position.epoch + usize::from(position.step_in_epoch > 0);
    if epochs >= begun {
        return Ok(());
    }
    Err(Hinted {
        message: format!(
            "train.epochs: expected {begun} or more, found {epochs}: {} is past that",
            run.path().display()
        ),
        hint: format!("--set train.epochs={begun} ends the run where it is"),
    }
    .into())
}

/// Data and backbone, or `None` if Ctrl-C came while the backbone was fetched.
fn open_task(
    settings: Settings,
    offline: bool,
    quiet: bool,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Task>> {
    let fetching = Fetching { offline, quiet, interrupt: Some(interrupt) };
    open::unless_interrupted(open::task(settings, fetching), interrupt)
}

fn go(
    task: &Task,
    training: &mut TrainLoop<'_>,
    run: &RunDir,
    interrupt: &Interrupt,
    quiet: bool,
) -> anyhow::Result<Outcome> {
    let settings: &Settings = &task.settings;
    if !quiet {
        let (train, dev) = training.counts();
        say!("train {}", describe(&train));
        say!("dev   {}", describe(&dev));
        if let Some((learn, all)) = training.lm_numbers() {
            say!("lm    {}", learns(learn, all));
        }
    }
    let started = Instant::now();
    let mut progress = TrainProgress::new(quiet, settings.log.every);
    let end = training.run(run, &interrupt.training, &mut progress)?;
    if is_interrupted(end, training.position(), settings, run, started, quiet) {
        return Ok(Outcome::Interrupted);
    }
    let prompt = Prompt::load(&run.best(), &task.backbone)?;
    let mut evaluations = Vec::new();
    for &split in &settings.eval.splits {
        let evaluation = evaluate(task, Some(&prompt), split)?;
        tables::evaluation(&evaluation)?;
        evaluations.push(evaluation);
    }
    run.write_evaluation(&evaluations)?;
    let exported = prompt.lm.is_none();
    if exported {
        export_safetensors(&run.prompt(), &prompt, &task.backbone, &settings.backbone.source)?;
    }
    if !quiet {
        let folder = shell::word(&run.path().to_string_lossy());
        let inputs = example_inputs(task);
        if exported {
            say!("prompt exported to {}", run.prompt().display());
        } else {
            say!("what the language model learned is in {}", run.best().display());
        }
        say!("\nnext:\n  ptune predict {folder} {inputs}\n  ptune inspect {folder}");
    }
    Ok(Outcome::Done)
}

/// Says how training came to its end; whether it was interrupted.
pub fn is_interrupted(
    end: End,
    position: &Position,
    settings: &Settings,
    run: &RunDir,
    started: Instant,
    quiet: bool,
) -> bool {
    match end {
        End::Interrupted => {
            say_how_to_go_on(position, run);
            return true;
        }
        End::Stopped if !quiet => {
            let patience = settings.train.patience.unwrap_or(0);
            say!("stopped early: no better dev P@1 for {patience} epochs");
        }
        End::Stopped | End::Finished => {}
    }
    if !quiet {
        say!("trained in {:.0} s; judging the best epoch", started.elapsed().as_secs_f64());
    }
    false
}

/// Characters of an input that is shown as an example.
const SHORT_INPUT: usize = 80;

/// Two short inputs of dev, as words for a shell.
fn example_inputs(task: &Task) -> String {
    if let Some(sentences) = &task.sentences {
        let texts = sentences.dev.iter().map(Sentence::text);
        let short = texts.filter(|text| text.len() <= SHORT_INPUT && !text.starts_with(['{', '-']));
        return short.take(2).map(|text| shell::word(&text)).collect::<Vec<_>>().join(" ");
    }
    let short = |example: &&Example| example.fields.values().all(|text| text.len() <= SHORT_INPUT);
    let inputs = task.data.dev.iter().filter(short).take(2).map(|example| {
        let fields = &example.fields;
        match fields.values().next() {
            Some(text) if fields.len() == 1 && !text.starts_with(['{', '-']) => shell::word(text),
            _ => shell::word(&serde_json::json!(fields).to_string()),
        }
    });
    inputs.collect::<Vec<_>>().join(" ")
}

/// How much of a language model learns and what that takes: weights, those that learn with their gradients
/// and two moments, all in f32, beside the frozen backbone that judges.
fn learns(learn: usize, all: usize) -> String {
    let gigabytes = 4.0 * (all + 4 * learn) as f64 / 1e9;
    let percent = 100.0 * learn as f64 / all as f64;
    format!(
        "{learn} of {all} numbers learn ({percent:.2} %); weights, gradients and moments take \
         {gigabytes:.2} GB beside the frozen backbone and a step's activations"
    )
}

/// How many examples are used, and why not all.
pub fn describe(counts: &Counts) -> String {
    let mut text = format!("{} of {} examples", counts.used, counts.read);
    for (count, why) in [
        (counts.several_tokens, "dropped: answer is several tokens"),
        (counts.not_candidate, "dropped: answer is no candidate"),
        (counts.shortened, "shortened by the template's rule"),
    ] {
        if count > 0 {
            text += &format!(", {count} {why}");
        }
    }
    text
}
