//! An example put into a template, and the rows of a batch of them.

use std::ops::Range;

use crate::language_model::Layout;

/// A virtual token's place in an encoded example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Position in the sequence.
    pub position: usize,
    /// Which virtual token, an index below [`BoundTemplate::prompt_len`](super::BoundTemplate::prompt_len).
    pub virtual_token: usize,
}

/// What a stretch of real tokens is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Fixed words of the template.
    Anchor,
    /// Text of the example's field.
    Input(String),
}

/// A stretch of tokens that came from one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSpan {
    /// What it is.
    pub part: Part,
    /// Positions in the sequence.
    pub positions: Range<usize>,
}

/// A field that was shortened by the template's rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortened {
    /// Its name.
    pub field: String,
    /// Tokens dropped.
    pub dropped: usize,
}

/// A part of the sequences that a template makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stretch {
    /// Tokens that are the same in every sequence: what opens and closes it, and the mask.
    Ids(Vec<u32>),
    /// Virtual tokens, by their indices.
    Virtual(Range<usize>),
    /// Text, with `{field}` for an input and braces of its own doubled.
    Text(String),
}

/// One example, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids. Virtual tokens hold a filler that never reaches the model.
    pub ids: Vec<u32>,
    /// Where the virtual tokens stand, in order of position.
    pub slots: Vec<Slot>,
    /// Where anchors and inputs stand, in order of position.
    pub text: Vec<TextSpan>,
    /// The position whose row predicts the answer.
    pub answer: usize,
    /// How many learned keys and values stand in front of the first position.
    pub prefix: usize,
    /// Inputs that were shortened.
    pub shortened: Vec<Shortened>,
}

impl Encoded {
    /// Layout of a batch of encoded examples, and the token of each of its rows.
    ///
    /// With `share`, what stands in front of every example is laid out once, short of the first
    /// position that answers; a single example has nothing to share but its fixed words.
    pub fn layout(batch: &[&Encoded], share: bool) -> (Layout, Vec<Row>) {
        let constant = batch.iter().map(|encoded| encoded.constant()).min().unwrap_or(0);
        let shared = match batch {
            [_] if share => constant,
            [first, rest @ ..] if share => {
                let shortest = batch.iter().map(|e| e.answer.min(e.ids.len() - 1)).min();
                let same = |other: &&Encoded| {
                    let pairs = first.rows().zip(other.rows());
                    pairs.take_while(|(a, b)| a == b).count()
                };
                rest.iter().map(same).chain(shortest).min().unwrap_or(0)
            }
            _ => 0,
        };
        let layout = Layout {
            prefix: batch.first().map_or(0, |encoded| encoded.prefix),
            shared,
            constant: constant.min(shared),
            own: batch.iter().map(|encoded| encoded.ids.len() - shared).collect(),
            answers: batch.iter().enumerate().map(|(i, encoded)| (i, encoded.answer)).collect(),
        };
        let front = batch.iter().take(1).flat_map(|encoded| encoded.rows().take(shared));
        let own = batch.iter().flat_map(|encoded| encoded.rows().skip(shared));
        let rows = front.chain(own).collect();
        (layout, rows)
    }

    /// First positions that are the same for every example and however a prompt is trained: what
    /// opens every sequence, and anchors in front of the first virtual token, input and answer. Behind a
    /// prefix there are none.
    fn constant(&self) -> usize {
        if self.prefix > 0 {
            return 0;
        }
        let inputs = self.text.iter().filter(|span| span.part != Part::Anchor);
        let input = inputs.map(|span| span.positions.start).next();
        let virtual_token = self.slots.first().map(|slot| slot.position);
        input.into_iter().chain(virtual_token).fold(self.answer, usize::min)
    }

    /// What stands at each position.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        let mut slots = self.slots.iter().peekable();
        self.ids.iter().enumerate().map(move |(position, &id)| {
            match slots.next_if(|slot| slot.position == position) {
                Some(slot) => Row::Virtual(slot.virtual_token),
                None => Row::Token(id),
            }
        })
    }
}

/// What stands at one row of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    /// A token of the vocabulary.
    Token(u32),
    /// A virtual token.
    Virtual(usize),
}
