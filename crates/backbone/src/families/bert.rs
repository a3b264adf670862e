//! BERT, and what its kin share with it.
//!
//! Devlin et al. 2019 (arXiv:1810.04805); upstream: `modeling_bert.py` of Hugging Face transformers,
//! `BertForMaskedLM`. Post-norm encoder layers over words, learned positions and segment A, with
//! LayerNorm, biases everywhere and GELU; a transform in front of a head that is tied to the
//! embeddings, with a bias of its own.

use kernels::activation::Activation;
use kernels::stack::{Order, Shape};
use ptuning_core::language_model::Objective;
use serde_json::json;

use super::plain;
use crate::config::Config;
use crate::error::LoadError;
use crate::transformer::{
    Description, InputRecipe, LayerRecipe, LinearRecipe, NormRecipe, PositionRecipe, Recipe,
    TransformRecipe,
};

/// Sizes of a BERT, checked against each other.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// Rows of the embedding table.
    pub vocab: usize,
    /// Width of an embedding.
    pub embedding: usize,
    /// Width of a layer.
    pub hidden: usize,
    /// Feed-forward width.
    pub intermediate: usize,
    /// Encoder layers.
    pub layers: usize,
    /// Heads; divides `hidden`.
    pub heads: usize,
    /// Activation of the feed-forward network and of the head's transform.
    pub activation: Activation,
    /// ε of the norms.
    pub epsilon: f64,
    /// Rows of the segment table.
    pub segments: usize,
    /// Rows of the position table.
    pub positions: usize,
    /// Whether the head is the embedding table.
    pub tied: bool,
}

impl BertConfig {
    /// Reads the keys that BERT's kin share.
    ///
    /// # Errors
    /// A config that contradicts itself, or a variant that is not built in.
    pub fn read(config: &Config<'_>) -> Result<Self, LoadError> {
        config.only("position_embedding_type", &[json!("absolute")])?;
        config.only("is_decoder", &[json!(false)])?;
        config.only("add_cross_attention", &[json!(false)])?;
        let hidden = config.size("hidden_size")?;
        let read = Self {
            vocab: config.size("vocab_size")?,
            embedding: config.optional_size("embedding_size")?.unwrap_or(hidden),
            hidden,
            intermediate: config.size("intermediate_size")?,
            layers: config.size("num_hidden_layers")?,
            heads: config.size("num_attention_heads")?,
            activation: config.activation("hidden_act", Activation::Gelu)?,
            epsilon: config.number("layer_norm_eps", 1e-12)?,
            segments: config.optional_size("type_vocab_size")?.unwrap_or(2),
            positions: config.optional_size("max_position_embeddings")?.unwrap_or(512),
            tied: config.flag("tie_word_embeddings", true)?,
        };
        config.head_dim(read.hidden, read.heads)?;
        Ok(read)
    }

    /// Words, positions, segments and a norm under `{prefix}.embeddings`.
    pub(super) fn input(&self, prefix: &str, skipped: usize) -> InputRecipe {
        let table = |name: &str| format!("{prefix}.embeddings.{name}_embeddings.weight");
        InputRecipe {
            positions: Some(PositionRecipe { table: table("position"), skipped }),
            segments: Some((table("token_type"), self.segments)),
            norm: Some(NormRecipe::layer(&format!("{prefix}.embeddings.LayerNorm"), self.epsilon)),
            project: None,
        }
    }

    /// The word embeddings under `{prefix}.embeddings`.
    pub(super) fn words(&self, prefix: &str) -> LinearRecipe {
        let name = format!("{prefix}.embeddings.word_embeddings");
        LinearRecipe::new(&name, self.vocab, self.embedding).without_bias()
    }

    /// The shape of its layers.
    pub(super) fn shape(&self) -> Shape {
        Shape {
            causal: false,
            order: Order::Post,
            ..plain(self.hidden, self.intermediate, self.heads)
        }
    }

    /// The layers under `{prefix}.encoder.layer`.
    pub(super) fn recipe(&self, prefix: &str) -> Recipe {
        let Self { hidden, intermediate, epsilon, .. } = *self;
        let layer = |index: usize| {
            let name = |part: &str| format!("{prefix}.encoder.layer.{index}.{part}");
            let linear = |part, out, inner| LinearRecipe::new(&name(part), out, inner);
            let norm = |part| NormRecipe::layer(&name(part), epsilon);
            LayerRecipe {
                attention_norm: Some(norm("attention.output.LayerNorm")),
                head_norms: None,
                rope: None,
                window: None,
                position_bias: None,
                query: linear("attention.self.query", hidden, hidden),
                key: linear("attention.self.key", hidden, hidden),
                value: linear("attention.self.value", hidden, hidden),
                output: linear("attention.output.dense", hidden, hidden),
                feed_forward_norm: norm("output.LayerNorm"),
                gate: None,
                up: linear("intermediate.dense", intermediate, hidden),
                down: linear("output.dense", hidden, intermediate),
                sandwich: None,
            }
        };
        Recipe {
            shape: self.shape(),
            activation: self.activation,
            layers: (0..self.layers).map(layer).collect(),
            repeats: 1,
            last_norm: None,
        }
    }
}

/// What a BERT's files hold.
///
/// # Errors
/// A config that contradicts itself, or a variant that is not built in.
pub fn describe(config: &Config<'_>) -> Result<Description, LoadError> {
    Ok(description(&BertConfig::read(config)?))
}

/// A BERT of these sizes under the usual names.
pub fn description(config: &BertConfig) -> Description {
    let BertConfig { vocab, hidden, epsilon, .. } = *config;
    let head = LinearRecipe::new("cls.predictions.decoder", vocab, hidden).without_bias();
    Description {
        objective: Objective::Masked,
        embeddings: config.words("bert"),
        embedding_scale: None,
        input: config.input("bert", 0),
        recipe: config.recipe("bert"),
        decoder: None,
        transform: Some(TransformRecipe {
            dense: LinearRecipe::new("cls.predictions.transform.dense", hidden, hidden),
            activation: config.activation,
            norm: NormRecipe::layer("cls.predictions.transform.LayerNorm", epsilon),
        }),
        head: (!config.tied).then_some(head),
        head_bias: Some("cls.predictions.bias".to_owned()),
        max_positions: config.positions,
    }
}
