//! The order in which examples are seen: a function of seed and epoch alone, so that a resumed run
//! sees what an uninterrupted one would have.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// How many batches' worth of shuffled examples are sorted by length together.
///
/// Small enough that batches stay random, large enough that padding all but vanishes.
const BUCKET_BATCHES: usize = 16;

/// How batches are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Examples in a batch; the last one may hold fewer.
    pub size: usize,
    /// Whether each epoch has its own order.
    pub shuffle: bool,
    /// Whether a batch gathers examples of similar length.
    pub bucket: bool,
    /// Seed of the run.
    pub seed: u64,
}

impl Batching {
    /// Batches of one epoch as indices into `lengths`, the number of tokens of each example.
    ///
    /// Every example appears once.
    pub fn epoch(&self, epoch: usize, lengths: &[usize]) -> Vec<Vec<usize>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(epoch as u64 + 1);
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        if self.shuffle {
            order.shuffle(&mut rng);
        }
        let size = self.size.max(1);
        if self.bucket {
            for window in order.chunks_mut(size.saturating_mul(BUCKET_BATCHES)) {
                window.sort_by_key(|&index| lengths[index]);
            }
        }
        let mut batches: Vec<Vec<usize>> = order.chunks(size).map(<[usize]>::to_vec).collect();
        if self.bucket && self.shuffle {
            batches.shuffle(&mut rng);
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batching(shuffle: bool, bucket: bool) -> Batching {
        Batching { size: 8, shuffle, bucket, seed: 7 }
    }

    #[test]
    fn every_example_is_seen_once() {
        let lengths: Vec<usize> = (0..333).map(|i| i * 31 % 17 + 3).collect();
        for (shuffle, bucket) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut seen = batching(shuffle, bucket).epoch(3, &lengths).concat();
            seen.sort_unstable();
            assert_eq!(seen, (0..333).collect::<Vec<_>>());
        }
    }

    #[test]
    fn order_depends_on_seed_and_epoch_alone() {
        let lengths = vec![5; 100];
        let one = batching(true, true);
        assert_eq!(one.epoch(0, &lengths), one.epoch(0, &lengths));
        assert_ne!(one.epoch(0, &lengths), one.epoch(1, &lengths));
        assert_ne!(one.epoch(0, &lengths), Batching { seed: 8, ..one }.epoch(0, &lengths));
        let fixed = batching(false, false);
        assert_eq!(fixed.epoch(0, &lengths), fixed.epoch(1, &lengths));
    }

    #[test]
    fn buckets_save_padding() {
        let lengths: Vec<usize> = (0..512).map(|i| i * 97 % 29 + 4).collect();
        let padded = |bucket| -> usize {
            let batches = batching(true, bucket).epoch(0, &lengths);
            let cost = |batch: &Vec<usize>| {
                batch.len() * batch.iter().map(|&index| lengths[index]).max().unwrap_or(0)
            };
            batches.iter().map(cost).sum()
        };
        let real: usize = lengths.iter().sum();
        assert!(padded(true) < real * 11 / 10, "{} of {real}", padded(true));
        assert!(padded(true) < padded(false));
    }
}
