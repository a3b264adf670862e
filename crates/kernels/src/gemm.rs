//! Products of activations with frozen weights: `y = x·Wᵀ` and `dx = dy·W`.
//!
//! Members of a team split the columns of the result. For each of its panels a member expands a
//! slice of the weights into its own buffer, which stays in the first-level cache, and lets every row
//! of the batch use it. A column is summed in the same order whoever computes it, so results do not
//! depend on the number of threads.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::frozen::{Frozen, SPLIT};
use crate::shared::Shared;
use crate::simd::{arch, width};
use crate::team::{Member, Team};

/// Inner numbers that one expanded panel holds: 24 KiB of f32 for 16 columns.
const DEPTH: usize = 384;

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
pub(crate) fn whole(weight: &Frozen, side: Side, x: &[f32], rows: usize) -> Vec<f32> {
    let terms = [Term { weight, x }];
    let stride = match side {
        Side::Product => weight.out(),
        Side::Gradient => weight.inner(),
    };
    let mut result = vec![0.0; rows * stride];
    let to = Shared::new(&mut result);
    Team::global().run(|member| {
        let job =
            Job { side, terms: &terms, rows, to, stride, column: 0, accumulate: false, bias: None };
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
        if width::<S>() == 32 { self.run::<S, 32>(simd) } else { self.run::<S, 16>(simd) }
    }
}

impl Part<'_> {
    #[inline(always)]
    fn run<S: Simd, const P: usize>(self, simd: S) {
        self.panel.resize(DEPTH * P, 0.0);
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
        let step = depth.div_ceil(depth.div_ceil(DEPTH)).next_multiple_of(SPLIT);
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

type Entry<S> = unsafe fn(S, usize, *const f32, usize, *const f32, Tile);

/// [`micro`] as a function of its own, whose registers nothing else competes for.
///
/// # Safety
/// That of [`micro`].
unsafe fn entry<S: Simd, const P: usize, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    depth: usize,
    a: *const f32,
    stride: usize,
    b: *const f32,
    c: Tile,
) {
    struct Call<const P: usize, const ROWS: usize, const VECTORS: usize> {
        depth: usize,
        a: *const f32,
        stride: usize,
        b: *const f32,
        c: Tile,
    }
    impl<const P: usize, const ROWS: usize, const VECTORS: usize> WithSimd for Call<P, ROWS, VECTORS> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self { depth, a, stride, b, c } = self;
            // SAFETY: passed on.
            unsafe { micro::<S, P, ROWS, VECTORS>(simd, depth, a, stride, b, c) }
        }
    }
    simd.vectorize(Call::<P, ROWS, VECTORS> { depth, a, stride, b, c });
}

/// Most rows that a kernel takes at once.
const MOST_ROWS: usize = 12;

/// The kernels for 1, 2, … rows, as many as registers allow, and how many that is.
///
/// They are reached by address so that none is merged into its caller.
#[inline(always)]
fn kernels<S: Simd, const P: usize>() -> ([Entry<S>; MOST_ROWS], usize) {
    macro_rules! rows {
        ($vectors:literal: $($rows:literal)*) => {
            [$(entry::<S, P, $rows, $vectors>,)*]
        };
    }
    // Registers: the sums, one row of a panel, one broadcast number.
    let (entries, most): ([Entry<S>; MOST_ROWS], usize) = if S::F32_LANES >= 16 {
        (rows!(2: 1 2 3 4 5 6 7 8 9 10 11 12), 12)
    } else if S::F32_LANES == 8 {
        (rows!(2: 1 2 3 4 5 6 6 6 6 6 6 6), 6)
    } else if S::F32_LANES == 4 {
        (rows!(4: 1 2 3 4 5 6 6 6 6 6 6 6), 6)
    } else {
        (rows!(16: 1 1 1 1 1 1 1 1 1 1 1 1), 1)
    };
    (std::hint::black_box(entries), most)
}

/// All rows of a result of at most `P` columns, in groups as equal as they can be: a group of few
/// rows does not keep the multipliers busy.
///
/// # Safety
/// As [`micro`], for `rows` rows.
#[inline(always)]
unsafe fn strip<S: Simd, const P: usize>(
    simd: S,
    rows: usize,
    depth: usize,
    a: *const f32,
    stride: usize,
    b: *const f32,
    c: Tile,
) {
    let (kernels, most) = kernels::<S, P>();
    let groups = rows.div_ceil(most);
    let mut row = 0;
    for group in 0..groups {
        let count = rows * (group + 1) / groups - row;
        // SAFETY: rows below `rows`.
        unsafe {
            let c = Tile { to: c.to.add(row * c.stride), ..c };
            kernels[count - 1](simd, depth, a.add(row * stride), stride, b, c);
        }
        row += count;
    }
}

/// Where a few rows of a panel's result go.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    pub to: *mut f32,
    pub stride: usize,
    pub columns: usize,
    pub add: bool,
}

/// `c[ROWS, columns] (+)= a[ROWS, depth] · b[depth, P]`, all sums in registers.
///
/// # Safety
/// `a` has `ROWS` rows of `depth` numbers `stride` apart, `b` has `depth` rows of `P`, and `c` has
/// `ROWS` rows of `columns ≤ P` numbers that nobody else uses.
#[inline(always)]
pub(crate) unsafe fn micro<S: Simd, const P: usize, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    depth: usize,
    a: *const f32,
    stride: usize,
    b: *const f32,
    c: Tile,
) {
    // SAFETY: by the contract above; vectors are read unaligned.
    unsafe {
        let lanes = S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        let mut rows = [a; ROWS];
        for (row, start) in rows.iter_mut().enumerate() {
            *start = a.add(row * stride);
        }
        for k in 0..depth {
            let b = b.add(k * P);
            let mut vectors = [simd.splat_f32s(0.0); VECTORS];
            for (v, vector) in vectors.iter_mut().enumerate() {
                *vector = b.add(v * lanes).cast::<S::f32s>().read_unaligned();
            }
            for (start, sums) in rows.iter().zip(&mut sums) {
                let number = simd.splat_f32s(*start.add(k));
                for (sum, vector) in sums.iter_mut().zip(&vectors) {
                    *sum = simd.mul_add_e_f32s(number, *vector, *sum);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let to = c.to.add(row * c.stride);
            if c.columns == P {
                for (v, sum) in sums.iter().enumerate() {
                    let to = to.add(v * lanes).cast::<S::f32s>();
                    let sum = if c.add { simd.add_f32s(*sum, to.read_unaligned()) } else { *sum };
                    to.write_unaligned(sum);
                }
            } else {
                let mut whole = [0.0f32; 32];
                for (v, sum) in sums.iter().enumerate() {
                    whole.as_mut_ptr().add(v * lanes).cast::<S::f32s>().write_unaligned(*sum);
                }
                for (column, &sum) in whole[..c.columns].iter().enumerate() {
                    let to = to.add(column);
                    *to = if c.add { *to + sum } else { sum };
                }
            }
        }
    }
}

/// `to[rows, columns] = a[rows, depth] · b` on one thread; `b` in panels of `[depth][P]`.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "a matrix product has this many")]
pub(crate) fn small_product<S: Simd, const P: usize>(
    simd: S,
    a: &[f32],
    stride: usize,
    rows: usize,
    depth: usize,
    b: &[f32],
    columns: usize,
    to: &mut [f32],
    to_stride: usize,
) {
    small::<S, P>(simd, (a, stride), (rows, depth, columns), b, (to, to_stride), false);
}

/// As [`small_product`], added to what stands in `to`.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "a matrix product has this many")]
pub(crate) fn small_sum<S: Simd, const P: usize>(
    simd: S,
    a: &[f32],
    stride: usize,
    rows: usize,
    depth: usize,
    b: &[f32],
    columns: usize,
    to: &mut [f32],
    to_stride: usize,
) {
    small::<S, P>(simd, (a, stride), (rows, depth, columns), b, (to, to_stride), true);
}

#[inline(always)]
fn small<S: Simd, const P: usize>(
    simd: S,
    (a, stride): (&[f32], usize),
    (rows, depth, columns): (usize, usize, usize),
    b: &[f32],
    (to, to_stride): (&mut [f32], usize),
    add: bool,
) {
    if rows == 0 || columns == 0 {
        return;
    }
    assert!((rows - 1) * stride + depth <= a.len(), "the left side is too short");
    assert!(columns.div_ceil(P) * depth * P <= b.len(), "the right side is too short");
    assert!((rows - 1) * to_stride + columns <= to.len(), "the result is too short");
    for panel in 0..columns.div_ceil(P) {
        let columns = P.min(columns - panel * P);
        // SAFETY: checked above.
        unsafe {
            let tile = Tile { to: to.as_mut_ptr().add(panel * P), stride: to_stride, columns, add };
            let b = b.as_ptr().add(panel * depth * P);
            strip::<S, P>(simd, rows, depth, a.as_ptr(), stride, b, tile);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frozen::tests::samples;
    use crate::team::Team;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn products_and_gradients_equal_plain_sums() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let shapes =
            [(1, 1, 1), (7, 33, 32), (5, 16, 96), (13, 70, 31), (3, 300, 544), (25, 48, 64)];
        for (rows, out, inner) in shapes {
            for (weight, values) in samples(out, inner, 2) {
                for side in [Side::Product, Side::Gradient] {
                    let (depth, columns) = match side {
                        Side::Product => (inner, out),
                        Side::Gradient => (out, inner),
                    };
                    let x: Vec<f32> =
                        (0..rows * depth).map(|_| rng.random_range(-1.0..1.0)).collect();
                    let bias: Vec<f32> =
                        (0..columns).map(|_| rng.random_range(-1.0..1.0)).collect();
                    let stride = columns + 3;
                    let mut to = vec![0.5f32; rows * stride];
                    let terms = [Term { weight: &weight, x: &x }];
                    let target = Shared::new(&mut to);
                    Team::global().run(|member| {
                        let job = Job {
                            side,
                            terms: &terms,
                            rows,
                            to: target,
                            stride,
                            column: 2,
                            accumulate: true,
                            bias: Some(&bias),
                        };
                        run(member, &[job], &mut Vec::new());
                    });
                    for row in 0..rows {
                        for column in 0..stride {
                            let found = to[row * stride + column];
                            if !(2..columns + 2).contains(&column) {
                                assert_eq!(found, 0.5, "outside the result");
                                continue;
                            }
                            let expected: f64 = 0.5
                                + f64::from(bias[column - 2])
                                + (0..depth)
                                    .map(|k| {
                                        let at = match side {
                                            Side::Product => (column - 2) * inner + k,
                                            Side::Gradient => k * inner + column - 2,
                                        };
                                        f64::from(x[row * depth + k]) * f64::from(values[at])
                                    })
                                    .sum::<f64>();
                            let error = (f64::from(found) - expected).abs();
                            assert!(
                                error < 1e-5 * (1.0 + depth as f64).sqrt(),
                                "{side:?} {rows}×{out}×{inner}: {found}, expected {expected}"
                            );
                        }
                    }
                }
            }
        }
    }
}
