//! A language model of transformer layers: word embeddings, layers, perhaps a decoder behind them, a head.

use std::borrow::Cow;

use burn::tensor::{Device, Tensor};
use ptuning_core::language_model::{Inputs, LanguageModel, Layout, Objective, PrefixShape};

use super::{Decoder, Description, Input, Options, Table, Transform, Transformer};
use crate::error::LoadError;
use crate::layers::Loader;

/// A frozen language model of any family, left to right, both ways, or an encoder with a decoder.
#[derive(Debug)]
pub struct TransformerLm {
    objective: Objective,
    /// `[vocab, hidden]`
    embeddings: Table,
    scale: Option<f64>,
    input: Option<Input>,
    /// From an embedding's width to the layers'.
    project: Option<Table>,
    transformer: Transformer,
    /// What answers in place of the transformer's own rows.
    decoder: Option<Decoder>,
    transform: Option<Transform>,
    /// `[vocab, hidden]`, the embeddings once more if they are tied.
    head: Table,
    vocab: usize,
    hidden: usize,
    max_positions: usize,
}

impl TransformerLm {
    /// Reads a model onto the loader's device.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    pub fn load(
        description: &Description,
        loader: &Loader<'_>,
        options: Options,
    ) -> Result<Self, LoadError> {
        let (vocab, hidden) = (description.embeddings.out, description.embeddings.inner);
        let embeddings = Table::load(loader, &description.embeddings)?;
        let mut head = match &description.head {
            Some(head) => Table::load(loader, head)?,
            None => embeddings.clone(),
        };
        if let Some(bias) = &description.head_bias {
            head = head.with_bias(loader, bias)?;
        }
        let decoder = description.decoder.as_ref().map(|recipe| {
            let start = embeddings.rows(&recipe.start);
            Decoder::load(recipe, scaled(start, description.embedding_scale), loader)
        });
        let transform = description.transform.as_ref();
        let project = description.input.project.as_ref();
        Ok(Self {
            objective: description.objective,
            embeddings,
            scale: description.embedding_scale,
            input: Input::load(description, loader)?,
            project: project.map(|project| Table::load(loader, project)).transpose()?,
            transform: transform.map(|recipe| Transform::load(recipe, loader)).transpose()?,
            transformer: Transformer::load(&description.recipe, loader, options)?,
            decoder: decoder.transpose()?,
            head,
            vocab,
            hidden,
            max_positions: description.max_positions,
        })
    }
}

impl TransformerLm {
    /// From word embeddings to the first layer.
    fn input(&self, Inputs { embeddings, prefix }: Inputs, layout: &Layout) -> Inputs {
        let x = match &self.input {
            Some(input) => input.forward(embeddings, layout),
            None => embeddings,
        };
        let embeddings = match &self.project {
            Some(project) => project.scores(x),
            None => x,
        };
        Inputs { embeddings, prefix }
    }

    /// The layout with the rows of the layers that are looked at: a decoder looks at every row, not at
    /// those alone where answers stand.
    fn read<'a>(&self, layout: &'a Layout) -> Cow<'a, Layout> {
        match &self.decoder {
            Some(_) => Cow::Owned(layout.answering_everywhere()),
            None => Cow::Borrowed(layout),
        }
    }

    /// From the last layer's rows to the head.
    fn answer(&self, x: Tensor<2>, layout: &Layout) -> Tensor<2> {
        let x = match &self.decoder {
            Some(decoder) => decoder.forward(x, layout),
            None => x,
        };
        match &self.transform {
            Some(transform) => transform.forward(x),
            None => x,
        }
    }
}

fn scaled(rows: Tensor<2>, scale: Option<f64>) -> Tensor<2> {
    match scale {
        Some(scale) => rows.mul_scalar(scale),
        None => rows,
    }
}

impl LanguageModel for TransformerLm {
    fn objective(&self) -> Objective {
        self.objective
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

    fn answers_in_one_token(&self) -> bool {
        self.decoder.is_some()
    }

    fn prefix_shape(&self) -> Option<PrefixShape> {
        // A decoder's layers would need their own.
        self.decoder.is_none().then(|| self.transformer.prefix_shape())
    }

    fn word_embeddings(&self) -> Tensor<2> {
        scaled(self.embeddings.all(), self.scale)
    }

    fn embed(&self, ids: &[u32]) -> Tensor<2> {
        scaled(self.embeddings.rows(ids), self.scale)
    }

    fn encode(&self, inputs: Inputs, layout: &Layout) -> Tensor<2> {
        let inputs = self.input(inputs, layout);
        self.answer(self.transformer.forward(inputs, &self.read(layout)), layout)
    }

    fn loss_through(
        &self,
        inputs: Inputs,
        layout: &Layout,
        loss: &mut dyn FnMut(Tensor<2>) -> (Tensor<1>, Tensor<1>),
    ) -> (Tensor<1>, Tensor<1>) {
        let inputs = self.input(inputs, layout);
        let loss = &mut |x| loss(self.answer(x, layout));
        self.transformer.loss_through(inputs, &self.read(layout), loss)
    }

    fn head(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.head.scores(hidden)
    }

    fn head_rows(&self, ids: &[u32]) -> Tensor<2> {
        self.head.rows(ids)
    }

    fn loss(&self, hidden: Tensor<2>, answers: &[u32], examples: usize) -> (Tensor<1>, Tensor<1>) {
        self.head.loss(hidden, answers, examples)
    }
}
