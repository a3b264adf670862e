//! Activations of a feed-forward network, forward and gradient, in loops that vectorise.

use crate::simd::exp;

/// An elementwise activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · σ(x)`
    Silu,
    /// `x · Φ(x)` with the error function (Hendrycks & Gimpel 2016, arXiv:1606.08415).
    Gelu,
    /// The same with tanh in place of the error function (GPT-2's `gelu_new`).
    GeluTanh,
    /// `max(x, 0)`
    Relu,
}

#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Abramowitz & Stegun 7.1.26: within 1.5e-7 of erf.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let positive = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * positive);
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152;
    p = p * t + 1.421_413_7;
    p = p * t - 0.284_496_74;
    p = p * t + 0.254_829_6;
    (1.0 - p * t * exp(-positive * positive)).copysign(x)
}

const SQRT_2_OVER_PI: f32 = 0.797_884_6;

impl Activation {
    /// `f(x)`
    #[inline(always)]
    pub(crate) fn value(self, x: f32) -> f32 {
        match self {
            Self::Silu => x * sigmoid(x),
            Self::Gelu => 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)),
            Self::GeluTanh => {
                let inner = SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x);
                x * sigmoid(2.0 * inner)
            }
            Self::Relu => x.max(0.0),
        }
    }

    /// `f′(x)`
    #[inline(always)]
    pub(crate) fn slope(self, x: f32) -> f32 {
        match self {
            Self::Silu => {
                let s = sigmoid(x);
                s * (1.0 + x * (1.0 - s))
            }
            Self::Gelu => {
                let cdf = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
                cdf + x * 0.398_942_3 * exp(-0.5 * x * x)
            }
            Self::GeluTanh => {
                let inner = SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x);
                let s = sigmoid(2.0 * inner);
                let inner_slope = SQRT_2_OVER_PI * (1.0 + 3.0 * 0.044_715 * x * x);
                s + x * 2.0 * s * (1.0 - s) * inner_slope
            }
            Self::Relu => f32::from(u8::from(x > 0.0)),
        }
    }

    /// Calls `f` with the activation as a constant, so that each gets its own vectorised loop.
    #[inline(always)]
    fn each(self, f: impl Fn(Self)) {
        match self {
            Self::Silu => f(Self::Silu),
            Self::Gelu => f(Self::Gelu),
            Self::GeluTanh => f(Self::GeluTanh),
            Self::Relu => f(Self::Relu),
        }
    }

    /// `y = f(x)`, or `f(gate) · x` for a gated network.
    #[inline(always)]
    pub(crate) fn forward(self, x: &[f32], gate: Option<&[f32]>, y: &mut [f32]) {
        // A cell, because `each` may not capture by unique reference.
        let y = std::cell::Cell::from_mut(y).as_slice_of_cells();
        self.each(|f| match gate {
            Some(gate) => {
                for ((y, x), &gate) in y.iter().zip(x).zip(gate) {
                    y.set(f.value(gate) * x);
                }
            }
            None => {
                for (y, &x) in y.iter().zip(x) {
                    y.set(f.value(x));
                }
            }
        });
    }

    /// `dx = dy · f′(x)` in place of `dy`.
    #[inline(always)]
    pub(crate) fn gradient(self, x: &[f32], dy: &mut [f32]) {
        let dy = std::cell::Cell::from_mut(dy).as_slice_of_cells();
        self.each(|f| {
            for (dy, &x) in dy.iter().zip(x) {
                dy.set(dy.get() * f.slope(x));
            }
        });
    }

    /// For `y = f(gate) · x`: `dx` in place of `dy`, and `dgate`.
    #[inline(always)]
    pub(crate) fn gated_gradient(self, x: &[f32], gate: &[f32], dy: &mut [f32], dgate: &mut [f32]) {
        let dy = std::cell::Cell::from_mut(dy).as_slice_of_cells();
        let dgate = std::cell::Cell::from_mut(dgate).as_slice_of_cells();
        self.each(|f| {
            for (((dy, dgate), &x), &gate) in dy.iter().zip(dgate).zip(x).zip(gate) {
                let up = dy.get();
                dgate.set(up * x * f.slope(gate));
                dy.set(up * f.value(gate));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 4] =
        [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu];

    fn reference(f: Activation, x: f64) -> f64 {
        match f {
            Activation::Silu => x / (1.0 + (-x).exp()),
            // erf by its Taylor series, which converges for the |x| ≤ 6 used here.
            Activation::Gelu => {
                let z = x / 2.0f64.sqrt();
                let (mut term, mut sum) = (z, z);
                for n in 1..200 {
                    term *= -z * z / f64::from(n);
                    sum += term / f64::from(2 * n + 1);
                }
                0.5 * x * (1.0 + sum * 2.0 / std::f64::consts::PI.sqrt())
            }
            Activation::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Activation::Relu => x.max(0.0),
        }
    }

    #[test]
    fn values_and_slopes_are_right() {
        for f in ALL {
            for step in -999..1000 {
                let x = f64::from(step) / 250.0 + 1e-4;
                let value = f64::from(f.value(x as f32));
                assert!((value - reference(f, x)).abs() < 2e-6, "{f:?}({x}) = {value}");
                let h = 1e-5;
                let slope = (reference(f, x + h) - reference(f, x - h)) / (2.0 * h);
                let found = f64::from(f.slope(x as f32));
                assert!((found - slope).abs() < 1e-5, "{f:?}'({x}) = {found}, expected {slope}");
            }
        }
    }
}
