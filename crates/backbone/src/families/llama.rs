//! The Llama family: Llama, SmolLM2, TinyLlama and whatever shares their graph.
//!
//! Touvron et al. 2023 (arXiv:2302.13971); upstream: `modeling_llama.py` of Hugging Face
//! transformers. Pre-norm decoder layers: RMSNorm, grouped-query attention with rotate-half RoPE,
//! SwiGLU feed-forward, no biases, head tied to the embeddings or not.

use kernels::activation::Activation;
use kernels::stack::{Order, Shape};
use ptuning_core::language_model::Objective;
use serde_json::json;

use crate::config::Config;
use crate::error::LoadError;
use crate::transformer::{Description, InputRecipe, LayerRecipe, LinearRecipe, NormRecipe, Recipe};

/// Sizes of a Llama, checked against each other.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Rows of the embedding table.
    pub vocab: usize,
    /// Embedding width.
    pub hidden: usize,
    /// Feed-forward width.
    pub intermediate: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// ε of the norms.
    pub epsilon: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Longest sequence.
    pub max_positions: usize,
    /// Whether the head is the embedding table.
    pub tied: bool,
}

impl LlamaConfig {
    fn read(config: &Config<'_>) -> Result<Self, LoadError> {
        config.only("hidden_act", &[json!("silu")])?;
        config.only("attention_bias", &[json!(false)])?;
        config.only("mlp_bias", &[json!(false)])?;
        config.only("rope_scaling", &[])?;
        let heads = config.size("num_attention_heads")?;
        let hidden = config.size("hidden_size")?;
        let read = Self {
            vocab: config.size("vocab_size")?,
            hidden,
            intermediate: config.size("intermediate_size")?,
            layers: config.size("num_hidden_layers")?,
            heads,
            kv_heads: config.optional_size("num_key_value_heads")?.unwrap_or(heads),
            head_dim: config.optional_size("head_dim")?.unwrap_or(hidden / heads),
            epsilon: config.number("rms_norm_eps", 1e-6)?,
            rope_theta: rope_theta(config)?,
            max_positions: config.optional_size("max_position_embeddings")?.unwrap_or(2048),
            tied: config.flag("tie_word_embeddings", false)?,
        };
        let wrong = if !read.heads.is_multiple_of(read.kv_heads) {
            format!("{} query heads do not share {} key heads evenly", read.heads, read.kv_heads)
        } else if !read.head_dim.is_multiple_of(2) || read.head_dim == 0 {
            format!("rotary positions need an even head_dim, found {}", read.head_dim)
        } else {
            return Ok(read);
        };
        Err(config.contradiction(wrong))
    }
}

/// transformers 5 writes `rope_parameters: {rope_theta, rope_type}`, older ones `rope_theta`.
fn rope_theta(config: &Config<'_>) -> Result<f64, LoadError> {
    let Some(nested) = config.get("rope_parameters") else {
        return config.number("rope_theta", 10_000.0);
    };
    let kind = nested.get("rope_type").and_then(|kind| kind.as_str()).unwrap_or("default");
    let theta = nested.get("rope_theta").and_then(|theta| theta.as_f64());
    match theta {
        Some(theta) if kind == "default" && theta.is_finite() && theta > 0.0 => Ok(theta),
        _ => {
            let expected = "{\"rope_type\": \"default\", \"rope_theta\": …}";
            Err(config.unsupported("rope_parameters", expected.to_owned(), nested))
        }
    }
}

/// What a Llama's files hold.
///
/// # Errors
/// A config that contradicts itself, or a variant that is not built in.
pub fn describe(config: &Config<'_>) -> Result<Description, LoadError> {
    Ok(description(&LlamaConfig::read(config)?))
}

/// A Llama of these sizes under the usual names.
pub fn description(config: &LlamaConfig) -> Description {
    let LlamaConfig { vocab, hidden, max_positions, tied, .. } = *config;
    let table = |name: &str| LinearRecipe {
        weight: name.to_owned(),
        bias: None,
        out: vocab,
        inner: hidden,
    };
    Description {
        objective: Objective::Causal,
        embeddings: table("model.embed_tokens.weight"),
        input: InputRecipe::default(),
        recipe: recipe(config),
        transform: None,
        head: (!tied).then(|| table("lm_head.weight")),
        head_bias: None,
        max_positions,
    }
}

fn recipe(config: &LlamaConfig) -> Recipe {
    let LlamaConfig { hidden, intermediate, heads, kv_heads, head_dim, epsilon, .. } = *config;
    let layer = |index: usize| {
        let name = |part: &str| format!("model.layers.{index}.{part}.weight");
        let norm = |part| NormRecipe { gain: name(part), bias: None, epsilon };
        let linear = |part, out, inner| LinearRecipe { weight: name(part), bias: None, out, inner };
        LayerRecipe {
            attention_norm: norm("input_layernorm"),
            query: linear("self_attn.q_proj", heads * head_dim, hidden),
            key: linear("self_attn.k_proj", kv_heads * head_dim, hidden),
            value: linear("self_attn.v_proj", kv_heads * head_dim, hidden),
            output: linear("self_attn.o_proj", hidden, heads * head_dim),
            feed_forward_norm: norm("post_attention_layernorm"),
            gate: Some(linear("mlp.gate_proj", intermediate, hidden)),
            up: linear("mlp.up_proj", intermediate, hidden),
            down: linear("mlp.down_proj", hidden, intermediate),
        }
    };
    let last = NormRecipe { gain: "model.norm.weight".to_owned(), bias: None, epsilon };
    Recipe {
        shape: Shape {
            hidden,
            intermediate,
            gated: true,
            heads,
            kv_heads,
            head_dim,
            causal: true,
            rope_theta: Some(config.rope_theta),
            order: Order::Pre,
        },
        activation: Activation::Silu,
        layers: (0..config.layers).map(layer).collect(),
        last_norm: Some(last),
    }
}
