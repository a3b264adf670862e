//! Small dense pieces of an attention: blocks laid out for the product kernel, and softmax.

use std::ops::Range;

use pulp::Simd;

use super::{Heads, QUERY_BLOCK};
use crate::gemm::small;
use crate::simd::exp;
use crate::sums::{largest, sum_of};

/// `[rows, width]` → `[width / P][rows][P]`: the right-hand side of a product over rows.
#[inline(always)]
pub(super) fn panels_of_rows<const P: usize>(x: &[f32], rows: usize, width: usize, to: &mut [f32]) {
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
pub(super) fn panels_of_columns<const P: usize>(
    x: &[f32],
    rows: usize,
    width: usize,
    to: &mut [f32],
) {
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
pub(super) fn transposed(x: &[f32], rows: usize, width: usize, stride: usize, to: &mut [f32]) {
    // A few columns at a time, so that what is written to stays in the first-level cache.
    for first in (0..width).step_by(16) {
        let columns = first..(first + 16).min(width);
        for row in 0..rows {
            let from = &x[row * stride + columns.start..row * stride + columns.end];
            for (column, &x) in columns.clone().zip(from) {
                to[column * rows + row] = x;
            }
        }
    }
}

/// Rows of fewer numbers are summed in order.
pub(super) const SHORT: usize = 64;

/// Softmax of the `visible` numbers, the rest becomes 0.
#[inline(always)]
fn softmax(scores: &mut [f32], visible: Range<usize>) {
    let (before, scores) = scores.split_at_mut(visible.start);
    let (seen, hidden) = scores.split_at_mut(visible.len());
    before.fill(0.0);
    // Strands cost more than they give where there are few numbers.
    let short = seen.len() < SHORT;
    let max = if short {
        seen.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x))
    } else {
        largest(seen)
    };
    for score in seen.iter_mut() {
        *score = exp(*score - max);
    }
    let sum = if short { seen.iter().sum() } else { sum_of(seen, |score| score) };
    let scale = 1.0 / sum;
    for score in seen.iter_mut() {
        *score *= scale;
    }
    hidden.fill(0.0);
}

/// Blocks of queries with the number of keys that they may see.
pub(super) fn blocks(
    heads: &Heads<'_>,
    positions: &[usize],
    keys: usize,
) -> impl Iterator<Item = (Range<usize>, usize)> {
    (0..positions.len()).step_by(QUERY_BLOCK).map(move |start| {
        let block = start..(start + QUERY_BLOCK).min(positions.len());
        let last = positions[block.clone()].iter().max().copied().unwrap_or(0);
        (block, heads.seen(last, keys).end)
    })
}

/// Softmax of each row of a block over the keys that its query sees, of the heads that share `kv_head`.
#[inline(always)]
pub(super) fn softmax_rows(
    heads: &Heads<'_>,
    kv_head: usize,
    positions: &[usize],
    keys: usize,
    (scores, stride): (&mut [f32], usize),
) {
    for (row, scores) in scores.chunks_exact_mut(stride).enumerate() {
        let position = positions[row / heads.group()];
        if let Some(bias) = heads.position_bias {
            let head = kv_head * heads.group() + row % heads.group();
            bias.add_to(head, position, scores);
        }
        softmax(scores, heads.seen(position, keys));
    }
}

/// `to[rows, width] = a[rows, depth] · b`, or `+=` if `add`; `b` in panels of columns of `height`
/// rows, of which the first `depth` count.
#[inline(always)]
pub(super) fn by_panels<S: Simd, const P: usize>(
    simd: S,
    (a, stride): (&[f32], usize),
    (rows, depth, width): (usize, usize, usize),
    (b, height): (&[f32], usize),
    to: &mut [f32],
    add: bool,
) {
    for panel in 0..width.div_ceil(P) {
        let columns = P.min(width - panel * P);
        let b = &b[panel * height * P..];
        let to = (&mut to[panel * P..], width);
        small::<S, P>(simd, (a, stride), (rows, depth, columns), b, to, add);
    }
}
