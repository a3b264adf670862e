//! A template whose virtual tokens are words.

use super::bind::Piece;
use super::encode::BoundTemplate;
use super::segments::SegmentKind;

impl BoundTemplate {
    /// The template with a word in the place of each virtual token, tied ones alike, with spaces between them.
    ///
    /// `words` has one for each of [`virtual_tokens`](Self::virtual_tokens).
    pub fn spelled(&self, words: &[&str]) -> String {
        let mut ranges = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Virtual(range) => Some(range.clone()),
            Piece::Text(_) | Piece::Answer => None,
        });
        let mut text = String::new();
        // Whether words end `text`, from which what follows has to be kept apart.
        let mut spelled = false;
        for segment in self.template().segments() {
            let is_virtual = matches!(segment.kind, SegmentKind::Virtual { .. });
            let next = match is_virtual.then(|| ranges.next()).flatten() {
                Some(range) => {
                    SegmentKind::Literal(words.get(range).unwrap_or_default().join(" ")).to_string()
                }
                None => segment.kind.to_string(),
            };
            let apart = text.is_empty()
                || text.ends_with(char::is_whitespace)
                || next.starts_with(char::is_whitespace);
            if (spelled || is_virtual) && !apart {
                text.push(' ');
            }
            text += &next;
            spelled = is_virtual;
        }
        text
    }
}
