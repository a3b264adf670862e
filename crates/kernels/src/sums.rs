//! Sums over slices, in loops that the compiler vectorises.

/// Sums in this many strands, which the compiler keeps in vector registers.
pub(crate) const STRANDS: usize = 32;

#[inline(always)]
pub(crate) fn sum_of(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = x.as_chunks::<STRANDS>();
    let mut sums = [0.0f32; STRANDS];
    for chunk in chunks {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += f(x);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|&x| f(x)).sum::<f32>()
}

#[inline(always)]
pub(crate) fn dot3(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    let ((a, ra), (b, rb), (c, rc)) =
        (a.as_chunks::<STRANDS>(), b.as_chunks::<STRANDS>(), c.as_chunks::<STRANDS>());
    let mut sums = [0.0f32; STRANDS];
    for ((a, b), c) in a.iter().zip(b).zip(c) {
        for i in 0..STRANDS {
            sums[i] += a[i] * b[i] * c[i];
        }
    }
    let rest: f32 = ra.iter().zip(rb).zip(rc).map(|((a, b), c)| a * b * c).sum();
    sums.iter().sum::<f32>() + rest
}

#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, ra), (b, rb)) = (a.as_chunks::<STRANDS>(), b.as_chunks::<STRANDS>());
    let mut sums = [0.0f32; STRANDS];
    for (a, b) in a.iter().zip(b) {
        for i in 0..STRANDS {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f32>() + ra.iter().zip(rb).map(|(a, b)| a * b).sum::<f32>()
}

/// The largest number; one that is none counts as small.
#[inline(always)]
pub(crate) fn largest(x: &[f32]) -> f32 {
    let (chunks, rest) = x.as_chunks::<STRANDS>();
    let mut strands = [f32::NEG_INFINITY; STRANDS];
    // A comparison, unlike `f32::max`, is one instruction on many lanes.
    for chunk in chunks {
        for (max, &x) in strands.iter_mut().zip(chunk) {
            *max = if x > *max { x } else { *max };
        }
    }
    strands.iter().chain(rest).fold(f32::NEG_INFINITY, |max, &x| if x > max { x } else { max })
}

/// `to += x`
#[inline(always)]
pub(crate) fn add(to: &mut [f32], x: &[f32]) {
    for (to, x) in to.iter_mut().zip(x) {
        *to += x;
    }
}
