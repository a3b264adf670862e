//! How much memory a backbone takes, told from its headers.

use kernels::frozen::{Kind, Values};
use kernels::stack::{Memory, Plan, Shape};
use ptuning_core::language_model::Objective;

use crate::source::{Dtype, Weights, resolve};
use crate::transformer::Description;

/// Sizes of a backbone.
#[derive(Debug, Clone)]
pub struct Footprint {
    /// Bytes of all weights as they are held.
    pub weights: usize,
    /// Numbers of all weights.
    pub parameters: usize,
    /// Rows of the embedding table.
    pub vocab: usize,
    /// Longest sequence.
    pub max_positions: usize,
    /// Whether what stands in front of every example can be computed once.
    causal: bool,
    layers: usize,
    shape: Shape,
}

impl Footprint {
    /// Counts what a description's tensors take.
    pub(crate) fn new(description: Description, weights: &dyn Weights, packed: bool) -> Self {
        let dtype = |name: &str| weights.dtype(&resolve(weights, name)?);
        let bytes = |linear: &crate::transformer::LinearRecipe| match dtype(&linear.weight) {
            Some(dtype) if packed => Values::packed_bytes(kind(dtype), linear.out, linear.inner),
            _ => 4 * linear.out * linear.inner,
        };
        let matrices = description.matrices().map(|linear| linear.out * linear.inner);
        let count = |(_, shape): &(&str, Vec<usize>)| shape.iter().product::<usize>();
        let numbers: usize = description.numbers().iter().map(count).sum();
        Self {
            weights: description.matrices().map(bytes).sum::<usize>() + 4 * numbers,
            parameters: matrices.sum::<usize>() + numbers,
            causal: description.objective == Objective::Causal,
            vocab: description.embeddings.out,
            max_positions: description.max_positions,
            layers: description.recipe.layers.len() * description.recipe.repeats,
            shape: description.recipe.shape,
        }
    }

    /// Width of an embedding.
    pub fn hidden(&self) -> usize {
        self.shape.hidden
    }

    /// Bytes that a training step takes besides weights and prompt encoder, when fused: `batch`
    /// examples of `own` rows each behind `shared` rows.
    ///
    /// # Panics
    /// When there is no example, or one without rows of its own.
    pub fn step(&self, shared: usize, own: usize, batch: usize, memory: Memory) -> usize {
        let (shared, own) =
            if batch > 1 && self.causal { (shared, own) } else { (0, own + shared) };
        let answers: Vec<(usize, usize)> = (0..batch).map(|e| (e, shared + own - 1)).collect();
        // One answer in each example's last own row, in order: all that a plan asks for.
        let plan =
            Plan::new(None, shared, &vec![own; batch], &answers).expect("examples with rows");
        let logits = 4 * batch * self.vocab;
        self.shape.step_bytes(self.layers, &plan, memory) + logits
    }
}

fn kind(dtype: Dtype) -> Kind {
    match dtype {
        Dtype::F32 => Kind::Full,
        Dtype::F16 | Dtype::BF16 => Kind::Half,
        Dtype::Q4_0 | Dtype::Q5_0 | Dtype::Q8_0 => Kind::Grouped { group: 32, offsets: false },
        Dtype::Q4_1 | Dtype::Q5_1 | Dtype::Q4_K | Dtype::Q5_K => {
            Kind::Grouped { group: 32, offsets: true }
        }
        Dtype::Q6_K => Kind::Grouped { group: 16, offsets: false },
    }
}
