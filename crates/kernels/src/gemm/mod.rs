//! Products of activations with frozen weights: `y = x·Wᵀ` and `dx = dy·W`.
//!
//! Members of a team split the columns of the result. For each of its panels a member expands a
//! slice of the weights into its own buffer, which stays in the first-level cache, and lets every row
//! of the batch use it. A column is summed in the same order whoever computes it, so results do not
//! depend on the number of threads.

mod micro;
mod small;
#[cfg(test)]
mod tests;

use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::frozen::{Frozen, SPLIT};
use crate::shared::Shared;
use crate::simd::{arch, panel_width};
use crate::team::{Member, Team};

use micro::{Tile, strip};
pub(crate) use small::small;

/// Numbers that one expanded panel holds: 24 KiB.
const PANEL: usize = 384 * 16;

/// Rows that pass over an expanded panel before it is expanded again, so that a slice of them stays
/// in the second-level cache.
const BLOCK_ROWS: usize = 512;

/// Which product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// `y = x·Wᵀ`
    Product,
    /// `dx = dy·W`
    Gradient,
}

/// One term of a sum of products that share their result.
#[derive(Clone, Copy)]
pub(crate) struct Term<'a> {
    pub weight: &'a Frozen,
    /// `[rows, W's other side]`, rows close together.
    pub x: &'a [f32],
}

/// A sum of products: `to = Σ x·W` (or `+=`).
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub side: Side,
    pub terms: &'a [Term<'a>],
    pub rows: usize,
    /// `[rows, stride]`; the result's columns start at `column`.
    pub to: Shared<'a>,
    pub stride: usize,
    pub column: usize,
    /// Whether the result is added to what stands in `to`.
    pub accumulate: bool,
    /// Added to each row of the result.
    pub bias: Option<&'a [f32]>,
}

impl Job<'_> {
    fn panels(&self) -> usize {
        let weight = self.terms[0].weight;
        match self.side {
            Side::Product => weight.product_panels(),
            Side::Gradient => weight.gradient_panels(),
        }
    }

    fn columns(&self) -> usize {
        let weight = self.terms[0].weight;
        match self.side {
            Side::Product => weight.out(),
            Side::Gradient => weight.inner(),
        }
    }
}

/// This member's part of some jobs, whose panels are shared out as if they were one result.
///
/// Other members write other columns: nobody reads a result before the next barrier, except a member
/// its own columns of jobs with equal numbers of panels.
pub(crate) fn run(member: &Member<'_>, jobs: &[Job<'_>], panel: &mut Vec<f32>) {
    for job in jobs {
        assert!(job.column + job.columns() <= job.stride, "columns outside their row");
        assert!(job.rows * job.stride <= job.to.len(), "rows outside their buffer");
        for term in job.terms {
            let width = match job.side {
                Side::Product => term.weight.inner(),
                Side::Gradient => term.weight.out(),
            };
            assert!(job.rows * width <= term.x.len(), "an input that is too short");
        }
    }
    let total = jobs.iter().map(Job::panels).sum();
    let mine = member.share(total);
    arch().dispatch(Part { jobs, mine, panel });
}

/// One product by itself.
pub(crate) fn whole(
    weight: &Frozen,
    side: Side,
    x: &[f32],
    rows: usize,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let terms = [Term { weight, x }];
    let stride = match side {
        Side::Product => weight.out(),
        Side::Gradient => weight.inner(),
    };
    let mut result = vec![0.0; rows * stride];
    let to = Shared::new(&mut result);
    Team::global().run(|member| {
        let job = Job { side, terms: &terms, rows, to, stride, column: 0, accumulate: false, bias };
        run(member, &[job], &mut Vec::new());
    });
    result
}

struct Part<'a> {
    jobs: &'a [Job<'a>],
    mine: Range<usize>,
    panel: &'a mut Vec<f32>,
}

impl WithSimd for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if panel_width() == 32 { self.run::<S, 32>(simd) } else { self.run::<S, 16>(simd) }
    }
}

impl Part<'_> {
    #[inline(always)]
    fn run<S: Simd, const P: usize>(self, simd: S) {
        self.panel.resize(PANEL, 0.0);
        let mut before = 0;
        for job in self.jobs {
            let panels = job.panels();
            let start = self.mine.start.clamp(before, before + panels) - before;
            let end = self.mine.end.clamp(before, before + panels) - before;
            before += panels;
            for first_row in (0..job.rows).step_by(BLOCK_ROWS) {
                let rows = first_row..(first_row + BLOCK_ROWS).min(job.rows);
                for panel in start..end {
                    one_panel::<S, P>(simd, job, panel, rows.clone(), self.panel);
                }
            }
        }
    }
}

#[inline(always)]
fn one_panel<S: Simd, const P: usize>(
    simd: S,
    job: &Job<'_>,
    panel: usize,
    rows: Range<usize>,
    buffer: &mut [f32],
) {
    let first_column = panel * P;
    let columns = P.min(job.columns() - first_column);
    let mut add = job.accumulate;
    for term in job.terms {
        let depth = match job.side {
            Side::Product => term.weight.inner(),
            Side::Gradient => term.weight.out(),
        };
        let step = depth.div_ceil(depth.div_ceil(PANEL / P)).next_multiple_of(SPLIT);
        for first in (0..depth).step_by(step) {
            let slice = first..(first + step).min(depth);
            match job.side {
                Side::Product => term.weight.expand_product::<P>(panel, slice.clone(), buffer),
                Side::Gradient => term.weight.expand_gradient::<P>(panel, slice.clone(), buffer),
            }
            // SAFETY: `run` checked that all rows and columns lie inside their buffers; the panel's
            // columns are this member's alone.
            unsafe {
                let x = term.x.as_ptr().add(rows.start * depth + first);
                let start = rows.start * job.stride + job.column + first_column;
                let to = job.to.pointer().add(start);
                let tile = Tile { to, stride: job.stride, columns, add };
                strip::<S, P>(simd, rows.len(), slice.len(), x, depth, buffer.as_ptr(), tile);
            }
            add = true;
        }
    }
    if let Some(bias) = job.bias {
        let bias = &bias[first_column..first_column + columns];
        for row in rows {
            let start = row * job.stride + job.column + first_column;
            // SAFETY: as above.
            let to = unsafe { job.to.part(start, columns) };
            for (to, bias) in to.iter_mut().zip(bias) {
                *to += bias;
            }
        }
    }
}
