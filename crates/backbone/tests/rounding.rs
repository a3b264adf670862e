//! Matrices rounded while they are loaded: the same numbers packed and as tensors, near those of the file.

mod common;

use backbone::random::RandomFamily;
use backbone::{Options, Rounding};
use burn::tensor::Device;
use common::random_run;

/// Numbers of logits; the rest of a run is a gradient.
const LOGITS: usize = 2 * 101;

fn run(family: RandomFamily, rounding: Rounding, fused: bool) -> Vec<f32> {
    let options = Options { rounding, fused, ..Options::default() };
    random_run(family, &Device::flex(), options)
}

fn difference(a: &[f32], b: &[f32]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let apart = &mut a.iter().zip(b).map(|(a, b)| f64::from(a - b));
    norm(apart) / norm(&mut b.iter().map(|&b| f64::from(b)))
}

#[test]
fn rounded_weights_are_the_same_in_every_way_of_running() {
    for family in [RandomFamily::Llama, RandomFamily::Qwen2, RandomFamily::Gpt2, RandomFamily::Bert]
    {
        let whole = run(family, Rounding::None, true);
        let mut last = 0.0;
        for rounding in [Rounding::EightBits, Rounding::FourBits] {
            let (packed, plain) = (run(family, rounding, true), run(family, rounding, false));
            for part in [0..LOGITS, LOGITS..whole.len()] {
                let ways = difference(&packed[part.clone()], &plain[part]);
                assert!(ways < 1e-5, "{family:?}, {rounding:?}: {ways}");
            }
            // Fewer bits are further away, and not far.
            let far = difference(&packed[..LOGITS], &whole[..LOGITS]);
            assert!(far > 4.0 * last && far > 1e-3 && far < 0.3, "{family:?}, {rounding:?}: {far}");
            last = far;
        }
    }
}
