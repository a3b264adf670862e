//! Frozen transformer layers, described once and run in one of two ways.
//!
//! On the CPU they are packed for the kernels of the crate [`kernels`], forward and input gradient as
//! one operation of Burn's (`packed`). On every other device, and on the CPU when asked to, they run
//! as Burn's own tensor operations (`tensors`). Both are made from one [`Recipe`], and a test holds
//! them against each other.

mod causal_lm;
#[cfg(feature = "flex")]
mod packed;
mod recipe;
mod tensors;
#[cfg(all(test, feature = "flex"))]
mod tests;

use burn::tensor::{Device, Tensor};
pub use kernels::stack::Memory;
use ptuning_core::language_model::Layout;
use ptuning_core::objective::cross_entropy_backward;

pub use causal_lm::CausalLm;
pub use recipe::{Description, LayerRecipe, LinearRecipe, NormRecipe, Recipe};

use crate::error::LoadError;
use crate::layers::Loader;

/// How a backbone runs. Every choice gives the same numbers; they differ in time and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Packed weights and fused operations where the device has them (the CPU).
    pub fused: bool,
    /// Compute what stands in front of every example of a batch once (causal models, if fused).
    pub share_prefix: bool,
    /// Run only the rows that answer through the last layer's feed-forward network.
    pub answer_rows: bool,
    /// What a forward pass keeps for its backward pass (if fused).
    pub memory: Memory,
}

impl Default for Options {
    fn default() -> Self {
        Self { fused: true, share_prefix: true, answer_rows: true, memory: Memory::Tape }
    }
}

/// A stack of frozen layers on a device.
#[derive(Debug)]
pub struct Transformer {
    options: Options,
    layers: Layers,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one per backbone; a box would only hide it")]
enum Layers {
    #[cfg(feature = "flex")]
    Packed(packed::Layers),
    Tensors(tensors::Layers),
}

impl Transformer {
    /// Reads all layers onto the loader's device.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    pub fn load(recipe: &Recipe, loader: &Loader<'_>, options: Options) -> Result<Self, LoadError> {
        let layers = match loader.is_packed() {
            #[cfg(feature = "flex")]
            true => Layers::Packed(packed::Layers::load(recipe, loader)?),
            _ => Layers::Tensors(tensors::Layers::load(recipe, loader)?),
        };
        Ok(Self { options, layers })
    }

    /// Whether rows that stand in front of every example may be computed once.
    pub fn shares_prefix(&self) -> bool {
        match &self.layers {
            #[cfg(feature = "flex")]
            Layers::Packed(layers) => self.options.share_prefix && layers.is_causal(),
            Layers::Tensors(_) => false,
        }
    }

    /// Final hidden states of the answer rows.
    ///
    /// # Shapes
    /// - `x`: `[rows of the batch, hidden]`, as `layout` says
    /// - returns: `[rows, hidden]`
    pub fn forward(&self, x: Tensor<2>, layout: &Layout) -> Tensor<2> {
        match &self.layers {
            #[cfg(feature = "flex")]
            Layers::Packed(layers) => layers.forward(x, layout, &self.options),
            Layers::Tensors(layers) => layers.forward(x, layout, &self.options),
        }
    }
}

/// A table of word embeddings, which may serve as a head too.
#[derive(Debug, Clone)]
pub enum Table {
    /// Packed, as small as its file.
    #[cfg(feature = "flex")]
    Packed(packed::Matrix, Device),
    /// `[vocab, hidden]`
    Tensor(Tensor<2>),
}

impl Table {
    /// Reads a table, `[vocab, hidden]`.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load(
        loader: &Loader<'_>,
        name: &str,
        vocab: usize,
        hidden: usize,
    ) -> Result<Self, LoadError> {
        match loader.is_packed() {
            #[cfg(feature = "flex")]
            true => {
                let matrix = packed::Matrix::load(loader, name, vocab, hidden)?;
                Ok(Self::Packed(matrix, loader.device().clone()))
            }
            _ => Ok(Self::Tensor(loader.matrix(name, vocab, hidden)?)),
        }
    }

    /// The device it is on.
    pub fn device(&self) -> Device {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(_, device) => device.clone(),
            Self::Tensor(table) => table.device(),
        }
    }

    /// The whole table, `[vocab, hidden]`.
    pub fn all(&self) -> Tensor<2> {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(matrix, device) => matrix.rows(0..matrix.out(), device),
            Self::Tensor(table) => table.clone(),
        }
    }

    /// Some of its rows, `[ids, hidden]`.
    pub fn rows(&self, ids: &[u32]) -> Tensor<2> {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(matrix, device) => matrix.rows(ids.iter().map(|&id| id as usize), device),
            Self::Tensor(table) => {
                table.clone().select(0, ptuning_core::objective::ids(ids, &table.device()))
            }
        }
    }

    /// Dot products with every row.
    ///
    /// # Shapes
    /// - `x`: `[rows, hidden]`
    /// - returns: `[rows, vocab]`
    pub fn scores(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(matrix, _) => matrix.product(x),
            Self::Tensor(table) => x.matmul(table.clone().transpose()),
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
            Self::Tensor(_) => cross_entropy_backward(self.scores(hidden), answers, examples),
        }
    }
}
