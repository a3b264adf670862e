//! A finished prompt: a bound template and its vectors, from a run or from an export.

use std::path::Path;
use std::sync::Arc;

use backbone::Backbone;
use backbone::transformer::TransformerLm;
use burn::tensor::Tensor;
use ptuning_core::language_model::LanguageModel;
use ptuning_core::prompt_encoder::{Initializer, PromptEncoder};
use ptuning_core::spans::SpanRules;
use ptuning_core::template::BoundTemplate;
use ptuning_core::verbalizer::Verbalizer;

use crate::checkpoint::{Checkpoint, CheckpointError, Header, check_identity};
use crate::error::Error;
use crate::parameters;
use crate::strategy::TunedLm;
use crate::task::bind;

/// A template with the vectors of its virtual tokens.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The template, bound to the backbone.
    pub template: BoundTemplate,
    /// h_0 … h_m, `[prompt, hidden]`, or a prefix, `[prefix, prefix_width]`; without autodiff. `None` for a
    /// template of plain words.
    pub vectors: Option<Tensor<2>>,
    /// What may answer.
    pub verbalizer: Verbalizer,
    /// Which spans of a sentence it asks about, where answers are entities.
    pub spans: Option<SpanRules>,
    /// The language model that it learned with; `None` for the backbone as it is.
    pub lm: Option<Arc<TransformerLm>>,
}

impl Prompt {
    /// The language model that answers.
    pub fn language_model<'a>(&'a self, backbone: &'a Backbone) -> &'a dyn LanguageModel {
        match &self.lm {
            Some(lm) => lm.as_ref(),
            None => backbone.model.as_ref(),
        }
    }
}

impl Prompt {
    /// The prompt of a checkpoint's file, such as [`crate::run_dir::RunDir::best`].
    ///
    /// # Errors
    /// A file that is no checkpoint, and as [`from_checkpoint`](Self::from_checkpoint).
    pub fn load(file: &Path, backbone: &Backbone) -> Result<Self, Error> {
        Self::from_checkpoint(&Checkpoint::load(file)?, file, backbone)
    }

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
        let hidden = backbone.model.hidden_size();
        let width = prefix_width(&template, backbone).unwrap_or(hidden);
        let expected = vec![template.prompt_len(), hidden, width];
        let found = vec![config.prompt, config.hidden, config.width()];
        if found != expected {
            let name = "embedding".to_owned();
            return Err(CheckpointError::Parameter { name, expected, found: Some(found) }.into());
        }
        let device = backbone.model.device();
        let lm = match &checkpoint.header.lm {
            None => None,
            Some(header) => {
                let model = backbone::trainable(&backbone.path, &device)?;
                Some(Arc::new(TunedLm::frozen_from(&model, header, &checkpoint.lm)?))
            }
        };
        let verbalizer = checkpoint.verbalizer.clone();
        let spans = checkpoint.header.spans.clone();
        if config.prompt == 0 {
            return Ok(Self { vectors: None, template, verbalizer, spans, lm });
        }
        let zeros = Tensor::zeros(config.start_shape(), &device);
        let encoder = PromptEncoder::new(config, zeros, &mut Initializer::new(0), &device);
        let encoder = parameters::with_values(encoder, &checkpoint.encoder)?;
        Ok(Self { vectors: Some(encoder.forward()), template, verbalizer, spans, lm })
    }
}

/// Numbers of a prefix's row, where a template has one.
pub(crate) fn prefix_width(template: &BoundTemplate, backbone: &Backbone) -> Option<usize> {
    let has_one = template.template().prefix() > 0;
    backbone.model.prefix_shape().filter(|_| has_one).map(|shape| shape.width())
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
