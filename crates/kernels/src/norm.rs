//! Normalisation of rows, forward and input gradient.

use crate::sums::{add, dot3, sum_of};

/// How a row is normalised. Gains and biases are frozen: only the input's gradient is computed.
#[derive(Debug, Clone)]
pub enum Norm {
    /// `x / √(mean(x²) + ε) · gain` (Zhang & Sennrich 2019, arXiv:1910.07467).
    Rms {
        /// `[hidden]`
        gain: Vec<f32>,
        /// ε
        epsilon: f32,
    },
    /// `(x − mean(x)) / √(var(x) + ε) · gain + bias` (Ba et al. 2016, arXiv:1607.06450).
    Layer {
        /// `[hidden]`
        gain: Vec<f32>,
        /// `[hidden]`
        bias: Vec<f32>,
        /// ε
        epsilon: f32,
    },
    /// Nothing: rows stay as they are.
    Identity {
        /// Width of a row.
        width: usize,
    },
}

impl Norm {
    /// Width of a row.
    pub fn width(&self) -> usize {
        match self {
            Self::Rms { gain, .. } | Self::Layer { gain, .. } => gain.len(),
            Self::Identity { width } => *width,
        }
    }

    /// Normalises one row.
    #[inline(always)]
    pub(crate) fn forward(&self, x: &[f32], y: &mut [f32]) {
        match self {
            Self::Rms { gain, epsilon } => {
                let scale = (sum_of(x, |x| x * x) / x.len() as f32 + epsilon).sqrt().recip();
                for ((y, x), gain) in y.iter_mut().zip(x).zip(gain) {
                    *y = x * scale * gain;
                }
            }
            Self::Layer { gain, bias, epsilon } => {
                let (mean, scale) = moments(x, *epsilon);
                for (((y, x), gain), bias) in y.iter_mut().zip(x).zip(gain).zip(bias) {
                    *y = (x - mean) * scale * gain + bias;
                }
            }
            Self::Identity { .. } => y.copy_from_slice(x),
        }
    }

    /// Adds the gradient with respect to `x` to `dx`, given that of the result.
    #[inline(always)]
    pub(crate) fn add_gradient(&self, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        let count = x.len() as f32;
        match self {
            Self::Rms { gain, epsilon } => {
                let scale = (sum_of(x, |x| x * x) / count + epsilon).sqrt().recip();
                let along = dot3(x, dy, gain) * scale * scale * scale / count;
                for (((dx, x), dy), gain) in dx.iter_mut().zip(x).zip(dy).zip(gain) {
                    *dx += dy * gain * scale - x * along;
                }
            }
            Self::Layer { gain, epsilon, .. } => {
                let (mean, scale) = moments(x, *epsilon);
                let total: f32 = dy.iter().zip(gain).map(|(dy, gain)| dy * gain).sum();
                let along = (dot3(x, dy, gain) - mean * total) * scale * scale / count;
                let shift = total / count;
                for (((dx, x), dy), gain) in dx.iter_mut().zip(x).zip(dy).zip(gain) {
                    *dx += (dy * gain - shift - (x - mean) * along) * scale;
                }
            }
            Self::Identity { .. } => add(dx, dy),
        }
    }
}

/// Mean and `1 / √(variance + ε)`.
#[inline(always)]
fn moments(x: &[f32], epsilon: f32) -> (f32, f32) {
    let count = x.len() as f32;
    let mean = sum_of(x, |x| x) / count;
    let variance = sum_of(x, |x| (x - mean) * (x - mean)) / count;
    (mean, (variance + epsilon).sqrt().recip())
}
