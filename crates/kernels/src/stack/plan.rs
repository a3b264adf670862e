//! How the rows of a batch form sequences.

use std::ops::Range;
use std::sync::Arc;

use super::Past;
use crate::attention::Sequence;

/// A batch that cannot be laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanError {
    /// A batch without examples, or an example without rows of its own.
    Empty,
    /// An answer position outside its example's own rows, or given twice or out of order.
    Answer {
        /// The example.
        example: usize,
        /// The position.
        position: usize,
    },
}

impl std::fmt::Display for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("a batch needs examples with rows of their own"),
            Self::Answer { example, position } => {
                write!(f, "position {position} of example {example} cannot answer")
            }
        }
    }
}

impl std::error::Error for PlanError {}

/// Rows `0..prefix` are shared by all examples; then come each example's own rows. Before all of them
/// may stand what an earlier pass computed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The shared rows as a sequence (if there are any), then the examples.
    pub(crate) sequences: Vec<Sequence>,
    pub(crate) prefix: usize,
    pub(crate) past: Option<Arc<Past>>,
    /// Position of each row in its sequence.
    pub(crate) positions: Vec<usize>,
    /// Rows that answer, ascending.
    pub(crate) answers: Vec<usize>,
    /// Positions of the answer rows.
    pub(crate) answer_positions: Vec<usize>,
    /// Part of `answers` that belongs to each sequence.
    pub(crate) answers_of: Vec<Range<usize>>,
    /// For each row, its place among the answers.
    pub(crate) answer_at: Vec<Option<usize>>,
}

impl Plan {
    /// Lays out a batch.
    ///
    /// `own` are the rows of each example after the shared ones; `answers` are (example, position)
    /// in ascending order, positions counted from the start of the sequence, the past and shared rows
    /// included.
    ///
    /// # Errors
    /// An empty batch or example, an answer that is not one of an example's own rows.
    pub fn new(
        past: Option<Arc<Past>>,
        prefix: usize,
        own: &[usize],
        answers: &[(usize, usize)],
    ) -> Result<Self, PlanError> {
        if own.is_empty() || own.contains(&0) {
            return Err(PlanError::Empty);
        }
        let mut sequences = Vec::with_capacity(own.len() + 1);
        let before = past.as_ref().map_or(0, |past| past.rows());
        let as_it_is = past.as_ref().is_some_and(|past| past.is_learned());
        let first = before + prefix;
        let mut positions: Vec<usize> = (before..first).collect();
        if prefix > 0 {
            sequences.push(Sequence { past: before, as_it_is, prefix: 0, rows: 0..prefix });
        }
        for &len in own {
            let start = positions.len();
            sequences.push(Sequence { past: before, as_it_is, prefix, rows: start..start + len });
            positions.extend(first..first + len);
        }
        let first_example = usize::from(prefix > 0);
        let mut rows: Vec<usize> = Vec::with_capacity(answers.len());
        let mut answers_of = vec![0..0; sequences.len()];
        let mut answer_at = vec![None; positions.len()];
        for &(example, position) in answers {
            let error = PlanError::Answer { example, position };
            let sequence = example
                .checked_add(first_example)
                .and_then(|index| sequences.get(index))
                .ok_or(error)?;
            let row = (position.checked_sub(first))
                .map(|own| sequence.rows.start + own)
                .filter(|row| sequence.rows.contains(row))
                .ok_or(error)?;
            if rows.last().is_some_and(|&last| last >= row) {
                return Err(error);
            }
            let part = &mut answers_of[first_example + example];
            if part.start == part.end {
                *part = rows.len()..rows.len();
            }
            part.end += 1;
            answer_at[row] = Some(rows.len());
            rows.push(row);
        }
        let answer_positions = rows.iter().map(|&row| positions[row]).collect();
        Ok(Self {
            sequences,
            prefix,
            past,
            positions,
            answers: rows,
            answer_positions,
            answers_of,
            answer_at,
        })
    }

    /// Rows of an earlier pass in front of the batch.
    pub fn past(&self) -> usize {
        self.past.as_ref().map_or(0, |past| past.rows())
    }

    /// Those of them that are learned.
    pub fn learned(&self) -> usize {
        self.past.as_ref().map_or(0, |past| if past.is_learned() { past.rows() } else { 0 })
    }

    /// Rows of the batch.
    pub fn rows(&self) -> usize {
        self.positions.len()
    }

    /// Rows that answer.
    pub fn answers(&self) -> usize {
        self.answers.len()
    }

    /// Positions of the longest sequence.
    pub fn longest(&self) -> usize {
        self.positions.iter().max().map_or(0, |&last| last + 1)
    }
}
