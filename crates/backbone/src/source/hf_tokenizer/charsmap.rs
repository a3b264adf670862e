//! SentencePiece's compiled character map, checked before it is used.
//!
//! A map is the length of a trie, the trie as Darts' double array of 32-bit units, and the replacements
//! as one text, each ended by a NUL. The `tokenizers` library walks the trie without looking whether a
//! unit or a replacement is there, so everything that it can reach is visited here first.

use tokenizers::normalizers::{NormalizerWrapper, Precompiled};

use crate::tokenizer::TokenizerError;

/// The normaliser of a map, or `None` where the map is empty.
///
/// # Errors
/// [`TokenizerError::Charsmap`] for a trie that leads out of itself.
pub fn normalizer(map: &[u8]) -> Result<Option<Precompiled>, TokenizerError> {
    if map.is_empty() {
        return Ok(None);
    }
    check(map).ok_or(TokenizerError::Charsmap)?;
    Precompiled::from(map).map(Some).map_err(|_| TokenizerError::Charsmap)
}

/// Checks the maps of a normaliser that the library read itself.
///
/// # Errors
/// As [`normalizer`].
pub fn check_within(normalizer: &NormalizerWrapper) -> Result<(), TokenizerError> {
    match normalizer {
        NormalizerWrapper::Sequence(steps) => steps.as_ref().iter().try_for_each(check_within),
        NormalizerWrapper::Precompiled(map) => {
            // The library shows a map's bytes only as JSON.
            let json = serde_json::to_value(map).ok();
            let map = json.as_ref().and_then(|json| json.get("precompiled_charsmap")?.as_str());
            map.and_then(base64).and_then(|map| check(&map)).ok_or(TokenizerError::Charsmap)
        }
        _ => Ok(()),
    }
}

/// Bytes of a text in the standard alphabet of RFC 4648.
fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len() / 4 * 3), 0u32, 0u32);
    for letter in text.trim_end_matches('=').bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (held, bits) = (held << 6 | u32::from(six), bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    Some(bytes)
}

/// Walks every way through the trie; `None` where one leads nowhere.
fn check(map: &[u8]) -> Option<()> {
    let (length, rest) = map.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (trie, texts) = rest.split_at_checked(length)?;
    let texts = std::str::from_utf8(texts).ok()?;
    let (units, odd) = trie.as_chunks::<4>();
    if !odd.is_empty() {
        return None;
    }
    let unit = |at: usize| units.get(at).map(|unit| u32::from_le_bytes(*unit) as usize);
    let offset = |unit: usize| (unit >> 10) << ((unit & (1 << 9)) >> 6);
    let root = offset(unit(0)?);
    let mut seen = vec![false; units.len()];
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        if std::mem::replace(seen.get_mut(node)?, true) {
            continue;
        }
        for label in 1..=255 {
            let at = node ^ label;
            let child = unit(at)?;
            if child & ((1 << 31) | 0xff) != label {
                continue;
            }
            let next = at ^ offset(child);
            if (child >> 8) & 1 == 1 {
                let text = unit(next)? & ((1 << 31) - 1);
                if !texts.is_char_boundary(text) {
                    return None;
                }
            }
            open.push(next);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_rfc_4648s() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9vYmFy", "foobar")] {
            assert_eq!(base64(text).unwrap(), bytes.as_bytes(), "{text}");
        }
        assert_eq!(base64("+/8=").unwrap(), [0xfb, 0xff]);
        assert_eq!(base64("Z g="), None);
    }
}
