//! Passages of a text file as a language model's training examples.
//!
//! What a passage asks is a function of seed, epoch and its place in the file, so that a resumed run
//! asks what an uninterrupted one would have.

use std::path::Path;

use ptuning_core::language_model::{Objective, SpecialTokens, Tokenize};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::data::{DataError, passages};
use crate::error::Error;
use crate::settings::TextSettings;

/// Passages as token ids, between what opens and what closes a sequence.
#[derive(Debug, Clone)]
pub struct Text {
    train: Vec<Vec<u32>>,
    dev: Vec<Vec<u32>>,
    special: SpecialTokens,
    objective: Objective,
    vocabulary: u32,
    mask_share: f64,
    seed: u64,
    /// Passages that were cut to the longest that is allowed.
    pub cut: usize,
}

/// Which part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What is learned from, in an epoch from 0.
    Train(usize),
    /// What is held out: it always asks the same.
    Dev,
}

/// A passage as it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Token ids, some of them masked.
    pub ids: Vec<u32>,
    /// Positions that answer, in ascending order.
    pub positions: Vec<usize>,
    /// What they answer.
    pub answers: Vec<u32>,
}

impl Text {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read or is not UTF-8, fewer passages than dev needs, a tokenizer without a
    /// mask.
    pub fn read(
        settings: &TextSettings,
        seed: u64,
        tokenizer: &dyn Tokenize,
        objective: Objective,
        vocabulary: usize,
        max_positions: usize,
    ) -> Result<Self, Error> {
        let special = tokenizer.special().clone();
        if objective == Objective::Masked && special.mask.is_none() {
            return Err(Error::NoMask);
        }
        let around = special.prefix.len() + special.suffix.len();
        let most = settings.max_tokens.min(max_positions).saturating_sub(around).max(2);
        let mut cut = 0;
        let mut passages = Vec::new();
        for line in lines(&settings.path, settings.limit)? {
            let mut ids = tokenizer.ids(&line);
            cut += usize::from(ids.len() > most);
            ids.truncate(most);
            // A causal model needs something to go on from.
            if ids.len() >= 2 {
                passages.push([special.prefix.as_slice(), &ids, &special.suffix].concat());
            }
        }
        if passages.len() <= settings.dev {
            return Err(Error::ShortText {
                file: settings.path.clone(),
                found: passages.len(),
                dev: settings.dev,
            });
        }
        passages.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let train = passages.split_off(settings.dev);
        let (vocabulary, mask_share) = (vocabulary as u32, settings.mask);
        Ok(Self { train, dev: passages, special, objective, vocabulary, mask_share, seed, cut })
    }

    /// Tokens of each passage.
    pub fn lengths(&self, part: Part) -> Vec<usize> {
        self.passages(part).iter().map(Vec::len).collect()
    }

    /// Number of passages.
    pub fn count(&self, part: Part) -> usize {
        self.passages(part).len()
    }

    fn passages(&self, part: Part) -> &[Vec<u32>] {
        match part {
            Part::Train(_) => &self.train,
            Part::Dev => &self.dev,
        }
    }

    /// A passage as a model is asked about it: for a causal one each token after the first, for a masked
    /// one a share of the tokens, of which 80 % are masked, 10 % are another token and 10 % stand as
    /// they are (Devlin et al. 2019, arXiv:1810.04805, 3.1).
    pub fn asked(&self, part: Part, index: usize) -> Asked {
        let mut ids = self.passages(part)[index].clone();
        let Some(mask) = self.special.mask.filter(|_| self.objective == Objective::Masked) else {
            let answers = ids[1..].to_vec();
            return Asked { positions: (0..answers.len()).collect(), ids, answers };
        };
        let stream = match part {
            Part::Train(epoch) => epoch as u64 + 1,
            Part::Dev => 0,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(stream << 32 | index as u64);
        let words = self.special.prefix.len()..ids.len() - self.special.suffix.len();
        let mut positions: Vec<usize> =
            words.clone().filter(|_| rng.random_bool(self.mask_share)).collect();
        if positions.is_empty() {
            positions.push(rng.random_range(words));
        }
        let mut answers = Vec::with_capacity(positions.len());
        for &position in &positions {
            answers.push(ids[position]);
            match rng.random_range(0..10) {
                0..8 => ids[position] = mask,
                8 => ids[position] = rng.random_range(0..self.vocabulary),
                _ => {}
            }
        }
        Asked { ids, positions, answers }
    }
}

/// Passages of a file, at least one.
fn lines(path: &Path, limit: Option<usize>) -> Result<Vec<String>, DataError> {
    let lines = passages(path)?.take(limit.unwrap_or(usize::MAX)).collect::<Result<Vec<_>, _>>()?;
    if lines.is_empty() {
        return Err(DataError::EmptyFile { path: path.to_owned() });
    }
    Ok(lines)
}
