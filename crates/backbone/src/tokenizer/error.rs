//! Why a tokenizer cannot be built.

use crate::source::nearest_hint;

/// Why a tokenizer cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A tokenizer.json that the `tokenizers` library refuses.
    #[error("tokenizer.json is not a tokenizer")]
    Json(#[source] tokenizers::Error),

    /// The `tokenizers` library gave up on a tokenizer.json instead of refusing it.
    #[error("tokenizer.json is damaged: its merges do not fit its vocabulary")]
    Damaged,

    /// A special token that is not in the vocabulary.
    #[error("the vocabulary has no {token}")]
    MissingSpecial {
        /// The token.
        token: String,
    },

    /// The `tokenizers` library refuses the parts.
    #[error("the tokenizer's parts do not fit together")]
    Build(#[source] tokenizers::Error),

    /// A tokenizer that cannot encode text.
    #[error("the tokenizer cannot encode text")]
    Encode(#[source] tokenizers::Error),

    /// A kind of tokenizer that is not built in.
    #[error(
        "tokenizer.ggml.model: expected \"gpt2\" (byte-level BPE), found {found:?}\n  hint: use the \
         model's Hugging Face folder, whose tokenizer.json describes any tokenizer"
    )]
    UnsupportedModel {
        /// What the file says.
        found: String,
    },

    /// A splitting of text that is not built in.
    #[error(
        "tokenizer.ggml.pre: unknown {found:?}; known: {}{}",
        known.join(", "), nearest_hint(nearest.as_deref())
    )]
    UnknownSplitting {
        /// What the file says.
        found: String,
        /// The names that are built in.
        known: Vec<&'static str>,
        /// The most similar of them.
        nearest: Option<String>,
    },

    /// A metadata key that a tokenizer cannot do without.
    #[error("metadata has no {key}")]
    MissingKey {
        /// The key.
        key: &'static str,
    },

    /// A metadata value of another type.
    #[error("metadata key {key}: expected {expected}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// What belongs there.
        expected: &'static str,
    },

    /// An id beyond the vocabulary.
    #[error("metadata key {key}: expected an id below {tokens}, found {id}")]
    BadId {
        /// The key.
        key: &'static str,
        /// The id.
        id: u64,
        /// Number of tokens.
        tokens: usize,
    },

    /// A vocab.json that is no object of tokens and ids.
    #[error("expected an object of tokens and their ids")]
    Vocabulary(#[source] serde_json::Error),

    /// One id for two tokens.
    #[error("the id {id} is that of {first:?} and of {second:?}")]
    SharedId {
        /// The id.
        id: u32,
        /// The token that sorts first.
        first: String,
        /// The other.
        second: String,
    },

    /// A merge whose parts or result are no tokens, in a merges.txt.
    #[error("line {line}: {merge:?} does not join two tokens of vocab.json into a third")]
    BadMergeLine {
        /// Its line.
        line: usize,
        /// Its first characters.
        merge: String,
    },

    /// An added token whose id is not the one that the vocabulary has room for.
    #[error(
        "the added token {token:?} should have the id {expected}, but the vocabulary gives it {}",
        found.map_or_else(|| "none".to_owned(), |id| id.to_string())
    )]
    AddedId {
        /// The token.
        token: String,
        /// Its id by the file that adds it.
        expected: u32,
        /// Its id by the vocabulary: its own, or the next free one.
        found: Option<u32>,
    },

    /// A damaged SentencePiece model.
    #[error("not a SentencePiece model: expected {expected} at byte {at}")]
    SentencePiece {
        /// The byte.
        at: usize,
        /// What belongs there.
        expected: &'static str,
    },

    /// A damaged character map, of a SentencePiece model or of a tokenizer.json.
    #[error("the tokenizer's character map (precompiled_charsmap) is damaged")]
    Charsmap,

    /// A SentencePiece model that cuts text in another way than the class does.
    #[error("{class} is for a {expected} model of SentencePiece, this one is {found}")]
    Algorithm {
        /// transformers' class.
        class: &'static str,
        /// What it is for.
        expected: &'static str,
        /// What the file is.
        found: &'static str,
    },

    /// A SentencePiece model whose spaces end words.
    #[error(
        "the SentencePiece model ends words with a space (treat_whitespace_as_suffix), which \
             is not built in"
    )]
    WhitespaceAsSuffix,

    /// A piece that is there twice.
    #[error("the piece {piece:?} is there twice")]
    RepeatedPiece {
        /// The piece.
        piece: String,
    },

    /// A piece that is longer than any of a real model.
    #[error("a piece of more than {longest} letters: {piece:?}…")]
    LongPiece {
        /// Its first letters.
        piece: String,
        /// The limit.
        longest: usize,
    },

    /// A merge whose parts or result are no tokens.
    #[error("tokenizer.ggml.merges[{index}]: {merge:?} does not join two tokens into a third")]
    BadMerge {
        /// Its place in the list.
        index: usize,
        /// Its first characters.
        merge: String,
    },
}
