//! The tiny random models, their golden numbers, and how to run a batch through them.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backbone::random::{RandomDtype, RandomFamily, RandomSizes};
use backbone::{Backbone, Options, registry};
use burn::tensor::{Device, Tensor, TensorData};
use ptuning_core::language_model::{Inputs, LanguageModel, Layout, Objective};
use ptuning_core::objective::cross_entropy_backward;
use safetensors::{Dtype, SafeTensors};

/// Lengths of the golden batch's rows; the last has every position that tables of positions have.
pub const LENGTHS: [usize; 4] = [7, 4, 1, 12];

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

pub fn load(name: &str, device: &Device) -> Backbone {
    backbone::load(&folder(name), device).unwrap()
}

/// Golden tensors of a model, integers as i64.
pub fn golden(name: &str) -> BTreeMap<String, TensorData> {
    let bytes = std::fs::read(folder(name).join("golden.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let shape = view.shape().to_vec();
        let data = match view.dtype() {
            Dtype::F32 => {
                let words = view.data().as_chunks::<4>().0.iter();
                TensorData::new(words.map(|b| f32::from_le_bytes(*b)).collect::<Vec<_>>(), shape)
            }
            Dtype::I64 => {
                let words = view.data().as_chunks::<8>().0.iter();
                TensorData::new(words.map(|b| i64::from_le_bytes(*b)).collect::<Vec<_>>(), shape)
            }
            other => panic!("{name}: {other:?}"),
        };
        (name, data)
    };
    file.tensors().into_iter().map(tensor).collect()
}

/// Where the examples of a model's golden batch answer: a causal one at their ends.
pub fn golden_layout(lm: &dyn LanguageModel) -> Layout {
    let mut layout = layout(&LENGTHS);
    if lm.objective() == Objective::Masked {
        layout.answers = vec![(0, 3), (1, 0), (2, 0), (3, 8)];
    }
    layout
}

/// Examples that share nothing and answer at the last position of each.
pub fn layout(lengths: &[usize]) -> Layout {
    Layout {
        own: lengths.to_vec(),
        answers: lengths.iter().enumerate().map(|(row, length)| (row, length - 1)).collect(),
        ..Layout::default()
    }
}

/// The real rows of a golden batch, which transformers wants padded on the right: their indices.
pub fn real_rows(padded: &TensorData) -> Vec<usize> {
    let seq = padded.shape()[1];
    let rows = |(example, length)| (0..length).map(move |position| example * seq + position);
    LENGTHS.into_iter().enumerate().flat_map(rows).collect()
}

/// Embeddings of a golden batch without its padding, `[rows of the batch, hidden]`.
pub fn packed(padded: &TensorData, device: &Device) -> Tensor<2> {
    let [batch, seq, hidden] = padded.shape().to_vec()[..] else { panic!("{padded:?}") };
    let all = Tensor::<3>::from_data(padded.clone(), device).reshape([batch * seq, hidden]);
    let rows: Vec<u32> = real_rows(padded).into_iter().map(|row| row as u32).collect();
    all.select(0, ptuning_core::objective::ids(&rows, device))
}

pub fn embed(lm: &dyn LanguageModel, padded: &TensorData) -> Tensor<2> {
    let ids: Vec<u32> = padded.iter().collect();
    lm.embed(&real_rows(padded).into_iter().map(|row| ids[row]).collect::<Vec<u32>>())
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

/// Largest absolute difference.
pub fn difference(found: &[f32], expected: &TensorData) -> f32 {
    assert_eq!(found.len(), expected.num_elements());
    let pairs = found.iter().zip(expected.iter::<f32>());
    pairs
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |max, d| if d.is_nan() { f32::NAN } else { max.max(d) })
}

/// Euclidean norm of the difference over that of what is expected.
pub fn relative(found: &[f32], expected: &TensorData) -> f32 {
    assert_eq!(found.len(), expected.num_elements());
    let expected: Vec<f32> = expected.iter().collect();
    let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
    norm(&mut found.iter().zip(&expected).map(|(a, b)| a - b)) / norm(&mut expected.iter().copied())
}

/// A small random model on a device: its logits, then the gradient of a loss.
pub fn random_run(family: RandomFamily, device: &Device, options: Options) -> Vec<f32> {
    random_run_behind(0, family, device, options)
}

/// The same behind a prefix of so many rows, whose gradient is last.
pub fn random_run_behind(
    prefix: usize,
    family: RandomFamily,
    device: &Device,
    options: Options,
) -> Vec<f32> {
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
    let lm = registry::random(&sizes, device, options).unwrap();
    let (own, answers) = (vec![5, 3], vec![(0, 4), (1, 2)]);
    let layout = Layout { prefix, own, answers, ..Layout::default() };
    let width = lm.prefix_shape().map_or(0, |shape| shape.width());
    let numbers: Vec<f32> = (0..prefix * width).map(|i| (i as f32 * 0.37).sin()).collect();
    let prefix = (prefix > 0).then(|| {
        let numbers = burn::tensor::TensorData::new(numbers, [prefix, width]);
        Tensor::<2>::from_data(numbers, device).autodiff().require_grad()
    });
    let x = lm.embed(&[7, 99, 3, 50, 21, 1, 64, 8]).autodiff().require_grad();
    let mut all = Vec::new();
    let inputs = Inputs { embeddings: x.clone(), prefix: prefix.clone() };
    let (_, objective) = lm.loss_through(inputs, &layout, &mut |states| {
        let logits = lm.head(states);
        all.extend(values(logits.clone().without_autodiff()));
        cross_entropy_backward(logits, &[3, 77], 2)
    });
    let gradients = objective.backward();
    for x in std::iter::once(x).chain(prefix) {
        all.extend(values(x.grad(&gradients).unwrap()));
    }
    all
}

/// Logits, gradient and loss of a tiny model on a device, against transformers.
pub fn check_golden(
    name: &str,
    device: &Device,
    options: Options,
    logits_tolerance: f32,
    gradient_tolerance: f32,
) {
    let golden = golden(name);
    let backbone = backbone::load_with(&folder(name), device, options).unwrap();
    let lm = backbone.model.as_ref();
    let layout = golden_layout(lm);
    let name = format!("{name}, {options:?}");
    let embeddings = embed(lm, &golden["ids"]);
    let from_ids = values(lm.head(lm.encode(embeddings.into(), &layout)));
    let worst = difference(&from_ids, &golden["logits"]);
    assert!(worst <= logits_tolerance, "{name}: logits differ by {worst}");

    let tracked = packed(&golden["embeddings"], device).autodiff().require_grad();
    let labels: Vec<u32> = golden["labels"].iter::<u32>().collect();
    let (losses, objective) = lm.loss_through(tracked.clone().into(), &layout, &mut |states| {
        let logits = lm.head(states);
        let found = values(logits.clone().without_autodiff());
        let worst = difference(&found, &golden["logits_from_embeddings"]);
        assert!(worst <= logits_tolerance, "{name}: logits from embeddings differ by {worst}");
        cross_entropy_backward(logits, &labels, labels.len())
    });
    let found: f32 = losses.mean().into_scalar();
    let expected = golden["loss"].iter::<f32>().next().unwrap();
    assert!((found - expected).abs() <= logits_tolerance, "{name}: loss {found} and {expected}");
    let gradient = values(tracked.grad(&objective.backward()).unwrap());
    let expected = packed(&golden["grad_embeddings"], device).into_data();
    let worst = relative(&gradient, &expected);
    assert!(worst <= gradient_tolerance, "{name}: gradient differs by {worst} relative");
}
