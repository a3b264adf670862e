//! What stands between the last layer and the head of a masked language model.

use burn::tensor::Tensor;
use kernels::activation::Activation;

use super::norm::Norm;
use super::tensors::activate;
use super::{Table, TransformRecipe};
use crate::error::LoadError;
use crate::layers::Loader;

/// `norm(f(W·x + b))` on the rows that answer.
#[derive(Debug)]
pub struct Transform {
    dense: Table,
    activation: Activation,
    norm: Norm,
}

impl Transform {
    /// Reads it onto the loader's device.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    pub fn load(recipe: &TransformRecipe, loader: &Loader<'_>) -> Result<Self, LoadError> {
        let TransformRecipe { dense, activation, norm } = recipe;
        let norm = Norm::load(norm, dense.out, loader)?;
        Ok(Self { dense: Table::load(loader, dense)?, activation: *activation, norm })
    }

    /// # Shapes
    /// - `x`: `[rows, hidden]`
    /// - returns: `[rows, hidden]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.norm.forward(activate(self.activation, self.dense.scores(x)))
    }
}
