//! Progress as JSON lines on stderr, for programs.

use serde_json::{Value, json};
use trainer::progress::Event;
use trainer::run_dir::Metric;

use crate::console;

/// Writes what a run tells. Epochs and steps count from 1, as in `metrics.jsonl`.
pub fn write(event: &Event<'_>) {
    match event {
        Event::Started { epochs, steps_per_epoch, position } => console::event(
            "started",
            [
                ("epochs", json!(epochs)),
                ("steps_per_epoch", json!(steps_per_epoch)),
                ("epochs_done", json!(position.epoch)),
                ("steps_done", json!(position.step)),
            ],
        ),
        Event::Step { position, loss, lr, examples } => console::event(
            "step",
            [
                ("epoch", json!(position.epoch + 1)),
                ("step", json!(position.step)),
                ("loss", json!(loss)),
                ("lr", json!(lr)),
                ("examples", json!(examples)),
            ],
        ),
        Event::Evaluating { split, examples } => console::event(
            "evaluating",
            [("split", json!(split.name())), ("examples", json!(examples))],
        ),
        Event::Epoch { metric } => epoch(metric),
        Event::Candidate { template, scores, done, of } => console::event(
            "candidate",
            [
                ("template", json!(template)),
                ("scores", json!(scores)),
                ("done", json!(done)),
                ("of", json!(of)),
            ],
        ),
        _ => {}
    }
}

fn epoch(metric: &Metric) {
    let Metric::Epoch { epoch, step, train_loss, dev, lr, examples_per_second, seconds, best } =
        metric
    else {
        return;
    };
    console::event(
        "epoch",
        [
            ("epoch", json!(epoch)),
            ("step", json!(step)),
            ("train_loss", json!(train_loss)),
            ("dev", json!(dev)),
            ("lr", json!(lr)),
            ("examples_per_second", json!(examples_per_second)),
            ("seconds", json!(seconds)),
            ("best", Value::Bool(*best)),
        ],
    );
}
