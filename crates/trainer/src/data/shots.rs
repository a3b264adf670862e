//! Few examples of each label, drawn by a seed.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Example;

/// Streams of the seed's random numbers, apart from those that order batches by epoch.
const STREAM: u64 = u64::MAX - 1;

/// Keeps at most `shots` examples of each answer, in their order; `split` tells draws of one seed apart.
pub fn shots(examples: Vec<Example>, shots: usize, seed: u64, split: u64) -> Vec<Example> {
    let mut by_answer: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, example) in examples.iter().enumerate() {
        by_answer.entry(&example.answer).or_default().push(index);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM - split);
    let mut kept = vec![false; examples.len()];
    for indices in by_answer.values_mut() {
        indices.shuffle(&mut rng);
        indices.iter().take(shots).for_each(|&index| kept[index] = true);
    }
    let mut kept = kept.into_iter();
    examples.into_iter().filter(|_| kept.next().unwrap_or(false)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Vec<Example> {
        let example = |line: usize| Example {
            fields: BTreeMap::new(),
            answer: ["good", "bad", "bad"][line % 3].to_owned(),
            line,
        };
        (0..60).map(example).collect()
    }

    #[test]
    fn each_label_has_as_many() {
        let few = shots(examples(), 4, 0, 0);
        assert_eq!(few.len(), 8);
        assert_eq!(few.iter().filter(|example| example.answer == "good").count(), 4);
        assert!(few.is_sorted_by_key(|example| example.line));
    }

    #[test]
    fn the_seed_and_the_split_draw() {
        assert_eq!(shots(examples(), 4, 3, 0), shots(examples(), 4, 3, 0));
        assert_ne!(shots(examples(), 4, 3, 0), shots(examples(), 4, 4, 0));
        assert_ne!(shots(examples(), 4, 3, 0), shots(examples(), 4, 3, 1));
    }

    #[test]
    fn what_there_is_suffices() {
        assert_eq!(shots(examples(), 1000, 0, 0), examples());
    }
}
