//! The two ways of running a recipe give the same values and gradients, for every kind of layer.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use kernels::activation::Activation;
use kernels::frozen::Values;
use kernels::rotary::Rope;
use kernels::stack::{Order, Shape};
use ptuning_core::language_model::{Inputs, Layout};
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
        let seed = name.bytes().fold(0, |seed, byte| seed * 31 % 1_000_003 + u64::from(byte));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let vector = self.0.get(name).is_some_and(|shape| shape.len() == 1);
        let gain = if vector && name.ends_with("weight") { 1.0 } else { 0.0 };
        // Scores as large as a random matrix without this would give amplify every rounding.
        let size = match self.0.get(name).map(Vec::as_slice) {
            Some([_, inner]) => 2.0 / (*inner as f32).sqrt(),
            _ => 0.3,
        };
        out.iter_mut().for_each(|out| *out = gain + rng.random_range(-size..size));
        Ok(())
    }
    fn read_values(&self, name: &str) -> Result<Values, SourceError> {
        Ok(Values::F32(self.read_vec(name)?))
    }
    fn path(&self) -> &Path {
        Path::new("random")
    }
}

/// A recipe of three layers with the names and shapes of its tensors.
fn recipe(drawn: Drawn) -> (Recipe, Random) {
    let Drawn { shape, activation, biases, window, head_norms, position_bias } = drawn;
    let mut shapes = HashMap::new();
    let (hidden, inner) = (shape.hidden, shape.intermediate);
    let queries = shape.heads * shape.head_dim;
    let keys = shape.kv_heads * shape.head_dim;
    // Queries, keys and values are parts of one tensor, in each of the ways there are.
    let parts = |index: usize, which: usize, out: usize| {
        let first = [0, queries, queries + keys][which];
        let (of, block) = (queries + 2 * keys, shape.head_dim);
        let stored = match index % 3 {
            1 => Stored::Columns { first, of },
            2 if queries == keys => Stored::Turns { block, which, of: 3 },
            _ => Stored::Rows { first, of },
        };
        let linear = LinearRecipe::new(&format!("{index}.qkv"), out, hidden).stored(stored);
        if biases { linear } else { linear.without_bias() }
    };
    let linear = |name: String, out: usize, inner: usize| {
        let linear = LinearRecipe::new(&name, out, inner);
        if biases { linear } else { linear.without_bias() }
    };
    let norm = |name: String| {
        if biases { NormRecipe::layer(&name, 1e-5) } else { NormRecipe::rms(&name, 1e-5) }
    };
    let both = |name: String| [norm(format!("{name}.1")), norm(format!("{name}.2"))];
    let layer = |index: usize| LayerRecipe {
        attention_norm: (index > 0).then(|| norm(format!("{index}.n1"))),
        head_norms: head_norms.then(|| both(format!("{index}.heads"))),
        rope: (!shape.ropes.is_empty()).then(|| index % shape.ropes.len()),
        window: window.filter(|_| index != 1),
        // The second layer has the first one's.
        position_bias: position_bias.map(|(buckets, max_distance, both_ways)| {
            let table = format!("{}.b.weight", index / 2);
            PositionBiasRecipe { table, buckets, max_distance, both_ways }
        }),
        query: parts(index, 0, queries),
        key: parts(index, 1, keys),
        value: parts(index, 2, keys),
        output: linear(format!("{index}.o"), hidden, queries),
        feed_forward_norm: norm(format!("{index}.n2")),
        gate: shape.gated.then(|| linear(format!("{index}.g"), inner, hidden)),
        up: linear(format!("{index}.u"), inner, hidden),
        down: linear(format!("{index}.d"), hidden, inner),
        sandwich: (shape.order == Order::Sandwich).then(|| both(format!("{index}.s"))),
    };
    let layers = vec![layer(0), layer(1), layer(2)];
    let last_norm = (shape.order != Order::Post).then(|| norm("last".to_owned()));
    for layer in &layers {
        let LayerRecipe { query, key, value, output, gate, up, down, .. } = layer;
        for linear in [query, key, value, output, up, down].into_iter().chain(gate) {
            shapes.insert(linear.weight.clone(), linear.weight_shape().to_vec());
            if let Some(bias) = &linear.bias {
                shapes.insert(bias.clone(), vec![linear.bias_len()]);
            }
        }
        if let Some(bias) = &layer.position_bias {
            shapes.insert(bias.table.clone(), vec![bias.buckets, shape.heads]);
        }
        let wide = layer.attention_norm.iter().chain([&layer.feed_forward_norm]);
        let wide = wide.chain(layer.sandwich.iter().flatten()).chain(&last_norm);
        let wide = wide.map(|norm| (norm, hidden));
        let narrow = layer.head_norms.iter().flatten().map(|norm| (norm, shape.head_dim));
        for (norm, width) in wide.chain(narrow) {
            for name in [Some(&norm.gain), norm.bias.as_ref()].into_iter().flatten() {
                shapes.insert(name.clone(), vec![width]);
            }
        }
    }
    (Recipe { shape, activation, layers, repeats: 1, last_norm }, Random(shapes))
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

fn norm(x: impl Iterator<Item = f32>) -> f32 {
    x.map(|x| x * x).sum::<f32>().sqrt()
}

/// What a family may be made of.
struct Drawn {
    shape: Shape,
    activation: Activation,
    biases: bool,
    window: Option<usize>,
    head_norms: bool,
    /// Buckets, the distance that ends them, and whether keys behind a query have their own.
    position_bias: Option<(usize, usize, bool)>,
}

fn drawn(rng: &mut ChaCha8Rng) -> Drawn {
    let kv_heads = rng.random_range(1..4);
    // A norm of two or three numbers is nearly a step, which magnifies every rounding.
    let head_dim = rng.random_range(4..18);
    let rope = |theta| Rope::new(head_dim / 2 * 2, theta);
    let ropes = match rng.random_range(0..4) {
        0 => Vec::new(),
        1 => vec![rope(1000.0)],
        2 => vec![Rope::new(2, 30.0)],
        _ => vec![rope(1000.0), rope(10.0)],
    };
    let orders = [Order::Pre, Order::Post, Order::Parallel, Order::Sandwich];
    let activations = [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu];
    let shape = Shape {
        hidden: rng.random_range(5..70),
        intermediate: rng.random_range(3..90),
        gated: rng.random_bool(0.5),
        heads: kv_heads * rng.random_range(1..4),
        kv_heads,
        head_dim,
        causal: rng.random_bool(0.6),
        scale: rng.random_bool(0.3).then_some(0.4),
        ropes,
        order: orders[rng.random_range(0..4)],
    };
    Drawn {
        shape,
        activation: activations[rng.random_range(0..4)],
        biases: rng.random_bool(0.5),
        window: rng.random_bool(0.4).then(|| rng.random_range(1..9)),
        head_norms: rng.random_bool(0.4),
        position_bias: rng
            .random_bool(0.4)
            .then(|| (rng.random_range(4..14), rng.random_range(8..25), rng.random_bool(0.6))),
    }
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
    let prefix = if rng.random_bool(0.5) { rng.random_range(1..7) } else { 0 };
    Layout { prefix, own, answers, ..Layout::default() }
}

fn noise(count: usize, step: f32, width: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..count).map(|i| (i as f32 * step).sin()).collect();
    Tensor::from_data(TensorData::new(values, [count / width, width]), device)
}

#[test]
fn packed_layers_equal_tensor_operations() {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let device = Device::flex();
    for case in 0..48 {
        let (drawn, layout) = (drawn(&mut rng), batch(&mut rng));
        let (recipe, weights) = recipe(drawn);
        let (hidden, what) = (recipe.shape.hidden, format!("case {case}: {recipe:?}, {layout:?}"));
        // The packed layers, then tensors, which may compute their layers once more.
        let ways = [(true, Memory::Tape), (false, Memory::Tape), (false, Memory::Recompute)];
        let mut results = ways.map(|(fused, memory)| {
            let options = Options { fused, memory, ..Options::default() };
            let loader = Loader::new(&weights, &device, &options);
            let transformer = Transformer::load(&recipe, &loader, options).unwrap();
            let x = noise(layout.total_rows() * hidden, 0.77, hidden, &device);
            let width = transformer.prefix_shape().width();
            let prefix = noise(layout.prefix * width, 0.53, width, &device);
            let prefix = (layout.prefix > 0).then_some(prefix);
            let inputs = Inputs { embeddings: x.clone(), prefix: prefix.clone() };
            let plain = values(transformer.forward(inputs, &layout));
            let x = x.autodiff().require_grad();
            let prefix = prefix.map(|prefix| prefix.autodiff().require_grad());
            let inputs = Inputs { embeddings: x.clone(), prefix: prefix.clone() };
            let weights = noise(layout.answers.len() * hidden, 0.37, hidden, &device);
            let mut tracked = Vec::new();
            let (_, objective) = transformer.loss_through(inputs, &layout, &mut |y| {
                tracked = values(y.clone().without_autodiff());
                (Tensor::zeros([1], &device), (y * weights.clone()).sum())
            });
            let gradients = objective.backward();
            if fused {
                assert_eq!(plain, tracked, "{what}: tracked");
            }
            let of = |x: Tensor<2>| values(x.grad(&gradients).unwrap());
            [plain, tracked, of(x), prefix.map(of).unwrap_or_else(|| vec![1.0])]
        });
        let [fused, plain, again] = results.each_mut();
        for (way, found) in [("packed", fused), ("recomputed", again)] {
            for (number, (found, plain)) in found.iter().zip(plain.iter()).enumerate() {
                let differences = found.iter().zip(plain.iter()).map(|(a, b)| a - b);
                let error = norm(differences) / norm(plain.iter().copied());
                assert!(error < 1e-5, "{what}: {way}, {number}: {error} relative");
            }
        }
    }
}
