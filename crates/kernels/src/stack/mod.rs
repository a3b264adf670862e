//! A stack of frozen transformer layers: forward, and the gradient with respect to its input.
//!
//! ```text
//! pre-norm    x → x + O·attention(norm x) → + D·f(norm ·)            Llama, GPT-2, …
//! post-norm   x → norm(x + O·attention(x)) → norm(· + D·f(·))        BERT, …
//! parallel    x → x + O·attention(norm x) + D·f(norm′ x)             GPT-NeoX
//! sandwich    x → x + norm(O·attention(norm x)) → + norm(D·f(norm ·)) Gemma
//! ```
//!
//! Rows of a batch lie one after the other without padding; a [`Plan`] says which of them form
//! sequences and which of them answer. The team enters a pass once and meets at barriers between the
//! stages of a layer. Weights are frozen, so a tape keeps only what the input's gradient needs.

mod backward;
mod backward_attention;
mod buffers;
mod forward;
mod past;
mod plan;

use std::sync::Arc;

use crate::activation::Activation;
use crate::attention::Heads;
use crate::frozen::Frozen;
use crate::norm::Norm;
use crate::position_bias::PositionBias;
use crate::rotary::{Rope, Rotary};
use crate::team::Team;

pub use buffers::Tape;
use buffers::{Pool, Work};
pub use past::Past;
pub use plan::{Plan, PlanError};

/// A frozen linear layer.
pub struct Linear {
    /// `[out, in]`
    pub weight: Frozen,
    /// `[out]`
    pub bias: Option<Vec<f32>>,
}

/// A layer's feed-forward network.
pub enum FeedForward {
    /// `D·(f(G·x) ∘ U·x)` (Shazeer 2020, arXiv:2002.05202).
    Gated {
        /// G, `[intermediate, hidden]`
        gate: Linear,
        /// U, `[intermediate, hidden]`
        up: Linear,
        /// D, `[hidden, intermediate]`
        down: Linear,
        /// f
        activation: Activation,
    },
    /// `D·f(U·x)`
    Plain {
        /// U, `[intermediate, hidden]`
        up: Linear,
        /// D, `[hidden, intermediate]`
        down: Linear,
        /// f
        activation: Activation,
    },
}

impl FeedForward {
    fn up(&self) -> &Linear {
        match self {
            Self::Gated { up, .. } | Self::Plain { up, .. } => up,
        }
    }
    fn gate(&self) -> Option<&Linear> {
        match self {
            Self::Gated { gate, .. } => Some(gate),
            Self::Plain { .. } => None,
        }
    }
    fn down(&self) -> &Linear {
        match self {
            Self::Gated { down, .. } | Self::Plain { down, .. } => down,
        }
    }
    fn activation(&self) -> Activation {
        match self {
            Self::Gated { activation, .. } | Self::Plain { activation, .. } => *activation,
        }
    }
}

/// One layer.
pub struct Layer {
    /// Before attention, or after its residual (post-norm).
    pub attention_norm: Norm,
    /// Of each head's queries and keys, `[head_dim]`.
    pub head_norms: Option<[Norm; 2]>,
    /// Which of the shape's ropes turns queries and keys.
    pub rope: Option<usize>,
    /// How many positions away a key may stand from its query.
    pub window: Option<usize>,
    /// What is added to scores by how far a key stands from its query.
    pub position_bias: Option<PositionBias>,
    /// `[heads · head_dim, hidden]`
    pub query: Linear,
    /// `[kv_heads · head_dim, hidden]`
    pub key: Linear,
    /// `[kv_heads · head_dim, hidden]`
    pub value: Linear,
    /// `[hidden, heads · head_dim]`
    pub output: Linear,
    /// Before the feed-forward network, or after its residual (post-norm).
    pub feed_forward_norm: Norm,
    /// The feed-forward network.
    pub feed_forward: FeedForward,
    /// Of what attention and the feed-forward network add (sandwich).
    pub sandwich: Option<[Norm; 2]>,
}

/// Where a layer's norms stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Before each sublayer.
    Pre,
    /// After each residual.
    Post,
    /// Before each sublayer, both of which read the layer's input.
    Parallel,
    /// Before each sublayer, and on what it adds.
    Sandwich,
}

impl Order {
    /// Whether the norms stand in front of the sublayers.
    fn is_before(self) -> bool {
        self != Self::Post
    }

    /// Whether a backward pass has to set a gradient aside.
    fn sets_aside(self) -> bool {
        matches!(self, Self::Parallel | Self::Sandwich)
    }
}

/// What all layers share.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Width of a row.
    pub hidden: usize,
    /// Width inside the feed-forward network.
    pub intermediate: usize,
    /// Whether the feed-forward network has a gate.
    pub gated: bool,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Whether a position sees only what stands before it.
    pub causal: bool,
    /// What scores are multiplied by; `1 / √head_dim` if not given.
    pub scale: Option<f32>,
    /// How positions turn queries and keys, for layers to choose from.
    pub ropes: Vec<Rope>,
    /// Where the norms stand.
    pub order: Order,
}

impl Shape {
    fn heads(&self) -> Heads<'static> {
        let Self { heads, kv_heads, head_dim, causal, .. } = *self;
        let scale = self.scale.unwrap_or(1.0 / (head_dim as f32).sqrt());
        let (window, norms, position_bias) = (None, None, None);
        Heads { heads, kv_heads, head_dim, causal, scale, window, norms, position_bias }
    }

    /// As one layer has them.
    fn heads_of<'a>(&self, layer: &'a Layer) -> Heads<'a> {
        let (norms, position_bias) = (layer.head_norms.as_ref(), layer.position_bias.as_ref());
        Heads { window: layer.window, norms, position_bias, ..self.heads() }
    }

    /// Bytes of the buffers of one training step through `layers` layers.
    pub fn step_bytes(&self, layers: usize, plan: &Plan, memory: Memory) -> usize {
        let Self { hidden, intermediate, .. } = *self;
        let (rows, answers, heads) = (plan.rows(), plan.answers(), self.heads());
        let (queries, keys) = (heads.query_width(), heads.key_width());
        let gate = if self.gated { intermediate } else { 0 };
        let more = match self.order {
            Order::Pre | Order::Parallel => 0,
            Order::Post => hidden,
            Order::Sandwich => 2 * hidden,
        };
        let all_keys = plan.past() + rows;
        let tape = |out: usize| {
            2 * all_keys * keys + out * (queries + hidden + more + intermediate + gate)
        };
        let kept = match memory {
            Memory::Tape if layers > 1 => (layers - 1) * tape(rows) + tape(answers),
            Memory::Tape | Memory::Recompute => tape(rows),
        };
        let forward = layers.max(2) * rows * hidden
            + rows * (hidden + queries + intermediate)
            + 2 * answers * hidden;
        let shared = backward::units(plan).len() * 2 * (plan.learned() + plan.prefix) * keys;
        let backward = rows * (4 * hidden + intermediate + gate + 2 * queries + 2 * keys)
            + answers * hidden
            + shared
            + if self.order.sets_aside() { rows * hidden } else { 0 };
        // What comes in and goes out of both passes is the caller's.
        let ends = 2 * rows * hidden + 2 * answers * hidden;
        4 * (kept + forward + backward + ends)
    }
}

/// What a forward pass keeps for its backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Memory {
    /// Everything the gradient needs: fastest.
    #[default]
    Tape,
    /// Each layer's input; the rest is computed once more.
    Recompute,
}

/// What goes back from a gradient of a stack's result.
#[derive(Debug, Clone)]
pub struct Gradient {
    /// Of the input, `[rows, hidden]`.
    pub rows: Vec<f32>,
    /// Of a learned past, `[learned, past_width]`; empty without one.
    pub past: Vec<f32>,
}

/// A stack of frozen layers.
pub struct Stack {
    shape: Shape,
    /// A model may use one layer several times.
    layers: Vec<Arc<Layer>>,
    last_norm: Option<Norm>,
    pool: Pool,
}

impl Stack {
    /// A stack of checked layers.
    ///
    /// # Panics
    /// When a layer's sizes are not those of `shape`.
    pub fn new(shape: Shape, layers: Vec<Arc<Layer>>, last_norm: Option<Norm>) -> Self {
        let (hidden, inner) = (shape.hidden, shape.intermediate);
        let (queries, keys) = (shape.heads().query_width(), shape.heads().key_width());
        let check = |linear: &Linear, out, inner| {
            assert!(
                linear.weight.out() == out && linear.weight.inner() == inner,
                "a layer's sizes"
            );
            assert!(linear.bias.as_ref().is_none_or(|bias| bias.len() == out), "a bias's size");
        };
        assert!(!layers.is_empty() && shape.heads.is_multiple_of(shape.kv_heads), "heads");
        for layer in &layers {
            check(&layer.query, queries, hidden);
            check(&layer.key, keys, hidden);
            check(&layer.value, keys, hidden);
            check(&layer.output, hidden, queries);
            check(layer.feed_forward.up(), inner, hidden);
            check(layer.feed_forward.down(), hidden, inner);
            let gate = layer.feed_forward.gate();
            assert!(gate.is_some() == shape.gated, "a gate");
            if let Some(gate) = gate {
                check(gate, inner, hidden);
            }
            assert!(
                layer.attention_norm.width() == hidden && layer.feed_forward_norm.width() == hidden,
                "a norm's size"
            );
            let sandwich = layer.sandwich.as_ref();
            assert_eq!(sandwich.is_some(), shape.order == Order::Sandwich, "a sandwich's norms");
            let added = sandwich.into_iter().flatten().map(|norm| (norm, hidden));
            let heads = layer.head_norms.iter().flatten().map(|norm| (norm, shape.head_dim));
            for (norm, width) in added.chain(heads) {
                assert_eq!(norm.width(), width, "a norm's size");
            }
            let rope = layer.rope.map(|index| 2 * shape.ropes[index].frequencies.len());
            assert!(rope.is_none_or(|dims| dims <= shape.head_dim), "a rope's size");
            let bias = layer.position_bias.as_ref();
            assert!(bias.is_none_or(|bias| bias.heads() == shape.heads), "a bias for each head");
        }
        Self { shape, layers, last_norm, pool: Pool::default() }
    }

    /// What all layers share.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Bytes of the buffers that wait for the next pass.
    pub fn pooled_bytes(&self) -> usize {
        self.pool.bytes()
    }

    fn rotaries(&self, plan: &Plan) -> Vec<Rotary> {
        self.shape.ropes.iter().map(|rope| Rotary::new(plan.longest(), rope)).collect()
    }

    /// The answer rows of the last layer, normalised: `[answers, hidden]`.
    ///
    /// # Shapes
    /// - `x`: `[rows, hidden]`, as the plan lays it out
    ///
    /// # Panics
    /// When `x` is not as long as the plan says.
    pub fn forward(&self, x: &[f32], plan: &Plan) -> Vec<f32> {
        let mut work = Work::new(&self.shape, plan, 1, Team::global().count(), &self.pool);
        let y = self.run_forward(x, plan, &mut work);
        work.give_back(&self.pool);
        y
    }

    /// As [`forward`](Self::forward), with what [`gradient`](Self::gradient) needs.
    pub fn forward_taped(&self, x: &[f32], plan: &Plan, memory: Memory) -> (Vec<f32>, Tape) {
        let kept = match memory {
            Memory::Tape => self.layers.len(),
            Memory::Recompute => 1,
        };
        let members = Team::global().count();
        let mut work = Work::new(&self.shape, plan, kept, members, &self.pool);
        work.keep_inputs(&self.shape, plan, self.layers.len(), &self.pool);
        let y = self.run_forward(x, plan, &mut work);
        (y, Tape::new(work, plan.clone(), memory, self.pool.clone()))
    }

    /// Gradient with respect to the input and to what is learned in front of it.
    ///
    /// # Shapes
    /// - `dy`: gradient of the result, `[answers, hidden]`
    ///
    /// # Panics
    /// When `dy` is not as long as the tape's plan says.
    pub fn gradient(&self, dy: &[f32], tape: &Tape) -> Gradient {
        self.run_backward(dy, tape)
    }
}
