//! Layer normalisation (Ba et al. 2016, arXiv:1607.06450).

use burn::tensor::Tensor;

/// `y = (x − mean(x)) / √(var(x) + ε) · g + b`
#[derive(Debug, Clone)]
pub struct LayerNorm {
    gain: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
}

impl LayerNorm {
    /// # Shapes
    /// - `gain`, `bias`: `[hidden]`
    pub fn new(gain: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Self {
        Self { gain, bias, epsilon }
    }

    /// # Shapes
    /// - `x`: `[rows, hidden]`
    /// - returns: `[rows, hidden]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = x.clone() - x.mean_dim(1);
        let scale = x.clone().square().mean_dim(1).add_scalar(self.epsilon).sqrt().recip();
        x * scale * self.gain.clone().unsqueeze() + self.bias.clone().unsqueeze()
    }
}
