//! `ptune bench`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use backbone::{Memory, Options};
use ptuning_core::prompt_encoder::EncoderKind;
use serde_json::json;
use trainer::bench::{Shape, bench, peak_memory_bytes};
use trainer::settings::TrainSettings;

use super::open::{self, Fetching};
use crate::args::{BenchArgs, EncoderArg, Without};
use crate::exit::{Hinted, Outcome};

/// Times training and evaluation.
pub fn run(args: &BenchArgs) -> anyhow::Result<Outcome> {
    if args.virtual_tokens > args.length {
        return Err(Hinted {
            message: format!(
                "--virtual {}: more than --length {}",
                args.virtual_tokens, args.length
            ),
            hint: "the length includes the virtual tokens".to_owned(),
        }
        .into());
    }
    let fetching = Fetching { offline: args.offline, quiet: args.json, interrupt: None };
    let started = Instant::now();
    let on = |part| !args.without.contains(&part);
    let options = Options {
        fused: on(Without::Fused),
        share_prefix: on(Without::SharePrefix),
        answer_rows: on(Without::AnswerRows),
        memory: if args.recompute { Memory::Recompute } else { Memory::Tape },
    };
    let backbone = open::backbone(&args.backbone, &args.device, options, fetching)?;
    let load_s = started.elapsed().as_secs_f64();
    let max = backbone.model.max_positions();
    if args.length as usize > max {
        return Err(Hinted {
            message: format!("--length {}: the backbone has {max} positions", args.length),
            hint: format!("--length {max} or less"),
        }
        .into());
    }
    let shape = Shape {
        batch: args.batch as usize,
        length: args.length as usize,
        prompt: args.virtual_tokens as usize,
        leading: args.leading.min(args.virtual_tokens) as usize,
        steps: args.steps as usize,
        encoder: match args.encoder {
            EncoderArg::Lstm => EncoderKind::Lstm,
            EncoderArg::Mlp => EncoderKind::Mlp,
            EncoderArg::Direct => EncoderKind::Direct,
        },
    };
    let timing = bench(&backbone, &TrainSettings::default(), shape);
    let memory = peak_memory_bytes();
    let mut out = std::io::stdout().lock();
    if args.json {
        let value = json!({
            "train_examples_per_s": timing.train_examples_per_s,
            "eval_examples_per_s": timing.eval_examples_per_s,
            "peak_memory_bytes": memory,
            "first_step_s": timing.first_step_s,
            "first_step_done_at": timing.first_step_done_at,
            "load_s": load_s,
            "stages_s": timing.stages.iter().copied().collect::<BTreeMap<&str, f64>>(),
        });
        writeln!(out, "{value}")?;
    } else {
        writeln!(
            out,
            "batch {}, length {}, {} virtual tokens of which {} lead",
            args.batch, args.length, shape.prompt, shape.leading
        )?;
        writeln!(out, "  train      {:>8.2} examples/s", timing.train_examples_per_s)?;
        writeln!(out, "  evaluate   {:>8.2} examples/s", timing.eval_examples_per_s)?;
        writeln!(out, "  load       {load_s:>8.2} s")?;
        writeln!(out, "  first step {:>8.2} s", timing.first_step_s)?;
        if let Some(bytes) = memory {
            writeln!(out, "  peak       {:>8.2} GB", bytes as f64 / 1e9)?;
        }
        if args.profile {
            let total: f64 = timing.stages.iter().map(|(_, seconds)| seconds).sum();
            writeln!(out, "a training step, {:.1} ms", total * 1e3)?;
            for (stage, seconds) in &timing.stages {
                let share = 100.0 * seconds / total;
                writeln!(out, "  {stage:<32} {:>8.2} ms {share:>5.1} %", seconds * 1e3)?;
            }
        }
    }
    Ok(Outcome::Done)
}
