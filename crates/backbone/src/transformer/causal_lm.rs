//! A left-to-right language model: word embeddings, layers, a head.

use burn::tensor::{Device, Tensor};
use ptuning_core::language_model::{LanguageModel, Layout, Objective};

use super::{Table, Transformer};

/// A frozen causal language model of any family.
#[derive(Debug)]
pub struct CausalLm {
    /// `[vocab, hidden]`
    pub embeddings: Table,
    /// The layers.
    pub transformer: Transformer,
    /// `[vocab, hidden]`, the embeddings once more if they are tied.
    pub head: Table,
    /// Rows of the embedding table.
    pub vocab: usize,
    /// Width of an embedding.
    pub hidden: usize,
    /// Longest sequence.
    pub max_positions: usize,
}

impl LanguageModel for CausalLm {
    fn objective(&self) -> Objective {
        Objective::Causal
    }

    fn vocab_size(&self) -> usize {
        self.vocab
    }

    fn hidden_size(&self) -> usize {
        self.hidden
    }

    fn max_positions(&self) -> usize {
        self.max_positions
    }

    fn device(&self) -> Device {
        self.embeddings.device()
    }

    fn shares_prefix(&self) -> bool {
        self.transformer.shares_prefix()
    }

    fn word_embeddings(&self) -> Tensor<2> {
        self.embeddings.all()
    }

    fn embed(&self, ids: &[u32]) -> Tensor<2> {
        self.embeddings.rows(ids)
    }

    fn encode(&self, embeddings: Tensor<2>, layout: &Layout) -> Tensor<2> {
        self.transformer.forward(embeddings, layout)
    }

    fn head(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.head.scores(hidden)
    }

    fn loss(&self, hidden: Tensor<2>, answers: &[u32], examples: usize) -> (Tensor<1>, Tensor<1>) {
        self.head.loss(hidden, answers, examples)
    }
}
