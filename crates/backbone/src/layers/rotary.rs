//! Rotary position embedding in the rotate-half form (Su et al. 2021, arXiv:2104.09864, as laid
//! out by Llama): dimension `i` turns with one half of the turning dimensions further on.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use kernels::rotary::Rope;

/// Angles for some positions.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// `[1, seq, 1, frequencies]`
    cos: Tensor<4>,
    /// `[1, seq, 1, frequencies]`
    sin: Tensor<4>,
}

impl Rotary {
    /// Angles by a rope's frequencies.
    pub fn new(positions: Range<usize>, rope: &Rope, device: &Device) -> Self {
        let frequencies = &rope.frequencies;
        let angles = |position| frequencies.iter().map(move |x| position as f64 * x);
        let seq = positions.len();
        let angles: Vec<f64> = positions.flat_map(angles).collect();
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|&angle| f(angle) as f32).collect();
            Tensor::from_data(TensorData::new(values, [1, seq, 1, frequencies.len()]), device)
        };
        Self { cos: table(f64::cos), sin: table(f64::sin) }
    }

    /// # Shapes
    /// - `x`: `[batch, seq, heads, head_dim]`
    /// - returns: the same
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (half, dim) = (self.cos.dims()[3], x.dims()[3]);
        let (first, second) = (x.clone().narrow(3, 0, half), x.clone().narrow(3, half, half));
        let (cos, sin) = (self.cos.clone(), self.sin.clone());
        let mut turned = vec![
            first.clone() * cos.clone() - second.clone() * sin.clone(),
            second * cos + first * sin,
        ];
        if 2 * half < dim {
            turned.push(x.narrow(3, 2 * half, dim - 2 * half));
        }
        Tensor::cat(turned, 3)
    }
}
