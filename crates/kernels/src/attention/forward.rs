//! The forward pass of one sequence and one key head.

use pulp::{Simd, WithSimd};

use super::blocks::{blocks, by_panels, panels_of_columns, panels_of_rows, softmax_rows};
use super::{Heads, Inputs, Queries, Scratch, Sequence, gather_keys, gather_queries, sized};
use crate::gemm::small;
use crate::rotary::Rotary;
use crate::shared::Shared;
use crate::simd::{arch, panel_width};

/// One (sequence, key head): writes `context` at the queries' rows.
pub(crate) struct Forward<'a> {
    pub heads: Heads<'a>,
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
        if panel_width() == 32 { self.with::<S, 32>(simd) } else { self.with::<S, 16>(simd) }
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
        let norm = heads.norms.map(|[_, norm]| norm);
        gather_keys(&heads, sequence, kv_head, inputs.k, (norm, rotary), rows);
        panels_of_columns::<P>(
            rows,
            keys,
            dim,
            sized(&mut scratch.key_panels, key_panels * dim * P),
        );
        gather_keys(&heads, sequence, kv_head, inputs.v, (None, None), rows);
        panels_of_rows::<P>(
            rows,
            keys,
            dim,
            sized(&mut scratch.value_panels, dim_panels * keys * P),
        );

        for (block, seen) in blocks(&heads, queries.positions, keys) {
            let count = block.len() * group;
            let q = sized(&mut scratch.queries, count * dim);
            gather_queries(&heads, &queries, block.start, kv_head, inputs.q, rotary, q);
            let stride = seen.next_multiple_of(P);
            let scores = sized(&mut scratch.scores, count * stride);
            small::<S, P>(
                simd,
                (q, dim),
                (count, dim, stride),
                &scratch.key_panels,
                (scores, stride),
                false,
            );
            let positions = &queries.positions[block.clone()];
            softmax_rows(&heads, kv_head, positions, keys, (scores, stride));
            let out = sized(&mut scratch.out, count * dim);
            let values = (scratch.value_panels.as_slice(), keys);
            by_panels::<S, P>(simd, (scores, stride), (count, seen, dim), values, out, false);
            for (row, out) in out.chunks_exact(dim).enumerate() {
                let (_, place) = heads.place(&queries, block.start, kv_head, row);
                // SAFETY: the caller gives every (sequence, key head) to one member.
                let to = unsafe { context.part(place.start, dim) };
                to.copy_from_slice(out);
            }
        }
    }
}
