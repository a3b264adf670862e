//! From scores of spans to entities.

use super::Span;

/// A span that is taken for an entity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Where.
    pub span: Span,
    /// Number of its label.
    pub label: usize,
    /// Log-probability of the label among all labels, in nats.
    pub score: f32,
}

/// Entities of one sentence: the spans whose best label is not `none`, [`apart`] from each other (Cui et al.
/// 2021, section 3.2).
///
/// # Shapes
/// - `spans`: each with the log-probability of each label
/// - `none`: number of the label of what is no entity
/// - returns: entities in the order of their words
pub fn without_overlap(spans: &[(Span, &[f32])], none: usize) -> Vec<Found> {
    let best = |&(span, row): &(Span, &[f32])| {
        let (label, &score) = first_best(row)?;
        (label != none).then_some(Found { span, label, score })
    };
    apart(spans.iter().filter_map(best).collect())
}

/// What is left of entities of one sentence where of those that share a word the one with the higher score
/// stays, of equal ones the first, then the longest; in the order of their words.
pub fn apart(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by(|a, b| {
        let place = |found: &Found| (found.span.start, std::cmp::Reverse(found.span.end));
        b.score.total_cmp(&a.score).then(place(a).cmp(&place(b)))
    });
    let mut kept: Vec<Found> = Vec::new();
    for candidate in found {
        if !kept.iter().any(|kept| kept.span.overlaps(candidate.span)) {
            kept.push(candidate);
        }
    }
    kept.sort_by_key(|found| found.span);
    kept
}

/// The greatest number and its place, the first of equal ones.
fn first_best(row: &[f32]) -> Option<(usize, &f32)> {
    row.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: usize, end: usize) -> Span {
        Span { start, end }
    }

    fn found(rows: &[(Span, [f32; 3])]) -> Vec<(Span, usize)> {
        let rows: Vec<(Span, &[f32])> =
            rows.iter().map(|(span, row)| (*span, row.as_slice())).collect();
        without_overlap(&rows, 2).into_iter().map(|found| (found.span, found.label)).collect()
    }

    #[test]
    fn the_higher_score_wins_where_spans_overlap() {
        let rows = [
            (span(0, 1), [-0.9, -0.6, -2.0]),
            (span(0, 2), [-0.2, -2.0, -3.0]),
            (span(1, 3), [-3.0, -0.1, -3.0]),
            (span(2, 3), [-0.4, -1.5, -3.0]),
            (span(3, 4), [-0.5, -1.0, -3.0]),
        ];
        // The third beats the second, which leaves room for the first, and the fourth.
        assert_eq!(found(&rows), [(span(0, 1), 1), (span(1, 3), 1), (span(3, 4), 0)]);
    }

    #[test]
    fn what_is_no_entity_blocks_none() {
        let rows = [(span(0, 2), [-5.0, -5.0, -0.01]), (span(0, 1), [-1.0, -1.2, -1.1])];
        assert_eq!(found(&rows), [(span(0, 1), 0)]);
        assert!(found(&rows[..1]).is_empty());
    }

    #[test]
    fn neighbours_do_not_overlap_and_equal_ones_have_an_order() {
        let row = [-0.5, -0.5, -3.0];
        let rows = [(span(1, 2), row), (span(0, 1), row), (span(0, 2), row), (span(2, 3), row)];
        assert_eq!(found(&rows), [(span(0, 2), 0), (span(2, 3), 0)]);
        let mut other = rows;
        other.reverse();
        assert_eq!(found(&other), found(&rows));
    }
}
