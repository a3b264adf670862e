//! Frozen transformer layers, described once and run in one of two ways.
//!
//! On the CPU they are packed for the kernels of the crate [`kernels`], forward and input gradient as
//! one operation of Burn's (`packed`). On every other device, and on the CPU when asked to, they run
//! as Burn's own tensor operations (`tensors`). Both are made from one [`Recipe`], and a test holds
//! them against each other.

mod decoder;
mod input;
mod language_model;
#[cfg(feature = "flex")]
mod matrix;
mod norm;
mod norm_recipe;
#[cfg(feature = "flex")]
mod packed;
mod parameters;
mod places;
mod position_bias;
mod recipe;
mod table;
mod tensors;
#[cfg(all(test, feature = "flex"))]
mod tests;
mod transform;

use burn::tensor::{FloatDType, Tensor};
pub use kernels::stack::Memory;
use ptuning_core::language_model::{Inputs, Layout, PrefixShape};

use decoder::Decoder;
use input::Input;
pub use language_model::TransformerLm;
pub use norm_recipe::{NormKind, NormRecipe};
pub use parameters::{Parameters, Snapshot, Tensors, WrongParameter};
pub use places::{Places, Projection};
pub use position_bias::PositionBiasRecipe;
pub use recipe::{
    CrossRecipe, DecoderRecipe, Description, InputRecipe, LayerRecipe, LinearRecipe,
    PositionRecipe, Recipe, Stored, TransformRecipe,
};
pub use table::Table;
use transform::Transform;

use crate::error::LoadError;
use crate::layers::Loader;

/// How a backbone runs. Every choice but those of precision, rounding and random weights gives the same numbers; they
/// differ in time and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Packed weights and fused operations where the device has them (the CPU).
    pub fused: bool,
    /// Compute what stands in front of every example of a batch once (causal models, if fused).
    pub share_prefix: bool,
    /// Run only the rows that answer through the last layer's feed-forward network.
    pub answer_rows: bool,
    /// What a forward pass keeps for its backward pass.
    pub memory: Memory,
    /// In what numbers weights are held and multiplied (if not fused).
    pub precision: Precision,
    /// To how few bits matrices are rounded while they are loaded.
    pub rounding: Rounding,
    /// Random weights of the same shapes in the place of the file's: a control that knows nothing.
    pub random_weights: bool,
}

/// To how few bits matrices are rounded while they are loaded.
///
/// They stay in those bits in memory, on every device, and a file's that are in as few already stay as they
/// are. Rows that are no whole groups of 32 are not rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// They stay what their file says.
    None,
    /// Eight bits and a scale for every 32 numbers of a row (GGUF's Q8_0).
    EightBits,
    /// Four bits, a scale and a least value for every 32 numbers of a row (GGUF's Q4_1).
    FourBits,
}

/// In what numbers Burn's operations hold and multiply weights.
///
/// Between products (norms, residuals, softmax, activations, the loss) and in the prompt everything
/// is f32. The CPU's kernels need no such choice: weights stay as small as their file, and numbers are
/// f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    F32,
    /// bfloat16: the range of f32 with 8 bits of precision.
    Bf16,
    /// Half precision: 11 bits, but gradients below 6e-8 vanish.
    F16,
}

impl Precision {
    /// Its name in a config.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// Burn's name for it.
    pub const fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::Bf16 => FloatDType::BF16,
            Self::F16 => FloatDType::F16,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fused: true,
            share_prefix: true,
            answer_rows: true,
            memory: Memory::Tape,
            precision: Precision::F32,
            rounding: Rounding::None,
            random_weights: false,
        }
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

    /// Sizes of a prefix's row.
    pub fn prefix_shape(&self) -> PrefixShape {
        let (layers, shape) = match &self.layers {
            #[cfg(feature = "flex")]
            Layers::Packed(layers) => layers.sizes(),
            Layers::Tensors(layers) => layers.sizes(),
        };
        PrefixShape { layers, heads: shape.kv_heads, head_dim: shape.head_dim }
    }

    /// Final hidden states of the answer rows.
    ///
    /// # Shapes
    /// - `inputs`: as `layout` says
    /// - returns: `[rows, hidden]`
    pub fn forward(&self, inputs: Inputs, layout: &Layout) -> Tensor<2> {
        match &self.layers {
            #[cfg(feature = "flex")]
            Layers::Packed(layers) => layers.forward(inputs, layout, &self.options),
            Layers::Tensors(layers) => layers.forward(inputs, layout, &self.options),
        }
    }

    /// What `loss` says of [`forward`](Self::forward)'s result, and what to call `backward` on for the
    /// gradient of `inputs`.
    pub fn loss_through(
        &self,
        inputs: Inputs,
        layout: &Layout,
        loss: &mut dyn FnMut(Tensor<2>) -> (Tensor<1>, Tensor<1>),
    ) -> (Tensor<1>, Tensor<1>) {
        let Options { memory, rounding, .. } = self.options;
        // Autodiff would keep every matrix that a product expanded from few bits.
        let again = memory == Memory::Recompute || rounding != Rounding::None;
        match &self.layers {
            Layers::Tensors(layers) if again && inputs.is_autodiff() => {
                layers.loss_through(inputs, layout, &self.options, loss)
            }
            _ => loss(self.forward(inputs, layout)),
        }
    }
}
