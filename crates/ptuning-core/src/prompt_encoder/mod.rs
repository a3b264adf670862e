//! Prompt encoders: what the trainable vectors pass through before they meet the language model.
//!
//! | kind | vectors |
//! |---|---|
//! | [`DirectEncoder`] | the embedding itself (prompt tuning, OptiPrompt) |
//! | [`MlpEncoder`] | Embedding → Linear → ReLU → Linear |
//! | [`LstmEncoder`] | Embedding → 2-layer bidirectional LSTM → Linear → ReLU → Linear (P-tuning) |
//! | [`PrefixEncoder`] | Embedding → Linear → tanh → Linear, to keys and values of every layer |
//!
//! Every one maps nothing to `[prompt, hidden]`, or to `[prefix, prefix_width]` where a template has a prefix: a prompt does not depend on the example, so it is
//! computed once per optimiser step and, when training is over, baked into a table.

mod direct;
#[cfg(feature = "flex")]
mod fused_lstm;
mod init;
mod lstm;
mod mlp;
mod prefix;

use burn::module::{Module, ModuleMapper, ModuleVisitor};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

pub use direct::DirectEncoder;
pub use init::{Initializer, Start, initial_vectors};
pub use lstm::{BiLstm, LstmEncoder};
pub use mlp::{Linear, Mlp, MlpEncoder};
pub use prefix::PrefixEncoder;

/// Which prompt encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderKind {
    /// Embedding → BiLSTM → MLP, as published.
    Lstm,
    /// Embedding → MLP.
    Mlp,
    /// The vectors themselves.
    Direct,
}

/// Sizes of a prompt encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderConfig {
    /// Which one.
    pub kind: EncoderKind,
    /// Number of virtual tokens, or rows of a prefix.
    pub prompt: usize,
    /// Width of the language model's embeddings.
    pub hidden: usize,
    /// Width inside the encoder (both LSTM directions together); even for the LSTM.
    pub inner: usize,
    /// Numbers of a prefix's row, where the template has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_width: Option<usize>,
}

impl EncoderConfig {
    /// Numbers of each vector that comes out.
    pub fn width(&self) -> usize {
        self.prefix_width.unwrap_or(self.hidden)
    }

    /// Shape of the vectors that it starts from.
    pub fn start_shape(&self) -> [usize; 2] {
        match self.kind {
            EncoderKind::Direct => [self.prompt, self.width()],
            EncoderKind::Mlp | EncoderKind::Lstm => [self.prompt, self.hidden],
        }
    }

    /// Numbers that are trained.
    pub fn parameters(&self) -> usize {
        let Self { kind, hidden, inner, .. } = *self;
        let mlp = |inputs: usize| (inputs + 1) * inner + (inner + 1) * self.width();
        let vectors: usize = self.start_shape().iter().product();
        match kind {
            EncoderKind::Direct => vectors,
            EncoderKind::Mlp => vectors + mlp(hidden),
            EncoderKind::Lstm => {
                let units = inner / 2;
                let layer = |inputs: usize| 2 * 4 * units * (inputs + units + 2);
                vectors + layer(hidden) + layer(2 * units) + mlp(2 * units)
            }
        }
    }
}

/// A prompt encoder of any kind.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "one value per run; a box would only hide it")]
pub enum PromptEncoder {
    /// See [`DirectEncoder`].
    Direct(DirectEncoder),
    /// See [`MlpEncoder`].
    Mlp(MlpEncoder),
    /// See [`LstmEncoder`].
    Lstm(LstmEncoder),
    /// See [`PrefixEncoder`].
    Prefix(PrefixEncoder),
}

impl PromptEncoder {
    /// A new encoder whose embedding holds `vectors` ([`EncoderConfig::start_shape`]) and whose other weights
    /// follow PyTorch's defaults. Its parameters live on `device`; pass an autodiff device to train.
    pub fn new(
        config: &EncoderConfig,
        vectors: Tensor<2>,
        init: &mut Initializer,
        device: &Device,
    ) -> Self {
        match config.kind {
            EncoderKind::Mlp if config.prefix_width.is_some() => {
                Self::Prefix(PrefixEncoder::new(config, vectors, init, device))
            }
            EncoderKind::Direct => Self::Direct(DirectEncoder::new(vectors, device)),
            EncoderKind::Mlp => Self::Mlp(MlpEncoder::new(config, vectors, init, device)),
            EncoderKind::Lstm => Self::Lstm(LstmEncoder::new(config, vectors, init, device)),
        }
    }

    /// The prompt's vectors h_0 … h_m, `[prompt, hidden]`, or a prefix, `[prefix, prefix_width]`.
    pub fn forward(&self) -> Tensor<2> {
        match self {
            Self::Direct(encoder) => encoder.forward(),
            Self::Mlp(encoder) => encoder.forward(),
            Self::Lstm(encoder) => encoder.forward(),
            Self::Prefix(encoder) => encoder.forward(),
        }
    }

    /// Visits the parameters under names that do not repeat the kind (`lstm.layers.0…`).
    pub fn visit_parameters<V: ModuleVisitor>(&self, visitor: &mut V) {
        match self {
            Self::Direct(encoder) => encoder.visit(visitor),
            Self::Mlp(encoder) => encoder.visit(visitor),
            Self::Lstm(encoder) => encoder.visit(visitor),
            Self::Prefix(encoder) => encoder.visit(visitor),
        }
    }

    /// Maps the parameters under the same names.
    pub fn map_parameters<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        match self {
            Self::Direct(encoder) => Self::Direct(encoder.map(mapper)),
            Self::Mlp(encoder) => Self::Mlp(encoder.map(mapper)),
            Self::Lstm(encoder) => Self::Lstm(encoder.map(mapper)),
            Self::Prefix(encoder) => Self::Prefix(encoder.map(mapper)),
        }
    }
}
