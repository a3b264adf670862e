//! GPT-NeoX, as Pythia has it.
//!
//! Black et al. 2022 (arXiv:2204.06745), Biderman et al. 2023 (arXiv:2304.01373); upstream:
//! `modeling_gpt_neox.py` of Hugging Face transformers, `GPTNeoXForCausalLM`. Attention and
//! feed-forward network side by side, RoPE on a part of each head, LayerNorm, biases, exact GELU, head
//! of its own. Queries, keys and values take turns head by head in one matrix.

use kernels::activation::Activation;
use kernels::stack::{Order, Shape};
use ptuning_core::language_model::Objective;
use serde_json::Value;

use super::plain;
use super::rope::rope;
use crate::config::Config;
use crate::error::LoadError;
use crate::transformer::{
    Description, InputRecipe, LayerRecipe, LinearRecipe, NormRecipe, Recipe, Stored,
};

/// What a GPT-NeoX's files hold.
///
/// # Errors
/// A config that contradicts itself, or a variant that is not built in.
pub fn describe(config: &Config<'_>) -> Result<Description, LoadError> {
    let (vocab, hidden) = (config.size("vocab_size")?, config.size("hidden_size")?);
    let heads = config.size("num_attention_heads")?;
    let head_dim = config.head_dim(hidden, heads)?;
    let nested = config.get("rope_parameters").and_then(|it| it.get("partial_rotary_factor"));
    let turning = match nested.and_then(Value::as_f64) {
        Some(share) => share,
        None => config.number("rotary_pct", 0.25)?,
    };
    let dims = (head_dim as f64 * turning) as usize;
    if !dims.is_multiple_of(2) || dims > head_dim {
        let what = format!("{dims} of {head_dim} dimensions of a head cannot turn in pairs");
        return Err(config.contradiction(what));
    }
    let order = match config.flag("use_parallel_residual", true)? {
        true => Order::Parallel,
        false => Order::Pre,
    };
    let intermediate = config.size("intermediate_size")?;
    let epsilon = config.number("layer_norm_eps", 1e-5)?;
    let biases = config.flag("attention_bias", true)?;
    let layer = |index: usize| {
        let name = |part: &str| format!("gpt_neox.layers.{index}.{part}");
        let attention = |part, stored| {
            let linear = LinearRecipe::new(&name(part), hidden, hidden).stored(stored);
            if biases { linear } else { linear.without_bias() }
        };
        let turn = |which| Stored::Turns { block: head_dim, which, of: 3 };
        let norm = |part| NormRecipe::layer(&name(part), epsilon);
        LayerRecipe {
            attention_norm: Some(norm("input_layernorm")),
            head_norms: None,
            rope: Some(0),
            window: None,
            position_bias: None,
            query: attention("attention.query_key_value", turn(0)),
            key: attention("attention.query_key_value", turn(1)),
            value: attention("attention.query_key_value", turn(2)),
            output: attention("attention.dense", Stored::Whole),
            feed_forward_norm: norm("post_attention_layernorm"),
            gate: None,
            up: LinearRecipe::new(&name("mlp.dense_h_to_4h"), intermediate, hidden),
            down: LinearRecipe::new(&name("mlp.dense_4h_to_h"), hidden, intermediate),
            sandwich: None,
        }
    };
    let table = |name| LinearRecipe::new(name, vocab, hidden).without_bias();
    Ok(Description {
        objective: Objective::Causal,
        embeddings: table("gpt_neox.embed_in"),
        embedding_scale: None,
        input: InputRecipe::default(),
        recipe: Recipe {
            shape: Shape {
                ropes: vec![rope_with_base(config, dims)?],
                order,
                ..plain(hidden, intermediate, heads)
            },
            activation: config.activation("hidden_act", Activation::Gelu)?,
            layers: (0..config.size("num_hidden_layers")?).map(layer).collect(),
            repeats: 1,
            last_norm: Some(NormRecipe::layer("gpt_neox.final_layer_norm", epsilon)),
        },
        decoder: None,
        transform: None,
        head: (!config.flag("tie_word_embeddings", false)?).then(|| table("embed_out")),
        head_bias: None,
        max_positions: config.optional_size("max_position_embeddings")?.unwrap_or(2048),
    })
}

/// Before transformers 5 the base is called `rotary_emb_base`.
fn rope_with_base(config: &Config<'_>, dims: usize) -> Result<kernels::rotary::Rope, LoadError> {
    match (config.get("rope_parameters"), config.get("rotary_emb_base")) {
        (None, Some(_)) => {
            super::rope::scaled(config, dims, config.number("rotary_emb_base", 10_000.0)?)
        }
        _ => rope(config, dims),
    }
}
