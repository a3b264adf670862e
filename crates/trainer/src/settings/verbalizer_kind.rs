//! `verbalizer.kind`: where the words that stand for labels come from.

use std::path::PathBuf;

use serde::{Serialize, Serializer};

use super::reader::{Given, OrDefault, Reader};
use super::shape::Shape;

/// Where the words of labels come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum VerbalizerKind {
    /// From the settings.
    Words,
    /// From the examples of train, whose labels say which words they raise.
    Automatic {
        /// Words of each label, at least 1.
        words: usize,
        /// Only so many words are looked at, those most probable on train; at least 1.
        frequent: usize,
    },
    /// Label vectors that learn, and start from the words of the settings.
    Soft,
    /// From a source of knowledge, beside those of the settings.
    Knowledgeable {
        /// The source.
        knowledge: Knowledge,
        /// Related words of each label at most, at least 1.
        words: usize,
        /// Share of the words that is left out as too improbable, in \[0, 1).
        cutoff: f64,
    },
}

/// A source of words related to labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knowledge {
    /// WordNet, where it usually is.
    WordNet,
    /// A list, or the folder of WordNet's database.
    File(PathBuf),
}

impl Serialize for Knowledge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::WordNet => serializer.serialize_str("wordnet"),
            Self::File(path) => path.serialize(serializer),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Words,
    Automatic,
    Soft,
    Knowledgeable,
}

/// Reads the kind and what goes with it; `has_labels` says whether there are labels at all.
pub(super) fn kind(reader: &mut Reader<'_>, has_labels: bool) -> VerbalizerKind {
    let names = [
        ("words", Kind::Words),
        ("automatic", Kind::Automatic),
        ("soft", Kind::Soft),
        ("knowledgeable", Kind::Knowledgeable),
    ];
    let kind = reader.choice("verbalizer.kind", &names);
    let words = reader.count("verbalizer.words", 1);
    let frequent = reader.count("verbalizer.frequent", 1);
    let knowledge = knowledge(reader);
    let share = Shape::share().told("a number from 0 to below 1");
    let cutoff = reader.read("verbalizer.cutoff", share, |node| {
        node.number().filter(|number| (0.0..1.0).contains(number))
    });
    if !has_labels {
        let reason = || "answers that are words: there are no `verbalizer.labels`".to_owned();
        reader.no_effect("verbalizer.kind", &kind, None, reason());
        reader.no_effect("verbalizer.words", &words, None, reason());
        reader.no_effect("verbalizer.frequent", &frequent, None, reason());
        reader.no_effect("verbalizer.knowledge", &knowledge, None, reason());
        reader.no_effect("verbalizer.cutoff", &cutoff, None, reason());
        return VerbalizerKind::Words;
    }
    let (place, kind) = match kind {
        Some(Given { value, place }) => (Some(place), value),
        None => (None, Kind::Words),
    };
    let place = place.as_ref();
    if matches!(kind, Kind::Words | Kind::Soft) {
        let name = if kind == Kind::Soft { "soft" } else { "words" };
        let reason = format!("kind `{name}`, whose words are in `verbalizer.labels`");
        reader.no_effect("verbalizer.words", &words, place, reason);
    }
    if kind != Kind::Automatic {
        let reason = "any kind but `automatic`".to_owned();
        reader.no_effect("verbalizer.frequent", &frequent, place, reason);
    }
    if kind != Kind::Knowledgeable {
        let reason = || "any kind but `knowledgeable`".to_owned();
        reader.no_effect("verbalizer.knowledge", &knowledge, place, reason());
        reader.no_effect("verbalizer.cutoff", &cutoff, place, reason());
    }
    match kind {
        Kind::Words => VerbalizerKind::Words,
        Kind::Soft => VerbalizerKind::Soft,
        Kind::Automatic => VerbalizerKind::Automatic {
            words: words.or_default_to(5),
            frequent: frequent.or_default_to(1000),
        },
        Kind::Knowledgeable => VerbalizerKind::Knowledgeable {
            knowledge: knowledge.or_default_to(Knowledge::WordNet),
            words: words.or_default_to(50),
            cutoff: cutoff.or_default_to(0.5),
        },
    }
}

fn knowledge(reader: &mut Reader<'_>) -> Option<Given<Knowledge>> {
    let key = "verbalizer.knowledge";
    let Given { value, place } = reader.text(key)?;
    let value = match value.as_str() {
        "wordnet" => Knowledge::WordNet,
        path => Knowledge::File(reader.find(key, path, &place, &["wordnet"])?),
    };
    Some(Given { value, place })
}
