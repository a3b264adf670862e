//! Tokenizers from SentencePiece models (spiece.model, tokenizer.model, sentencepiece.bpe.model).
//!
//! Kudo and Richardson 2018 (arXiv:1808.06226). What is built is what transformers builds of the same
//! file for each of its classes, by the same parts. The unigram kinds split at white space and put `▁`
//! in front of every word, so that a word is the same with a space before it or without; for Llama and
//! Gemma a space is a letter like any other.

use std::collections::HashMap;

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::{
    Lowercase, NFKD, NormalizerWrapper, Replace, Sequence, StripAccents,
};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::Split;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::charsmap;
use super::kind::TokenizerKind;
use super::model_proto::{Algorithm, ModelProto, PieceType};
use crate::tokenizer::TokenizerError;

/// What SentencePiece writes for a space.
const SPACE: char = '▁';
/// Letters of the longest piece. Merges are found by trying every cut of every piece.
const LONGEST: usize = 256;

/// What tokenizer_config.json changes.
pub struct Choices {
    /// Letters are lowered (ALBERT).
    pub lowercase: bool,
    /// Accents stay (ALBERT).
    pub keep_accents: bool,
    /// Sentinels `<extra_id_0>` … behind the vocabulary (T5).
    pub sentinels: usize,
    /// Texts of XLM-RoBERTa's own tokens: those at 0 to 3, and the last.
    pub fairseq: [String; 5],
}

/// A tokenizer from a model's bytes, without special tokens, and the tokens that are matched whole.
///
/// # Errors
/// A damaged file, an algorithm other than the kind's, a piece that is there twice.
pub fn tokenizer(
    kind: TokenizerKind,
    bytes: &[u8],
    choices: &Choices,
) -> Result<(tokenizers::Tokenizer, Vec<AddedToken>), TokenizerError> {
    let model = ModelProto::read(bytes)?;
    let bpe = matches!(kind, TokenizerKind::Llama | TokenizerKind::Gemma);
    let expected = if bpe { Algorithm::Bpe } else { Algorithm::Unigram };
    if model.algorithm != expected {
        let (expected, found) = (expected.name(), model.algorithm.name());
        return Err(TokenizerError::Algorithm { class: kind.class(), expected, found });
    }
    if model.whitespace_as_suffix {
        return Err(TokenizerError::WhitespaceAsSuffix);
    }
    let inner = match kind {
        TokenizerKind::Llama | TokenizerKind::Gemma => merging(kind, &model)?,
        _ => unigram(kind, &model, choices)?,
    };
    let whole = model.pieces.iter().filter_map(|piece| match piece.kind {
        PieceType::Control => Some(AddedToken::from(piece.text, true)),
        PieceType::UserDefined => Some(AddedToken::from(piece.text, false).normalized(false)),
        _ => None,
    });
    let sentinels = if kind == TokenizerKind::T5 { choices.sentinels } else { 0 };
    let sentinels = (0..sentinels).map(|id| AddedToken::from(sentinel(id), true));
    Ok((inner, whole.chain(sentinels).collect()))
}

/// Llama's and Gemma's.
fn merging(
    kind: TokenizerKind,
    model: &ModelProto<'_>,
) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let (vocab, merges) = vocabulary_and_merges(model)?;
    let unknown = model.pieces[model.unknown].text.to_owned();
    let bpe = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .unk_token(unknown)
        .fuse_unk(true)
        .byte_fallback(true)
        .build()
        .map_err(TokenizerError::Build)?;
    let mut inner = tokenizers::Tokenizer::new(bpe);
    let spaces = |from: &str, to: &str| Replace::new(from, to).map_err(TokenizerError::Build);
    if kind == TokenizerKind::Gemma {
        let normalizer = spaces(" ", "▁")?;
        inner.with_normalizer(Some(normalizer)).map_err(TokenizerError::Build)?;
        let split = Split::new(" ", SplitDelimiterBehavior::MergedWithPrevious, false);
        inner.with_pre_tokenizer(Some(split.map_err(TokenizerError::Build)?));
    } else {
        inner.with_pre_tokenizer(Some(Metaspace::new(SPACE, PrependScheme::First, false)));
    }
    let steps = vec![spaces("▁", " ")?.into(), ByteFallback::new().into(), Fuse::new().into()];
    inner.with_decoder(Some(Decoders::new(steps)));
    Ok(inner)
}

/// Every way to make a piece of two others is a merge. Pieces of lower ids merge first, and of the ways
/// to make one piece the one with the shorter beginning, which is transformers' order.
fn vocabulary_and_merges(model: &ModelProto<'_>) -> Result<(Vocab, Merges), TokenizerError> {
    let mut ids: HashMap<&str, u32> = HashMap::with_capacity(model.pieces.len());
    for (id, piece) in (0..).zip(&model.pieces) {
        if ids.insert(piece.text, id).is_some() {
            return Err(TokenizerError::RepeatedPiece { piece: piece.text.to_owned() });
        }
        if piece.text.chars().nth(LONGEST).is_some() {
            let piece = piece.text.chars().take(80).collect();
            return Err(TokenizerError::LongPiece { piece, longest: LONGEST });
        }
    }
    let mut merges = Merges::new();
    for piece in &model.pieces {
        for (cut, _) in piece.text.char_indices().skip(1) {
            let (left, right) = piece.text.split_at(cut);
            if ids.contains_key(left) && ids.contains_key(right) {
                merges.push((left.to_owned(), right.to_owned()));
            }
        }
    }
    Ok((ids.into_iter().map(|(text, id)| (text.to_owned(), id)).collect(), merges))
}

/// ALBERT's, T5's and XLM-RoBERTa's.
fn unigram(
    kind: TokenizerKind,
    model: &ModelProto<'_>,
    choices: &Choices,
) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let pieces = model.pieces.iter().map(|piece| (piece.text.to_owned(), f64::from(piece.score)));
    let (vocab, unknown): (Vec<(String, f64)>, usize) = match kind {
        TokenizerKind::XlmRoberta => {
            // fairseq's dictionary has four tokens of its own in front where the model has three,
            // which are the same but for padding, and one behind.
            let token = |which: usize| (choices.fairseq[which].clone(), 0.0);
            let front = (0..4).map(token);
            (front.chain(pieces.skip(3)).chain([token(4)]).collect(), 3)
        }
        TokenizerKind::T5 => {
            let sentinels = (0..choices.sentinels).rev().map(|id| (sentinel(id), 0.0));
            (pieces.chain(sentinels).collect(), model.unknown)
        }
        _ => (pieces.map(apart_from_comma).collect(), model.unknown),
    };
    let mut seen = std::collections::HashSet::new();
    if let Some((piece, _)) = vocab.iter().find(|(piece, _)| !seen.insert(piece.as_str())) {
        return Err(TokenizerError::RepeatedPiece { piece: piece.clone() });
    }
    let unigram = Unigram::from(vocab, Some(unknown), false).map_err(TokenizerError::Build)?;
    let mut inner = tokenizers::Tokenizer::new(unigram);
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if kind == TokenizerKind::Albert {
        for quotes in ["``", "''"] {
            steps.push(Replace::new(quotes, "\"").map_err(TokenizerError::Build)?.into());
        }
        if !choices.keep_accents {
            steps.extend([NFKD.into(), StripAccents.into()]);
        }
        if choices.lowercase {
            steps.push(Lowercase.into());
        }
    }
    steps.extend(charsmap::normalizer(model.charsmap)?.map(Into::into));
    inner.with_normalizer(Some(Sequence::new(steps))).map_err(TokenizerError::Build)?;
    let metaspace = Metaspace::new(SPACE, PrependScheme::Always, true);
    let steps = vec![WhitespaceSplit.into(), metaspace.clone().into()];
    inner.with_pre_tokenizer(Some(PreTokenizers::new(steps)));
    inner.with_decoder(Some(metaspace));
    Ok(inner)
}

/// T5's name of what is left out of a text.
fn sentinel(id: usize) -> String {
    format!("<extra_id_{id}>")
}

/// ALBERT cuts a comma off a number: a piece such as `9,` is as good as never taken.
///
/// So do its own code and the tokenizer.json that it was published with.
fn apart_from_comma((piece, score): (String, f64)) -> (String, f64) {
    let digits = |front: &str| front.ends_with(|c: char| c.is_ascii_digit());
    let glued = piece.strip_suffix(',').is_some_and(digits);
    (piece, if glued { score - 100.0 } else { score })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_is_cut_off_a_number() {
        let score = |piece: &str| apart_from_comma((piece.to_owned(), -3.0)).1;
        assert_eq!((score("9,"), score("▁1,")), (-103.0, -103.0));
        assert_eq!((score(","), score("a,"), score("9")), (-3.0, -3.0, -3.0));
    }
}
