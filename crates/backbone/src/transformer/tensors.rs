//! The same layers in Burn's own tensor operations, on any device.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use burn::tensor::activation::{relu, silu};
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};
use kernels::activation::Activation;
use kernels::stack::{Order, Shape};
use ptuning_core::language_model::{Inputs, Layout};

use super::norm::Norm;
use super::{LayerRecipe, LinearRecipe, NormRecipe, Options, PositionBiasRecipe, Recipe};
use crate::device::is_cpu;
use crate::error::LoadError;
use crate::layers::{Linear, Loader, Mask, PositionBias, Rotary, attention};

/// A stack of layers as tensors.
#[derive(Debug, Clone)]
pub struct Layers {
    shape: Shape,
    activation: Activation,
    layers: Vec<Layer>,
    /// Those that layers choose from.
    position_biases: Vec<PositionBias>,
    last_norm: Option<Norm>,
    /// In what numbers attention multiplies.
    dtype: FloatDType,
    /// What padded lengths are multiples of.
    bucket: usize,
}

/// In what numbers attention multiplies, where weights are held in `dtype`: scores that are not scaled
/// (T5's) grow so large that rounding them to half precision alone would turn a softmax over.
pub fn attention_dtype(shape: &Shape, dtype: FloatDType) -> FloatDType {
    if shape.scale == Some(1.0) { FloatDType::F32 } else { dtype }
}

/// What padded lengths are multiples of: on a GPU every new one costs compilation and measurements.
pub fn bucket(device: &Device) -> usize {
    if is_cpu(device) { 1 } else { 8 }
}

#[derive(Debug, Clone)]
struct Layer {
    attention_norm: Option<Norm>,
    head_norms: Option<[Norm; 2]>,
    rope: Option<usize>,
    window: Option<usize>,
    /// Which of the stack's biases is added to scores.
    position_bias: Option<usize>,
    /// Queries, keys and values of one input, one product.
    qkv: Linear,
    output: Linear,
    feed_forward_norm: Norm,
    /// Gate (if there is one) and up of one input, one product.
    gate_up: Linear,
    down: Linear,
    sandwich: Option<[Norm; 2]>,
}

/// Several projections of one input as one.
fn stacked(parts: &[&LinearRecipe], loader: &Loader<'_>) -> Result<Linear, LoadError> {
    let linear = Linear::new(loader.weight(parts)?);
    let biases = parts.iter().map(|part| loader.bias(part));
    let biases: Vec<Tensor<1>> = biases.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    Ok(if biases.is_empty() { linear } else { linear.with_bias(Tensor::cat(biases, 0)) })
}

impl Layer {
    /// `biases` are all that the stack's layers choose from.
    fn load(
        layer: &LayerRecipe,
        shape: &Shape,
        biases: &[&PositionBiasRecipe],
        loader: &Loader<'_>,
    ) -> Result<Self, LoadError> {
        let bias = layer.position_bias.as_ref();
        let gate_up: Vec<&LinearRecipe> = layer.gate.iter().chain([&layer.up]).collect();
        let norm = |norm: &NormRecipe| Norm::load(norm, shape.hidden, loader);
        let both = |norms: &Option<[NormRecipe; 2]>, width| match norms {
            Some([a, b]) => {
                Ok(Some([Norm::load(a, width, loader)?, Norm::load(b, width, loader)?]))
            }
            None => Ok::<_, LoadError>(None),
        };
        Ok(Self {
            attention_norm: layer.attention_norm.as_ref().map(norm).transpose()?,
            head_norms: both(&layer.head_norms, shape.head_dim)?,
            rope: layer.rope,
            window: layer.window,
            position_bias: bias.and_then(|bias| biases.iter().position(|other| *other == bias)),
            qkv: stacked(&[&layer.query, &layer.key, &layer.value], loader)?,
            output: stacked(&[&layer.output], loader)?,
            feed_forward_norm: norm(&layer.feed_forward_norm)?,
            gate_up: stacked(&gate_up, loader)?,
            down: stacked(&[&layer.down], loader)?,
            sandwich: both(&layer.sandwich, shape.hidden)?,
        })
    }

    fn input(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.attention_norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }
}

/// What all layers of one pass share.
struct Pass {
    batch: usize,
    seq: usize,
    rotaries: Vec<Rotary>,
    /// `[1, kv_heads, group · seq, prefix + seq]` each
    position_biases: Vec<Tensor<4>>,
    /// By what a layer sees.
    masks: Vec<(Option<usize>, Mask)>,
    /// The row of the batch at each cell of the padded one.
    cells: Tensor<1, Int>,
    /// Cells that answer.
    answers: Tensor<1, Int>,
    /// Whether the last layer gives the answers' rows alone.
    answer_rows: bool,
}

impl Layers {
    pub fn load(recipe: &Recipe, loader: &Loader<'_>) -> Result<Self, LoadError> {
        let shape = recipe.shape.clone();
        let mut biases: Vec<&PositionBiasRecipe> = Vec::new();
        for bias in recipe.layers.iter().flat_map(|layer| &layer.position_bias) {
            if !biases.contains(&bias) {
                biases.push(bias);
            }
        }
        let layers = recipe.layers.iter().map(|layer| Layer::load(layer, &shape, &biases, loader));
        let layers = layers.collect::<Result<Vec<_>, _>>()?.into_iter();
        let layers = layers.flat_map(|layer| std::iter::repeat_n(layer, recipe.repeats)).collect();
        let last = recipe.last_norm.as_ref();
        let last_norm = last.map(|norm| Norm::load(norm, shape.hidden, loader)).transpose()?;
        let bias = |bias: &&PositionBiasRecipe| {
            Ok::<_, LoadError>(PositionBias::new(&bias.load(shape.heads, loader)?, loader.device()))
        };
        let position_biases = biases.iter().map(bias).collect::<Result<_, _>>()?;
        Ok(Self {
            dtype: attention_dtype(&shape, loader.dtype()),
            shape,
            activation: recipe.activation,
            layers,
            position_biases,
            last_norm,
            bucket: bucket(loader.device()),
        })
    }

    /// Number of layers, and what they share.
    pub fn sizes(&self) -> (usize, &Shape) {
        (self.layers.len(), &self.shape)
    }

    /// What a prefix says to each layer, `[prefix, 2 · kv_heads · head_dim]`.
    fn prefixes(&self, prefix: Option<Tensor<2>>) -> Vec<Option<Tensor<2>>> {
        let part = 2 * self.shape.kv_heads * self.shape.head_dim;
        let of = |layer: usize| prefix.clone().map(|prefix| prefix.narrow(1, layer * part, part));
        (0..self.layers.len()).map(of).collect()
    }

    pub fn forward(&self, inputs: Inputs, layout: &Layout, options: &Options) -> Tensor<2> {
        let Inputs { embeddings, prefix } = inputs;
        let pass = self.pass(layout, options, &embeddings.device().without_autodiff());
        let mut x = embeddings.select(0, pass.cells.clone());
        for (index, prefix) in self.prefixes(prefix).into_iter().enumerate() {
            x = self.layer(index, x, prefix, &pass);
        }
        self.finish(x, &pass)
    }

    /// What `loss` says of [`forward`](Self::forward)'s result: losses, and what to call `backward` on for
    /// the gradient of `inputs`.
    ///
    /// Nothing but the input of each layer is kept for that gradient: layers are computed once more for
    /// it, one by one, from the last to the first (Chen et al. 2016, arXiv:1604.06174).
    pub fn loss_through(
        &self,
        Inputs { embeddings, prefix }: Inputs,
        layout: &Layout,
        options: &Options,
        loss: &mut dyn FnMut(Tensor<2>) -> (Tensor<1>, Tensor<1>),
    ) -> (Tensor<1>, Tensor<1>) {
        let pass = self.pass(layout, options, &embeddings.device().without_autodiff());
        let start = embeddings.select(0, pass.cells.clone());
        let mut inputs = Vec::with_capacity(self.layers.len());
        let mut x = start.clone().without_autodiff();
        let parts = self.prefixes(prefix.clone().map(Tensor::without_autodiff));
        for (index, part) in parts.into_iter().enumerate() {
            inputs.push((x.clone(), part.clone()));
            x = self.layer(index, x, part, &pass);
        }
        let last = x.autodiff().require_grad();
        let (losses, objective) = loss(self.finish(last.clone(), &pass));
        let mut upstream = last.grad(&objective.backward());
        let mut prefix_gradients = Vec::new();
        for (index, (input, part)) in inputs.into_iter().enumerate().rev() {
            let leaf = |x: Tensor<2>| x.autodiff().require_grad();
            let (input, part) = (leaf(input), part.map(leaf));
            let output = self.layer(index, input.clone(), part.clone(), &pass);
            // d loss / d input = d (output · upstream) / d input, upstream held fixed.
            let Some(held) = upstream else { break };
            let gradients = (output * held).sum().backward();
            upstream = input.grad(&gradients);
            prefix_gradients.extend(part.and_then(|part| part.grad(&gradients)));
        }
        let mut objective = match upstream {
            Some(upstream) => (start * upstream).sum(),
            None => start.sum().mul_scalar(0.0),
        };
        if let (Some(prefix), false) = (prefix, prefix_gradients.is_empty()) {
            prefix_gradients.reverse();
            objective = objective + (prefix * Tensor::cat(prefix_gradients, 1)).sum();
        }
        (losses, objective)
    }

    fn pass(&self, layout: &Layout, options: &Options, device: &Device) -> Pass {
        let (batch, seq) = (layout.batch(), layout.seq().next_multiple_of(self.bucket));
        let indices = |rows: Vec<i64>| {
            let count = rows.len();
            Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), device)
        };
        let Shape { heads, kv_heads, causal, .. } = self.shape;
        let mut masks: Vec<(Option<usize>, Mask)> = Vec::new();
        for layer in &self.layers {
            if masks.iter().all(|(window, _)| *window != layer.window) {
                let sight = (causal, layer.window);
                let mask = Mask::new(layout, seq, sight, heads / kv_heads, device);
                masks.push((layer.window, mask));
            }
        }
        let positions = layout.prefix..layout.prefix + seq;
        let rotary = |rope| Rotary::new(positions.clone(), rope, device);
        let rotaries = self.shape.ropes.iter().map(rotary).collect();
        let (all, group) = (layout.prefix + seq, heads / kv_heads);
        let position_bias = |bias: &PositionBias| {
            let bias = bias.forward(all, kv_heads).reshape([kv_heads, group, all, all]);
            bias.narrow(2, layout.prefix, seq).reshape([1, kv_heads, group * seq, all])
        };
        let position_biases = self.position_biases.iter().map(position_bias).collect();
        let answers = (layout.answers.iter())
            .map(|&(example, position)| (example * seq + position) as i64)
            .collect();
        let (cells, answers) = (indices(padded_rows(layout, seq)), indices(answers));
        let answer_rows = options.answer_rows;
        Pass { batch, seq, rotaries, position_biases, masks, cells, answers, answer_rows }
    }

    /// # Shapes
    /// - `x`: `[batch · seq, hidden]`
    /// - `prefix`: `[prefix, 2 · kv_heads · head_dim]`
    /// - returns: as `x`, or of the last layer `[rows, hidden]`
    fn layer(
        &self,
        index: usize,
        mut x: Tensor<2>,
        prefix: Option<Tensor<2>>,
        pass: &Pass,
    ) -> Tensor<2> {
        let (layer, order) = (&self.layers[index], self.shape.order);
        let input = if order == Order::Post { x.clone() } else { layer.input(x.clone()) };
        let mut context = self.attend(layer, input, prefix, pass);
        // After the last attention only the answer rows matter.
        if pass.answer_rows && index + 1 == self.layers.len() {
            x = x.select(0, pass.answers.clone());
            context = context.select(0, pass.answers.clone());
        }
        let attended = layer.output.forward(context);
        let norm = |x: Tensor<2>| layer.feed_forward_norm.forward(x);
        match (order, &layer.sandwich) {
            (Order::Post, _) => {
                let x = layer.input(x + attended);
                norm(x.clone() + self.feed_forward(layer, x))
            }
            (Order::Parallel, _) => {
                let fed = self.feed_forward(layer, norm(x.clone()));
                x + attended + fed
            }
            (Order::Sandwich, Some([first, second])) => {
                let x = x + first.forward(attended);
                let fed = self.feed_forward(layer, norm(x.clone()));
                x + second.forward(fed)
            }
            (Order::Pre | Order::Sandwich, _) => {
                let x = x + attended;
                let fed = self.feed_forward(layer, norm(x.clone()));
                x + fed
            }
        }
    }

    /// The rows that answer, normalised.
    fn finish(&self, mut x: Tensor<2>, pass: &Pass) -> Tensor<2> {
        if !pass.answer_rows {
            x = x.select(0, pass.answers.clone());
        }
        match &self.last_norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }

    /// # Shapes
    /// - `x`: `[batch · seq, hidden]`
    /// - `prefix`: `[prefix, 2 · kv_heads · head_dim]`
    /// - returns: `[batch · seq, heads · head_dim]`
    fn attend(
        &self,
        layer: &Layer,
        x: Tensor<2>,
        prefix: Option<Tensor<2>>,
        pass: &Pass,
    ) -> Tensor<2> {
        let Shape { heads, kv_heads, head_dim, .. } = self.shape;
        let qkv = layer.qkv.forward(x);
        let qkv = qkv.reshape([pass.batch, pass.seq, heads + 2 * kv_heads, head_dim]);
        let rotary = layer.rope.map(|rope| &pass.rotaries[rope]);
        let part = |first, count, which: Option<usize>| {
            let mut part = qkv.clone().narrow(2, first, count);
            if let (Some(which), Some(norms)) = (which, &layer.head_norms) {
                let rows = part.reshape([pass.batch * pass.seq * count, head_dim]);
                let rows = norms[which].forward(rows);
                part = rows.reshape([pass.batch, pass.seq, count, head_dim]);
            }
            if let (Some(_), Some(rotary)) = (which, rotary) {
                part = rotary.forward(part);
            }
            part.swap_dims(1, 2)
        };
        let (queries, mut keys) = (part(0, heads, Some(0)), part(heads, kv_heads, Some(1)));
        let mut values = part(heads + kv_heads, kv_heads, None);
        if let Some(prefix) = prefix {
            let [rows, width] = prefix.dims();
            let behind = |which: usize, own: Tensor<4>| {
                let part = prefix.clone().narrow(1, which * width / 2, width / 2);
                let part = part.reshape([1, rows, kv_heads, head_dim]).swap_dims(1, 2);
                Tensor::cat(vec![part.expand([pass.batch, kv_heads, rows, head_dim]), own], 2)
            };
            (keys, values) = (behind(0, keys), behind(1, values));
        }
        let scale = self.shape.scale.unwrap_or(1.0 / (head_dim as f32).sqrt());
        let mask = pass.masks.iter().find(|(window, _)| *window == layer.window);
        let (_, mask) = mask.expect("made for every layer");
        let bias = layer.position_bias.map(|bias| &pass.position_biases[bias]);
        attention(queries, keys, values, (mask, bias), scale, self.dtype)
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

/// `f(x)`. Both kinds of GELU are spelled out: Burn's own takes the gradient of the exact one from the
/// formula by tanh wherever a backend brings no gradient of its own, which is 1e-3 away.
pub fn activate(activation: Activation, x: Tensor<2>) -> Tensor<2> {
    match activation {
        Activation::Silu => silu(x),
        Activation::Gelu => ((x.clone() * FRAC_1_SQRT_2).erf() + 1.0) * x * 0.5,
        Activation::GeluTanh => {
            let cube = x.clone() * x.clone() * x.clone();
            let inner = (x.clone() + cube * 0.044715) * (FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
            x * (inner.tanh() + 1.0) * 0.5
        }
        Activation::Relu => relu(x),
    }
}

/// For each cell of the batch padded on the right to `seq`, the row that stands there. Padding repeats row 0:
/// nothing that answers looks at it.
pub fn padded_rows(layout: &Layout, seq: usize) -> Vec<i64> {
    let shared = layout.shared;
    let mut rows = Vec::with_capacity(layout.batch() * seq);
    for (&own, start) in layout.own.iter().zip(layout.starts()) {
        rows.extend((0..shared).map(|row| row as i64));
        rows.extend((start..start + own).map(|row| row as i64));
        rows.extend(std::iter::repeat_n(0, seq - shared - own));
    }
    rows
}
