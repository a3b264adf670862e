//! Which vector instructions this processor has, and how the kernels are laid out for them.
//!
//! One source serves AVX-512, AVX2, NEON and plain scalar code: [`pulp`] picks at run time, and
//! every kernel below is compiled once for each. Loops over slices inside `dispatch` are
//! vectorised by the compiler for the instructions at hand; only the innermost product is written
//! with explicit vectors.

use std::sync::OnceLock;

use pulp::{Arch, Simd, WithSimd};

/// The best instructions of this processor, looked up once.
///
/// `PTUNE_SIMD=scalar` does without vectors, for tests and comparisons.
pub fn arch() -> Arch {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    *ARCH.get_or_init(|| match std::env::var_os("PTUNE_SIMD") {
        Some(asked) if asked == "scalar" => Arch::Scalar,
        _ => Arch::new(),
    })
}

/// Name of the instructions in use, for reports.
pub fn name() -> &'static str {
    match arch() {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(_) => "AVX-512",
        #[cfg(target_arch = "x86_64")]
        Arch::V3(_) => "AVX2",
        #[cfg(target_arch = "aarch64")]
        Arch::Neon(_) => "NEON",
        _ => "scalar",
    }
}

/// Columns of a packed panel: 16, or 32 where two registers hold as many.
///
/// `PTUNE_PANEL=32` asks for the wide one elsewhere too, so that tests reach its layout.
pub fn panel_width() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    static WIDTH: OnceLock<usize> = OnceLock::new();
    *WIDTH.get_or_init(|| {
        let asked = std::env::var_os("PTUNE_PANEL").is_some_and(|asked| asked == "32");
        if asked || arch().dispatch(Lanes) >= 16 { 32 } else { 16 }
    })
}

/// Runs a closure compiled for the instructions at hand.
#[inline(always)]
pub(crate) fn dispatch<R>(f: impl FnOnce() -> R) -> R {
    struct Run<F>(F);
    impl<R, F: FnOnce() -> R> WithSimd for Run<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> R {
            (self.0)()
        }
    }
    arch().dispatch(Run(f))
}

/// `eˣ` within 2 units in the last place, without branches or calls so that loops over it are
/// vectorised. Underflows to 0 and saturates at `e^88`.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Cody–Waite: x = n·ln 2 + r with |r| ≤ ln 2 / 2; 1.5·2²³ rounds to a whole number in place.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-88.0, 88.0);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * 0.693_359_4) + n * 2.121_944_4e-4;
    // Minimax polynomial of (eʳ − 1 − r) / r² (Cephes, `expf`).
    let mut p = 1.987_569_2e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    let power = f32::from_bits((shifted.to_bits().wrapping_add(127)) << 23);
    if x < -87.0 { 0.0 } else { y * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate() {
        for step in -87_000..88_000 {
            let x = step as f32 / 1000.0;
            let expected = f64::from(x).exp();
            let relative = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(relative < 3e-7, "exp({x}) = {}, expected {expected}", exp(x));
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e9), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
    }
}
