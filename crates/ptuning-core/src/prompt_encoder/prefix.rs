//! The reparameterised prefix: Embedding → Linear → tanh → Linear.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::mlp::Linear;
use super::{EncoderConfig, Initializer};

/// Keys and values of every layer from one vector for each row of the prefix (Li & Liang 2021, "Prefix-Tuning",
/// arXiv:2101.00190, section 4.3; the projection of PEFT's prefix tuning and of P-tuning v2).
#[derive(Module, Debug)]
pub struct PrefixEncoder {
    /// `[prefix, hidden]`.
    pub embedding: Param<Tensor<2>>,
    /// `hidden → inner`.
    pub first: Linear,
    /// `inner → prefix_width`.
    pub second: Linear,
}

impl PrefixEncoder {
    /// Starts the embedding from `vectors`, `[prefix, hidden]`.
    pub fn new(
        config: &EncoderConfig,
        vectors: Tensor<2>,
        init: &mut Initializer,
        device: &Device,
    ) -> Self {
        Self {
            embedding: Param::from_data(vectors.into_data(), device),
            first: Linear::new(config.hidden, config.inner, init, device),
            second: Linear::new(config.inner, config.width(), init, device),
        }
    }

    /// # Shapes
    /// - returns: `[prefix, prefix_width]`
    pub fn forward(&self) -> Tensor<2> {
        self.second.forward(self.first.forward(self.embedding.val()).tanh())
    }
}
