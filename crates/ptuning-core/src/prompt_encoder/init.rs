//! Starts: random numbers from one portable generator, so that a seed gives the same prompt on
//! every backend and machine.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::objective::ids;
use crate::template::VirtualToken;

/// What the embedding of a prompt encoder starts from.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// Independent normal numbers.
    Normal {
        /// Their standard deviation.
        std: f64,
    },
    /// Embeddings of words drawn from the vocabulary.
    Vocabulary,
    /// Embeddings of these tokens, repeated as often as needed.
    Words(Vec<u32>),
}

/// Source of random starts.
#[derive(Debug, Clone)]
pub struct Initializer {
    rng: ChaCha8Rng,
}

impl Initializer {
    /// A generator that depends on the seed alone.
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Normal numbers around 0.
    pub fn normal<const D: usize>(&mut self, shape: [usize; D], std: f64) -> TensorData {
        let count = shape.iter().product();
        let draw = |_| {
            let value: f64 = StandardNormal.sample(&mut self.rng);
            (value * std) as f32
        };
        TensorData::new((0..count).map(draw).collect::<Vec<f32>>(), shape)
    }

    /// Uniform numbers in (-bound, bound).
    pub fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> TensorData {
        let count = shape.iter().product();
        let draw = |_| self.rng.random_range(-bound..bound) as f32;
        TensorData::new((0..count).map(draw).collect::<Vec<f32>>(), shape)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.rng.random_range(0..bound)
    }
}

/// The vectors that a prompt starts from.
///
/// Words that the template itself gives (`[h='words']`) come before `start`.
///
/// # Shapes
/// - `table`: the language model's word embeddings, `[vocab, hidden]`
/// - returns: `[prompt, hidden]`, on the table's device
pub fn initial_vectors(
    start: &Start,
    virtual_tokens: &[VirtualToken],
    table: &Tensor<2>,
    init: &mut Initializer,
) -> Tensor<2> {
    let device: Device = table.device();
    let [vocab, hidden] = table.dims();
    // Numbers are drawn for every token, so that a start from words does not shift the others.
    let drawn: Vec<u32> = match start {
        Start::Normal { .. } => vec![0; virtual_tokens.len()],
        Start::Vocabulary => virtual_tokens.iter().map(|_| init.below(vocab) as u32).collect(),
        Start::Words(words) => words
            .iter()
            .copied()
            .chain(words.is_empty().then_some(0))
            .cycle()
            .take(virtual_tokens.len())
            .collect(),
    };
    let rows =
        virtual_tokens.iter().zip(&drawn).map(|(token, &drawn)| token.start.unwrap_or(drawn));
    let words = table.clone().select(0, ids(&rows.collect::<Vec<_>>(), &device));
    let Start::Normal { std } = start else {
        return words;
    };
    let random = Tensor::from_data(init.normal([virtual_tokens.len(), hidden], *std), &device);
    let given = virtual_tokens.iter().map(|token| token.start.is_some());
    let given = TensorData::new(given.collect::<Vec<bool>>(), [virtual_tokens.len(), 1]);
    let given = Tensor::<2, burn::tensor::Bool>::from_data(given, &device);
    random.mask_where(given.expand([virtual_tokens.len(), hidden]), words)
}
