//! Entities of sentences: spans are asked about, one template and label words saying what each is.
//!
//! Training sees every entity and some spans that are none ([`Sentences::examples`]), as examples of labels
//! like any others. Judging and prediction ask about all spans that the rules allow ([`AskedSpans`]), once
//! each for all labels, and keep those that no better one overlaps. Cui et al., "Template-Based Named Entity
//! Recognition Using BART" (2021); `ptuning_core::spans` has the method's own parts.

mod asked;
mod evaluation;
mod judge;
mod lookup;
mod predict;
mod sentences;

pub use asked::{AskedSpans, Opinions};
pub use evaluation::{TaggingEvaluation, check, evaluate};
pub use judge::DevSpans;
pub use predict::{NamedSpan, Tagged, tag};
pub use sentences::{Sentences, examples};

use ptuning_core::spans::SpanRules;
use ptuning_core::verbalizer::{LabelWords, Verbalizer};

use crate::error::Error;

/// The labels of a verbalizer and the number of the one that says that a span is no entity.
///
/// # Errors
/// A verbalizer without that label.
pub fn labels<'a>(
    verbalizer: &'a Verbalizer,
    rules: &SpanRules,
) -> Result<(&'a LabelWords, usize), Error> {
    let found = verbalizer.labels().and_then(|labels| Some((labels, labels.number(&rules.none)?)));
    found.ok_or_else(|| {
        let labels = verbalizer.labels().map_or(&[][..], |labels| labels.labels());
        let known: Vec<String> = labels.iter().map(|label| format!("'{}'", label.name)).collect();
        Error::NoNoneLabel { none: rules.none.clone(), known: known.join(", ") }
    })
}
