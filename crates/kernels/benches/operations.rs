//! Each fused operation by itself.
//!
//! ```text
//! cargo bench -p kernels                       # all of them
//! cargo bench -p kernels -- attention          # those whose name has this in it
//! ```
//!
//! What exists only inside a pass (norms with their residuals, attention with its rotation, products
//! with their activations) is timed there: two layers run forward and back, and the clock of one stage
//! counts. The geometries are those of SmolLM2-135M and of BERT-base. The first figure is the limit of
//! all of them: multiply-adds that never leave the registers.

#![allow(missing_docs, reason = "criterion's macros define functions without any")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kernels::activation::Activation;
use kernels::adam::Adam;
use kernels::frozen::{Bits, Frozen, Grouped, Values};
use kernels::input::Input;
use kernels::loss::cross_entropy;
use kernels::lstm;
use kernels::norm::Norm;
use kernels::profile::{self, Stage};
use kernels::rotary::Rope;
use kernels::stack::{FeedForward, Layer, Linear, Memory, Order, Plan, Shape, Stack};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn noise(count: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(count as u64);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// A matrix as eight bits, with a scale for every 32 numbers.
fn grouped(out: usize, inner: usize) -> Values {
    let scale = 1.0 / (74.0 * (inner as f32).sqrt());
    Values::Grouped(Grouped {
        quants: noise(out * inner).iter().map(|x| (x * 127.0) as i8).collect(),
        bits: Bits::Eight,
        group: 32,
        scales: vec![scale; out * inner / 32],
        offsets: Vec::new(),
    })
}

fn linear(out: usize, inner: usize, bias: bool) -> Linear {
    let weight = Frozen::new(grouped(out, inner), out, inner);
    Linear { weight, bias: bias.then(|| noise(out)) }
}

/// Two layers of SmolLM2-135M or of BERT-base.
fn stack(bert: bool) -> Stack {
    let shape = Shape {
        hidden: if bert { 768 } else { 576 },
        intermediate: if bert { 3072 } else { 1536 },
        gated: !bert,
        heads: if bert { 12 } else { 9 },
        kv_heads: if bert { 12 } else { 3 },
        head_dim: 64,
        causal: !bert,
        scale: None,
        ropes: if bert { Vec::new() } else { vec![Rope::new(64, 10_000.0)] },
        order: if bert { Order::Post } else { Order::Pre },
    };
    let Shape { hidden, intermediate: inner, heads, kv_heads, head_dim, .. } = shape;
    let norm = || {
        let gain = vec![1.0; hidden];
        if bert {
            Norm::Layer { gain, bias: vec![0.0; hidden], epsilon: 1e-12 }
        } else {
            Norm::Rms { gain, epsilon: 1e-5 }
        }
    };
    let (up, down) = (linear(inner, hidden, bert), linear(hidden, inner, bert));
    let layer = |(up, down): (Linear, Linear)| Layer {
        attention_norm: norm(),
        head_norms: None,
        rope: (!bert).then_some(0),
        window: None,
        position_bias: None,
        sandwich: None,
        query: linear(heads * head_dim, hidden, bert),
        key: linear(kv_heads * head_dim, hidden, bert),
        value: linear(kv_heads * head_dim, hidden, bert),
        output: linear(hidden, heads * head_dim, bert),
        feed_forward_norm: norm(),
        feed_forward: if bert {
            FeedForward::Plain { up, down, activation: Activation::Gelu }
        } else {
            let gate = linear(inner, hidden, false);
            FeedForward::Gated { gate, up, down, activation: Activation::Silu }
        },
    };
    let second = (linear(inner, hidden, bert), linear(hidden, inner, bert));
    Stack::new(shape, vec![Arc::new(layer((up, down))), Arc::new(layer(second))], None)
}

/// A batch of examples whose last rows answer.
struct Batch {
    name: &'static str,
    plan: Plan,
}

fn batches(bert: bool) -> Vec<Batch> {
    let batch = |name, shared: usize, own: usize, count: usize| {
        let answers: Vec<_> = (0..count).map(|example| (example, shared + own - 1)).collect();
        let plan = Plan::new(None, shared, &vec![own; count], &answers);
        Batch { name, plan: plan.expect("examples with rows") }
    };
    if bert {
        vec![batch("8x24", 0, 24, 8), batch("32x24", 0, 24, 32)]
    } else {
        vec![
            batch("8x16", 0, 16, 8),
            batch("8x16, 6 shared", 6, 10, 8),
            batch("32x16, 6 shared", 6, 10, 32),
            batch("2x512", 0, 512, 2),
        ]
    }
}

/// Time of one stage in `count` passes, forward and back.
fn stage_time(stack: &Stack, plan: &Plan, stage: Stage, count: u64) -> Duration {
    let hidden = stack.shape().hidden;
    let (x, dy) = (noise(plan.rows() * hidden), noise(plan.answers() * hidden));
    profile::start();
    for _ in 0..count {
        let (y, tape) = stack.forward_taped(&x, plan, Memory::Tape);
        black_box((y, stack.gradient(&dy, &tape)));
    }
    let times = profile::stop();
    times.into_iter().filter(|(found, _)| *found == stage).map(|(_, time)| time).sum()
}

fn inside_a_pass(c: &mut Criterion) {
    let stages = [
        Stage::Norms,
        Stage::Projections,
        Stage::Attention,
        Stage::Outputs,
        Stage::Up,
        Stage::Down,
    ];
    for (model, bert) in [("smollm2-135m", false), ("bert-base", true)] {
        let stack = stack(bert);
        for Batch { name, plan } in batches(bert) {
            for stage in stages {
                c.bench_function(&format!("{model}/{}/{name}", stage.name()), |b| {
                    b.iter_custom(|count| stage_time(&stack, &plan, stage, count));
                });
            }
        }
    }
}

/// Multiply-adds on as many independent sums as hide their latency.
struct Registers(usize);

impl pulp::WithSimd for Registers {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) -> usize {
        let (x, y) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(0.001)));
        let mut sums = [x; 12];
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, x, y);
            }
        }
        let total = sums.into_iter().fold(x, |a, b| simd.add_f32s(a, b));
        black_box(simd.reduce_sum_f32s(total));
        2 * sums.len() * self.0 * S::F32_LANES
    }
}

fn limit(c: &mut Criterion) {
    let (arch, count) = (pulp::Arch::new(), 100_000);
    let team = kernels::team::Team::global();
    let flop = team.count() * arch.dispatch(Registers(count));
    let mut group = c.benchmark_group("limit");
    group.throughput(Throughput::Elements(flop as u64));
    group.bench_function("multiply-adds in registers", |b| {
        b.iter(|| {
            team.run(|_| {
                arch.dispatch(Registers(count));
            });
        });
    });
    group.finish();
}

fn products(c: &mut Criterion) {
    let (out, inner) = (1536, 576);
    let f32s = || noise(out * inner);
    let half = |bits: fn(f32) -> u16| f32s().into_iter().map(bits).collect();
    let kinds = [
        ("f32", Values::F32(f32s())),
        ("bf16", Values::Bf16(half(|x| (x.to_bits() >> 16) as u16))),
        ("q8", grouped(out, inner)),
    ];
    let kinds = kinds.map(|(name, values)| (name, Frozen::new(values, out, inner)));
    for rows in [1, 86, 512] {
        let (x, dy) = (noise(rows * inner), noise(rows * out));
        let mut group = c.benchmark_group(format!("{rows} rows by {out} x {inner}"));
        // In floating-point operations, two for each number of each product.
        group.throughput(Throughput::Elements((2 * rows * out * inner) as u64));
        for (name, frozen) in &kinds {
            group.bench_function(BenchmarkId::new("product", name), |b| {
                b.iter(|| frozen.product(&x, rows, None));
            });
            group.bench_function(BenchmarkId::new("gradient", name), |b| {
                b.iter(|| frozen.gradient(&dy, rows));
            });
        }
        group.finish();
    }
}

fn rows(c: &mut Criterion) {
    let (hidden, rows) = (768, 192);
    let (x, positions) = (noise(rows * hidden), (0..rows).map(|row| row % 24).collect::<Vec<_>>());
    let layer = Norm::Layer { gain: noise(hidden), bias: noise(hidden), epsilon: 1e-12 };
    for (name, norm) in
        [("layer norm", layer), ("rms norm", Norm::Rms { gain: noise(hidden), epsilon: 1e-5 })]
    {
        let input = Input::new(hidden, Some(noise(24 * hidden)), Some(norm));
        let (y, sums) = input.forward(&x, &positions);
        let mut group = c.benchmark_group(format!("positions and {name}, {rows} rows of {hidden}"));
        group.bench_function("forward", |b| b.iter(|| input.forward(&x, &positions)));
        group.bench_function("gradient", |b| b.iter(|| input.gradient(&sums, &y)));
        group.finish();
    }
    let (vocab, rows) = (49_152, 32);
    let (logits, answers) = (noise(rows * vocab), vec![7; rows]);
    c.bench_function(&format!("cross-entropy and its gradient, {rows} rows of {vocab}"), |b| {
        // The copy that it needs costs a tenth of it.
        b.iter(|| cross_entropy(&mut logits.clone(), vocab, &answers));
    });
}

fn encoder_and_optimizer(c: &mut Criterion) {
    let (steps, inputs, units) = (9, 576, 288);
    let (ih, hh) = (noise(4 * units * inputs), noise(4 * units * units));
    let bias = noise(4 * units);
    let weights = lstm::Weights { weight_ih: &ih, weight_hh: &hh, bias_ih: &bias, bias_hh: &bias };
    let x = noise(steps * inputs);
    let (y, trace) = lstm::forward(&x, steps, weights, false);
    let mut group = c.benchmark_group(format!("LSTM, {steps} steps, {inputs} to {units}"));
    group.bench_function("forward", |b| b.iter(|| lstm::forward(&x, steps, weights, false)));
    group.bench_function("gradient", |b| {
        b.iter(|| lstm::backward(&x, &y, steps, weights, false, &trace));
    });
    group.finish();
    let adam = Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, decay: 0.0, decoupled: false };
    let count = 4_000_000;
    let [mut value, gradient, mut first, mut second] = [(); 4].map(|()| noise(count));
    second.iter_mut().for_each(|x| *x = x.abs());
    let mut group = c.benchmark_group("Adam");
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function(format!("{count} numbers"), |b| {
        b.iter(|| adam.step(1e-4, 10, &mut value, &gradient, [&mut first, &mut second]));
    });
    group.finish();
}

criterion_group! {
    name = operations;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(2));
    targets = limit, products, rows, encoder_and_optimizer, inside_a_pass
}
criterion_main!(operations);
