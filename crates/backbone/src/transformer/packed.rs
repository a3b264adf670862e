//! Packed layers on the CPU: forward and input gradient of the whole stack as one operation.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use kernels::frozen::Frozen;
use kernels::loss::cross_entropy;
use kernels::norm::Norm;
use kernels::profile::{Stage, timed};
use kernels::stack::{FeedForward, Layer, Linear, Memory, Plan, Stack, Tape};
use ptuning_core::language_model::Layout;
use rayon::prelude::*;

use super::{LayerRecipe, LinearRecipe, NormRecipe, Options, Recipe};
use crate::error::LoadError;
use crate::fused::{Function, Pullback, apply};
use crate::layers::Loader;

/// A packed stack.
#[derive(Clone)]
pub struct Layers(Arc<Stack>);

impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Layers").field(self.0.shape()).finish()
    }
}

impl Layers {
    pub fn load(recipe: &Recipe, loader: &Loader<'_>) -> Result<Self, LoadError> {
        // Packing one layer is single-threaded; layers are packed side by side.
        let layers: Vec<Layer> = (recipe.layers.par_iter())
            .map(|layer| load_layer(layer, recipe, loader))
            .collect::<Result<_, _>>()?;
        let last = recipe.last_norm.as_ref().map(|norm| load_norm(norm, recipe, loader));
        Ok(Self(Arc::new(Stack::new(recipe.shape.clone(), layers, last.transpose()?))))
    }

    pub fn is_causal(&self) -> bool {
        self.0.shape().causal
    }

    pub fn forward(&self, x: Tensor<2>, layout: &Layout, options: &Options) -> Tensor<2> {
        let every: Vec<(usize, usize)>;
        let answers = if options.answer_rows {
            &layout.answers
        } else {
            let positions = |(example, &own): (usize, &usize)| {
                (layout.shared..layout.shared + own).map(move |position| (example, position))
            };
            every = layout.own.iter().enumerate().flat_map(positions).collect();
            &every
        };
        let plan = match Plan::new(layout.shared, &layout.own, answers) {
            Ok(plan) => plan,
            // A layout is made by `Encoded::layout` or by a caller who read its documentation.
            Err(error) => panic!("{error}: {layout:?}"),
        };
        let function = Forward { stack: self.0.clone(), plan, memory: options.memory };
        let y = apply(x, Arc::new(function));
        if options.answer_rows {
            return y;
        }
        let starts = layout.starts();
        let rows = layout
            .answers
            .iter()
            .map(|&(example, position)| (starts[example] + position - 2 * layout.shared) as u32);
        let rows: Vec<u32> = rows.collect();
        let rows = ptuning_core::objective::ids(&rows, &y.device());
        y.select(0, rows)
    }
}

fn load_layer(
    layer: &LayerRecipe,
    recipe: &Recipe,
    loader: &Loader<'_>,
) -> Result<Layer, LoadError> {
    let linear = |linear: &LinearRecipe| load_linear(linear, loader);
    let norm = |norm: &NormRecipe| load_norm(norm, recipe, loader);
    let (up, down, activation) = (linear(&layer.up)?, linear(&layer.down)?, recipe.activation);
    Ok(Layer {
        attention_norm: norm(&layer.attention_norm)?,
        query: linear(&layer.query)?,
        key: linear(&layer.key)?,
        value: linear(&layer.value)?,
        output: linear(&layer.output)?,
        feed_forward_norm: norm(&layer.feed_forward_norm)?,
        feed_forward: match &layer.gate {
            Some(gate) => FeedForward::Gated { gate: linear(gate)?, up, down, activation },
            None => FeedForward::Plain { up, down, activation },
        },
    })
}

fn load_linear(linear: &LinearRecipe, loader: &Loader<'_>) -> Result<Linear, LoadError> {
    let bias = linear.bias.as_ref().map(|bias| loader.numbers(bias, linear.out)).transpose()?;
    let weight = loader.frozen(&linear.weight, linear.out, linear.inner)?;
    Ok(Linear { weight, bias })
}

fn load_norm(norm: &NormRecipe, recipe: &Recipe, loader: &Loader<'_>) -> Result<Norm, LoadError> {
    let hidden = recipe.shape.hidden;
    let gain = loader.numbers(&norm.gain, hidden)?;
    let epsilon = norm.epsilon as f32;
    Ok(match &norm.bias {
        Some(bias) => Norm::Layer { gain, bias: loader.numbers(bias, hidden)?, epsilon },
        None => Norm::Rms { gain, epsilon },
    })
}

/// A stack on a batch.
struct Forward {
    stack: Arc<Stack>,
    plan: Plan,
    memory: Memory,
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forward").field("rows", &self.plan.rows()).finish_non_exhaustive()
    }
}

impl Function for Forward {
    fn shape(&self) -> [usize; 2] {
        [self.plan.answers(), self.stack.shape().hidden]
    }

    fn value(&self, x: &[f32]) -> Vec<f32> {
        self.stack.forward(x, &self.plan)
    }

    fn taped(&self, x: &[f32]) -> (Vec<f32>, Arc<dyn Pullback>) {
        let (y, tape) = self.stack.forward_taped(x, &self.plan, self.memory);
        (y, Arc::new(Back { stack: self.stack.clone(), tape }))
    }
}

struct Back {
    stack: Arc<Stack>,
    tape: Tape,
}

impl std::fmt::Debug for Back {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.tape.fmt(f)
    }
}

impl Pullback for Back {
    fn gradient(&self, dy: &[f32]) -> Vec<f32> {
        self.stack.gradient(dy, &self.tape)
    }
}

/// A packed matrix by itself: word embeddings, a head.
#[derive(Clone)]
pub struct Matrix(Arc<Frozen>);

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matrix({} × {})", self.0.out(), self.0.inner())
    }
}

impl Matrix {
    pub fn load(
        loader: &Loader<'_>,
        name: &str,
        out: usize,
        inner: usize,
    ) -> Result<Self, LoadError> {
        Ok(Self(Arc::new(loader.frozen(name, out, inner)?)))
    }

    pub fn out(&self) -> usize {
        self.0.out()
    }

    pub fn rows(&self, rows: impl ExactSizeIterator<Item = usize>, device: &Device) -> Tensor<2> {
        let (count, inner) = (rows.len(), self.0.inner());
        let mut values = vec![0.0; count * inner];
        for (row, to) in rows.zip(values.chunks_exact_mut(inner)) {
            self.0.row(row, to);
        }
        Tensor::from_data(TensorData::new(values, [count, inner]), device)
    }

    fn scores(&self, x: &[f32], rows: usize) -> Vec<f32> {
        timed(Stage::Head, || self.0.product(x, rows))
    }

    fn scores_gradient(&self, dy: &[f32], rows: usize) -> Vec<f32> {
        timed(Stage::Head, || self.0.gradient(dy, rows))
    }

    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - returns: `[rows, out]`
    pub fn product(&self, x: Tensor<2>) -> Tensor<2> {
        let [rows, _] = x.dims();
        apply(x, Arc::new(Product { matrix: self.clone(), rows }))
    }
}

impl Matrix {
    /// Cross-entropy of answers among all rows, and what to call `backward` on.
    pub fn loss(
        &self,
        hidden: Tensor<2>,
        answers: &[u32],
        examples: usize,
    ) -> (Tensor<1>, Tensor<1>) {
        let answers: Vec<usize> = answers.iter().map(|&answer| answer as usize).collect();
        let rows = answers.len();
        let losses = apply(hidden, Arc::new(Losses { matrix: self.clone(), answers }));
        let losses = losses.reshape([rows]);
        (losses.clone().without_autodiff(), losses.sum().div_scalar(examples as f64))
    }
}

/// Cross-entropy of `x·Wᵀ` row by row; the logits become their gradient in place.
#[derive(Debug)]
struct Losses {
    matrix: Matrix,
    answers: Vec<usize>,
}

impl Losses {
    fn run(&self, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let mut logits = self.matrix.scores(x, self.answers.len());
        let losses =
            timed(Stage::Loss, || cross_entropy(&mut logits, self.matrix.out(), &self.answers));
        (losses, logits)
    }
}

impl Function for Losses {
    fn shape(&self) -> [usize; 2] {
        [self.answers.len(), 1]
    }

    fn value(&self, x: &[f32]) -> Vec<f32> {
        self.run(x).0
    }

    fn taped(&self, x: &[f32]) -> (Vec<f32>, Arc<dyn Pullback>) {
        let (losses, gradient) = self.run(x);
        (losses, Arc::new(LossGradient { matrix: self.matrix.clone(), gradient }))
    }
}

struct LossGradient {
    matrix: Matrix,
    /// `softmax − one-hot`, `[rows, vocab]`
    gradient: Vec<f32>,
}

impl std::fmt::Debug for LossGradient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LossGradient({:?})", self.matrix)
    }
}

impl Pullback for LossGradient {
    fn gradient(&self, dy: &[f32]) -> Vec<f32> {
        let mut dx = self.matrix.scores_gradient(&self.gradient, dy.len());
        for (row, dy) in dx.chunks_exact_mut(self.matrix.0.inner()).zip(dy) {
            row.iter_mut().for_each(|x| *x *= dy);
        }
        dx
    }
}

/// `x·Wᵀ`, and its own pullback `dy·W`.
#[derive(Debug, Clone)]
struct Product {
    matrix: Matrix,
    rows: usize,
}

impl Function for Product {
    fn shape(&self) -> [usize; 2] {
        [self.rows, self.matrix.out()]
    }

    fn value(&self, x: &[f32]) -> Vec<f32> {
        self.matrix.scores(x, self.rows)
    }

    fn taped(&self, x: &[f32]) -> (Vec<f32>, Arc<dyn Pullback>) {
        (self.value(x), Arc::new(self.clone()))
    }
}

impl Pullback for Product {
    fn gradient(&self, dy: &[f32]) -> Vec<f32> {
        self.matrix.scores_gradient(dy, self.rows)
    }
}
