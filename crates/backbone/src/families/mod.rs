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
