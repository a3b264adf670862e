//! A left-to-right language model: word embeddings, layers, a head.

use burn::tensor::{Device, Tensor};
use ptuning_core::language_model::{LanguageModel, Layout, Objective};

use super::{Description, Options, Table, Transformer};
use crate::error::LoadError;
use crate::layers::Loader;

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

impl CausalLm {
    /// Reads a model onto the loader's device.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    pub fn load(
        description: &Description,
        loader: &Loader<'_>,
        options: Options,
    ) -> Result<Self, LoadError> {
        let Description { recipe, embeddings, head, max_positions } = description;
        let (vocab, hidden) = (embeddings.out, embeddings.inner);
        let embeddings = Table::load(loader, &embeddings.weight, vocab, hidden)?;
        let head = match head {
            Some(head) => Table::load(loader, &head.weight, vocab, hidden)?,
            None => embeddings.clone(),
        };
        let transformer = Transformer::load(recipe, loader, options)?;
        let max_positions = *max_positions;
        Ok(Self { embeddings, transformer, head, vocab, hidden, max_positions })
    }
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
