//! `ptune bench`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use backbone::random::{RandomDtype, RandomFamily, RandomSizes};
use backbone::{Memory, Options, Precision};
use ptuning_core::language_model::LanguageModel;
use ptuning_core::prompt_encoder::EncoderKind;
use serde_json::json;
use trainer::bench::{Shape, bench, peak_memory_bytes};
use trainer::settings::TrainSettings;

use super::open::{self, Fetching};
use crate::args::{BenchArgs, DtypeArg, EncoderArg, ShapeArgs, Without};
use crate::console;
use crate::exit::{Hinted, Outcome};

/// Times training and evaluation.
pub fn run(args: &BenchArgs) -> anyhow::Result<Outcome> {
    let shape = shape(&args.shape, args.steps as usize)?;
    let quiet = args.json || console::is_quiet();
    let fetching = Fetching { offline: args.shape.offline, quiet, interrupt: None };
    let started = Instant::now();
    let on = |part| !args.without.contains(&part);
    let options = Options {
        fused: on(Without::Fused),
        share_prefix: on(Without::SharePrefix),
        answer_rows: on(Without::AnswerRows),
        memory: if args.recompute { Memory::Recompute } else { Memory::Tape },
        precision: match args.dtype {
            DtypeArg::F32 => Precision::F32,
            DtypeArg::Bf16 => Precision::Bf16,
            DtypeArg::F16 => Precision::F16,
        },
        rounding: args.shape.rounding.rounding(),
        random_weights: false,
    };
    let model: Box<dyn LanguageModel> = match random_sizes(&args.shape.backbone)? {
        Some(sizes) => {
            let device = open::device(&args.shape.device, options)?;
            Box::new(backbone::registry::random(&sizes, &device, options)?)
        }
        None => open::backbone(&args.shape.backbone, &args.shape.device, options, fetching)?.model,
    };
    let load_s = started.elapsed().as_secs_f64();
    check_length(args.shape.length, model.max_positions())?;
    let timing = bench(model.as_ref(), &TrainSettings::default(), shape);
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
            shape.batch, shape.length, shape.prompt, shape.leading
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

/// What the flags say, if it makes sense.
pub fn shape(args: &ShapeArgs, steps: usize) -> anyhow::Result<Shape> {
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
    // The last position answers, so it is no part of what all examples share.
    let leading = args.leading.min(args.virtual_tokens).min(args.length - 1);
    Ok(Shape {
        batch: args.batch as usize,
        length: args.length as usize,
        prompt: args.virtual_tokens as usize,
        leading: leading as usize,
        steps,
        encoder: match args.encoder {
            EncoderArg::Lstm => EncoderKind::Lstm,
            EncoderArg::Mlp => EncoderKind::Mlp,
            EncoderArg::Direct => EncoderKind::Direct,
        },
    })
}

/// Refuses sequences that the backbone has no positions for.
pub fn check_length(length: u32, max: usize) -> anyhow::Result<()> {
    if length as usize > max {
        return Err(Hinted {
            message: format!("--length {length}: the backbone has {max} positions"),
            hint: format!("--length {max} or less"),
        }
        .into());
    }
    Ok(())
}

/// What stands behind `random:`, or `None` for any other backbone.
pub fn random_sizes(backbone: &str) -> anyhow::Result<Option<RandomSizes>> {
    let Some(list) = backbone.strip_prefix("random:") else { return Ok(None) };
    let names =
        ["family", "hidden", "intermediate", "layers", "heads", "kv_heads", "vocab", "weights"];
    let wrong = |what: String| -> anyhow::Error {
        Hinted {
            message: format!("--backbone {backbone}: {what}"),
            hint: "random:hidden=2048,intermediate=8192,layers=24,heads=32,vocab=49152 or \
                   random:family=bert,hidden=768,intermediate=3072,layers=12,heads=12,vocab=28996"
                .to_owned(),
        }
        .into()
    };
    let (mut family, mut weights) = (RandomFamily::Llama, RandomDtype::Q8);
    let mut sizes = BTreeMap::new();
    for part in list.split(',') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (name.trim(), value.trim());
        match (name, value) {
            ("family", "llama") => family = RandomFamily::Llama,
            ("family", "qwen2") => family = RandomFamily::Qwen2,
            ("family", "gpt2") => family = RandomFamily::Gpt2,
            ("family", "bert") => family = RandomFamily::Bert,
            ("weights", "q8") => weights = RandomDtype::Q8,
            ("weights", "f32") => weights = RandomDtype::F32,
            ("family", _) => {
                return Err(wrong(format!("'{part}' is not family=llama, qwen2, gpt2 or bert")));
            }
            ("weights", _) => return Err(wrong(format!("'{part}' is not weights=q8 or f32"))),
            _ if !names.contains(&name) => {
                let names = names.join(", ");
                return Err(wrong(format!("nothing is called '{name}'; there are {names}")));
            }
            _ => {
                // Larger ones would overflow the products of two before any file could hold them.
                let value = value.parse().ok().filter(|value| (1..=1usize << 24).contains(value));
                let Some(value) = value else {
                    let largest = 1 << 24;
                    let what = format!("'{part}' is not {name}=N with N from 1 to {largest}");
                    return Err(wrong(what));
                };
                sizes.insert(name, value);
            }
        }
    }
    let size = |name| sizes.get(name).copied().ok_or_else(|| wrong(format!("{name} is missing")));
    let (hidden, intermediate, layers) = (size("hidden")?, size("intermediate")?, size("layers")?);
    let heads = size("heads")?;
    Ok(Some(RandomSizes {
        family,
        weights,
        hidden,
        intermediate,
        layers,
        heads,
        kv_heads: sizes.get("kv_heads").copied().unwrap_or(heads),
        vocab: size("vocab")?,
    }))
}
