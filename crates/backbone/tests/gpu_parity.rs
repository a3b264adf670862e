//! The tiny models on a GPU device, held to the same golden numbers as on the CPU.
//!
//! Built with `--features wgpu` (or vulkan, cuda, tch); the device is `PTUNE_TEST_DEVICE`, by default
//! `wgpu:cpu`, which Mesa's software Vulkan serves. The gate runs it so.
#![cfg(any(feature = "wgpu", feature = "cuda", feature = "tch"))]

mod common;

use backbone::random::RandomFamily;
use backbone::{DeviceSpec, Memory, Options, Precision, Rounding};
use common::{check_golden, random_run, random_run_behind};
use ptuning_core::prompt_encoder::{EncoderConfig, EncoderKind, Initializer, PromptEncoder};

fn device() -> burn::tensor::Device {
    let name = std::env::var("PTUNE_TEST_DEVICE").unwrap_or_else(|_| "wgpu:cpu".to_owned());
    name.parse::<DeviceSpec>().unwrap().open().unwrap()
}

fn equals_transformers(name: &str) {
    check_golden(name, &device(), Options::default(), 1e-4, 1e-3);
}

#[test]
fn llama_equals_transformers() {
    equals_transformers("tiny_llama_gqa");
}

#[test]
fn bert_equals_transformers() {
    equals_transformers("tiny_bert");
}

#[test]
fn modernbert_equals_transformers() {
    equals_transformers("tiny_modernbert");
}

#[test]
fn gemma3_equals_transformers() {
    equals_transformers("tiny_gemma3_text");
}

#[test]
fn t5_equals_transformers() {
    equals_transformers("tiny_t5");
    equals_transformers("tiny_t5_v1_1");
}

#[test]
fn products_in_half_precision_stay_near() {
    let device = device();
    for (precision, logits, gradient) in [(Precision::Bf16, 0.5, 0.2), (Precision::F16, 0.1, 0.05)]
    {
        // What a driver lacks is refused with an error, which `registry::check` is there for.
        let options = Options { precision, ..Options::default() };
        match backbone::registry::check(options, &device) {
            Ok(()) => check_golden("tiny_llama", &device, options, logits, gradient),
            Err(error) => eprintln!("{error}"),
        }
    }
}

#[test]
fn layers_computed_once_more_equal_transformers() {
    let options = Options { memory: Memory::Recompute, ..Options::default() };
    check_golden("tiny_llama_gqa", &device(), options, 1e-4, 1e-3);
}

#[test]
fn matrices_in_few_bits_give_what_the_cpu_gives() {
    for rounding in [Rounding::EightBits, Rounding::FourBits] {
        let options = Options { rounding, ..Options::default() };
        let gpu = random_run(RandomFamily::Llama, &device(), options);
        let cpu = random_run(RandomFamily::Llama, &burn::tensor::Device::flex(), options);
        assert_eq!(gpu.len(), cpu.len());
        for (gpu, cpu) in gpu.iter().zip(&cpu) {
            assert!((gpu - cpu).abs() < 1e-4, "{rounding:?}: {gpu} and {cpu}");
        }
    }
}

#[test]
fn a_prefix_gives_what_the_cpu_gives() {
    for memory in [Memory::Tape, Memory::Recompute] {
        let options = Options { memory, ..Options::default() };
        let run = |device| random_run_behind(3, RandomFamily::Llama, device, options);
        let (gpu, cpu) = (run(&device()), run(&burn::tensor::Device::flex()));
        assert_eq!(gpu.len(), cpu.len());
        for (gpu, cpu) in gpu.iter().zip(&cpu) {
            assert!((gpu - cpu).abs() < 1e-4, "{memory:?}: {gpu} and {cpu}");
        }
    }
}

#[test]
fn the_prompt_encoder_gives_the_same_vectors_as_on_the_cpu() {
    let config = EncoderConfig {
        kind: EncoderKind::Lstm,
        prompt: 5,
        hidden: 24,
        inner: 24,
        prefix_width: None,
    };
    let vectors = |device: &burn::tensor::Device| -> Vec<f32> {
        let mut init = Initializer::new(3);
        let start = burn::tensor::Tensor::from_data(init.normal([5, 24], 1.0), device);
        let encoder = PromptEncoder::new(&config, start, &mut init, device);
        encoder.forward().into_data().iter().collect()
    };
    let (gpu, cpu) = (vectors(&device()), vectors(&burn::tensor::Device::flex()));
    for (a, b) in gpu.iter().zip(&cpu) {
        assert!((a - b).abs() < 1e-5, "{a} and {b}");
    }
}
