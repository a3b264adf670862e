//! A finished prompt: a bound template and its vectors, from a run or from an export.

use burn::tensor::Tensor;
use ptuning_core::template::BoundTemplate;
use ptuning_core::verbalizer::OpenVocabulary;

/// A template with the vectors of its virtual tokens.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The template, bound to the backbone.
    pub template: BoundTemplate,
    /// h_0 … h_m, `[prompt, hidden]`, without autodiff; `None` for a template of plain words.
    pub vectors: Option<Tensor<2>>,
    /// Which words may answer.
    pub verbalizer: OpenVocabulary,
}
