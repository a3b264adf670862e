//! Runs beside each other on the same examples, with paired bootstrap intervals of their differences.
//!
//! Koehn, "Statistical Significance Tests for Machine Translation Evaluation" (2004): examples are drawn with
//! replacement, the same for both runs, and the difference of their scores is taken each time; the middle 95
//! percent of these differences are the interval.

use std::collections::HashMap;
use std::path::PathBuf;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::judged::{Judged, Verdict};

/// One side of a comparison.
#[derive(Debug, Clone)]
pub struct Side {
    /// What it is called.
    pub name: String,
    /// Its examples.
    pub examples: Vec<Judged>,
    /// Whether it is their manual prompt, and not the trained one.
    pub manual: bool,
}

impl Side {
    fn verdict<'a>(&self, example: &'a Judged) -> Option<&'a Verdict> {
        if self.manual { example.manual.as_ref() } else { example.prompt.as_ref() }
    }
}

/// Two sides that cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A run folder without its examples.
    #[error(
        "{}: the run has no judged examples of {split}\n\
         hint: a run is judged when its training ends, on its eval.splits; `ptune resume` finishes it",
        folder.display()
    )]
    NoExamples {
        /// The run folder.
        folder: PathBuf,
        /// The split.
        split: crate::settings::Split,
    },
    /// Sides that were asked different things.
    #[error(
        "{first} and {other} have no example in common: they were asked different things\n\
         hint: compare runs of one data set and split"
    )]
    NothingInCommon {
        /// The first side.
        first: String,
        /// The other.
        other: String,
    },
}

/// Sides, compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Examples that all of them were asked.
    pub examples: usize,
    /// Examples that some were asked and others not.
    pub left_out: usize,
    /// How often examples were drawn.
    pub samples: usize,
    /// The sides, in their order.
    pub sides: Vec<Compared>,
}

/// A side's scores, and how far they are from the first one's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// What it is called.
    pub name: String,
    /// Share of answers ranked first, 0 to 1.
    pub p1: f64,
    /// Mean reciprocal rank, 0 to 1.
    pub mrr: f64,
    /// How far it is from the first side; `None` for that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Differences>,
}

/// Differences from the first side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Differences {
    /// Of the share ranked first.
    pub p1: Interval,
    /// Of the mean reciprocal rank.
    pub mrr: Interval,
    /// Examples that this side alone has right.
    pub won: usize,
    /// Examples that the first side alone has right.
    pub lost: usize,
}

/// A difference and the middle 95 percent of what resampling makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The difference.
    pub difference: f64,
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

impl Interval {
    /// Whether it leaves out 0.
    pub fn is_clear(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// Compares every side with the first on the examples that all were asked, drawn `samples` times.
///
/// # Errors
/// Sides without an example in common.
pub fn compare(sides: &[Side], samples: usize, seed: u64) -> Result<Comparison, CompareError> {
    let Some(first) = sides.first() else {
        return Ok(Comparison { examples: 0, left_out: 0, samples, sides: Vec::new() });
    };
    let by_question: Vec<HashMap<Question<'_>, usize>> = sides.iter().map(questions).collect();
    let mut common: Vec<Question<'_>> = by_question[0].keys().copied().collect();
    for (side, asked) in sides.iter().zip(&by_question).skip(1) {
        common.retain(|question| asked.contains_key(question));
        if common.is_empty() {
            let (first, other) = (first.name.clone(), side.name.clone());
            return Err(CompareError::NothingInCommon { first, other });
        }
    }
    // A hash map has no order of its own.
    common.sort_unstable();
    let most = by_question.iter().map(HashMap::len).max().unwrap_or(0);
    let ranks: Vec<Vec<usize>> = by_question
        .iter()
        .map(|ranks| common.iter().map(|question| ranks[question]).collect())
        .collect();
    let right: Vec<Vec<f64>> = ranks.iter().map(|r| each(r, |r| f64::from(r == 1))).collect();
    let reciprocal: Vec<Vec<f64>> = ranks.iter().map(|r| each(r, |r| 1.0 / r as f64)).collect();
    let compared = |(place, side): (usize, &Side)| {
        let difference = (place > 0).then(|| {
            let (p1, mrr) = ((&right[0], &right[place]), (&reciprocal[0], &reciprocal[place]));
            let [p1, mrr] = intervals([p1, mrr], samples, seed);
            let pairs = || ranks[0].iter().zip(&ranks[place]);
            let won = pairs().filter(|(first, own)| **own == 1 && **first != 1).count();
            let lost = pairs().filter(|(first, own)| **own != 1 && **first == 1).count();
            Differences { p1, mrr, won, lost }
        });
        let (p1, mrr) = (mean(&right[place]), mean(&reciprocal[place]));
        Compared { name: side.name.clone(), p1, mrr, difference }
    };
    Ok(Comparison {
        examples: common.len(),
        left_out: most - common.len(),
        samples,
        sides: sides.iter().enumerate().map(compared).collect(),
    })
}

/// What is asked and what would be right. The index tells apart what is asked twice.
type Question<'a> = (usize, &'a ptuning_core::template::Fields, &'a str);

/// Ranks of a side's answers, by what was asked.
fn questions(side: &Side) -> HashMap<Question<'_>, usize> {
    let rank = |example: &'_ Judged| side.verdict(example).map(|verdict| verdict.rank);
    let asked = side.examples.iter().filter_map(|example| {
        Some(((example.index, &example.input, example.answer.as_str()), rank(example)?))
    });
    asked.collect()
}

fn each(ranks: &[usize], of: impl Fn(usize) -> f64) -> Vec<f64> {
    ranks.iter().map(|&rank| of(rank)).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Intervals of the mean differences of pairs, all of the same drawn examples.
fn intervals<const N: usize>(
    pairs: [(&Vec<f64>, &Vec<f64>); N],
    samples: usize,
    seed: u64,
) -> [Interval; N] {
    let differences =
        pairs.map(|(first, own)| own.iter().zip(first).map(|(o, f)| o - f).collect::<Vec<f64>>());
    let count = differences.first().map_or(0, Vec::len);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(samples));
    for _ in 0..samples {
        let mut sums = [0.0; N];
        for _ in 0..count {
            let example = rng.random_range(0..count);
            for (sum, differences) in sums.iter_mut().zip(&differences) {
                *sum += differences[example];
            }
        }
        for (drawn, sum) in drawn.iter_mut().zip(sums) {
            drawn.push(sum / count as f64);
        }
    }
    let mut of = drawn.into_iter().zip(&differences).map(|(mut drawn, differences)| {
        drawn.sort_by(f64::total_cmp);
        Interval {
            difference: mean(differences),
            low: percentile(&drawn, 0.025),
            high: percentile(&drawn, 0.975),
        }
    });
    std::array::from_fn(|_| of.next().unwrap_or(Interval { difference: 0.0, low: 0.0, high: 0.0 }))
}

/// A percentile of sorted numbers, straight between the two that it lies between, as NumPy has it.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}
