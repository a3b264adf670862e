//! How much memory a backbone takes, told from its headers.

use kernels::frozen::{Bits, Kind, Values};
use kernels::stack::{Memory, Plan, Shape};
use ptuning_core::language_model::Objective;

use crate::source::{Dtype, Weights, resolve};
use crate::transformer::{DecoderRecipe, Description, LinearRecipe, Rounding, Stored};

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
    decoder: Option<DecoderSizes>,
}

/// What a decoder's activations depend on.
#[derive(Debug, Clone)]
struct DecoderSizes {
    layers: usize,
    steps: usize,
    shape: Shape,
}

impl DecoderSizes {
    fn new(decoder: &DecoderRecipe) -> Self {
        let (layers, steps) = (decoder.recipe.layers.len(), decoder.start.len());
        Self { layers, steps, shape: decoder.recipe.shape.clone() }
    }

    /// Bytes that a training step keeps for answers of `batch` examples of `own` rows each.
    ///
    /// Autodiff keeps what every operation of Burn's was given, and the encoder's rows have a gradient
    /// from each layer's keys and values.
    fn step(&self, own: usize, batch: usize) -> usize {
        let Self { layers, steps, ref shape } = *self;
        let Shape { hidden, intermediate, heads, head_dim, gated, .. } = *shape;
        let (inner, networks) = (heads * head_dim, if gated { 5 } else { 2 });
        let seen = batch * own * 2 * inner + batch * heads * steps * own * 3;
        let rows = batch * steps * (8 * hidden + 6 * inner + networks * intermediate);
        4 * (layers * (seen + rows) + batch * own * (3 * hidden + 4 * inner))
    }
}

impl Footprint {
    /// Counts what a description's tensors take.
    pub(crate) fn new(
        description: Description,
        weights: &dyn Weights,
        packed: bool,
        rounding: Rounding,
    ) -> Self {
        let dtype = |name: &str| weights.dtype(&resolve(weights, name)?);
        let bytes = |linear: &LinearRecipe| {
            let LinearRecipe { out, inner, .. } = *linear;
            let kind =
                dtype(&linear.weight).map_or(Kind::Full, |dtype| held(linear, dtype, rounding));
            match kind {
                kind if packed => Values::packed_bytes(kind, out, inner),
                // In few bits where they were asked for, otherwise as floats.
                Kind::Grouped { bits, group, offsets } if rounding != Rounding::None => {
                    let scales = out * (inner / group) * (1 + usize::from(offsets));
                    bits.bytes(out * inner) + 4 * scales
                }
                _ => 4 * out * inner,
            }
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
            decoder: description.decoder.as_ref().map(DecoderSizes::new),
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
        // A decoder looks at all rows of its encoder; elsewhere one row of each example answers.
        let first = if self.decoder.is_some() { shared } else { shared + own - 1 };
        let answers = |example| (first..shared + own).map(move |position| (example, position));
        let answers: Vec<(usize, usize)> = (0..batch).flat_map(answers).collect();
        // In order, each of them an own row: all that a plan asks for.
        let plan =
            Plan::new(None, shared, &vec![own; batch], &answers).expect("examples with rows");
        let logits = 4 * batch * self.vocab;
        let decoder = self.decoder.as_ref().map_or(0, |decoder| decoder.step(own, batch));
        self.shape.step_bytes(self.layers, &plan, memory) + decoder + logits
    }
}

/// How a matrix is held that its file stores as `dtype`.
fn held(linear: &LinearRecipe, dtype: Dtype, rounding: Rounding) -> Kind {
    let (columns, file) = (matches!(linear.stored, Stored::Columns { .. }), kind(dtype));
    match rounding.dtype() {
        // Turned first, rounded then.
        Some(rounded) if columns && linear.inner.is_multiple_of(rounded.block_len()) => {
            kind(rounded)
        }
        _ if columns && matches!(file, Kind::Grouped { .. }) => Kind::Full,
        _ => file,
    }
}

fn kind(dtype: Dtype) -> Kind {
    let bits = dtype.bits().unwrap_or(Bits::Eight);
    match dtype {
        Dtype::F32 => Kind::Full,
        Dtype::F16 | Dtype::BF16 => Kind::Half,
        Dtype::Q4_0 | Dtype::Q5_0 | Dtype::Q8_0 => {
            Kind::Grouped { bits, group: 32, offsets: false }
        }
        Dtype::Q4_1 | Dtype::Q5_1 | Dtype::Q4_K | Dtype::Q5_K => {
            Kind::Grouped { bits, group: 32, offsets: true }
        }
        Dtype::Q6_K => Kind::Grouped { bits, group: 16, offsets: false },
    }
}
