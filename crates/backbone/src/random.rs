//! Models of random weights: to see what a size costs without having one of that size.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use kernels::activation::Activation;
use kernels::frozen::{Bits, Grouped, Values};
use kernels::rotary::Rope;

use crate::error::LoadError;
use crate::families::bert::{self, BertConfig};
use crate::families::gpt2::{self, Gpt2Config};
use crate::families::llama::{self, LlamaConfig};
use crate::source::{Dtype, SourceError, Weights};
use crate::transformer::Description;

/// Numbers that share a scale.
const GROUP: usize = 32;

/// A family that random weights can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RandomFamily {
    /// A causal language model.
    Llama,
    /// The same with biases of queries, keys and values.
    Qwen2,
    /// A causal language model with LayerNorm, biases and learned positions.
    Gpt2,
    /// A masked language model.
    Bert,
}

/// How random matrices are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RandomDtype {
    /// Four bytes a number.
    F32,
    /// Eight bits a number, and a scale for every 32 of a row.
    Q8,
}

/// Sizes of a random model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomSizes {
    /// Its family.
    pub family: RandomFamily,
    /// How its matrices are stored.
    pub weights: RandomDtype,
    /// Embedding width, a multiple of 32.
    pub hidden: usize,
    /// Feed-forward width, a multiple of 32.
    pub intermediate: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Rows of the embedding table.
    pub vocab: usize,
}

impl RandomSizes {
    /// A model with a tied head.
    pub(crate) fn describe(&self) -> Result<Description, LoadError> {
        let Self { family, hidden, intermediate, layers, heads, kv_heads, vocab, .. } = *self;
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
        Ok(match family {
            RandomFamily::Llama | RandomFamily::Qwen2 => llama::description(&LlamaConfig {
                vocab,
                hidden,
                intermediate,
                layers,
                heads,
                kv_heads,
                head_dim: hidden / heads,
                epsilon: 1e-5,
                rope: Rope::new(hidden / heads, 10_000.0),
                max_positions: 8192,
                tied: true,
                biases: family == RandomFamily::Qwen2,
                head_norms: false,
            }),
            RandomFamily::Bert | RandomFamily::Gpt2 if kv_heads != heads => {
                return wrong(format!(
                    "a BERT or a GPT-2 has as many key heads as heads, not {kv_heads}"
                ));
            }
            RandomFamily::Gpt2 => gpt2::description(&Gpt2Config {
                vocab,
                hidden,
                intermediate,
                layers,
                heads,
                activation: Activation::GeluTanh,
                epsilon: 1e-5,
                positions: 1024,
                tied: true,
            }),
            RandomFamily::Bert => bert::description(&BertConfig {
                vocab,
                embedding: hidden,
                hidden,
                intermediate,
                layers,
                heads,
                activation: Activation::Gelu,
                epsilon: 1e-12,
                segments: 2,
                positions: 512,
                tied: true,
            }),
        })
    }
}

/// Matrices of noise as large as trained ones, and vectors of ones.
pub(crate) struct RandomWeights {
    shapes: HashMap<String, Vec<usize>>,
    dtype: RandomDtype,
}

impl RandomWeights {
    pub fn new(description: &Description, dtype: RandomDtype) -> Self {
        let matrices =
            description.matrices().map(|m| (m.weight.clone(), m.weight_shape().to_vec()));
        let numbers = description.numbers().into_iter().map(|(name, n)| (name.to_owned(), n));
        Self { shapes: matrices.chain(numbers).collect(), dtype }
    }
}

impl Weights for RandomWeights {
    fn names(&self) -> Vec<String> {
        self.shapes.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.shapes.get(name).cloned()
    }

    fn dtype(&self, name: &str) -> Option<Dtype> {
        let shape = self.shapes.get(name)?;
        let quantised = shape.len() == 2 && self.dtype == RandomDtype::Q8;
        Some(if quantised { Dtype::Q8_0 } else { Dtype::F32 })
    }

    fn read_f32(&self, name: &str, out: &mut [f32]) -> Result<(), SourceError> {
        let Some([_, inner]) = self.shapes.get(name).map(Vec::as_slice) else {
            out.fill(1.0);
            return Ok(());
        };
        let scale = scale(*inner);
        let mut noise = Noise::new(name);
        out.iter_mut().for_each(|out| *out = scale * f32::from(noise.next()));
        Ok(())
    }

    fn read_values(&self, name: &str) -> Result<Values, SourceError> {
        let Some([out, inner]) = self.shapes.get(name).map(Vec::as_slice) else {
            return Err(self.missing(name));
        };
        if self.dtype == RandomDtype::F32 {
            return Ok(Values::F32(self.read_vec(name)?));
        }
        let (count, mut noise) = (out * inner, Noise::new(name));
        Ok(Values::Grouped(Grouped {
            quants: (0..count).map(|_| noise.next()).collect(),
            bits: Bits::Eight,
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
