//! The two ways of running a recipe give the same values and gradients, for every kind of layer.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use kernels::activation::Activation;
use kernels::frozen::Values;
use kernels::stack::{Order, Shape};
use ptuning_core::language_model::Layout;

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
        for (i, out) in out.iter_mut().enumerate() {
            *out = gain + ((seed + i * 7919) as f32 * 0.618).sin() * 0.3;
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

fn largest(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |max, x| max.max(x.abs()))
}

#[test]
fn packed_layers_equal_tensor_operations() {
    let base = Shape {
        hidden: 40,
        intermediate: 72,
        gated: true,
        heads: 6,
        kv_heads: 2,
        head_dim: 10,
        causal: true,
        rope_theta: Some(1000.0),
        order: Order::Pre,
    };
    let bert = Shape {
        gated: false,
        kv_heads: 6,
        causal: false,
        rope_theta: None,
        order: Order::Post,
        ..base.clone()
    };
    let gpt = Shape { order: Order::Pre, causal: true, ..bert.clone() };
    let cases = [
        (base.clone(), Activation::Silu, false),
        (base, Activation::GeluTanh, true),
        (bert, Activation::Gelu, true),
        (gpt.clone(), Activation::GeluTanh, true),
        (gpt, Activation::Relu, false),
    ];
    let layout = Layout {
        shared: 0,
        constant: 0,
        own: vec![5, 1, 9, 3],
        answers: vec![(0, 2), (0, 4), (1, 0), (2, 8)],
    };
    let device = Device::flex();
    for (shape, activation, biases) in cases {
        let (hidden, what) = (shape.hidden, format!("{shape:?}, {activation:?}"));
        let (recipe, weights) = recipe(shape, activation, biases);
        let mut results = [true, false].map(|fused| {
            let loader = Loader::new(&weights, &device, fused);
            let options = Options { fused, ..Options::default() };
            let transformer = Transformer::load(&recipe, &loader, options).unwrap();
            let x: Vec<f32> = (0..18 * hidden).map(|i| (i as f32 * 0.77).sin()).collect();
            let x = Tensor::<2>::from_data(TensorData::new(x, [18, hidden]), &device);
            let plain = values(transformer.forward(x.clone(), &layout));
            let x = x.autodiff().require_grad();
            let y = transformer.forward(x.clone(), &layout);
            let weights: Vec<f32> = (0..4 * hidden).map(|i| (i as f32 * 0.37).sin()).collect();
            let weights = Tensor::<2>::from_data(TensorData::new(weights, [4, hidden]), &device);
            let gradients = (y.clone() * weights).sum().backward();
            let tracked = values(y.without_autodiff());
            if fused {
                assert_eq!(plain, tracked, "{what}: tracked");
            }
            [plain, tracked, values(x.grad(&gradients).unwrap())]
        });
        let [fused, plain] = results.each_mut();
        for (fused, plain) in fused.iter().zip(plain) {
            let worst = fused.iter().zip(plain.iter()).map(|(a, b)| (a - b).abs());
            let worst = worst.fold(0.0f32, f32::max) / largest(plain);
            assert!(worst < 1e-5, "{what}: {worst} relative");
        }
    }
}
