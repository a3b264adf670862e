//! The innermost loop of a product: a few rows by one panel, all sums in registers.

use pulp::{Simd, WithSimd};

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
    let (entries, most): ([Entry<S>; MOST_ROWS], usize) = match (S::F32_LANES, P) {
        (16, 32) => (rows!(2: 1 2 3 4 5 6 7 8 9 10 11 12), 12),
        (8, 16) => (rows!(2: 1 2 3 4 5 6 6 6 6 6 6 6), 6),
        (8, 32) => (rows!(4: 1 2 3 3 3 3 3 3 3 3 3 3), 3),
        (4, 16) => (rows!(4: 1 2 3 4 5 6 6 6 6 6 6 6), 6),
        (4, 32) => (rows!(8: 1 2 3 3 3 3 3 3 3 3 3 3), 3),
        (1, 16) => (rows!(16: 1 1 1 1 1 1 1 1 1 1 1 1), 1),
        (1, 32) => (rows!(32: 1 1 1 1 1 1 1 1 1 1 1 1), 1),
        _ => unreachable!("panels of {P} columns for {} lanes", S::F32_LANES),
    };
    (std::hint::black_box(entries), most)
}

/// All rows of a result of at most `P` columns, in groups as equal as they can be: a group of few
/// rows does not keep the multipliers busy.
///
/// # Safety
/// As [`micro`], for `rows` rows.
#[inline(always)]
pub(super) unsafe fn strip<S: Simd, const P: usize>(
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
pub(super) struct Tile {
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
unsafe fn micro<S: Simd, const P: usize, const ROWS: usize, const VECTORS: usize>(
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
