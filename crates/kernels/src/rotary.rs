//! Rotary position embedding in the rotate-half form (Su et al. 2021, arXiv:2104.09864, as laid
//! out by Llama): dimension `i` turns with dimension `i + head_dim/2`.

/// Cosines and sines for positions 0, 1, ….
#[derive(Debug, Clone)]
pub struct Rotary {
    half: usize,
    /// `[positions][half]` cosines, then as many sines of each position.
    table: Vec<f32>,
}

impl Rotary {
    /// Angles for `positions` positions; frequencies are `theta^(-2i / head_dim)`.
    pub fn new(positions: usize, head_dim: usize, theta: f64) -> Self {
        let half = head_dim / 2;
        let mut table = Vec::with_capacity(positions * head_dim);
        for position in 0..positions {
            let angle = |i: usize| position as f64 * theta.powf(-2.0 * i as f64 / head_dim as f64);
            table.extend((0..half).map(|i| angle(i).cos() as f32));
            table.extend((0..half).map(|i| angle(i).sin() as f32));
        }
        Self { half, table }
    }

    #[inline(always)]
    fn at(&self, position: usize) -> (&[f32], &[f32]) {
        self.table[2 * position * self.half..][..2 * self.half].split_at(self.half)
    }

    /// Turns one head's vector by its position.
    #[inline(always)]
    pub(crate) fn turn(&self, position: usize, x: &mut [f32]) {
        let (cos, sin) = self.at(position);
        let (first, second) = x.split_at_mut(self.half);
        for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }

    /// The inverse, which is also how a gradient goes back.
    #[inline(always)]
    pub(crate) fn turn_back(&self, position: usize, x: &mut [f32]) {
        let (cos, sin) = self.at(position);
        let (first, second) = x.split_at_mut(self.half);
        for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            (*a, *b) = (*a * cos + *b * sin, *b * cos - *a * sin);
        }
    }
}
