//! Root-mean-square normalisation (Zhang & Sennrich 2019, arXiv:1910.07467).

use burn::tensor::Tensor;

/// `y = x / √(mean(x²) + ε) · g`
#[derive(Debug, Clone)]
pub struct RmsNorm {
    gain: Tensor<1>,
    epsilon: f64,
}

impl RmsNorm {
    /// # Shapes
    /// - `gain`: `[hidden]`
    pub fn new(gain: Tensor<1>, epsilon: f64) -> Self {
        Self { gain, epsilon }
    }

    /// # Shapes
    /// - `x`: `[rows, hidden]`
    /// - returns: `[rows, hidden]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let scale = x.clone().square().mean_dim(1).add_scalar(self.epsilon).sqrt().recip();
        x * scale * self.gain.clone().unsqueeze()
    }
}
