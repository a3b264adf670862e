//! Text to ids: a `tokenizers` tokenizer, as the method wants to see it.

mod error;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ptuning_core::language_model::{SpecialTokens, Token, Tokenize};
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::processors::template::{SpecialToken, TemplateProcessing};

use crate::source::check_charsmaps;
pub use error::TokenizerError;

/// A tokenizer of a backbone.
///
/// Special tokens that stand in a text (`<|im_start|>`) are recognised there, as transformers does
/// with `add_special_tokens=False`; none is added.
///
/// No space is put in front of a text: a template is encoded piece by piece, and a piece begins with a
/// space only where the template has one. Where transformers would put one (Llama 1 and 2, newer T5),
/// [`opens_with_space`](Tokenize::opens_with_space) says so, and a template does. Tokenizers that split at white space first (WordPiece, and the
/// SentencePiece unigram models of ALBERT, T5 and XLM-RoBERTa) know no difference between a word with
/// a space in front and one without: each word of theirs is a whole word, wherever a piece begins.
#[derive(Clone)]
pub struct Tokenizer {
    /// Without post-processor, truncation and padding, which would change the text or its spans.
    inner: tokenizers::Tokenizer,
    post_processor: Option<PostProcessorWrapper>,
    /// Its rules as they were, where those that put a space before a text were taken out.
    spacing: Option<Spacing>,
    special: SpecialTokens,
    vocab_size: usize,
}

/// Rules that decide where spaces stand.
#[derive(Clone)]
struct Spacing {
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
}

impl Tokenizer {
    /// Wraps a tokenizer whose special tokens are known.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`] where it cannot encode text, as a WordPiece without its unknown
    /// token.
    pub(crate) fn new(
        mut inner: tokenizers::Tokenizer,
        special: SpecialTokens,
    ) -> Result<Self, TokenizerError> {
        inner.with_padding(None);
        inner.with_truncation(None).map_err(TokenizerError::Build)?;
        let spacing = keep_text_as_it_is(&mut inner)?;
        let post_processor = inner.get_post_processor().cloned();
        inner.with_post_processor(None::<PostProcessorWrapper>);
        // After this the models can only fail by a missing unknown token, which these need.
        inner.encode("a \u{2603} \u{10ffff}", false).map_err(TokenizerError::Encode)?;
        let vocab_size = inner.get_vocab_size(true);
        Ok(Self { inner, post_processor, spacing, special, vocab_size })
    }

    /// A tokenizer from the bytes of a tokenizer.json.
    ///
    /// `names` gives the text of special tokens by their role (`mask_token`, `pad_token`), from
    /// tokenizer_config.json; what opens and closes a sequence is asked of the post-processor.
    ///
    /// # Errors
    /// [`TokenizerError::Json`] with the parser's line and column.
    pub fn from_json(json: &[u8], names: &HashMap<String, String>) -> Result<Self, TokenizerError> {
        // The library panics over a merge whose result is longer than any token.
        let inner = catch_unwind(AssertUnwindSafe(|| tokenizers::Tokenizer::from_bytes(json)))
            .map_err(|_| TokenizerError::Damaged)?
            .map_err(TokenizerError::Json)?;
        inner.get_normalizer().map_or(Ok(()), check_charsmaps)?;
        let id = |role: &str| names.get(role).and_then(|name| inner.token_to_id(name));
        // `[MASK]` and `<mask>` are what BERT's and RoBERTa's kin call it; a T5's answers stand at its
        // first sentinel, which mT5 has in its vocabulary, as a word.
        let mask = ["[MASK]", "<mask>", "<extra_id_0>"];
        let mask = id("mask_token")
            .or_else(|| mask.into_iter().find_map(|name| special_id(&inner, name)))
            .or_else(|| inner.token_to_id("▁<extra_id_0>"));
        let pad = id("pad_token")
            .or_else(|| ["[PAD]", "<pad>"].into_iter().find_map(|name| special_id(&inner, name)));
        let (prefix, suffix) = surroundings(&inner)?;
        Self::new(inner, SpecialTokens { prefix, suffix, mask, pad })
    }

    /// The same with another way of cleaning text, where it cleans as BERT does: letters lowered,
    /// Chinese characters words each, accents taken off. What is `None` stays.
    ///
    /// # Errors
    /// [`TokenizerError::Build`] for an added token that cannot be cleaned.
    pub(crate) fn with_bert_cleaning(
        mut self,
        lowercase: Option<bool>,
        chinese: Option<bool>,
        strip_accents: Option<bool>,
    ) -> Result<Self, TokenizerError> {
        if let Some(NormalizerWrapper::BertNormalizer(normalizer)) = self.inner.get_normalizer() {
            let mut normalizer = *normalizer;
            normalizer.lowercase = lowercase.unwrap_or(normalizer.lowercase);
            normalizer.handle_chinese_chars = chinese.unwrap_or(normalizer.handle_chinese_chars);
            normalizer.strip_accents = strip_accents.or(normalizer.strip_accents);
            self.inner.with_normalizer(Some(normalizer)).map_err(TokenizerError::Build)?;
        }
        Ok(self)
    }

    /// The tokenizer as a tokenizer.json, from which [`from_json`](Self::from_json) rebuilds it.
    ///
    /// # Errors
    /// [`TokenizerError::Build`] where a part cannot be written.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
        let mut whole = self.inner.clone();
        whole.with_post_processor(self.post_processor.clone());
        if let Some(Spacing { normalizer, pre_tokenizer }) = self.spacing.clone() {
            whole.with_normalizer(normalizer).map_err(TokenizerError::Build)?;
            whole.with_pre_tokenizer(pre_tokenizer);
        }
        whole.to_string(false).map_err(TokenizerError::Build)
    }

    /// The id of a vocabulary entry as it is stored (`Ġcapital`), if there is one.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }
}

impl Tokenize for Tokenizer {
    /// Splits a text.
    ///
    /// Tokens that share a character (an emoji is four bytes, and often as many tokens) each have
    /// the span of the whole character, so that a span always cuts the text between characters.
    ///
    /// A vocabulary may lack tokens for a few bytes (SmolLM2's has none for U+0013, say). Those
    /// are left out, as transformers does, and spans after one within the same word are too early.
    fn encode(&self, text: &str) -> Vec<Token> {
        // Encoding fails on an unknown token that is missing, which `new` has ruled out.
        let Ok(encoding) = self.inner.encode(text, false) else { return Vec::new() };
        encoding
            .get_ids()
            .iter()
            .zip(encoding.get_offsets())
            .map(|(&id, &(start, end))| Token { id, span: start..end })
            .collect()
    }

    fn decode(&self, ids: &[u32]) -> String {
        // A decoder fails on tokens it did not make; nothing can be said about such ids.
        self.inner.decode(ids, false).unwrap_or_default()
    }

    fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn special(&self) -> &SpecialTokens {
        &self.special
    }

    fn opens_with_space(&self) -> bool {
        self.spacing.is_some()
    }

    fn is_special(&self, id: u32) -> bool {
        let added = self.inner.get_added_vocabulary();
        self.inner.id_to_token(id).is_some_and(|token| added.is_special_token(&token))
    }

    fn ids(&self, text: &str) -> Vec<u32> {
        self.inner
            .encode_fast(text, false)
            .map(|encoding| encoding.get_ids().to_vec())
            .unwrap_or_default()
    }
}

/// The id of an added token that is marked special.
fn special_id(inner: &tokenizers::Tokenizer, name: &str) -> Option<u32> {
    let id = inner.token_to_id(name)?;
    inner.get_added_vocabulary().is_special_token(name).then_some(id)
}

/// What the post-processor puts before and after a sequence, found by giving it one.
fn surroundings(inner: &tokenizers::Tokenizer) -> Result<(Vec<u32>, Vec<u32>), TokenizerError> {
    let mut probe = inner.clone();
    probe.with_padding(None);
    probe.with_truncation(None).map_err(TokenizerError::Build)?;
    let encoding = probe.encode("a", true).map_err(TokenizerError::Encode)?;
    let (ids, mask) = (encoding.get_ids(), encoding.get_special_tokens_mask());
    let Some(first) = mask.iter().position(|&special| special == 0) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let last = mask.iter().rposition(|&special| special == 0).unwrap_or(first);
    Ok((ids[..first].to_vec(), ids[last + 1..].to_vec()))
}

/// Takes out what would put a space before the text: a template is encoded piece by piece, and a
/// piece begins with a space only where the template has one.
///
/// Gives back the rules that did so, if there were any.
fn keep_text_as_it_is(
    inner: &mut tokenizers::Tokenizer,
) -> Result<Option<Spacing>, TokenizerError> {
    let before = Spacing {
        normalizer: inner.get_normalizer().cloned(),
        pre_tokenizer: inner.get_pre_tokenizer().cloned(),
    };
    let ids = |inner: &tokenizers::Tokenizer| {
        inner.encode("a", false).map(|encoding| encoding.get_ids().to_vec()).ok()
    };
    let with_space = ids(inner);
    let normalizer = inner.get_normalizer().cloned().and_then(without_prepend);
    if let Some(mut pre_tokenizer) = inner.get_pre_tokenizer().cloned() {
        without_prefix_space(&mut pre_tokenizer);
        inner.with_pre_tokenizer(Some(pre_tokenizer));
    }
    inner.with_normalizer(normalizer).map_err(TokenizerError::Build)?;
    Ok((ids(inner) != with_space).then_some(before))
}

fn without_prefix_space(pre_tokenizer: &mut PreTokenizerWrapper) {
    match pre_tokenizer {
        PreTokenizerWrapper::ByteLevel(byte_level) => byte_level.add_prefix_space = false,
        PreTokenizerWrapper::Metaspace(metaspace) => {
            metaspace.set_prepend_scheme(PrependScheme::Never);
        }
        PreTokenizerWrapper::Sequence(steps) => {
            // Behind a split at white space, `▁` says that a word begins, not that a space is there.
            let at_space = |step: &PreTokenizerWrapper| {
                matches!(step, PreTokenizerWrapper::WhitespaceSplit(_))
            };
            let steps = steps.as_mut().iter_mut();
            steps.take_while(|step| !at_space(step)).for_each(without_prefix_space);
        }
        _ => {}
    }
}

fn without_prepend(normalizer: NormalizerWrapper) -> Option<NormalizerWrapper> {
    match normalizer {
        NormalizerWrapper::Prepend(_) => None,
        NormalizerWrapper::Sequence(steps) => {
            let steps = steps.into_iter().filter_map(without_prepend).collect();
            Some(tokenizers::normalizers::Sequence::new(steps).into())
        }
        other => Some(other),
    }
}

/// The post-processor that opens and closes a sequence with tokens of these texts and ids.
///
/// # Errors
/// What the `tokenizers` library refuses.
pub(crate) fn surround(
    before: Option<(String, u32)>,
    behind: Option<(String, u32)>,
) -> Result<TemplateProcessing, TokenizerError> {
    let mut pieces = vec!["$A"];
    let mut specials = Vec::new();
    // A token's text could hold the template's own signs, so the pieces go by another name.
    let mut special = |name: &str, (text, id): (String, u32)| {
        let token = SpecialToken::new(name.to_owned(), vec![id], vec![text]);
        token.map(|token| specials.push(token)).map_err(TokenizerError::Build)
    };
    if let Some(token) = before {
        pieces.insert(0, "bos");
        special("bos", token)?;
    }
    if let Some(token) = behind {
        pieces.push("eos");
        special("eos", token)?;
    }
    TemplateProcessing::builder()
        .try_single(pieces)
        .map_err(|what: String| TokenizerError::Build(what.into()))?
        .special_tokens(specials)
        .build()
        .map_err(|error| TokenizerError::Build(error.into()))
}
