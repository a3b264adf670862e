//! Model families, one file each; [`crate::registry`] is the only place that names them all.

pub mod bert;
pub mod llama;
