//! Packed layers on the CPU: forward and input gradient of the whole stack as one operation.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;
use kernels::norm::Norm;
use kernels::stack::{
    FeedForward, Gradient, Layer, Linear, Memory, Past, Plan, Shape, Stack, Tape,
};
use ptuning_core::language_model::{Inputs, Layout};
use rayon::prelude::*;

use super::norm_recipe::{bias, gain};
use super::{LayerRecipe, LinearRecipe, NormKind, NormRecipe, Options, Recipe};
use crate::error::LoadError;
use crate::fused::{Function, Pullback, apply};
use crate::layers::{Loader, numbers};

/// A packed stack.
#[derive(Clone)]
pub struct Layers(Arc<Packed>);

struct Packed {
    stack: Stack,
    /// The fixed words that batches began with the last time, and what they gave.
    past: Mutex<Option<(Vec<f32>, Arc<Past>)>>,
}

impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Layers").field(self.0.stack.shape()).finish()
    }
}

impl Layers {
    pub fn load(recipe: &Recipe, loader: &Loader<'_>) -> Result<Self, LoadError> {
        // Packing one layer is single-threaded; layers are packed side by side.
        let layers: Vec<Layer> = (recipe.layers.par_iter())
            .map(|layer| load_layer(layer, recipe, loader))
            .collect::<Result<_, _>>()?;
        let hidden = recipe.shape.hidden;
        let last = recipe.last_norm.as_ref().map(|norm| load_norm(norm, hidden, loader));
        let layers = layers.into_iter().map(Arc::new);
        let layers = layers.flat_map(|layer| std::iter::repeat_n(layer, recipe.repeats)).collect();
        let stack = Stack::new(recipe.shape.clone(), layers, last.transpose()?);
        Ok(Self(Arc::new(Packed { stack, past: Mutex::default() })))
    }

    pub fn is_causal(&self) -> bool {
        self.0.stack.shape().causal
    }

    /// Number of layers, and what they share.
    pub fn sizes(&self) -> (usize, &Shape) {
        (self.0.stack.layers(), self.0.stack.shape())
    }

    pub fn forward(&self, inputs: Inputs, layout: &Layout, options: &Options) -> Tensor<2> {
        let mut layout = layout.clone();
        let x = match inputs.prefix {
            // One operation has one input: the prefix's numbers, then the rows'.
            Some(prefix) => {
                let flat =
                    |x: Tensor<2>| x.clone().reshape([1, x.dims().iter().product::<usize>()]);
                Tensor::cat(vec![flat(prefix), flat(inputs.embeddings)], 1)
            }
            None => inputs.embeddings,
        };
        if options.answer_rows {
            return apply(x, Arc::new(Forward::new(self, layout, options.memory)));
        }
        let starts = layout.starts();
        let rows = layout
            .answers
            .iter()
            .map(|&(example, position)| (starts[example] + position - 2 * layout.shared) as u32);
        let rows: Vec<u32> = rows.collect();
        layout = layout.answering_everywhere();
        let y = apply(x, Arc::new(Forward::new(self, layout, options.memory)));
        let rows = ptuning_core::objective::ids(&rows, &y.device());
        y.select(0, rows)
    }

    /// Keys and values of the fixed words in front of a batch.
    fn past(&self, x: &[f32]) -> Option<Arc<Past>> {
        if x.is_empty() {
            return None;
        }
        let mut kept = self.0.past.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((words, past)) = kept.as_ref()
            && words == x
        {
            return Some(past.clone());
        }
        let past = Arc::new(self.0.stack.past(x));
        *kept = Some((x.to_vec(), past.clone()));
        Some(past)
    }
}

fn load_layer(
    layer: &LayerRecipe,
    recipe: &Recipe,
    loader: &Loader<'_>,
) -> Result<Layer, LoadError> {
    let Shape { hidden, heads, head_dim, .. } = recipe.shape;
    let linear = |linear: &LinearRecipe| -> Result<Linear, LoadError> {
        Ok(Linear { weight: loader.frozen(linear)?, bias: loader.bias(linear)?.map(numbers) })
    };
    let norm = |norm: &NormRecipe| load_norm(norm, hidden, loader);
    let both = |norms: &Option<[NormRecipe; 2]>, width| -> Result<Option<[Norm; 2]>, LoadError> {
        let Some([first, second]) = norms else { return Ok(None) };
        Ok(Some([load_norm(first, width, loader)?, load_norm(second, width, loader)?]))
    };
    let (up, down, activation) = (linear(&layer.up)?, linear(&layer.down)?, recipe.activation);
    Ok(Layer {
        attention_norm: match &layer.attention_norm {
            Some(recipe) => norm(recipe)?,
            None => Norm::Identity { width: hidden },
        },
        head_norms: both(&layer.head_norms, head_dim)?,
        rope: layer.rope,
        window: layer.window,
        position_bias: match &layer.position_bias {
            Some(bias) => Some(bias.load(heads, loader)?),
            None => None,
        },
        query: linear(&layer.query)?,
        key: linear(&layer.key)?,
        value: linear(&layer.value)?,
        output: linear(&layer.output)?,
        feed_forward_norm: norm(&layer.feed_forward_norm)?,
        feed_forward: match &layer.gate {
            Some(gate) => FeedForward::Gated { gate: linear(gate)?, up, down, activation },
            None => FeedForward::Plain { up, down, activation },
        },
        sandwich: both(&layer.sandwich, hidden)?,
    })
}

/// Reads a norm's vectors.
pub fn load_norm(norm: &NormRecipe, width: usize, loader: &Loader<'_>) -> Result<Norm, LoadError> {
    let (gain, epsilon) = (numbers(gain(norm, width, loader)?), norm.epsilon as f32);
    Ok(match norm.kind {
        NormKind::Rms | NormKind::RmsOffByOne => Norm::Rms { gain, epsilon },
        NormKind::Layer => Norm::Layer { gain, bias: numbers(bias(norm, width, loader)?), epsilon },
    })
}

/// A stack on a batch.
#[derive(Debug)]
struct Forward {
    layers: Layers,
    layout: Layout,
    memory: Memory,
}

impl Forward {
    fn new(layers: &Layers, layout: Layout, memory: Memory) -> Self {
        Self { layers: layers.clone(), layout, memory }
    }

    /// The batch as the stack takes it, and its rows without those whose keys and values are kept.
    fn plan<'x>(&self, x: &'x [f32]) -> (Plan, &'x [f32]) {
        let Layout { prefix, shared, constant, own, answers } = &self.layout;
        let stack = &self.layers.0.stack;
        let (learned, x) = x.split_at(prefix * stack.past_width());
        // What stands behind a prefix changes with it.
        let constant = if *prefix > 0 { 0 } else { *constant };
        let (fixed, x) = x.split_at(constant * stack.shape().hidden);
        let past = match prefix {
            0 => self.layers.past(fixed),
            _ => Some(Arc::new(stack.learned_past(learned))),
        };
        let answers = answers.iter().map(|&(example, position)| (example, prefix + position));
        match Plan::new(past, shared - constant, own, &answers.collect::<Vec<_>>()) {
            Ok(plan) => (plan, x),
            // A layout is made by `Encoded::layout` or by a caller who read its documentation.
            Err(error) => panic!("{error}: {:?}", self.layout),
        }
    }
}

impl Function for Forward {
    fn shape(&self) -> [usize; 2] {
        [self.layout.answers.len(), self.layers.0.stack.shape().hidden]
    }

    fn value(&self, x: &[f32]) -> Vec<f32> {
        let (plan, x) = self.plan(x);
        self.layers.0.stack.forward(x, &plan)
    }

    fn taped(&self, x: &[f32]) -> (Vec<f32>, Arc<dyn Pullback>) {
        let (plan, rest) = self.plan(x);
        let stack = &self.layers.0.stack;
        let (y, tape) = stack.forward_taped(rest, &plan, self.memory);
        let learned = plan.learned() * stack.past_width();
        let fixed = x.len() - rest.len() - learned;
        (y, Arc::new(Back { layers: self.layers.clone(), fixed, tape }))
    }
}

struct Back {
    layers: Layers,
    /// Numbers in front that take no gradient.
    fixed: usize,
    tape: Tape,
}

impl std::fmt::Debug for Back {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.tape.fmt(f)
    }
}

impl Pullback for Back {
    fn gradient(&self, dy: &[f32]) -> Vec<f32> {
        let Gradient { rows, past: mut dx } = self.layers.0.stack.gradient(dy, &self.tape);
        if self.fixed == 0 && dx.is_empty() {
            return rows;
        }
        dx.extend(std::iter::repeat_n(0.0, self.fixed));
        dx.extend(rows);
        dx
    }
}
