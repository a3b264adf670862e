//! Metadata to a tokenizer.
//!
//! A GGUF carries the vocabulary, the merges and the special ids, but of the pre-tokenizer only a
//! name (`tokenizer.ggml.pre`). What is built here gives the ids that transformers gives for the
//! same file (`AutoTokenizer.from_pretrained(…, gguf_file=…)`), which is what it is tested against.

use std::collections::HashSet;
use std::sync::LazyLock;

use ptuning_core::language_model::SpecialTokens;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::value::{Metadata, Value};
use crate::source::error::nearest;
use crate::tokenizer::{Tokenizer, TokenizerError, surround};

/// `llama_token_type` of llama.cpp: a token that stands for no text, such as `<|im_start|>`.
const CONTROL: i64 = 3;
/// A token matched whole in the text, but with no special meaning.
const USER_DEFINED: i64 = 4;

/// How text is split before byte-level BPE merges within the pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Splitting {
    /// GPT-2's pattern, which is built into the byte-level pre-tokenizer.
    Gpt2,
    /// A pattern of its own.
    Pattern {
        /// The regular expression; each match is one piece.
        regex: &'static str,
        /// Whether a piece that is a token is taken whole, without merging, as Llama 3 does.
        ignore_merges: bool,
    },
}

const LLAMA3: Splitting = Splitting::Pattern {
    regex: r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ignore_merges: true,
};

pub const QWEN2: Splitting = Splitting::Pattern {
    regex: r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ignore_merges: false,
};

/// `tokenizer.ggml.pre` → splitting.
///
/// `smollm` splits as GPT-2 does, because transformers does so for a GGUF. llama.cpp and the
/// tokenizer.json that SmolLM2 was published with isolate digits first; as no merge of its
/// vocabulary touches a digit, the two differ only in how whitespace of two characters or more
/// right before a digit is divided.
const SPLITTINGS: &[(&str, Splitting)] = &[
    ("gpt-2", Splitting::Gpt2),
    ("default", Splitting::Gpt2),
    ("smollm", Splitting::Gpt2),
    ("llama-bpe", LLAMA3),
    ("llama3", LLAMA3),
    ("llama-v3", LLAMA3),
    ("qwen2", QWEN2),
];

/// The splitting that `tokenizer.ggml.pre` names.
///
/// # Errors
/// [`TokenizerError::UnknownSplitting`] with the nearest name: another pattern would give other
/// ids, silently.
pub fn splitting(name: &str) -> Result<Splitting, TokenizerError> {
    SPLITTINGS.iter().find(|(known, _)| *known == name).map(|&(_, splitting)| splitting).ok_or_else(
        || TokenizerError::UnknownSplitting {
            found: name.to_owned(),
            known: SPLITTINGS.iter().map(|&(known, _)| known).collect(),
            nearest: nearest(name, SPLITTINGS.iter().map(|&(known, _)| known)).map(str::to_owned),
        },
    )
}

/// The tokenizer that the metadata describes.
///
/// # Errors
/// A tokenizer other than byte-level BPE, a key that is missing or wrong, a merge of tokens that
/// are not in the vocabulary.
pub(super) fn tokenizer(metadata: &Metadata<'_>) -> Result<Tokenizer, TokenizerError> {
    let model = text(metadata, "tokenizer.ggml.model")?
        .ok_or(TokenizerError::MissingKey { key: "tokenizer.ggml.model" })?;
    if model != "gpt2" {
        return Err(TokenizerError::UnsupportedModel { found: model.to_owned() });
    }
    let tokens = texts(metadata, "tokenizer.ggml.tokens")?;
    let splitting = splitting(text(metadata, "tokenizer.ggml.pre")?.unwrap_or("default"))?;
    let (pre_tokenizer, ignore_merges) = pre_tokenizer(splitting)?;

    let mut bpe = byte_level_bpe(tokens, texts(metadata, "tokenizer.ggml.merges")?)?;
    bpe.ignore_merges = ignore_merges;
    let mut inner = tokenizers::Tokenizer::new(bpe);
    inner.with_pre_tokenizer(Some(pre_tokenizer));
    inner.with_decoder(Some(ByteLevel::default()));

    let ids = SpecialIds::read(metadata, tokens.len())?;
    inner
        .add_special_tokens(control_tokens(metadata, tokens, &ids)?)
        .map_err(TokenizerError::Build)?;
    inner.add_tokens(user_defined_tokens(metadata, tokens)?).map_err(TokenizerError::Build)?;

    // llama.cpp's defaults where a flag is missing: Llama 3's splitting implies <|begin_of_text|>.
    let prefix = flag(metadata, "tokenizer.ggml.add_bos_token")?
        .unwrap_or(splitting == LLAMA3)
        .then_some(ids.bos)
        .flatten();
    let suffix = flag(metadata, "tokenizer.ggml.add_eos_token")?
        .unwrap_or(false)
        .then_some(ids.eos)
        .flatten();
    if prefix.is_some() || suffix.is_some() {
        let named = |id: Option<u32>| id.map(|id| (tokens[id as usize].to_owned(), id));
        inner.with_post_processor(Some(surround(named(prefix), named(suffix))?));
    }
    let special = SpecialTokens {
        prefix: prefix.into_iter().collect(),
        suffix: suffix.into_iter().collect(),
        mask: ids.mask,
        pad: ids.pad,
    };
    Tokenizer::new(inner, special)
}

/// The model: vocabulary and merges, each merge checked.
fn byte_level_bpe(tokens: &[&str], merges: &[&str]) -> Result<BPE, TokenizerError> {
    let vocab: Vocab =
        tokens.iter().zip(0..).map(|(token, id)| (byte_spelling(token), id)).collect();
    let mut pairs = Merges::with_capacity(merges.len());
    for (index, merge) in merges.iter().enumerate() {
        let pair = joins(merge, &vocab).ok_or_else(|| TokenizerError::BadMerge {
            index,
            merge: merge.chars().take(80).collect(),
        })?;
        pairs.push(pair);
    }
    BPE::builder().vocab_and_merges(vocab, pairs).build().map_err(TokenizerError::Build)
}

/// The two parts of a merge, if they and what they join to are tokens.
///
/// Checked in full: `BPE` would panic over a result longer than any token.
pub fn joins(merge: &str, vocab: &Vocab) -> Option<(String, String)> {
    let (left, right) = merge.split_once(' ')?;
    let joined = format!("{left}{right}");
    let known = [left, right, joined.as_str()].iter().all(|&token| vocab.contains_key(token));
    known.then(|| (left.to_owned(), right.to_owned()))
}

/// A token in the byte-level alphabet; one that is written in other characters, as some
/// conversions leave added tokens, is spelt byte by byte.
fn byte_spelling(token: &str) -> String {
    if is_byte_level(token) {
        return token.to_owned();
    }
    token.bytes().map(|byte| BYTES[usize::from(byte)]).collect()
}

/// Whether a token is written in the byte-level alphabet.
fn is_byte_level(token: &str) -> bool {
    token.is_ascii() && !token.contains(|c: char| c.is_ascii_control() || c == ' ')
        || token.chars().all(|character| ALPHABET.contains(&character))
}

/// The character that stands for each byte: itself where it is printable, otherwise the next free
/// one from U+0100 on (`bytes_to_unicode` of GPT-2's encoder.py).
static BYTES: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut next = 0x100..;
    std::array::from_fn(|byte| match byte as u8 {
        printable @ (b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) => char::from(printable),
        // The range starts below the surrogates and gives 68 numbers at most.
        _ => next.next().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER),
    })
});

static ALPHABET: LazyLock<HashSet<char>> = LazyLock::new(|| BYTES.iter().copied().collect());

/// What splits text, and whether a piece that is a token is taken whole.
pub fn pre_tokenizer(splitting: Splitting) -> Result<(PreTokenizerWrapper, bool), TokenizerError> {
    match splitting {
        Splitting::Gpt2 => Ok((ByteLevel::new(false, true, true).into(), false)),
        Splitting::Pattern { regex, ignore_merges } => {
            let pattern = SplitPattern::Regex(regex.to_owned());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
                .map_err(TokenizerError::Build)?;
            let steps = vec![split.into(), ByteLevel::new(false, true, false).into()];
            Ok((Sequence::new(steps).into(), ignore_merges))
        }
    }
}

/// Ids that the metadata gives a meaning.
struct SpecialIds {
    bos: Option<u32>,
    eos: Option<u32>,
    unknown: Option<u32>,
    pad: Option<u32>,
    mask: Option<u32>,
}

impl SpecialIds {
    fn read(metadata: &Metadata<'_>, tokens: usize) -> Result<Self, TokenizerError> {
        let id = |key: &'static str| match metadata.get(key) {
            None => Ok(None),
            Some(value) => {
                let id = value
                    .as_u64()
                    .ok_or(TokenizerError::WrongType { key, expected: "a token id" })?;
                u32::try_from(id)
                    .ok()
                    .filter(|&id| (id as usize) < tokens)
                    .map(Some)
                    .ok_or(TokenizerError::BadId { key, id, tokens })
            }
        };
        Ok(Self {
            bos: id("tokenizer.ggml.bos_token_id")?,
            eos: id("tokenizer.ggml.eos_token_id")?,
            unknown: id("tokenizer.ggml.unknown_token_id")?,
            pad: id("tokenizer.ggml.padding_token_id")?,
            mask: id("tokenizer.ggml.mask_token_id")?,
        })
    }

    fn all(&self) -> impl Iterator<Item = usize> {
        [self.bos, self.eos, self.unknown, self.pad, self.mask]
            .into_iter()
            .flatten()
            .map(|id| id as usize)
    }
}

/// Tokens that are matched whole and mean something: those marked so, and those with an id of
/// their own in the metadata.
///
/// As in transformers, a marked token outside of the byte-level alphabet is a mislabelled one and
/// skipped.
fn control_tokens(
    metadata: &Metadata<'_>,
    tokens: &[&str],
    ids: &SpecialIds,
) -> Result<Vec<AddedToken>, TokenizerError> {
    let mut marked = tokens_of_type(metadata, tokens, CONTROL)?;
    marked.retain(|&id| is_byte_level(tokens[id]));
    marked.extend(ids.all());
    let special = |id: usize| AddedToken::from(tokens[id], true).normalized(false);
    Ok(marked.into_iter().map(special).collect())
}

/// Tokens that are matched whole and mean what they say.
fn user_defined_tokens(
    metadata: &Metadata<'_>,
    tokens: &[&str],
) -> Result<Vec<AddedToken>, TokenizerError> {
    let mut marked = tokens_of_type(metadata, tokens, USER_DEFINED)?;
    marked.retain(|&id| is_byte_level(tokens[id]));
    let plain = |id: usize| AddedToken::from(tokens[id], false).normalized(false);
    Ok(marked.into_iter().map(plain).collect())
}

/// Ids of the tokens of a type; none where the file does not tell types.
fn tokens_of_type(
    metadata: &Metadata<'_>,
    tokens: &[&str],
    wanted: i64,
) -> Result<Vec<usize>, TokenizerError> {
    let key = "tokenizer.ggml.token_type";
    let Some(value) = metadata.get(key) else { return Ok(Vec::new()) };
    let types = value
        .as_scalars()
        .filter(|types| types.len() == tokens.len())
        .ok_or(TokenizerError::WrongType { key, expected: "one number for each token" })?;
    let is_wanted = |value: Value<'_>| match value {
        Value::Signed(number) => number == wanted,
        Value::Unsigned(number) => i64::try_from(number) == Ok(wanted),
        _ => false,
    };
    Ok((0..).zip(types).filter(|(_, value)| is_wanted(value.clone())).map(|(id, _)| id).collect())
}

fn text<'a>(metadata: &Metadata<'a>, key: &'static str) -> Result<Option<&'a str>, TokenizerError> {
    metadata
        .get(key)
        .map(|value| value.as_str().ok_or(TokenizerError::WrongType { key, expected: "a string" }))
        .transpose()
}

fn flag(metadata: &Metadata<'_>, key: &'static str) -> Result<Option<bool>, TokenizerError> {
    metadata
        .get(key)
        .map(|value| {
            value.as_bool().ok_or(TokenizerError::WrongType { key, expected: "a boolean" })
        })
        .transpose()
}

fn texts<'m, 'a>(
    metadata: &'m Metadata<'a>,
    key: &'static str,
) -> Result<&'m [&'a str], TokenizerError> {
    metadata
        .get(key)
        .ok_or(TokenizerError::MissingKey { key })?
        .as_texts()
        .ok_or(TokenizerError::WrongType { key, expected: "an array of strings" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_alphabet_is_gpt2s() {
        assert_eq!(BYTES[usize::from(b' ')], 'Ġ');
        assert_eq!(BYTES[usize::from(b'\n')], 'Ċ');
        assert_eq!(BYTES[usize::from(b'a')], 'a');
        assert_eq!(BYTES[0], 'Ā');
        assert_eq!(BYTES[0xad], 'Ń');
        assert_eq!(ALPHABET.len(), 256);
        assert_eq!(byte_spelling("Ġé"), "Ġé", "é is a byte's character");
        assert_eq!(byte_spelling("a b"), "aĠb");
        assert_eq!(byte_spelling("日"), "æĹ¥");
    }

    #[test]
    fn an_unknown_splitting_is_refused_with_the_nearest() {
        assert_eq!(splitting("smollm").unwrap(), Splitting::Gpt2);
        let error = splitting("llama-bp").unwrap_err().to_string();
        assert!(error.contains("llama-bp") && error.contains("did you mean llama-bpe"), "{error}");
    }
}
