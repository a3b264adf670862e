//! The same layers in Burn's own tensor operations, on any device.

use burn::tensor::activation::{gelu, gelu_approximate, relu, silu};
use burn::tensor::{FloatDType, Int, Tensor, TensorData};
use kernels::activation::Activation;
use kernels::stack::{Order, Shape};
use ptuning_core::language_model::Layout;

use super::{LayerRecipe, LinearRecipe, NormRecipe, Options, Recipe};
use crate::device::is_cpu;
use crate::error::LoadError;
use crate::layers::{LayerNorm, Linear, Loader, Mask, RmsNorm, Rotary, attention};

/// A stack of layers as tensors.
#[derive(Debug, Clone)]
pub struct Layers {
    shape: Shape,
    activation: Activation,
    layers: Vec<Layer>,
    last_norm: Option<Norm>,
    dtype: FloatDType,
    /// What padded lengths are multiples of.
    bucket: usize,
}

/// Lengths on a GPU are multiples of this: every new one costs it compilation and measurements.
const BUCKET: usize = 8;

/// A norm as tensors.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "two per layer; a box would only hide them")]
pub enum Norm {
    Rms(RmsNorm),
    Layer(LayerNorm),
}

#[derive(Debug, Clone)]
struct Layer {
    attention_norm: Norm,
    /// Queries, keys and values of one input, one product.
    qkv: Linear,
    output: Linear,
    feed_forward_norm: Norm,
    /// Gate (if there is one) and up of one input, one product.
    gate_up: Linear,
    down: Linear,
}

impl Norm {
    pub fn load(norm: &NormRecipe, hidden: usize, loader: &Loader<'_>) -> Result<Self, LoadError> {
        let gain = loader.vector(&norm.gain, hidden)?;
        Ok(match &norm.bias {
            Some(bias) => {
                Self::Layer(LayerNorm::new(gain, loader.vector(bias, hidden)?, norm.epsilon))
            }
            None => Self::Rms(RmsNorm::new(gain, norm.epsilon)),
        })
    }

    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Rms(norm) => norm.forward(x),
            Self::Layer(norm) => norm.forward(x),
        }
    }
}

/// Several projections of one input as one.
fn stacked(parts: &[&LinearRecipe], loader: &Loader<'_>) -> Result<Linear, LoadError> {
    let weights: Vec<(&str, usize)> =
        parts.iter().map(|part| (part.weight.as_str(), part.out)).collect();
    let weight = loader.stacked(&weights, parts.first().map_or(0, |part| part.inner))?;
    let biases = parts.iter().filter_map(|part| Some((part.bias.as_deref()?, part.out)));
    let biases: Vec<Tensor<1>> =
        biases.map(|(name, out)| loader.vector(name, out)).collect::<Result<_, _>>()?;
    let linear = Linear::new(weight);
    Ok(if biases.is_empty() { linear } else { linear.with_bias(Tensor::cat(biases, 0)) })
}

impl Layer {
    fn load(layer: &LayerRecipe, shape: &Shape, loader: &Loader<'_>) -> Result<Self, LoadError> {
        let gate_up: Vec<&LinearRecipe> = layer.gate.iter().chain([&layer.up]).collect();
        Ok(Self {
            attention_norm: Norm::load(&layer.attention_norm, shape.hidden, loader)?,
            qkv: stacked(&[&layer.query, &layer.key, &layer.value], loader)?,
            output: stacked(&[&layer.output], loader)?,
            feed_forward_norm: Norm::load(&layer.feed_forward_norm, shape.hidden, loader)?,
            gate_up: stacked(&gate_up, loader)?,
            down: stacked(&[&layer.down], loader)?,
        })
    }
}

/// What all layers of one pass share.
struct Pass {
    batch: usize,
    seq: usize,
    rotary: Option<Rotary>,
    mask: Mask,
}

impl Layers {
    pub fn load(recipe: &Recipe, loader: &Loader<'_>) -> Result<Self, LoadError> {
        let shape = recipe.shape.clone();
        let layers = recipe.layers.iter().map(|layer| Layer::load(layer, &shape, loader));
        let layers = layers.collect::<Result<_, _>>()?;
        let last = recipe.last_norm.as_ref();
        let last_norm = last.map(|norm| Norm::load(norm, shape.hidden, loader)).transpose()?;
        Ok(Self {
            shape,
            activation: recipe.activation,
            layers,
            last_norm,
            dtype: loader.dtype(),
            bucket: if is_cpu(loader.device()) { 1 } else { BUCKET },
        })
    }

    pub fn forward(&self, x: Tensor<2>, layout: &Layout, options: &Options) -> Tensor<2> {
        let device = x.device().without_autodiff();
        let (batch, seq) = (layout.batch(), layout.seq().next_multiple_of(self.bucket));
        let indices = |rows: Vec<i64>| {
            let count = rows.len();
            Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &device)
        };
        let Shape { heads, kv_heads, head_dim, rope_theta, causal, .. } = self.shape;
        let pass = Pass {
            batch,
            seq,
            rotary: rope_theta.map(|theta| Rotary::new(seq, head_dim, theta, &device)),
            mask: Mask::new(layout, seq, causal, heads / kv_heads, &device),
        };
        let answers = (layout.answers.iter())
            .map(|&(example, position)| (example * seq + position) as i64)
            .collect();
        let answers = indices(answers);
        let mut x = x.select(0, indices(padded_rows(layout, seq)));
        let post = self.shape.order == Order::Post;
        for (index, layer) in self.layers.iter().enumerate() {
            let input = if post { x.clone() } else { layer.attention_norm.forward(x.clone()) };
            let mut context = self.attend(layer, input, &pass);
            // After the last attention only the answer rows matter.
            if options.answer_rows && index + 1 == self.layers.len() {
                x = x.select(0, answers.clone());
                context = context.select(0, answers.clone());
            }
            x = x + layer.output.forward(context);
            if post {
                x = layer.attention_norm.forward(x);
                x = layer.feed_forward_norm.forward(x.clone() + self.feed_forward(layer, x));
            } else {
                let input = layer.feed_forward_norm.forward(x.clone());
                x = x + self.feed_forward(layer, input);
            }
        }
        if !options.answer_rows {
            x = x.select(0, answers);
        }
        match &self.last_norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }

    /// # Shapes
    /// - `x`: `[batch · seq, hidden]`
    /// - returns: `[batch · seq, heads · head_dim]`
    fn attend(&self, layer: &Layer, x: Tensor<2>, pass: &Pass) -> Tensor<2> {
        let Shape { heads, kv_heads, head_dim, .. } = self.shape;
        let qkv = layer.qkv.forward(x);
        let qkv = qkv.reshape([pass.batch, pass.seq, heads + 2 * kv_heads, head_dim]);
        let turned = qkv.clone().narrow(2, 0, heads + kv_heads);
        let turned = match &pass.rotary {
            Some(rotary) => rotary.forward(turned),
            None => turned,
        };
        let queries = turned.clone().narrow(2, 0, heads).swap_dims(1, 2);
        let keys = turned.narrow(2, heads, kv_heads).swap_dims(1, 2);
        let values = qkv.narrow(2, heads + kv_heads, kv_heads).swap_dims(1, 2);
        attention(queries, keys, values, &pass.mask, self.dtype)
    }

    /// # Shapes
    /// - `x`: `[rows, hidden]`
    /// - returns: `[rows, hidden]`
    fn feed_forward(&self, layer: &Layer, x: Tensor<2>) -> Tensor<2> {
        let f = |x| activate(self.activation, x);
        let inner = layer.gate_up.forward(x);
        let intermediate = self.shape.intermediate;
        layer.down.forward(if self.shape.gated {
            let gate = inner.clone().narrow(1, 0, intermediate);
            f(gate) * inner.narrow(1, intermediate, intermediate)
        } else {
            f(inner)
        })
    }
}

/// `f(x)`
pub fn activate(activation: Activation, x: Tensor<2>) -> Tensor<2> {
    match activation {
        Activation::Silu => silu(x),
        Activation::Gelu => gelu(x),
        Activation::GeluTanh => gelu_approximate(x),
        Activation::Relu => relu(x),
    }
}

/// For each cell of the batch padded on the right to `seq`, the row that stands there. Padding repeats row 0:
/// nothing that answers looks at it.
fn padded_rows(layout: &Layout, seq: usize) -> Vec<i64> {
    let shared = layout.shared;
    let mut rows = Vec::with_capacity(layout.batch() * seq);
    for (&own, start) in layout.own.iter().zip(layout.starts()) {
        rows.extend((0..shared).map(|row| row as i64));
        rows.extend((start..start + own).map(|row| row as i64));
        rows.extend(std::iter::repeat_n(0, seq - shared - own));
    }
    rows
}
