//! Models of random weights: to see what a size costs without having one of that size.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use kernels::frozen::{Grouped, Values};

use crate::error::LoadError;
use crate::families::llama::LlamaConfig;
use crate::source::{Dtype, SourceError, Weights};
use crate::transformer::Description;

/// Numbers that share a scale.
const GROUP: usize = 32;

/// Sizes of a random Llama.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomSizes {
    /// Embedding width, a multiple of 32.
    pub hidden: usize,
    /// Feed-forward width, a multiple of 32.
    pub intermediate: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Rows of the embedding table.
    pub vocab: usize,
}

impl RandomSizes {
    /// The config of a Llama with a tied head.
    pub(crate) fn config(&self) -> Result<LlamaConfig, LoadError> {
        let Self { hidden, intermediate, layers, heads, kv_heads, vocab } = *self;
        let wrong = |what: String| Err(LoadError::Sizes { file: PathBuf::from("random"), what });
        if [hidden, intermediate, layers, heads, kv_heads, vocab].contains(&0) {
            return wrong("every size has to be at least 1".to_owned());
        }
        if !hidden.is_multiple_of(2 * heads) || !heads.is_multiple_of(kv_heads) {
            return wrong(format!(
                "{heads} heads do not divide {hidden} into even widths, or {kv_heads} key heads not \
                 {heads} heads"
            ));
        }
        if !hidden.is_multiple_of(GROUP) || !intermediate.is_multiple_of(GROUP) {
            return wrong(format!("{hidden} and {intermediate} have to be multiples of {GROUP}"));
        }
        Ok(LlamaConfig {
            vocab,
            hidden,
            intermediate,
            layers,
            heads,
            kv_heads,
            head_dim: hidden / heads,
            epsilon: 1e-5,
            rope_theta: 10_000.0,
            max_positions: 8192,
            tied: true,
        })
    }
}

/// Eight-bit matrices of noise as large as trained ones, and vectors of ones.
pub(crate) struct RandomWeights(HashMap<String, Vec<usize>>);

impl RandomWeights {
    pub fn new(description: &Description) -> Self {
        let matrices = description.matrices().map(|m| (m.weight.clone(), vec![m.out, m.inner]));
        let vectors = description.vectors().into_iter().map(|(name, n)| (name.to_owned(), vec![n]));
        Self(matrices.chain(vectors).collect())
    }
}

impl Weights for RandomWeights {
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.get(name).cloned()
    }

    fn dtype(&self, name: &str) -> Option<Dtype> {
        let shape = self.0.get(name)?;
        Some(if shape.len() == 2 { Dtype::Q8_0 } else { Dtype::F32 })
    }

    fn read_f32(&self, name: &str, out: &mut [f32]) -> Result<(), SourceError> {
        let Some([_, inner]) = self.0.get(name).map(Vec::as_slice) else {
            out.fill(1.0);
            return Ok(());
        };
        let scale = scale(*inner);
        let mut noise = Noise::new(name);
        out.iter_mut().for_each(|out| *out = scale * f32::from(noise.next()));
        Ok(())
    }

    fn read_values(&self, name: &str) -> Result<Values, SourceError> {
        let Some([out, inner]) = self.0.get(name).map(Vec::as_slice) else {
            return Err(self.missing(name));
        };
        let (count, mut noise) = (out * inner, Noise::new(name));
        Ok(Values::Grouped(Grouped {
            quants: (0..count).map(|_| noise.next()).collect(),
            group: GROUP,
            scales: vec![scale(*inner); count / GROUP],
            offsets: Vec::new(),
        }))
    }

    fn path(&self) -> &Path {
        Path::new("random weights")
    }
}

/// Brings eight-bit noise to a standard deviation of 1/√inner.
fn scale(inner: usize) -> f32 {
    1.0 / (74.0 * (inner as f32).sqrt())
}

/// Xorshift: fast, and good enough for weights that mean nothing.
struct Noise(u64);

impl Noise {
    fn new(name: &str) -> Self {
        Self(
            name.bytes().fold(0x9e37_79b9_7f4a_7c15, |h, b| {
                (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
            }) | 1,
        )
    }

    fn next(&mut self) -> i8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as i8
    }
}
