//! What values a key takes: in words for errors, and as a shape for programs.

use std::ops::Bound;

/// The form of a value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Shape {
    /// Whatever the words beside it say.
    Any,
    /// Text that is not blank.
    Text,
    /// `true` or `false`.
    Truth,
    /// A whole number.
    Whole {
        /// The least one.
        least: usize,
    },
    /// A finite number, whole or not.
    Number {
        /// From where.
        from: Bound<f64>,
        /// To where.
        to: Bound<f64>,
    },
    /// One of some names.
    Choice(Vec<&'static str>),
    /// A list.
    List {
        /// What each value in it is.
        of: Box<Shape>,
        /// How many there are at least.
        least: usize,
        /// How many there are at most.
        most: usize,
    },
    /// A table whose keys are the user's.
    Table(Box<Shape>),
    /// One of several shapes.
    Either(Vec<Shape>),
}

impl Shape {
    /// A number above 0.
    pub(super) fn positive() -> Self {
        Self::Number { from: Bound::Excluded(0.0), to: Bound::Unbounded }
    }

    /// A number, at least 0.
    pub(super) fn not_negative() -> Self {
        Self::Number { from: Bound::Included(0.0), to: Bound::Unbounded }
    }

    /// A number from 0 to below 1.
    pub(super) fn share() -> Self {
        Self::Number { from: Bound::Included(0.0), to: Bound::Excluded(1.0) }
    }

    /// A list of at least so many values.
    pub(super) fn list(of: Self, least: usize) -> Self {
        Self::List { of: Box::new(of), least, most: usize::MAX }
    }

    /// A table of values.
    pub(super) fn table(of: Self) -> Self {
        Self::Table(Box::new(of))
    }

    /// The shape with its words.
    pub(super) fn told(self, words: impl Into<String>) -> Expected {
        Expected { words: words.into(), shape: self }
    }
}

/// What a value has to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expected {
    pub words: String,
    pub shape: Shape,
}

/// Words alone, for a value whose shape nothing is said of.
impl From<&str> for Expected {
    fn from(words: &str) -> Self {
        Shape::Any.told(words)
    }
}
