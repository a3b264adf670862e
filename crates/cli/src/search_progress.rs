//! Progress of a search on stderr: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use trainer::progress::{Event, Observer};

use crate::console::say;
use crate::{console, events};

/// Draws a search.
pub struct SearchProgress {
    quiet: bool,
    /// `None` where there is no terminal.
    bar: Option<ProgressBar>,
    every: usize,
    best: Option<f64>,
    said: usize,
}

impl SearchProgress {
    /// A bar on a terminal; elsewhere a line for each new best and for every `every`th candidate; nothing if
    /// `quiet`.
    pub fn new(quiet: bool, every: usize) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::no_length();
            // The template is a constant that a test draws once.
            if let Ok(style) =
                ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta} left")
            {
                bar.set_style(style);
            }
            bar
        });
        Self { quiet, bar, every: every.max(1), best: None, said: 0 }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => say!("{line}"),
        }
    }
}

impl Observer for SearchProgress {
    fn on(&mut self, event: &Event<'_>) {
        if console::shows_events() {
            events::write(event);
        }
        if self.quiet {
            return;
        }
        match event {
            Event::Candidate { template, scores, done, of } => {
                let p1 = scores.precision_at_1;
                let best = self.best.is_none_or(|best| p1 > best);
                if best {
                    self.best = Some(p1);
                }
                if let Some(bar) = &self.bar {
                    if let Some(of) = of {
                        bar.set_length(*of as u64);
                    }
                    bar.set_position(*done as u64);
                    let best = 100.0 * self.best.unwrap_or_default();
                    bar.set_message(format!("best P@1 {best:.1}, now {:.1}", 100.0 * p1));
                }
                if best || (self.bar.is_none() && *done >= self.said + self.every) {
                    self.said = *done;
                    let of = of.map(|of| format!("/{of}")).unwrap_or_default();
                    let best = if best { "  (best so far)" } else { "" };
                    self.say(&format!(
                        "{done}{of} P@1 {:.1} MRR {:.1}  {template}{best}",
                        100.0 * p1,
                        100.0 * scores.mrr
                    ));
                }
            }
            Event::Evaluating { split, examples } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(format!("scoring {examples} examples of {split}"));
                }
            }
            Event::Step { position, loss, .. } => {
                if let Some(bar) = &self.bar {
                    let epoch = position.epoch + 1;
                    bar.set_message(format!("training, epoch {epoch}, loss {loss:.3}"));
                }
            }
            _ => {}
        }
    }
}
