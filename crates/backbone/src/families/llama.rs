//! Llama and what shares its graph: Llama 2 and 3, SmolLM2, TinyLlama, Qwen2, Qwen2.5 and Qwen3.
//!
//! Touvron et al. 2023 (arXiv:2302.13971), Qwen Team 2024 (arXiv:2407.10671) and 2025
//! (arXiv:2505.09388); upstream: `modeling_llama.py`, `modeling_qwen2.py` and `modeling_qwen3.py` of
//! Hugging Face transformers. Pre-norm decoder layers: RMSNorm, grouped-query attention with rotate-half
//! RoPE, SwiGLU feed-forward, head tied to the embeddings or not. Qwen2 has biases at queries, keys and
//! values; Qwen3 has a norm of each head's queries and keys instead.

use kernels::activation::Activation;
use kernels::rotary::Rope;
use kernels::stack::{Order, Shape};
use ptuning_core::language_model::Objective;
use serde_json::json;

use super::rope::rope;
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
    /// How positions turn queries and keys.
    pub rope: Rope,
    /// Longest sequence.
    pub max_positions: usize,
    /// Whether the head is the embedding table.
    pub tied: bool,
    /// Whether queries, keys and values have biases.
    pub biases: bool,
    /// Whether each head's queries and keys are normalised.
    pub head_norms: bool,
}

impl LlamaConfig {
    fn read(config: &Config<'_>) -> Result<Self, LoadError> {
        config.only("hidden_act", &[json!("silu")])?;
        config.only("attention_bias", &[json!(false)])?;
        config.only("mlp_bias", &[json!(false)])?;
        config.only("use_sliding_window", &[json!(false)])?;
        let heads = config.size("num_attention_heads")?;
        let hidden = config.size("hidden_size")?;
        let head_dim = config.optional_size("head_dim")?.unwrap_or(hidden / heads);
        let read = Self {
            vocab: config.size("vocab_size")?,
            hidden,
            intermediate: config.size("intermediate_size")?,
            layers: config.size("num_hidden_layers")?,
            heads,
            kv_heads: config.optional_size("num_key_value_heads")?.unwrap_or(heads),
            head_dim,
            epsilon: config.number("rms_norm_eps", 1e-6)?,
            rope: rope(config, head_dim)?,
            max_positions: config.optional_size("max_position_embeddings")?.unwrap_or(2048),
            tied: config.flag("tie_word_embeddings", false)?,
            biases: false,
            head_norms: false,
        };
        check_heads(config, heads, read.kv_heads, head_dim)?;
        Ok(read)
    }
}

/// Whether rotated heads of these numbers and this width are possible.
///
/// # Errors
/// [`LoadError::Sizes`].
pub(super) fn check_heads(
    config: &Config<'_>,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
) -> Result<(), LoadError> {
    let wrong = if !heads.is_multiple_of(kv_heads) {
        format!("{heads} query heads do not share {kv_heads} key heads evenly")
    } else if !head_dim.is_multiple_of(2) || head_dim == 0 {
        format!("rotary positions need an even head_dim, found {head_dim}")
    } else {
        return Ok(());
    };
    Err(config.contradiction(wrong))
}

/// What a Llama's files hold.
///
/// # Errors
/// A config that contradicts itself, or a variant that is not built in.
pub fn describe(config: &Config<'_>) -> Result<Description, LoadError> {
    Ok(description(&LlamaConfig::read(config)?))
}

/// What a Qwen2's files hold.
///
/// # Errors
/// As [`describe`].
pub fn describe_qwen2(config: &Config<'_>) -> Result<Description, LoadError> {
    Ok(description(&LlamaConfig { biases: true, ..LlamaConfig::read(config)? }))
}

/// What a Qwen3's files hold.
///
/// # Errors
/// As [`describe`].
pub fn describe_qwen3(config: &Config<'_>) -> Result<Description, LoadError> {
    Ok(description(&LlamaConfig { head_norms: true, ..LlamaConfig::read(config)? }))
}

/// A Llama of these sizes under the usual names.
pub fn description(config: &LlamaConfig) -> Description {
    let LlamaConfig { vocab, hidden, max_positions, tied, .. } = *config;
    let table = |name| LinearRecipe::new(name, vocab, hidden).without_bias();
    Description {
        objective: Objective::Causal,
        embeddings: table("model.embed_tokens"),
        embedding_scale: None,
        input: InputRecipe::default(),
        recipe: recipe(config),
        decoder: None,
        transform: None,
        head: (!tied).then(|| table("lm_head")),
        head_bias: None,
        max_positions,
    }
}

fn recipe(config: &LlamaConfig) -> Recipe {
    let LlamaConfig { hidden, intermediate, heads, kv_heads, head_dim, epsilon, .. } = *config;
    let layer = |index: usize| {
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let norm = |part| NormRecipe::rms(&name(part), epsilon);
        let linear = |part, out, inner| LinearRecipe::new(&name(part), out, inner).without_bias();
        let project = |part, heads: usize| {
            let linear = LinearRecipe::new(&name(part), heads * head_dim, hidden);
            if config.biases { linear } else { linear.without_bias() }
        };
        let head_norms = || [norm("self_attn.q_norm"), norm("self_attn.k_norm")];
        LayerRecipe {
            attention_norm: Some(norm("input_layernorm")),
            head_norms: config.head_norms.then(head_norms),
            rope: Some(0),
            window: None,
            position_bias: None,
            query: project("self_attn.q_proj", heads),
            key: project("self_attn.k_proj", kv_heads),
            value: project("self_attn.v_proj", kv_heads),
            output: linear("self_attn.o_proj", hidden, heads * head_dim),
            feed_forward_norm: norm("post_attention_layernorm"),
            gate: Some(linear("mlp.gate_proj", intermediate, hidden)),
            up: linear("mlp.up_proj", intermediate, hidden),
            down: linear("mlp.down_proj", hidden, intermediate),
            sandwich: None,
        }
    };
    Recipe {
        shape: Shape {
            hidden,
            intermediate,
            gated: true,
            heads,
            kv_heads,
            head_dim,
            causal: true,
            scale: None,
            ropes: vec![config.rope.clone()],
            order: Order::Pre,
        },
        activation: Activation::Silu,
        layers: (0..config.layers).map(layer).collect(),
        repeats: 1,
        last_norm: Some(NormRecipe::rms("model.norm", epsilon)),
    }
}
