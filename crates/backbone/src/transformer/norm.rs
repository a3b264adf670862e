//! A norm of a recipe in Burn's own tensor operations.

use burn::tensor::Tensor;

use super::norm_recipe::{bias, gain};
use super::{NormKind, NormRecipe};
use crate::error::LoadError;
use crate::layers::{LayerNorm, Loader, RmsNorm};

/// A norm as tensors.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "two per layer; a box would only hide them")]
pub enum Norm {
    Rms(RmsNorm),
    Layer(LayerNorm),
}

impl Norm {
    pub fn load(norm: &NormRecipe, hidden: usize, loader: &Loader<'_>) -> Result<Self, LoadError> {
        let gain = gain(norm, hidden, loader)?;
        Ok(match norm.kind {
            NormKind::Rms | NormKind::RmsOffByOne => Self::Rms(RmsNorm::new(gain, norm.epsilon)),
            NormKind::Layer => {
                let bias = bias(norm, hidden, loader)?;
                Self::Layer(LayerNorm::new(gain, bias, norm.epsilon))
            }
        })
    }

    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Rms(norm) => norm.forward(x),
            Self::Layer(norm) => norm.forward(x),
        }
    }
}
