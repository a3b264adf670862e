//! Ctrl-C in the midst of training, and `ptune resume` after it.
#![cfg(unix)]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use common::{Folder, PTUNE, words};
use serde_json::Value;

/// Losses and rates of every step and epoch; times left out.
fn curve(folder: &Folder, run: &str) -> Vec<String> {
    let metrics = folder.text(&format!("runs/{run}/metrics.jsonl"));
    let line = |line: &str| {
        let mut metric: Value = serde_json::from_str(line).unwrap();
        let metric = metric.as_object_mut().unwrap();
        metric.remove("examples_per_second");
        metric.remove("seconds");
        serde_json::to_string(metric).unwrap()
    };
    metrics.lines().map(line).collect()
}

/// Runs `ptune` until a line on stderr begins with `until`, sends it Ctrl-C, and gives what it told on stderr
/// after that. Nothing may be on stdout.
fn interrupted(folder: &Folder, line: &str, until: &str) -> String {
    let mut child = Command::new(PTUNE)
        .args(words(line))
        .current_dir(folder.path(""))
        .env("PTUNE_CACHE", folder.path("cache"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with(until) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it ended before Ctrl-C");
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert_eq!(stdout, "", "no results of half a run");
    rest
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_losses_to_the_bit() {
    let folder = Folder::new();
    let line = "train --config config.toml --set train.epochs=100000 --set log.every=1";
    let rest = interrupted(&folder, line, "epoch 3/100000 step 1/3 ");
    assert!(rest.contains("stopping as soon as everything is saved"), "{rest}");
    let command = rest.lines().last().unwrap().strip_prefix("  ptune ").unwrap();
    assert_eq!(command, "resume runs/tiny");
    let left = |name: &str| folder.path(&format!("runs/tiny/{name}")).exists();
    assert!(left("last.safetensors") && !left("evaluation.json"), "{rest}");

    // What it had done is what the metrics say it had done.
    let before = curve(&folder, "tiny");
    let done = before.iter().filter(|line| line.contains("\"step\",")).count();
    assert!(rest.contains(&format!("saved after step {done}; go on with:")), "{done}: {rest}");

    let epochs = done.div_ceil(3) + 2;
    let resumed = folder.run(&format!("{command} --set train.epochs={epochs}"));
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert!(resumed.stderr.contains(&format!("going on after step {done} ")), "{resumed}");
    let whole =
        folder.run(&format!("train --config config.toml --name whole --set train.epochs={epochs}"));
    assert_eq!(whole.code, Some(0), "{whole}");

    let curves = (curve(&folder, "tiny"), curve(&folder, "whole"));
    assert_eq!(curves.0.len(), epochs * (3 + 1));
    assert_eq!(curves.0, curves.1);
    assert_eq!(resumed.stdout, whole.stdout);
    assert_eq!(
        folder.tensors("runs/tiny/prompt.safetensors"),
        folder.tensors("runs/whole/prompt.safetensors")
    );
}

#[test]
fn an_interrupted_search_goes_on_to_the_same_leaderboard() {
    const SEARCH: &str = "search paraphrase --config config.toml --phrases phrases.tsv";
    let folder = Folder::new();
    // Forty alternatives for each of two words: 1,680 templates.
    let alternatives: Vec<String> = (0..40).map(|n| format!("of {}", "is ".repeat(n))).collect();
    let list = format!("capital\t{0}\nis\t{0}\n", alternatives.join("\t"));
    folder.write("phrases.tsv", list);
    let rest = interrupted(&folder, &format!("{SEARCH} --set log.every=1"), "3/");
    let command = rest.lines().last().unwrap().strip_prefix("  ptune ").unwrap();
    assert_eq!(command, "resume runs/tiny-paraphrase");
    let journal = || folder.text("runs/tiny-paraphrase/search.jsonl");
    let scored = || journal().lines().filter(|line| line.contains("\"scored\"")).count();
    let done = scored();
    assert!(rest.contains(&format!("saved after evaluation {done}; go on with:")), "{rest}");

    let total = done + 20;
    let resumed = folder.run(&format!("{command} --budget {total}"));
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert!(resumed.stderr.contains(&format!("the budget of {total} evaluations")), "{resumed}");
    let whole = folder.run(&format!("{SEARCH} --budget {total} --name whole"));
    assert_eq!(whole.code, Some(0), "{whole}");
    assert_eq!(whole.stdout, resumed.stdout);
    let board = |name| folder.text(&format!("runs/{name}/leaderboard.json"));
    assert_eq!(board("tiny-paraphrase"), board("whole"));
    assert_eq!(scored(), total);
}
