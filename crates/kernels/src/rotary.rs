//! Rotary position embedding in the rotate-half form (Su et al. 2021, arXiv:2104.09864, as laid
//! out by Llama): dimension `i` turns with one half of the turning dimensions further on.

/// How fast the pairs of a head's vector turn from one position to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Of dimension `i` and dimension `i + frequencies`, in radians; what is behind those pairs does not
    /// turn.
    pub frequencies: Vec<f64>,
}

impl Rope {
    /// Frequencies `theta^(-2i / dims)` of the first `dims` dimensions.
    pub fn new(dims: usize, theta: f64) -> Self {
        let frequency = |i: usize| theta.powf(-2.0 * i as f64 / dims as f64);
        Self { frequencies: (0..dims / 2).map(frequency).collect() }
    }
}

/// Cosines and sines for positions 0, 1, ….
#[derive(Debug, Clone)]
pub struct Rotary {
    half: usize,
    /// `[positions][half]` cosines, then as many sines of each position.
    table: Vec<f32>,
}

impl Rotary {
    /// Angles for `positions` positions.
    pub fn new(positions: usize, rope: &Rope) -> Self {
        let half = rope.frequencies.len();
        let mut table = Vec::with_capacity(2 * positions * half);
        for position in 0..positions {
            let angles = rope.frequencies.iter().map(|frequency| position as f64 * frequency);
            table.extend(angles.clone().map(|angle| angle.cos() as f32));
            table.extend(angles.map(|angle| angle.sin() as f32));
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
        let (first, second) = x[..2 * self.half].split_at_mut(self.half);
        for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }

    /// The inverse, which is also how a gradient goes back.
    #[inline(always)]
    pub(crate) fn turn_back(&self, position: usize, x: &mut [f32]) {
        let (cos, sin) = self.at(position);
        let (first, second) = x[..2 * self.half].split_at_mut(self.half);
        for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
            (*a, *b) = (*a * cos + *b * sin, *b * cos - *a * sin);
        }
    }
}
