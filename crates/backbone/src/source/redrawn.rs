//! A backbone that knows nothing: its shapes, with every weight drawn anew.
//!
//! The control of Zhong et al. 2021 (arXiv:2104.05240): what a prompt learns on top of such a model it has
//! learned from its training data, and asked of no language model. Drawn as Hugging Face initialises its
//! models: matrices from a normal distribution of standard deviation 0.02, norms 1, biases 0.

use std::path::Path;

use kernels::frozen::Values;
use ptuning_core::prompt_encoder::Initializer;
use sha2::{Digest, Sha256};

use super::identity::sha256_of_parts;
use super::{Dtype, Identity, SourceError, Weights};

/// Standard deviation of drawn matrices.
const STD: f64 = 0.02;

/// Another source's names and shapes.
pub(crate) struct Redrawn<'a>(pub &'a dyn Weights);

impl Redrawn<'_> {
    /// The same numbers each time for a tensor of one name and shape.
    fn draw(&self, name: &str) -> Result<Vec<f32>, SourceError> {
        let shape = self.shape(name).ok_or_else(|| self.missing(name))?;
        let count = shape.iter().product();
        if shape.len() < 2 {
            let is_bias = name.ends_with("bias") || name.ends_with("beta");
            return Ok(vec![if is_bias { 0.0 } else { 1.0 }; count]);
        }
        let digest = Sha256::digest(name.as_bytes());
        let seed = digest.iter().take(8).fold(0, |seed, &byte| seed << 8 | u64::from(byte));
        let drawn = Initializer::new(seed).normal([count], STD);
        Ok(drawn.iter::<f32>().collect())
    }
}

impl Weights for Redrawn<'_> {
    fn names(&self) -> Vec<String> {
        self.0.names()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.shape(name)
    }

    fn dtype(&self, name: &str) -> Option<Dtype> {
        self.0.shape(name).map(|_| Dtype::F32)
    }

    fn read_f32(&self, name: &str, out: &mut [f32]) -> Result<(), SourceError> {
        let drawn = self.draw(name)?;
        SourceError::check_length(self.path(), name, drawn.len(), out.len())?;
        out.copy_from_slice(&drawn);
        Ok(())
    }

    fn read_values(&self, name: &str) -> Result<Values, SourceError> {
        Ok(Values::F32(self.draw(name)?))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Another identity than that of the trained weights, so that neither takes the other's prompts.
pub(crate) fn identity(of: Identity) -> Identity {
    let sha256 = sha256_of_parts([of.sha256.as_bytes(), b"random weights"]);
    let mut file = of.file.into_os_string();
    file.push(" with random weights");
    Identity { sha256, file: file.into(), ..of }
}
