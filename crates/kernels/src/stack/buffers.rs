//! Buffers of a pass, handed back and used again by the next one.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Memory, Order, Plan, Shape};
use crate::attention::Scratch;

/// Buffers that no pass uses at the moment.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Vec<f32>>>>);

impl Pool {
    /// A buffer of `len` numbers whose content may be anything.
    pub fn take(&self, len: usize) -> Vec<f32> {
        if len == 0 {
            return Vec::new();
        }
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough and not far too large.
        let best = (0..free.len())
            .filter(|&index| free[index].capacity() >= len)
            .min_by_key(|&index| free[index].capacity());
        let mut buffer = match best {
            Some(index) if free[index].capacity() <= 2 * len => free.swap_remove(index),
            _ => Vec::new(),
        };
        drop(free);
        if buffer.capacity() < len {
            buffer = vec![0.0; len];
        }
        buffer.resize(len, 0.0);
        buffer
    }

    /// Bytes of all free buffers.
    pub fn bytes(&self) -> usize {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.iter().map(|buffer| 4 * buffer.capacity()).sum()
    }

    pub fn give(&self, buffers: impl IntoIterator<Item = Vec<f32>>) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.extend(buffers.into_iter().filter(|buffer| buffer.capacity() > 0));
        // Batches of other sizes came and went: what was not used for long goes.
        let excess = free.len().saturating_sub(LIMIT);
        free.drain(..excess);
    }
}

/// Free buffers that are kept at most: those of two tapes of a large model.
const LIMIT: usize = 1024;

/// What the gradient of one layer needs, for `rows` rows of which `out` leave the layer.
#[derive(Default)]
pub(super) struct LayerTape {
    /// `[out, heads · head_dim]`
    pub q: Vec<f32>,
    /// `[past + rows, kv_heads · head_dim]`
    pub k: Vec<f32>,
    /// As `k`.
    pub v: Vec<f32>,
    /// After attention's residual, before any norm: `[out, hidden]`
    pub mid: Vec<f32>,
    /// Post-norm: after the feed-forward network's residual, before its norm: `[out, hidden]`
    pub sum: Vec<f32>,
    /// `[out, intermediate]`
    pub up: Vec<f32>,
    /// `[out, intermediate]`, empty where there is no gate.
    pub gate: Vec<f32>,
    /// Sandwich: what attention adds, before its norm: `[out, hidden]`
    pub attended: Vec<f32>,
    /// Sandwich: what the feed-forward network adds, before its norm: `[out, hidden]`
    pub fed: Vec<f32>,
}

impl LayerTape {
    fn new(shape: &Shape, plan: &Plan, out: usize, pool: &Pool) -> Self {
        let (heads, keys) = (shape.heads(), plan.past() + plan.rows());
        let post = if shape.order == Order::Post { out * shape.hidden } else { 0 };
        let sandwich = if shape.order == Order::Sandwich { out * shape.hidden } else { 0 };
        let gate = if shape.gated { out * shape.intermediate } else { 0 };
        Self {
            q: pool.take(out * heads.query_width()),
            k: pool.take(keys * heads.key_width()),
            v: pool.take(keys * heads.key_width()),
            mid: pool.take(out * shape.hidden),
            sum: pool.take(post),
            up: pool.take(out * shape.intermediate),
            gate: pool.take(gate),
            attended: pool.take(sandwich),
            fed: pool.take(sandwich),
        }
    }

    fn buffers(self) -> [Vec<f32>; 9] {
        let Self { q, k, v, mid, sum, up, gate, attended, fed } = self;
        [q, k, v, mid, sum, up, gate, attended, fed]
    }
}

/// What one member needs for itself.
#[derive(Default)]
pub(super) struct Own {
    /// An expanded panel of weights.
    pub panel: Vec<f32>,
    pub attention: Scratch,
}

/// All buffers of a pass.
pub(super) struct Work {
    /// Inputs of the layers, `[rows, hidden]` each: all of them when taped, else two in turn.
    pub inputs: Vec<Vec<f32>>,
    /// Tapes of the layers: all of them, or one that every layer uses in turn.
    pub layers: Vec<LayerTape>,
    /// `[rows, hidden]`
    pub normed: Vec<f32>,
    /// `[answers, hidden]`
    pub normed_answers: Vec<f32>,
    /// `[rows, heads · head_dim]`
    pub context: Vec<f32>,
    /// `[rows, intermediate]`
    pub inner: Vec<f32>,
    /// The last layer's result, `[answers, hidden]`.
    pub last: Vec<f32>,
    pub own: Vec<Mutex<Own>>,
}

impl Work {
    /// Buffers for a forward pass that keeps the tapes of `kept` layers.
    pub fn new(shape: &Shape, plan: &Plan, kept: usize, members: usize, pool: &Pool) -> Self {
        let (rows, answers, hidden) = (plan.rows(), plan.answers(), shape.hidden);
        let layer = |index: usize| {
            // The last layer's queries and feed-forward rows are the answers alone. A tape that all
            // layers use in turn has to hold any of them.
            let out = if kept > 1 && index + 1 == kept { answers } else { rows };
            LayerTape::new(shape, plan, out, pool)
        };
        Self {
            inputs: (0..2).map(|_| pool.take(rows * hidden)).collect(),
            layers: (0..kept).map(layer).collect(),
            normed: pool.take(rows * hidden),
            normed_answers: pool.take(answers * hidden),
            context: pool.take(rows * shape.heads().query_width()),
            inner: pool.take(rows * shape.intermediate),
            last: pool.take(answers * hidden),
            own: (0..members).map(|_| Mutex::default()).collect(),
        }
    }

    /// Makes room for the inputs of all layers.
    pub fn keep_inputs(&mut self, shape: &Shape, plan: &Plan, layers: usize, pool: &Pool) {
        while self.inputs.len() < layers {
            self.inputs.push(pool.take(plan.rows() * shape.hidden));
        }
    }

    pub fn give_back(self, pool: &Pool) {
        pool.give(self.inputs);
        pool.give(self.layers.into_iter().flat_map(LayerTape::buffers));
        pool.give([self.normed, self.normed_answers, self.context, self.inner, self.last]);
    }
}

/// What a forward pass leaves for its backward pass. Its buffers go back to the stack when dropped.
pub struct Tape {
    pub(super) work: Option<Mutex<Work>>,
    pub(super) plan: Plan,
    pub(super) memory: Memory,
    pool: Pool,
}

impl Tape {
    pub(super) fn new(work: Work, plan: Plan, memory: Memory, pool: Pool) -> Self {
        Self { work: Some(Mutex::new(work)), plan, memory, pool }
    }
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").field("rows", &self.plan.rows()).finish_non_exhaustive()
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            work.into_inner().unwrap_or_else(PoisonError::into_inner).give_back(&self.pool);
        }
    }
}
