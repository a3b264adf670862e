//! A template bound to a tokenizer, and examples encoded with every position known.

use std::collections::BTreeMap;

use super::bind::{Piece, TextPart, VirtualToken, number_virtual_tokens, pieces};
use super::encoded::{Encoded, Part, Shortened, Slot, Stretch, TextSpan};
use super::error::{BindError, EncodeError};
use super::segments::{Shorten, Template};
use crate::language_model::{Objective, SpecialTokens, Tokenize};

/// Texts of one example, by the name that the template gives them.
pub type Fields = BTreeMap<String, String>;

/// A template bound to a tokenizer and to the way a language model reads.
///
/// # White space
/// Neighbouring anchors and inputs form one text and are tokenized together, as they would be
/// without a template. White space at the end of such a text is dropped (a lone space would become
/// a token of its own) and, before `[z]`, becomes the space in front of the answer; white space
/// between two slots vanishes. A tokenizer that opens every sequence with a space
/// ([`Tokenize::opens_with_space`]) has it in front of a template's first text.
#[derive(Debug, Clone)]
pub struct BoundTemplate {
    template: Template,
    objective: Objective,
    special: SpecialTokens,
    pub(super) pieces: Vec<Piece>,
    virtual_tokens: Vec<VirtualToken>,
    answer_space: bool,
    max_positions: usize,
}

impl BoundTemplate {
    /// Binds a template to a tokenizer.
    ///
    /// `max_positions` is the longest sequence that the language model takes.
    ///
    /// # Errors
    /// Text after a causal model's answer, words without tokens, fixed parts that do not fit.
    pub fn bind(
        template: Template,
        tokenizer: &dyn Tokenize,
        objective: Objective,
        max_positions: usize,
    ) -> Result<Self, BindError> {
        let special = tokenizer.special().clone();
        if objective == Objective::Masked && special.mask.is_none() {
            return Err(BindError::NoMask);
        }
        let (pieces, answer_space) = pieces(&template, objective, tokenizer.opens_with_space())?;
        let (pieces, virtual_tokens) = number_virtual_tokens(&template, pieces, tokenizer)?;
        let bound = Self {
            template,
            objective,
            special,
            pieces,
            virtual_tokens,
            answer_space,
            max_positions,
        };
        let fixed = bound.template.prefix() + bound.fixed_positions(tokenizer);
        if fixed > max_positions {
            return Err(BindError::TooLong { found: fixed, max: max_positions });
        }
        Ok(bound)
    }

    /// The template that was bound.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// How the language model reads.
    pub fn objective(&self) -> Objective {
        self.objective
    }

    /// The virtual tokens h_0 … h_m; tied ones appear once.
    pub fn virtual_tokens(&self) -> &[VirtualToken] {
        &self.virtual_tokens
    }

    /// Number of distinct virtual tokens (`prompt` in the legend of shapes), or of a prefix's rows.
    pub fn prompt_len(&self) -> usize {
        self.virtual_tokens.len()
    }

    /// Virtual tokens of the leading slots, in the order in which they stand, tied ones repeated.
    pub fn prefix_virtual_tokens(&self) -> Vec<u32> {
        self.pieces
            .iter()
            .map_while(|piece| match piece {
                Piece::Virtual(range) => Some(range.clone()),
                Piece::Text(_) | Piece::Answer => None,
            })
            .flatten()
            .map(|index| index as u32)
            .collect()
    }

    /// What a sequence of the template consists of, in order, for programs that make it themselves.
    ///
    /// A text is one tokenizer's input, white space as [`encode`](Self::encode) has it.
    pub fn stretches(&self, tokenizer: &dyn Tokenize) -> Vec<Stretch> {
        let mut stretches = vec![Stretch::Ids(self.special.prefix.clone())];
        for (number, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Virtual(range) => stretches.push(Stretch::Virtual(range.clone())),
                Piece::Answer if self.objective == Objective::Masked => {
                    stretches.push(Stretch::Ids(self.special.mask.into_iter().collect()));
                }
                Piece::Answer => {}
                Piece::Text(parts) => {
                    let space = number == 0 && tokenizer.opens_with_space();
                    stretches.push(Stretch::Text(outlined(parts, space)));
                }
            }
        }
        if self.objective == Objective::Masked {
            stretches.push(Stretch::Ids(self.special.suffix.clone()));
        }
        stretches.retain(|stretch| !matches!(stretch, Stretch::Ids(ids) if ids.is_empty()));
        stretches
    }

    /// An answer word as it stands in running text: with a space in front where the template has one.
    pub fn answer_text(&self, word: &str) -> String {
        if self.answer_space { format!(" {word}") } else { word.to_owned() }
    }

    /// Encodes an example.
    ///
    /// # Errors
    /// A field that is missing or empty; a sequence that is too long and that the template does not
    /// say how to shorten.
    pub fn encode(
        &self,
        fields: &Fields,
        tokenizer: &dyn Tokenize,
    ) -> Result<Encoded, EncodeError> {
        let mut texts: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, _) in self.inputs() {
            let text = fields.get(name).ok_or_else(|| EncodeError::MissingField {
                field: name.to_owned(),
                found: fields.keys().map(|key| format!("'{key}'")).collect::<Vec<_>>().join(", "),
            })?;
            if text.trim().is_empty() {
                return Err(EncodeError::EmptyField { field: name.to_owned() });
            }
            texts.insert(name, text);
        }
        let encoded = self.assemble(&texts, tokenizer);
        if encoded.ids.len() <= self.room() {
            return Ok(encoded);
        }
        self.shorten(texts, encoded.ids.len(), tokenizer)
    }

    /// Drops tokens of the fields that have a rule, the longest field first, until all fits.
    fn shorten<'a>(
        &'a self,
        mut texts: BTreeMap<&'a str, &'a str>,
        mut length: usize,
        tokenizer: &dyn Tokenize,
    ) -> Result<Encoded, EncodeError> {
        let full = texts.clone();
        let mut dropped: BTreeMap<&'a str, usize> = BTreeMap::new();
        while length > self.room() {
            let longest = self
                .inputs()
                .filter_map(|(name, rule)| Some((name, rule?, tokenizer.encode(texts[name]))))
                .max_by_key(|(_, _, tokens)| tokens.len())
                .filter(|(_, _, tokens)| tokens.len() > 1);
            let Some((name, rule, tokens)) = longest else {
                let field = self.inputs().map(|(name, _)| name).max_by_key(|name| full[name].len());
                return Err(EncodeError::TooLong {
                    found: self.template.prefix() + self.assemble(&full, tokenizer).ids.len(),
                    max: self.max_positions,
                    field: field.unwrap_or("x").to_owned(),
                });
            };
            let excess = (length - self.room()).min(tokens.len() - 1);
            let text = texts[name];
            // A token may cover part of a character; move to the nearest boundary that keeps less.
            let kept = match rule {
                Shorten::Head => {
                    let mut end = tokens[tokens.len() - excess - 1].span.end;
                    while end > 0 && (end >= text.len() || !text.is_char_boundary(end)) {
                        end -= 1;
                    }
                    &text[..end]
                }
                Shorten::Tail => {
                    let mut start = tokens[excess].span.start.max(1);
                    while start < text.len() && !text.is_char_boundary(start) {
                        start += 1;
                    }
                    &text[start..]
                }
            };
            *dropped.entry(name).or_default() += excess;
            // White space at a cut would double the template's own.
            texts.insert(name, kept.trim());
            length = self.assemble(&texts, tokenizer).ids.len();
        }
        let mut encoded = self.assemble(&texts, tokenizer);
        encoded.shortened = dropped
            .into_iter()
            .map(|(field, dropped)| Shortened { field: field.to_owned(), dropped })
            .collect();
        Ok(encoded)
    }

    fn assemble(&self, texts: &BTreeMap<&str, &str>, tokenizer: &dyn Tokenize) -> Encoded {
        let filler = self.special.pad.unwrap_or(0);
        let mut encoded = Encoded {
            ids: self.special.prefix.clone(),
            slots: Vec::new(),
            text: Vec::new(),
            answer: 0,
            prefix: self.template.prefix(),
            shortened: Vec::new(),
        };
        for piece in &self.pieces {
            match piece {
                Piece::Virtual(range) => {
                    for virtual_token in range.clone() {
                        encoded.slots.push(Slot { position: encoded.ids.len(), virtual_token });
                        encoded.ids.push(filler);
                    }
                }
                Piece::Answer => match self.objective {
                    Objective::Masked => {
                        encoded.answer = encoded.ids.len();
                        encoded.ids.push(self.special.mask.unwrap_or(filler));
                    }
                    Objective::Causal => encoded.answer = encoded.ids.len().saturating_sub(1),
                },
                Piece::Text(parts) => {
                    let opens = encoded.ids.len() == self.special.prefix.len();
                    let space = opens && tokenizer.opens_with_space();
                    append_text(&mut encoded, parts, texts, space, tokenizer);
                }
            }
        }
        if self.objective == Objective::Masked {
            encoded.ids.extend(&self.special.suffix);
        }
        encoded
    }

    /// Positions that are left for rows.
    fn room(&self) -> usize {
        self.max_positions.saturating_sub(self.template.prefix())
    }

    fn inputs(&self) -> impl Iterator<Item = (&str, Option<Shorten>)> {
        self.pieces
            .iter()
            .flat_map(|piece| match piece {
                Piece::Text(parts) => parts.as_slice(),
                Piece::Virtual(_) | Piece::Answer => &[],
            })
            .filter_map(|part| match part {
                TextPart::Input(name, rule) => Some((name.as_str(), *rule)),
                TextPart::Anchor(_) => None,
            })
    }

    fn fixed_positions(&self, tokenizer: &dyn Tokenize) -> usize {
        let texts = self.inputs().map(|(name, _)| (name, "")).collect();
        self.assemble(&texts, tokenizer).ids.len()
    }
}

/// Neighbouring anchors and inputs as one text, with `{field}` for an input and braces doubled.
fn outlined(parts: &[TextPart], space: bool) -> String {
    let text: String = parts
        .iter()
        .map(|part| match part {
            TextPart::Anchor(words) => words.replace('{', "{{").replace('}', "}}"),
            TextPart::Input(name, _) => format!("{{{name}}}"),
        })
        .collect();
    let space = space && !text.starts_with(char::is_whitespace);
    format!("{}{}", if space { " " } else { "" }, text.trim_end())
}

/// Tokenizes neighbouring anchors and inputs together and notes which tokens came from which.
fn append_text(
    encoded: &mut Encoded,
    parts: &[TextPart],
    texts: &BTreeMap<&str, &str>,
    space: bool,
    tokenizer: &dyn Tokenize,
) {
    let mut joined = if space { " ".to_owned() } else { String::new() };
    let mut ends = Vec::with_capacity(parts.len());
    for part in parts {
        joined.push_str(match part {
            TextPart::Anchor(words) => words,
            TextPart::Input(name, _) => texts.get(name.as_str()).copied().unwrap_or_default(),
        });
        ends.push(joined.len());
    }
    // One space, not two, where the template has written it.
    if space && joined[1..].starts_with(char::is_whitespace) {
        joined.remove(0);
        ends.iter_mut().for_each(|end| *end -= 1);
    }
    joined.truncate(joined.trim_end().len());
    let tokens = tokenizer.encode(&joined);
    let mut next = 0;
    for (part, end) in parts.iter().zip(ends) {
        // A token belongs to the segment of its last byte: " Britain" is the input's, though the
        // space in front of it was written in the template.
        let count = tokens[next..].iter().take_while(|token| token.span.end <= end).count();
        let start = encoded.ids.len();
        encoded.ids.extend(tokens[next..next + count].iter().map(|token| token.id));
        next += count;
        if count > 0 {
            let part = match part {
                TextPart::Anchor(_) => Part::Anchor,
                TextPart::Input(name, _) => Part::Input(name.clone()),
            };
            encoded.text.push(TextSpan { part, positions: start..encoded.ids.len() });
        }
    }
    encoded.ids.extend(tokens[next..].iter().map(|token| token.id));
}
