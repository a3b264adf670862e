//! Entities of new texts.

use backbone::Backbone;
use ptuning_core::spans::{Found, SpanRules};
use ptuning_core::template::EncodeError;
use serde::Serialize;

use super::{AskedSpans, labels};
use crate::error::Error;
use crate::prompt::Prompt;
use crate::settings::SENTENCE;

/// An entity of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedSpan {
    /// Its words.
    pub text: String,
    /// The first of them, from 0.
    pub start: usize,
    /// The word behind the last one.
    pub end: usize,
    /// What it is.
    pub label: String,
    /// Probability of the label among all labels.
    pub probability: f32,
}

/// A text with its entities.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tagged {
    /// The words of the text.
    pub words: Vec<String>,
    /// Its entities, in the order of their words.
    pub entities: Vec<NamedSpan>,
    /// Spans that were asked about.
    pub spans: usize,
}

/// Finds the entities of texts, whose words are split at blanks.
///
/// # Errors
/// A text that is blank or does not go into the template, a prompt without the label of what is no entity.
pub fn tag(
    backbone: &Backbone,
    prompt: &Prompt,
    rules: &SpanRules,
    texts: &[String],
    batch_size: usize,
) -> Result<Vec<Tagged>, Error> {
    let (words, none) = labels(&prompt.verbalizer, rules)?;
    let sentences: Vec<Vec<String>> =
        texts.iter().map(|text| text.split_whitespace().map(str::to_owned).collect()).collect();
    let place = |number: usize| format!("input \"{}\"", texts[number]);
    if let Some(blank) = sentences.iter().position(Vec::is_empty) {
        let source = EncodeError::EmptyField { field: SENTENCE.to_owned() };
        return Err(Error::Encode { place: place(blank), source });
    }
    let all = sentences.iter().map(Vec::as_slice);
    let asked = AskedSpans::new(&prompt.template, &backbone.tokenizer, rules, all, place)?;
    let (lm, vectors) = (prompt.language_model(backbone), prompt.vectors.as_ref());
    let opinions = asked.opinions(lm, vectors, &[words], batch_size);
    let found = opinions.first().map(|opinions| asked.found(opinions, none)).unwrap_or_default();
    let tagged = |(number, (sentence, found)): (usize, (Vec<String>, Vec<Found>))| {
        let named = |found: Found| NamedSpan {
            text: found.span.text(&sentence),
            start: found.span.start,
            end: found.span.end,
            label: words.labels()[found.label].name.clone(),
            probability: found.score.exp(),
        };
        let entities = found.into_iter().map(named).collect();
        Tagged { entities, spans: asked.spans_of(number), words: sentence }
    };
    Ok(sentences.into_iter().zip(found).enumerate().map(tagged).collect())
}
