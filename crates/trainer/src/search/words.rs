//! A template as words and slots, which can be moved about and written down again.

use std::fmt;
use std::ops::Range;

use ptuning_core::template::{SegmentKind, Template, TemplateError};

/// A word or a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// What it is; the text of a literal is one word.
    pub kind: SegmentKind,
    /// Whether it stands right behind what is before it, without a space.
    pub glued: bool,
}

impl Piece {
    /// A word with a space in front.
    pub fn word(text: &str) -> Self {
        Self { kind: SegmentKind::Literal(text.to_owned()), glued: false }
    }

    /// The word, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            SegmentKind::Literal(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is the same word in whatever letters, or the same slot.
    fn is_like(&self, other: &Self) -> bool {
        match (self.text(), other.text()) {
            (Some(a), Some(b)) => a.to_lowercase() == b.to_lowercase(),
            _ => self.kind == other.kind,
        }
    }
}

/// A template as words and slots. Runs of white space become one space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    pieces: Vec<Piece>,
    /// Whether it begins with a space.
    opens: bool,
}

impl Wording {
    /// Takes a template apart.
    ///
    /// # Errors
    /// A text that is no template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self::of(&Template::parse(text)?))
    }

    /// Takes a part of a template apart, which needs no answer.
    ///
    /// # Errors
    /// A text that is no part of a template.
    pub(super) fn parse_part(text: &str) -> Result<Self, TemplateError> {
        match Template::parse(text) {
            Ok(template) => Ok(Self::of(&template)),
            // What lacks an answer gets one, which goes again.
            Err(_) => {
                let mut whole = Self::parse(&format!("{text} [z]"))?;
                whole.pieces.pop();
                Ok(whole)
            }
        }
    }

    fn of(template: &Template) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut glued = false;
        let mut opens = false;
        for segment in template.segments() {
            let SegmentKind::Literal(text) = &segment.kind else {
                pieces.push(Piece { kind: segment.kind.clone(), glued });
                glued = true;
                continue;
            };
            let spaced = text.starts_with(char::is_whitespace);
            opens |= spaced && pieces.is_empty();
            for (place, word) in text.split_whitespace().enumerate() {
                let glued = glued && place == 0 && !spaced;
                pieces.push(Piece { glued, ..Piece::word(word) });
            }
            glued = !text.ends_with(char::is_whitespace);
        }
        Self { pieces, opens }
    }

    /// Its words and slots.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Its words alone.
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(Piece::text)
    }

    /// Where `part` stands in it, letter case apart.
    pub(super) fn find(&self, part: &Self) -> Vec<Range<usize>> {
        let length = part.pieces.len();
        let places = self.pieces.windows(length.max(1)).enumerate();
        let is_there = |window: &[Piece]| {
            let inner = window.iter().zip(&part.pieces).skip(1).all(|(a, b)| a.glued == b.glued);
            inner && window.iter().zip(&part.pieces).all(|(a, b)| a.is_like(b))
        };
        places
            .filter(|(_, window)| length > 0 && is_there(window))
            .map(|(start, _)| start..start + length)
            .collect()
    }

    /// The same with `part` in the place of some pieces. A capital letter that opens the template stays one.
    pub(super) fn replaced(&self, range: Range<usize>, part: &Self) -> Self {
        let mut new = part.pieces.clone();
        let old = self.pieces.get(range.start);
        if let Some(first) = new.first_mut() {
            first.glued = old.is_some_and(|old| old.glued);
        }
        let capital = |text: &str| text.starts_with(char::is_uppercase);
        if range.start == 0
            && old.and_then(Piece::text).is_some_and(capital)
            && let Some(Piece { kind: SegmentKind::Literal(text), .. }) = new.first_mut()
        {
            *text = capitalised(text);
        }
        let mut pieces = self.pieces.clone();
        pieces.splice(range, new);
        Self { pieces, opens: self.opens }
    }

    /// The same without a piece.
    pub(super) fn without(&self, place: usize) -> Self {
        let mut pieces = self.pieces.clone();
        pieces.remove(place);
        Self { pieces, opens: self.opens }
    }

    /// The same with a word more, in front of a piece.
    pub(super) fn inserted(&self, place: usize, word: &str) -> Self {
        let mut pieces = self.pieces.clone();
        pieces.insert(place, Piece::word(word));
        Self { pieces, opens: self.opens }
    }

    /// The same with a piece and the one behind it the other way round.
    pub(super) fn swapped(&self, place: usize) -> Self {
        let mut pieces = self.pieces.clone();
        pieces.swap(place, place + 1);
        Self { pieces, opens: self.opens }
    }

    /// What stands in front of a piece.
    pub(super) fn before(&self, place: usize) -> Self {
        Self { pieces: self.pieces[..place].to_vec(), opens: self.opens }
    }

    /// The same with a piece more at the end.
    pub(super) fn with(mut self, kind: SegmentKind) -> Self {
        self.pieces.push(Piece { kind, glued: false });
        self
    }

    /// The same with another kind of piece in a place.
    pub(super) fn with_kind(&self, place: usize, kind: SegmentKind) -> Self {
        let mut pieces = self.pieces.clone();
        pieces[place].kind = kind;
        Self { pieces, opens: self.opens }
    }
}

impl fmt::Display for Wording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, piece) in self.pieces.iter().enumerate() {
            let space = if place == 0 { self.opens } else { !piece.glued };
            write!(f, "{}{}", if space { " " } else { "" }, piece.kind)?;
        }
        Ok(())
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wording(text: &str) -> Wording {
        Wording::parse(text).unwrap()
    }

    #[test]
    fn words_and_slots_are_written_as_they_were() {
        for text in [
            "The capital of [x] is [z]",
            " the [x]'s capital, [z].",
            "[h:3] capital [x:city|head] ([h='so it']) [z]",
            r"a \[b\] [x] \\ [z]",
        ] {
            assert_eq!(wording(text).to_string(), text);
        }
        assert_eq!(wording("The  capital\tof [x]   [z]").to_string(), "The capital of [x] [z]");
        assert_eq!(wording("[x]'s capital [z]").words().collect::<Vec<_>>(), ["'s", "capital"]);
    }

    #[test]
    fn parts_are_found_as_whole_words() {
        let manual = wording("The capital of [x] is the capital [z]");
        let find = |part| manual.find(&Wording::parse_part(part).unwrap());
        assert_eq!(find("the capital"), [0..2, 5..7]);
        assert_eq!(find("of [x]").first(), Some(&(2..4)));
        assert_eq!(find("the"), [0..1, 5..6]);
        assert!(find("cap").is_empty());
        assert!(find("of [x:other]").is_empty());
    }

    #[test]
    fn a_replacement_keeps_the_capital_letter_and_what_is_glued() {
        let part = |text| Wording::parse_part(text).unwrap();
        let manual = wording("The capital of [x] is [z]");
        assert_eq!(
            manual.replaced(0..4, &part("[x]'s capital")).to_string(),
            "[x]'s capital is [z]"
        );
        assert_eq!(manual.replaced(0..3, &part("a city of")).to_string(), "A city of [x] is [z]");
        assert_eq!(manual.replaced(4..5, &part("=")).to_string(), "The capital of [x] = [z]");
        let glued = wording("[x]'s capital [z]");
        assert_eq!(glued.replaced(1..2, &part(",")).to_string(), "[x], capital [z]");
    }
}
