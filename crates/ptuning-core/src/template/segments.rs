//! The parsed form of a template, and its way back to text.

use std::fmt;
use std::str::FromStr;

use super::encode::Fields;
use super::error::TemplateError;
use super::parse;

/// A parsed template: segments in the order in which they are written.
///
/// Printing a template and parsing the print gives an equal template.
#[derive(Debug, Clone)]
pub struct Template {
    pub(super) segments: Vec<Segment>,
    pub(super) source: String,
}

/// One segment and the column (in characters, from 1) at which it begins.
#[derive(Debug, Clone)]
pub struct Segment {
    /// What it is.
    pub kind: SegmentKind,
    /// Where it begins in the source text.
    pub column: usize,
}

/// What a segment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentKind {
    /// Fixed words: anchors.
    Literal(String),
    /// `[x]`, `[x:field]`, `[x:field|head]`: text of the example.
    Input {
        /// Name of the example's field; `x` when none is given.
        field: String,
        /// How the text is shortened when the sequence is too long.
        shorten: Option<Shorten>,
    },
    /// `[z]`: the answer.
    Answer,
    /// `[prefix:16]`: keys and values that are learned in every layer, in front of everything.
    Prefix {
        /// How many, at least 1.
        count: usize,
    },
    /// `[h]`, `[h:3]`, `[h='words']`, `[h:3@tie]`: vectors that are learned.
    Virtual {
        /// How many, or the words to start from.
        count: Count,
        /// Segments with the same tie share their vectors.
        tie: Option<String>,
    },
}

/// How many virtual tokens a segment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Count {
    /// A number, at least 1.
    Number(usize),
    /// One for each token of these words, starting from their embeddings.
    Words(String),
}

/// Which end of a long input is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shorten {
    /// Keep the beginning.
    Head,
    /// Keep the end.
    Tail,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Names the column and what was expected there.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        parse::parse(text)
    }

    /// The segments, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The text that was parsed.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Names of the fields that an example must have, each once, in order of appearance.
    pub fn fields(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for segment in &self.segments {
            if let SegmentKind::Input { field, .. } = &segment.kind
                && !names.contains(&field.as_str())
            {
                names.push(field);
            }
        }
        names
    }

    /// The template with an example's texts in the place of its inputs; inputs that are missing, the answer
    /// and what is learned stay as signs.
    pub fn filled(&self, fields: &Fields) -> String {
        let text = |segment: &Segment| match &segment.kind {
            SegmentKind::Literal(text) => text.clone(),
            SegmentKind::Input { field, .. } => {
                fields.get(field).cloned().unwrap_or_else(|| segment.kind.to_string())
            }
            kind => kind.to_string(),
        };
        self.segments.iter().map(text).collect()
    }

    /// Whether anything in it is learned.
    pub fn has_virtual_tokens(&self) -> bool {
        let virtual_tokens =
            |segment: &Segment| matches!(segment.kind, SegmentKind::Virtual { .. });
        self.prefix() > 0 || self.segments.iter().any(virtual_tokens)
    }

    /// How many keys and values are learned in every layer, in front of everything.
    pub fn prefix(&self) -> usize {
        match self.segments.first().map(|segment| &segment.kind) {
            Some(SegmentKind::Prefix { count }) => *count,
            _ => 0,
        }
    }

    /// Whether all virtual tokens come before all text, the form that prompt-prepending tools use.
    pub fn is_prefix_only(&self) -> bool {
        let mut text_seen = false;
        for segment in &self.segments {
            match &segment.kind {
                SegmentKind::Virtual { .. } if text_seen => return false,
                SegmentKind::Virtual { .. } | SegmentKind::Prefix { .. } => {}
                SegmentKind::Literal(text) => text_seen |= !text.trim().is_empty(),
                SegmentKind::Input { .. } | SegmentKind::Answer => text_seen = true,
            }
        }
        true
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|(a, b)| a.kind == b.kind)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments.iter().try_for_each(|segment| write!(f, "{}", segment.kind))
    }
}

impl fmt::Display for SegmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(text) => {
                for c in text.chars() {
                    if matches!(c, '[' | ']' | '\\') {
                        write!(f, "\\")?;
                    }
                    write!(f, "{c}")?;
                }
                Ok(())
            }
            Self::Input { field, shorten } => {
                write!(f, "[x")?;
                if field != "x" {
                    write!(f, ":{field}")?;
                }
                match shorten {
                    Some(Shorten::Head) => write!(f, "|head]"),
                    Some(Shorten::Tail) => write!(f, "|tail]"),
                    None => write!(f, "]"),
                }
            }
            Self::Answer => write!(f, "[z]"),
            Self::Prefix { count } => write!(f, "[prefix:{count}]"),
            Self::Virtual { count, tie } => {
                match count {
                    Count::Number(1) => write!(f, "[h")?,
                    Count::Number(n) => write!(f, "[h:{n}")?,
                    Count::Words(words) => {
                        write!(f, "[h='")?;
                        for c in words.chars() {
                            if matches!(c, '\'' | '\\') {
                                write!(f, "\\")?;
                            }
                            write!(f, "{c}")?;
                        }
                        write!(f, "'")?;
                    }
                }
                if let Some(tie) = tie {
                    write!(f, "@{tie}")?;
                }
                write!(f, "]")
            }
        }
    }
}
