//! What is added to attention's scores by how far a key stands from its query.
//!
//! Raffel et al. 2020 (arXiv:1910.10683): frozen numbers of each head in place of positions that turn
//! queries and keys. Scores are shifted in front of the softmax; the gradient never meets them.

use crate::sums::add;

/// One number for each head and each distance, the same for all distances beyond its reach.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionBias {
    heads: usize,
    reach: usize,
    /// `[heads, 2 · reach + 1]`, a key `reach` positions before its query first.
    values: Vec<f32>,
}

impl PositionBias {
    /// A bias of `heads` heads.
    ///
    /// # Shapes
    /// - `values`: `[heads, 2 · reach + 1]`, by the key's position less the query's, from `-reach` on
    ///
    /// # Panics
    /// When `values` are not an odd number for each head.
    pub fn new(heads: usize, values: Vec<f32>) -> Self {
        assert!(heads > 0 && values.len().is_multiple_of(heads), "a bias for each head");
        let width = values.len() / heads;
        assert!(!width.is_multiple_of(2), "as many distances before a query as behind it");
        Self { heads, reach: width / 2, values }
    }

    /// Number of heads.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Distance from which on all are the same.
    pub fn reach(&self) -> usize {
        self.reach
    }

    /// All numbers, `[heads, 2 · reach + 1]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Adds a head's numbers to the scores of the keys `0..scores.len()` for the query at `position`.
    #[inline(always)]
    pub(crate) fn add_to(&self, head: usize, position: usize, scores: &mut [f32]) {
        let Self { reach, .. } = *self;
        let width = 2 * reach + 1;
        let values = &self.values[head * width..][..width];
        let (first, end) = (position.saturating_sub(reach), position + reach + 1);
        let (near, after) = scores.split_at_mut(end.min(scores.len()));
        let (before, near) = near.split_at_mut(first.min(near.len()));
        before.iter_mut().for_each(|score| *score += values[0]);
        // Key `first` stands `position - first` before the query.
        let start = reach - (position - first);
        let count = near.len();
        add(near, &values[start..start + count]);
        after.iter_mut().for_each(|score| *score += values[width - 1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_gets_the_number_of_its_distance() {
        for reach in [0, 1, 3] {
            let width = 2 * reach + 1;
            let bias = PositionBias::new(2, (0..2 * width).map(|i| i as f32).collect());
            assert_eq!((bias.heads(), bias.reach()), (2, reach));
            for head in 0..2 {
                for position in 0..12 {
                    for keys in 0..12 {
                        let mut scores = vec![0.5; keys];
                        bias.add_to(head, position, &mut scores);
                        for (key, score) in scores.iter().enumerate() {
                            let reach = reach as isize;
                            let distance = (key as isize - position as isize).clamp(-reach, reach);
                            let expected = head as isize * (2 * reach + 1) + reach + distance;
                            assert_eq!(*score, 0.5 + expected as f32, "{position}, {key}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "as many distances")]
    fn a_lopsided_bias_is_refused() {
        PositionBias::new(2, vec![0.0; 8]);
    }
}
