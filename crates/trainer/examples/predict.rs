//! Asks a prompt that `ptune train` or `ptune export` has written, without its data and its encoder:
//!
//!     ptune train --config configs/lama.toml
//!     cargo run --release --example predict -- checkpoints/runs/lama-p36/prompt.safetensors Japan Peru

use std::error::Error;
use std::path::Path;

use backbone::source::fetch;
use burn::tensor::Device;
use ptuning_core::template::Fields;
use trainer::export::PromptFile;
use trainer::predict::predict;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which prompt? name a file of `ptune export`")?;
    let file = PromptFile::load(Path::new(&path))?;
    let model = fetch::present(&file.backbone_source, Path::new("."))?;
    let backbone = backbone::load(&model, &Device::flex())?;
    let prompt = file.prompt(&backbone, Path::new(&path))?;

    let inputs: Vec<Fields> = arguments.map(|x| Fields::from([("x".to_owned(), x)])).collect();
    for prediction in predict(&backbone, &prompt, &inputs, 3, 8)? {
        let answer = &prediction.answers[0];
        println!(
            "{} ({:.0} %)",
            prediction.filled.replace("[z]", &answer.word),
            100.0 * answer.probability
        );
    }
    Ok(())
}
