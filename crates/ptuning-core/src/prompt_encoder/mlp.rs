//! Embedding → Linear → ReLU → Linear.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::{EncoderConfig, Initializer};

/// A linear layer in PyTorch's layout.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// Uniform in ±1/√in, as `torch.nn.Linear`.
    pub fn new(inputs: usize, outputs: usize, init: &mut Initializer, device: &Device) -> Self {
        let bound = 1.0 / (inputs as f64).sqrt();
        Self {
            weight: Param::from_data(init.uniform([outputs, inputs], bound), device),
            bias: Param::from_data(init.uniform([outputs], bound), device),
        }
    }

    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - returns: `[rows, out]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }
}

/// Linear → ReLU → Linear, the head that the published encoder ends with.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `inner → inner`.
    pub first: Linear,
    /// `inner → hidden`.
    pub second: Linear,
}

impl Mlp {
    /// PyTorch's default start.
    pub fn new(
        inputs: usize,
        inner: usize,
        outputs: usize,
        init: &mut Initializer,
        device: &Device,
    ) -> Self {
        Self {
            first: Linear::new(inputs, inner, init, device),
            second: Linear::new(inner, outputs, init, device),
        }
    }

    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - returns: `[rows, out]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.second.forward(relu(self.first.forward(x)))
    }
}

/// Prompt vectors through an MLP: Embedding(prompt, hidden) → [`Mlp`].
#[derive(Module, Debug)]
pub struct MlpEncoder {
    /// `[prompt, hidden]`.
    pub embedding: Param<Tensor<2>>,
    /// `hidden → inner → hidden`.
    pub mlp: Mlp,
}

impl MlpEncoder {
    /// Starts the embedding from `vectors`, `[prompt, hidden]`.
    pub fn new(
        config: &EncoderConfig,
        vectors: Tensor<2>,
        init: &mut Initializer,
        device: &Device,
    ) -> Self {
        Self {
            embedding: Param::from_data(vectors.into_data(), device),
            mlp: Mlp::new(config.hidden, config.inner, config.hidden, init, device),
        }
    }

    /// # Shapes
    /// - returns: `[prompt, hidden]`
    pub fn forward(&self) -> Tensor<2> {
        self.mlp.forward(self.embedding.val())
    }
}
