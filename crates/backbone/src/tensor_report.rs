//! Which tensors of a backbone's files are used, and which do not fit its config.
//!
//! Told from headers alone: no weight is read.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use ptuning_core::language_model::Objective;

use crate::error::LoadError;
use crate::source::{Weights, nearest, resolve};
use crate::transformer::Description;

/// Lines of an error about tensors.
const SHOWN: usize = 8;

/// What became of every tensor that a family needs and that the files hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TensorReport {
    /// The file, or the index of the files.
    pub file: PathBuf,
    /// Tensors of the files that are used, in the order in which the family names them.
    pub applied: Vec<String>,
    /// Tensors that the family needs and that are not there.
    pub missing: Vec<MissingTensor>,
    /// Tensors of another shape than the config says.
    pub misshapen: Vec<MisshapenTensor>,
    /// Tensors that nothing asks for.
    pub unused: Vec<String>,
    /// Tensors that nothing asks for either, but that are known to be harmless: buffers that are
    /// computed, heads of other tasks, copies of tied embeddings.
    pub not_needed: Vec<String>,
}

/// A tensor that the family needs and that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTensor {
    /// Its name.
    pub name: String,
    /// Its shape by the config.
    pub shape: Vec<usize>,
    /// The most similar name of a tensor that nothing asks for, or else of any.
    pub nearest: Option<String>,
}

/// A tensor of another shape than the config says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MisshapenTensor {
    /// Its name in the file.
    pub name: String,
    /// Its shape by the config.
    pub expected: Vec<usize>,
    /// Its shape in the file.
    pub found: Vec<usize>,
}

impl TensorReport {
    /// Compares what a description asks for with what the files hold.
    pub(crate) fn new(description: &Description, weights: &dyn Weights) -> Self {
        let names = weights.names();
        let mut report = Self { file: weights.path().to_owned(), ..Self::default() };
        let mut used: HashSet<String> = HashSet::new();
        for (name, expected) in description.tensors() {
            let Some(found) = resolve(weights, &name) else {
                report.missing.push(MissingTensor { name, shape: expected, nearest: None });
                continue;
            };
            let shape = weights.shape(&found).unwrap_or_default();
            if shape == expected {
                report.applied.push(found.clone());
            } else {
                let misshapen = MisshapenTensor { name: found.clone(), expected, found: shape };
                report.misshapen.push(misshapen);
            }
            used.insert(found);
        }
        let embeddings = [description.embeddings.out, description.embeddings.inner];
        for name in names.iter().filter(|name| !used.contains(*name)) {
            let tied = description.head.is_none()
                && is_head(name)
                && weights
                    .shape(name)
                    .is_some_and(|shape| shape == embeddings || shape == embeddings[..1]);
            let kept =
                if tied || is_leftover(name) { &mut report.not_needed } else { &mut report.unused };
            kept.push(name.clone());
        }
        // As many as are ever shown: every name is compared with every other.
        for missing in report.missing.iter_mut().take(4 * SHOWN) {
            let unused = report.unused.iter().map(String::as_str);
            let close = nearest(&missing.name, unused);
            let close = close.or_else(|| nearest(&missing.name, names.iter().map(String::as_str)));
            missing.nearest = close.map(str::to_owned);
        }
        report
    }

    /// Whether a backbone can be made of the files.
    pub fn fits(&self) -> bool {
        self.missing.is_empty() && self.misshapen.is_empty()
    }

    /// Number of tensors in the files.
    pub fn total(&self) -> usize {
        let Self { applied, misshapen, unused, not_needed, .. } = self;
        applied.len() + misshapen.len() + unused.len() + not_needed.len()
    }

    /// Refuses files that do not fit.
    ///
    /// `saved` is the class that the files were saved from, as `architectures` of a config.json has it.
    ///
    /// # Errors
    /// [`LoadError::NoHead`] where the whole head is missing, [`LoadError::Tensors`] with all problems
    /// at once.
    pub(crate) fn check(
        &self,
        description: &Description,
        saved: Option<&str>,
    ) -> Result<(), LoadError> {
        if self.fits() {
            return Ok(());
        }
        let head = description.head_tensors();
        let is_missing = |name: &&str| self.missing.iter().any(|missing| missing.name == *name);
        if !head.is_empty() && head.iter().all(is_missing) {
            return Err(self.no_head(&head, description, saved));
        }
        Err(LoadError::Tensors(Box::new(self.clone())))
    }

    fn no_head(&self, head: &[&str], description: &Description, saved: Option<&str>) -> LoadError {
        let (kind, ending) = match description.objective {
            _ if description.decoder.is_some() => ("language-model", "ForConditionalGeneration"),
            Objective::Masked => ("masked-LM", "ForMaskedLM"),
            Objective::Causal => ("language-model", "ForCausalLM"),
        };
        // BertModel, BertForSequenceClassification
        let base = saved.and_then(|class| {
            class.strip_suffix("Model").or_else(|| Some(class.split_once("For")?.0))
        });
        let needed =
            base.map_or_else(|| format!("a class …{ending}"), |base| format!("{base}{ending}"));
        let saved = match saved {
            Some(class) if class == needed => format!("though its config says {class}"),
            Some(class) => format!("it was saved from {class}"),
            None => "it was saved without one".to_owned(),
        };
        LoadError::NoHead { file: self.file.clone(), kind, head: common_part(head), saved, needed }
    }
}

/// All problems, one to a line, for an error.
impl fmt::Display for TensorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.missing.len() + self.misshapen.len();
        let (s, do_not) = if count == 1 { ("", "does not") } else { ("s", "do not") };
        write!(f, "{}: {count} tensor{s} {do_not} fit the config", self.file.display())?;
        let misshapen = self.misshapen.iter().map(ToString::to_string);
        let missing = self.missing.iter().map(ToString::to_string);
        for line in misshapen.chain(missing).take(SHOWN) {
            write!(f, "\n  {line}")?;
        }
        if count > SHOWN {
            write!(f, "\n  and {} more", count - SHOWN)?;
        }
        Ok(())
    }
}

impl fmt::Display for MissingTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no tensor '{}', {:?}", self.name, self.shape)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; the nearest is '{nearest}'"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for MisshapenTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, expected, found } = self;
        write!(f, "tensor '{name}': expected shape {expected:?} by the config, found {found:?}")
    }
}

/// What the names of a head begin with: `cls.predictions` of all of BERT's.
fn common_part(names: &[&str]) -> String {
    let first = names.first().copied().unwrap_or_default();
    let parts: Vec<&str> = first.split('.').collect();
    let shared = |count: &usize| {
        let prefix = format!("{}.", parts[..*count].join("."));
        names.iter().all(|name| name.starts_with(&prefix))
    };
    let count = (1..parts.len()).rev().find(shared);
    parts[..count.unwrap_or_else(|| parts.len().saturating_sub(1).max(1))].join(".")
}

/// Heads that repeat the embeddings, and biases that repeat the head's own.
fn is_head(name: &str) -> bool {
    const HEADS: [&str; 7] = [
        "lm_head",
        "lm_head.decoder",
        "cls.predictions.decoder",
        "predictions.decoder",
        "vocab_projector",
        "generator_lm_head",
        "decoder",
    ];
    let head = name.strip_suffix(".weight").or_else(|| name.strip_suffix(".bias"));
    head.is_some_and(|head| HEADS.contains(&head) || head == "embed_out")
}

/// Buffers that are computed, and heads of tasks that a prompt does not ask for.
fn is_leftover(name: &str) -> bool {
    const BUFFERS: [&str; 6] = [
        "position_ids",
        "token_type_ids",
        "inv_freq",
        "masked_bias",
        // The causal mask of GPT-2 and GPT-NeoX.
        "attn.bias",
        "attention.bias",
    ];
    const PARTS: [&str; 4] =
        ["pooler", "seq_relationship", "sop_classifier", "discriminator_predictions"];
    let ends_with = |buffer: &str| {
        name.strip_suffix(buffer).is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    BUFFERS.iter().any(|buffer| ends_with(buffer))
        || name.split('.').any(|part| PARTS.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_told_from_weights() {
        for name in [
            "bert.embeddings.position_ids",
            "embeddings.position_ids",
            "bert.pooler.dense.weight",
            "cls.seq_relationship.bias",
            "h.0.attn.bias",
            "model.layers.3.self_attn.rotary_emb.inv_freq",
        ] {
            assert!(is_leftover(name), "{name}");
        }
        for name in
            ["h.0.attn.c_attn.bias", "classifier.weight", "bert.encoder.layer.9.output.dense.bias"]
        {
            assert!(!is_leftover(name), "{name}");
        }
    }

    #[test]
    fn a_head_is_named_by_what_its_tensors_share() {
        let bert = ["cls.predictions.transform.dense.weight", "cls.predictions.bias"];
        assert_eq!(common_part(&bert), "cls.predictions");
        assert_eq!(common_part(&["lm_head.weight"]), "lm_head");
        assert_eq!(
            common_part(&["vocab_transform.weight", "vocab_projector.bias"]),
            "vocab_transform"
        );
    }
}
