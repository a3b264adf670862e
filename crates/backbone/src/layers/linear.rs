//! A frozen linear layer, and the table of word embeddings that may serve as one.

use burn::tensor::{FloatDType, Tensor};

use super::Weight;

/// `y = x · Wᵀ + b`, several projections of one input side by side if need be.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[out, in]`, as checkpoints hold it.
    weight: Weight,
    /// `[out]`
    bias: Option<Tensor<1>>,
}

impl Linear {
    /// Without a bias.
    pub fn new(weight: Weight) -> Self {
        Self { weight, bias: None }
    }

    /// With a bias.
    ///
    /// # Shapes
    /// - `bias`: `[out]`
    pub fn with_bias(self, bias: Tensor<1>) -> Self {
        Self { bias: Some(bias), ..self }
    }

    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - returns: `[rows, out]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = product(x, self.weight.tensor().transpose());
        match &self.bias {
            Some(bias) => y + bias.clone().unsqueeze(),
            None => y,
        }
    }
}

/// `x·W` in the precision of `weight`, its result in f32.
///
/// # Shapes
/// - `x`: `[…, rows, in]`
/// - `weight`: `[…, in, out]`
/// - returns: `[…, rows, out]`
pub fn product<const D: usize>(x: Tensor<D>, weight: Tensor<D>) -> Tensor<D> {
    x.cast(weight.dtype()).matmul(weight).cast(FloatDType::F32)
}
