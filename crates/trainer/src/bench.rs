//! Timing a training step and an evaluation step on inputs of a given shape.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use backbone::Memory;
use backbone::footprint::Footprint;
use burn::tensor::{Device, Tensor};
use kernels::profile;
use ptuning_core::language_model::LanguageModel;
use ptuning_core::prompt_encoder::{EncoderConfig, EncoderKind, Initializer, PromptEncoder};
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::template::{Encoded, Part, Slot, TextSpan};
use ptuning_core::verbalizer::{OpenVocabulary, Verbalizer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::optimizer::Optimizer;
use crate::settings::TrainSettings;
use crate::strategy::FixedLm;
use crate::task::Item;

/// What to time.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Examples per step.
    pub batch: usize,
    /// Positions of an example, virtual tokens included.
    pub length: usize,
    /// Virtual tokens.
    pub prompt: usize,
    /// How many of them stand at the front; the others stand at the end.
    pub leading: usize,
    /// Steps to take the median of, after one to warm up.
    pub steps: usize,
    /// Prompt encoder.
    pub encoder: EncoderKind,
}

/// Bytes that a program takes before it opens a backbone: its own code and tables.
const PROGRAM: usize = 40 << 20;

impl Shape {
    fn encoder_config(&self, hidden: usize) -> EncoderConfig {
        EncoderConfig {
            kind: self.encoder,
            prompt: self.prompt,
            hidden,
            inner: hidden / 2 * 2,
            prefix_width: None,
        }
    }

    /// Bytes at the peak of a training step on the CPU, fused, part by part.
    pub fn estimate(&self, footprint: &Footprint, memory: Memory) -> Vec<(&'static str, usize)> {
        let encoder = self.encoder_config(footprint.hidden()).parameters();
        let own = self.length - self.leading;
        vec![
            ("program", PROGRAM),
            ("weights", footprint.weights),
            ("training step", footprint.step(self.leading, own, self.batch, memory)),
            // Values, both moments, gradients, and a copy of the values that the optimiser moves.
            ("prompt encoder", 5 * 4 * encoder),
        ]
    }
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Timing {
    /// Median examples per second of forward, backward and optimiser.
    pub train_examples_per_s: f64,
    /// Median examples per second of a forward pass without autodiff.
    pub eval_examples_per_s: f64,
    /// Seconds of the first training step.
    pub first_step_s: f64,
    /// When it was done, in seconds since 1970.
    pub first_step_done_at: f64,
    /// Seconds of a training step by stage, the mean of the steps after the first; what is left over
    /// is `other`.
    pub stages: Vec<(&'static str, f64)>,
}

/// Times steps on random token ids.
pub fn bench(lm: &dyn LanguageModel, settings: &TrainSettings, shape: Shape) -> Timing {
    let (hidden, vocab) = (lm.hidden_size(), lm.vocab_size());
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let item = |index| {
        let ids: Vec<u32> = (0..shape.length).map(|_| rng.random_range(0..vocab) as u32).collect();
        let behind = shape.length - shape.prompt;
        let position = |slot| if slot < shape.leading { slot } else { slot + behind };
        let slot = |slot| Slot { position: position(slot), virtual_token: slot };
        let slots = (0..shape.prompt).map(slot).collect();
        let answer = shape.length - 1;
        // All that is not virtual differs from example to example.
        let input = TextSpan { part: Part::Input("x".to_owned()), positions: 0..shape.length };
        Item {
            answer: ids[answer],
            encoded: Encoded {
                ids,
                slots,
                text: vec![input],
                answer,
                prefix: 0,
                shortened: Vec::new(),
            },
            index,
            rivals: Vec::new(),
        }
    };
    let items: Vec<Item> = (0..shape.batch).map(item).collect();
    let config = shape.encoder_config(hidden);
    let device: Device = lm.device();
    let mut init = Initializer::new(0);
    let vectors = Tensor::from_data(init.normal([shape.prompt, hidden], 1.0), &device);
    let encoder = PromptEncoder::new(&config, vectors, &mut init, &device.clone().autodiff());
    let mut strategy = FixedLm::new(lm, encoder, Optimizer::new(settings));
    let verbalizer = Verbalizer::Words(OpenVocabulary::whole());
    let batches = vec![items.iter().collect::<Vec<&Item>>()];
    let mut train = Vec::new();
    let mut first_step_done_at = 0.0;
    for step in 0..=shape.steps {
        if step == 1 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            first_step_done_at = now.map_or(0.0, |time| time.as_secs_f64());
            profile::start();
        }
        let started = Instant::now();
        strategy.step(&batches, &verbalizer, settings.lr);
        // The loss was read back, but the optimiser's work may still be under way on a GPU.
        let _ = device.sync();
        train.push(started.elapsed().as_secs_f64());
    }
    let first_step_s = train.remove(0);
    let stages = stages(&train);
    let prompt = strategy.vectors();
    let encoded: Vec<&Encoded> = items.iter().map(|item| &item.encoded).collect();
    let mut evaluate = Vec::new();
    for _ in 0..=shape.steps {
        let started = Instant::now();
        let _: f32 = answer_logits(lm, prompt.as_ref(), &encoded).sum().into_scalar();
        evaluate.push(started.elapsed().as_secs_f64());
    }
    evaluate.remove(0);
    Timing {
        train_examples_per_s: shape.batch as f64 / median(&mut train),
        eval_examples_per_s: shape.batch as f64 / median(&mut evaluate),
        first_step_s,
        first_step_done_at,
        stages,
    }
}

/// Ends the profile of some steps that took these seconds.
fn stages(steps: &[f64]) -> Vec<(&'static str, f64)> {
    let each = 1.0 / steps.len().max(1) as f64;
    let mut stages: Vec<(&str, f64)> = profile::stop()
        .into_iter()
        .map(|(stage, time)| (stage.name(), time.as_secs_f64() * each))
        .collect();
    let known: f64 = stages.iter().map(|(_, seconds)| seconds).sum();
    stages.push(("other", (steps.iter().sum::<f64>() * each - known).max(0.0)));
    stages
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Peak resident memory of this process in bytes, where the system tells.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
