//! A task small enough to train in a second: the tiny Llama and six capitals.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod batch;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use tempfile::TempDir;
use trainer::Interrupter;
use trainer::progress::{Event, Observer};
use trainer::run_dir::{Job, RunDir, RunInfo};
use trainer::settings::{self, Settings};
use trainer::task::Task;

pub const PAIRS: [(&str, &str); 6] = [
    ("Britain", "London"),
    ("Egypt", "Cairo"),
    ("France", "Paris"),
    ("India", "Delhi"),
    ("Italy", "Rome"),
    ("Norway", "Oslo"),
];

pub fn tiny_llama() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../backbone/tests/golden/tiny_llama")
}

/// A folder with data and a config in it; runs go there too.
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows = |range: std::ops::Range<usize>| -> String {
        PAIRS[range].iter().map(|(x, z)| format!("{{\"x\": \"{x}\", \"z\": \"{z}\"}}\n")).collect()
    };
    std::fs::write(folder.path().join("train.jsonl"), rows(0..6)).unwrap();
    std::fs::write(folder.path().join("dev.jsonl"), rows(2..6)).unwrap();
    std::fs::write(folder.path().join("test.jsonl"), rows(0..3)).unwrap();
    let config = format!(
        "name = \"tiny\"\nruns = {:?}\n[backbone]\nsource = {:?}\n[data]\npath = {:?}\n\
         [template]\ntext = \"[h:2] capital of [x] [h:2] [z]\"\n\
         [train]\nlr = 1e-2\nepochs = 4\nbatch_size = 2\n\
         [eval]\nmanual = \"The capital of [x] is [z]\"\nbatch_size = 4\n",
        folder.path().join("runs"),
        tiny_llama(),
        folder.path(),
    );
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    folder
}

pub fn settings(folder: &TempDir, overrides: &[&str]) -> Settings {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    settings::load(&folder.path().join("config.toml"), &overrides).unwrap()
}

pub fn task(folder: &TempDir, overrides: &[&str]) -> Task {
    let backbone = backbone::load(&tiny_llama(), &Device::flex()).unwrap();
    Task::load(settings(folder, overrides), backbone).unwrap()
}

pub fn run_dir(task: &Task) -> RunDir {
    let info = RunInfo {
        job: Job::Train,
        command: vec!["test".to_owned()],
        version: String::new(),
        device: "flex".to_owned(),
        seed: task.settings.seed,
        backbone: task.backbone.identity.clone(),
        started_unix: 0,
    };
    RunDir::create(&task.settings, &info, false).unwrap()
}

/// Stops a run after so many steps.
pub struct StopAfter(pub usize, pub Interrupter);

impl Observer for StopAfter {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Step { position, .. } = event
            && position.step == self.0
        {
            self.1.stop(Some("test"));
        }
    }
}
