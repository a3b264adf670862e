//! Products of one thread with panels that it laid out itself.

use pulp::Simd;

use super::micro::{Tile, strip};

/// `to[rows, columns] = a[rows, depth] · b` on one thread, or `+=` if `add`; `b` in panels of
/// `[depth][P]`. `a` and `to` come with the distance between their rows.
#[inline(always)]
pub(crate) fn small<S: Simd, const P: usize>(
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
