//! BERT.
//!
//! Devlin et al. 2019 (arXiv:1810.04805); upstream: `modeling_bert.py` of Hugging Face transformers,
//! `BertForMaskedLM`. Post-norm encoder layers over words, learned positions and segment A, with
//! LayerNorm, biases everywhere and GELU; a transform in front of a head that is tied to the
//! embeddings, with a bias of its own.

use kernels::activation::Activation;
use kernels::stack::{Order, Shape};
use ptuning_core::language_model::Objective;
use serde_json::json;

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
    /// Embedding width.
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
    /// Longest sequence.
    pub max_positions: usize,
    /// Whether the head is the embedding table.
    pub tied: bool,
}

impl BertConfig {
    fn read(config: &Config<'_>) -> Result<Self, LoadError> {
        config.only("position_embedding_type", &[json!("absolute")])?;
        config.only("is_decoder", &[json!(false)])?;
        config.only("add_cross_attention", &[json!(false)])?;
        let read = Self {
            vocab: config.size("vocab_size")?,
            hidden: config.size("hidden_size")?,
            intermediate: config.size("intermediate_size")?,
            layers: config.size("num_hidden_layers")?,
            heads: config.size("num_attention_heads")?,
            activation: config.activation("hidden_act", Activation::Gelu)?,
            epsilon: config.number("layer_norm_eps", 1e-12)?,
            segments: config.optional_size("type_vocab_size")?.unwrap_or(2),
            max_positions: config.optional_size("max_position_embeddings")?.unwrap_or(512),
            tied: config.flag("tie_word_embeddings", true)?,
        };
        if !read.hidden.is_multiple_of(read.heads) {
            let what = format!("{} heads do not divide a width of {}", read.heads, read.hidden);
            return Err(config.contradiction(what));
        }
        Ok(read)
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
    let BertConfig { vocab, hidden, epsilon, max_positions, .. } = *config;
    let table = |name: &str| LinearRecipe {
        weight: name.to_owned(),
        bias: None,
        out: vocab,
        inner: hidden,
    };
    Description {
        objective: Objective::Masked,
        embeddings: table("bert.embeddings.word_embeddings.weight"),
        input: InputRecipe {
            positions: Some(PositionRecipe {
                table: "bert.embeddings.position_embeddings.weight".to_owned(),
                skipped: 0,
            }),
            segments: Some((
                "bert.embeddings.token_type_embeddings.weight".to_owned(),
                config.segments,
            )),
            norm: Some(norm("bert.embeddings.LayerNorm", epsilon)),
        },
        recipe: recipe(config),
        transform: Some(TransformRecipe {
            dense: linear("cls.predictions.transform.dense", hidden, hidden),
            activation: config.activation,
            norm: norm("cls.predictions.transform.LayerNorm", epsilon),
        }),
        head: (!config.tied).then(|| table("cls.predictions.decoder.weight")),
        head_bias: Some("cls.predictions.bias".to_owned()),
        max_positions,
    }
}

fn linear(name: &str, out: usize, inner: usize) -> LinearRecipe {
    LinearRecipe {
        weight: format!("{name}.weight"),
        bias: Some(format!("{name}.bias")),
        out,
        inner,
    }
}

fn norm(name: &str, epsilon: f64) -> NormRecipe {
    NormRecipe { gain: format!("{name}.weight"), bias: Some(format!("{name}.bias")), epsilon }
}

fn recipe(config: &BertConfig) -> Recipe {
    let BertConfig { hidden, intermediate, heads, epsilon, .. } = *config;
    let layer = |index: usize| {
        let name = |part: &str| format!("bert.encoder.layer.{index}.{part}");
        LayerRecipe {
            attention_norm: norm(&name("attention.output.LayerNorm"), epsilon),
            query: linear(&name("attention.self.query"), hidden, hidden),
            key: linear(&name("attention.self.key"), hidden, hidden),
            value: linear(&name("attention.self.value"), hidden, hidden),
            output: linear(&name("attention.output.dense"), hidden, hidden),
            feed_forward_norm: norm(&name("output.LayerNorm"), epsilon),
            gate: None,
            up: linear(&name("intermediate.dense"), intermediate, hidden),
            down: linear(&name("output.dense"), hidden, intermediate),
        }
    };
    Recipe {
        shape: Shape {
            hidden,
            intermediate,
            gated: false,
            heads,
            kv_heads: heads,
            head_dim: hidden / heads,
            causal: false,
            rope_theta: None,
            order: Order::Post,
        },
        activation: config.activation,
        layers: (0..config.layers).map(layer).collect(),
        last_norm: None,
    }
}
