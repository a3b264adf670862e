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

use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

/// How a language model reads its input, which decides where an answer may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Left to right: the answer follows the last token and is predicted by that token's row.
    Causal,
    /// Both ways: the answer stands at a mask token and is predicted by the mask's own row.
    Masked,
}

/// Which rows of a padded batch are real and which of them answer.
///
/// Batches are padded on the right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Tokens of each example, `batch` numbers, each between 1 and `seq`.
    pub lengths: Vec<usize>,
    /// Length that every example is padded to.
    pub seq: usize,
    /// Answer positions as (example, position), `rows` of them, in the order of the examples.
    pub answers: Vec<(usize, usize)>,
}

impl Layout {
    /// Number of examples.
    pub fn batch(&self) -> usize {
        self.lengths.len()
    }

    /// Number of answer positions.
    pub fn rows(&self) -> usize {
        self.answers.len()
    }

    /// Whether some example is shorter than the batch.
    pub fn is_padded(&self) -> bool {
        self.lengths.iter().any(|&length| length < self.seq)
    }

    /// Indices of the answer rows in the batch flattened to `[batch · seq, hidden]`.
    pub fn flat_answers(&self) -> Vec<i64> {
        self.answers
            .iter()
            .map(|&(example, position)| (example * self.seq + position) as i64)
            .collect()
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

    /// The table of word embeddings, `[vocab, hidden]`.
    fn word_embeddings(&self) -> Tensor<2>;

    /// Looks tokens up.
    ///
    /// # Shapes
    /// - `ids`: `[batch, seq]`
    /// - returns: `[batch, seq, hidden]`
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3>;

    /// Runs the layers over embeddings and returns the final hidden states of the answer rows.
    ///
    /// # Shapes
    /// - `embeddings`: `[batch, seq, hidden]`, right-padded as `layout` says
    /// - returns: `[rows, hidden]`, normalised and ready for [`head`](Self::head)
    fn encode(&self, embeddings: Tensor<3>, layout: &Layout) -> Tensor<2>;

    /// Scores the vocabulary.
    ///
    /// # Shapes
    /// - `hidden`: `[rows, hidden]`
    /// - returns: logits, `[rows, vocab]`
    fn head(&self, hidden: Tensor<2>) -> Tensor<2>;
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

    /// Ids of a text, spans dropped.
    fn ids(&self, text: &str) -> Vec<u32> {
        self.encode(text).into_iter().map(|token| token.id).collect()
    }
}
