//! The tokenizer of a Hugging Face folder: tokenizer.json, or what older folders have in its place.
//!
//! Without a tokenizer.json the files do not say what they are for. That is told by `tokenizer_class`
//! (in tokenizer_config.json or config.json), or else by `model_type`; what is built is held to what
//! transformers builds of the same folder.
//!
//! | file | does |
//! |---|---|
//! | `kind` | transformers' classes: files, special tokens |
//! | `declared` | the small files that name and add special tokens |
//! | `word_pieces` | vocab.txt |
//! | `byte_level` | vocab.json and merges.txt |
//! | `sentence_piece` | SentencePiece models, read by `model_proto` and `charsmap` |

mod byte_level;
mod charsmap;
mod declared;
mod kind;
mod model_proto;
mod sentence_piece;
mod word_pieces;

use std::collections::HashSet;
use std::path::Path;

use ptuning_core::language_model::SpecialTokens;
use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::hf_dir::read;
use super::{SourceError, nearest};
use crate::tokenizer::{Tokenizer, TokenizerError, surround};
pub(crate) use charsmap::check_within as check_charsmaps;
use declared::Declared;
pub use kind::TokenizerKind;
use kind::{MERGES, SENTENCE_PIECE, VOCAB_JSON, VOCAB_TXT};
use sentence_piece::Choices;
use word_pieces::Cleaning;

const TOKENIZER: &str = "tokenizer.json";

/// The tokenizer of a folder whose config.json is `config`.
///
/// # Errors
/// No tokenizer's files, files that do not fit the class, or damaged ones; each by its name.
pub(super) fn tokenizer(
    folder: &Path,
    config: &Map<String, Value>,
) -> Result<Tokenizer, SourceError> {
    let declared = Declared::read(folder)?;
    let is_there = |file: &&str| folder.join(file).is_file();
    let known = [VOCAB_TXT, VOCAB_JSON, MERGES].into_iter().chain(SENTENCE_PIECE);
    let mut found: Vec<&str> = known.filter(is_there).collect();
    let refused = |file: &str| {
        let path = folder.join(file);
        move |source| SourceError::Tokenizer { path, source }
    };
    if is_there(&TOKENIZER) || found.is_empty() {
        let json = read(folder, TOKENIZER)?;
        let tokenizer = Tokenizer::from_json(&json, &declared.names());
        if !is_bert(config, &declared)? {
            return tokenizer.map_err(refused(TOKENIZER));
        }
        // For these classes transformers believes tokenizer_config.json.
        let lowercase = declared.flag("do_lower_case")?;
        let chinese = declared.flag("tokenize_chinese_chars")?;
        let accents = declared.flag("strip_accents")?;
        return tokenizer
            .and_then(|tokenizer| tokenizer.with_bert_cleaning(lowercase, chinese, accents))
            .map_err(refused(TOKENIZER));
    }
    let kind = kind(folder, config, &declared)?;
    let around = around(kind, &declared)?;
    let misfit = |found: &[&str]| SourceError::TokenizerFiles {
        folder: folder.to_path_buf(),
        class: kind.class(),
        expected: kind.expects(),
        found: found.join(", "),
    };
    match kind {
        TokenizerKind::WordPiece => {
            if !found.contains(&VOCAB_TXT) {
                return Err(misfit(&found));
            }
            let vocab = text(folder, VOCAB_TXT)?;
            let unknown = declared.role("unk_token", Some("[UNK]"));
            let unknown = unknown.map_or_else(|| "[UNK]".to_owned(), |token| token.content);
            let cleaning = Cleaning {
                lowercase: declared.flag("do_lower_case")?.unwrap_or(true),
                chinese: declared.flag("tokenize_chinese_chars")?.unwrap_or(true),
                strip_accents: declared.flag("strip_accents")?,
            };
            let inner = word_pieces::tokenizer(&vocab, &unknown, &cleaning);
            let inner = inner.map_err(refused(VOCAB_TXT))?;
            finish(inner, kind, &declared, around, Vec::new()).map_err(refused(VOCAB_TXT))
        }
        TokenizerKind::Gpt2
        | TokenizerKind::GptNeoX
        | TokenizerKind::Qwen2
        | TokenizerKind::Roberta => {
            if !(found.contains(&VOCAB_JSON) && found.contains(&MERGES)) {
                return Err(misfit(&found));
            }
            let (vocab, merges) = (read(folder, VOCAB_JSON)?, text(folder, MERGES)?);
            let mut inner = byte_level::tokenizer(kind, &vocab, &merges).map_err(|source| {
                let merge = matches!(source, TokenizerError::BadMergeLine { .. });
                refused(if merge { MERGES } else { VOCAB_JSON })(source)
            })?;
            if declared.flag("add_prefix_space")? == Some(true) {
                byte_level::open_with_space(&mut inner);
            }
            finish(inner, kind, &declared, around, Vec::new()).map_err(refused(VOCAB_JSON))
        }
        TokenizerKind::Albert
        | TokenizerKind::Gemma
        | TokenizerKind::Llama
        | TokenizerKind::T5
        | TokenizerKind::XlmRoberta => {
            // The kind's own name goes first; some folders have the file under another one.
            found.sort_by_key(|file| *file != kind.expects());
            let Some(&file) = found.iter().find(|file| SENTENCE_PIECE.contains(file)) else {
                return Err(misfit(&found));
            };
            let choices = choices(&declared)?;
            let bytes = read(folder, file)?;
            let built = sentence_piece::tokenizer(kind, &bytes, &choices);
            let (inner, whole) = built.map_err(refused(file))?;
            finish(inner, kind, &declared, around, whole).map_err(refused(file))
        }
    }
}

/// Whether a folder with a tokenizer.json is for a class that cleans text as BERT does.
fn is_bert(config: &Map<String, Value>, declared: &Declared) -> Result<bool, SourceError> {
    let family = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let kind = match declared.class()? {
        Some(class) => TokenizerKind::of_class(&class).unwrap_or_default(),
        None => crate::registry::tokenizer_kind(family),
    };
    Ok(kind == Some(TokenizerKind::WordPiece))
}

/// Which kind of tokenizer a folder is for.
fn kind(
    folder: &Path,
    config: &Map<String, Value>,
    declared: &Declared,
) -> Result<TokenizerKind, SourceError> {
    let key = |key: &str| config.get(key).and_then(Value::as_str);
    let of_config = key("tokenizer_class").map(str::to_owned);
    for class in declared.class()?.into_iter().chain(of_config) {
        match TokenizerKind::of_class(&class) {
            Ok(Some(kind)) => return Ok(kind),
            Ok(None) => {}
            Err(known) => {
                return Err(SourceError::TokenizerClass {
                    folder: folder.to_path_buf(),
                    nearest: nearest(&class, known.iter().copied()).map(str::to_owned),
                    known: known.join(", "),
                    found: class,
                });
            }
        }
    }
    let family = key("model_type").unwrap_or_default();
    crate::registry::tokenizer_kind(family).ok_or_else(|| SourceError::TokenizerUnknown {
        folder: folder.to_path_buf(),
        family: family.to_owned(),
    })
}

/// What tokenizer_config.json says of a SentencePiece tokenizer.
fn choices(declared: &Declared) -> Result<Choices, SourceError> {
    let text = |role: &str, usual: &str| {
        declared.role(role, Some(usual)).map_or_else(|| usual.to_owned(), |token| token.content)
    };
    Ok(Choices {
        lowercase: declared.flag("do_lower_case")?.unwrap_or(true),
        keep_accents: declared.flag("keep_accents")?.unwrap_or(false),
        sentinels: declared.count("extra_ids")?.unwrap_or(100),
        fairseq: [
            text("bos_token", "<s>"),
            text("pad_token", "<pad>"),
            text("eos_token", "</s>"),
            text("unk_token", "<unk>"),
            text("mask_token", "<mask>"),
        ],
    })
}

/// A file of UTF-8.
fn text(folder: &Path, file: &'static str) -> Result<String, SourceError> {
    String::from_utf8(read(folder, file)?)
        .map_err(|_| SourceError::NotText { path: folder.join(file) })
}

/// Roles of what opens and closes a sequence.
fn around(
    kind: TokenizerKind,
    declared: &Declared,
) -> Result<[Option<&'static str>; 2], SourceError> {
    let (before, behind) = kind.surroundings();
    let flagged = |key, role, usual| match declared.flag(key)? {
        Some(wanted) if kind.heeds_flags() => Ok(wanted.then_some(role)),
        _ => Ok(usual),
    };
    Ok([
        flagged("add_bos_token", "bos_token", before)?,
        flagged("add_eos_token", "eos_token", behind)?,
    ])
}

/// Adds special tokens, in transformers' order: what the files add by id, the roles, and pieces that are
/// matched whole.
///
/// A token that only tokenizer_config.json names and that no file has an id for is left out where the
/// tokenizer can do without, as the model has no embedding for it.
fn finish(
    mut inner: tokenizers::Tokenizer,
    kind: TokenizerKind,
    declared: &Declared,
    around: [Option<&'static str>; 2],
    whole: Vec<AddedToken>,
) -> Result<Tokenizer, TokenizerError> {
    let roles =
        kind.roles().map(|(role, usual, needed)| (role, declared.role(role, usual), needed));
    let mut tokens: Vec<AddedToken> = declared.added.values().cloned().collect();
    for token in &mut tokens {
        let mut named = roles.iter().filter_map(|(_, role, _)| role.as_ref());
        token.special |= named.any(|role| role.content == token.content);
    }
    let mut seen: HashSet<String> = tokens.iter().map(|token| token.content.clone()).collect();
    for (role, token, needed) in &roles {
        let Some(token) = token else { continue };
        let known = seen.contains(&token.content) || inner.token_to_id(&token.content).is_some();
        if !known && (*needed || around.contains(&Some(*role))) {
            return Err(TokenizerError::MissingSpecial { token: token.content.clone() });
        }
        if known && seen.insert(token.content.clone()) {
            tokens.push(token.clone());
        }
    }
    tokens.extend(whole.into_iter().filter(|token| seen.insert(token.content.clone())));
    inner.add_tokens(tokens).map_err(TokenizerError::Build)?;
    for (&expected, token) in &declared.added {
        let found = inner.token_to_id(&token.content);
        if found != Some(expected) {
            let token = token.content.clone();
            return Err(TokenizerError::AddedId { token, expected, found });
        }
    }
    let token = |wanted: &str| {
        let (_, token, _) = roles.iter().find(|(role, _, _)| *role == wanted)?;
        let content = token.as_ref()?.content.clone();
        inner.token_to_id(&content).map(|id| (content, id))
    };
    let [before, behind] = around.map(|role| role.and_then(token));
    let special = SpecialTokens {
        prefix: before.iter().map(|(_, id)| *id).collect(),
        suffix: behind.iter().map(|(_, id)| *id).collect(),
        mask: token("mask_token").map(|(_, id)| id),
        pad: token("pad_token").map(|(_, id)| id),
    };
    if before.is_some() || behind.is_some() {
        inner.with_post_processor(Some(surround(before, behind)?));
    }
    Tokenizer::new(inner, special)
}
