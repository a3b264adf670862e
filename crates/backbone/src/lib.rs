//! Frozen language models: where they come from, how they are laid out, what they compute.
//!
//! [`registry::load`] turns a Hugging Face folder or a GGUF file into a
//! [`ptuning_core::language_model::LanguageModel`] on a [`device`]. Weights are plain tensors, so
//! autodiff never tracks them: a backward pass through a backbone gives the gradient with respect
//! to its input embeddings and nothing else. [`registry::trainable`] is for when the model itself is to
//! learn.

pub mod config;
pub mod device;
pub mod error;
pub mod families;
pub mod footprint;
#[cfg(feature = "flex")]
mod fused;
pub mod layers;
pub mod random;
pub mod registry;
pub mod source;
pub mod tensor_report;
pub mod tokenizer;
pub mod transformer;

pub use device::{DeviceError, DeviceSpec};
pub use error::LoadError;
pub use registry::{Backbone, Trainable, load, load_with, trainable};
pub use tensor_report::TensorReport;
pub use transformer::{Memory, Options, Precision, Rounding};
