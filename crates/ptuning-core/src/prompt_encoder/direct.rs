//! The plain prompt: one free vector for each virtual token.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// Prompt vectors without an encoder (Lester et al. 2021, "The Power of Scale for
/// Parameter-Efficient Prompt Tuning"; OptiPrompt, Zhong et al. 2021).
#[derive(Module, Debug)]
pub struct DirectEncoder {
    /// The vectors, `[prompt, hidden]`.
    pub embedding: Param<Tensor<2>>,
}

impl DirectEncoder {
    /// Starts from the given vectors, `[prompt, hidden]`.
    pub fn new(vectors: Tensor<2>, device: &Device) -> Self {
        Self { embedding: Param::from_data(vectors.into_data(), device) }
    }

    /// # Shapes
    /// - returns: `[prompt, hidden]`
    pub fn forward(&self) -> Tensor<2> {
        self.embedding.val()
    }
}
