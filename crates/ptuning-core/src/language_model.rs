//! What the method asks of a language model and of its tokenizer, and nothing more.
//!
//! A backbone fulfils [`LanguageModel`]; a prompt is trained against that trait alone, so the
//! method never learns which family it is talking to. The split into [`embed`], [`encode`] and
//! [`head`] is what P-tuning needs: vectors are spliced between the first and the second, and only
//! the rows that answer a question reach the third.
//!
//! [`embed`]: LanguageModel::embed
//! [`encode`]: LanguageModel::encode
//! [`head`]: LanguageModel::head

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::objective::cross_entropy_backward;

/// How a language model reads its input, which decides where an answer may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Left to right: the answer follows the last token and is predicted by that token's row.
    Causal,
    /// Both ways: the answer stands at a mask token and is predicted by the mask's own row, or by a decoder
    /// that is asked for what belongs there.
    Masked,
}

/// How the rows of a batch form examples.
///
/// Rows lie one after the other without padding: first those that stand in front of every example and
/// are computed once, then each example's own. Position `p` of an example is row `p` where `p` is
/// shared, and one of its own rows after that. The first of the shared rows may be fixed words, which
/// no training changes: a model may keep what it computed for them from batch to batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Learned keys and values in front of every example, which positions are counted on behind; they are
    /// no rows.
    pub prefix: usize,
    /// Rows in front of every example.
    pub shared: usize,
    /// How many of those are the same in every batch of a run; no gradient is asked of them.
    pub constant: usize,
    /// Rows of each example after the shared ones, `batch` numbers of at least 1.
    pub own: Vec<usize>,
    /// Answer positions as (example, position), in ascending order, none of them shared.
    pub answers: Vec<(usize, usize)>,
}

impl Layout {
    /// Number of examples.
    pub fn batch(&self) -> usize {
        self.own.len()
    }

    /// Number of rows of the batch.
    pub fn total_rows(&self) -> usize {
        self.shared + self.own.iter().sum::<usize>()
    }

    /// Positions of the longest example.
    pub fn seq(&self) -> usize {
        self.shared + self.own.iter().copied().max().unwrap_or(0)
    }

    /// Position of each row of the batch as the language model counts: behind the prefix.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        let own = self.own.iter().flat_map(|own| self.shared..self.shared + own);
        (0..self.shared).chain(own).map(|position| self.prefix + position)
    }

    /// The same examples, each of which answers at all of its own rows.
    pub fn answering_everywhere(&self) -> Self {
        let positions = |(example, &own): (usize, &usize)| {
            (self.shared..self.shared + own).map(move |position| (example, position))
        };
        let answers = self.own.iter().enumerate().flat_map(positions).collect();
        Self { answers, ..self.clone() }
    }

    /// First own row of each example.
    pub fn starts(&self) -> Vec<usize> {
        let mut next = self.shared;
        let start = |own: &usize| {
            next += own;
            next - own
        };
        self.own.iter().map(start).collect()
    }
}

/// Sizes of a prefix's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixShape {
    /// Layers of the language model.
    pub layers: usize,
    /// Key heads of each.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl PrefixShape {
    /// Numbers of a row: keys and values of all layers (`prefix_width` in the legend of shapes).
    pub fn width(&self) -> usize {
        2 * self.layers * self.heads * self.head_dim
    }
}

/// What goes into a language model's layers.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// `[rows of the batch, hidden]`
    pub embeddings: Tensor<2>,
    /// Keys and values in front of every example, `[prefix, prefix_width]`: of each row the first layer's
    /// key, its value, the second layer's key, …, used as they are (Li & Liang 2021, arXiv:2101.00190; Liu
    /// et al. 2021, arXiv:2110.07602).
    pub prefix: Option<Tensor<2>>,
}

impl Inputs {
    /// Whether autodiff looks on.
    pub fn is_autodiff(&self) -> bool {
        self.embeddings.is_autodiff() || self.prefix.as_ref().is_some_and(Tensor::is_autodiff)
    }
}

impl From<Tensor<2>> for Inputs {
    fn from(embeddings: Tensor<2>) -> Self {
        Self { embeddings, prefix: None }
    }
}

/// A frozen language model, seen from a prompt.
///
/// Tensors passed in may be tracked by autodiff; the model's own weights never are, so a backward
/// pass computes gradients with respect to the inputs and nothing else.
pub trait LanguageModel: Send + Sync {
    /// Causal or masked.
    fn objective(&self) -> Objective;

    /// Number of rows of the embedding table, and of logits.
    fn vocab_size(&self) -> usize;

    /// Width of an embedding.
    fn hidden_size(&self) -> usize;

    /// Longest sequence that the model's positions allow.
    fn max_positions(&self) -> usize;

    /// The (non-autodiff) device that holds the weights.
    fn device(&self) -> Device;

    /// Whether rows that stand in front of every example may be computed once ([`Layout::shared`]).
    ///
    /// Exact for a causal model, whose rows depend on what stands before them alone.
    fn shares_prefix(&self) -> bool {
        false
    }

    /// Whether it can be asked for one token alone: an encoder–decoder whose decoder says what stands at
    /// one place.
    fn answers_in_one_token(&self) -> bool {
        false
    }

    /// Sizes of a prefix's row ([`Inputs::prefix`]); `None` where no prefix can stand.
    fn prefix_shape(&self) -> Option<PrefixShape> {
        None
    }

    /// The table of word embeddings, `[vocab, hidden]`.
    fn word_embeddings(&self) -> Tensor<2>;

    /// Looks tokens up.
    ///
    /// # Shapes
    /// - `ids`: one for each row
    /// - returns: `[rows of the batch, hidden]`
    fn embed(&self, ids: &[u32]) -> Tensor<2>;

    /// Runs the layers over embeddings and returns the final hidden states of the answer rows.
    ///
    /// # Shapes
    /// - `inputs`: as `layout` says
    /// - returns: `[rows, hidden]`, normalised and ready for [`head`](Self::head)
    fn encode(&self, inputs: Inputs, layout: &Layout) -> Tensor<2>;

    /// What `loss` says of [`encode`](Self::encode)'s result: losses, `[rows]`, untracked; and the
    /// objective, `[1]`, to call `backward` on for the gradient of `inputs` alone.
    ///
    /// A model may keep less than autodiff would and compute its layers once more for the gradient.
    ///
    /// # Shapes
    /// - `inputs`: as `layout` says, tracked by autodiff
    /// - `loss`: from `[rows, hidden]`, tracked, to losses and objective
    fn loss_through(
        &self,
        inputs: Inputs,
        layout: &Layout,
        loss: &mut dyn FnMut(Tensor<2>) -> (Tensor<1>, Tensor<1>),
    ) -> (Tensor<1>, Tensor<1>) {
        loss(self.encode(inputs, layout))
    }

    /// Scores the vocabulary.
    ///
    /// # Shapes
    /// - `hidden`: `[rows, hidden]`
    /// - returns: logits, `[rows, vocab]`
    fn head(&self, hidden: Tensor<2>) -> Tensor<2>;

    /// What the head multiplies states by for these words, `[ids, hidden]`.
    fn head_rows(&self, ids: &[u32]) -> Tensor<2>;

    /// Cross-entropy of each answer, and what to call `backward` on for the gradient of their sum
    /// divided by `examples`: [`cross_entropy_backward`] of the [`head`](Self::head)'s scores, for
    /// which a model may know a shorter way.
    ///
    /// # Shapes
    /// - `hidden`: `[rows, hidden]`, tracked by autodiff
    /// - `answers`: one vocabulary id for each row
    /// - returns: losses, `[rows]`, untracked; and the objective, `[1]`
    fn loss(&self, hidden: Tensor<2>, answers: &[u32], examples: usize) -> (Tensor<1>, Tensor<1>) {
        cross_entropy_backward(self.head(hidden), answers, examples)
    }
}

/// One token of an encoded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Vocabulary id.
    pub id: u32,
    /// Bytes of the text that it stands for (a leading space belongs to the token after it).
    pub span: Range<usize>,
}

/// Special token ids that a template may need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Ids that open every sequence (`[CLS]`, `<s>` …), possibly none.
    pub prefix: Vec<u32>,
    /// Ids that close every sequence (`[SEP]` …), possibly none.
    pub suffix: Vec<u32>,
    /// The mask of a masked language model.
    pub mask: Option<u32>,
    /// Filler for padded positions; never attended to.
    pub pad: Option<u32>,
}

/// A tokenizer, as the method sees it.
pub trait Tokenize: Send + Sync {
    /// Splits a text, without special tokens and without changing it (no prefix space is added).
    fn encode(&self, text: &str) -> Vec<Token>;

    /// Text of a sequence of ids.
    fn decode(&self, ids: &[u32]) -> String;

    /// The vocabulary entry of an id as it is stored (`Ġcapital`, `##s`), if there is one.
    fn token(&self, id: u32) -> Option<String>;

    /// Number of ids, added tokens included.
    fn vocab_size(&self) -> usize;

    /// The special tokens.
    fn special(&self) -> &SpecialTokens;

    /// Whether a sequence's text begins with a space that nobody wrote, as the tokenizer was trained to
    /// have it (Llama 1 and 2, newer T5). [`encode`](Self::encode) adds none; a template does.
    fn opens_with_space(&self) -> bool {
        false
    }

    /// Whether a token is no part of a text but a sign in it, as what ends or separates texts.
    fn is_special(&self, _id: u32) -> bool {
        false
    }

    /// Ids of a text, spans dropped.
    fn ids(&self, text: &str) -> Vec<u32> {
        self.encode(text).into_iter().map(|token| token.id).collect()
    }
}
