//! RoBERTa and XLM-RoBERTa.
//!
//! Liu et al. 2019 (arXiv:1907.11692), Conneau et al. 2020 (arXiv:1911.02116); upstream:
//! `modeling_roberta.py` of Hugging Face transformers, `RobertaForMaskedLM`. BERT's layers; positions
//! count from the padding id's successor, so the table's first rows belong to none.

use kernels::activation::Activation;
use ptuning_core::language_model::Objective;

use super::bert::BertConfig;
use crate::config::Config;
use crate::error::LoadError;
use crate::transformer::{Description, LinearRecipe, NormRecipe, TransformRecipe};

/// What a RoBERTa's files hold.
///
/// # Errors
/// A config that contradicts itself, or a variant that is not built in.
pub fn describe(config: &Config<'_>) -> Result<Description, LoadError> {
    let sizes = BertConfig::read(config)?;
    let BertConfig { vocab, hidden, epsilon, positions, .. } = sizes;
    let skipped = config.id("pad_token_id", 1)? + 1;
    if skipped >= positions {
        let what =
            format!("a table of {positions} positions, the first {skipped} of them for none");
        return Err(config.contradiction(what));
    }
    let head = LinearRecipe::new("lm_head.decoder", vocab, hidden).without_bias();
    Ok(Description {
        objective: Objective::Masked,
        embeddings: sizes.words("roberta"),
        embedding_scale: None,
        input: sizes.input("roberta", skipped),
        recipe: sizes.recipe("roberta"),
        decoder: None,
        transform: Some(TransformRecipe {
            dense: LinearRecipe::new("lm_head.dense", hidden, hidden),
            // Not the config's: upstream has it written out.
            activation: Activation::Gelu,
            norm: NormRecipe::layer("lm_head.layer_norm", epsilon),
        }),
        head: (!sizes.tied).then_some(head),
        head_bias: Some("lm_head.bias".to_owned()),
        max_positions: positions - skipped,
    })
}
