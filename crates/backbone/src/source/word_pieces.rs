//! BERT's tokenizer from its vocab.txt, for folders that are older than tokenizer.json.
//!
//! Upstream: `BertTokenizer` of Hugging Face transformers, which DistilBERT and ELECTRA use as well.

use std::collections::HashMap;

use ptuning_core::language_model::SpecialTokens;
use serde_json::{Map, Value};
use tokenizers::AddedToken;
use tokenizers::decoders::wordpiece::WordPiece as Decoder;
// The same kind of map as WordPiece takes, whose name for it is private.
use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;

use crate::tokenizer::{Tokenizer, TokenizerError};

/// A tokenizer from the lines of a vocab.txt and the keys of a tokenizer_config.json.
///
/// # Errors
/// A vocabulary without one of the special tokens, or one that the `tokenizers` library refuses.
pub(super) fn tokenizer(
    vocab: &str,
    config: &Map<String, Value>,
    names: &HashMap<String, String>,
) -> Result<Tokenizer, TokenizerError> {
    // A line's number is its token's id, so an empty line counts; the last line break begins none.
    let tokens = vocab.lines().zip(0u32..).map(|(token, id)| (token.to_owned(), id));
    let vocab: Vocab = tokens.collect();
    let special = |role: &str, usual: &str| {
        let token = names.get(role).map_or(usual, String::as_str).to_owned();
        match vocab.get(&token) {
            Some(&id) => Ok((token, id)),
            None => Err(TokenizerError::MissingSpecial { token }),
        }
    };
    let (unk, cls) = (special("unk_token", "[UNK]")?, special("cls_token", "[CLS]")?);
    let (sep, pad) = (special("sep_token", "[SEP]")?, special("pad_token", "[PAD]")?);
    let mask = special("mask_token", "[MASK]")?;
    let model = WordPiece::builder()
        .vocab(vocab)
        .unk_token(unk.0.clone())
        .build()
        .map_err(TokenizerError::Build)?;
    let flag = |key: &str| config.get(key).and_then(Value::as_bool);
    let lowercase = flag("do_lower_case").unwrap_or(true);
    let chinese = flag("tokenize_chinese_chars").unwrap_or(true);
    let mut inner = tokenizers::Tokenizer::new(model);
    let normalizer = BertNormalizer::new(true, chinese, flag("strip_accents"), lowercase);
    inner.with_normalizer(Some(normalizer)).map_err(TokenizerError::Build)?;
    inner.with_pre_tokenizer(Some(BertPreTokenizer));
    inner.with_decoder(Some(Decoder::default()));
    inner.with_post_processor(Some(BertProcessing::new(sep.clone(), cls.clone())));
    let all =
        [&unk, &cls, &sep, &pad, &mask].map(|(token, _)| AddedToken::from(token.clone(), true));
    inner.add_special_tokens(all).map_err(TokenizerError::Build)?;
    let special = SpecialTokens {
        prefix: vec![cls.1],
        suffix: vec![sep.1],
        mask: Some(mask.1),
        pad: Some(pad.1),
    };
    Tokenizer::new(inner, special)
}
