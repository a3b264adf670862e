//! BERT's WordPiece from vocab.txt.
//!
//! Upstream: `BertTokenizer` of Hugging Face transformers, which DistilBERT and ELECTRA use as well.

use tokenizers::decoders::wordpiece::WordPiece as Decoder;
// The same kind of map as WordPiece takes, whose name for it is private.
use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;

use crate::tokenizer::TokenizerError;

/// How text is cleaned before it is split.
pub struct Cleaning {
    /// Letters are lowered.
    pub lowercase: bool,
    /// Chinese characters are words each.
    pub chinese: bool,
    /// Accents are taken off; as `lowercase` where it is not said.
    pub strip_accents: Option<bool>,
}

/// A tokenizer from the lines of a vocab.txt, without special tokens.
///
/// # Errors
/// A vocabulary without `unknown`.
pub fn tokenizer(
    vocab: &str,
    unknown: &str,
    cleaning: &Cleaning,
) -> Result<tokenizers::Tokenizer, TokenizerError> {
    // A line's number is its token's id, so an empty line counts; the last line break begins none.
    let tokens = vocab.lines().zip(0u32..).map(|(token, id)| (token.to_owned(), id));
    let vocab: Vocab = tokens.collect();
    if !vocab.contains_key(unknown) {
        return Err(TokenizerError::MissingSpecial { token: unknown.to_owned() });
    }
    let model = WordPiece::builder().vocab(vocab).unk_token(unknown.to_owned()).build();
    let mut inner = tokenizers::Tokenizer::new(model.map_err(TokenizerError::Build)?);
    let Cleaning { lowercase, chinese, strip_accents } = *cleaning;
    let normalizer = BertNormalizer::new(true, chinese, strip_accents, lowercase);
    inner.with_normalizer(Some(normalizer)).map_err(TokenizerError::Build)?;
    inner.with_pre_tokenizer(Some(BertPreTokenizer));
    inner.with_decoder(Some(Decoder::default()));
    Ok(inner)
}
