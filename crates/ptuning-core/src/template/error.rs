//! What can be wrong with a template, and with an example put into it.

use std::fmt;

use thiserror::Error;

/// A template that cannot be parsed, with the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The template as written.
    pub source_text: String,
    /// Column of the problem, in characters, from 1.
    pub column: usize,
    /// What it is.
    pub kind: TemplateErrorKind,
}

/// What is wrong at that column.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TemplateErrorKind {
    /// No `[z]` anywhere.
    #[error("no [z]: a template must say where the answer stands")]
    NoAnswer,
    /// A second `[z]`.
    #[error("a second [z]: a template has one answer (the first is at column {first})")]
    SecondAnswer {
        /// Column of the first one.
        first: usize,
    },
    /// `[` without `]`.
    #[error("this bracket is never closed; write \\[ for a literal bracket")]
    Unclosed,
    /// `]` without `[`.
    #[error("this bracket closes nothing; write \\] for a literal bracket")]
    Unopened,
    /// `[what?]`.
    #[error(
        "unknown slot [{found}]; expected [x], [x:field], [z], [h], [h:3], [h='words'], [h:3@tie] or [prefix:16]"
    )]
    UnknownSlot {
        /// What stands between the brackets.
        found: String,
    },
    /// `[h:0]`, `[h:many]`.
    #[error("expected a number of virtual tokens from 1 to {max}, found '{found}'")]
    BadCount {
        /// What was written.
        found: String,
        /// Largest number allowed.
        max: usize,
    },
    /// `[x] [prefix:3]`.
    #[error("a prefix stands in front of everything: write [prefix:…] first")]
    PrefixInside,
    /// `[prefix:3] [h:2]`.
    #[error(
        "a prefix is all that a template learns; drop this, or drop [prefix:…] for virtual tokens"
    )]
    BesidePrefix,
    /// `[x:]`, `[x:two words]`.
    #[error("expected a name of letters, digits, '_' or '-', found '{found}'")]
    BadName {
        /// What was written.
        found: String,
    },
    /// `[x|middle]`.
    #[error("expected |head or |tail after the input, found '|{found}'")]
    BadShorten {
        /// What was written.
        found: String,
    },
    /// `[h='']`.
    #[error("no words between the quotes: write [h:1] for one virtual token without a start")]
    NoWords,
    /// `[h='words`.
    #[error("the words after [h=' are never closed by a quote")]
    UnclosedQuote,
    /// A tie whose segments differ in length.
    #[error(
        "virtual tokens tied as '@{tie}' must be equally many: {expected} at column {first}, {found} here"
    )]
    TieLength {
        /// Name of the tie.
        tie: String,
        /// Column of its first segment.
        first: usize,
        /// Size of its first segment.
        expected: String,
        /// Size found here.
        found: String,
    },
    /// `\n` in a template.
    #[error("unknown escape '\\{found}'; expected \\[, \\] or \\\\")]
    BadEscape {
        /// The character after the backslash.
        found: char,
    },
    /// A backslash at the very end.
    #[error("a lone backslash at the end; write \\\\ for a literal one")]
    LoneBackslash,
    /// Text that is nothing.
    #[error("the template is empty")]
    Empty,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "template, column {}: {}", self.column, self.kind)?;
        writeln!(f, "  | {}", self.source_text.replace(['\n', '\t'], " "))?;
        write!(f, "  | {}^", " ".repeat(self.column.saturating_sub(1)))
    }
}

impl std::error::Error for TemplateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.kind)
    }
}

/// A template that this tokenizer or language model cannot use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Text after the answer of a left-to-right model.
    #[error(
        "template, column {column}: a causal language model reads left to right, so nothing may follow [z]\n\
         hint: move [z] to the end, or use a masked language model"
    )]
    AfterAnswer {
        /// Column of what follows.
        column: usize,
    },
    /// Nothing before the answer of a left-to-right model.
    #[error("template: a causal language model needs at least one token before [z]")]
    NothingBefore,
    /// A masked template without a mask token in the vocabulary.
    #[error("the tokenizer of this masked language model has no mask token")]
    NoMask,
    /// Words that give no token.
    #[error("template, column {column}: the words '{words}' give no token with this tokenizer")]
    WordsWithoutTokens {
        /// Column of the segment.
        column: usize,
        /// The words.
        words: String,
    },
    /// Tied segments whose words differ in length once tokenized.
    #[error(
        "template, column {column}: virtual tokens tied as '@{tie}' must be equally many, \
         but these are {found} tokens and the first {expected}"
    )]
    TieLength {
        /// Column of the segment.
        column: usize,
        /// Name of the tie.
        tie: String,
        /// Tokens of the first segment.
        expected: usize,
        /// Tokens of this one.
        found: usize,
    },
    /// The fixed parts alone are longer than the model allows.
    #[error("the template's fixed parts take {found} positions, the language model has {max}")]
    TooLong {
        /// Positions taken.
        found: usize,
        /// Positions there are.
        max: usize,
    },
}

/// An example that does not go into the template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The example lacks a field.
    #[error("the template needs the field '{field}', the example has {found}")]
    MissingField {
        /// Field that the template names.
        field: String,
        /// Fields that the example has.
        found: String,
    },
    /// The field's text is empty.
    #[error("the field '{field}' is empty")]
    EmptyField {
        /// Field that the template names.
        field: String,
    },
    /// Too long, and the template does not say what to drop.
    #[error(
        "the example takes {found} positions, the language model has {max}\n\
         hint: write [x:{field}|head] or [x:{field}|tail] in the template to say which end of the text to keep"
    )]
    TooLong {
        /// Positions taken.
        found: usize,
        /// Positions there are.
        max: usize,
        /// A field that could be shortened.
        field: String,
    },
}
