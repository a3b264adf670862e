//! Gemma 3, text alone.
//!
//! Gemma Team 2025 (arXiv:2503.19786); upstream: `modeling_gemma3.py` of Hugging Face transformers,
//! `Gemma3ForCausalLM`. RMSNorm with gains stored less one, before each sublayer and on what it adds,
//! and of each head's queries and keys; five layers that see a window for each that sees everything,
//! with a rope each; scaled embeddings, gated GELU, tied head.

use kernels::activation::Activation;
use kernels::stack::{Order, Shape};
use ptuning_core::language_model::Objective;
use serde_json::json;

use super::layer_types::{FULL, SLIDING, layer_types};
use super::llama::check_heads;
use super::rope::{rope_of_type, scaled};
use crate::config::Config;
use crate::error::LoadError;
use crate::transformer::{
    Description, InputRecipe, LayerRecipe, LinearRecipe, NormKind, NormRecipe, Recipe,
};

/// What a Gemma 3's files hold.
///
/// # Errors
/// A config that contradicts itself, or a variant that is not built in.
pub fn describe(config: &Config<'_>) -> Result<Description, LoadError> {
    config.only("attention_bias", &[json!(false)])?;
    config.only("use_bidirectional_attention", &[json!(false)])?;
    config.only("final_logit_softcapping", &[])?;
    config.only("attn_logit_softcapping", &[])?;
    config.only("hidden_activation", &[json!("gelu_pytorch_tanh")])?;
    let (vocab, hidden) = (config.size("vocab_size")?, config.size("hidden_size")?);
    let heads = config.size("num_attention_heads")?;
    let kv_heads = config.optional_size("num_key_value_heads")?.unwrap_or(heads);
    let head_dim = config.optional_size("head_dim")?.unwrap_or(256);
    check_heads(config, heads, kv_heads, head_dim)?;
    let layers = config.size("num_hidden_layers")?;
    let pattern = config.optional_size("sliding_window_pattern")?.unwrap_or(6);
    let full = layer_types(config, layers, |layer| (layer + 1).is_multiple_of(pattern))?;
    let window = config.optional_size("sliding_window")?.unwrap_or(4096) - 1;
    let epsilon = config.number("rms_norm_eps", 1e-6)?;
    let scalar = config.number("query_pre_attn_scalar", 256.0)?;
    let table = |name| LinearRecipe::new(name, vocab, hidden).without_bias();
    let sizes = Sizes {
        hidden,
        intermediate: config.size("intermediate_size")?,
        queries: heads * head_dim,
        keys: kv_heads * head_dim,
        epsilon,
        window,
    };
    let global = match config.get("rope_parameters") {
        Some(_) => rope_of_type(config, FULL, ("rope_theta", 1e6), head_dim)?,
        None => scaled(config, head_dim, config.number("rope_theta", 1e6)?)?,
    };
    let local = rope_of_type(config, SLIDING, ("rope_local_base_freq", 1e4), head_dim)?;
    Ok(Description {
        objective: Objective::Causal,
        embeddings: table("model.embed_tokens"),
        embedding_scale: Some((hidden as f64).sqrt()),
        input: InputRecipe::default(),
        recipe: Recipe {
            shape: Shape {
                hidden,
                intermediate: sizes.intermediate,
                gated: true,
                heads,
                kv_heads,
                head_dim,
                causal: true,
                scale: Some(scalar.sqrt().recip() as f32),
                ropes: vec![global, local],
                order: Order::Sandwich,
            },
            activation: Activation::GeluTanh,
            layers: full.iter().enumerate().map(|(i, &full)| layer(&sizes, i, full)).collect(),
            repeats: 1,
            last_norm: Some(norm("model.norm", epsilon)),
        },
        decoder: None,
        transform: None,
        head: (!config.flag("tie_word_embeddings", true)?).then(|| table("lm_head")),
        head_bias: None,
        max_positions: config.optional_size("max_position_embeddings")?.unwrap_or(131_072),
    })
}

struct Sizes {
    hidden: usize,
    intermediate: usize,
    queries: usize,
    keys: usize,
    epsilon: f64,
    window: usize,
}

fn norm(name: &str, epsilon: f64) -> NormRecipe {
    NormRecipe { kind: NormKind::RmsOffByOne, ..NormRecipe::rms(name, epsilon) }
}

fn layer(sizes: &Sizes, index: usize, full: bool) -> LayerRecipe {
    let Sizes { hidden, intermediate, queries, keys, epsilon, window } = *sizes;
    let name = |part: &str| format!("model.layers.{index}.{part}");
    let linear = |part, out, inner| LinearRecipe::new(&name(part), out, inner).without_bias();
    let norm = |part| norm(&name(part), epsilon);
    LayerRecipe {
        attention_norm: Some(norm("input_layernorm")),
        head_norms: Some([norm("self_attn.q_norm"), norm("self_attn.k_norm")]),
        rope: Some(usize::from(!full)),
        window: (!full).then_some(window),
        position_bias: None,
        query: linear("self_attn.q_proj", queries, hidden),
        key: linear("self_attn.k_proj", keys, hidden),
        value: linear("self_attn.v_proj", keys, hidden),
        output: linear("self_attn.o_proj", hidden, queries),
        feed_forward_norm: norm("pre_feedforward_layernorm"),
        gate: Some(linear("mlp.gate_proj", intermediate, hidden)),
        up: linear("mlp.up_proj", intermediate, hidden),
        down: linear("mlp.down_proj", hidden, intermediate),
        sandwich: Some([norm("post_attention_layernorm"), norm("post_feedforward_layernorm")]),
    }
}
