//! Model families, one file each; [`crate::registry`] is the only place that names them all.

pub mod albert;
pub mod bert;
pub mod distilbert;
pub mod electra;
pub mod gemma3;
pub mod gpt2;
pub mod gpt_neox;
mod layer_types;
pub mod llama;
pub mod modernbert;
pub mod opt;
pub mod roberta;
mod rope;
pub mod t5;

use kernels::stack::{Order, Shape};

/// Pre-norm decoder layers with a feed-forward network that has no gate, heads that share no keys, and
/// positions that turn nothing.
fn plain(hidden: usize, intermediate: usize, heads: usize) -> Shape {
    Shape {
        hidden,
        intermediate,
        gated: false,
        heads,
        kv_heads: heads,
        head_dim: hidden / heads,
        causal: true,
        scale: None,
        ropes: Vec::new(),
        order: Order::Pre,
    }
}
