//! Byte-level BPE from vocab.json and merges.txt: GPT-2's, and what its kin change about it.

use std::collections::HashMap;

use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::kind::TokenizerKind;
use crate::source::gguf::{QWEN2, Splitting, joins, pre_tokenizer};
use crate::tokenizer::TokenizerError;

/// A tokenizer from the texts of vocab.json and merges.txt, without special tokens.
///
/// # Errors
/// An id that two tokens have, or a merge whose parts or result are no tokens, by its line.
pub fn tokenizer(
    kind: TokenizerKind,
    vocab: &[u8],
    merges: &str,
) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let tokens: HashMap<String, u32> =
        serde_json::from_slice(vocab).map_err(TokenizerError::Vocabulary)?;
    let mut by_id = HashMap::with_capacity(tokens.len());
    for (token, &id) in &tokens {
        if let Some(other) = by_id.insert(id, token) {
            let (first, second) = (other.min(token).clone(), other.max(token).clone());
            return Err(TokenizerError::SharedId { id, first, second });
        }
    }
    let vocab: Vocab = tokens.into_iter().collect();
    let mut pairs = Merges::new();
    for (line, merge) in (1..).zip(merges.lines()) {
        // `# #` is a merge as well.
        if merge.starts_with("#version") || merge.is_empty() {
            continue;
        }
        let pair = joins(merge, &vocab).ok_or_else(|| TokenizerError::BadMergeLine {
            line,
            merge: merge.chars().take(80).collect(),
        })?;
        pairs.push(pair);
    }
    let bpe = BPE::builder().vocab_and_merges(vocab, pairs).build();
    let mut inner = tokenizers::Tokenizer::new(bpe.map_err(TokenizerError::Build)?);
    let splitting = if kind == TokenizerKind::Qwen2 { QWEN2 } else { Splitting::Gpt2 };
    let (pre_tokenizer, _) = pre_tokenizer(splitting)?;
    if matches!(kind, TokenizerKind::Qwen2 | TokenizerKind::GptNeoX) {
        inner.with_normalizer(Some(NFC)).map_err(TokenizerError::Build)?;
    }
    inner.with_pre_tokenizer(Some(pre_tokenizer));
    inner.with_decoder(Some(ByteLevel::default()));
    Ok(inner)
}

/// Puts a space in front of every text, as `add_prefix_space` asks for.
pub fn open_with_space(inner: &mut tokenizers::Tokenizer) {
    let Some(PreTokenizerWrapper::ByteLevel(mut bytes)) = inner.get_pre_tokenizer().cloned() else {
        return;
    };
    bytes.add_prefix_space = true;
    inner.with_pre_tokenizer(Some(bytes));
}
