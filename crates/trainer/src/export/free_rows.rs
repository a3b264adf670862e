//! Rows of the vocabulary that no prompt and no ordinary text uses, for virtual tokens to move into.
//!
//! | in this order | why nothing is lost |
//! |---|---|
//! | rows behind the tokenizer's last token | tables are padded to round sizes; no text gives their ids |
//! | `[unused7]`, `<unused7>`, `<|reserved_special_token_7|>` | set aside by whoever made the tokenizer |
//! | the bytes C0, C1 and F5 to FF | UTF-8 never has them |
//! | special tokens such as `<jupyter_code>`, the last first | texts give them only where they spell them out |
//!
//! What opens, closes, pads, masks or separates texts and turns is left alone, and so is every token that the
//! prompt itself or its answers use.

use std::collections::BTreeSet;

use backbone::Backbone;
use ptuning_core::language_model::Tokenize;
use ptuning_core::template::Stretch;
use ptuning_core::verbalizer::{LabelWord, LabelWords};

use super::ExportError;
use crate::prompt::Prompt;

/// A row that a virtual token may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeRow {
    /// Its vocabulary id.
    pub id: u32,
    /// The token that has it, as the vocabulary stores it; `None` behind the last token.
    pub token: Option<String>,
    /// Why it is free.
    pub why: &'static str,
}

const PADDING: &str = "no token of the tokenizer has this id";
const RESERVED: &str = "the tokenizer sets it aside";
const NO_UTF8: &str = "a byte that no UTF-8 text has";
const SPECIAL: &str = "a special token that a text gives only where it spells it out";

/// Special tokens that say where texts and turns begin and end, without their brackets and in lower case.
const KEPT: &str = "s /s bos eos unk pad mask cls sep unknown endoftext endofprompt begin_of_text end_of_text im_start im_end \
     im_sep eot_id eom_id start_header_id end_header_id start_of_turn end_of_turn user assistant system tool";

/// A row for each virtual token, in their order.
///
/// # Errors
/// [`ExportError::TooFewRows`].
pub fn free_rows(prompt: &Prompt, backbone: &Backbone) -> Result<Vec<FreeRow>, ExportError> {
    let expected = prompt.template.prompt_len();
    let mut free = all(backbone);
    let used = used(prompt, backbone);
    free.retain(|row| !used.contains(&row.id));
    if free.len() < expected {
        return Err(ExportError::TooFewRows { expected, found: free.len() });
    }
    free.truncate(expected);
    Ok(free)
}

/// Tokens that the prompt and its answers need.
fn used(prompt: &Prompt, backbone: &Backbone) -> BTreeSet<u32> {
    let tokenizer = &backbone.tokenizer;
    let special = tokenizer.special();
    let mut used: BTreeSet<u32> = special.prefix.iter().chain(&special.suffix).copied().collect();
    used.extend(special.mask.iter().chain(&special.pad));
    used.extend(prompt.verbalizer.candidates().unwrap_or_default());
    let words = prompt.verbalizer.labels().into_iter().flat_map(LabelWords::words);
    used.extend(words.flat_map(LabelWord::tokens));
    for stretch in prompt.template.stretches(tokenizer) {
        if let Stretch::Text(text) = stretch {
            used.extend(tokenizer.ids(&text));
        }
    }
    used
}

/// All free rows, those first that nobody can miss.
fn all(backbone: &Backbone) -> Vec<FreeRow> {
    let tokenizer = &backbone.tokenizer;
    let (mut padding, mut reserved, mut bytes, mut special) = Default::default();
    for id in 0..backbone.model.vocab_size() as u32 {
        let token = tokenizer.token(id);
        let (rows, why): (&mut Vec<FreeRow>, _) = match &token {
            None => (&mut padding, PADDING),
            Some(token) if is_reserved(token) => (&mut reserved, RESERVED),
            // Where a tokenizer has letters and no bytes, the text gives the token.
            Some(token) if is_no_utf8(token) && !tokenizer.ids(token).contains(&id) => {
                (&mut bytes, NO_UTF8)
            }
            Some(token) if tokenizer.is_special(id) && !is_kept(token) => (&mut special, SPECIAL),
            Some(_) => continue,
        };
        rows.push(FreeRow { id, token, why });
    }
    special.reverse();
    [padding, reserved, bytes, special].concat()
}

/// A token's name within its brackets, where it has some.
fn bare(token: &str) -> Option<String> {
    let bare = token.trim_matches(['<', '>', '[', ']', '|']);
    (bare.len() + 2 <= token.len()).then(|| bare.to_lowercase())
}

fn is_reserved(token: &str) -> bool {
    let numbered = token.trim_end_matches(['>', ']', '|']).ends_with(|c: char| c.is_ascii_digit());
    let named = |name: String| name.starts_with("unused") || name.starts_with("reserved");
    numbered && bare(token).is_some_and(named)
}

fn is_kept(token: &str) -> bool {
    bare(token)
        .is_none_or(|name| KEPT.split(' ').any(|kept| kept == name) || name.starts_with("extra_id"))
}

/// Whether a token of a byte-level vocabulary, or one for a single byte (`<0xC0>`), is none of UTF-8's.
///
/// Byte-level vocabularies write a byte of these as the letter of the same number.
fn is_no_utf8(token: &str) -> bool {
    let hexadecimal = token.strip_prefix("<0x").and_then(|token| token.strip_suffix('>'));
    let byte = match hexadecimal.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
        Some(byte) => byte,
        None => {
            let mut letters = token.chars();
            match (letters.next(), letters.next()) {
                (Some(letter), None) => letter as u32,
                _ => return false,
            }
        }
    };
    matches!(byte, 0xc0 | 0xc1 | 0xf5..=0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_by_their_names() {
        for token in ["[unused0]", "<unused99>", "<|reserved_special_token_7|>", "[UNUSED3]"] {
            assert!(is_reserved(token), "{token}");
        }
        for token in ["unused0", "[unused]", "reserved", "<jupyter_code>", "[MASK]", "<0>"] {
            assert!(!is_reserved(token), "{token}");
        }
        for token in
            ["<s>", "</s>", "[MASK]", "<|endoftext|>", "<|im_end|>", "<extra_id_3>", "plain"]
        {
            assert!(is_kept(token), "{token}");
        }
        assert!(!is_kept("<jupyter_code>") && !is_kept("<|fim_prefix|>"));
        for token in ["À", "Á", "õ", "ÿ", "<0xC0>", "<0xFF>"] {
            assert!(is_no_utf8(token), "{token}");
        }
        for token in ["Â", "ô", "a", "Ġ", "ÀÁ", "", "<0xC2>", "<0x41>"] {
            assert!(!is_no_utf8(token), "{token}");
        }
    }
}
