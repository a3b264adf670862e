//! The two ways of running a recipe give the same values and gradients, for every kind of layer.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use kernels::activation::Activation;
use kernels::frozen::Values;
use kernels::stack::{Order, Shape};
use ptuning_core::language_model::Layout;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::source::{Dtype, SourceError, Weights};

/// Random tensors by name, made when asked for and the same each time.
struct Random(HashMap<String, Vec<usize>>);

impl Weights for Random {
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.get(name).cloned()
    }
    fn dtype(&self, _: &str) -> Option<Dtype> {
        Some(Dtype::F32)
    }
    fn read_f32(&self, name: &str, out: &mut [f32]) -> Result<(), SourceError> {
        let seed: usize = name.bytes().map(usize::from).sum();
        let gain = if name.ends_with("gain") { 1.0 } else { 0.0 };
        // Scores as large as a random matrix without this would give amplify every rounding.
        let size = match self.0.get(name).map(Vec::as_slice) {
            Some([_, inner]) => 1.5 / (*inner as f32).sqrt(),
            _ => 0.3,
        };
        for (i, out) in out.iter_mut().enumerate() {
            *out = gain + ((seed + i * 7919) as f32 * 0.618).sin() * size;
        }
        Ok(())
    }
    fn read_values(&self, name: &str) -> Result<Values, SourceError> {
        Ok(Values::F32(self.read_vec(name)?))
    }
    fn path(&self) -> &Path {
        Path::new("random")
    }
}

/// A recipe of two layers with the names and shapes of its tensors.
fn recipe(shape: Shape, activation: Activation, biases: bool) -> (Recipe, Random) {
    let mut shapes = HashMap::new();
    let (hidden, inner) = (shape.hidden, shape.intermediate);
    let queries = shape.heads * shape.head_dim;
    let keys = shape.kv_heads * shape.head_dim;
    let mut linear = |name: String, out: usize, inner: usize| {
        let bias = biases.then(|| format!("{name}.bias"));
        shapes.insert(name.clone(), vec![out, inner]);
        bias.iter().for_each(|bias| drop(shapes.insert(bias.clone(), vec![out])));
        LinearRecipe { weight: name, bias, out, inner }
    };
    let mut norms = Vec::new();
    let mut norm = |name: String| {
        let bias = biases.then(|| format!("{name}.bias"));
        norms.extend([Some(format!("{name}.gain")), bias.clone()].into_iter().flatten());
        NormRecipe { gain: format!("{name}.gain"), bias, epsilon: 1e-5 }
    };
    let mut layer = |index: usize| LayerRecipe {
        attention_norm: norm(format!("{index}.n1")),
        query: linear(format!("{index}.q"), queries, hidden),
        key: linear(format!("{index}.k"), keys, hidden),
        value: linear(format!("{index}.v"), keys, hidden),
        output: linear(format!("{index}.o"), hidden, queries),
        feed_forward_norm: norm(format!("{index}.n2")),
        gate: shape.gated.then(|| linear(format!("{index}.g"), inner, hidden)),
        up: linear(format!("{index}.u"), inner, hidden),
        down: linear(format!("{index}.d"), hidden, inner),
    };
    let layers = vec![layer(0), layer(1)];
    let last_norm = (shape.order == Order::Pre).then(|| norm("last".to_owned()));
    for name in norms {
        shapes.insert(name, vec![hidden]);
    }
    (Recipe { shape, activation, layers, last_norm }, Random(shapes))
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

fn norm(x: impl Iterator<Item = f32>) -> f32 {
    x.map(|x| x * x).sum::<f32>().sqrt()
}

/// What a family may be made of, drawn at random.
fn drawn(rng: &mut ChaCha8Rng) -> (Shape, Activation, bool) {
    let post = rng.random_bool(0.3);
    let rotary = rng.random_bool(0.5);
    let kv_heads = rng.random_range(1..4);
    let head_dim = if rotary { 2 * rng.random_range(1..9) } else { rng.random_range(1..18) };
    let activations = [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu];
    let shape = Shape {
        hidden: rng.random_range(5..70),
        intermediate: rng.random_range(3..90),
        gated: rng.random_bool(0.5),
        heads: kv_heads * rng.random_range(1..4),
        kv_heads,
        head_dim,
        causal: rng.random_bool(0.6),
        rope_theta: rotary.then_some(1000.0),
        order: if post { Order::Post } else { Order::Pre },
    };
    (shape, activations[rng.random_range(0..4)], rng.random_bool(0.5))
}

/// Some examples, each of which answers once or twice.
fn batch(rng: &mut ChaCha8Rng) -> Layout {
    let own: Vec<usize> = (0..rng.random_range(1..6)).map(|_| rng.random_range(1..40)).collect();
    let mut answers = Vec::new();
    for (example, &length) in own.iter().enumerate() {
        let first = rng.random_range(0..length);
        answers.push((example, first));
        if first + 1 < length && rng.random_bool(0.4) {
            answers.push((example, length - 1));
        }
    }
    Layout { shared: 0, constant: 0, own, answers }
}

fn noise(count: usize, step: f32, width: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..count).map(|i| (i as f32 * step).sin()).collect();
    Tensor::from_data(TensorData::new(values, [count / width, width]), device)
}

#[test]
fn packed_layers_equal_tensor_operations() {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let device = Device::flex();
    for case in 0..24 {
        let ((shape, activation, biases), layout) = (drawn(&mut rng), batch(&mut rng));
        let what = format!("case {case}: {shape:?}, {activation:?}, {biases}, {layout:?}");
        let hidden = shape.hidden;
        let (recipe, weights) = recipe(shape, activation, biases);
        let mut results = [true, false].map(|fused| {
            let options = Options { fused, ..Options::default() };
            let loader = Loader::new(&weights, &device, &options);
            let transformer = Transformer::load(&recipe, &loader, options).unwrap();
            let x = noise(layout.total_rows() * hidden, 0.77, hidden, &device);
            let plain = values(transformer.forward(x.clone(), &layout));
            let x = x.autodiff().require_grad();
            let y = transformer.forward(x.clone(), &layout);
            let weights = noise(layout.answers.len() * hidden, 0.37, hidden, &device);
            let gradients = (y.clone() * weights).sum().backward();
            let tracked = values(y.without_autodiff());
            if fused {
                assert_eq!(plain, tracked, "{what}: tracked");
            }
            [plain, tracked, values(x.grad(&gradients).unwrap())]
        });
        let [fused, plain] = results.each_mut();
        for (fused, plain) in fused.iter().zip(plain) {
            let differences = fused.iter().zip(plain.iter()).map(|(a, b)| a - b);
            let error = norm(differences) / norm(plain.iter().copied());
            assert!(error < 1e-5, "{what}: {error} relative");
        }
    }
}
