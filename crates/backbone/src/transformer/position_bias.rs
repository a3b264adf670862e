//! T5's relative position bias: which number of a table belongs to which distance.

use kernels::position_bias::PositionBias;

use crate::error::LoadError;
use crate::layers::Loader;

/// A table of numbers for buckets of distances (Raffel et al. 2020, arXiv:1910.10683).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionBiasRecipe {
    /// Name of the table, `[buckets, heads]`.
    pub table: String,
    /// Rows of the table.
    pub buckets: usize,
    /// Distance from which on all share a bucket.
    pub max_distance: usize,
    /// Whether keys behind a query have buckets of their own: half of them.
    pub both_ways: bool,
}

impl PositionBiasRecipe {
    /// Buckets of one side.
    fn of_a_side(&self) -> usize {
        if self.both_ways { self.buckets / 2 } else { self.buckets }
    }

    /// Whether distances can be told apart: a side needs buckets for single distances and for ranges
    /// of them, and ranges need distances that are left.
    pub fn is_possible(&self) -> bool {
        let exact = self.of_a_side() / 2;
        exact > 0 && self.max_distance > exact
    }

    /// The bucket of a key that stands `distance` positions behind its query (before it, if negative).
    ///
    /// Half of a side's buckets are single distances, the others ranges that grow with the logarithm.
    /// Single precision as upstream has it, so that the borders of ranges are the same.
    fn bucket(&self, distance: isize) -> usize {
        let count = self.of_a_side();
        let first = if self.both_ways && distance > 0 { count } else { 0 };
        // A decoder sees no key behind its query.
        let seen = if self.both_ways { distance } else { distance.min(0) };
        let (distance, exact) = (seen.unsigned_abs(), count / 2);
        if distance < exact {
            return first + distance;
        }
        let span = (self.max_distance as f64 / exact as f64).ln() as f32;
        let part = (distance as f32 / exact as f32).ln() / span * (count - exact) as f32;
        first + (exact + part as usize).min(count - 1)
    }

    /// Reads the table.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load(&self, heads: usize, loader: &Loader<'_>) -> Result<PositionBias, LoadError> {
        let table = loader.numbers(&self.table, &[self.buckets, heads])?;
        let reach = self.max_distance as isize;
        let row = |head| (-reach..=reach).map(move |distance| (head, distance));
        let value = |(head, distance)| table[self.bucket(distance) * heads + head];
        Ok(PositionBias::new(heads, (0..heads).flat_map(row).map(value).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(buckets: usize, max_distance: usize, both_ways: bool) -> PositionBiasRecipe {
        PositionBiasRecipe { table: String::new(), buckets, max_distance, both_ways }
    }

    /// Distances at which a new bucket begins, as `_relative_position_bucket` of transformers gives them.
    #[test]
    fn borders_of_buckets_are_those_of_transformers() {
        let starts = |recipe: &PositionBiasRecipe| -> Vec<isize> {
            (1..2000).filter(|&d| recipe.bucket(-d) != recipe.bucket(1 - d)).collect()
        };
        let exact: Vec<isize> = (1..=16).collect();
        let ends = [19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113];
        assert_eq!(starts(&recipe(32, 128, false)), [&exact[..], &ends].concat());
        let ends = [12, 16, 23, 32, 46, 64, 91];
        assert_eq!(starts(&recipe(32, 128, true)), [&exact[..8], &ends].concat());
        assert_eq!(starts(&recipe(20, 97, true)), [1, 2, 3, 4, 5, 10, 17, 30, 54]);
        assert_eq!(starts(&recipe(8, 6, true)), [1, 2, 4]);
        let recipe = recipe(32, 128, true);
        let buckets = [1, 7, -7, 5000, -5000].map(|distance| recipe.bucket(distance));
        assert_eq!(buckets, [17, 23, 7, 31, 15]);
    }

    #[test]
    fn a_side_without_distances_is_impossible() {
        assert!(recipe(4, 2, true).is_possible() && recipe(2, 2, false).is_possible());
        assert!(!recipe(3, 9, true).is_possible() && !recipe(1, 9, false).is_possible());
        assert!(!recipe(32, 8, true).is_possible() && !recipe(32, 16, false).is_possible());
    }
}
