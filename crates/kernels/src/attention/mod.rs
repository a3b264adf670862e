//! Softmax attention over packed sequences that may share a prefix, forward and input gradient.
//!
//! Rows of all sequences lie one after the other, without padding. Rows `0..prefix` stand in front of
//! every sequence and are computed once; keys and values of what stands before even those may come
//! from an earlier pass. Each sequence attends to both and to its own rows. Query heads that share a
//! key head are taken together, so nothing is repeated. Scores of a block of queries live in the
//! member's scratch and are computed again in the backward pass, so a tape keeps queries, keys and
//! values and nothing else.

mod backward;
mod blocks;
mod forward;

use std::ops::Range;

use crate::norm::Norm;
use crate::position_bias::PositionBias;
use crate::rotary::Rotary;

pub(crate) use backward::{Backward, through};
pub(crate) use forward::Forward;

/// Queries whose scores are held at once.
const QUERY_BLOCK: usize = 32;

/// Sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads<'a> {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub causal: bool,
    /// What scores are multiplied by.
    pub scale: f32,
    /// How far a position sees.
    pub window: Option<usize>,
    /// Of each head's queries and keys, before they turn.
    pub norms: Option<&'a [Norm; 2]>,
    /// What is added to scores by distance.
    pub position_bias: Option<&'a PositionBias>,
}

impl Heads<'_> {
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
    /// Keys that a position sees, of `keys`.
    fn seen(&self, position: usize, keys: usize) -> Range<usize> {
        let end = if self.causal { position + 1 } else { keys };
        match self.window {
            Some(window) => position.saturating_sub(window)..end.min(position + window + 1),
            None => 0..end,
        }
    }
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }
    pub fn key_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Row `row` of the block of queries from `first` on, where the heads that share key head
    /// `kv_head` take turns: which query it is, and where its vector stands in `[query rows, heads ·
    /// head_dim]`.
    #[inline(always)]
    fn place(
        &self,
        queries: &Queries<'_>,
        first: usize,
        kv_head: usize,
        row: usize,
    ) -> (usize, Range<usize>) {
        let query = first + row / self.group();
        let head = kv_head * self.group() + row % self.group();
        let start = (queries.first_row + query) * self.query_width() + head * self.head_dim;
        (query, start..start + self.head_dim)
    }
}

/// One sequence of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    /// Keys and values in front of it that are none of this pass's rows.
    pub past: usize,
    /// Whether neither norm nor rotation touches those, and they take a gradient.
    pub as_it_is: bool,
    /// Shared rows behind those: `0..prefix`.
    pub prefix: usize,
    /// Its own rows.
    pub rows: Range<usize>,
}

impl Sequence {
    /// Position of its first own row.
    fn first(&self) -> usize {
        self.past + self.prefix
    }

    /// Position of the first key and value that is not its own and takes a gradient.
    fn first_shared(&self) -> usize {
        if self.as_it_is { 0 } else { self.past }
    }

    fn keys(&self) -> usize {
        self.first() + self.rows.len()
    }

    /// Row of key `index` where those of the earlier pass stand before those of this one.
    fn key_row(&self, index: usize) -> usize {
        if index < self.first() { index } else { self.rows.start + index - self.prefix }
    }
}

/// Queries of a sequence: consecutive rows of the query buffer and their positions.
#[derive(Clone, Copy)]
pub(crate) struct Queries<'a> {
    pub first_row: usize,
    pub positions: &'a [usize],
}

/// Queries, keys and values as the projections gave them (before rotation).
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// `[query rows, heads · head_dim]`
    pub q: &'a [f32],
    /// `[past + rows, kv_heads · head_dim]`
    pub k: &'a [f32],
    /// As `k`.
    pub v: &'a [f32],
}

/// What a member reuses from task to task.
#[derive(Default)]
pub(crate) struct Scratch {
    queries: Vec<f32>,
    keys: Vec<f32>,
    key_panels: Vec<f32>,
    value_panels: Vec<f32>,
    scores: Vec<f32>,
    out: Vec<f32>,
    // The backward pass's own.
    key_rows: Vec<f32>,
    value_columns: Vec<f32>,
    query_panels: Vec<f32>,
    d_out: Vec<f32>,
    d_out_panels: Vec<f32>,
    d_scores: Vec<f32>,
    turned: Vec<f32>,
    d_queries: Vec<f32>,
    d_keys: Vec<f32>,
    d_values: Vec<f32>,
}

/// A slice of `len` numbers whose old content may be anything.
fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// Rows of keys or values of one head, normalised and rotated if asked to: `[keys, head_dim]`.
#[inline(always)]
fn gather_keys(
    heads: &Heads<'_>,
    sequence: &Sequence,
    kv_head: usize,
    from: &[f32],
    (norm, rotary): (Option<&Norm>, Option<&Rotary>),
    to: &mut [f32],
) {
    let dim = heads.head_dim;
    for (position, to) in to.chunks_exact_mut(dim).enumerate() {
        let start = sequence.key_row(position) * heads.key_width() + kv_head * dim;
        let from = &from[start..start + dim];
        if sequence.as_it_is && position < sequence.past {
            to.copy_from_slice(from);
            continue;
        }
        match norm {
            Some(norm) => norm.forward(from, to),
            None => to.copy_from_slice(from),
        }
        if let Some(rotary) = rotary {
            rotary.turn(position, to);
        }
    }
}

/// Queries of the heads that share a key head, normalised, scaled and rotated:
/// `[queries · group, head_dim]`.
#[inline(always)]
fn gather_queries(
    heads: &Heads<'_>,
    queries: &Queries<'_>,
    first: usize,
    kv_head: usize,
    from: &[f32],
    rotary: Option<&Rotary>,
    to: &mut [f32],
) {
    for (row, to) in to.chunks_exact_mut(heads.head_dim).enumerate() {
        let (query, place) = heads.place(queries, first, kv_head, row);
        match heads.norms {
            Some([norm, _]) => norm.forward(&from[place], to),
            None => to.copy_from_slice(&from[place]),
        }
        to.iter_mut().for_each(|to| *to *= heads.scale);
        if let Some(rotary) = rotary {
            rotary.turn(queries.positions[query], to);
        }
    }
}
