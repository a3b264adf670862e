//! A table of word embeddings or a head, packed or as a tensor.

use burn::tensor::{Device, Tensor};
use ptuning_core::objective::cross_entropy_backward;

use super::LinearRecipe;
#[cfg(feature = "flex")]
use super::matrix::Matrix;
use crate::error::LoadError;
use crate::layers::{Loader, Weight, product};

/// A table of word embeddings, which may serve as a head too.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "two per backbone; a box would only hide them")]
pub enum Table {
    /// Packed, as small as its file.
    #[cfg(feature = "flex")]
    Packed(Matrix, Device),
    /// Rows, `[vocab, hidden]`, and what is added to their scores, `[vocab]`.
    Tensor(Weight, Option<Tensor<1>>),
}

impl Table {
    /// Reads a table, `[vocab, hidden]`, and its bias if it has one.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load(loader: &Loader<'_>, linear: &LinearRecipe) -> Result<Self, LoadError> {
        match loader.is_packed() {
            #[cfg(feature = "flex")]
            true => Ok(Self::Packed(Matrix::load(loader, linear)?, loader.device().clone())),
            _ => {
                let bias = loader.bias(linear)?;
                Ok(Self::Tensor(loader.weight(&[linear])?, bias))
            }
        }
    }

    /// The same table, with a bias added to its scores.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn with_bias(self, loader: &Loader<'_>, name: &str) -> Result<Self, LoadError> {
        Ok(match self {
            #[cfg(feature = "flex")]
            Self::Packed(matrix, device) => {
                let bias = loader.numbers(name, &[matrix.out()])?;
                Self::Packed(matrix.with_bias(bias), device)
            }
            Self::Tensor(table, _) => {
                let bias = loader.flat(name, &[table.out()])?;
                Self::Tensor(table, Some(bias))
            }
        })
    }

    /// The device it is on.
    pub fn device(&self) -> Device {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(_, device) => device.clone(),
            Self::Tensor(table, _) => table.device(),
        }
    }

    /// The whole table, `[vocab, hidden]`.
    pub fn all(&self) -> Tensor<2> {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(matrix, device) => matrix.rows(0..matrix.out(), device),
            Self::Tensor(table, _) => table.all(),
        }
    }

    /// Some of its rows, `[ids, hidden]`.
    pub fn rows(&self, ids: &[u32]) -> Tensor<2> {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(matrix, device) => matrix.rows(ids.iter().map(|&id| id as usize), device),
            Self::Tensor(table, _) => {
                table.rows(ptuning_core::objective::ids(ids, &table.device()))
            }
        }
    }

    /// Dot products with every row, and the bias.
    ///
    /// # Shapes
    /// - `x`: `[rows, hidden]`
    /// - returns: `[rows, vocab]`
    pub fn scores(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(matrix, _) => matrix.product(x),
            Self::Tensor(table, bias) => {
                let scores = product(x, table.tensor().transpose());
                match bias {
                    Some(bias) => scores + bias.clone().unsqueeze(),
                    None => scores,
                }
            }
        }
    }

    /// [`LanguageModel::loss`](ptuning_core::language_model::LanguageModel::loss) with this head.
    pub fn loss(
        &self,
        hidden: Tensor<2>,
        answers: &[u32],
        examples: usize,
    ) -> (Tensor<1>, Tensor<1>) {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(matrix, _) => matrix.loss(hidden, answers, examples),
            Self::Tensor(..) => cross_entropy_backward(self.scores(hidden), answers, examples),
        }
    }
}
