//! Rotary position embedding in the rotate-half form (Su et al. 2021, arXiv:2104.09864, as laid
//! out by Llama): dimension `i` turns with dimension `i + head_dim/2`.

use burn::tensor::{Device, Tensor, TensorData};

/// Angles for positions 0 … seq − 1.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// `[1, seq, 1, head_dim / 2]`
    cos: Tensor<4>,
    /// `[1, seq, 1, head_dim / 2]`
    sin: Tensor<4>,
}

impl Rotary {
    /// Frequencies are `theta^(-2i / head_dim)`.
    pub fn new(seq: usize, head_dim: usize, theta: f64, device: &Device) -> Self {
        let half = head_dim / 2;
        let angles: Vec<f64> = (0..seq)
            .flat_map(|position| {
                (0..half)
                    .map(move |i| position as f64 * theta.powf(-2.0 * i as f64 / head_dim as f64))
            })
            .collect();
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|&angle| f(angle) as f32).collect();
            Tensor::from_data(TensorData::new(values, [1, seq, 1, half]), device)
        };
        Self { cos: table(f64::cos), sin: table(f64::sin) }
    }

    /// # Shapes
    /// - `x`: `[batch, seq, heads, head_dim]`
    /// - returns: the same
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let (first, second) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
        let (cos, sin) = (self.cos.clone(), self.sin.clone());
        let turned = vec![
            first.clone() * cos.clone() - second.clone() * sin.clone(),
            second * cos + first * sin,
        ];
        Tensor::cat(turned, 3)
    }
}
