//! The backward pass of one sequence and one key head.

use pulp::{Simd, WithSimd};

use super::blocks::{
    SHORT, blocks, by_panels, panels_of_columns, panels_of_rows, softmax_rows, transposed,
};
use super::{Heads, Inputs, Queries, Scratch, Sequence, gather_keys, gather_queries, sized};
use crate::gemm::small;
use crate::norm::Norm;
use crate::rotary::Rotary;
use crate::shared::Shared;
use crate::simd::{arch, panel_width};
use crate::sums::{add, dot};

/// One (sequence, key head) of the backward pass.
pub(crate) struct Backward<'a> {
    pub heads: Heads<'a>,
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
    /// `[rows][head_dim]` each: gradients of the learned and the shared rows' rotated keys and values are
    /// added here, of those that the sequence has.
    pub shared_rows: [&'a mut [f32]; 2],
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
        if panel_width() == 32 { self.with::<S, 32>(simd) } else { self.with::<S, 16>(simd) }
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
        gather_keys(&heads, sequence, kv_head, inputs.v, (None, None), rows);
        panels_of_columns::<P>(rows, keys, dim, sized(&mut s.value_columns, key_panels * dim * P));
        let norm = heads.norms.map(|[_, norm]| norm);
        gather_keys(&heads, sequence, kv_head, inputs.k, (norm, rotary), rows);
        panels_of_columns::<P>(rows, keys, dim, sized(&mut s.key_panels, key_panels * dim * P));
        panels_of_rows::<P>(rows, keys, dim, sized(&mut s.key_rows, dim_panels * keys * P));

        for (block, seen) in blocks(&heads, queries.positions, keys) {
            let count = block.len() * group;
            let stride = seen.next_multiple_of(P);
            let q = sized(&mut s.queries, count * dim);
            gather_queries(&heads, &queries, block.start, kv_head, inputs.q, rotary, q);
            let d_out = sized(&mut s.d_out, count * dim);
            for (row, to) in d_out.chunks_exact_mut(dim).enumerate() {
                let (_, place) = heads.place(&queries, block.start, kv_head, row);
                to.copy_from_slice(&d_context[place]);
            }
            // The forward pass's probabilities once more, and their gradient.
            let scores = sized(&mut s.scores, count * stride);
            let d_scores = sized(&mut s.d_scores, count * stride);
            small::<S, P>(
                simd,
                (q, dim),
                (count, dim, stride),
                &s.key_panels,
                (scores, stride),
                false,
            );
            let values = &s.value_columns;
            small::<S, P>(
                simd,
                (d_out, dim),
                (count, dim, stride),
                values,
                (d_scores, stride),
                false,
            );
            let positions = &queries.positions[block.clone()];
            softmax_rows(&heads, kv_head, positions, keys, (scores, stride));
            for (p, dp) in scores.chunks_exact(stride).zip(d_scores.chunks_exact_mut(stride)) {
                let mean = if p.len() < SHORT {
                    p.iter().zip(dp.iter()).map(|(p, dp)| p * dp).sum()
                } else {
                    dot(p, dp)
                };
                for (dp, p) in dp.iter_mut().zip(p.iter()) {
                    *dp = p * (*dp - mean);
                }
            }
            let turned = sized(&mut s.turned, seen * count);
            let panels = sized(&mut s.d_out_panels, dim_panels * count * P);
            panels_of_rows::<P>(d_out, count, dim, panels);
            transposed(scores, count, seen, stride, turned);
            let (left, sizes) = ((&*turned, count), (seen, count, dim));
            by_panels::<S, P>(simd, left, sizes, (panels, count), d_values, true);
            let panels = sized(&mut s.query_panels, dim_panels * count * P);
            panels_of_rows::<P>(q, count, dim, panels);
            transposed(d_scores, count, seen, stride, turned);
            by_panels::<S, P>(simd, (turned, count), sizes, (panels, count), d_keys, true);

            let d_queries = sized(&mut s.d_queries, count * dim);
            let key_rows = (s.key_rows.as_slice(), keys);
            let sizes = (count, seen, dim);
            by_panels::<S, P>(simd, (d_scores, stride), sizes, key_rows, d_queries, false);
            for (row, from) in d_queries.chunks_exact_mut(dim).enumerate() {
                let (query, place) = heads.place(&queries, block.start, kv_head, row);
                if let Some(rotary) = rotary {
                    rotary.turn_back(queries.positions[query], from);
                }
                // SAFETY: the caller gives every (sequence, key head) to one member.
                let to = unsafe { self.dq.part(place.start, dim) };
                from.iter_mut().for_each(|x| *x *= heads.scale);
                through(heads.norms.map(|[norm, _]| norm), &inputs.q[place], from, to);
            }
        }
        // What an earlier pass computed takes no gradient.
        let (shared, own) = (sequence.first_shared() * dim, sequence.first() * dim);
        let [shared_keys, shared_values] = self.shared_rows;
        add(&mut shared_keys[..own - shared], &d_keys[shared..own]);
        add(&mut shared_values[..own - shared], &d_values[shared..own]);
        for (index, row) in sequence.rows.clone().enumerate() {
            let at = own + index * dim;
            let start = row * heads.key_width() + kv_head * dim;
            let d_key = &mut d_keys[at..at + dim];
            if let Some(rotary) = rotary {
                rotary.turn_back(sequence.first() + index, d_key);
            }
            let key =
                sequence.key_row(sequence.first() + index) * heads.key_width() + kv_head * dim;
            // SAFETY: as above.
            unsafe {
                through(norm, &inputs.k[key..key + dim], d_key, self.dk.part(start, dim));
                self.dv.part(start, dim).copy_from_slice(&d_values[at..at + dim]);
            }
        }
    }
}

/// The gradient of a head's vector in front of its norm, if it has one.
#[inline(always)]
pub(crate) fn through(norm: Option<&Norm>, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    match norm {
        Some(norm) => {
            dx.fill(0.0);
            norm.add_gradient(x, dy, dx);
        }
        None => dx.copy_from_slice(dy),
    }
}
