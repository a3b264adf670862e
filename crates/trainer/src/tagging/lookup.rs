//! The control that a tagger has to beat: train's names, known by heart.

use std::collections::BTreeMap;

use ptuning_core::spans::{Entity, Found, SpanRules, apart};

use crate::data::Sentence;

/// Names of `train`, each with the label that it has most often there.
pub(super) struct Lookup<'a> {
    names: BTreeMap<&'a [String], &'a str>,
}

impl<'a> Lookup<'a> {
    pub fn new(train: &'a [Sentence]) -> Self {
        let mut counts: BTreeMap<&[String], BTreeMap<&str, usize>> = BTreeMap::new();
        for sentence in train {
            for entity in &sentence.entities {
                let name = sentence.words.get(entity.start..entity.end).unwrap_or_default();
                *counts.entry(name).or_default().entry(&entity.label).or_default() += 1;
            }
        }
        // Of labels that are equally frequent the first by name.
        let most = |labels: BTreeMap<&'a str, usize>| {
            labels.into_iter().rev().max_by_key(|&(_, count)| count).map(|(label, _)| label)
        };
        let names = counts.into_iter().filter_map(|(name, labels)| Some((name, most(labels)?)));
        Self { names: names.collect() }
    }

    /// Names wherever they stand in a sentence; of those that share a word the longest.
    pub fn entities(&self, sentence: &Sentence, rules: &SpanRules) -> Vec<Entity> {
        let found = rules.spans(&sentence.words).into_iter().filter_map(|span| {
            let words = sentence.words.get(span.start..span.end)?;
            self.names.contains_key(words).then_some(Found {
                span,
                label: 0,
                score: span.len() as f32,
            })
        });
        let entity = |found: Found| {
            let words = sentence.words.get(found.span.start..found.span.end)?;
            let label = (*self.names.get(words)?).to_owned();
            Some(Entity { start: found.span.start, end: found.span.end, label })
        };
        apart(found.collect()).into_iter().filter_map(entity).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(text: &str, entities: &[(usize, usize, &str)]) -> Sentence {
        let entity = |&(start, end, label): &(usize, usize, &str)| Entity {
            start,
            end,
            label: label.to_owned(),
        };
        Sentence {
            words: text.split(' ').map(str::to_owned).collect(),
            entities: entities.iter().map(entity).collect(),
            line: 1,
        }
    }

    #[test]
    fn the_longest_name_and_the_most_frequent_label() {
        let train = [
            sentence("New York and York", &[(0, 2, "city"), (3, 4, "city")]),
            sentence("York met York", &[(0, 1, "person"), (2, 3, "person")]),
        ];
        let rules = SpanRules { longest: 2, none: "none".to_owned(), stop_words: Vec::new() };
        let found = Lookup::new(&train).entities(&sentence("York saw New York", &[]), &rules);
        let found: Vec<_> =
            found.iter().map(|one| (one.start, one.end, one.label.as_str())).collect();
        assert_eq!(found, [(0, 1, "person"), (2, 4, "city")]);
    }
}
