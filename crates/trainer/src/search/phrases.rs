//! A list of phrases with their alternatives: a phrase and its alternatives on a line, tabs between them.

use std::ops::Range;
use std::path::Path;

use super::error::SearchError;
use super::words::Wording;
use crate::data::lines;
use crate::error::Error;

/// Phrases and what may stand in their place.
#[derive(Debug, Clone)]
pub struct Phrases {
    entries: Vec<(Wording, Vec<Wording>)>,
}

impl Phrases {
    /// Reads a list. Lines that begin with `#` say something to people.
    ///
    /// # Errors
    /// A file that cannot be read, a line without an alternative, a phrase that is no part of a template.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let mut entries = Vec::new();
        for (line, text) in lines::read(file)? {
            if text.starts_with('#') {
                continue;
            }
            let part = |text: &str| {
                Wording::parse_part(text).map_err(|source| SearchError::Phrase {
                    file: file.to_owned(),
                    line,
                    source: Box::new(source),
                })
            };
            let cells = text.split('\t').map(str::trim).filter(|cell| !cell.is_empty());
            let mut parts = cells.map(part).collect::<Result<Vec<Wording>, _>>()?;
            if parts.len() < 2 {
                let (file, found) = (file.to_owned(), text);
                return Err(SearchError::NotPhrases { file, line, found }.into());
            }
            let alternatives = parts.split_off(1);
            entries.extend(parts.pop().map(|phrase| (phrase, alternatives)));
        }
        Ok(Self { entries })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The templates that come of replacing up to `replacements` (1 or 2) phrases of `manual`, each once: first
    /// all with one, by phrase and alternative, then all with two.
    pub fn expand(&self, manual: &Wording, replacements: usize) -> Vec<String> {
        let mut places: Vec<(Range<usize>, &[Wording])> = Vec::new();
        for (phrase, alternatives) in &self.entries {
            places.extend(
                manual.find(phrase).into_iter().map(|place| (place, alternatives.as_slice())),
            );
        }
        let mut found: Vec<String> = vec![manual.to_string()];
        let mut add = |wording: Wording| {
            let text = wording.to_string();
            if !found.contains(&text) {
                found.push(text);
            }
        };
        for (place, alternatives) in &places {
            for alternative in *alternatives {
                add(manual.replaced(place.clone(), alternative));
            }
        }
        if replacements > 1 {
            for (first, ones) in &places {
                // The later one is replaced first, so that the earlier one stays where it is.
                for (second, others) in places.iter().filter(|(place, _)| first.end <= place.start)
                {
                    for (one, other) in
                        ones.iter().flat_map(|one| others.iter().map(move |o| (one, o)))
                    {
                        let later = manual.replaced(second.clone(), other);
                        add(later.replaced(first.clone(), one));
                    }
                }
            }
        }
        found.split_off(1)
    }
}
