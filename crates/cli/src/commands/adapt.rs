//! `ptune adapt`, and the part of `ptune resume` that goes on with it.

use std::time::Instant;

use anyhow::Context;
use backbone::DeviceSpec;
use trainer::adapt::{AdaptCheckpoint, Adaptation, ModelCard, export_model};
use trainer::run_dir::{Job, RunDir, RunInfo};
use trainer::settings::{self, AdaptSettings};
use trainer::train_loop::End;

use super::open::{self, Fetching};
use super::train::check_epochs;
use crate::args::{AdaptArgs, ResumeArgs};
use crate::console::say;
use crate::exit::Outcome;
use crate::interrupt::Interrupt;
use crate::progress::{TrainProgress, scores_in_words};
use crate::{console, shell, tables};

/// Sections and keys that the checkpoints of an adaptation have settled.
const SETTLED: [&str; 5] = ["backbone", "text", "seed", "name", "runs"];

/// A new run.
pub fn run(args: &AdaptArgs) -> anyhow::Result<Outcome> {
    let settings = settings::load_adapt(&args.config, &args.run.overrides())?;
    RunDir::check_free_at(&settings.folder(), args.run.force)?;
    let interrupt = Interrupt::install();
    let Some(mut adaptation) = open(settings, args.run.offline, console::is_quiet(), &interrupt)?
    else {
        return Ok(Outcome::Interrupted);
    };
    let settings = adaptation.settings();
    let info =
        RunInfo::now(Job::Adapt, &settings.device, settings.seed, &adaptation.model().identity);
    let run = RunDir::create_at(settings.folder(), &settings.to_toml()?, &info, args.run.force)?;
    if !console::is_quiet() {
        say!("run folder {}", run.path().display());
    }
    go(&mut adaptation, &run, &interrupt, console::is_quiet())
}

/// An earlier run, from its last checkpoint.
pub fn resume(args: &ResumeArgs, run: &RunDir) -> anyhow::Result<Outcome> {
    let overrides = args.overrides.all();
    let settings = run.adapt_settings(&overrides)?;
    open::check_overrides(&overrides, &SETTLED)?;
    open::check_last(run)?;
    let checkpoint = AdaptCheckpoint::load(&run.last())?;
    check_epochs(&checkpoint.header.position, settings.train.epochs, run)?;
    let interrupt = Interrupt::install();
    let Some(mut adaptation) = open(settings, args.offline, console::is_quiet(), &interrupt)?
    else {
        return Ok(Outcome::Interrupted);
    };
    adaptation
        .restore(checkpoint, &run.last())
        .with_context(|| format!("{}", run.last().display()))?;
    if !overrides.is_empty() {
        run.write_config(&adaptation.settings().to_toml()?)?;
    }
    run.rewind(adaptation.position())?;
    if !console::is_quiet() {
        super::train::say_where(adaptation.position(), adaptation.settings().train.epochs, run);
    }
    go(&mut adaptation, run, &interrupt, console::is_quiet())
}

/// Model and text, or `None` if Ctrl-C came while the model was fetched.
fn open(
    settings: AdaptSettings,
    offline: bool,
    quiet: bool,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Adaptation>> {
    let device = settings.device.parse::<DeviceSpec>()?.open()?;
    let fetching = Fetching { offline, quiet, interrupt: Some(interrupt) };
    let located = open::locate(&settings.backbone.source, fetching);
    let Some(path) = open::unless_interrupted(located, interrupt)? else { return Ok(None) };
    let model = backbone::trainable(&path, &device)?;
    if !quiet {
        say!(
            "backbone {} ({}, {:.1} million parameters) on {}",
            settings.backbone.source,
            model.identity.family,
            model.parameters.count() as f64 / 1e6,
            settings.device
        );
    }
    Ok(Some(Adaptation::new(settings, model, &device)?))
}

fn go(
    adaptation: &mut Adaptation,
    run: &RunDir,
    interrupt: &Interrupt,
    quiet: bool,
) -> anyhow::Result<Outcome> {
    let (train, dev, cut) = adaptation.passages();
    let before = match adaptation.position().step {
        0 => Some(adaptation.score()?),
        _ => None,
    };
    if !quiet {
        let cut =
            if cut > 0 { format!(", {cut} of them cut to text.max_tokens") } else { String::new() };
        say!("train {train} passages, dev {dev}{cut}");
        if let Some(scores) = &before {
            say!("before: dev {}", scores_in_words(scores));
        }
    }
    let started = Instant::now();
    let mut progress = TrainProgress::new(quiet, adaptation.settings().log.every);
    match adaptation.run(run, &interrupt.training, &mut progress)? {
        End::Interrupted => {
            super::train::say_how_to_go_on(adaptation.position(), run);
            return Ok(Outcome::Interrupted);
        }
        End::Stopped if !quiet => say!("stopped early: the loss on dev no longer falls"),
        End::Stopped | End::Finished => {}
    }
    let steps = adaptation.position().step;
    adaptation.restore(AdaptCheckpoint::load(&run.best())?, &run.best())?;
    // The best epoch was scored when it was saved.
    let after = match adaptation.position().best {
        Some((_, scores)) => scores,
        None => adaptation.score()?,
    };
    let settings = adaptation.settings();
    let command: Vec<String> = run.info()?.command.iter().map(|word| shell::word(word)).collect();
    let card = ModelCard {
        start: settings.backbone.source.clone(),
        text: settings.text.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        passages: train,
        steps,
        loss: (before.map(|scores| scores.loss), after.loss),
        command: command.join(" "),
    };
    export_model(&run.model(), adaptation.model(), &card)?;
    if !quiet {
        let model = shell::word(&run.model().to_string_lossy());
        say!(
            "trained in {:.0} s; best epoch: dev loss {:.3}",
            started.elapsed().as_secs_f64(),
            after.loss
        );
        say!(
            "\nnext:\n  ptune train --config configs/lama-bert.toml --set backbone.source={model}"
        );
    }
    tables::line(&run.model().display())?;
    Ok(Outcome::Done)
}
