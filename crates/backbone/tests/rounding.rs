//! Matrices rounded while they are loaded: the same numbers packed and as tensors, near those of the file.

use backbone::random::{RandomDtype, RandomFamily, RandomSizes};
use backbone::{Options, Rounding, registry};
use burn::tensor::Device;
use ptuning_core::language_model::{LanguageModel, Layout};

fn logits(family: RandomFamily, options: Options) -> Vec<f32> {
    let sizes = RandomSizes {
        family,
        weights: RandomDtype::F32,
        hidden: 64,
        intermediate: 96,
        layers: 2,
        heads: 4,
        kv_heads: 4,
        vocab: 101,
    };
    let lm = registry::random(&sizes, &Device::flex(), options).unwrap();
    let layout = Layout { shared: 0, constant: 0, own: vec![5, 3], answers: vec![(0, 4), (1, 2)] };
    let ids = [7, 99, 3, 50, 21, 1, 64, 8];
    lm.head(lm.encode(lm.embed(&ids), &layout)).into_data().iter().collect()
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
        let whole = logits(family, Options::default());
        let mut last = 0.0;
        for rounding in [Rounding::EightBits, Rounding::FourBits] {
            let packed = logits(family, Options { rounding, ..Options::default() });
            let plain = logits(family, Options { rounding, fused: false, ..Options::default() });
            let ways = difference(&packed, &plain);
            assert!(ways < 1e-5, "{family:?}, {rounding:?}: {ways}");
            // Fewer bits are further away, and not far.
            let far = difference(&packed, &whole);
            assert!(far > 4.0 * last && far > 1e-3 && far < 0.3, "{family:?}, {rounding:?}: {far}");
            last = far;
        }
    }
}
