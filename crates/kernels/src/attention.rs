//! Softmax attention over packed sequences that may share a prefix, forward and input gradient.
//!
//! Rows of all sequences lie one after the other, without padding. Rows `0..prefix` stand in front of
//! every sequence and are computed once; each sequence attends to them and to its own rows. Query
//! heads that share a key head are taken together, so nothing is repeated. Scores of a block of
//! queries live in the member's scratch and are computed again in the backward pass, so a tape keeps
//! queries, keys and values and nothing else.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::gemm::small_product;
use crate::rotary::Rotary;
use crate::shared::Shared;
use crate::simd::{arch, exp, width};

/// Queries whose scores are held at once.
const QUERY_BLOCK: usize = 32;

/// Sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub causal: bool,
}

impl Heads {
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }
    pub fn key_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

/// One sequence of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    /// Shared rows in front of it: `0..prefix`.
    pub prefix: usize,
    /// Its own rows.
    pub rows: Range<usize>,
}

impl Sequence {
    fn keys(&self) -> usize {
        self.prefix + self.rows.len()
    }

    /// Row of key `index`.
    fn key_row(&self, index: usize) -> usize {
        if index < self.prefix { index } else { self.rows.start + index - self.prefix }
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
    /// `[rows, kv_heads · head_dim]`
    pub k: &'a [f32],
    /// `[rows, kv_heads · head_dim]`
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

/// `[rows, width]` → `[width / P][rows][P]`: the right-hand side of a product over rows.
#[inline(always)]
fn panels_of_rows<const P: usize>(x: &[f32], rows: usize, width: usize, to: &mut [f32]) {
    for (panel, to) in to.chunks_exact_mut(rows * P).enumerate() {
        let columns = P.min(width - panel * P);
        for (row, to) in to.chunks_exact_mut(P).enumerate() {
            let from = &x[row * width + panel * P..][..columns];
            to[..columns].copy_from_slice(from);
            to[columns..].fill(0.0);
        }
    }
}

/// `[rows, width]` → `[rows / P][width][P]`: the right-hand side of a product over the width.
#[inline(always)]
fn panels_of_columns<const P: usize>(x: &[f32], rows: usize, width: usize, to: &mut [f32]) {
    for (panel, to) in to.chunks_exact_mut(width * P).enumerate() {
        let count = P.min(rows - panel * P);
        if count < P {
            to.fill(0.0);
        }
        for lane in 0..count {
            let from = &x[(panel * P + lane) * width..][..width];
            for (to, &x) in to[lane..].iter_mut().step_by(P).zip(from) {
                *to = x;
            }
        }
    }
}

/// `[rows, width]` → `[width, rows]`
#[inline(always)]
fn transposed(x: &[f32], rows: usize, width: usize, stride: usize, to: &mut [f32]) {
    for row in 0..rows {
        for (column, &x) in x[row * stride..][..width].iter().enumerate() {
            to[column * rows + row] = x;
        }
    }
}

/// Softmax of the first `visible` numbers, the rest becomes 0.
#[inline(always)]
fn softmax(scores: &mut [f32], visible: usize) {
    let (seen, hidden) = scores.split_at_mut(visible);
    let mut max = f32::NEG_INFINITY;
    for &score in seen.iter() {
        max = max.max(score);
    }
    let mut sum = 0.0;
    for score in seen.iter_mut() {
        *score = exp(*score - max);
    }
    for &score in seen.iter() {
        sum += score;
    }
    let scale = 1.0 / sum;
    for score in seen.iter_mut() {
        *score *= scale;
    }
    hidden.fill(0.0);
}

/// Blocks of queries with the number of keys that they may see.
fn blocks(
    positions: &[usize],
    keys: usize,
    causal: bool,
) -> impl Iterator<Item = (Range<usize>, usize)> {
    (0..positions.len()).step_by(QUERY_BLOCK).map(move |start| {
        let block = start..(start + QUERY_BLOCK).min(positions.len());
        let last = positions[block.clone()].iter().max().copied().unwrap_or(0);
        (block, if causal { last + 1 } else { keys })
    })
}

/// One (sequence, key head): writes `context` at the queries' rows.
pub(crate) struct Forward<'a> {
    pub heads: Heads,
    pub rotary: Option<&'a Rotary>,
    pub sequence: &'a Sequence,
    pub queries: Queries<'a>,
    pub kv_head: usize,
    pub inputs: Inputs<'a>,
    /// `[query rows, heads · head_dim]`; this task's heads and rows are its own.
    pub context: Shared<'a>,
    pub scratch: &'a mut Scratch,
}

impl Forward<'_> {
    pub fn run(self) {
        if !self.queries.positions.is_empty() {
            arch().dispatch(self);
        }
    }
}

impl WithSimd for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if width::<S>() == 32 { self.with::<S, 32>(simd) } else { self.with::<S, 16>(simd) }
    }
}

impl Forward<'_> {
    #[inline(always)]
    fn with<S: Simd, const P: usize>(self, simd: S) {
        let Self { heads, rotary, sequence, queries, kv_head, inputs, context, scratch } = self;
        let (dim, group) = (heads.head_dim, heads.group());
        let keys = sequence.keys();
        let (key_panels, dim_panels) = (keys.div_ceil(P), dim.div_ceil(P));

        let rows = sized(&mut scratch.keys, keys * dim);
        gather_keys(&heads, sequence, kv_head, inputs.k, rotary, rows);
        panels_of_columns::<P>(
            rows,
            keys,
            dim,
            sized(&mut scratch.key_panels, key_panels * dim * P),
        );
        gather_keys(&heads, sequence, kv_head, inputs.v, None, rows);
        panels_of_rows::<P>(
            rows,
            keys,
            dim,
            sized(&mut scratch.value_panels, dim_panels * keys * P),
        );

        for (block, seen) in blocks(queries.positions, keys, heads.causal) {
            let count = block.len() * group;
            let q = sized(&mut scratch.queries, count * dim);
            gather_queries(&heads, &queries, block.clone(), kv_head, inputs.q, rotary, q);
            let stride = seen.next_multiple_of(P);
            let scores = sized(&mut scratch.scores, count * stride);
            small_product::<S, P>(
                simd,
                q,
                dim,
                count,
                dim,
                &scratch.key_panels,
                stride,
                scores,
                stride,
            );
            for (row, scores) in scores.chunks_exact_mut(stride).enumerate() {
                let position = queries.positions[block.start + row / group];
                softmax(scores, if heads.causal { position + 1 } else { keys });
            }
            let out = sized(&mut scratch.out, count * dim);
            for panel in 0..dim_panels {
                let columns = P.min(dim - panel * P);
                let values = &scratch.value_panels[panel * keys * P..];
                let out = &mut out[panel * P..];
                small_product::<S, P>(simd, scores, stride, count, seen, values, columns, out, dim);
            }
            for (row, out) in out.chunks_exact(dim).enumerate() {
                let query = queries.first_row + block.start + row / group;
                let head = kv_head * group + row % group;
                // SAFETY: the caller gives every (sequence, key head) to one member.
                let to = unsafe { context.part(query * heads.query_width() + head * dim, dim) };
                to.copy_from_slice(out);
            }
        }
    }
}

/// Rows of keys or values of one head, rotated if asked to: `[keys, head_dim]`.
#[inline(always)]
fn gather_keys(
    heads: &Heads,
    sequence: &Sequence,
    kv_head: usize,
    from: &[f32],
    rotary: Option<&Rotary>,
    to: &mut [f32],
) {
    let dim = heads.head_dim;
    for (position, to) in to.chunks_exact_mut(dim).enumerate() {
        let start = sequence.key_row(position) * heads.key_width() + kv_head * dim;
        to.copy_from_slice(&from[start..start + dim]);
        if let Some(rotary) = rotary {
            rotary.turn(position, to);
        }
    }
}

/// Queries of the heads that share a key head, rotated and divided by √head_dim:
/// `[queries · group, head_dim]`.
#[inline(always)]
fn gather_queries(
    heads: &Heads,
    queries: &Queries<'_>,
    block: Range<usize>,
    kv_head: usize,
    from: &[f32],
    rotary: Option<&Rotary>,
    to: &mut [f32],
) {
    let (dim, group) = (heads.head_dim, heads.group());
    let scale = 1.0 / (dim as f32).sqrt();
    for (row, to) in to.chunks_exact_mut(dim).enumerate() {
        let query = block.start + row / group;
        let head = kv_head * group + row % group;
        let start = (queries.first_row + query) * heads.query_width() + head * dim;
        for (to, x) in to.iter_mut().zip(&from[start..start + dim]) {
            *to = x * scale;
        }
        if let Some(rotary) = rotary {
            rotary.turn(queries.positions[query], to);
        }
    }
}

/// One (sequence, key head) of the backward pass.
pub(crate) struct Backward<'a> {
    pub heads: Heads,
    pub rotary: Option<&'a Rotary>,
    pub sequence: &'a Sequence,
    pub queries: Queries<'a>,
    pub kv_head: usize,
    pub inputs: Inputs<'a>,
    /// Gradient of the context, `[query rows, heads · head_dim]`.
    pub d_context: &'a [f32],
    /// `[query rows, heads · head_dim]`, written.
    pub dq: Shared<'a>,
    /// `[rows, kv_heads · head_dim]`, written at the sequence's own rows.
    pub dk: Shared<'a>,
    /// As `dk`.
    pub dv: Shared<'a>,
    /// `[2][prefix][head_dim]`: gradients of the shared rows' rotated keys and values are added here.
    pub shared_rows: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl Backward<'_> {
    pub fn run(self) {
        arch().dispatch(self);
    }
}

impl WithSimd for Backward<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if width::<S>() == 32 { self.with::<S, 32>(simd) } else { self.with::<S, 16>(simd) }
    }
}

impl Backward<'_> {
    #[inline(always)]
    fn with<S: Simd, const P: usize>(self, simd: S) {
        let Self { heads, rotary, sequence, queries, kv_head, inputs, d_context, .. } = self;
        let (dim, group) = (heads.head_dim, heads.group());
        let keys = sequence.keys();
        let (key_panels, dim_panels) = (keys.div_ceil(P), dim.div_ceil(P));
        let s = self.scratch;

        let d_keys = sized(&mut s.d_keys, keys * dim);
        d_keys.fill(0.0);
        let d_values = sized(&mut s.d_values, keys * dim);
        d_values.fill(0.0);

        let rows = sized(&mut s.keys, keys * dim);
        gather_keys(&heads, sequence, kv_head, inputs.v, None, rows);
        panels_of_columns::<P>(rows, keys, dim, sized(&mut s.value_columns, key_panels * dim * P));
        gather_keys(&heads, sequence, kv_head, inputs.k, rotary, rows);
        panels_of_columns::<P>(rows, keys, dim, sized(&mut s.key_panels, key_panels * dim * P));
        panels_of_rows::<P>(rows, keys, dim, sized(&mut s.key_rows, dim_panels * keys * P));

        for (block, seen) in blocks(queries.positions, keys, heads.causal) {
            let count = block.len() * group;
            let stride = seen.next_multiple_of(P);
            let q = sized(&mut s.queries, count * dim);
            gather_queries(&heads, &queries, block.clone(), kv_head, inputs.q, rotary, q);
            let d_out = sized(&mut s.d_out, count * dim);
            for (row, to) in d_out.chunks_exact_mut(dim).enumerate() {
                let query = queries.first_row + block.start + row / group;
                let head = kv_head * group + row % group;
                let start = query * heads.query_width() + head * dim;
                to.copy_from_slice(&d_context[start..start + dim]);
            }
            // The forward pass's probabilities once more, and their gradient.
            let scores = sized(&mut s.scores, count * stride);
            let d_scores = sized(&mut s.d_scores, count * stride);
            small_product::<S, P>(simd, q, dim, count, dim, &s.key_panels, stride, scores, stride);
            let values = &s.value_columns;
            small_product::<S, P>(simd, d_out, dim, count, dim, values, stride, d_scores, stride);
            for (row, (p, dp)) in
                scores.chunks_exact_mut(stride).zip(d_scores.chunks_exact_mut(stride)).enumerate()
            {
                let position = queries.positions[block.start + row / group];
                softmax(p, if heads.causal { position + 1 } else { keys });
                let mean: f32 = p.iter().zip(dp.iter()).map(|(p, dp)| p * dp).sum();
                for (dp, p) in dp.iter_mut().zip(p.iter()) {
                    *dp = p * (*dp - mean);
                }
            }
            let turned = sized(&mut s.turned, seen * count);
            let panels = sized(&mut s.d_out_panels, dim_panels * count * P);
            panels_of_rows::<P>(d_out, count, dim, panels);
            transposed(scores, count, seen, stride, turned);
            add_by_panels::<S, P>(simd, turned, count, seen, panels, dim, d_values);
            let panels = sized(&mut s.query_panels, dim_panels * count * P);
            panels_of_rows::<P>(q, count, dim, panels);
            transposed(d_scores, count, seen, stride, turned);
            add_by_panels::<S, P>(simd, turned, count, seen, panels, dim, d_keys);

            let d_queries = sized(&mut s.d_queries, count * dim);
            for panel in 0..dim_panels {
                let columns = P.min(dim - panel * P);
                let key_rows = &s.key_rows[panel * keys * P..];
                let to = &mut d_queries[panel * P..];
                small_product::<S, P>(
                    simd, d_scores, stride, count, seen, key_rows, columns, to, dim,
                );
            }
            let scale = 1.0 / (dim as f32).sqrt();
            for (row, from) in d_queries.chunks_exact_mut(dim).enumerate() {
                let query = block.start + row / group;
                if let Some(rotary) = rotary {
                    rotary.turn_back(queries.positions[query], from);
                }
                let head = kv_head * group + row % group;
                let start = (queries.first_row + query) * heads.query_width() + head * dim;
                // SAFETY: the caller gives every (sequence, key head) to one member.
                let to = unsafe { self.dq.part(start, dim) };
                for (to, x) in to.iter_mut().zip(from.iter()) {
                    *to = x * scale;
                }
            }
        }
        let own = sequence.prefix * dim;
        let (shared_keys, shared_values) = self.shared_rows.split_at_mut(own);
        add(shared_keys, &d_keys[..own]);
        add(shared_values, &d_values[..own]);
        for (index, row) in sequence.rows.clone().enumerate() {
            let at = own + index * dim;
            let start = row * heads.key_width() + kv_head * dim;
            let d_key = &mut d_keys[at..at + dim];
            if let Some(rotary) = rotary {
                rotary.turn_back(sequence.prefix + index, d_key);
            }
            // SAFETY: as above.
            unsafe {
                self.dk.part(start, dim).copy_from_slice(d_key);
                self.dv.part(start, dim).copy_from_slice(&d_values[at..at + dim]);
            }
        }
    }
}

#[inline(always)]
pub(crate) fn add(to: &mut [f32], x: &[f32]) {
    for (to, x) in to.iter_mut().zip(x) {
        *to += x;
    }
}

/// `to[rows, width] += a[rows, depth] · b`, `b` in panels of columns.
#[inline(always)]
fn add_by_panels<S: Simd, const P: usize>(
    simd: S,
    a: &[f32],
    depth: usize,
    rows: usize,
    b: &[f32],
    width: usize,
    to: &mut [f32],
) {
    for panel in 0..width.div_ceil(P) {
        let columns = P.min(width - panel * P);
        let b = &b[panel * depth * P..];
        crate::gemm::small_sum::<S, P>(
            simd,
            a,
            depth,
            rows,
            depth,
            b,
            columns,
            &mut to[panel * P..],
            width,
        );
    }
}
