//! Prompts to ship: the vectors alone, without the encoder that made them.

mod peft;
mod prompt_file;

pub use peft::export_peft;
pub use prompt_file::{PromptFile, export_safetensors};
