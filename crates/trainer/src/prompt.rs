//! A finished prompt: a bound template and its vectors, from a run or from an export.

use std::path::Path;

use backbone::Backbone;
use burn::tensor::Tensor;
use ptuning_core::prompt_encoder::{Initializer, PromptEncoder};
use ptuning_core::template::BoundTemplate;
use ptuning_core::verbalizer::Verbalizer;

use crate::checkpoint::{Checkpoint, CheckpointError, Header, check_identity};
use crate::error::Error;
use crate::parameters;
use crate::task::bind;

/// A template with the vectors of its virtual tokens.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The template, bound to the backbone.
    pub template: BoundTemplate,
    /// h_0 … h_m, `[prompt, hidden]`, without autodiff; `None` for a template of plain words.
    pub vectors: Option<Tensor<2>>,
    /// What may answer.
    pub verbalizer: Verbalizer,
}

impl Prompt {
    /// The prompt of a checkpoint, its vectors computed by its encoder. Needs no data.
    ///
    /// # Errors
    /// A checkpoint of another backbone, or one whose parameters do not fit its own header.
    pub fn from_checkpoint(
        checkpoint: &Checkpoint,
        file: &Path,
        backbone: &Backbone,
    ) -> Result<Self, Error> {
        check_backbone(&checkpoint.header, backbone, file)?;
        let template = bind("the checkpoint's template", &checkpoint.header.template, backbone)?;
        let config = &checkpoint.header.encoder;
        let expected = vec![template.prompt_len(), backbone.model.hidden_size()];
        let found = vec![config.prompt, config.hidden];
        if found != expected {
            let name = "embedding".to_owned();
            return Err(CheckpointError::Parameter { name, expected, found: Some(found) }.into());
        }
        let device = backbone.model.device();
        let zeros = Tensor::zeros([config.prompt, config.hidden], &device);
        let encoder = PromptEncoder::new(config, zeros, &mut Initializer::new(0), &device);
        let encoder = parameters::with_values(encoder, &checkpoint.encoder)?;
        let verbalizer = checkpoint.verbalizer.clone();
        Ok(Self { vectors: Some(encoder.forward()), template, verbalizer })
    }
}

/// Refuses a checkpoint that was trained on another backbone.
pub(crate) fn check_backbone(
    header: &Header,
    backbone: &Backbone,
    file: &Path,
) -> Result<(), Error> {
    let hint = "set backbone.source to the backbone it was trained on";
    Ok(check_identity(file, &header.backbone, &backbone.identity, hint)?)
}
