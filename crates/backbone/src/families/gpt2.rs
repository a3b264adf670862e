//! GPT-2.
//!
//! Radford et al. 2019; upstream: `modeling_gpt2.py` of Hugging Face transformers, `GPT2LMHeadModel`.
//! Pre-norm decoder layers over words and learned positions, LayerNorm, biases, GELU by tanh, tied
//! head. Its matrices are stored transposed, queries, keys and values side by side.

use kernels::activation::Activation;
use ptuning_core::language_model::Objective;
use serde_json::json;

use super::plain;
use crate::config::Config;
use crate::error::LoadError;
use crate::transformer::{
    Description, InputRecipe, LayerRecipe, LinearRecipe, NormRecipe, PositionRecipe, Recipe, Stored,
};

/// Sizes of a GPT-2, checked against each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Gpt2Config {
    /// Rows of the embedding table.
    pub vocab: usize,
    /// Width of a layer.
    pub hidden: usize,
    /// Feed-forward width.
    pub intermediate: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Heads; divides `hidden`.
    pub heads: usize,
    /// Activation of the feed-forward network.
    pub activation: Activation,
    /// ε of the norms.
    pub epsilon: f64,
    /// Rows of the position table.
    pub positions: usize,
    /// Whether the head is the embedding table.
    pub tied: bool,
}

impl Gpt2Config {
    fn read(config: &Config<'_>) -> Result<Self, LoadError> {
        config.only("scale_attn_weights", &[json!(true)])?;
        config.only("scale_attn_by_inverse_layer_idx", &[json!(false)])?;
        config.only("add_cross_attention", &[json!(false)])?;
        let hidden = config.size("n_embd")?;
        let read = Self {
            vocab: config.size("vocab_size")?,
            hidden,
            intermediate: config.optional_size("n_inner")?.unwrap_or(4 * hidden),
            layers: config.size("n_layer")?,
            heads: config.size("n_head")?,
            activation: config.activation("activation_function", Activation::GeluTanh)?,
            epsilon: config.number("layer_norm_epsilon", 1e-5)?,
            positions: config.optional_size("n_positions")?.unwrap_or(1024),
            tied: config.flag("tie_word_embeddings", true)?,
        };
        config.head_dim(hidden, read.heads)?;
        Ok(read)
    }
}

/// What a GPT-2's files hold.
///
/// # Errors
/// A config that contradicts itself, or a variant that is not built in.
pub fn describe(config: &Config<'_>) -> Result<Description, LoadError> {
    Ok(description(&Gpt2Config::read(config)?))
}

/// A GPT-2 of these sizes under the usual names.
pub fn description(config: &Gpt2Config) -> Description {
    let Gpt2Config { vocab, hidden, intermediate, epsilon, .. } = *config;
    let layer = |index| layer(index, hidden, intermediate, epsilon);
    let table = |name| LinearRecipe::new(name, vocab, hidden).without_bias();
    Description {
        objective: Objective::Causal,
        embeddings: table("transformer.wte"),
        embedding_scale: None,
        input: InputRecipe {
            positions: Some(PositionRecipe {
                table: "transformer.wpe.weight".to_owned(),
                skipped: 0,
            }),
            ..InputRecipe::default()
        },
        recipe: Recipe {
            shape: plain(hidden, intermediate, config.heads),
            activation: config.activation,
            layers: (0..config.layers).map(layer).collect(),
            repeats: 1,
            last_norm: Some(NormRecipe::layer("transformer.ln_f", epsilon)),
        },
        decoder: None,
        transform: None,
        head: (!config.tied).then(|| table("lm_head")),
        head_bias: None,
        max_positions: config.positions,
    }
}

fn layer(index: usize, hidden: usize, intermediate: usize, epsilon: f64) -> LayerRecipe {
    let name = |part: &str| format!("transformer.h.{index}.{part}");
    let columns = |part, out, inner, first, of| {
        LinearRecipe::new(&name(part), out, inner).stored(Stored::Columns { first, of })
    };
    let qkv = |which| columns("attn.c_attn", hidden, hidden, which * hidden, 3 * hidden);
    let norm = |part| NormRecipe::layer(&name(part), epsilon);
    LayerRecipe {
        attention_norm: Some(norm("ln_1")),
        head_norms: None,
        rope: None,
        window: None,
        position_bias: None,
        query: qkv(0),
        key: qkv(1),
        value: qkv(2),
        output: columns("attn.c_proj", hidden, hidden, 0, hidden),
        feed_forward_norm: norm("ln_2"),
        gate: None,
        up: columns("mlp.c_fc", intermediate, hidden, 0, intermediate),
        down: columns("mlp.c_proj", hidden, intermediate, 0, hidden),
        sandwich: None,
    }
}
