//! What a norm consists of, and its numbers.

use burn::tensor::Tensor;

use crate::error::LoadError;
use crate::layers::Loader;

/// Which norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// By the root mean square.
    Rms,
    /// The same, with gains stored less one (Gemma).
    RmsOffByOne,
    /// By mean and variance.
    Layer,
}

/// A norm's tensors.
#[derive(Debug, Clone)]
pub struct NormRecipe {
    /// Which it is.
    pub kind: NormKind,
    /// Name of the gain.
    pub gain: String,
    /// Name of the bias, if there is one.
    pub bias: Option<String>,
    /// ε
    pub epsilon: f64,
}

impl NormRecipe {
    /// Root-mean-square normalisation by `{name}.weight`.
    pub fn rms(name: &str, epsilon: f64) -> Self {
        Self { kind: NormKind::Rms, gain: format!("{name}.weight"), bias: None, epsilon }
    }

    /// Layer normalisation by `{name}.weight` and `{name}.bias`.
    pub fn layer(name: &str, epsilon: f64) -> Self {
        let (gain, bias) = (format!("{name}.weight"), Some(format!("{name}.bias")));
        Self { kind: NormKind::Layer, gain, bias, epsilon }
    }
}

/// A norm's gains as they are multiplied with, `[width]`.
///
/// # Errors
/// A tensor that is missing or of another shape.
pub(super) fn gain(
    norm: &NormRecipe,
    width: usize,
    loader: &Loader<'_>,
) -> Result<Tensor<1>, LoadError> {
    let gain = loader.flat(&norm.gain, &[width])?;
    Ok(if norm.kind == NormKind::RmsOffByOne { gain.add_scalar(1.0) } else { gain })
}

/// A layer norm's biases, `[width]`: zeros where it has none.
///
/// # Errors
/// A tensor that is missing or of another shape.
pub(super) fn bias(
    norm: &NormRecipe,
    width: usize,
    loader: &Loader<'_>,
) -> Result<Tensor<1>, LoadError> {
    match &norm.bias {
        Some(bias) => loader.flat(bias, &[width]),
        None => Ok(Tensor::zeros([width], loader.device())),
    }
}
