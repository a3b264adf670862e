//! Trains a prompt and asks it, from a Rust program:
//!
//!     ptune fetch smollm2-135m
//!     cargo run --release --example train

use std::error::Error;
use std::path::Path;

use backbone::source::fetch;
use burn::tensor::Device;
use ptuning_core::template::Fields;
use trainer::predict::predict;
use trainer::prompt::Prompt;
use trainer::run_dir::{Job, RunDir, RunInfo};
use trainer::task::Task;
use trainer::train_loop::TrainLoop;
use trainer::{Interrupter, settings};

fn main() -> Result<(), Box<dyn Error>> {
    let few = ["name=example", "data.limit=64", "train.epochs=1"].map(str::to_owned);
    let settings = settings::load(Path::new("configs/lama.toml"), &few)?;
    let file = fetch::present(&settings.backbone.source, Path::new("."))?;
    let task = Task::load(settings, backbone::load(&file, &Device::flex())?)?;

    let info = RunInfo::now(Job::Train, "flex", 0, &task.backbone.identity);
    let run = RunDir::create(&task.settings, &info, true)?;
    TrainLoop::new(&task)?.run(&run, &Interrupter::new(), &mut ())?;

    let prompt = Prompt::load(&run.best(), &task.backbone)?;
    let countries = ["Japan", "Peru"].map(|x| Fields::from([("x".to_owned(), x.to_owned())]));
    for prediction in predict(&task.backbone, &prompt, &countries, 3, 8)? {
        let answers: Vec<&str> = prediction.answers.iter().map(|a| a.word.as_str()).collect();
        println!("{}: {}", prediction.input["x"], answers.join(", "));
    }
    Ok(())
}
