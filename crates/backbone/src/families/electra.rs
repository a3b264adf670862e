//! ELECTRA's generator.
//!
//! Clark et al. 2020 (arXiv:2003.10555); upstream: `modeling_electra.py` of Hugging Face transformers,
//! `ElectraForMaskedLM`. BERT's layers behind embeddings that may be narrower than they are. A
//! discriminator has no head that predicts words, and its files are refused for the lack of it.

use kernels::activation::Activation;
use ptuning_core::language_model::Objective;

use super::bert::BertConfig;
use crate::config::Config;
use crate::error::LoadError;
use crate::transformer::{Description, InputRecipe, LinearRecipe, NormRecipe, TransformRecipe};

/// What an ELECTRA generator's files hold.
///
/// # Errors
/// A config that contradicts itself, or a variant that is not built in.
pub fn describe(config: &Config<'_>) -> Result<Description, LoadError> {
    let sizes = BertConfig::read(config)?;
    let BertConfig { vocab, embedding, hidden, epsilon, .. } = sizes;
    let project = LinearRecipe::new("electra.embeddings_project", hidden, embedding);
    let head = LinearRecipe::new("generator_lm_head", vocab, embedding).without_bias();
    Ok(Description {
        objective: Objective::Masked,
        embeddings: sizes.words("electra"),
        embedding_scale: None,
        input: InputRecipe {
            project: (embedding != hidden).then_some(project),
            ..sizes.input("electra", 0)
        },
        recipe: sizes.recipe("electra"),
        decoder: None,
        transform: Some(TransformRecipe {
            dense: LinearRecipe::new("generator_predictions.dense", embedding, hidden),
            // Not the config's: upstream has it written out.
            activation: Activation::Gelu,
            norm: NormRecipe::layer("generator_predictions.LayerNorm", epsilon),
        }),
        head: (!sizes.tied).then_some(head),
        head_bias: Some("generator_lm_head.bias".to_owned()),
        max_positions: sizes.positions,
    })
}
